//! Handing many tasks in and waiting for their results, at the same time.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::StreamExt;
use tokio::time::Instant;
use warren_core::TaskId;
use warren_producer::{Producer, WINDOW};
use warren_runtime::{
    Shutdown,
    amqp::{self, session::chain},
};

use super::{
    replies::{Replies, Reply},
    report::Report,
    source::{Refusal, Tasks},
};

// When a whole window was in flight as the broker went, and the next one has waited for it in vain, it stays away.
const GIVE_UP_AFTER: usize = 2 * WINDOW;

/// Hands everything in and, where results are wished for, waits for them.
pub struct Submission {
    producer: Producer,
    report: Report,
    // Confirmed, without a reply yet; and the other way round, for a reply can be quicker than the confirm.
    outstanding: HashSet<TaskId>,
    early: HashMap<TaskId, Reply>,
    failures_in_a_row: usize,
    stop: Shutdown,
}

impl Submission {
    pub fn new(producer: Producer, report: Report) -> Self {
        Self {
            producer,
            report,
            outstanding: HashSet::new(),
            early: HashMap::new(),
            failures_in_a_row: 0,
            stop: Shutdown::default(),
        }
    }

    /// Returns whether all went well. Nothing more is read after a signal; what is on its way is waited for.
    pub async fn run(
        mut self,
        tasks: Tasks,
        mut replies: Option<Replies>,
        wait: Option<Duration>,
    ) -> anyhow::Result<bool> {
        let (stop, producer) = (self.stop.clone(), self.producer.clone());
        let results = producer.pipeline(tasks.take_until(stop.drain.cancelled()));
        let signals = stop.clone().on_signals();
        tokio::pin!(results, signals);

        let wanted = replies.is_some();
        let mut handing_in = true;
        let mut patience = None;
        let mut why = Cow::Borrowed("the wait was interrupted");
        while handing_in || (replies.is_some() && !self.outstanding.is_empty()) {
            tokio::select! {
                result = results.next(), if handing_in => match result {
                    Some((number, result)) => self.handed_in(number, result, wanted)?,
                    None => {
                        handing_in = false;
                        patience = wait.map(|wait| Instant::now() + wait);
                    }
                },
                reply = next_of(&mut replies) => match reply {
                    Ok(reply) => self.replied(reply, handing_in)?,
                    Err(error) => {
                        why = Cow::Owned(chain(&error));
                        self.report.say(&format!("the results cannot be waited for any longer: {why}"));
                        replies = None;
                    }
                },
                () = until(patience) => {
                    why = Cow::Borrowed("no result came in time");
                    break;
                }
                () = stop.drain.cancelled(), if !handing_in => break,
                ended = &mut signals => {
                    ended?;
                    break;
                }
            }
        }
        for id in std::mem::take(&mut self.outstanding) {
            self.report.unanswered(id, &why)?;
        }
        if let Some(replies) = replies {
            replies.close().await;
        }
        self.report.summary();
        // What was not read was not handed in.
        Ok(self.report.all_well() && !stop.drain.is_cancelled())
    }

    fn handed_in(&mut self, number: u64, result: Result<TaskId, Refusal>, wanted: bool) -> std::io::Result<()> {
        match result {
            Ok(id) => {
                self.failures_in_a_row = 0;
                self.report.accepted(&id)?;
                match self.early.remove(&id) {
                    Some(reply) => self.report.ended(&reply)?,
                    None if wanted => drop(self.outstanding.insert(id)),
                    None => {}
                }
            }
            Err(refusal) => {
                self.failures_in_a_row = if refusal.is_transient() { self.failures_in_a_row + 1 } else { 0 };
                self.report.refused(number, &refusal)?;
            }
        }
        if self.failures_in_a_row == GIVE_UP_AFTER {
            self.report.say("the broker stays away: what was not read yet is not handed in");
            self.stop.drain.cancel();
        }
        Ok(())
    }

    // A task may be answered twice, if it had to be run twice: the first answer counts.
    fn replied(&mut self, reply: Reply, handing_in: bool) -> std::io::Result<()> {
        if self.outstanding.remove(&reply.id) {
            self.report.ended(&reply)
        } else {
            if handing_in {
                self.early.insert(reply.id.clone(), reply);
            }
            Ok(())
        }
    }
}

async fn next_of(replies: &mut Option<Replies>) -> Result<Reply, amqp::Error> {
    match replies {
        Some(replies) => replies.next().await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
