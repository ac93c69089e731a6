//! From a task of a workflow to what is handed in: its payload, with the results of the steps before it.

use std::{collections::HashMap, sync::Arc};

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use warren_core::{
    Output, TaskId, WorkflowId,
    workflow::{Conclusion, Cut, Job, Kept, PartId, Place, join, slice},
};

use super::{
    Error,
    cabinet::{Cabinet, field},
    held::{self, Letter},
};
use crate::{NewTask, request};

/// What came of a step, for those behind it.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Its result; null where it gave none.
    Result(Value),
    /// It gave one that was too long to be kept; its length in bytes.
    TooLong(u64),
    /// It did not succeed.
    Failed(String),
}

// What a step that waits for others gets.
#[derive(Serialize)]
struct Body<'a> {
    input: Option<&'a RawValue>,
    results: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    failures: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    too_long: Map<String, Value>,
}

/// What is handed in.
#[derive(Debug)]
pub enum Made {
    /// A task of ours.
    New(Box<NewTask>),
    /// Somebody's message.
    Held {
        /// The message.
        letter: Box<Letter>,
        /// The id of the task.
        id: TaskId,
        /// Its body.
        body: Vec<u8>,
    },
}

/// Makes tasks, and remembers what several of them need.
#[derive(Debug)]
pub struct Inputs<'a> {
    cabinet: &'a Cabinet,
    // How far the log was read into what is known of the workflows.
    as_of: u64,
    found: HashMap<(WorkflowId, Place), Arc<Found>>,
    lists: HashMap<(WorkflowId, Place), Arc<Vec<Box<RawValue>>>>,
}

impl<'a> Inputs<'a> {
    /// With nothing remembered, for workflows as they are known at this offset of the log.
    pub fn new(cabinet: &'a Cabinet, as_of: u64) -> Self {
        Self { cabinet, as_of, found: HashMap::new(), lists: HashMap::new() }
    }

    /// What is handed in for a part; `None` where the workflow has no such step.
    pub async fn made(&mut self, part: &PartId, kept: &Kept) -> Result<Option<Made>, Error> {
        let Some(place) = kept.graph.place(&part.path) else { return Ok(None) };
        let held = match &kept.graph.node(place).job {
            Job::Task(template) | Job::Split { task: template, .. } => held::template(template),
            Job::Workflow | Job::Awaited(_) => None,
        };
        match (held, part.chunk, kept.graph.node(place).job.clone()) {
            (Some(letter), None, _) => {
                let body = self.letter_with_results(&letter, part, kept, place).await?;
                let id = kept.head.task.clone().unwrap_or_else(|| part.task());
                Ok(Some(Made::Held { letter: Box::new(letter), id, body }))
            }
            (Some(mut letter), Some(chunk), Job::Split { cut, .. }) => {
                let items = self.list(&part.workflow, kept, place).await?;
                // The whole is answered, not each of its chunks.
                letter.properties.remove("reply_to");
                Ok(Some(Made::Held { letter: Box::new(letter), id: part.task(), body: chunk_of(&items, cut, chunk) }))
            }
            (Some(_), Some(_), _) => Ok(None),
            (None, ..) => Ok(self.task(part, kept, place).await?.map(|task| Made::New(Box::new(task)))),
        }
    }

    async fn task(&mut self, part: &PartId, kept: &Kept, place: Place) -> Result<Option<NewTask>, Error> {
        let task = match (&kept.graph.node(place).job, part.chunk) {
            (Job::Task(template), None) => {
                self.with_results(request::parse_one(template.as_bytes())?, part, kept, place).await?
            }
            (Job::Split { task, cut, .. }, Some(chunk)) => {
                let task = request::parse_one(task.as_bytes())?;
                let items = self.list(&part.workflow, kept, place).await?;
                let chunk = chunk_of(&items, *cut, chunk);
                task.payload(chunk).content_type("application/json")
            }
            (Job::Task(_) | Job::Split { .. } | Job::Workflow | Job::Awaited(_), _) => return Ok(None),
        };
        Ok(Some(task.id(part.task().as_str()).once()))
    }

    async fn with_results(
        &mut self,
        task: NewTask,
        part: &PartId,
        kept: &Kept,
        place: Place,
    ) -> Result<NewTask, Error> {
        if kept.graph.inputs(place).is_empty() {
            return Ok(task);
        }
        let input = (task.size() > 0).then(|| serde_json::from_slice(task.bytes())).transpose();
        let body = self.body(input.map_err(crate::Error::Malformed)?, part, kept, place).await?;
        Ok(task.payload(body).content_type("application/json"))
    }

    // The body of a message may be anything: what is no JSON is text, and what is no text is in base64.
    async fn letter_with_results(
        &mut self,
        letter: &Letter,
        part: &PartId,
        kept: &Kept,
        place: Place,
    ) -> Result<Vec<u8>, Error> {
        let bytes = letter.bytes();
        if kept.graph.inputs(place).is_empty() {
            return Ok(bytes);
        }
        let input = if bytes.is_empty() {
            None
        } else if let Ok(json) = serde_json::from_slice::<Box<RawValue>>(&bytes) {
            Some(json)
        } else {
            let value = match std::str::from_utf8(&bytes) {
                Ok(text) => Value::String(text.to_owned()),
                Err(_) => serde_json::json!({ "base64": letter.body }),
            };
            Some(serde_json::value::to_raw_value(&value).map_err(crate::Error::Malformed)?)
        };
        self.body(input.as_deref(), part, kept, place).await
    }

    async fn body(
        &mut self,
        input: Option<&RawValue>,
        part: &PartId,
        kept: &Kept,
        place: Place,
    ) -> Result<Vec<u8>, Error> {
        let before = kept.graph.inputs(place);
        let (mut results, mut failures, mut too_long) = (Map::new(), Map::new(), Map::new());
        for edge in before {
            let node = kept.graph.node(edge.place);
            let name = match &node.job {
                Job::Awaited(task) => task.to_string(),
                Job::Task(_) | Job::Split { .. } | Job::Workflow => node.name.to_string(),
            };
            match &*self.found(&part.workflow, kept, edge.place).await? {
                Found::Result(value) => results.insert(name, value.clone()),
                Found::TooLong(bytes) => too_long.insert(name, (*bytes).into()),
                Found::Failed(why) => failures.insert(name, why.as_str().into()),
            };
        }
        let body = serde_json::to_vec(&Body { input, results, failures, too_long });
        Ok(body.expect("a map of text to JSON is JSON"))
    }

    async fn list(
        &mut self,
        workflow: &WorkflowId,
        kept: &Kept,
        place: Place,
    ) -> Result<Arc<Vec<Box<RawValue>>>, Error> {
        let key = (workflow.clone(), place);
        if let Some(list) = self.lists.get(&key) {
            return Ok(list.clone());
        }
        let list: Vec<Box<RawValue>> = match &kept.graph.node(place).job {
            Job::Split { items: Some(items), .. } => serde_json::from_str(items).map_err(crate::Error::Malformed)?,
            Job::Split { from: Some(from), .. } => match &*self.found(workflow, kept, *from).await? {
                Found::Result(Value::Array(items)) => {
                    let raw = items.iter().map(serde_json::value::to_raw_value);
                    raw.collect::<Result<_, _>>().map_err(crate::Error::Malformed)?
                }
                Found::Result(_) | Found::TooLong(_) | Found::Failed(_) => Vec::new(),
            },
            Job::Split { .. } | Job::Task(_) | Job::Workflow | Job::Awaited(_) => Vec::new(),
        };
        let list = Arc::new(list);
        self.lists.insert(key, list.clone());
        Ok(list)
    }

    /// What came of a step that is over.
    pub fn found<'b>(
        &'b mut self,
        workflow: &'b WorkflowId,
        kept: &'b Kept,
        place: Place,
    ) -> BoxFuture<'b, Result<Arc<Found>, Error>> {
        Box::pin(async move {
            let key = (workflow.clone(), place);
            if let Some(found) = self.found.get(&key) {
                return Ok(found.clone());
            }
            let found = Arc::new(self.find(workflow, kept, place).await?);
            self.found.insert(key, found.clone());
            Ok(found)
        })
    }

    async fn find(&mut self, workflow: &WorkflowId, kept: &Kept, place: Place) -> Result<Found, Error> {
        let (node, status) = (kept.graph.node(place), kept.flow.status(place));
        match status.conclusion() {
            Some(Conclusion::Succeeded) => {}
            Some(Conclusion::Failed { why }) => return Ok(Found::Failed(why.clone())),
            other => return Ok(Found::Failed(other.map_or("not over", Conclusion::name).to_owned())),
        }
        match node.job {
            Job::Task(_) | Job::Awaited(_) => {
                let result = self.cabinet.results(workflow, &[field(place, None)], self.as_of).await?;
                Ok(found(result.into_iter().next().flatten()))
            }
            Job::Split { .. } => {
                let fields: Vec<_> = (0..status.parts().len()).map(|chunk| format!("{}:{chunk}", place.0)).collect();
                let results = self.cabinet.results(workflow, &fields, self.as_of).await?;
                let results = results.into_iter().map(|result| match found(result) {
                    Found::Result(value) => value,
                    Found::TooLong(_) | Found::Failed(_) => Value::Null,
                });
                Ok(Found::Result(join(results.collect())))
            }
            Job::Workflow => {
                // Of the steps that nothing follows.
                let mut results = Map::new();
                for child in &node.children {
                    let last = kept.graph.node(*child);
                    if last.behind.is_empty()
                        && let Found::Result(value) = &*self.found(workflow, kept, *child).await?
                    {
                        results.insert(last.name.to_string(), value.clone());
                    }
                }
                Ok(Found::Result(Value::Object(results)))
            }
        }
    }
}

fn found(output: Option<Output>) -> Found {
    match output {
        None => Found::Result(Value::Null),
        Some(Output::Json(value)) => Found::Result(value),
        Some(Output::Text(text)) => Found::Result(Value::String(text)),
        Some(Output::TooLong(bytes)) => Found::TooLong(bytes),
    }
}

fn chunk_of(items: &[Box<RawValue>], cut: Cut, chunk: u32) -> Vec<u8> {
    let items = &items[slice(cut, u32::try_from(items.len()).unwrap_or(u32::MAX), chunk)];
    serde_json::to_vec(items).expect("a list of JSON is JSON")
}
