//! `/api/tasks/actions`: one action on many tasks.

use axum::{Extension, Json, body::Bytes, extract::State};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warren_core::{
    Operator, TaskId,
    command::Order,
    permit::{self, Refusal},
    record::TaskRecord,
};
use warren_runtime::http::Problem;

use super::{
    View,
    failure::Failure,
    letter,
    replay::as_it_is,
    steer::{cancelling, hastening},
    wish::{self, Wish},
};
use crate::letters::job::{Act, Target};

const LARGEST: usize = 1_000;

/// What is to be done to some tasks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// What.
    pub action: BulkAction,
    /// To which tasks: 1 to 1,000 ids.
    #[schema(min_items = 1, max_items = 1000)]
    pub ids: Vec<String>,
    /// Why, for those who read it later; at most 500 characters.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

/// What can be done to many tasks at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// They shall end, or not start.
    Cancel,
    /// They shall not wait any longer.
    RunNow,
    /// Their dead letters shall be replayed.
    Retry,
    /// Their dead letters shall be thrown away.
    Discard,
}

/// What came of it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// The tasks for which it is in force.
    pub accepted: Vec<String>,
    /// The others.
    pub refused: Vec<RefusedTask>,
    /// What retry and discard make: see /api/jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// A task for which the action makes no sense.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedTask {
    /// Its id, as it was given.
    pub id: String,
    /// Why.
    pub why: String,
}

/// Does one thing to many tasks. Each is judged by itself; what can be done is done.
#[utoipa::path(
    post,
    path = "/api/tasks/actions",
    request_body = Bulk,
    responses(
        (status = 200, description = "What came of it, task by task", body = BulkAnswer),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn bulk(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    body: Bytes,
) -> Result<Json<BulkAnswer>, Failure> {
    let Bulk { action, ids, reason } = wish::read(&body)?;
    if !(1..=LARGEST).contains(&ids.len()) {
        return Err(Problem::field("ids", format!("expected 1 to {LARGEST} ids, got {}", ids.len())).into());
    }
    let wish = Wish { reason: wish::reason(reason)? };
    let mut answer = BulkAnswer::default();
    let mut tasks = Vec::new();
    for id in ids {
        match TaskId::parse(&id) {
            Ok(task) if !tasks.contains(&task) => tasks.push(task),
            Ok(_) => {}
            Err(error) => answer.refused.push(RefusedTask { id, why: error.to_string() }),
        }
    }
    match action {
        BulkAction::Cancel | BulkAction::RunNow => view.order_many(action, tasks, &wish, &by, &mut answer).await?,
        BulkAction::Retry => view.undertake_many(as_it_is(), tasks, &wish, &by, &mut answer).await?,
        BulkAction::Discard => view.undertake_many(Act::Discard, tasks, &wish, &by, &mut answer).await?,
    }
    Ok(Json(answer))
}

fn order(action: BulkAction, task: &TaskId, record: &TaskRecord, wish: &Wish, by: &Operator) -> Result<Order, Refusal> {
    match action {
        BulkAction::Cancel => permit::cancel(record).map(|()| cancelling(task, record, wish, by)),
        BulkAction::RunNow => permit::run_now(record).map(|()| hastening(task, record, wish, by)),
        BulkAction::Retry | BulkAction::Discard => unreachable!("these make a job"),
    }
}

impl View {
    async fn order_many(
        &self,
        action: BulkAction,
        tasks: Vec<TaskId>,
        wish: &Wish,
        by: &Operator,
        answer: &mut BulkAnswer,
    ) -> Result<(), Failure> {
        let mut orders = Vec::new();
        for (task, record) in self.records(tasks).await? {
            match record
                .ok_or_else(|| "nothing is known of it".to_owned())
                .and_then(|record| order(action, &task, &record, wish, by).map_err(|refusal| refusal.to_string()))
            {
                Ok(order) => {
                    orders.push(order);
                    answer.accepted.push(task.to_string());
                }
                Err(why) => answer.refused.push(RefusedTask { id: task.to_string(), why }),
            }
        }
        self.order(&orders).await
    }

    // One job for all of them.
    async fn undertake_many(
        &self,
        act: Act,
        tasks: Vec<TaskId>,
        wish: &Wish,
        by: &Operator,
        answer: &mut BulkAnswer,
    ) -> Result<(), Failure> {
        let mut letters = Vec::new();
        for (task, record) in self.records(tasks).await? {
            match record.map(|record| letter::dead(task.clone(), record)) {
                Some(Ok((task, queue, _))) => {
                    answer.accepted.push(task.to_string());
                    letters.push((task, queue));
                }
                Some(Err(error)) => answer.refused.push(RefusedTask { id: task.to_string(), why: error.to_string() }),
                None => {
                    let why = "nothing is known of it".to_owned();
                    answer.refused.push(RefusedTask { id: task.to_string(), why });
                }
            }
        }
        if !letters.is_empty() {
            let target = Target::Tasks(letters.len());
            let (_, Json(undertaken)) = self.undertake(act, target, letters, wish, by).await?;
            answer.job = Some(undertaken.job);
        }
        Ok(())
    }

    async fn records(&self, tasks: Vec<TaskId>) -> Result<Vec<(TaskId, Option<TaskRecord>)>, Failure> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<_> = tasks.iter().map(|task| self.store.keys().task(task)).collect();
        let stored: Vec<Option<Vec<u8>>> = self.store.shared().mget(names).await?;
        let read = |stored: Option<Vec<u8>>| stored.and_then(|stored| serde_json::from_slice(&stored).ok());
        Ok(tasks.into_iter().zip(stored.into_iter().map(read)).collect())
    }
}
