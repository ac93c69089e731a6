//! A workflow as it is kept in a store: fields of text.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::{Definition, Flow, Graph, Head, Status};

/// The field that holds what it is.
pub const DEFINITION: &str = "definition";
/// The field that holds the whole. The fields of its steps are their places in the graph.
pub const HEAD: &str = "head";

/// A workflow, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is.
    pub graph: Graph,
    /// Where its steps stand.
    pub flow: Flow,
    /// The whole.
    pub head: Head,
    /// What it is, as it is written.
    pub definition: String,
}

/// What is stored of a workflow cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Unreadable {
    /// Which field.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl Kept {
    /// From what is stored; `None` if that is nothing.
    pub fn decode(mut fields: BTreeMap<String, String>) -> Result<Option<Self>, Unreadable> {
        let Some(definition) = fields.remove(DEFINITION) else { return Ok(None) };
        let unreadable = |why: &str| Unreadable { field: HEAD.to_owned(), why: why.to_owned() };
        let head: Head = read(HEAD, &fields.remove(HEAD).ok_or_else(|| unreadable("missing"))?)?;
        let graph = Graph::new(&read::<Definition>(DEFINITION, &definition)?);
        let wrong = |wrong: Vec<super::Wrong>| Unreadable { field: DEFINITION.to_owned(), why: wrong[0].to_string() };
        let graph = graph.map_err(wrong)?;
        let mut statuses = vec![Status::Waiting; graph.nodes().len()];
        for (place, status) in &fields {
            if let Some(stored) = place.parse::<usize>().ok().and_then(|place| statuses.get_mut(place)) {
                *stored = read(place, status)?;
            }
        }
        let flow = Flow::stored(&graph, statuses, head.stopped, head.cancelled);
        Ok(Some(Self { graph, flow, head, definition }))
    }
}

fn read<T: DeserializeOwned>(field: &str, text: &str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|error| Unreadable { field: field.to_owned(), why: error.to_string() })
}
