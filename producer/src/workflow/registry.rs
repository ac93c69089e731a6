//! The workflows, for whoever hands them in, looks at them and steers them.
//!
//! A wish is told to the event log, and counts when that has confirmed it; whoever runs the workflows reads it there.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use warren_core::{
    Operator, OrderId, WorkflowId,
    event::{Event, Steering, Wish, WorkflowSteered, WorkflowSubmitted},
};
use warren_runtime::{
    clock,
    redis::{Error as StoreError, Keys, Store},
};

use super::{
    Error, NewWorkflow, Summary, View,
    cabinet::Cabinet,
    input::{Found, Inputs},
};
use crate::{Config, Producer};

const PATIENCE_WITH_THE_LOG: Duration = Duration::from_secs(5);
// How long it is waited for whoever runs the workflows to know of what was just told, so that it can be looked at.
const PATIENCE_WITH_THE_LEADER: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The workflows of a pool; cheap to clone.
#[derive(Debug, Clone)]
pub struct Workflows {
    cabinet: Cabinet,
    producer: Producer,
    app: Option<String>,
}

impl Workflows {
    /// In the Redis that is configured, which need not be there yet. Tasks are handed in by this producer.
    pub fn new(config: &Config, producer: Producer) -> Result<Self, StoreError> {
        let store = Store::new(&config.redis, Keys::new(&config.namespace))?;
        Ok(Self { cabinet: Cabinet::new(store), producer, app: config.app_id.clone() })
    }

    pub(super) fn cabinet(&self) -> &Cabinet {
        &self.cabinet
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    /// Hands a workflow in, and returns its id when the event log has confirmed it. The same again under the same id changes
    /// nothing.
    pub async fn submit(&self, workflow: NewWorkflow) -> Result<WorkflowId, Error> {
        let NewWorkflow { id, definition } = workflow;
        let definition = serde_json::to_string(&definition).expect("a definition is always valid JSON");
        let id = match id {
            Some(id) => {
                // Without Redis nobody knows, and the log decides: the first counts.
                match self.cabinet.definition(&id).await {
                    Ok(Some(known)) if known != definition => return Err(Error::Exists(id)),
                    Ok(Some(_)) => return Ok(id),
                    Ok(None) | Err(_) => id,
                }
            }
            None => WorkflowId::parse(clock::task_id().as_str()).expect("a UUID is a valid workflow id"),
        };
        let (workflow, at, app) = (id.clone(), clock::now(), self.app.clone());
        self.tell(&Event::WorkflowSubmitted(WorkflowSubmitted { workflow, at, app, definition })).await?;
        self.wait(&id, None).await;
        Ok(id)
    }

    /// The latest of them, the newest first.
    pub async fn list(&self, most: u16) -> Result<Vec<Summary>, Error> {
        let latest = self.cabinet.latest(most).await?;
        Ok(latest.iter().map(|(id, head)| Summary::new(id, head)).collect())
    }

    /// One of them.
    pub async fn show(&self, id: &WorkflowId) -> Result<View, Error> {
        let kept = self.cabinet.workflow(id).await?.ok_or_else(|| Error::Unknown(id.clone()))?;
        Ok(View::new(id, &kept))
    }

    /// What a step of one gave back; where it was split, the results of its chunks as one.
    pub async fn result(&self, id: &WorkflowId, step: &str) -> Result<Value, Error> {
        let as_of = self.cabinet.offset().await?.unwrap_or_default();
        let kept = self.cabinet.workflow(id).await?.ok_or_else(|| Error::Unknown(id.clone()))?;
        let nothing = |what: String| Error::Nothing { workflow: id.clone(), what };
        let place = kept.graph.place(step).ok_or_else(|| nothing(format!("step {step}")))?;
        let mut inputs = Inputs::new(&self.cabinet, as_of);
        match &*inputs.found(id, &kept, place).await? {
            Found::Result(value) => Ok(value.clone()),
            Found::TooLong(bytes) => {
                Err(nothing(format!("result of {step}: its {bytes} bytes were too long to be kept")))
            }
            Found::Failed(why) => Err(nothing(format!("result of {step}: {why}"))),
        }
    }

    /// Cancels one: what has not begun will not, and what runs is told to end.
    pub async fn cancel(&self, id: &WorkflowId, by: Operator) -> Result<View, Error> {
        self.steer(id, by, Steering::Cancel).await
    }

    /// Runs again what failed in one or was cancelled, and what was skipped or stopped behind it.
    pub async fn retry(&self, id: &WorkflowId, by: Operator) -> Result<View, Error> {
        self.steer(id, by, Steering::Retry).await
    }

    async fn steer(&self, id: &WorkflowId, by: Operator, wished: Steering) -> Result<View, Error> {
        let summary = self.show(id).await?.summary;
        let is_in_vain = match wished {
            Steering::Cancel => summary.is_over(),
            Steering::Retry => summary.state == "succeeded" && summary.steps.failed == 0,
        };
        if is_in_vain {
            return Err(Error::Over { workflow: id.clone(), state: summary.state });
        }
        let order = OrderId::parse(clock::task_id().as_str()).expect("a UUID is a valid id");
        let (workflow, at, wish) = (id.clone(), clock::now(), Wish { by, reason: None });
        let known = order.clone();
        self.tell(&Event::WorkflowSteered(WorkflowSteered { order, workflow, at, wished, wish })).await?;
        self.wait(id, Some(&known)).await;
        self.show(id).await
    }

    async fn tell(&self, event: &Event) -> Result<(), Error> {
        match timeout(PATIENCE_WITH_THE_LOG, self.producer.log().record(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Log),
        }
    }

    // Until whoever runs the workflows has heard of it, and of the last wish. Both were told already: this is for convenience.
    async fn wait(&self, id: &WorkflowId, order: Option<&OrderId>) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE_WITH_THE_LEADER {
            if let Ok(Some(head)) = self.cabinet.head(id).await
                && head.order.as_ref() == order
            {
                return;
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }
}
