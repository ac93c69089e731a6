use std::time::Duration;

use warren_core::schedule::{Misfire, Overlap};

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn definition(timing: Timing) -> Definition {
    Definition {
        timing,
        jitter: Duration::ZERO,
        task: r#"{"kind":"echo"}"#.to_owned(),
        misfire: Misfire::Once,
        misfire_after: Duration::from_mins(1),
        overlap: Overlap::Allow,
        paused: false,
        start: None,
        end: None,
    }
}

fn cron(cron: &str, zone: &str) -> Result<Clockwork, Unusable> {
    let timing = Timing::Cron { cron: cron.to_owned(), zone: zone.to_owned() };
    Clockwork::new(&ScheduleName::parse("a").unwrap(), &definition(timing))
}

fn every(every: Duration, start: Option<&str>) -> Clockwork {
    let definition = Definition { start: start.map(at), ..definition(Timing::Every { every }) };
    Clockwork::new(&ScheduleName::parse("a").unwrap(), &definition).unwrap()
}

fn times(clockwork: &Clockwork, after: &str, count: usize) -> Vec<String> {
    clockwork.ticks(at(after)).take(count).map(|tick| tick.at.to_string().replace(".000Z", "Z")).collect()
}

#[test]
fn cron_by_table() {
    for (expression, zone, after, next) in [
        ("*/15 * * * *", "UTC", "2026-01-31T12:00:00Z", ["2026-01-31T12:15:00Z", "2026-01-31T12:30:00Z"]),
        ("30 0 12 * * *", "UTC", "2026-01-31T12:00:29.5Z", ["2026-01-31T12:00:30Z", "2026-02-01T12:00:30Z"]),
        // Twelve in Tokyo is three in London.
        ("0 12 * * *", "Asia/Tokyo", "2026-01-31T12:00:00Z", ["2026-02-01T03:00:00Z", "2026-02-02T03:00:00Z"]),
        ("0 0 * * MON", "UTC", "2026-01-31T12:00:00Z", ["2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z"]),
        ("0 0 L * *", "UTC", "2026-01-31T12:00:00Z", ["2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-31T12:00:00Z", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("@hourly", "UTC", "2026-01-31T12:00:00Z", ["2026-01-31T13:00:00Z", "2026-01-31T14:00:00Z"]),
    ] {
        assert_eq!(times(&cron(expression, zone).unwrap(), after, 2), next, "{expression} {zone}");
    }
}

// In Berlin the clock goes from 2:00 to 3:00 on 2026-03-29, and from 3:00 back to 2:00 on 2026-10-25, both at 1:00 UTC.
#[test]
fn where_the_clock_is_changed_by_table() {
    for (expression, after, next) in [
        // Fixed times: each day once, whatever the clock does.
        (
            "30 2 * * *",
            "2026-03-28T00:00:00Z",
            &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"][..],
        ),
        (
            "30 2 * * *",
            "2026-10-24T00:00:00Z",
            &["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
        ),
        ("0 3 * * *", "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]),
        // Steps: through the repeated hour, and nothing in the gap.
        (
            "*/30 * * * *",
            "2026-03-29T00:15:00Z",
            &["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"],
        ),
        (
            "*/30 * * * *",
            "2026-10-25T00:15:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"],
        ),
        (
            "30 * * * *",
            "2026-10-25T00:00:00Z",
            &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"],
        ),
    ] {
        assert_eq!(times(&cron(expression, "Europe/Berlin").unwrap(), after, next.len()), next, "{expression} {after}");
    }
    // Half an hour in Lord Howe: 2:00 to 1:30 on 2026-04-05.
    let lord_howe = cron("*/20 1 * * *", "Australia/Lord_Howe").unwrap();
    let expected = [
        "2026-04-04T14:00:00Z",
        "2026-04-04T14:20:00Z",
        "2026-04-04T14:40:00Z",
        "2026-04-04T15:10:00Z",
        "2026-04-05T14:30:00Z",
    ];
    assert_eq!(times(&lord_howe, "2026-04-04T13:00:00Z", 5), expected);
}

#[test]
fn an_interval_is_counted_from_its_start() {
    assert_eq!(times(&every(Duration::from_hours(6), None), "2026-01-31T12:00:00Z", 1), ["2026-01-31T18:00:00Z"]);
    let started = every(Duration::from_hours(6), Some("2026-01-31T13:00:00Z"));
    assert_eq!(times(&started, "2026-01-01T00:00:00Z", 2), ["2026-01-31T13:00:00Z", "2026-01-31T19:00:00Z"]);
    assert_eq!(times(&started, "2026-01-31T13:00:00Z", 1), ["2026-01-31T19:00:00Z"]);
}

#[test]
fn there_is_nothing_before_the_start_and_after_the_end() {
    let timing = Timing::Cron { cron: "0 * * * *".to_owned(), zone: "UTC".to_owned() };
    let (start, end) = (Some(at("2026-01-31T12:00:00Z")), Some(at("2026-01-31T13:00:00Z")));
    let definition = Definition { start, end, ..definition(timing) };
    let clockwork = Clockwork::new(&ScheduleName::parse("a").unwrap(), &definition).unwrap();
    assert_eq!(times(&clockwork, "2020-01-01T00:00:00Z", 9), ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    for bad in ["", "* * * *", "* * * * * * *", "61 * * * *", "* * * * tomorrow"] {
        assert!(matches!(cron(bad, "UTC"), Err(Unusable::Cron(_))), "{bad}");
    }
    assert_eq!(cron("0 0 30 2 *", "UTC").err(), Some(Unusable::Never));
    assert_eq!(cron("* * * * *", "Europe/Atlantis").err(), Some(Unusable::Zone("Europe/Atlantis".to_owned())));
}

#[test]
fn of_a_long_absence_the_latest_are_due() {
    let clockwork = every(Duration::from_secs(1), None);
    let now = at("2026-01-31T12:00:00Z");
    for seconds in [0, 1, 59, 61, 500, 1_000] {
        let due = clockwork.due(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!(due.len(), usize::try_from(seconds).unwrap(), "{seconds}");
    }
    let due = clockwork.due(at("2020-01-01T00:00:00Z"), now);
    assert!((ENOUGH..3 * ENOUGH).contains(&due.len()), "{}", due.len());
    assert_eq!(due.last().map(|tick| tick.at), Some(now));
}

#[test]
fn a_tick_that_jitter_puts_off_is_not_due_yet() {
    let definition =
        Definition { jitter: Duration::from_secs(30), ..definition(Timing::Every { every: Duration::from_mins(1) }) };
    let clockwork = Clockwork::new(&ScheduleName::parse("a").unwrap(), &definition).unwrap();
    let after = at("2026-01-31T12:00:00Z");
    let tick = clockwork.next(after).unwrap();
    assert_eq!(clockwork.due(after, tick.due.minus(MILLISECOND)), []);
    assert_eq!(clockwork.due(after, tick.due), [tick]);
}
