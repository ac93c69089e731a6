//! Putting a worker together in code.

use std::{collections::HashMap, future::Future, path::PathBuf};

use serde::Serialize;
use warren_core::{InvalidName, Kind, retry::Policy};
use warren_runtime::{
    Shutdown,
    config::{self, Problems, Sources},
    telemetry, tls,
};

use crate::{
    check,
    config::Config,
    handler::{Context, Failure, Function, Job, SharedHandler},
    reading::Assignment,
    worker::Worker,
};

/// Puts a worker together: handlers in Rust, beside those that its configuration names.
#[derive(Default)]
pub struct Builder {
    config: Option<Config>,
    functions: Vec<(String, SharedHandler, Option<Policy>)>,
}

/// Why a worker cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A kind's name is not valid.
    #[error(transparent)]
    Kind(#[from] InvalidName),
    /// A configured handler cannot be made.
    #[error("{0}")]
    Handler(String),
}

impl Worker {
    /// Begins to put a worker together.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// Runs the tasks of a kind with an async function, under the configuration's default policy.
    #[must_use]
    pub fn task<F, R, T>(self, kind: &str, function: F) -> Self
    where
        F: Fn(Job, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, Failure>> + Send + 'static,
        T: Serialize + 'static,
    {
        self.add(kind, function, None)
    }

    /// The same under a policy of its own.
    #[must_use]
    pub fn task_with<F, R, T>(self, kind: &str, policy: Policy, function: F) -> Self
    where
        F: Fn(Job, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, Failure>> + Send + 'static,
        T: Serialize + 'static,
    {
        self.add(kind, function, Some(policy))
    }

    /// Takes this configuration instead of loading one from `WARREN_CONFIG` and the environment.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Checks everything and makes the worker; nothing connects yet.
    pub fn build(self) -> Result<Worker, BuildError> {
        let config = match self.config {
            Some(config) => config,
            None => load(std::env::var_os("WARREN_CONFIG").map(PathBuf::from))?,
        };
        let mut kinds: HashMap<Kind, Assignment> = config.assignments().map_err(BuildError::Handler)?;
        for (kind, handler, policy) in self.functions {
            let policy = policy.unwrap_or_else(|| config.default_policy());
            kinds.insert(Kind::parse(&kind)?, Assignment { handler, policy, slots: 1 });
        }
        Ok(Worker { config, kinds })
    }

    /// Makes the worker and runs it as a process of its own: logs, signals, and all.
    pub async fn run(self) -> anyhow::Result<()> {
        tls::install();
        let worker = self.build()?;
        telemetry::install(&worker.config.log)?;
        for problem in worker.config.handler_problems() {
            tracing::error!("{problem}: its tasks will fail");
        }
        for finding in check::timeouts(&worker) {
            tracing::warn!("{}", finding.detail);
        }
        let shutdown = Shutdown::default();
        let signals = shutdown.clone().on_signals();
        let working = worker.run(shutdown.clone());
        tokio::pin!(working);
        tokio::select! {
            ended = &mut working => ended?,
            signals = signals => {
                signals?;
                working.await?;
            }
        }
        Ok(())
    }

    fn add<F, R, T>(mut self, kind: &str, function: F, policy: Option<Policy>) -> Self
    where
        F: Fn(Job, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, Failure>> + Send + 'static,
        T: Serialize + 'static,
    {
        self.functions.push((kind.to_owned(), std::sync::Arc::new(Function::new(function)), policy));
        self
    }
}

/// Loads a worker's configuration from a file and the environment.
pub fn load(file: Option<PathBuf>) -> Result<Config, Problems> {
    config::load(&Sources::new(file))
}
