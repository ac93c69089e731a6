//! Keeps pages of other sites from acting through somebody's browser.
//!
//! A browser sends its user's credentials along with whatever any page makes it send. But it says where a request comes
//! from (`Sec-Fetch-Site`, W3C Fetch Metadata; `Origin`, WHATWG Fetch), and asks beforehand whether a page of another site
//! may send JSON, to which nobody here says yes. Programs send neither header, and are let through if they name their JSON
//! as such.

use axum::{
    extract::Request,
    http::{
        HeaderMap, Method, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
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
    if !kind.eq_ignore_ascii_case("application/json") {
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
}
