//! A process of Warren, which a test can stop, kill and freeze.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::until;

/// A running process. It is killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program of this workspace, with these arguments and variables and none of Warren's own.
    pub fn start(program: &str, arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let folder = std::env::temp_dir().join("warren-test-logs");
        std::fs::create_dir_all(&folder).expect("a folder for logs");
        let log = folder.join(format!("{program}-{}.log", uuid::Uuid::now_v7()));
        let output = File::create(&log).expect("a log file");
        let mut command = Command::new(path_of(program));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WARREN_")) {
            command.env_remove(name);
        }
        command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("a second handle")).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        Self { name: program.to_owned(), child, log }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Dies at once, as by a power cut.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child of ours");
    }

    /// Is asked to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Does nothing any more, while its connections stay.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let what = format!("{} has ended", self.name);
        until(&what, patience, async || self.child.try_wait().expect("a child of ours").ok_or("running")).await
    }

    /// Whether it has ended already.
    pub fn is_dead(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// The largest resident size that it has had so far, in KiB; `None` if it has ended.
    pub fn peak(&self) -> Option<u64> {
        self.memory("VmHWM")
    }

    /// Its resident size, in KiB; `None` if it has ended.
    pub fn resident(&self) -> Option<u64> {
        self.memory("VmRSS")
    }

    // proc(5), /proc/PID/status.
    fn memory(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// What it has printed.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Keeps what it has printed in this folder, under its process id, as the ledger names it.
    pub fn save_output(&self, folder: &Path) {
        let file = folder.join(format!("{}-{}.log", self.name, self.child.id()));
        std::fs::copy(&self.log, file).expect("a copy of the log");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a child of ours can be signalled");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- {} ({})\n{}", self.name, self.log.display(), self.output());
        } else {
            drop(std::fs::remove_file(&self.log));
        }
    }
}

/// Where a program of this workspace was built: beside the tests, or the folder above.
pub fn path_of(program: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a program is in a folder");
    let path = folder.join(program);
    assert!(path.exists(), "{} is not built: run the tests with scripts/test", path.display());
    path
}
