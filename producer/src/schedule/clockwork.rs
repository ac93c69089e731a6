//! When the ticks of a schedule are.
//!
//! A cron expression is read on the clock on the wall of its zone. What that means where the clock is changed (croner 4,
//! "DST handling"): an expression whose seconds, minutes and hours are fixed numbers or lists of them ticks once a day,
//! in the repeated hour the first time, and where its time is left out at the first moment after the gap. One with `*` or
//! a step in them goes on through the repeated hour, and has no ticks where there is no time.

use std::time::Duration;

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::tz::TimeZone;
use warren_core::{
    ScheduleName, Timestamp,
    schedule::{Definition, Tick, Timing},
};

// No policy makes up for more; beyond it, the latest count.
const ENOUGH: usize = 1_000;
const FIRST_LOOK: Duration = Duration::from_mins(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Tells the ticks of one schedule.
#[derive(Debug, Clone)]
pub struct Clockwork {
    name: ScheduleName,
    rhythm: Rhythm,
    jitter: Duration,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

#[derive(Debug, Clone)]
enum Rhythm {
    Cron { cron: Box<Cron>, zone: TimeZone },
    Every { every: u64, anchor: u64 },
}

/// Why a timing cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The expression cannot be read.
    #[error(
        "expected five fields (minute, hour, day, month, day of the week), or six with the second before them: {0}"
    )]
    Cron(String),
    /// No time ever matches it.
    #[error("expected an expression that some time matches")]
    Never,
    /// There is no such zone.
    #[error("expected the name of a time zone (Europe/Berlin, UTC), got {0:?}")]
    Zone(String),
}

impl Unusable {
    /// The field that it is about.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Cron(_) | Self::Never => "cron",
            Self::Zone(_) => "zone",
        }
    }
}

impl Clockwork {
    /// Reads the timing of a schedule.
    pub fn new(name: &ScheduleName, definition: &Definition) -> Result<Self, Unusable> {
        let rhythm = match &definition.timing {
            Timing::Cron { cron, zone } => Rhythm::Cron { cron: Box::new(parse(cron)?), zone: named(zone)? },
            Timing::Every { every } => {
                let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
                // Counted from 1970 where no start is named: the same for everybody, whatever was lost.
                Rhythm::Every { every, anchor: definition.start.unwrap_or_default().as_millis() }
            }
        };
        let Definition { jitter, start, end, .. } = *definition;
        let clockwork = Self { name: name.clone(), rhythm, jitter, start, end };
        match clockwork.rhythm.next(Timestamp::default()) {
            Some(_) => Ok(clockwork),
            None => Err(Unusable::Never),
        }
    }

    /// The first tick after a time.
    pub fn next(&self, after: Timestamp) -> Option<Tick> {
        let from = self.start.map_or(after, |start| after.max(start.minus(MILLISECOND)));
        let at = self.rhythm.next(from)?;
        self.end.is_none_or(|end| at <= end).then(|| Tick::new(&self.name, at, self.jitter))
    }

    /// The ticks after a time, in their order.
    pub fn ticks(&self, after: Timestamp) -> impl Iterator<Item = Tick> {
        std::iter::successors(self.next(after), |tick| self.next(tick.at))
    }

    /// The ticks after a time that are due now, in their order: all of them, or of too many at least the latest thousand.
    pub fn due(&self, after: Timestamp, now: Timestamp) -> Vec<Tick> {
        let mut look = FIRST_LOOK;
        loop {
            let from = after.max(now.minus(look));
            let ticks: Vec<_> = self.ticks(from).take_while(|tick| tick.due <= now).collect();
            if from == after || ticks.len() >= ENOUGH {
                return ticks;
            }
            look *= 2;
        }
    }
}

impl Rhythm {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { cron, zone } => {
                let after = i64::try_from(after.as_millis()).ok()?;
                let after = jiff::Timestamp::from_millisecond(after).ok()?.to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&after, false).ok()?;
                Some(Timestamp::from_millis(u64::try_from(next.timestamp().as_millisecond()).ok()?))
            }
            Self::Every { every, anchor } => {
                let next = match after.as_millis().checked_sub(*anchor) {
                    Some(passed) => anchor.checked_add((passed / every).checked_add(1)?.checked_mul(*every)?)?,
                    None => *anchor,
                };
                // The end of time is no tick.
                Some(Timestamp::from_millis(next)).filter(|next| *next > after)
            }
        }
    }
}

fn parse(cron: &str) -> Result<Cron, Unusable> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(cron).map_err(|error| Unusable::Cron(error.to_string()))
}

fn named(zone: &str) -> Result<TimeZone, Unusable> {
    // Never the machine's own zone, of which replicas may have several.
    TimeZone::get(zone).map_err(|_| Unusable::Zone(zone.chars().take(64).collect()))
}

#[cfg(test)]
#[path = "clockwork_tests.rs"]
mod tests;
