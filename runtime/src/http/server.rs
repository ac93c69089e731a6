//! Listening.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::Router;
use serde::Deserialize;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::{Guard, Metrics, health};
use crate::{
    config::{Problems, Secret},
    readiness::Readiness,
};

// Longer than any answer takes; a stream of events listens to `drain` by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Section `http`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to listen; by default on the loopback address, at the service's own port.
    pub listen: Option<SocketAddr>,
    /// What a caller must show (`Authorization: Bearer TOKEN`, or `Basic` with any name) for everything but health and metrics.
    pub token: Option<Secret>,
    /// A file that holds the token. It wins over `token`.
    pub token_file: Option<PathBuf>,
    /// Let everybody in who can reach the address.
    pub allow_unauthenticated: bool,
    /// The names by which the service is reached without a token, separated by commas, beside addresses, `localhost` and names
    /// without a dot.
    pub hosts: String,
    /// Whether metrics are open without the token.
    pub open_metrics: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            token: None,
            token_file: None,
            allow_unauthenticated: false,
            hosts: String::new(),
            open_metrics: true,
        }
    }
}

impl Config {
    /// Where to listen, for a service whose own port this is.
    pub fn address(&self, port: u16) -> SocketAddr {
        self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Reports every value that does not make sense.
    pub fn validate(&self, problems: &mut Problems) {
        match self.secret() {
            Err(error) => problems.add("http.token_file", error),
            Ok(Some(token)) if token.expose().is_empty() => problems.add("http.token", "expected a token, got nothing"),
            Ok(Some(_)) => {}
            Ok(None) => match self.listen {
                Some(address) if !address.ip().is_loopback() && !self.allow_unauthenticated => problems.add(
                    "http.listen",
                    format_args!(
                        "{address} can be reached from other machines: set http.token or http.token_file, or \
                         http.allow_unauthenticated = true"
                    ),
                ),
                Some(_) | None => {}
            },
        }
    }

    /// The token, from where it was given; `None` if there is none.
    pub fn secret(&self) -> Result<Option<Secret>, crate::config::SecretError> {
        match &self.token_file {
            Some(path) => Secret::from_file(path).map(Some),
            None => Ok(self.token.clone()),
        }
    }
}

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (http.listen)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] crate::config::SecretError),
}

/// A server that listens already and answers once it runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
}

impl Server {
    /// Listens, by default at the service's own `port`. The routes given here are behind the guard; health and metrics are added beside them.
    pub async fn bind(
        config: &Config,
        port: u16,
        guarded: Router,
        readiness: Readiness,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let address = config.address(port);
        let guard = Guard::new(config.secret()?, &config.hosts);
        if guard.is_open() && !address.ip().is_loopback() {
            warn!(%address, "anybody who reaches this address is let in: http.allow_unauthenticated is set");
        }
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
        let metrics = metrics.routes();
        let metrics = if config.open_metrics { metrics } else { guard.before(metrics) };
        let router = health::routes(readiness).merge(metrics).merge(guard.before(guarded));
        Ok(Self { listener, router })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until the process has drained; health is told until the very end, when `stop` is cancelled.
    pub async fn run(self, stop: tokio_util::sync::CancellationToken) {
        if let Some(address) = self.address() {
            info!(%address, "listening");
        }
        let serving = axum::serve(self.listener, self.router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving.into_future() => if let Err(error) = served {
                tracing::error!(%error, "the HTTP server has ended");
            },
            () = patience => {}
        }
    }
}
