//! Whether the projection is at the end of the log: messages of our own, and when we read them back.
//!
//! An offset past the end waits for ever without a word, and a quiet log says nothing either. So the leader writes an
//! empty batch from time to time. How long that takes to come back is how far the projection is behind, without a look
//! at anybody else's clock; if it never comes, the log is not where we read.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use lapin::BasicProperties;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use warren_core::event::{self, Batch};
use warren_runtime::amqp::{Names, Outgoing, Publisher, message::PERSISTENT};

const INTERVAL: Duration = Duration::from_secs(5);
// Behind by more than this, nothing that has to do with time can be judged.
const LIVE: Duration = Duration::from_secs(3);

/// The probes of one leader's term.
#[derive(Debug)]
pub struct Probe {
    source: String,
    state: Mutex<State>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    seq: u64,
    // Sent and not read back yet, the oldest first.
    under_way: VecDeque<Sent>,
    // How long the last one took that was read back.
    took: Option<Duration>,
}

#[derive(Debug)]
struct Sent {
    seq: u64,
    at: Instant,
    confirmed: Option<Instant>,
}

impl Probe {
    /// For the process of this name.
    pub fn new(process: &str) -> Self {
        let state = Mutex::new(State::default());
        Self { source: format!("{process}-probe"), state, wanted: Notify::new() }
    }

    /// How far the projection is behind; `None` while that is not known.
    pub fn lag(&self) -> Option<Duration> {
        let state = self.state();
        let took = state.took?;
        Some(state.under_way.front().map_or(took, |oldest| took.max(oldest.at.elapsed())))
    }

    /// Whether what is read now was written just now.
    pub fn is_live(&self) -> bool {
        self.lag().is_some_and(|lag| lag < LIVE)
    }

    /// Since when the log holds a probe that was not read back.
    pub(super) fn unanswered(&self) -> Option<Instant> {
        self.state().under_way.iter().find_map(|sent| sent.confirmed)
    }

    /// Forgets what is known, and asks for a new probe: reading begins again.
    pub(super) fn restart(&self) {
        let mut state = self.state();
        state.under_way.clear();
        state.took = None;
        drop(state);
        self.wanted.notify_one();
    }

    /// Notes a batch that was read and applied.
    pub(super) fn read(&self, batch: &Batch) {
        if batch.source != self.source {
            return;
        }
        let mut state = self.state();
        while let Some(sent) = state.under_way.pop_front_if(|sent| sent.seq <= batch.seq) {
            state.took = Some(sent.at.elapsed());
        }
    }

    /// Writes a probe every few seconds, and whenever one is wanted, until `stop`.
    pub async fn run(&self, publisher: Publisher, names: Names, stop: CancellationToken) {
        let rounds = async {
            loop {
                self.send(&publisher, &names).await;
                tokio::select! {
                    () = sleep(INTERVAL) => {}
                    () = self.wanted.notified() => {}
                }
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn send(&self, publisher: &Publisher, names: &Names) {
        let seq = self.begin();
        let body = event::assemble(&self.source, seq, &[]);
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let sent = publisher.publish(&Outgoing::to_queue(&names.log(), properties, body)).await;
        let mut state = self.state();
        match sent {
            Ok(()) => {
                state.seq = seq;
                // It may have been read back before it was confirmed.
                if let Some(sent) = state.under_way.iter_mut().find(|sent| sent.seq == seq) {
                    sent.confirmed = Some(Instant::now());
                }
            }
            Err(error) => {
                debug!(%error, "a probe was not written");
                // Its number is used again: a hole would look like a loss.
                state.under_way.retain(|sent| sent.seq != seq);
            }
        }
    }

    fn begin(&self) -> u64 {
        let mut state = self.state();
        let seq = state.seq + 1;
        state.under_way.push_back(Sent { seq, at: Instant::now(), confirmed: None });
        seq
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the probes are locked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(source: &str, seq: u64) -> Batch {
        Batch { version: 1, source: source.to_owned(), seq, events: vec![] }
    }

    #[test]
    fn lag_is_unknown_until_a_probe_comes_back() {
        let probe = Probe::new("m");
        assert_eq!(probe.lag(), None);
        let seq = probe.begin();
        probe.read(&batch("other-probe", seq));
        assert_eq!(probe.lag(), None);
        probe.read(&batch("m-probe", seq));
        assert!(probe.is_live());
        probe.restart();
        assert!(!probe.is_live());
    }

    #[test]
    fn only_what_the_log_has_confirmed_can_stay_unanswered() {
        let probe = Probe::new("m");
        let seq = probe.begin();
        assert_eq!(probe.unanswered(), None);
        probe.state().under_way[0].confirmed = Some(Instant::now());
        assert!(probe.unanswered().is_some());
        probe.read(&batch("m-probe", seq));
        assert_eq!(probe.unanswered(), None);
    }
}
