//! A program that a handler starts: which one, where, and what of the worker's environment it may see.
//!
//! A child never sees the worker's own secrets: its environment is empty but for `PATH` (programs are found by it, the
//! child's own too), the variables on the allow-list, and what the handler tells it.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::group::{Group, Streams};

/// A program with its fixed arguments. It is started as it stands: no shell reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    name: String,
    arguments: Vec<String>,
    directory: Option<PathBuf>,
    visible: Vec<String>,
}

/// Why a program would not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not where it should be.
    #[error("program {0:?} is not found")]
    NotFound(String),
    /// It is not in any folder of `PATH`.
    #[error("program {name:?} is not found in PATH ({path})")]
    NotInPath {
        /// What was looked for.
        name: String,
        /// Where.
        path: String,
    },
    /// It is there, and may not be run.
    #[error("{0:?} is not an executable file")]
    NotExecutable(PathBuf),
    /// The directory that it shall run in is not there.
    #[error("directory {0:?} is not found")]
    NoDirectory(PathBuf),
    /// The system refused to start it.
    #[error("cannot start {name:?}")]
    Start {
        /// What was to be started.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

impl Program {
    /// A program from its name and arguments; `None` if there is no name. `visible` are the names of the environment
    /// variables that it may see.
    pub fn new(command: &[String], directory: Option<PathBuf>, visible: Vec<String>) -> Option<Self> {
        let (name, arguments) = command.split_first().filter(|(name, _)| !name.is_empty())?;
        Some(Self { name: name.clone(), arguments: arguments.to_vec(), directory, visible })
    }

    /// Its name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What would keep it from starting, as far as can be told without starting it.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(directory) = self.directory.as_ref().filter(|directory| !directory.is_dir()) {
            return Err(Error::NoDirectory(directory.clone()));
        }
        if self.name.contains('/') {
            let path = self.directory.as_ref().map_or_else(|| self.name.clone().into(), |dir| dir.join(&self.name));
            return match is_executable(&path) {
                Some(true) => Ok(()),
                Some(false) => Err(Error::NotExecutable(path)),
                None => Err(Error::NotFound(path.display().to_string())),
            };
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut refused = None;
        for candidate in std::env::split_paths(&path).map(|folder| folder.join(&self.name)) {
            match is_executable(&candidate) {
                Some(true) => return Ok(()),
                Some(false) => refused = refused.or(Some(candidate)),
                None => {}
            }
        }
        Err(refused.map_or_else(|| Error::NotInPath { name: self.name.clone(), path }, Error::NotExecutable))
    }

    /// Starts it, and tells it `told` by environment variables.
    pub(super) fn start(&self, told: &[(&str, String)]) -> Result<(Group, Streams), Error> {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).env_clear();
        let visible = self.visible.iter().map(String::as_str);
        command.envs(visible.chain(["PATH"]).filter_map(|name| Some((name, std::env::var_os(name)?))));
        // The system takes no variable that contains a zero byte, and the whole start would fail by it.
        command.envs(told.iter().filter(|(_, value)| !value.contains('\0')).map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        Group::start(&mut command).map_err(|source| match self.check() {
            Err(reason) => reason,
            Ok(()) => Error::Start { name: self.name.clone(), source },
        })
    }
}

// Whether a file may be run by somebody; `None` if there is none.
fn is_executable(path: &Path) -> Option<bool> {
    let metadata = fs::metadata(path).ok()?;
    Some(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, directory: Option<&str>) -> String {
        let program = Program::new(&[name.to_owned()], directory.map(Into::into), Vec::new()).unwrap();
        program.check().err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn says_what_would_keep_it_from_starting() {
        assert_eq!(check("sh", None), "");
        assert_eq!(check("/bin/sh", Some("/")), "");
        assert_eq!(check("./bin/sh", Some("/")), "");
        assert_eq!(check("/no/such", None), r#"program "/no/such" is not found"#);
        assert_eq!(check("/etc/passwd", None), r#""/etc/passwd" is not an executable file"#);
        assert_eq!(check("sh", Some("/no/such")), r#"directory "/no/such" is not found"#);
        assert!(check("no-such-program", None).starts_with(r#"program "no-such-program" is not found in PATH ("#));
        assert_eq!(Program::new(&[], None, Vec::new()), None);
    }
}
