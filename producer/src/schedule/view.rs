//! A schedule as it is shown.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use warren_core::{
    ScheduleName, TaskId, Timestamp,
    schedule::{Counts, Definition, Kept, Misfire, Progress, Tick, Timing},
};

/// A schedule, what it is and how it goes. Times are RFC 3339 in UTC.
#[derive(Debug, Serialize)]
pub struct View {
    /// Its name.
    pub name: ScheduleName,
    /// `api` or `file`.
    pub origin: &'static str,
    /// What it is, as it may be put again.
    pub schedule: Written,
    /// The next tick; null where it is paused or over.
    pub next: Option<String>,
    /// The tick that is on its way to the broker.
    pub claimed: Option<String>,
    /// The task that was handed in last.
    pub previous: Option<PreviousView>,
    /// What became of its ticks.
    pub counts: Counts,
    /// Why the last tick could not be handed in.
    pub problem: Option<String>,
}

/// A schedule in its JSON form.
#[derive(Debug, Serialize)]
pub struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<String>,
    jitter: String,
    task: Box<RawValue>,
    misfire: &'static str,
    misfire_after: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<u32>,
    overlap: &'static str,
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

/// The task that was handed in last.
#[derive(Debug, Serialize)]
pub struct PreviousView {
    /// Its id.
    pub task: TaskId,
    /// When.
    pub at: String,
}

/// A tick that is to come.
#[derive(Debug, Serialize)]
pub struct Forecast {
    /// Its time.
    pub tick: String,
    /// When its task is handed in: later by its share of the jitter.
    pub due: String,
    /// Its task's id.
    pub task: TaskId,
}

impl View {
    pub(super) fn new(name: &ScheduleName, kept: &Kept, progress: Option<&Progress>, next: Option<Tick>) -> Self {
        let Kept { origin, definition, .. } = kept;
        let claimed = progress.and_then(|progress| progress.claim.as_ref()).map(|claim| claim.tick.to_string());
        let previous = progress.and_then(|progress| progress.previous.clone());
        Self {
            name: name.clone(),
            origin: origin.name(),
            schedule: Written::from(definition),
            next: next.filter(|_| !definition.paused).map(|tick| tick.at.to_string()),
            claimed,
            previous: previous.map(|previous| PreviousView { task: previous.task, at: previous.at.to_string() }),
            counts: progress.map(|progress| progress.counts).unwrap_or_default(),
            problem: progress.and_then(|progress| progress.problem.clone()),
        }
    }
}

impl View {
    /// Whether it makes no ticks.
    pub fn is_paused(&self) -> bool {
        self.schedule.paused
    }

    /// Its timing, for people.
    pub fn when(&self) -> String {
        let Written { cron, zone, every, .. } = &self.schedule;
        match (cron, zone, every) {
            (Some(cron), Some(zone), _) => format!("{cron} {zone}"),
            (_, _, Some(every)) => format!("every {every}"),
            (_, _, None) => String::new(),
        }
    }
}

impl Forecast {
    pub(super) fn new(schedule: &ScheduleName, tick: Tick) -> Self {
        Self { tick: tick.at.to_string(), due: tick.due.to_string(), task: Tick::task(schedule, tick.at) }
    }
}

impl From<&Definition> for Written {
    fn from(definition: &Definition) -> Self {
        let (cron, zone, every) = match &definition.timing {
            Timing::Cron { cron, zone } => (Some(cron.clone()), Some(zone.clone()), None),
            Timing::Every { every } => (None, None, Some(span(*every))),
        };
        let catch_up = match definition.misfire {
            Misfire::Skip | Misfire::Once => None,
            Misfire::All { most } => Some(most.get()),
        };
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            cron,
            zone,
            every,
            jitter: span(definition.jitter),
            // It was read as JSON when it was put.
            task: RawValue::from_string(definition.task.clone()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
            misfire: definition.misfire.name(),
            misfire_after: span(definition.misfire_after),
            catch_up,
            overlap: definition.overlap.name(),
            paused: definition.paused,
            start: text(definition.start),
            end: text(definition.end),
        }
    }
}

// With the largest unit that it is a whole number of.
fn span(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let fits = units.into_iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
    fits.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::read;

    #[test]
    fn what_is_shown_may_be_put_again() {
        let name = ScheduleName::parse("a").unwrap();
        for json in [
            r#"{"every":"90s","task":{"kind":"echo","payload":12345678901234567890123}}"#,
            r#"{"cron":"0 3 * * *","zone":"Asia/Tokyo","task":{"kind":"a"},"misfire":"all","end":"2030-01-01T00:00:00Z"}"#,
        ] {
            let definition = read(&name, json.as_bytes()).unwrap();
            let shown = serde_json::to_vec(&Written::from(&definition)).unwrap();
            assert_eq!(read(&name, &shown).unwrap(), definition);
        }
    }

    #[test]
    fn spans_by_table() {
        for (millis, text) in [(0, "0s"), (250, "250ms"), (90_000, "90s"), (3_600_000, "1h"), (172_800_000, "2d")] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }
}
