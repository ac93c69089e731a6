//! Time, identity and chance: the only places where they enter.

use std::time::{SystemTime, UNIX_EPOCH};

use warren_core::{TaskId, Timestamp};

/// The present, by this machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A number from 0 to 1.
pub fn draw() -> f64 {
    fastrand::f64()
}

/// Any number.
pub fn any_number() -> u16 {
    fastrand::u16(..)
}

/// A new task id: a UUID of version 7, so that ids sort by the time of their making.
pub fn task_id() -> TaskId {
    TaskId::parse(&uuid::Uuid::now_v7().to_string()).expect("a UUID is a valid task id")
}

/// A name for this run of this process: the host's name and eight random hexadecimal digits.
pub fn process_name() -> String {
    let host: String =
        host_name().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).take(63).collect();
    format!("{host}-{:08x}", fastrand::u32(..))
}

/// The name of this machine or container.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
