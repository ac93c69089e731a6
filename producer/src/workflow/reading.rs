//! The JSON form of a workflow.
//!
//! Every error names its field and says what was expected; all errors of a workflow come together.

use std::{collections::BTreeMap, num::NonZeroU32};

use serde_json::{Value, value::RawValue};
use warren_core::{
    StepName, WorkflowId,
    workflow::{Cut, Definition, Graph, List, OnFailure, Step, Work, Wrong},
};

use super::Error;
use crate::{
    field::{Invalid, Problem},
    json::{Fields, cut, expected, short, text, whole},
    request,
};

const FIELDS: &str = "id, steps";
const STEP_FIELDS: &str = "task, after, split, workflow";
const MANY: u32 = 1_000_000;
const PROBLEMS: usize = 100;

/// A workflow that is about to be handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkflow {
    /// An id of one's own, by which a second try of an uncertain submission is recognised.
    pub id: Option<WorkflowId>,
    pub(super) definition: Definition,
}

impl NewWorkflow {
    /// What it is.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// With an id of one's own.
    #[must_use]
    pub fn id(mut self, id: WorkflowId) -> Self {
        self.id = Some(id);
        self
    }
}

/// Reads a workflow in JSON.
pub fn read(json: &[u8]) -> Result<NewWorkflow, Error> {
    let json: &RawValue = serde_json::from_slice(json).map_err(crate::Error::Malformed)?;
    let mut form = Form::default();
    let (id, definition) = form.workflow(json, "", true);
    if let (true, Err(wrong)) = (form.problems.is_empty(), Graph::new(&definition)) {
        form.problems = wrong.into_iter().map(|Wrong { field, detail }| Problem::new(field, detail)).collect();
    }
    match Invalid::of(form.problems) {
        None => Ok(NewWorkflow { id, definition }),
        Some(invalid) => Err(crate::Error::from(invalid).into()),
    }
}

/// Reads a workflow in YAML, of which JSON is a part.
pub fn read_yaml(yaml: &[u8]) -> Result<NewWorkflow, Error> {
    let yaml = std::str::from_utf8(yaml).map_err(|error| Error::Yaml(error.to_string()))?;
    let value: Value = serde_saphyr::from_str(yaml).map_err(|error| Error::Yaml(error.to_string()))?;
    read(value.to_string().as_bytes())
}

#[derive(Default)]
struct Form {
    problems: Vec<Problem>,
}

impl Form {
    fn refuse(&mut self, field: impl Into<String>, detail: impl std::fmt::Display) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(Problem::new(field, detail));
        }
    }

    fn keep<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|detail| self.refuse(field, detail)).ok()
    }

    // The members of an object; each once.
    fn members<'a>(&mut self, json: &'a RawValue, field: &str, what: &str) -> Vec<(String, &'a RawValue)> {
        let Ok(Fields(members)) = serde_json::from_str(json.get()) else {
            self.refuse(field.trim_end_matches('.'), expected(what, short(json)));
            return Vec::new();
        };
        let mut seen = std::collections::HashSet::new();
        for (name, _) in &members {
            if !seen.insert(name.as_str()) {
                self.refuse(format!("{field}{}", cut(name)), "expected once, got twice");
            }
        }
        members
    }

    fn workflow(&mut self, json: &RawValue, place: &str, may_have_id: bool) -> (Option<WorkflowId>, Definition) {
        let (mut id, mut steps, mut seen) = (None, BTreeMap::new(), false);
        for (name, value) in self.members(json, place, "a workflow as an object") {
            let field = format!("{place}{}", cut(&name));
            match name.as_str() {
                "id" if may_have_id => {
                    let parsed = text(value).and_then(|id| WorkflowId::parse(&id).map_err(|error| error.to_string()));
                    id = self.keep(&field, parsed);
                }
                "steps" => {
                    seen = true;
                    for (name, step) in self.members(value, &format!("{field}."), "an object of steps by their names") {
                        let field = format!("{field}.{}", cut(&name));
                        let name = self.keep(&field, StepName::parse(&name).map_err(|error| error.to_string()));
                        if let (Some(name), Some(step)) = (name, self.step(step, &field)) {
                            steps.insert(name, step);
                        }
                    }
                }
                _ => self.refuse(field, format_args!("there is no such field; there are {FIELDS}")),
            }
        }
        if !seen && self.problems.is_empty() {
            self.refuse(format!("{place}steps"), "expected an object of steps by their names, got nothing");
        }
        (id, Definition { steps })
    }

    fn step(&mut self, json: &RawValue, place: &str) -> Option<Step> {
        let (mut task, mut within, mut split, mut after) = (None, None, None, BTreeMap::new());
        let before = self.problems.len();
        for (name, value) in self.members(json, &format!("{place}."), "a step as an object") {
            let field = format!("{place}.{}", cut(&name));
            match name.as_str() {
                "task" => {
                    self.check_task(value, &field);
                    task = Some(value);
                }
                "workflow" => within = Some(self.workflow(value, &format!("{field}."), false).1),
                "split" => split = self.split(value, &field),
                "after" => after = self.after(value, &field),
                _ => self.refuse(field, format_args!("there is no such field; there are {STEP_FIELDS}")),
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let work = match (task, split, within) {
            (Some(task), None, None) => Work::Task(task.get().to_owned()),
            (Some(task), Some((list, cut)), None) => {
                if request::parse_one(task.get().as_bytes()).is_ok_and(|task| task.size() > 0) {
                    self.refuse(format!("{place}.task.payload"), "expected none: a chunk's payload is its items");
                }
                // What it is split over it also waits for.
                if let List::From(name) = &list {
                    after.entry(name.clone()).or_default();
                }
                Work::Split { task: task.get().to_owned(), list, cut }
            }
            (None, None, Some(within)) => Work::Workflow(within),
            (None, _, None) | (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => {
                self.refuse(place, "expected either task, with or without split, or workflow");
                return None;
            }
        };
        Some(Step { work, after })
    }

    fn check_task(&mut self, json: &RawValue, field: &str) {
        match request::read(json) {
            Ok(task) if task.chosen_id().is_some() => {
                self.refuse(format!("{field}.id"), "expected none: a task of a workflow is named after its step");
            }
            Ok(_) => {}
            Err(invalid) => self.problems.extend(invalid.inside(field)),
        }
    }

    fn split(&mut self, json: &RawValue, place: &str) -> Option<(List, Cut)> {
        let (mut lists, mut cuts) = (Vec::new(), Vec::new());
        let before = self.problems.len();
        for (name, value) in self.members(json, &format!("{place}."), "an object") {
            let field = format!("{place}.{}", cut(&name));
            match name.as_str() {
                "items" => lists.push(List::Items(value.get().to_owned())),
                "from" => {
                    let from = text(value).and_then(|name| StepName::parse(&name).map_err(|error| error.to_string()));
                    lists.extend(self.keep(&field, from).map(List::From));
                }
                "size" | "count" => {
                    let number = whole(value, MANY).and_then(|number| {
                        NonZeroU32::new(number).ok_or_else(|| expected(&format!("1 to {MANY}"), short(value)))
                    });
                    let number = self.keep(&field, number).map(NonZeroU32::get);
                    cuts.extend(
                        number.map(|number| if name == "size" { Cut::Size(number) } else { Cut::Count(number) }),
                    );
                }
                _ => self.refuse(field, "there is no such field; there are items, from, size, count"),
            }
        }
        if self.problems.len() > before {
            return None;
        }
        if lists.len() != 1 {
            self.refuse(place, "expected either items or from");
        }
        if cuts.len() != 1 {
            self.refuse(place, "expected either size or count");
        }
        Some((lists.pop()?, cuts.pop()?))
    }

    // A name, or a list of names and of objects that also say what follows a failure.
    fn after(&mut self, json: &RawValue, field: &str) -> BTreeMap<StepName, OnFailure> {
        let mut after = BTreeMap::new();
        let entries: Vec<&RawValue> = match serde_json::from_str(json.get()) {
            Ok(entries) => entries,
            Err(_) => vec![json],
        };
        for entry in entries {
            let Some((name, on_failure)) = self.edge(entry, field) else { continue };
            if after.insert(name.clone(), on_failure).is_some() {
                self.refuse(field, format_args!("expected each step once, got {name} twice"));
            }
        }
        after
    }

    fn edge(&mut self, json: &RawValue, field: &str) -> Option<(StepName, OnFailure)> {
        let parse = |name: String| StepName::parse(&name).map_err(|error| error.to_string());
        if let Ok(name) = text(json) {
            return Some((self.keep(field, parse(name))?, OnFailure::Stop));
        }
        let what = "the name of a step, or an object with step and on_failure";
        let (mut step, mut on_failure) = (None, OnFailure::Stop);
        for (name, value) in self.members(json, &format!("{field}."), what) {
            let field = format!("{field}.{}", cut(&name));
            match name.as_str() {
                "step" => step = self.keep(&field, text(value).and_then(parse)),
                "on_failure" => {
                    let policy =
                        text(value).ok().and_then(|text| OnFailure::ALL.into_iter().find(|one| one.name() == text));
                    let policy = policy.ok_or_else(|| expected("stop, skip or go_on", short(value)));
                    on_failure = self.keep(&field, policy)?;
                }
                _ => self.refuse(field, "there is no such field; there are step, on_failure"),
            }
        }
        if step.is_none() && self.problems.is_empty() {
            self.refuse(field, expected(what, short(json)));
        }
        Some((step?, on_failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> String {
        match read(json.as_bytes()) {
            Err(Error::Task(error)) => error.to_string().replace("; ", "\n"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_part_is_read_from_json_and_from_yaml() {
        let json = r#"{"id":"w","steps":{
            "a":{"task":{"kind":"a","payload":{"n":1.10}}},
            "b":{"task":{"kind":"b"},"after":"a","split":{"from":"a","size":10}},
            "c":{"workflow":{"steps":{"x":{"task":{"kind":"x"}}}},"after":["a",{"step":"b","on_failure":"go_on"}]}}}"#;
        let workflow = read(json.as_bytes()).unwrap();
        insta::assert_debug_snapshot!(workflow);
        let yaml = "
id: w
steps:
  a:
    task: { kind: a, payload: { n: 1.10 } }
  b:
    task: { kind: b }
    split: { from: a, size: 10 }
  c:
    workflow:
      steps:
        x: { task: { kind: x } }
    after:
      - a
      - { step: b, on_failure: go_on }
";
        let from_yaml = read_yaml(yaml.as_bytes()).unwrap();
        let names = |workflow: &NewWorkflow| workflow.definition.steps.keys().cloned().collect::<Vec<_>>();
        let afters = |workflow: &NewWorkflow| {
            workflow.definition.steps.values().map(|step| step.after.clone()).collect::<Vec<_>>()
        };
        assert_eq!((names(&from_yaml), afters(&from_yaml)), (names(&workflow), afters(&workflow)));
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let json = r#"{"id":"a b","colour":1,"steps":{
            "no name":{"task":{"kind":"a"}},
            "a":{"task":{"kind":"a b","delay":"soon"}},
            "b":{"task":{"kind":"b","id":"mine"}},
            "c":{"task":{"kind":"c"},"split":{"items":[1],"size":0}},
            "d":{"task":{"kind":"c"},"split":{"size":1}},
            "e":{"task":{"kind":"c"},"after":[{"step":"a","on_failure":"cry"},5]},
            "f":{"after":"a"},
            "g":{"task":{"kind":"c","payload":1},"split":{"items":[1],"size":1}},
            "a":{"task":{"kind":"a"}}}}"#;
        insta::assert_snapshot!(refused(json));
        assert_eq!(refused("5"), "expected a workflow as an object, got 5");
        assert_eq!(refused("{}"), "steps: expected an object of steps by their names, got nothing");
        assert_eq!(
            refused(r#"{"steps":{"a":{"task":{"kind":"a"},"after":"b"}}}"#),
            "steps.a.after: there is no step b in this workflow"
        );
        assert!(matches!(read(b"{"), Err(Error::Task(crate::Error::Malformed(_)))));
        assert!(matches!(read_yaml(b"a: [1"), Err(Error::Yaml(_))));
    }
}
