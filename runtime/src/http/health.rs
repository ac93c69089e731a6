//! `/live` and `/ready`, and asking for them.

use std::{net::SocketAddr, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::readiness::Readiness;

/// `/live` answers while the process does; `/ready` is 200 only while it does what it is there for.
pub fn routes(readiness: Readiness) -> Router {
    Router::new()
        .route("/live", get(async || Json(json!({"live": true}))))
        .route("/ready", get(ready))
        .with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let missing = readiness.missing();
    let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = |list: Vec<(String, String)>| {
        list.iter().map(|(what, why)| json!({"what": what, "why": why})).collect::<Vec<_>>()
    };
    let answer = json!({"ready": missing.is_empty(), "missing": told(missing), "notes": told(readiness.notes())});
    (status, Json(answer))
}

/// Asks a process on this machine whether it is ready: for health checks in images that have no HTTP client.
pub async fn ask(listen: SocketAddr) -> Result<(), String> {
    // A process that listens everywhere is asked on loopback.
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(3), asking).await;
    let answer =
        answer.map_err(|_| format!("{address} does not answer"))?.map_err(|error| format!("{address}: {error}"))?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    Err(answer.lines().last().unwrap_or_default().to_owned())
}
