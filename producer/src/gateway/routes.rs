//! `POST /tasks`, and a page that says how to use it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{self, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use warren_producer::{
    Error, NewTask, Producer,
    request::{self, Request as Tasks},
};
use warren_runtime::http::{Metrics, Problem};

use super::{
    answer::{self, Answer, Refusal},
    metrics::Measured,
};

const PATIENCE: Duration = Duration::from_secs(30);
// Bodies that are read or wait for the broker at once: each is in memory a few times.
const ROOM: usize = 32 << 20;
// A client hears an answer for certain only after its last byte was taken: so much of a body is taken unseen.
const TAKEN_UNSEEN: usize = 64 << 20;

const WELCOME: &str = "\
This is Warren's gateway: it hands tasks in, and answers when the broker has confirmed them.

  curl -H 'Content-Type: application/json' -d '{\"kind\":\"echo\",\"payload\":{\"x\":1}}' http://HOST/tasks

Where it wants a token, add: -H 'Authorization: Bearer TOKEN'

POST /tasks takes one task or an array of them. A task has a kind and, if you like: payload (any JSON), queue, id,
once, priority (0 to 9), delay (\"30s\" or milliseconds) or eta, expiration, deadline, max_attempts, timeout, backoff,
reply_to, correlation_id, headers, traceparent.

GET /schedules shows what runs when; PUT /schedules/NAME puts a schedule there: cron (with a zone) or every, and a task.

POST /workflows takes a workflow: steps that wait for each other. GET /workflows shows them.

GET /live, /ready and /metrics say how it is.
";

/// What the routes work with.
#[derive(Debug)]
pub struct State {
    producer: Producer,
    limit: usize,
    room: Semaphore,
    measured: Measured,
}

impl State {
    /// For requests of at most `limit` bytes.
    pub fn new(producer: Producer, limit: usize, metrics: &Metrics) -> Self {
        let room = Semaphore::new(ROOM.max(limit));
        Self { producer, limit, room, measured: Measured::new(metrics) }
    }
}

/// The gateway's routes.
pub fn routes(state: State) -> Router {
    Router::new()
        .route("/", get(welcome))
        .route("/tasks", post(submit))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "expected POST /tasks or GET /")
        })
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "expected POST /tasks, GET /schedules, GET /workflows or GET /")
        })
        .with_state(Arc::new(state))
}

async fn welcome(headers: HeaderMap) -> String {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:8081");
    WELCOME.replace("HOST", host)
}

async fn submit(extract::State(state): extract::State<Arc<State>>, request: Request) -> Response {
    let began = Instant::now();
    let response = state.answer(request).await.unwrap_or_else(IntoResponse::into_response);
    state.measured.answered(began.elapsed());
    response
}

impl State {
    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        let (head, body) = request.into_parts();
        let _place = self.place(&head.headers).await?;
        let body = read(body, self.limit).await?;
        let tasks = request::parse(&body).map_err(|error| self.refuse(&error))?;
        match tasks {
            Tasks::One(task) => Ok(answer::one(self.enqueue(trace(*task, &head.headers)).await)),
            Tasks::Many(tasks) => {
                let tasks: Vec<_> = tasks.into_iter().map(|task| trace(task, &head.headers)).collect();
                self.enqueue_many(tasks).await
            }
        }
    }

    // A body whose length is not known beforehand may be as long as any.
    async fn place(&self, headers: &HeaderMap) -> Result<SemaphorePermit<'_>, Refusal> {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = length.unwrap_or(self.limit).min(self.limit);
        let place = self.room.acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX));
        match tokio::time::timeout(PATIENCE, place).await {
            Ok(place) => Ok(place.expect("the room is never closed")),
            Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests are being read").into()),
        }
    }

    async fn enqueue(&self, task: NewTask) -> Answer {
        let queue = task.chosen_queue().clone();
        let result = match self.producer.check(&task).map(|()| self.producer.obstacle()) {
            Ok(None) => self.producer.enqueue(task).await,
            Ok(Some(error)) | Err(error) => Err(error),
        };
        match result {
            Ok(id) => {
                self.measured.confirmed(&queue);
                Answer::Accepted { id }
            }
            Err(error) => Answer::Refused(self.refuse(&error)),
        }
    }

    // All are checked before the first is sent, and none waits for a broker that is away.
    async fn enqueue_many(&self, tasks: Vec<NewTask>) -> Result<Response, Refusal> {
        for (index, task) in tasks.iter().enumerate() {
            self.producer.check(task).map_err(|error| self.refuse_inside(error, index))?;
        }
        if let Some(error) = self.producer.obstacle() {
            return Err(self.refuse(&error));
        }
        let tasks = futures::stream::iter(tasks).map(|task| (task.chosen_queue().clone(), Ok::<_, Error>(task)));
        let results = self.producer.pipeline(tasks).enumerate().map(|(index, (queue, result))| match result {
            Ok(id) => {
                self.measured.confirmed(&queue);
                Answer::Accepted { id }
            }
            Err(error) => Answer::Refused(self.refuse_inside(error, index)),
        });
        Ok(answer::many(results.collect().await))
    }

    fn refuse(&self, error: &Error) -> Refusal {
        self.measured.refused(error);
        error.into()
    }

    fn refuse_inside(&self, error: Error, index: usize) -> Refusal {
        let place = format!("[{index}]");
        match error {
            Error::Invalid(invalid) => self.refuse(&invalid.inside(&place).into()),
            other => self.refuse(&other).inside(&place),
        }
    }
}

pub(super) async fn read(body: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    let reading = async {
        let mut chunks = body.into_data_stream();
        let (mut bytes, mut seen) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk =
                chunk.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))?;
            seen += chunk.len();
            if seen > TAKEN_UNSEEN.max(limit) {
                break;
            } else if seen > limit {
                bytes = Vec::new();
            } else {
                bytes.extend_from_slice(&chunk);
            }
        }
        if seen > limit {
            let detail = format!("this request may have at most {limit} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into());
        }
        Ok(bytes)
    };
    let too_slow = || Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| too_slow())?
}

// The caller's trace goes on, unless the task names one; a malformed header is ignored (W3C Trace Context, section 3.2).
fn trace(task: NewTask, headers: &HeaderMap) -> NewTask {
    let header = headers.get("traceparent").and_then(|value| value.to_str().ok());
    match header {
        Some(header) => task.traced_by(header),
        None => task,
    }
}
