//! Who is let in, and as whom.
//!
//! A caller shows the token as `Authorization: Bearer TOKEN`, or with a name as `Authorization: Basic` (RFC 7617), which
//! browsers ask for by themselves and then send along with everything, event streams included. The name is taken at its
//! word: it is for the audit trail, the token for the door.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use warren_core::{Operator, base64};

use super::{Problem, site};
use crate::config::Secret;

const CHALLENGE: &str = r#"Basic realm="warren", charset="UTF-8""#;

/// Lets a request pass that shows the token, or every request where there is none. Handlers find out who acts by the
/// extension [`Operator`].
#[derive(Debug, Clone)]
pub struct Guard {
    token: Option<Secret>,
    hosts: Arc<[String]>,
}

impl Guard {
    /// With this token, and for a service that is reached by these names, separated by commas.
    pub fn new(token: Option<Secret>, hosts: &str) -> Self {
        Self { token, hosts: hosts.split(',').map(|name| name.trim().to_owned()).collect() }
    }

    /// Whether everybody passes.
    pub fn is_open(&self) -> bool {
        self.token.is_none()
    }

    /// Stands before these routes, and keeps other sites from acting through somebody's browser.
    pub fn before(&self, routes: Router) -> Router {
        // The last is the outermost: who shows no token learns nothing, not even what else is wrong.
        let routes = routes
            .layer(middleware::from_fn(site::keep_out_foreign_pages))
            .layer(middleware::from_fn_with_state(self.clone(), check));
        // A browser sends the token to no name that it was not given for.
        if self.is_open() {
            routes.layer(middleware::from_fn_with_state(self.hosts.clone(), site::keep_out_foreign_names))
        } else {
            routes
        }
    }

    // Whom the request comes from, if it is let in.
    fn admit(&self, headers: &HeaderMap) -> Option<Operator> {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let Some(token) = &self.token else {
            // A name is welcome where no token is wanted.
            return Some(
                shown.and_then(|(scheme, shown)| basic(scheme, shown)).map_or_else(anonymous, |(name, _)| name),
            );
        };
        let (scheme, shown) = shown?;
        let (name, given) = if scheme.eq_ignore_ascii_case("bearer") {
            (named("token"), shown.trim().to_owned())
        } else {
            basic(scheme, shown)?
        };
        token.matches(&given).then_some(name)
    }
}

async fn check(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if let Some(operator) = guard.admit(request.headers()) {
        request.extensions_mut().insert(operator);
        return next.run(request).await;
    }
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "expected the header Authorization: Bearer with the token, or Basic with a name and the token as password",
    );
    ([(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE))], problem).into_response()
}

// RFC 7617, section 2: base64 of name, colon, password; the name holds no colon.
fn basic(scheme: &str, shown: &str) -> Option<(Operator, String)> {
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(base64::decode(shown.trim())?).ok()?;
    let (name, password) = text.split_once(':')?;
    let name = if name.is_empty() { named("token") } else { Operator::parse(name).ok()? };
    Some((name, password.to_owned()))
}

fn anonymous() -> Operator {
    named("anonymous")
}

fn named(name: &str) -> Operator {
    Operator::parse(name).expect("the literal is a valid name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(guard: &Guard, value: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        guard.admit(&headers).map(|operator| operator.to_string())
    }

    #[test]
    fn admits_by_table() {
        let guard = Guard::new(Some(Secret::new("s3cret")), "");
        let basic = |pair: &str| format!("Basic {}", base64::encode(pair.as_bytes()));
        for (value, by) in [
            (None, None),
            (Some("s3cret".to_owned()), None),
            (Some("Basic s3cret".to_owned()), None),
            (Some("Bearer wrong".to_owned()), None),
            (Some("Bearer s3cret".to_owned()), Some("token")),
            (Some("bearer s3cret".to_owned()), Some("token")),
            (Some(basic("ann:s3cret")), Some("ann")),
            (Some(basic("Zoë:s3cret")), Some("Zoë")),
            (Some(basic(":s3cret")), Some("token")),
            (Some(basic("ann:wrong")), None),
            (Some(basic("ann")), None),
            (Some(basic("a\nb:s3cret")), None),
            (Some(basic("s3cret:")), None),
        ] {
            assert_eq!(admitted(&guard, value.as_deref()).as_deref(), by, "{value:?}");
        }
    }

    #[test]
    fn without_a_token_everybody_is_let_in_and_may_say_who_it_is() {
        let guard = Guard::new(None, "");
        assert_eq!(admitted(&guard, None).as_deref(), Some("anonymous"));
        assert_eq!(admitted(&guard, Some("Bearer x")).as_deref(), Some("anonymous"));
        let basic = format!("Basic {}", base64::encode(b"ann:"));
        assert_eq!(admitted(&guard, Some(&basic)).as_deref(), Some("ann"));
    }
}
