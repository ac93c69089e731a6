//! Reading times off a task as the monitor's API shows it.

use jiff::Timestamp;
use serde_json::Value;

/// An RFC 3339 time, in milliseconds since 1970.
pub fn millis(time: &Value) -> i64 {
    let time: Timestamp =
        time.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("not a time: {time}"));
    time.as_millisecond()
}

/// When the task's first attempt started.
pub fn started(task: &Value) -> i64 {
    millis(&task["attempts"][0]["start"])
}

/// The waits between its attempts, in milliseconds.
pub fn waits(task: &Value) -> Vec<i64> {
    let attempts = task["attempts"].as_array().unwrap_or_else(|| panic!("no attempts: {task}"));
    attempts.windows(2).map(|pair| millis(&pair[1]["start"]) - millis(&pair[0]["end"])).collect()
}
