//! The header `Retry-After` (RFC 9110, section 10.2.3).

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use warren_core::{Timestamp, ladder::MAX_DELAY};

/// How many milliseconds the service asks to wait from now; `None` if it asks nothing that can be read.
pub fn read(headers: &HeaderMap, now: Timestamp) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse().map(Duration::from_secs) {
        Ok(wait) => wait,
        Err(_) => http_date(text)?.since(now),
    };
    u64::try_from(wait.min(MAX_DELAY).as_millis()).ok()
}

// The one form that is still written, `Sun, 06 Nov 1994 08:49:37 GMT`. The two that are obsolete are not read: then the
// policy of the kind decides.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<_> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates_by_table() {
        let now = Timestamp::parse("1994-11-06T08:49:00Z").unwrap();
        for (text, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120_000)),
            ("99999999999", u64::try_from(MAX_DELAY.as_millis()).ok()),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37_000)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("-5", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(read(&headers, now), expected, "{text}");
        }
        assert_eq!(read(&HeaderMap::new(), now), None);
    }
}
