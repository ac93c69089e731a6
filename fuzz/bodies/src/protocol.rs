//! The JSON lines between a worker and a long-lived program: what it is asked, and what it says.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use warren_core::{
    Attempt, Kind, Outcome, Output, Priority, QueueName, TaskId, Verdict, WorkerId,
    event::{About, Ended, Event, Progressed, Run},
};
use warren_worker::{
    Context, Job,
    decoders::{
        lines::{self, Lines},
        protocol::{self, Error, Said},
    },
};

use crate::{events, now};

const LONGEST_LINE: usize = 512;
const LARGEST_RESULT: usize = 64;

/// What a program prints; it is asked for task `a`. The same bytes are a payload too.
pub fn protocol(bytes: &[u8]) {
    asks_in_one_line(bytes);
    for line in split_as_told(bytes) {
        match protocol::read(&line, "a") {
            Ok(said) => is_meant(&line, said),
            Err(error) => says_what_is_wrong(&error),
        }
    }
    is_bounded(Outcome::success(Output::from_bytes(bytes)));
}

fn job(payload: &[u8]) -> Job {
    Job {
        id: TaskId::parse("a").expect("the literal is a valid id"),
        kind: Kind::parse("test").expect("the literal is a valid kind"),
        queue: QueueName::default(),
        priority: Priority::default(),
        attempt: Attempt::FIRST,
        payload: payload.to_vec(),
        content_type: None,
        traceparent: None,
        timeout: Duration::from_mins(1),
    }
}

fn asks_in_one_line(payload: &[u8]) {
    let line = protocol::request(&job(payload));
    assert_eq!(line.iter().position(|byte| matches!(byte, b'\n' | b'\r')), Some(line.len() - 1));
    // Deeper than serde_json reads, or with half of a surrogate pair, the payload is passed on all the same; a program's
    // own reader decides.
    let Ok(request) = serde_json::from_slice::<Value>(&line) else {
        let is_deep = payload.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 100;
        assert!(is_deep || serde_json::from_slice::<Value>(payload).is_err());
        return;
    };
    assert_eq!((&request["id"], &request["kind"], &request["attempt"]), (&"a".into(), &"test".into(), &1.into()));
    match (serde_json::from_slice::<Value>(payload), std::str::from_utf8(payload)) {
        (Ok(json), _) => assert_eq!(request["payload"], json),
        (Err(_), Ok(text)) => assert!(request["payload"] == text || request.get("payload").is_some()),
        (Err(_), Err(_)) => {
            let encoded = request["payload_base64"].as_str().expect("bytes are encoded");
            assert_eq!(encoded.len(), payload.len().div_ceil(3) * 4);
            assert!(request.get("payload").is_none());
        }
    }
}

// The lines, compared with what plain splitting gives.
fn split_as_told(bytes: &[u8]) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without any driver starts");
    let read = runtime.block_on(async {
        let mut lines = Lines::new(bytes, LONGEST_LINE);
        let mut read = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => read.push(line),
                Ok(None) => break read,
                Err(lines::Error::TooLong(limit)) => {
                    assert_eq!(limit, LONGEST_LINE);
                    assert!(bytes.split(|byte| *byte == b'\n').nth(read.len()).is_some_and(|line| line.len() > limit));
                    break read;
                }
                Err(lines::Error::Read(error)) => panic!("memory cannot be read: {error}"),
            }
        }
    });
    // What follows the last line end is no line.
    assert!(read.len() < bytes.split(|byte| *byte == b'\n').count());
    assert!(bytes.split(|byte| *byte == b'\n').zip(&read).all(|(expected, line)| expected == line));
    read
}

// What was said, compared with a plain reading of the line, and as the log will have it.
fn is_meant(line: &[u8], said: Said) {
    // In a member that nobody asks for, half of a surrogate pair does no harm.
    let Ok(plain) = serde_json::from_slice::<Value>(line) else { return };
    assert_eq!(plain["id"], "a");
    let task = TaskId::parse("a").expect("the literal is a valid id");
    let worker = WorkerId::parse("w").expect("the literal is a valid worker");
    let (at, attempt, run) = (now(), Attempt::FIRST, Run { started: now(), worker });
    match said {
        Said::Progress(progress) => {
            assert!(plain.get("result").is_none() && plain.get("error").is_none());
            let (context, heard) = Context::new(CancellationToken::new());
            context.progress(progress);
            let progress = heard.borrow().clone();
            events::is_kept(Event::Progressed(Progressed { task, at, attempt, run, progress }));
        }
        Said::Done(outcome) => {
            match &outcome {
                Outcome::Success { .. } => assert!(plain.get("result").is_some()),
                Outcome::Permanent { .. } => {
                    assert_eq!((plain.get("error").is_some(), &plain["retry"]), (true, &false.into()));
                }
                Outcome::Retryable { .. } => assert!(plain.get("error").is_some() && plain["retry"] != false),
                other => panic!("a program cannot say {other:?}"),
            }
            is_bounded(outcome.clone());
            // As the desk does it before anything is written.
            let outcome = outcome.bounded(64 << 10);
            let about = About { kind: None, queue: QueueName::default(), priority: Priority::default() };
            let verdict = Verdict::Complete;
            events::is_kept(Event::Ended(Ended { task, at, about, attempt, run, outcome, verdict }));
        }
    }
}

fn is_bounded(outcome: Outcome) {
    let name = outcome.name();
    let bounded = outcome.bounded(LARGEST_RESULT);
    assert_eq!(bounded.name(), name);
    assert!(bounded.error().is_none_or(|error| error.len() <= LARGEST_RESULT + '…'.len_utf8()));
    if let Outcome::Success { output: Some(output) } = bounded {
        assert!(output.to_bytes().len() <= LARGEST_RESULT);
    }
}

fn says_what_is_wrong(error: &Error) {
    let text = error.to_string();
    assert!(text.starts_with("expected ") && text.len() <= 2_000, "{text}");
    assert!(!text.contains(char::is_control), "{text:?}");
}
