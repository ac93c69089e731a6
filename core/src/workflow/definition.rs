//! What a workflow is, as it is stored and written to the event log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Cut;
use crate::{StepName, TaskId};

/// Steps that wait for each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The steps, by name.
    pub steps: BTreeMap<StepName, Step>,
}

/// One step of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it does.
    #[serde(flatten)]
    pub work: Work,
    /// The steps that it waits for, and what follows for this one if they fail.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub after: BTreeMap<StepName, OnFailure>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// It is one task, in the JSON form of a task, without an id.
    Task(String),
    /// It is a task for each chunk of a list.
    Split {
        /// The task of each chunk, in the JSON form of a task, without an id and a payload.
        task: String,
        /// The list.
        list: List,
        /// How it is cut.
        cut: Cut,
    },
    /// It is a workflow of its own.
    Workflow(Definition),
    /// It is a task that somebody else hands in.
    Awaited(TaskId),
}

/// The list that a step is split over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// It is written there: a JSON array.
    Items(String),
    /// It is the result of a step before.
    From(StepName),
}

/// What follows for a step if one that it waits for fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing more is started in the workflow, and it has failed.
    #[default]
    Stop,
    /// The step is skipped, and so is what follows it.
    Skip,
    /// It starts all the same, and is told.
    GoOn,
}

impl OnFailure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stop, Self::Skip, Self::GoOn];

    /// Its name in the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
            Self::GoOn => "go_on",
        }
    }
}
