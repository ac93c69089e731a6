use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap as Headers, Response as Reply},
    routing::{any, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use warren_core::{Attempt, TaskId};

use super::*;
use crate::handler::testing::{DEADLINE, job, run, until};

struct Service {
    address: String,
    _serving: JoinSet<()>,
}

impl Service {
    async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, _serving: serving }
    }

    fn handler(&self, path: &str) -> Http {
        handler(&format!("{}{path}", self.address))
    }
}

fn handler(url: &str) -> Http {
    Http::new(HttpTarget::new(url).unwrap(), 64 * 1024).unwrap()
}

// Answers with the status of its path, and with the header and the body that the path asks for.
async fn answers() -> Service {
    let status = |Path(status): Path<u16>| async move {
        Reply::builder().status(status).header("location", "/elsewhere").body(Body::from("  because\n")).unwrap()
    };
    let busy = |Path(wait): Path<String>| async move {
        Reply::builder().status(503).header("retry-after", wait).body(Body::empty()).unwrap()
    };
    let bytes = |Path((status, length)): Path<(u16, usize)>| async move {
        Reply::builder().status(status).body(Body::from("x".repeat(length))).unwrap()
    };
    let chunks = |Path(count): Path<usize>| async move {
        let pieces = (0..count).map(|_| Ok::<_, std::convert::Infallible>(vec![b'x'; 1000]));
        Body::from_stream(futures::stream::iter(pieces))
    };
    let router = Router::new()
        .route("/status/{status}", post(status))
        .route("/busy/{wait}", post(busy))
        .route("/bytes/{status}/{length}", post(bytes))
        .route("/chunks/{count}", post(chunks))
        .route("/elsewhere", any(async || "a redirect was followed"));
    Service::start(router).await
}

async fn mirror() -> Service {
    let mirror = |headers: Headers, body: String| async move {
        let headers: serde_json::Map<_, Value> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect();
        axum::Json(json!({ "headers": headers, "body": body }))
    };
    Service::start(Router::new().route("/", post(mirror))).await
}

async fn seen(handler: &Http, job: &Job) -> Value {
    match run(handler, job).await {
        Outcome::Success { output: Some(Output::Json(value)) } => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_status_decides() {
    let service = answers().await;
    for (status, expected) in [
        (200, Outcome::success(Some(Output::Text("  because".into())))),
        (204, Outcome::success(None)),
        (301, Outcome::permanent("the service answered 301 Moved Permanently: because")),
        (307, Outcome::permanent("the service answered 307 Temporary Redirect: because")),
        (400, Outcome::permanent("the service answered 400 Bad Request: because")),
        (404, Outcome::permanent("the service answered 404 Not Found: because")),
        (408, Outcome::retryable("the service answered 408 Request Timeout: because")),
        (425, Outcome::retryable("the service answered 425 Too Early: because")),
        (429, Outcome::retryable("the service answered 429 Too Many Requests: because")),
        (500, Outcome::retryable("the service answered 500 Internal Server Error: because")),
        (503, Outcome::retryable("the service answered 503 Service Unavailable: because")),
    ] {
        assert_eq!(run(&service.handler(&format!("/status/{status}")), &job("{}")).await, expected);
    }
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let service = answers().await;
    let expected =
        Outcome::Retryable { error: "the service answered 503 Service Unavailable".into(), after_ms: Some(7000) };
    assert_eq!(run(&service.handler("/busy/7"), &job("")).await, expected);
    // A year that is past 310 days from any day on which this test runs.
    let Outcome::Retryable { after_ms: Some(after), .. } =
        run(&service.handler("/busy/Wed,%2001%20Jan%202200%2000:00:00%20GMT"), &job("")).await
    else {
        panic!("no wait")
    };
    assert_eq!(u128::from(after), warren_core::ladder::MAX_DELAY.as_millis());
}

#[tokio::test]
async fn the_service_is_told_the_task() {
    let service = mirror().await;
    let mut target = HttpTarget::new(&service.address).unwrap();
    for (name, value) in [("Authorization", "Bearer xyz"), ("X-From", "warren")] {
        target = target.header(name, HeaderValue::from_static(value)).unwrap();
    }
    let handler = Http::new(target, 64 * 1024).unwrap();
    let task = Job {
        id: TaskId::parse("ü-1").unwrap(),
        attempt: Attempt::new(3).unwrap(),
        traceparent: Some("00-aa-bb-01".into()),
        content_type: Some("text/plain; charset=utf-8".into()),
        ..job("hello")
    };
    let seen = seen(&handler, &task).await;
    assert_eq!(seen["body"], "hello");
    for (name, value) in [
        ("warren-task-id", "ü-1"),
        ("warren-kind", "test"),
        ("warren-attempt", "3"),
        ("traceparent", "00-aa-bb-01"),
        ("content-type", "text/plain; charset=utf-8"),
        ("authorization", "Bearer xyz"),
        ("x-from", "warren"),
    ] {
        assert_eq!(seen["headers"][name], value, "{name}");
    }
}

#[tokio::test]
async fn a_content_type_that_was_not_given_is_told_from_the_payload() {
    let service = mirror().await;
    let handler = service.handler("/");
    assert_eq!(seen(&handler, &job("[1]")).await["headers"]["content-type"], "application/json");
    let task = Job { traceparent: Some("a\nb".into()), content_type: Some("a\nb".into()), ..job("text") };
    let seen = seen(&handler, &task).await;
    assert_eq!(seen["headers"]["content-type"], "application/octet-stream");
    assert_eq!(seen["headers"].get("traceparent"), None);
}

#[tokio::test]
async fn a_long_result_is_counted_and_not_kept() {
    let service = answers().await;
    assert_eq!(
        run(&service.handler("/bytes/200/70000"), &job("")).await,
        Outcome::success(Some(Output::TooLong(70_000)))
    );
    assert_eq!(run(&service.handler("/chunks/70"), &job("")).await, Outcome::success(Some(Output::TooLong(70_000))));
}

#[tokio::test]
async fn of_a_refusal_a_little_is_shown() {
    let service = answers().await;
    let error = run(&service.handler("/bytes/400/70000"), &job("")).await.error().unwrap();
    assert_eq!(error, format!("the service answered 400 Bad Request: {}", "x".repeat(SHOWN)));
}

#[tokio::test]
async fn a_service_that_is_not_there_may_be_back_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handler = handler(&format!("http://me:secret@{}", listener.local_addr().unwrap()));
    drop(listener);
    let outcome = run(&handler, &job("the payload")).await;
    let Outcome::Retryable { error, after_ms: None } = outcome else { panic!("{outcome:?}") };
    assert!(error.starts_with("cannot call the service: "), "{error}");
    assert!(!error.contains("secret") && !error.contains("payload"), "{error}");
}

#[tokio::test]
async fn stopping_drops_the_request() {
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (begun, gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let slow = {
        let (begun, gone) = (begun.clone(), gone.clone());
        async move || {
            let _noted = Gone(gone);
            begun.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    };
    let service = Service::start(Router::new().route("/", post(move || slow.clone()()))).await;
    let (handler, task) = (service.handler("/"), job(""));
    let (context, _progress) = Context::new(CancellationToken::new());
    let stopping = async {
        until("the request has arrived", || begun.load(Ordering::SeqCst)).await;
        context.stop.cancel();
    };
    let started = Instant::now();
    let (outcome, ()) = tokio::join!(handler.run(&task, &context), stopping);
    assert_eq!(outcome, Outcome::retryable("stopped"));
    assert!(started.elapsed() < DEADLINE);
    until("the service has noticed", || gone.load(Ordering::SeqCst)).await;
}

#[test]
fn only_web_addresses_are_taken() {
    for bad in ["", "x", "ftp://x/", "mailto:a@b", "/tasks"] {
        assert!(matches!(HttpTarget::new(bad), Err(Error::Address)), "{bad}");
    }
}
