//! Orders of operators, as the API tells them.

use serde::Serialize;
use utoipa::ToSchema;
use warren_core::command::Order;

use super::time::Time;
use crate::audit::Entry;

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActionView {
    /// Which action.
    pub id: String,
    /// When.
    pub at: Time,
    /// Who: the name in Basic authentication, `token` for a bearer, `anonymous` where no token is wanted.
    pub by: String,
    /// What: cancel, `run_now`, pause, resume, drain or `resume_worker`.
    pub what: String,
    /// The task, the queue or the worker that it is about.
    pub target: String,
    /// Why, in the words of whoever did it.
    pub reason: Option<String>,
    /// What became of it, where that is worth a word.
    pub detail: Option<String>,
}

/// An action that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// The action.
    pub action: ActionView,
}

/// Who wanted something to be as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Asked {
    /// Who.
    pub by: String,
    /// Since when.
    pub at: Time,
    /// Why.
    pub reason: Option<String>,
}

impl From<&Entry> for ActionView {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id.to_string(),
            at: entry.at.into(),
            by: entry.by.to_string(),
            what: entry.what.clone(),
            target: entry.target.clone(),
            reason: entry.reason.clone(),
            detail: None,
        }
    }
}

impl From<&Order> for Asked {
    fn from(order: &Order) -> Self {
        Self { by: order.by.to_string(), at: order.at.into(), reason: order.reason.clone() }
    }
}
