//! What is found is told to a web service.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use warren_core::TaskState;
use warren_tests::{Broker, Pool, broker::message};

const PATIENCE: Duration = Duration::from_mins(1);

// A request: its header `Authorization`, and its body.
async fn take(listener: &TcpListener, answer: &str) -> (String, Value) {
    let (stream, _) =
        tokio::time::timeout(PATIENCE, listener.accept()).await.expect("something is told").expect("a connection");
    let mut stream = BufReader::new(stream);
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim().clone_into(&mut authorization),
            "content-length" => length = value.trim().parse().expect("a number"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("a whole body");
    respond(stream.into_inner(), answer).await;
    (authorization, serde_json::from_slice(&body).expect("JSON"))
}

async fn respond(mut stream: TcpStream, status: &str) {
    let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.expect("it listens");
    stream.shutdown().await.expect("it listens");
}

#[tokio::test]
async fn a_queue_without_a_consumer_is_told_again_until_it_is_taken_and_when_it_ends() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let variables = [
        ("WARREN_ALERTS__WEBHOOK", format!("http://{}/hook", listener.local_addr().unwrap())),
        ("WARREN_ALERTS__AUTHORIZATION", "Bearer s3cret".to_owned()),
    ];
    let mut worker = pool.worker("").await;
    let monitor = pool.start("warren-monitor", &[], &variables).await;
    worker.process.terminate();
    worker.process.ended(PATIENCE).await;
    broker.publish(&pool.names().tasks(), "default", message("echo", "alone"), b"{}").await;
    let (_, first) = take(&listener, "503 Service Unavailable").await;
    let (authorization, again) = take(&listener, "204 No Content").await;
    assert_eq!((authorization.as_str(), &first), ("Bearer s3cret", &again));
    assert_eq!((&again["event"], &again["pool"]), (&"found".into(), &pool.names().namespace().into()));
    let finding = &again["finding"];
    assert_eq!((&finding["finding"], &finding["queue"]), (&"no_consumer".into(), &"default".into()), "{finding}");
    assert!(finding["text"].as_str().unwrap().contains("nobody consumes"));
    let shown = monitor.get("/api/findings").await.unwrap();
    assert_eq!(shown["findings"][0]["finding"], "no_consumer", "{shown}");

    let _worker = pool.worker("").await;
    monitor.task("alone", TaskState::Succeeded).await;
    // Others may be told meanwhile.
    while {
        let (_, told) = take(&listener, "204 No Content").await;
        (&told["event"], &told["finding"]["finding"]) != (&"ended".into(), &"no_consumer".into())
    } {}
}
