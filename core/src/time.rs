//! Points in time, as milliseconds of the Unix epoch: what the wire carries and the store sorts by.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize};

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected RFC 3339 with a zone (2026-01-31T12:00:00Z) or milliseconds since 1970")]
pub struct InvalidTimestamp;

// The last second that jiff writes as RFC 3339, 9999-12-30T22:00:00Z (it keeps a zone's room before the year 10,000): what
// is later is a mistake of units.
const LATEST: u64 = 253_402_207_200_000;

impl Timestamp {
    /// From milliseconds since the epoch; what is later than the year 9999 counts as that.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(LATEST))
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// This much later, at most the year 9999.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis(duration)))
    }

    /// This much earlier, at least 1970.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier`; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Parses RFC 3339, or a whole number of milliseconds since the epoch.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let text = text.trim();
        if let Ok(millis) = text.parse::<u64>() {
            return (millis <= LATEST).then_some(Self(millis)).ok_or(InvalidTimestamp);
        }
        let instant: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        let millis = u64::try_from(instant.as_millisecond()).map_err(|_| InvalidTimestamp)?;
        // A fraction below a millisecond is rounded up: never earlier than asked.
        let exact = instant.as_nanosecond() % 1_000_000 == 0;
        Ok(Self::from_millis(if exact { millis } else { millis + 1 }))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    // Every way in keeps to the calendar: a time that cannot be written cannot be shown either.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_millis)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{millis} ms"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_both_shapes_and_prints_rfc_3339() {
        for (text, millis) in [
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T01:00:00.250+01:00", 250),
            ("1970-01-01T00:00:00.0001Z", 1),
            (" 1769860800000 ", 1_769_860_800_000),
        ] {
            assert_eq!(Timestamp::parse(text), Ok(Timestamp(millis)), "{text}");
        }
        assert_eq!(Timestamp(1_769_860_800_005).to_string(), "2026-01-31T12:00:00.005Z");
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "tomorrow", "2026-01-31", "-5", "1969-12-31T23:59:59Z", "99999999999999999999"] {
            assert_eq!(Timestamp::parse(text), Err(InvalidTimestamp), "{text}");
        }
    }

    #[test]
    fn the_latest_time_can_be_written_and_nothing_is_later() {
        assert_eq!(Timestamp(LATEST).to_string(), "9999-12-30T22:00:00.000Z");
        assert_eq!(serde_json::from_str::<Timestamp>("18446744073709551615").unwrap(), Timestamp(LATEST));
    }

    #[test]
    fn arithmetic_stays_in_range() {
        let t = Timestamp(5);
        assert_eq!(t.minus(Duration::from_secs(1)), Timestamp(0));
        assert_eq!(t.since(Timestamp(9)), Duration::ZERO);
        assert_eq!(t.plus(Duration::MAX).as_millis(), LATEST);
    }
}
