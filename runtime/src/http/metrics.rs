//! `/metrics`, in the text format of OpenMetrics.

use std::sync::{Arc, RwLock};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus_client::{encoding::text::encode, registry::Registry};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a process: each component registers its own at the start.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<RwLock<Registry>>);

impl Metrics {
    /// An empty registry whose metrics all begin with `warren_`.
    pub fn new() -> Self {
        Self(Arc::new(RwLock::new(Registry::with_prefix("warren"))))
    }

    /// Lets a component register what it measures.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        register(&mut self.0.write().expect("no panic while metrics are registered"));
    }

    pub(super) fn routes(&self) -> Router {
        Router::new().route("/metrics", get(text)).with_state(self.clone())
    }
}

async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    let mut text = String::new();
    let registry = metrics.0.read().expect("no panic while metrics are registered");
    match encode(&mut text, &registry) {
        Ok(()) => (StatusCode::OK, [("content-type", CONTENT_TYPE)], text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", "text/plain")], String::new()),
    }
}
