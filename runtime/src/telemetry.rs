//! Logs: for people on a terminal, as JSON lines elsewhere.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::{EnvFilter, fmt};

/// Section `log`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`) or tracing directives (`info,warren_worker=debug`).
    pub level: String,
    /// How.
    pub format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: Format::Auto }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people; coloured on a terminal, unless `NO_COLOR` is set.
    Human,
}

/// Why the logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level cannot be read.
    #[error("log.level: expected a level or tracing directives, got {level:?}")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody set up logs before.
    #[error("logs are set up already")]
    Twice,
}

/// Sends logs to standard error, so that standard output stays for results.
pub fn install(config: &Config) -> Result<(), Error> {
    let parse = EnvFilter::builder().parse(&config.level);
    let filter = parse.map_err(|source| Error::Level { level: config.level.clone(), source })?;
    // The client library reports every lost connection as an error of its own; the session says the same once.
    let filter = filter.add_directive("lapin=off".parse().expect("a literal directive"));
    let terminal = std::io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = match config.format {
        Format::Auto if !terminal => builder.json().flatten_event(true).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
        Format::Auto | Format::Human => {
            let colour = terminal && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).try_init()
        }
    };
    installed.map_err(|_| Error::Twice)
}
