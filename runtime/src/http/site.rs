//! Keeps pages of other sites from acting through somebody's browser.
//!
//! A browser sends its user's credentials along with whatever any page makes it send. But it says where a request comes
//! from (`Sec-Fetch-Site`, W3C Fetch Metadata; `Origin`, WHATWG Fetch), and asks beforehand whether a page of another site
//! may send JSON, to which nobody here says yes. Programs send neither header, and are let through if they name their JSON
//! as such.
//!
//! Another site can also let its own name point at this machine (DNS rebinding): then its page is of this site by every
//! word of the browser but one, the name in `Host`. Where no token is asked for, that name has to be one that nobody
//! outside can point here.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Problem;

const SITE: &str = "sec-fetch-site";

/// Refuses what changes something and comes from a page of another site, or is not called JSON.
pub(super) async fn keep_out_foreign_pages(request: Request, next: Next) -> Response {
    match judge(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Refuses what was sent to a name that anybody could have pointed here, unless it is one of `known`.
pub(super) async fn keep_out_foreign_names(
    State(known): State<Arc<[String]>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(HOST).map(|value| value.to_str().unwrap_or("?"));
    // HTTP/2 has the name in the target instead.
    match host.or_else(|| request.uri().authority().map(Authority::as_str)) {
        Some(host) if !is_safe(host, &known) => {
            let detail = format!(
                "{host:?} is no name of this service: without http.token it answers to addresses, localhost, names \
                 without a dot, and those in http.hosts"
            );
            Problem::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response()
        }
        Some(_) | None => next.run(request).await,
    }
}

fn is_safe(host: &str, known: &[String]) -> bool {
    // An IPv6 address stands in brackets.
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_address = name.parse::<IpAddr>().is_ok();
    is_address
        || !name.contains('.')
        || name.ends_with(".localhost")
        || known.iter().any(|own| own.eq_ignore_ascii_case(&name))
}

fn judge(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if method.is_safe() {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a page of another site may not act here (Sec-Fetch-Site)"));
    }
    if let Some(origin) = text(ORIGIN.as_str()) {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let is_here = authority.zip(text(HOST.as_str())).is_some_and(|(from, here)| from.eq_ignore_ascii_case(here));
        if !is_here {
            return Err(Problem::new(StatusCode::FORBIDDEN, "a page of another site may not act here (Origin)"));
        }
    }
    let kind = text(CONTENT_TYPE.as_str()).unwrap_or_default().split(';').next().unwrap_or_default().trim();
    // A browser asks beforehand about these alike (WHATWG Fetch, CORS-safelisted request-header).
    if !["application/json", "application/yaml"].iter().any(|one| kind.eq_ignore_ascii_case(one)) {
        let detail = "expected the header Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, headers: &[(&str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        judge(method, &map).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn lets_through_by_table() {
        let json = ("content-type", "application/json; charset=utf-8");
        let host = ("host", "pool.example:8080");
        for (headers, expected) in [
            (vec![json], 200),
            (vec![], 415),
            (vec![("content-type", "text/plain")], 415),
            (vec![("content-type", "application/x-www-form-urlencoded")], 415),
            (vec![json, ("sec-fetch-site", "same-origin")], 200),
            (vec![json, ("sec-fetch-site", "none")], 200),
            (vec![json, ("sec-fetch-site", "same-site")], 403),
            (vec![json, ("sec-fetch-site", "cross-site")], 403),
            (vec![json, host, ("origin", "http://pool.example:8080")], 200),
            (vec![json, host, ("origin", "https://POOL.example:8080")], 200),
            (vec![json, host, ("origin", "http://evil.example")], 403),
            (vec![json, host, ("origin", "http://pool.example:9090")], 403),
            (vec![json, host, ("origin", "null")], 403),
            (vec![json, ("origin", "http://pool.example:8080")], 403),
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert_eq!(status(&method, &headers), expected, "{method} {headers:?}");
            }
            assert_eq!(status(&Method::GET, &headers), 200, "what changes nothing is open to links");
        }
    }

    #[test]
    fn only_names_that_nobody_can_point_here_are_safe() {
        let known = ["pool.example".to_owned()];
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("192.168.1.7", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("warren.localhost:8080", true),
            ("monitor:8080", true),
            ("pool.example:8080", true),
            ("Pool.Example.", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("pool.example.evil.example", false),
            ("?.?", false),
        ] {
            assert_eq!(is_safe(host, &known), expected, "{host}");
        }
    }
}
