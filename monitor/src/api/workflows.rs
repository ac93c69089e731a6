//! `/api/workflows`: steps that wait for each other, and how far they have come.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::{
    Operator, OrderId, TaskId, WorkflowId,
    event::{Event, Steering, Wish as Wished, WorkflowSteered},
    record::TaskRecord,
    workflow::{Conclusion, Counts, HEAD, Head, Job, Kept, Part, PartState, Place, Status},
};
use warren_runtime::{clock, http::Problem};

use super::{
    View,
    failure::Failure,
    order::{Accepted, ActionView},
    time::Time,
    wish::Wish,
};
use crate::audit::Entry;

const TELLING: Duration = Duration::from_secs(5);
const SHOWN: isize = 200;
// Of so many tasks of a workflow that are under way, it is looked up what they do.
const LOOKED_UP: usize = 2_000;

/// The latest workflows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Workflows {
    /// The newest first; at most 200.
    pub workflows: Vec<WorkflowSummary>,
}

/// A workflow as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowSummary {
    /// Its id.
    pub id: String,
    /// running, stopping (a step has failed, and what runs is waited for), cancelling, succeeded, failed or cancelled.
    pub state: String,
    /// When it was handed in.
    pub at: Time,
    /// Who handed it in.
    pub app: Option<String>,
    /// When a step last came to stand otherwise.
    pub changed: Time,
    /// When it ended.
    pub ended: Option<Time>,
    /// Why it failed.
    pub error: Option<String>,
    /// How many steps stand how: waiting, running, succeeded, failed, skipped, stopped, cancelled.
    pub steps: BTreeMap<String, u32>,
}

/// A workflow with its steps.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowView {
    /// The whole.
    #[serde(flatten)]
    pub workflow: WorkflowSummary,
    /// Its steps. Those of a workflow within have paths `<step>/<step within>`.
    pub graph: Vec<WorkflowStep>,
}

/// A step of a workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowStep {
    /// Its path.
    pub step: String,
    /// task, split, workflow, or awaited: a task that somebody else hands in.
    pub job: String,
    /// waiting, skipped, stopped, cancelled, succeeded or failed; while its task is under way, what that is: queued, delayed or
    /// running. Of a step with several tasks: running.
    pub state: String,
    /// How far back it stands in a picture, from 0.
    pub layer: u32,
    /// The steps that it waits for, by their places in this list.
    pub after: Vec<usize>,
    /// Of those, the ones whose failure does not stop it: skip or `go_on`, by the place.
    pub on_failure: BTreeMap<usize, String>,
    /// The step whose workflow it is in, by its place.
    pub within: Option<usize>,
    /// Its task; of a step that is split, one of its tasks: the first that failed, else the first.
    pub task: Option<String>,
    /// Of a step that is split: how many tasks it has.
    pub chunks: Option<usize>,
    /// Of those: how many are over.
    pub chunks_over: Option<usize>,
    /// What went wrong.
    pub error: Option<String>,
}

/// The latest workflows.
#[utoipa::path(
    get,
    path = "/api/workflows",
    responses(
        (status = 200, description = "What is known", body = Workflows),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn workflows(State(view): State<View>) -> Result<Json<Workflows>, Failure> {
    let (keys, mut connection) = (view.store.keys(), view.store.shared());
    let ids: Vec<String> = connection.zrevrange(keys.workflows(), 0, SHOWN - 1).await?;
    let ids: Vec<_> = ids.iter().filter_map(|id| WorkflowId::parse(id).ok()).collect();
    if ids.is_empty() {
        return Ok(Json(Workflows { workflows: Vec::new() }));
    }
    let mut asking = redis::pipe();
    for id in &ids {
        asking.hget(keys.workflow(id), HEAD);
    }
    let heads: Vec<Option<String>> = asking.query_async(&mut connection).await?;
    let mut workflows = Vec::with_capacity(ids.len());
    for (id, head) in ids.iter().zip(heads) {
        let Some(head) = head else { continue };
        let head =
            serde_json::from_str(&head).map_err(|error| Failure::unreadable(&format!("workflow {id}"), &error))?;
        workflows.push(summary(id, &head));
    }
    Ok(Json(Workflows { workflows }))
}

/// One workflow with its steps.
#[utoipa::path(
    get,
    path = "/api/workflows/{id}",
    params(("id" = String, Path, description = "The workflow's id", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses(
        (status = 200, description = "What is known", body = WorkflowView),
        (status = 404, description = "Nothing is known of it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn workflow(
    State(view): State<View>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<WorkflowView>, Failure> {
    let (id, kept) = view.known_workflow(id).await?;
    let under_way = view.under_way(&id, &kept).await?;
    Ok(Json(show(&id, &kept, &under_way)))
}

/// Cancels a workflow: what has not begun will not, and what runs is asked to stop.
#[utoipa::path(
    post,
    path = "/api/workflows/{id}/cancel",
    params(("id" = String, Path, description = "The workflow's id", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = Wish,
    responses(
        (status = 202, description = "The event log has the wish", body = Accepted),
        (status = 404, description = "Nothing is known of the workflow"),
        (status = 409, description = "It is over"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn cancel(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    id: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<(StatusCode, Json<Accepted>), Failure> {
    let (id, kept) = view.known_workflow(id).await?;
    if kept.head.ended.is_some() {
        return Err(
            Problem::new(StatusCode::CONFLICT, format!("workflow {id} is {} already", kept.head.state())).into()
        );
    }
    view.steer(id, by, Steering::Cancel, &body).await
}

/// Runs again what failed in a workflow or was cancelled, and what was skipped or stopped behind it.
#[utoipa::path(
    post,
    path = "/api/workflows/{id}/retry",
    params(("id" = String, Path, description = "The workflow's id", pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = Wish,
    responses(
        (status = 202, description = "The event log has the wish", body = Accepted),
        (status = 404, description = "Nothing is known of the workflow"),
        (status = 409, description = "Nothing in it has failed, or it is being cancelled"),
        (status = 503, description = "Redis or the broker does not answer"),
    )
)]
pub async fn retry(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    id: Result<Path<String>, PathRejection>,
    body: Bytes,
) -> Result<(StatusCode, Json<Accepted>), Failure> {
    let (id, kept) = view.known_workflow(id).await?;
    let Counts { failed, cancelled, .. } = kept.head.counts;
    if failed + cancelled == 0 || kept.head.cancelled && kept.head.ended.is_none() {
        let detail = format!("workflow {id} is {}: there is nothing to retry", kept.head.state());
        return Err(Problem::new(StatusCode::CONFLICT, detail).into());
    }
    view.steer(id, by, Steering::Retry, &body).await
}

impl View {
    async fn known_workflow(&self, id: Result<Path<String>, PathRejection>) -> Result<(WorkflowId, Kept), Failure> {
        let Path(text) = id?;
        let id = WorkflowId::parse(&text).map_err(|error| Problem::field("id", error.to_string()))?;
        let fields: BTreeMap<String, String> = self.store.shared().hgetall(self.store.keys().workflow(&id)).await?;
        let kept = Kept::decode(fields).map_err(|error| Failure::unreadable(&format!("workflow {id}"), &error))?;
        Ok((id, kept.ok_or_else(|| Failure::unknown("workflow", &text))?))
    }

    // What the tasks are that are under way and stand alone for their steps.
    async fn under_way(&self, id: &WorkflowId, kept: &Kept) -> Result<BTreeMap<Place, &'static str>, Failure> {
        let alone =
            kept.flow.under_way(&kept.graph).filter(|(place, ..)| matches!(kept.graph.node(*place).job, Job::Task(_)));
        let tasks: Vec<(Place, TaskId)> = alone
            .take(LOOKED_UP)
            .map(|(place, number, part)| {
                let own = kept.head.task.clone();
                (place, own.unwrap_or_else(|| kept.graph.part(id, place, number, part.round).task()))
            })
            .collect();
        if tasks.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys: Vec<_> = tasks.iter().map(|(_, task)| self.store.keys().task(task)).collect();
        let records: Vec<Option<Vec<u8>>> = self.store.shared().mget(&keys).await?;
        let states = tasks.into_iter().zip(records).filter_map(|((place, _), record)| {
            let record: TaskRecord = serde_json::from_slice(&record?).ok()?;
            let state = record.state();
            (!state.is_final()).then(|| (place, state.name()))
        });
        Ok(states.collect())
    }

    async fn steer(
        &self,
        workflow: WorkflowId,
        by: Operator,
        wished: Steering,
        body: &Bytes,
    ) -> Result<(StatusCode, Json<Accepted>), Failure> {
        let wish = Wished { by, reason: Wish::read(body)?.reason };
        let order = OrderId::parse(clock::task_id().as_str()).expect("a UUID is a valid order id");
        let event = Event::WorkflowSteered(WorkflowSteered { order, workflow, at: clock::now(), wished, wish });
        let entry = Entry::of(&event).expect("it is somebody's deed");
        match tokio::time::timeout(TELLING, self.steering.log.record(&event)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                let detail = "the event log does not take it: the broker is away";
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into());
            }
        }
        Ok((StatusCode::ACCEPTED, Json(Accepted { action: ActionView::from(&entry) })))
    }
}

fn summary(id: &WorkflowId, head: &Head) -> WorkflowSummary {
    let Counts { waiting, running, succeeded, failed, skipped, stopped, cancelled } = head.counts;
    let steps = [
        ("waiting", waiting),
        ("running", running),
        ("succeeded", succeeded),
        ("failed", failed),
        ("skipped", skipped),
        ("stopped", stopped),
        ("cancelled", cancelled),
    ];
    let (ended, error) = match &head.ended {
        Some((at, Conclusion::Failed { why })) => (Some(*at), Some(why.clone())),
        Some((at, _)) => (Some(*at), None),
        None => (None, None),
    };
    WorkflowSummary {
        id: id.to_string(),
        state: head.state().to_owned(),
        at: head.at.into(),
        app: head.app.clone(),
        changed: head.changed.into(),
        ended: ended.map(Time::from),
        error,
        steps: steps.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
    }
}

fn show(id: &WorkflowId, kept: &Kept, under_way: &BTreeMap<Place, &'static str>) -> WorkflowView {
    let Kept { graph, flow, head, .. } = kept;
    let steps = graph.places().zip(graph.layers()).map(|(place, layer)| {
        let (node, status) = (graph.node(place), flow.status(place));
        let parts = status.parts();
        let job = match node.job {
            Job::Task(_) => "task",
            Job::Split { .. } => "split",
            Job::Workflow => "workflow",
            Job::Awaited(_) => "awaited",
        };
        let failed = parts.iter().position(|part| part.state == PartState::Failed);
        let chosen = failed.or((!parts.is_empty()).then_some(0));
        let task = match (&node.job, &head.task) {
            (Job::Awaited(task), _) | (Job::Task(_), Some(task)) => Some(task.to_string()),
            (Job::Task(_) | Job::Split { .. } | Job::Workflow, _) => chosen.and_then(|number| {
                let part = graph.part(id, place, u32::try_from(number).ok()?, parts[number].round);
                Some(part.task().to_string())
            }),
        };
        let is_split = matches!(node.job, Job::Split { .. });
        let gentle = node.before.iter().filter(|edge| edge.on_failure != warren_core::workflow::OnFailure::Stop);
        WorkflowStep {
            step: node.path.clone(),
            job: job.to_owned(),
            state: under_way.get(&place).copied().unwrap_or_else(|| status.name()).to_owned(),
            layer,
            after: node.before.iter().map(|edge| edge.place.0).collect(),
            on_failure: gentle.map(|edge| (edge.place.0, edge.on_failure.name().to_owned())).collect(),
            within: node.parent.map(|parent| parent.0),
            task,
            chunks: is_split.then_some(parts.len()),
            chunks_over: is_split.then(|| parts.iter().copied().filter(|part| Part::is_over(*part)).count()),
            error: why(status),
        }
    });
    WorkflowView { workflow: summary(id, head), graph: steps.collect() }
}

fn why(status: &Status) -> Option<String> {
    match status.conclusion() {
        Some(Conclusion::Failed { why }) => Some(why.clone()),
        Some(Conclusion::Succeeded | Conclusion::Skipped | Conclusion::Stopped | Conclusion::Cancelled) | None => None,
    }
}
