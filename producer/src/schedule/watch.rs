//! Whether schedules can run, for readiness.
//!
//! A gateway without schedules has no need of Redis, and is ready without it. Where there are schedules, it is ready only
//! while Redis answers and takes what is written: until then nothing is scheduled.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use warren_runtime::readiness::Latch;

use super::cabinet::Cabinet;

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// Why no lease was given, or no schedule read, when that was tried last.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    pub fn set(&self, why: &str) {
        *self.0.lock().expect("nobody panics while setting a text") = Some(why.to_owned());
    }

    pub fn clear(&self) {
        *self.0.lock().expect("nobody panics while setting a text") = None;
    }

    fn get(&self) -> Option<String> {
        self.0.lock().expect("nobody panics while setting a text").clone()
    }
}

/// Keeps the latch.
#[derive(Debug)]
pub struct Watch {
    pub cabinet: Cabinet,
    pub latch: Latch,
    pub trouble: Trouble,
    /// Whether there are schedules, as far as is known.
    pub concerned: bool,
}

impl Watch {
    /// Looks again and again, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let why = match timeout(PATIENCE, self.cabinet.count()).await {
                Ok(Ok(count)) => {
                    self.concerned |= count > 0;
                    self.trouble.get()
                }
                Ok(Err(_)) | Err(_) => Some("Redis does not answer".to_owned()),
            };
            match why.filter(|_| self.concerned) {
                Some(why) => self.latch.missing(format!("nothing is scheduled: {why}")),
                None => self.latch.met(),
            }
            if stop.run_until_cancelled(sleep(BETWEEN_LOOKS)).await.is_none() {
                return;
            }
        }
    }
}
