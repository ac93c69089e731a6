//! What somebody wants to be done with dead letters.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use warren_core::{Fingerprint, Operator, OrderId, QueueName, TaskId, Timestamp, event::Wish};

use super::edit::Edit;

/// The order: who wants what. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Which job.
    pub id: OrderId,
    /// When it was given.
    pub at: Timestamp,
    /// By whom.
    pub by: Operator,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is to be done.
    pub act: Act,
    /// With which letters.
    pub target: Target,
    /// The queues in which they lie.
    pub queues: BTreeSet<QueueName>,
    /// How many letters there were when it was given.
    pub total: u64,
}

/// What is to be done with a letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Its task gets another attempt.
    Replay {
        /// What is changed of it before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edit: Option<Box<Edit>>,
        /// Letters a second; as fast as they are confirmed if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rate: Option<f64>,
        /// One letter goes first, and the others wait until somebody has looked at what became of it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        canary: bool,
    },
    /// It is thrown away.
    Discard,
}

/// Which letters are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// That of one task.
    Task(TaskId),
    /// Those of this many tasks; their ids are stored beside.
    Tasks(usize),
    /// Those of a group that were dead when the job was given: what dies again is not tried again.
    Group(Fingerprint),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => write!(f, "{task}"),
            Self::Tasks(number) => write!(f, "{number} tasks"),
            Self::Group(fingerprint) => write!(f, "group {fingerprint}"),
        }
    }
}

impl Act {
    /// Its name in the API and in the audit trail.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Replay { .. } => "replay",
            Self::Discard => "discard",
        }
    }

    /// Letters a second, where they are counted.
    pub fn rate(&self) -> Option<f64> {
        match self {
            Self::Replay { rate, .. } => *rate,
            Self::Discard => None,
        }
    }

    /// Whether one letter goes first.
    pub fn has_canary(&self) -> bool {
        match self {
            Self::Replay { canary, .. } => *canary,
            Self::Discard => false,
        }
    }
}

impl Job {
    /// What its facts say of whose wish it is.
    pub fn wish(&self) -> Wish {
        Wish { by: self.by.clone(), reason: self.reason.clone() }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It goes on.
    Running,
    /// Its first letter is on its way, and it waits for a word to go on.
    Canary,
    /// All is done that could be.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It could not be carried out.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Running, Self::Canary, Self::Done, Self::Stopped, Self::Failed];

    /// Its name in the API, and as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Canary => "canary",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        match self {
            Self::Running | Self::Canary => false,
            Self::Done | Self::Stopped | Self::Failed => true,
        }
    }
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub state: State,
    /// Letters that were dealt with.
    pub done: u64,
    /// Letters that could not be.
    pub failed: u64,
    /// The task that went first.
    pub canary: Option<TaskId>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was over.
    pub ended: Option<Timestamp>,
}

/// What somebody wants of a job that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Do no more.
    Stop,
    /// Go on after the canary.
    GoOn,
}

impl Word {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::GoOn => "go_on",
        }
    }

    /// The word of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Stop, Self::GoOn].into_iter().find(|word| word.name() == name)
    }
}

/// Where a word leads from a state; `None` if it makes no sense there.
pub fn follow(state: State, word: Word) -> Option<State> {
    match (state, word) {
        (State::Running | State::Canary, Word::Stop) => Some(State::Stopped),
        (State::Canary, Word::GoOn) => Some(State::Running),
        (State::Running, Word::GoOn) | (State::Done | State::Stopped | State::Failed, Word::Stop | Word::GoOn) => None,
    }
}

/// A job that is not over, as whoever carries it out sees it.
#[derive(Debug, Clone)]
pub struct Open {
    /// The order.
    pub job: Job,
    /// How far it has come.
    pub progress: Progress,
    /// The tasks that it names and that are still to be found.
    pub tasks: BTreeSet<TaskId>,
    /// Tasks whose letters could not be dealt with.
    pub refused: BTreeSet<TaskId>,
}

impl Open {
    /// Whether it wants this letter: that of a task which died at `died` and belongs to a group.
    pub fn wants(&self, task: &TaskId, group: Option<Fingerprint>, died: Timestamp) -> bool {
        self.is_going() && !self.refused.contains(task) && self.names(task, group, died)
    }

    fn names(&self, task: &TaskId, group: Option<Fingerprint>, died: Timestamp) -> bool {
        match &self.job.target {
            Target::Task(_) | Target::Tasks(_) => self.tasks.contains(task),
            Target::Group(wanted) => group == Some(*wanted) && died <= self.job.at,
        }
    }

    /// Whether it takes letters at present.
    pub fn is_going(&self) -> bool {
        let has_more = match &self.job.target {
            Target::Task(_) | Target::Tasks(_) => !self.tasks.is_empty(),
            Target::Group(_) => true,
        };
        self.progress.state == State::Running && has_more
    }

    /// Whether the next letter is to go alone.
    pub fn wants_canary(&self) -> bool {
        self.job.act.has_canary() && self.progress.canary.is_none()
    }

    /// How many letters are missing to its total.
    pub fn missing(&self) -> u64 {
        self.job.total.saturating_sub(self.progress.done + self.progress.failed)
    }
}

#[cfg(test)]
mod tests {
    use warren_core::Reason;

    use super::*;

    fn open(target: Target, tasks: &[&str]) -> Open {
        let id = OrderId::parse("j1").unwrap();
        let at = Timestamp::from_millis(100);
        let act = Act::Replay { edit: None, rate: Some(2.5), canary: true };
        let by = Operator::parse("jo").unwrap();
        let job = Job { id, at, by, reason: None, act, target, queues: BTreeSet::new(), total: 9 };
        let progress = Progress { state: State::Running, done: 1, failed: 2, canary: None, error: None, ended: None };
        let tasks = tasks.iter().map(|task| TaskId::parse(task).unwrap()).collect();
        Open { job, progress, tasks, refused: BTreeSet::new() }
    }

    #[test]
    fn a_job_wants_the_tasks_that_it_names_or_what_was_in_its_group_when_it_was_given() {
        let group = Fingerprint::new(&QueueName::default(), None, Reason::Permanent, "no");
        let other = Fingerprint::new(&QueueName::default(), None, Reason::Permanent, "never");
        let (task, late) = (TaskId::parse("t").unwrap(), Timestamp::from_millis(101));
        let early = Timestamp::from_millis(100);
        let by_name = open(Target::Tasks(1), &["t"]);
        assert!(by_name.wants(&task, None, late) && !by_name.wants(&TaskId::parse("u").unwrap(), None, early));
        let by_group = open(Target::Group(group), &[]);
        for (fingerprint, died, wanted) in
            [(Some(group), early, true), (Some(group), late, false), (Some(other), early, false), (None, early, false)]
        {
            assert_eq!(by_group.wants(&task, fingerprint, died), wanted, "{fingerprint:?} {died}");
        }
        assert_eq!(by_group.missing(), 6);
    }

    #[test]
    fn a_job_that_waits_for_a_word_wants_nothing() {
        let mut job = open(Target::Tasks(1), &["t"]);
        job.progress.state = State::Canary;
        assert!(!job.wants(&TaskId::parse("t").unwrap(), None, Timestamp::default()));
    }

    #[test]
    fn words_by_table() {
        for state in State::ALL {
            assert_eq!(follow(state, Word::Stop).is_some(), !state.is_over());
            assert_eq!(follow(state, Word::GoOn).is_some(), state == State::Canary);
        }
    }

    #[test]
    fn is_stored_and_read_back() {
        let job = open(Target::Task(TaskId::parse("t").unwrap()), &[]).job;
        let text = serde_json::to_string(&job).unwrap();
        insta::assert_snapshot!(text);
        assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
    }
}
