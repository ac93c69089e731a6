//! `/api/jobs`: what is being done with dead letters.

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use redis::AsyncCommands;
use serde::Serialize;
use tracing::info;
use utoipa::ToSchema;
use warren_core::{Operator, OrderId, record::TaskRecord};
use warren_runtime::http::Problem;

use super::{View, failure::Failure, task::last_error, time::Time, wish::Wish};
use crate::letters::job::{Job, Progress, Word, follow};

type Named = Result<Path<String>, PathRejection>;

/// Jobs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Jobs {
    /// Those that are not over, and the latest 200 that are.
    pub jobs: Vec<JobView>,
}

/// A job: something that is done with some dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    /// Its id; that of its action as well.
    pub id: String,
    /// What is done: replay or discard.
    pub what: String,
    /// With which letters: the id of a task, `3 tasks`, or `group FINGERPRINT`.
    pub target: String,
    /// Who wished it.
    pub by: String,
    /// When.
    pub at: Time,
    /// Why, in the words of whoever wished it.
    pub reason: Option<String>,
    /// running, canary (one letter went first, and the others wait for a word), done, stopped or failed.
    pub state: String,
    /// How many letters there were when it was given.
    pub total: u64,
    /// How many were dealt with.
    pub done: u64,
    /// How many could not be: they stay where they are.
    pub failed: u64,
    /// At most so many letters a second; null for no such limit.
    pub rate_per_second: Option<f64>,
    /// The letter that went first, if one did.
    pub canary: Option<CanaryView>,
    /// What went wrong with those that could not be dealt with.
    pub error: Option<String>,
    /// When it was over.
    pub ended: Option<Time>,
}

/// What became of the letter that went first.
#[derive(Debug, Serialize, ToSchema)]
pub struct CanaryView {
    /// Its task.
    pub task: String,
    /// What that is now: queued, delayed, running, succeeded, dead, cancelled or expired.
    pub state: Option<String>,
    /// What last went wrong with it; nothing once it has succeeded.
    pub error: Option<String>,
}

/// What is being done with dead letters, and what was done lately.
#[utoipa::path(
    get,
    path = "/api/jobs",
    responses((status = 200, description = "What is known", body = Jobs), (status = 503, description = "Redis does not answer"))
)]
pub async fn jobs(State(view): State<View>) -> Result<Json<Jobs>, Failure> {
    let jobs = view.desk.jobs().await?;
    let canaries: Vec<_> = jobs
        .iter()
        .filter_map(|(_, progress)| progress.canary.as_ref())
        .map(|task| view.store.keys().task(task))
        .collect();
    let records: Vec<Option<Vec<u8>>> =
        if canaries.is_empty() { Vec::new() } else { view.store.shared().mget(canaries).await? };
    let mut records = records.into_iter();
    let jobs = jobs.iter().map(|(job, progress)| {
        let record = progress.canary.as_ref().and_then(|_| records.next().flatten());
        describe(job, progress, record.and_then(|record| serde_json::from_slice(&record).ok()).as_ref())
    });
    Ok(Json(Jobs { jobs: jobs.collect() }))
}

/// Stops a job: what it has not dealt with yet stays as it is.
#[utoipa::path(
    post,
    path = "/api/jobs/{id}/stop",
    params(("id" = String, Path, description = "The job")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is told to; it may deal with a hundred letters more", body = JobView),
        (status = 404, description = "There is no such job"),
        (status = 409, description = "It is over already"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn stop(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    id: Named,
    body: Bytes,
) -> Result<(StatusCode, Json<JobView>), Failure> {
    view.tell(id, Word::Stop, &by, &body).await
}

/// Lets a job go on after its canary.
#[utoipa::path(
    post,
    path = "/api/jobs/{id}/continue",
    params(("id" = String, Path, description = "The job")),
    request_body = Wish,
    responses(
        (status = 202, description = "It is told to", body = JobView),
        (status = 404, description = "There is no such job"),
        (status = 409, description = "It does not wait for a word"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn go_on(
    State(view): State<View>,
    Extension(by): Extension<Operator>,
    id: Named,
    body: Bytes,
) -> Result<(StatusCode, Json<JobView>), Failure> {
    view.tell(id, Word::GoOn, &by, &body).await
}

impl View {
    async fn tell(
        &self,
        id: Named,
        word: Word,
        by: &Operator,
        body: &Bytes,
    ) -> Result<(StatusCode, Json<JobView>), Failure> {
        let Path(name) = id?;
        Wish::read(body)?;
        let id = OrderId::parse(&name).map_err(|error| Problem::field("id", error.to_string()))?;
        let (job, progress) = self.desk.job(&id).await?.ok_or_else(|| Failure::unknown("job", &name))?;
        if follow(progress.state, word).is_none() {
            let detail = match word {
                Word::Stop => format!("it is over: {}", progress.state.name()),
                Word::GoOn => format!("it does not wait for a word: it is {}", progress.state.name()),
            };
            return Err(Problem::new(StatusCode::CONFLICT, detail).into());
        }
        self.desk.leave_word(&id, word).await?;
        info!(job = %id, %by, word = word.name(), "a word about a job of dead letters");
        Ok((StatusCode::ACCEPTED, Json(describe(&job, &progress, None))))
    }
}

fn describe(job: &Job, progress: &Progress, record: Option<&TaskRecord>) -> JobView {
    JobView {
        id: job.id.to_string(),
        what: job.act.name().to_owned(),
        target: job.target.to_string(),
        by: job.by.to_string(),
        at: job.at.into(),
        reason: job.reason.clone(),
        state: progress.state.name().to_owned(),
        total: job.total,
        done: progress.done,
        failed: progress.failed,
        rate_per_second: job.act.rate(),
        canary: progress.canary.as_ref().map(|task| CanaryView {
            task: task.to_string(),
            state: record.map(|record| record.state().name().to_owned()),
            error: record.and_then(last_error),
        }),
        error: progress.error.clone(),
        ended: progress.ended.map(Time::from),
    }
}
