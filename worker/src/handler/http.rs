//! A web service: the payload is sent to it by POST, and its answer is the result.
//!
//! The task is told by headers: `Warren-Task-Id`, `Warren-Kind`, `Warren-Attempt` and, if the task carries one,
//! `traceparent`. 2xx is a success with the body as result; 408, 425, 429 and 5xx may be tried again, not before the
//! time that `Retry-After` asks for; any other status is a permanent failure. Redirects are not followed: a payload goes
//! where the configuration says, and nowhere else.

pub mod retry_after;

use std::{io, path::PathBuf, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use reqwest::{
    Certificate, Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderName},
    redirect,
};
use warren_core::{Outcome, Output};
use warren_runtime::{clock, tls};

use super::{Context, Handler, Job, capture::Head, failure::chain};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
// Shorter than common servers keep an idle connection (Node.js 5 s): a request on one that is just being closed fails.
const IDLE: Duration = Duration::from_secs(4);
// Of the body of a refusal, an error shows this much.
const SHOWN: usize = 1024;

/// Where payloads are sent, and with which headers beside those of the task.
#[derive(Debug, Clone)]
pub struct HttpTarget {
    url: Url,
    headers: HeaderMap,
    /// A certificate authority to trust beside the system's, as a PEM file.
    pub authority: Option<PathBuf>,
}

/// Why a service cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("expected an address as http://host:port/path or https://host/path")]
    Address,
    /// A header's name is none.
    #[error("not a valid name of a header")]
    HeaderName(#[from] InvalidHeaderName),
    /// The certificate authority cannot be read.
    #[error("cannot read the certificate authority from {path:?}")]
    Authority {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The client cannot be made.
    #[error("cannot prepare to call the service")]
    Client(#[from] reqwest::Error),
}

impl HttpTarget {
    /// A service at this address, `http://…` or `https://…`.
    pub fn new(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|_| Error::Address)?;
        if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
            return Err(Error::Address);
        }
        Ok(Self { url, headers: HeaderMap::new(), authority: None })
    }

    /// Adds a header to every request.
    pub fn header(mut self, name: &str, value: HeaderValue) -> Result<Self, Error> {
        self.headers.insert(HeaderName::try_from(name)?, value);
        Ok(self)
    }
}

/// Runs tasks by calling a service.
#[derive(Debug)]
pub struct Http {
    client: Client,
    target: HttpTarget,
    max_result_bytes: usize,
}

impl Http {
    /// Prepares to call; nothing connects yet.
    pub fn new(target: HttpTarget, max_result_bytes: usize) -> Result<Self, Error> {
        // Without a provider of cryptography the client panics, even for plain addresses.
        tls::install();
        // A proxy of the environment is not used: the address is what the configuration says. The timeout is the attempt's.
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE);
        if let Some(path) = &target.authority {
            let pem = std::fs::read(path).map_err(|source| Error::Authority { path: path.clone(), source })?;
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(Self { client: builder.build()?, target, max_result_bytes })
    }

    async fn call(&self, job: &Job) -> Result<Outcome, reqwest::Error> {
        let request = self.client.post(self.target.url.clone()).headers(self.headers(job)).body(job.payload.clone());
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Outcome::success(result(response, self.max_result_bytes).await?));
        }
        let after_ms = retry_after::read(response.headers(), clock::now());
        let error = refusal(response).await;
        Ok(if may_be_tried_again(status) { Outcome::Retryable { error, after_ms } } else { Outcome::permanent(error) })
    }

    fn headers(&self, job: &Job) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let texts = [
            ("warren-task-id", job.id.as_str()),
            ("warren-kind", job.kind.as_str()),
            ("warren-attempt", &job.attempt.to_string()),
            ("traceparent", job.traceparent.as_deref().unwrap_or_default()),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            // Ids are free of control characters; a trace context that is not is none.
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_TYPE, content_type(job));
        headers.extend(self.target.headers.clone());
        headers
    }
}

impl Handler for Http {
    fn run<'a>(&'a self, job: &'a Job, context: &'a Context) -> BoxFuture<'a, Outcome> {
        async {
            match context.stop.run_until_cancelled(self.call(job)).await {
                Some(Ok(outcome)) => outcome,
                // An address may hold a password.
                Some(Err(error)) => {
                    Outcome::retryable(format!("cannot call the service: {}", chain(&error.without_url())))
                }
                None => Outcome::retryable("stopped"),
            }
        }
        .boxed()
    }

    fn is_isolated(&self) -> bool {
        true
    }
}

// RFC 9110, sections 15.5.9 and 15.6; RFC 8470, section 5.2; RFC 6585, section 4.
fn may_be_tried_again(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
        || status.is_server_error()
}

fn content_type(job: &Job) -> HeaderValue {
    let given = job.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
    let guess = || {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&job.payload).is_ok();
        HeaderValue::from_static(if is_json { "application/json" } else { "application/octet-stream" })
    };
    given.unwrap_or_else(guess)
}

async fn result(mut response: Response, limit: usize) -> Result<Option<Output>, reqwest::Error> {
    if let Some(length) = response.content_length().filter(|length| *length > limit as u64) {
        return Ok(Some(Output::TooLong(length)));
    }
    // Read to its end, though not kept: where the length was not announced it is known only then.
    let mut body = Head::new(limit);
    while let Some(piece) = response.chunk().await? {
        body.push(&piece);
    }
    Ok(body.output())
}

async fn refusal(mut response: Response) -> String {
    let status = response.status();
    let mut body = Head::new(SHOWN);
    // What of the reason cannot be read is missing; the status is what counts.
    while let Ok(Some(piece)) = response.chunk().await {
        body.push(&piece);
        if body.is_full() {
            break;
        }
    }
    let reason = String::from_utf8_lossy(body.bytes());
    let separator = if reason.trim().is_empty() { "" } else { ": " };
    format!("the service answered {status}{separator}{}", reason.trim())
}

#[cfg(test)]
mod tests;
