//! From the tables to handlers that run.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use warren_core::Kind;

use super::{Config, HandlerConfig, HandlerType};
use crate::{
    handler::{Command, Echo, Http, HttpTarget, Process, ProcessLimits, SharedHandler, Sleep, failure::chain},
    reading::Assignment,
};

impl Config {
    /// Everything that this configuration can run: the kinds that are built in, and those that it names, which win.
    ///
    /// # Errors
    /// Says the key of what cannot be made into a handler. In a configuration that was validated this is a file that
    /// cannot be read.
    pub(crate) fn assignments(&self) -> Result<HashMap<Kind, Assignment>, String> {
        let built_in: [(&str, SharedHandler); 2] = [("echo", Arc::new(Echo)), ("sleep", Arc::new(Sleep))];
        let mut assignments = HashMap::new();
        for (kind, handler) in built_in {
            let kind = Kind::parse(kind).expect("the literal is a valid kind");
            let assignment = Assignment { handler, policy: self.default_policy(), slots: self.defaults.slots() };
            assignments.insert(kind, assignment);
        }
        for (name, config) in &self.handlers {
            let kind = Kind::parse(name).map_err(|error| format!("handlers.{name}: {error}"))?;
            let handler = self.handler(config).map_err(|problem| format!("handlers.{name}: {problem}"))?;
            let policy = config.policy().over(&self.defaults);
            assignments.insert(kind, Assignment { handler, policy: policy.policy(), slots: policy.slots() });
        }
        Ok(assignments)
    }

    /// What would keep the configured handlers from running here: programs and folders that are missing, programs that
    /// may not be executed. Each begins with its key.
    pub fn handler_problems(&self) -> Vec<String> {
        let problem = |(name, config): (&String, &HandlerConfig)| {
            let program = config.program()?;
            program.check().err().map(|error| format!("handlers.{name}: {}", chain(&error)))
        };
        self.handlers.iter().filter_map(problem).collect()
    }

    fn handler(&self, config: &HandlerConfig) -> Result<SharedHandler, String> {
        let program = || config.program().ok_or("names no program in its command");
        Ok(match config.handler {
            HandlerType::Command => Arc::new(Command::new(program()?, config.kill_grace(), self.max_result_bytes)),
            HandlerType::Process => {
                let at_once = self.slots / config.policy().over(&self.defaults).slots().max(1);
                let at_once = NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN);
                let limits = ProcessLimits {
                    processes: config.processes.unwrap_or(at_once),
                    max_tasks: config.max_tasks_per_process,
                    kill_grace: config.kill_grace(),
                };
                Arc::new(Process::new(program()?, limits))
            }
            HandlerType::Http => Arc::new(Http::new(target(config)?, self.max_result_bytes).map_err(|e| chain(&e))?),
        })
    }
}

fn target(config: &HandlerConfig) -> Result<HttpTarget, String> {
    let url = config.url.as_deref().unwrap_or_default();
    let mut target = HttpTarget::new(url).map_err(|error| format!("url: {}", chain(&error)))?;
    for (name, value) in config.headers.iter().flatten() {
        let value = value.resolve().map_err(|problem| format!("headers.{name}: {problem}"))?;
        target = target.header(name, value).map_err(|error| format!("headers.{name}: {}", chain(&error)))?;
    }
    target.authority.clone_from(&config.ca_file);
    Ok(target)
}
