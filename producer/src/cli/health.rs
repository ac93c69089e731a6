//! For health checks in images that have no HTTP client.

use std::process::ExitCode;

use warren_producer::{Config, PORT};
use warren_runtime::http;

use super::Failure;

pub async fn run(config: &Config) -> Result<ExitCode, Failure> {
    http::ask(config.http.address(PORT)).await.map_err(|reason| Failure::failed(anyhow::anyhow!(reason)))?;
    Ok(ExitCode::SUCCESS)
}
