//! Redis: where the projection lives.

pub mod keys;
pub mod leader;

use std::{path::PathBuf, time::Duration};

use redis::{
    AsyncCommands, Client, RedisError, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};
use serde::Deserialize;
use warren_core::{TaskId, record::TaskRecord};

pub use keys::Keys;

use crate::config::{Problems, Secret};

/// Section `redis`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `redis://user:password@host:port/database`, or `rediss://` for TLS.
    pub url: Secret,
    /// A file that holds the URL, for those who keep secrets in files. It wins over `url`.
    pub url_file: Option<PathBuf>,
    /// The certificate authority of the server, as a PEM file; without it, the web's public ones are trusted.
    pub ca_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { url: Secret::new("redis://127.0.0.1:6379/0"), url_file: None, ca_file: None }
    }
}

impl Config {
    /// Reports every value that does not make sense.
    pub fn validate(&self, problems: &mut Problems) {
        if let Err(error) = self.client() {
            problems.add("redis.url", format_args!("expected redis://user:password@host:port/database: {error}"));
        }
    }

    fn client(&self) -> Result<Client, Error> {
        let url = match &self.url_file {
            Some(path) => Secret::from_file(path)?,
            None => self.url.clone(),
        };
        let certificates = match &self.ca_file {
            Some(path) => Some(std::fs::read(path).map_err(Error::Authority)?),
            None => None,
        };
        match certificates {
            Some(root) => {
                let tls = TlsCertificates { client_tls: None, root_cert: Some(root) };
                Client::build_with_tls(url.expose(), tls).map_err(Error::Address)
            }
            None => Client::open(url.expose()).map_err(Error::Address),
        }
    }
}

/// What went wrong between us and Redis.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be read from its file.
    #[error(transparent)]
    Secret(#[from] crate::config::SecretError),
    /// The certificate authority cannot be read.
    #[error("cannot read the certificate authority")]
    Authority(#[source] std::io::Error),
    /// The address cannot be used.
    #[error("cannot use the address of Redis")]
    Address(#[source] RedisError),
    /// A command failed.
    #[error("Redis failed")]
    Command(#[from] RedisError),
    /// A record cannot be read.
    #[error("the record of {task} cannot be read")]
    Record {
        /// Whose.
        task: TaskId,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Redis as the services see it; cheap to clone.
#[derive(Clone)]
pub struct Store {
    client: Client,
    manager: ConnectionManager,
    keys: Keys,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares to connect; Redis need not be there yet.
    pub fn new(config: &Config, keys: Keys) -> Result<Self, Error> {
        let client = config.client()?;
        // An answer takes longer than the library's half second while a million members are counted.
        let options = ConnectionManagerConfig::new()
            .set_response_timeout(Some(Duration::from_secs(5)))
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(1);
        let manager = client.get_connection_manager_lazy(options)?;
        Ok(Self { client, manager, keys })
    }

    /// The names of everything in it.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A connection that is shared and comes back by itself: for single commands and scripts.
    pub fn shared(&self) -> ConnectionManager {
        self.manager.clone()
    }

    /// A connection of one's own: for transactions that watch keys.
    pub async fn own(&self) -> Result<MultiplexedConnection, Error> {
        let options = redis::AsyncConnectionConfig::new()
            .set_response_timeout(Some(Duration::from_secs(10)))
            .set_connection_timeout(Some(Duration::from_secs(2)));
        Ok(self.client.get_multiplexed_async_connection_with_config(&options).await?)
    }

    /// The record of a task, if there is one.
    pub async fn task(&self, task: &TaskId) -> Result<Option<TaskRecord>, Error> {
        let text: Option<Vec<u8>> = self.shared().get(self.keys.task(task)).await?;
        let parse = |text: Vec<u8>| serde_json::from_slice(&text);
        text.map(parse).transpose().map_err(|source| Error::Record { task: task.clone(), source })
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Error> {
        Ok(redis::cmd("PING").query_async::<()>(&mut self.shared()).await?)
    }

    /// What Redis does when its memory is full (`maxmemory-policy`); `None` where it may not be asked.
    pub async fn eviction(&self) -> Result<Option<String>, Error> {
        let answer: Result<Vec<String>, _> =
            redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(&mut self.shared()).await;
        match answer {
            Ok(pair) => Ok(pair.into_iter().nth(1)),
            // Managed servers forbid CONFIG; they say so with an error of the server, not of the connection.
            Err(error) if !error.is_io_error() && !error.is_timeout() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
