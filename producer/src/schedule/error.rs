//! Why a schedule was not read, changed or run.

use warren_core::{ScheduleName, schedule::Refused};
use warren_runtime::redis;

/// Why a schedule was not read, changed or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none, or it is not to be changed here.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It cannot be accepted as it is, or its task was not handed in.
    #[error(transparent)]
    Task(#[from] crate::Error),
    /// Redis does not answer, or refuses.
    #[error("schedules are kept in Redis, which does not answer")]
    Redis(#[from] redis::Error),
    /// The change could not be told to the event log, and was not made.
    #[error("the event log does not take the change: the broker is away")]
    Log,
    /// Others change it all the time.
    #[error("schedule {0} is being changed by others: try again")]
    Busy(ScheduleName),
    /// There are as many as there may be.
    #[error("there are {0} schedules already, which is the most")]
    Full(usize),
    /// What is stored cannot be read, or not run.
    #[error("what is stored of schedule {name} cannot be used: {why}")]
    Unreadable {
        /// Whose.
        name: ScheduleName,
        /// What is wrong with it.
        why: String,
    },
}

impl From<::redis::RedisError> for Error {
    fn from(error: ::redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}
