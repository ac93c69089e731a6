//! Who is let in.

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};

use super::Problem;
use crate::config::Secret;

/// Lets a request pass that shows the token, or every request where there is none.
#[derive(Debug, Clone)]
pub struct Guard {
    token: Option<Secret>,
}

impl Guard {
    /// With this token.
    pub fn new(token: Option<Secret>) -> Self {
        Self { token }
    }

    /// Whether everybody passes.
    pub fn is_open(&self) -> bool {
        self.token.is_none()
    }

    /// Stands before these routes.
    pub fn before(&self, routes: Router) -> Router {
        routes.layer(middleware::from_fn_with_state(self.clone(), check))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        shown
            .and_then(|value| value.split_once(' '))
            .is_some_and(|(scheme, shown)| scheme.eq_ignore_ascii_case("bearer") && token.matches(shown.trim()))
    }
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if guard.admits(request.headers()) {
        return next.run(request).await;
    }
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "expected the header Authorization: Bearer with the token");
    ([("www-authenticate", "Bearer")], problem).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_by_table() {
        let guard = Guard::new(Some(Secret::new("s3cret")));
        for (value, admitted) in [
            (None, false),
            (Some("s3cret"), false),
            (Some("Basic s3cret"), false),
            (Some("Bearer wrong"), false),
            (Some("Bearer s3cret"), true),
            (Some("bearer s3cret"), true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(guard.admits(&headers), admitted, "{value:?}");
        }
        assert!(Guard::new(None).admits(&HeaderMap::new()));
    }
}
