//! Where the monitor is, and who asks.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::{Context, bail};
use reqwest::Url;
use warren_monitor::config::{Config, PORT};
use warren_runtime::config::Secret;

use super::{
    Failure,
    client::{Client, Login},
};

/// What every command that asks a monitor takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The monitor")]
pub struct Connection {
    // Clap would show the brackets and backticks that a doc comment wants around addresses and variables.
    #[arg(help = "The monitor's address [default: what http.listen says, http://127.0.0.1:8080]")]
    #[arg(long, value_name = "URL", env = "WARREN_MONITOR_URL", hide_env_values = true)]
    url: Option<Url>,
    #[arg(help = "A file that holds the monitor's token [default: http.token, WARREN_HTTP__TOKEN]")]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The name that goes into the audit trail [default: your login name]
    #[arg(long, value_name = "NAME", env = "WARREN_MONITOR_USER")]
    user: Option<String>,
}

impl Connection {
    /// A client of that monitor.
    pub fn client(self, config: &Config) -> Result<Client, Failure> {
        self.build(config).map_err(Failure::Usage)
    }

    fn build(self, config: &Config) -> anyhow::Result<Client> {
        let url = match self.url {
            Some(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            Some(url) => bail!("--url: expected http://HOST:PORT or https://HOST, got {url}"),
            None => own_address(config)?,
        };
        let token = match &self.token_file {
            Some(path) => Some(Secret::from_file(path).context("--token-file")?),
            None => config.http.secret().context("http.token_file")?,
        };
        let login = Login { name: name(self.user)?, token };
        Client::new(url, login).context("cannot make an HTTP client")
    }
}

// A monitor that listens everywhere is asked on loopback.
fn own_address(config: &Config) -> anyhow::Result<Url> {
    let mut address = config.http.address(PORT);
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok(Url::parse(&format!("http://{address}"))?)
}

fn name(given: Option<String>) -> anyhow::Result<String> {
    let variable = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    let name =
        given.or_else(|| variable("USER")).or_else(|| variable("LOGNAME")).unwrap_or_else(|| "terminal".to_owned());
    // RFC 7617: the name ends at the first colon.
    if name.is_empty() || name.chars().any(|c| c == ':' || c.is_control()) {
        bail!("--user: expected a name without a colon, got {name:?}");
    }
    Ok(name)
}
