//! Asking before something that cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::anyhow;

use super::Failure;

/// What a dangerous command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Consent {
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// Asks on the terminal whether to do `what`; where nobody can be asked, it has to be said beforehand.
    pub fn to(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::Usage(anyhow!("--yes: expected, for nobody can be asked here whether to {what}")));
        }
        let mut stderr = io::stderr().lock();
        write!(stderr, "{what}? [y/N] ")?;
        stderr.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::Failed(anyhow!("nothing was done"))),
        }
    }
}
