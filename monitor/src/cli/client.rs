//! The monitor's API, as its client sees it.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use warren_runtime::{config::Secret, terminal::clean};

// Longer than any answer takes: the monitor itself waits for its Redis for less.
const PATIENCE: Duration = Duration::from_secs(30);
const TO_CONNECT: Duration = Duration::from_secs(5);

/// Who asks.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name under which it goes into the audit trail.
    pub name: String,
    /// The token of the monitor, where it wants one.
    pub token: Option<Secret>,
}

/// Asks one monitor; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    login: Login,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers there.
    #[error(
        "the monitor does not answer at {url}. Is it running? scripts/status says what is up; --url or \
         WARREN_MONITOR_URL names another address"
    )]
    Unreachable {
        /// Where it was looked for.
        url: Url,
        /// What was in the way.
        source: reqwest::Error,
    },
    /// It answers that it cannot or will not.
    #[error("{0}")]
    Refused(Problem),
    /// What it answers is not what this program understands.
    #[error("the answer of {url} cannot be read: is this a Warren monitor, and of this version?")]
    Unreadable {
        /// What was asked.
        url: Url,
        /// Why not.
        source: serde_json::Error,
    },
}

/// Why the monitor does not do it: `application/problem+json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What is wrong.
    #[serde(default)]
    pub detail: String,
    /// The field that it is wrong with.
    #[serde(default)]
    pub field: Option<String>,
}

/// An answer: JSON, as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    url: Url,
    text: String,
}

impl Client {
    /// Asks the monitor at this address.
    pub fn new(url: Url, login: Login) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder().timeout(PATIENCE).connect_timeout(TO_CONNECT);
        // A proxy cannot reach this machine's loopback.
        if url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]") {
            builder = builder.no_proxy();
        }
        Ok(Self { http: builder.build()?, url, login })
    }

    /// Where the monitor is.
    pub fn address(&self) -> &Url {
        &self.url
    }

    /// GET, with the parameters that have a value.
    pub async fn get(&self, path: &[&str], parameters: &[(&str, Option<String>)]) -> Result<Answer, Error> {
        let mut url = self.at(path);
        for (name, value) in parameters {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.send(Method::GET, url, None).await
    }

    /// POST, with a JSON body.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Answer, Error> {
        self.send(Method::POST, self.at(path), Some(body)).await
    }

    // Each part is escaped: an id may hold a slash.
    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().extend(path);
        url
    }

    async fn send(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, Error> {
        let token = self.login.token.as_ref().map(Secret::expose).unwrap_or_default();
        let mut request = self.http.request(method, url.clone()).basic_auth(&self.login.name, Some(token));
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable =
            |source: reqwest::Error| Error::Unreachable { url: self.url.clone(), source: source.without_url() };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer { url, text: response.text().await.map_err(unreachable)? });
        }
        Err(Error::Refused(Problem::of(status, response).await))
    }
}

impl Answer {
    /// The JSON as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.text).map_err(|source| Error::Unreadable { url: self.url.clone(), source })
    }
}

impl Error {
    /// How the process ends.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => 3,
            Self::Unreadable { .. } => 1,
            Self::Refused(problem) => match problem.status {
                // Its Redis or its broker is out of reach.
                503 => 3,
                // What was typed cannot be read.
                422 => 2,
                _ => 1,
            },
        }
    }
}

impl Problem {
    async fn of(status: StatusCode, response: Response) -> Self {
        let text = response.text().await.unwrap_or_default();
        let said: Option<Self> = serde_json::from_str(&text).ok();
        let said = said.filter(|problem| !problem.detail.is_empty());
        let silent = || Self { status: 0, detail: format!("the monitor answers {status}"), field: None };
        Self { status: status.as_u16(), ..said.unwrap_or_else(silent) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{}: ", clean(field))?;
        }
        f.write_str(&clean(&self.detail))?;
        match self.status {
            401 => write!(f, " (--token-file FILE, or WARREN_HTTP__TOKEN)"),
            _ => Ok(()),
        }
    }
}
