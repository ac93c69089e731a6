//! Ends the programs of a worker that died without a word.
//!
//! Whoever is killed cannot end its children. Its guard can: this program once more, in a group of its own, at the end of
//! a pipe by which it is told of each group that begins and ends. When the pipe closes the worker is gone, and every
//! group that is left is killed; their tasks run again elsewhere.
//!
//! Only a program whose `main` begins with [`serve_if_asked`] can have one, for it is started by that name. A worker that
//! is killed between the start of a program and the word of it, some microseconds, leaves that program behind.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tracing::warn;

const NAME: &str = "__guard";

static GUARD: OnceLock<Mutex<Guard>> = OnceLock::new();

/// In a guard this does its work and returns true: then nothing else is to be done. In any other process it lets the
/// groups that begin from now on be guarded. To be called first of all in `main`.
#[must_use]
pub fn serve_if_asked() -> bool {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == NAME) {
        serve(io::stdin().lock());
        return true;
    }
    GUARD.get_or_init(Mutex::default);
    false
}

/// A group has begun.
pub(super) fn began(group: Pid) {
    tell(|guard| {
        guard.groups.insert(group.as_raw_nonzero().get());
        format!("+{}\n", group.as_raw_nonzero())
    });
}

/// A group has ended.
pub(super) fn ended(group: Pid) {
    tell(|guard| {
        guard.groups.remove(&group.as_raw_nonzero().get());
        format!("-{}\n", group.as_raw_nonzero())
    });
}

#[derive(Debug, Default)]
struct Guard {
    groups: BTreeSet<i32>,
    process: Option<Child>,
}

fn tell(change: impl FnOnce(&mut Guard) -> String) {
    let Some(guard) = GUARD.get() else { return };
    let mut guard = guard.lock().unwrap_or_else(PoisonError::into_inner);
    let line = change(&mut guard);
    guard.hear(&line);
}

impl Guard {
    // One that has died or does not listen is replaced, and the next told everything.
    fn hear(&mut self, line: &str) {
        if let Some(mut process) = self.process.take() {
            if process.stdin.as_mut().is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok()) {
                self.process = Some(process);
                return;
            }
            drop(process.kill());
            drop(process.wait());
        }
        match start(&self.groups) {
            Ok(process) => self.process = Some(process),
            Err(error) => warn!(%error, "no guard: the programs of this worker would outlive its sudden death"),
        }
    }
}

fn start(groups: &BTreeSet<i32>) -> io::Result<Child> {
    // Not by its name: the file may have been replaced since.
    let mut command = Command::new("/proc/self/exe");
    command.arg(NAME).env_clear().process_group(0);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let pipe = process.stdin.as_mut().expect("standard input is a pipe");
    // A worker never waits for its guard.
    rustix::io::ioctl_fionbio(&*pipe, true)?;
    for group in groups {
        pipe.write_all(format!("+{group}\n").as_bytes())?;
    }
    Ok(process)
}

fn serve(lines: impl BufRead) {
    for group in left_over(lines).into_iter().filter_map(Pid::from_raw) {
        // An error says that it is gone.
        kill_process_group(group, Signal::KILL).ok();
    }
}

fn left_over(lines: impl BufRead) -> BTreeSet<i32> {
    let mut groups = BTreeSet::new();
    for line in lines.lines().map_while(Result::ok) {
        let Some((what, Ok(group))) = line.split_at_checked(1).map(|(what, group)| (what, group.parse())) else {
            continue;
        };
        if what == "+" {
            groups.insert(group);
        } else {
            groups.remove(&group);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_and_not_ended_is_left_over() {
        let left = left_over(&b"+7\n+8\n-7\n+9\nnonsense\n\n+\n-9"[..]);
        assert_eq!(left, BTreeSet::from([8]));
    }
}
