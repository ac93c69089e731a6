//! What the tests of handlers share.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use warren_core::{Attempt, Kind, Outcome, Priority, QueueName, TaskId};

use super::{Context, Handler, Job};

/// Longer than anything takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A task with this payload.
pub fn job(payload: impl Into<Vec<u8>>) -> Job {
    Job {
        id: TaskId::parse("task-1").unwrap(),
        kind: Kind::parse("test").unwrap(),
        queue: QueueName::default(),
        priority: Priority::default(),
        attempt: Attempt::FIRST,
        payload: payload.into(),
        content_type: None,
        traceparent: None,
        timeout: Duration::from_mins(1),
    }
}

/// Runs one attempt that nobody stops.
pub async fn run(handler: &impl Handler, job: &Job) -> Outcome {
    let (context, _progress) = Context::new(CancellationToken::new());
    tokio::time::timeout(DEADLINE, handler.run(job, &context)).await.expect("the attempt ends in time")
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A new empty folder; it goes when this does.
pub struct Folder(pub std::path::PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("warren-handler-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// What a file in it says, once it says something.
    pub fn said(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.0.join(name)).ok()?;
        text.ends_with('\n').then(|| text.trim().to_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Whether a process runs; one that has ended and was not yet waited for does not.
pub fn is_alive(id: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}
