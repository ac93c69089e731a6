//! Handing in the tasks that may start.
//!
//! Each bears the header `once`: should two copies of one come about, by a leader that died before the log knew, or was
//! frozen on its way to the broker, the worker that takes the second finds what became of the first.

use std::collections::VecDeque;

use futures::future::join_all;
use tracing::{debug, error, warn};
use warren_core::{
    Attempt, Kind, Operator, OrderId, QueueName, Reason, TaskId, WorkflowId,
    command::{Command, HOLDS, Order},
    event::{About, Buried, Event, Released},
    workflow::{Job, PartId},
};
use warren_runtime::{amqp::session::chain, clock};

use super::{
    Error, Measured,
    book::Book,
    cabinet::Cabinet,
    conclusion,
    held::Letter,
    input::{Inputs, Made},
};
use crate::{NewTask, Producer};

const AT_ONCE: usize = 200;

/// What is left to be done outside of Redis.
#[derive(Debug, Default)]
pub struct Errands {
    due: VecDeque<TaskId>,
    cancelled: VecDeque<WorkflowId>,
    concluded: VecDeque<WorkflowId>,
}

/// What errands are done with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    pub cabinet: &'a Cabinet,
    pub producer: &'a Producer,
    pub measured: &'a Measured,
    /// How far the log was read into the book.
    pub as_of: u64,
}

impl Errands {
    /// Tasks are to be handed in.
    pub fn release(&mut self, tasks: impl IntoIterator<Item = TaskId>) {
        self.due.extend(tasks);
    }

    /// Workflows were cancelled.
    pub fn cancel(&mut self, workflows: impl IntoIterator<Item = WorkflowId>) {
        self.cancelled.extend(workflows);
    }

    /// Workflows that were made for a task have ended.
    pub fn conclude(&mut self, workflows: impl IntoIterator<Item = WorkflowId>) {
        self.concluded.extend(workflows);
    }

    /// Whether nothing is left.
    pub fn are_done(&self) -> bool {
        self.due.is_empty() && self.cancelled.is_empty() && self.concluded.is_empty()
    }

    /// Does some of them. What cannot be done yet is kept for later, and so an error means to wait.
    pub async fn run(&mut self, book: &mut Book, means: Means<'_>) -> Result<(), Error> {
        if let Some(obstacle) = means.producer.obstacle() {
            return Err(obstacle.into());
        }
        if let Some(workflow) = self.cancelled.front() {
            tell(workflow, book, means).await?;
            self.cancelled.pop_front();
        }
        self.hand_in(book, means).await?;
        for _ in 0..self.concluded.len().min(AT_ONCE) {
            let Some(workflow) = self.concluded.front() else { break };
            if know(book, workflow, means.cabinet).await?
                && let Some(kept) = book.workflow(workflow)
            {
                conclusion::tell(workflow, kept, means).await?;
            }
            self.concluded.pop_front();
        }
        Ok(())
    }

    async fn hand_in(&mut self, book: &mut Book, means: Means<'_>) -> Result<(), Error> {
        let number = self.due.len().min(AT_ONCE);
        let mut inputs = Inputs::new(means.cabinet, means.as_of);
        let (mut tasks, mut composed, mut letters) =
            (Vec::with_capacity(number), Vec::with_capacity(number), Vec::new());
        for id in self.due.iter().take(number) {
            let Some(part) = PartId::of(id) else { continue };
            if !know(book, &part.workflow, means.cabinet).await? {
                continue;
            }
            let Some(kept) = book.workflow(&part.workflow) else { continue };
            match inputs.made(&part, kept).await {
                Ok(Some(Made::New(task))) => {
                    tasks.push((id.clone(), about(&task)));
                    composed.push(*task);
                }
                Ok(Some(Made::Held { letter, id: task, body })) => letters.push((id.clone(), letter, task, body)),
                Ok(None) => {}
                Err(Error::Task(refused)) => give_up(id, None, &refused, means).await?,
                Err(other) => return Err(other),
            }
        }
        let handing = letters.iter().map(|(_, letter, task, body)| pass_on(letter, task, body, means));
        let (results, handed) = tokio::join!(means.producer.enqueue_many(composed), join_all(handing));
        let letters = letters.into_iter().map(|(id, letter, ..)| (id, Some(letter.about)));
        let results = tasks.into_iter().zip(results).chain(letters.zip(handed));
        self.due.drain(..number);
        let mut failed = None;
        for ((id, about), result) in results {
            match result {
                Ok(_) => means.measured.released(),
                // Whatever the reason, the same task may be accepted later: the broker comes back, and the queue may be made.
                Err(error) if error.is_transient() || matches!(error, crate::Error::Returned { .. }) => {
                    self.due.push_back(id);
                    failed = Some(error);
                }
                Err(error) => give_up(&id, about, &error, means).await?,
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

// Hands somebody's message in.
async fn pass_on(letter: &Letter, task: &TaskId, body: &[u8], means: Means<'_>) -> Result<TaskId, crate::Error> {
    let now = clock::now();
    let names = means.producer.topology().names();
    let queue = &letter.about.queue;
    let limit = means.producer.limit();
    if body.len() > limit {
        return Err(crate::Error::TooLarge { size: body.len(), limit });
    }
    let message = letter.address(task, body.to_vec(), names, now);
    let published = means.producer.publisher().publish(&message).await;
    published.map_err(|error| crate::Error::publish(error, queue, limit))?;
    let (at, attempt) = (now, Attempt::FIRST);
    let event = Event::Released(Released { task: task.clone(), at, attempt });
    // Should the log not take it, the task's start says as much.
    drop(means.producer.log().note(&event).await);
    Ok(task.clone())
}

// Reads a workflow unless it is known.
async fn know(book: &mut Book, workflow: &WorkflowId, cabinet: &Cabinet) -> Result<bool, Error> {
    if book.workflow(workflow).is_none() {
        match cabinet.workflow(workflow).await {
            Ok(Some(kept)) => book.learn(workflow.clone(), kept),
            Ok(None) => return Ok(false),
            Err(error @ Error::Unreadable { .. }) => {
                error!(error = chain(&error), "a workflow does not run");
                return Ok(false);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(true)
}

fn about(task: &NewTask) -> Option<About> {
    Some(About {
        kind: Some(task.chosen_kind()?.clone()),
        queue: task.chosen_queue().clone(),
        priority: task.chosen_priority(),
    })
}

// A task that can never be handed in has failed: the log says so, and so it is known to all.
async fn give_up(id: &TaskId, about: Option<About>, refused: &crate::Error, means: Means<'_>) -> Result<(), Error> {
    let error = format!("it can never be handed in: {}", chain(refused));
    warn!(task.id = %id, error, "a task of a workflow is put aside");
    let about = about.unwrap_or(About { kind: None::<Kind>, queue: QueueName::default(), priority: 0.into() });
    let (attempt, reason) = (Attempt::FIRST, Reason::Invalid);
    let event = Event::Buried(Buried { task: id.clone(), at: clock::now(), about, attempt, reason, error });
    means.producer.log().record(&event).await.map_err(|_| Error::Log)
}

// Tells what runs of a workflow to end. To be told twice does no harm.
async fn tell(workflow: &WorkflowId, book: &mut Book, means: Means<'_>) -> Result<(), Error> {
    if !know(book, workflow, means.cabinet).await? {
        return Ok(());
    }
    let Some(kept) = book.workflow(workflow).filter(|kept| kept.flow.is_cancelled()) else { return Ok(()) };
    let now = clock::now();
    let by = Operator::parse(&format!("workflow {workflow}")).expect("an id is short and plain");
    let orders: Vec<_> = kept
        .flow
        .under_way(&kept.graph)
        .map(|(place, number, one)| Order {
            id: OrderId::parse(clock::task_id().as_str()).expect("a UUID is a valid id"),
            at: now,
            by: by.clone(),
            reason: Some("its workflow was cancelled".to_owned()),
            command: Command::Cancel {
                task: kept
                    .head
                    .task
                    .clone()
                    .filter(|_| matches!(kept.graph.node(place).job, Job::Task(_)))
                    .unwrap_or_else(|| kept.graph.part(workflow, place, number, one.round).task()),
                until: now.plus(HOLDS),
            },
        })
        .collect();
    debug!(%workflow, tasks = orders.len(), "its tasks are told to end");
    let given = means.producer.commands().give(&orders).await;
    given.map_err(|error| Error::from(crate::Error::publish(error, &QueueName::default(), 0)))?;
    for order in orders {
        means.producer.log().note(&Event::Ordered(order)).await.map_err(|_| Error::Log)?;
    }
    Ok(())
}
