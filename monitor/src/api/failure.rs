//! Why an answer cannot be given.

use axum::{
    extract::rejection::{PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tracing::{debug, error};
use warren_core::permit::Refusal;
use warren_runtime::{amqp::session::chain, http::Problem, redis};

/// A problem, and how it comes about.
#[derive(Debug)]
pub struct Failure(Problem);

impl Failure {
    /// Nothing is known of what was asked for.
    pub fn unknown(what: &str, id: &str) -> Self {
        Self(Problem::new(StatusCode::NOT_FOUND, format!("no {what} {id:?} is known")))
    }

    /// The problem, as JSON.
    pub fn text(&self) -> String {
        serde_json::to_string(&self.0).expect("a problem is always valid JSON")
    }

    /// Something that is stored cannot be read.
    pub fn unreadable(what: &str, source: &dyn std::error::Error) -> Self {
        error!(what, error = chain(source), "what is stored cannot be read");
        Self(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{what} cannot be read from Redis")))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(Problem::new(StatusCode::CONFLICT, refusal.to_string()))
    }
}

impl From<redis::Error> for Failure {
    fn from(error: redis::Error) -> Self {
        debug!(error = chain(&error), "a question was not answered");
        let detail = "Redis does not answer. Tasks run on meanwhile, and the monitor catches up";
        Self(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
    }
}

impl From<::redis::RedisError> for Failure {
    fn from(error: ::redis::RedisError) -> Self {
        redis::Error::from(error).into()
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self(Problem::field("query", rejection.body_text()))
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self(Problem::field("id", rejection.body_text()))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
