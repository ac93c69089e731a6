//! What the gateway answers.

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::debug;
use warren_core::{TaskId, schedule::Refused};
use warren_producer::{Error, Problem as FieldProblem, schedule, workflow};
use warren_runtime::{amqp::session::chain, http::Problem};

const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// What became of one task.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The broker has confirmed it.
    Accepted {
        /// Its id.
        id: TaskId,
    },
    /// It was not accepted.
    Refused(Refusal),
}

/// An error as `application/problem+json`, with all problems where there are several (RFC 9457, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    #[serde(flatten)]
    problem: Problem,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, errors: Vec::new() }
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let mut problem = Problem::new(status(error), chain(error));
        problem.field = error.field().map(ToOwned::to_owned);
        let errors = match error {
            Error::Invalid(invalid) => invalid.problems().to_vec(),
            Error::Malformed(_)
            | Error::TooLarge { .. }
            | Error::Returned { .. }
            | Error::Nacked { .. }
            | Error::TimedOut(_)
            | Error::Blocked
            | Error::Disconnected
            | Error::Connect(_)
            | Error::Declare { .. } => Vec::new(),
        };
        Self { problem, errors }
    }
}

impl From<schedule::Error> for Refusal {
    fn from(error: schedule::Error) -> Self {
        let status = match &error {
            schedule::Error::Task(error) => return error.into(),
            schedule::Error::Refused(Refused::Unknown(_)) => StatusCode::NOT_FOUND,
            schedule::Error::Refused(Refused::FromFile(_)) | schedule::Error::Full(_) => StatusCode::CONFLICT,
            schedule::Error::Redis(_) | schedule::Error::Log | schedule::Error::Busy(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            schedule::Error::Unreadable { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        debug!(error = chain(&error), "a schedule was not read or changed");
        Problem::new(status, error.to_string()).into()
    }
}

impl From<workflow::Error> for Refusal {
    fn from(error: workflow::Error) -> Self {
        let status = match &error {
            workflow::Error::Task(error) => return error.into(),
            workflow::Error::Yaml(_) => StatusCode::BAD_REQUEST,
            workflow::Error::Unknown(_) | workflow::Error::Nothing { .. } => StatusCode::NOT_FOUND,
            workflow::Error::Exists(_) | workflow::Error::Over { .. } => StatusCode::CONFLICT,
            workflow::Error::Redis(_)
            | workflow::Error::Forgotten
            | workflow::Error::Log
            | workflow::Error::Broker(_) => StatusCode::SERVICE_UNAVAILABLE,
            workflow::Error::Unreadable { .. } | workflow::Error::NotAStream(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        debug!(error = chain(&error), "a workflow was not handed in, read or steered");
        Problem::new(status, error.to_string()).into()
    }
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The same for a part of the request, such as `[3]`.
    #[must_use]
    pub fn inside(mut self, place: &str) -> Self {
        self.problem.field = Some(match self.problem.field.take() {
            Some(field) => format!("{place}.{field}"),
            None => place.to_owned(),
        });
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
        }
        response
    }
}

/// Answers for one task.
pub fn one(answer: Answer) -> Response {
    match answer {
        Answer::Accepted { .. } => (StatusCode::CREATED, Json(answer)).into_response(),
        Answer::Refused(refusal) => refusal.into_response(),
    }
}

/// Answers for several, in their order: 201 if all were accepted, one problem if all failed alike, else 207.
pub fn many(answers: Vec<Answer>) -> Response {
    let refusals = || {
        answers.iter().filter_map(|answer| match answer {
            Answer::Accepted { .. } => None,
            Answer::Refused(refusal) => Some(refusal),
        })
    };
    match refusals().next() {
        None => (StatusCode::CREATED, Json(answers)).into_response(),
        Some(first)
            if refusals().count() == answers.len() && refusals().all(|other| other.status() == first.status()) =>
        {
            first.clone().into_response()
        }
        Some(_) => (StatusCode::MULTI_STATUS, Json(answers)).into_response(),
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Malformed(_) => StatusCode::BAD_REQUEST,
        Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::Returned { .. } => StatusCode::NOT_FOUND,
        Error::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        Error::Nacked { .. } | Error::Blocked | Error::Disconnected | Error::Connect(_) | Error::Declare { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted() -> Answer {
        Answer::Accepted { id: TaskId::parse("a").unwrap() }
    }

    fn refused(error: &Error) -> Answer {
        Answer::Refused(error.into())
    }

    #[test]
    fn an_array_is_answered_by_what_became_of_it() {
        let returned = Error::Nacked { queue: warren_core::QueueName::default() };
        let timed_out = Error::TimedOut(std::time::Duration::from_secs(1));
        for (answers, status) in [
            (vec![], 201),
            (vec![accepted(), accepted()], 201),
            (vec![accepted(), refused(&returned)], 207),
            (vec![refused(&timed_out), refused(&returned)], 207),
            (vec![refused(&returned), refused(&returned)], 503),
        ] {
            assert_eq!(many(answers).status().as_u16(), status);
        }
    }

    #[test]
    fn says_when_to_come_again() {
        let response = one(refused(&Error::Blocked));
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
