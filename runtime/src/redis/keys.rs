//! The name of every key. All keys of a pool share one hash tag, so that a transaction may touch any of them.

use std::sync::Arc;

use warren_core::{Fingerprint, OrderId, QueueName, Span, TaskId, WorkflowId, command::Target};

/// The keys of one pool.
#[derive(Debug, Clone)]
pub struct Keys {
    tag: Arc<str>,
}

impl Keys {
    /// The keys in a namespace.
    pub fn new(namespace: &QueueName) -> Self {
        Self { tag: format!("{{{namespace}}}").into() }
    }

    /// String: a task's record, as JSON.
    pub fn task(&self, task: &TaskId) -> String {
        [&*self.tag, ":t:", task.as_str()].concat()
    }

    /// Sorted set: some tasks of one state and queue, in order; named as the field of [`Keys::counts`] that counts them.
    pub fn shelf(&self, field: &str) -> String {
        self.with(&format!("shelf:{field}"))
    }

    /// Sorted set: the running tasks, by the time at which they will be ended by force.
    pub fn limits(&self) -> String {
        self.with("limits")
    }

    /// Sorted set: the fingerprints of the dead letters, by the number of letters that have it.
    pub fn groups(&self) -> String {
        self.with("groups")
    }

    /// Sorted set: the dead letters of a fingerprint, by the time since which they are dead.
    pub fn group(&self, fingerprint: Fingerprint) -> String {
        self.with(&format!("group:{fingerprint}"))
    }

    /// Hash: what is to be done with dead letters, as JSON, by job.
    pub fn jobs(&self) -> String {
        self.with("jobs")
    }

    /// Set: the jobs that are not over.
    pub fn open_jobs(&self) -> String {
        self.with("jobs:open")
    }

    /// Hash: words to jobs, which the leader has not taken up yet.
    pub fn words(&self) -> String {
        self.with("jobs:words")
    }

    /// Hash: how far a job has come.
    pub fn job(&self, job: &OrderId) -> String {
        self.with(&format!("job:{job}"))
    }

    /// Set: the tasks that a job names and has not found yet.
    pub fn job_tasks(&self, job: &OrderId) -> String {
        self.with(&format!("job:{job}:tasks"))
    }

    /// Hash: dead letters that are being dealt with, as JSON, by task.
    pub fn replays(&self) -> String {
        self.with("replays")
    }

    /// List: questions about dead letters, as JSON, for the leader.
    pub fn questions(&self) -> String {
        self.with("questions")
    }

    /// String with an expiry: the answer to a question.
    pub fn answer(&self, question: &str) -> String {
        self.with(&format!("answer:{question}"))
    }

    /// Hash: how many tasks lie on each shelf, by `queue/state/kinds`.
    pub fn counts(&self) -> String {
        self.with("counts")
    }

    /// Hash with an expiry: the figures of the step of a span that begins then, in seconds since 1970.
    pub fn figures(&self, span: Span, step: u64) -> String {
        self.with(&format!("figures:{span}:{step}"))
    }

    /// Hash: the workers' records, as JSON.
    pub fn workers(&self) -> String {
        self.with("workers")
    }

    /// Hash: how far the projection has come in the event log: `offset`, and the `batch` that lies there.
    pub fn cursor(&self) -> String {
        self.with("cursor")
    }

    /// Hash: the last batch seen of each source, and when.
    pub fn sources(&self) -> String {
        self.with("sources")
    }

    /// String: what is wrong at present, as JSON, written by the leader.
    pub fn findings(&self) -> String {
        self.with("findings")
    }

    /// Hash: what the broker says of each queue, as JSON, written by the leader.
    pub fn queues(&self) -> String {
        self.with("queues")
    }

    /// Hash: the latest order about each queue and worker, as JSON.
    pub fn orders(&self) -> String {
        self.with("orders")
    }

    /// String: how many orders about tasks are in force, written by the leader.
    pub fn orders_about_tasks(&self) -> String {
        self.with("orders:tasks")
    }

    /// Sorted set, all of one score: the places of the audit trail.
    pub fn actions(&self) -> String {
        self.with("actions")
    }

    /// Hash: the audit trail, as JSON, by the id of the action.
    pub fn action_entries(&self) -> String {
        self.with("actions:entries")
    }

    /// Hash: what became of actions, where there is a word on it, by the id of the action.
    pub fn action_details(&self) -> String {
        self.with("actions:details")
    }

    /// String with an expiry: which monitor projects.
    pub fn leader(&self) -> String {
        self.with("leader")
    }

    /// String with an expiry: how the projection is, as JSON, written by the leader.
    pub fn status(&self) -> String {
        self.with("status")
    }

    /// Hash: the schedules, as JSON: the truth of what is to run when.
    pub fn schedules(&self) -> String {
        self.with("schedules")
    }

    /// Hash: how far each schedule has come, as JSON.
    pub fn schedule_progress(&self) -> String {
        self.with("schedules:progress")
    }

    /// String: another one each time that a schedule changes.
    pub fn schedule_edition(&self) -> String {
        self.with("schedules:edition")
    }

    /// Hash: what the event log says of the schedules, as JSON, written by the projection.
    pub fn schedule_history(&self) -> String {
        self.with("schedules:history")
    }

    /// String with an expiry: which producer runs the schedules.
    pub fn scheduler(&self) -> String {
        self.with("scheduler")
    }

    /// Sorted set: the workflows, by the time at which they were handed in.
    pub fn workflows(&self) -> String {
        self.with("workflows")
    }

    /// Sorted set: the workflows that are over, by the time at which they ended.
    pub fn workflows_ended(&self) -> String {
        self.with("workflows:ended")
    }

    /// Hash: a workflow: its `definition` and its `head` as JSON, and the statuses of its steps by their places.
    pub fn workflow(&self, workflow: &WorkflowId) -> String {
        self.with(&format!("workflow:{workflow}"))
    }

    /// Hash: the results of a workflow's tasks, as JSON, by the places of their steps.
    pub fn workflow_results(&self, workflow: &WorkflowId) -> String {
        self.with(&format!("workflow:{workflow}:results"))
    }

    /// Set: the tasks of workflows that are to be handed in, until the log knows of them.
    pub fn workflows_due(&self) -> String {
        self.with("workflows:due")
    }

    /// Set: the workflows that were cancelled and are not over.
    pub fn workflows_cancelled(&self) -> String {
        self.with("workflows:cancelled")
    }

    /// Hash: how far whoever runs workflows has come in the event log: `offset`, and the `batch` that lies there.
    pub fn workflows_cursor(&self) -> String {
        self.with("workflows:cursor")
    }

    /// Hash: whose steps the tasks are that are waited for by others or wait themselves, as JSON, by task.
    pub fn workflows_concerns(&self) -> String {
        self.with("workflows:concerns")
    }

    /// Set: the workflows that were made for a task and have ended, until the log knows how that ended.
    pub fn workflows_concluded(&self) -> String {
        self.with("workflows:concluded")
    }

    /// String with an expiry: which producer runs the workflows.
    pub fn workflows_leader(&self) -> String {
        self.with("workflows:leader")
    }

    /// The field of [`Keys::orders`] for a queue or a worker.
    pub fn order_field(target: &Target) -> String {
        match target {
            Target::Task(task) => format!("task:{task}"),
            Target::Queue(queue) => format!("queue:{queue}"),
            Target::Worker(worker) => format!("worker:{worker}"),
        }
    }

    /// A pattern that every key of the pool matches.
    pub fn everything(&self) -> String {
        // A namespace holds no character that means something in a pattern.
        self.with("*")
    }

    /// Whether this key of the pool is one of the many that a projection built anew writes anew.
    pub fn is_rebuilt(&self, key: &str) -> bool {
        let name = key.strip_prefix(&*self.tag).and_then(|name| name.strip_prefix(':')).unwrap_or_default();
        ["t:", "state:", "shelf:", "group:", "figures:"].iter().any(|prefix| name.starts_with(prefix))
    }

    fn with(&self, name: &str) -> String {
        format!("{}:{name}", self.tag)
    }
}
