//! What ran, written down outside of Warren: the handlers of `ledger-worker` append a line when they begin and when they
//! have done their work, and `ledger-producer` one for each task that was confirmed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

/// One execution of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Which process ran it.
    pub process: u32,
    /// When it began, in milliseconds since 1970.
    pub begun: u64,
    /// When its work was done; `None` if it failed, was stopped, or died with its process.
    pub done: Option<u64>,
}

/// Every execution, by task and attempt, in the order in which they began.
pub type Executions = BTreeMap<String, BTreeMap<u32, Vec<Execution>>>;

/// A file that several processes append to.
#[derive(Debug)]
pub struct Ledger(File);

impl Ledger {
    /// Opens or makes it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(path).map(Self)
    }

    /// Appends a line in one write, so that lines do not mix and the death of the process takes none back.
    pub fn write(&self, line: &str) -> std::io::Result<()> {
        (&self.0).write_all(format!("{line}\n").as_bytes())
    }

    /// A task begins.
    pub fn begin(&self, task: &str, attempt: u32) -> std::io::Result<()> {
        self.write(&format!("begin {task} {attempt} {} {}", std::process::id(), now()))
    }

    /// Its work is done.
    pub fn done(&self, task: &str, attempt: u32) -> std::io::Result<()> {
        self.write(&format!("done {task} {attempt} {} {}", std::process::id(), now()))
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(since.as_millis()).expect("it is earlier than the year 500,000,000")
}

/// Reads what the workers wrote.
pub fn executions(path: &Path) -> Executions {
    let mut executions = Executions::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        let [what, task, attempt, process, at] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not a line of the ledger: {line}")
        };
        let (attempt, process, at) = (number(attempt, line), number(process, line), number(at, line));
        let list = executions.entry(task.to_owned()).or_default().entry(attempt).or_default();
        match what {
            "begin" => list.push(Execution { process, begun: at, done: None }),
            "done" => {
                // One process runs an attempt twice only one after the other, if at all.
                let mine = list.iter_mut().rev().find(|execution| execution.process == process);
                mine.unwrap_or_else(|| panic!("done without begin: {line}")).done = Some(at);
            }
            _ => panic!("not a line of the ledger: {line}"),
        }
    }
    executions
}

fn number<T: FromStr>(text: &str, line: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {line}"))
}

/// Reads the ids that the producers wrote.
pub fn confirmed(path: &Path) -> BTreeSet<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// How many lines there are so far.
pub fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}
