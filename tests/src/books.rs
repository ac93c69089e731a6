//! The books of a run: what was confirmed, against what became of it by the ledger, by the broker and by the projection.

use std::{collections::BTreeMap, path::PathBuf};

use lapin::options::BasicGetOptions;
use warren_core::{QueueName, TaskState};

use crate::{
    Broker, Pool,
    broker::header,
    ledger::{self, Executions},
    pool::Service,
    projection,
};

// How long the way of an end into the record may take, in milliseconds.
const ON_RECORD: u64 = 1_000;

/// Where the books of a pool are kept.
#[derive(Debug, Clone)]
pub struct Books {
    /// What the producers wrote.
    pub confirmed: PathBuf,
    /// What the workers wrote.
    pub executions: PathBuf,
}

/// An attempt that was executed once more.
#[derive(Debug, Clone)]
pub struct Duplicate {
    /// The task.
    pub task: String,
    /// The attempt.
    pub attempt: u32,
    /// When the earlier execution began, in milliseconds since 1970.
    pub first: u64,
    /// When its work was done: then it was the acknowledgement that got lost. `None`: it did not end before the next
    /// began.
    pub done: Option<u64>,
    /// When it began again.
    pub again: u64,
}

impl Duplicate {
    /// Whether the earlier end had been on record for a while when it began again, so that it should have been recognised.
    /// `blind` are the times, from and to, in which nothing was read from the log.
    pub fn was_known(&self, blind: &[(u64, u64)]) -> bool {
        let Some(done) = self.done else { return false };
        let read = blind.iter().fold(
            done,
            |read, (from, to)| {
                if (*from..*to).contains(&(read + ON_RECORD)) { *to } else { read }
            },
        );
        self.again > read + ON_RECORD
    }
}

/// The balance of a run that has come to rest.
#[derive(Debug, Default)]
pub struct Balance {
    /// Tasks that a producer holds a confirm for.
    pub confirmed: usize,
    /// Of those: done by the ledger, and nowhere in the broker.
    pub succeeded: usize,
    /// Of those: among the dead letters.
    pub dead: usize,
    /// Of those: among the dead letters with the reason `expired`.
    pub expired: usize,
    /// Of those: neither done nor dead, for somebody cancelled them, by the projection's word.
    pub cancelled: usize,
    /// Of those: none of the above. Lost.
    pub missing: Vec<String>,
    /// Executions beyond one for each attempt.
    pub duplicates: Vec<Duplicate>,
    /// Tasks of which the projection says something else than ledger and broker, and what.
    pub disagreements: Vec<String>,
}

impl Books {
    /// In the folder of a pool.
    pub fn of(pool: &Pool) -> Self {
        Self { confirmed: pool.folder().join("confirmed"), executions: pool.folder().join("executions") }
    }

    /// Balances them. Nothing may be running or waiting any more.
    pub async fn balance(&self, pool: &Pool, broker: &Broker, monitor: &Service) -> Balance {
        let dead = dead_letters(broker, &pool.names().dead(&QueueName::default())).await;
        let executions = ledger::executions(&self.executions);
        let projected = projection::states(monitor).await;
        let mut balance = Balance { duplicates: duplicates(&executions), ..Balance::default() };
        for task in ledger::confirmed(&self.confirmed) {
            balance.confirmed += 1;
            let done = executions
                .get(&task)
                .is_some_and(|attempts| attempts.values().flatten().any(|execution| execution.done.is_some()));
            let state = match dead.get(&task).map(String::as_str) {
                Some("expired") => {
                    balance.expired += 1;
                    TaskState::Expired
                }
                Some(_) => {
                    balance.dead += 1;
                    TaskState::Dead
                }
                None if done => {
                    balance.succeeded += 1;
                    TaskState::Succeeded
                }
                None if projected.get(&task).is_some_and(|said| said == TaskState::Cancelled.name()) => {
                    balance.cancelled += 1;
                    TaskState::Cancelled
                }
                None => {
                    balance.missing.push(task);
                    continue;
                }
            };
            match projected.get(&task) {
                Some(said) if said == state.name() => {}
                said => balance.disagreements.push(format!("{task} is {state}, and is shown as {said:?}")),
            }
        }
        balance
    }
}

impl Balance {
    /// Fails unless nothing is missing and the projection says the same.
    pub fn assert_even(&self) {
        assert!(self.missing.is_empty(), "{} lost: {:?}", self.missing.len(), first(&self.missing));
        assert!(
            self.disagreements.is_empty(),
            "{} shown wrongly: {:?}",
            self.disagreements.len(),
            first(&self.disagreements)
        );
        assert!(self.confirmed > 0, "nothing was confirmed, so nothing was shown");
    }
}

fn first(list: &[String]) -> &[String] {
    &list[..list.len().min(10)]
}

/// What was executed more than once.
pub fn duplicates(executions: &Executions) -> Vec<Duplicate> {
    let mut duplicates = Vec::new();
    for (task, attempts) in executions {
        for (attempt, list) in attempts {
            duplicates.extend(list.windows(2).map(|pair| Duplicate {
                task: task.clone(),
                attempt: *attempt,
                first: pair[0].begun,
                done: pair[0].done.filter(|done| *done <= pair[1].begun),
                again: pair[1].begun,
            }));
        }
    }
    duplicates
}

/// The dead letters of a queue: their reason by task. They are browsed on a channel of their own, and go back when it
/// closes.
pub async fn dead_letters(broker: &Broker, queue: &str) -> BTreeMap<String, String> {
    let channel = broker.channel().await;
    let mut letters = BTreeMap::new();
    while let Some(letter) = channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("a dead letter") {
        let id = letter.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default();
        letters.insert(id, header(&letter, "warren-reason").unwrap_or_default());
    }
    drop(channel.close(200, "browsed".into()).await);
    letters
}
