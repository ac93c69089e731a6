//! The HTTP gateway as a process.

use std::{net::SocketAddr, process::ExitCode};

use warren_producer::Config;
use warren_runtime::{Shutdown, telemetry};

use super::Failure;
use crate::gateway::Gateway;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen, instead of 127.0.0.1:8081. Elsewhere than on loopback it wants a token (http.token).
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

impl Args {
    pub fn flags(&self) -> Option<(&'static str, String)> {
        self.listen.map(|address| ("http.listen", address.to_string()))
    }
}

pub async fn run(config: Config) -> Result<ExitCode, Failure> {
    telemetry::install(&config.log).map_err(Failure::usage)?;
    let gateway = Gateway::bind(config).await.map_err(Failure::failed)?;
    gateway.run(&Shutdown::default()).await.map_err(Failure::failed)?;
    Ok(ExitCode::SUCCESS)
}
