//! `/api/actions`: who did what.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use redis::AsyncCommands;
use serde::Serialize;
use utoipa::ToSchema;
use warren_core::OrderId;
use warren_runtime::http::Problem;

use super::{View, failure::Failure, filter::read_limit, order::ActionView};
use crate::audit::{self, Entry};

const DEFAULT_LIMIT: usize = 50;

/// The audit trail, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Actions {
    /// What was done.
    pub actions: Vec<ActionView>,
    /// The parameter `cursor` for the next page; null at the end.
    pub next: Option<String>,
}

/// Who did what, newest first. The latest ten thousand actions are kept.
#[utoipa::path(
    get,
    path = "/api/actions",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 500, 50 if not given", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses(
        (status = 200, description = "What was done", body = Actions),
        (status = 422, description = "A parameter cannot be read; the problem names it"),
        (status = 503, description = "Redis does not answer"),
    )
)]
pub async fn actions(
    State(view): State<View>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Actions>, Failure> {
    let (mut limit, mut after) = (DEFAULT_LIMIT, "+".to_owned());
    for (name, value) in query?.0 {
        match name.as_str() {
            "limit" => limit = read_limit(&value)?,
            "cursor" => after = format!("({}", cursor(&value)?),
            unknown => return Err(Problem::field(unknown, "unknown parameter: expected limit or cursor").into()),
        }
    }
    let (mut connection, keys) = (view.store.shared(), view.store.keys());
    let asked = isize::try_from(limit).expect("a limit is small");
    let mut places: Vec<String> = connection.zrevrangebylex_limit(keys.actions(), after, "-", 0, asked + 1).await?;
    let next = (places.len() > limit).then(|| {
        places.truncate(limit);
        places[limit - 1].clone()
    });
    let ids: Vec<_> = places.iter().filter_map(|place| audit::id_of(place)).collect();
    let mut actions = Vec::new();
    if !ids.is_empty() {
        let stored: Vec<Option<Vec<u8>>> = connection.hmget(keys.action_entries(), &ids).await?;
        let details = view.details(&ids).await?;
        for entry in stored.into_iter().flatten().filter_map(|entry| serde_json::from_slice::<Entry>(&entry).ok()) {
            let detail = details.get(entry.id.as_str()).cloned();
            actions.push(ActionView { detail, ..ActionView::from(&entry) });
        }
    }
    Ok(Json(Actions { actions, next }))
}

fn cursor(value: &str) -> Result<&str, Problem> {
    let is_place = |(at, id): (&str, &str)| at.bytes().all(|b| b.is_ascii_digit()) && OrderId::parse(id).is_ok();
    let known = value.split_once('.').is_some_and(is_place);
    if known { Ok(value) } else { Err(Problem::field("cursor", "expected the value of `next` from the page before")) }
}

impl View {
    /// What became of these actions, where there is a word on it.
    pub(super) async fn details(&self, ids: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let stored: Vec<Option<String>> = self.store.shared().hmget(self.store.keys().action_details(), ids).await?;
        let pairs = ids.iter().zip(stored).filter_map(|(id, detail)| Some(((*id).to_owned(), detail?)));
        Ok(pairs.collect())
    }
}
