//! A child program and everything that it starts: one process group, which ends as a whole.
//!
//! Whatever happens to a [`Group`], a dropped one included, none of its processes outlives it. Only a program that
//! leaves its group on purpose (`setsid`) escapes.

use std::{
    fmt, io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group, test_kill_process_group},
};
use tokio::{
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};

use super::{capture::Tail, guard};

// Nobody tells when a group becomes empty: its last members are no children of ours.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A running child program, the leader of its group.
#[derive(Debug)]
pub struct Group {
    leader: Child,
    // Taken once the group has been killed: later the number may belong to strangers.
    id: Option<Pid>,
}

/// The ends of a child's standard streams.
#[derive(Debug)]
pub struct Streams {
    /// What it reads.
    pub stdin: ChildStdin,
    /// What it prints.
    pub stdout: ChildStdout,
    /// What it complains about.
    pub stderr: ChildStderr,
}

impl Group {
    /// Starts a program in a group of its own.
    pub fn start(command: &mut Command) -> io::Result<(Self, Streams)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut leader = command.spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let streams = Streams {
            stdin: leader.stdin.take().expect("standard input is a pipe"),
            stdout: leader.stdout.take().expect("standard output is a pipe"),
            stderr: leader.stderr.take().expect("standard error is a pipe"),
        };
        if let Some(id) = id {
            guard::began(id);
        }
        Ok((Self { leader, id }, streams))
    }

    /// Waits until the leader ends by itself, and kills what it leaves behind. Cancel safe.
    pub async fn ended(&mut self) -> io::Result<Exit> {
        let status = self.leader.wait().await;
        self.kill();
        status.map(Exit)
    }

    /// How the leader ended, if it has; kills what it left behind.
    pub fn ended_already(&mut self) -> io::Result<Option<Exit>> {
        let status = self.leader.try_wait()?;
        if status.is_some() {
            self.kill();
        }
        Ok(status.map(Exit))
    }

    /// Asks the whole group to end, waits for as long as `grace`, and kills what is then still there.
    pub async fn stop(&mut self, grace: Duration) -> io::Result<Exit> {
        self.signal(Signal::TERM);
        // The leader may be a shell that dies at once, while the program in it still tidies up.
        let empty = async {
            self.leader.wait().await?;
            while self.id.is_some_and(|id| test_kill_process_group(id) != Err(Errno::SRCH)) {
                sleep(LOOK_AGAIN).await;
            }
            Ok::<_, io::Error>(())
        };
        // Neither the time's being up nor an error changes what comes next.
        drop(timeout(grace, empty).await);
        self.kill();
        self.leader.wait().await.map(Exit)
    }

    /// Kills the whole group.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(id) = self.id.take() {
            guard::ended(id);
        }
    }

    fn signal(&self, signal: Signal) {
        // An error says that nobody is left. The number is no stranger's: as long as the leader has not been waited for
        // it is taken, and numbers are handed out in turn, so that afterwards a whole round would have to pass first.
        if let Some(id) = self.id {
            kill_process_group(id, signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(ExitStatus);

impl Exit {
    /// The number that it gave; `None` if a signal ended it.
    pub fn code(self) -> Option<i32> {
        self.0.code()
    }

    /// With the last that the program complained about.
    pub fn described(self, errors: &Tail) -> String {
        let errors = errors.text();
        if errors.is_empty() { format!("the program {self}") } else { format!("the program {self}: {errors}") }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "exited with status {code}"),
            (None, Some(number)) => write!(f, "was killed by {}", SignalName(number)),
            (None, None) => write!(f, "ended in an unknown way"),
        }
    }
}

struct SignalName(i32);

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Signal::HUP, "SIGHUP"),
            (Signal::INT, "SIGINT"),
            (Signal::QUIT, "SIGQUIT"),
            (Signal::ILL, "SIGILL"),
            (Signal::TRAP, "SIGTRAP"),
            (Signal::ABORT, "SIGABRT"),
            (Signal::BUS, "SIGBUS"),
            (Signal::FPE, "SIGFPE"),
            (Signal::KILL, "SIGKILL"),
            (Signal::USR1, "SIGUSR1"),
            (Signal::SEGV, "SIGSEGV"),
            (Signal::USR2, "SIGUSR2"),
            (Signal::PIPE, "SIGPIPE"),
            (Signal::ALARM, "SIGALRM"),
            (Signal::TERM, "SIGTERM"),
            (Signal::XCPU, "SIGXCPU"),
            (Signal::XFSZ, "SIGXFSZ"),
            (Signal::SYS, "SIGSYS"),
        ];
        match names.iter().find(|(signal, _)| signal.as_raw() == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}
