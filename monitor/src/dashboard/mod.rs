//! `/`: the dashboard. It is in the binary, needs nothing from elsewhere, and shows what the API says.
//!
//! Everything has to come from here: the policy forbids scripts and styles within the page and whatever is on another
//! server, and a browser that knows trusted types lets no text become markup.

mod asset;

use std::sync::LazyLock;

use asset::{ASSETS, Asset};
use axum::{
    Router,
    extract::Path,
    http::{
        HeaderMap, HeaderName, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use warren_runtime::http::Problem;

const TEMPLATE: &str = include_str!("index.html");

const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

static VERSION: LazyLock<String> = LazyLock::new(|| asset::version(TEMPLATE));
static PAGE: LazyLock<String> = LazyLock::new(|| page(&VERSION));

/// The page and its files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(index)).route("/assets/{version}/{*path}", get(file))
}

async fn index(headers: HeaderMap) -> Response {
    // Its links name the files of this build, so it is asked for each time, and costs nothing while it is the same.
    answer(&headers, "text/html; charset=utf-8", "no-cache", &PAGE)
}

async fn file(Path((version, path)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = Asset::find(&path) else {
        return Problem::new(StatusCode::NOT_FOUND, "the dashboard has no such file").into_response();
    };
    // Another build's page may ask here while a deploy rolls over several monitors: it gets what there is, not for ever.
    let caching = if version == *VERSION { "private, max-age=31536000, immutable" } else { "no-cache" };
    answer(&headers, asset.media_type(), caching, asset.body)
}

fn answer(asked: &HeaderMap, media_type: &'static str, caching: &'static str, body: &'static str) -> Response {
    let tag = format!("\"{}\"", *VERSION);
    let same = asked.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|known| known.contains(&tag));
    let headers: [(HeaderName, &str); 7] = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, caching),
        (ETAG, &tag),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    if same { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, body).into_response() }
}

fn page(version: &str) -> String {
    let links = |relation: &str, is_meant: fn(Asset) -> bool| {
        let meant = ASSETS.iter().copied().filter(|asset| is_meant(*asset));
        let link = |asset: Asset| format!("<link rel=\"{relation}\" href=\"assets/{{version}}/{}\">\n", asset.path);
        meant.map(link).collect::<String>()
    };
    TEMPLATE
        .replace("{styles}\n", &links("stylesheet", Asset::is_style))
        .replace("{modules}\n", &links("modulepreload", Asset::is_imported))
        .replace("{version}", version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_the_files_of_its_own_build() {
        assert!(!PAGE.contains('{'), "{}", *PAGE);
        let path = format!("assets/{}/app.js", *VERSION);
        assert!(PAGE.contains(&path));
        // Whatever is written into the page itself would be refused by its own policy.
        assert!(!PAGE.contains("<style") && !PAGE.contains("onclick") && PAGE.matches("<script").count() == 2);
    }

    #[tokio::test]
    async fn what_is_known_is_not_sent_again() {
        let mut known = HeaderMap::new();
        assert_eq!(index(known.clone()).await.status(), StatusCode::OK);
        known.insert(IF_NONE_MATCH, format!("W/\"x\", \"{}\"", *VERSION).parse().unwrap());
        assert_eq!(index(known).await.status(), StatusCode::NOT_MODIFIED);
        let file = |version: &str, path: &str| file(Path((version.into(), path.into())), HeaderMap::new());
        let current = file(&VERSION, "lib/dom.js").await;
        assert!(current.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert_eq!(file("older", "lib/dom.js").await.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(file(&VERSION, "../mod.rs").await.status(), StatusCode::NOT_FOUND);
    }
}
