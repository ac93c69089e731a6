//! Without its token a monitor that other machines can reach says nothing.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
};

use reqwest::{Method, StatusCode};
use serde_json::Value;
use warren_tests::{Pool, Process, http, pool::PATIENCE, until};

const TOKEN: &str = "s3cret";
const OPEN: [&str; 3] = ["/live", "/ready", "/metrics"];

/// A monitor that listens on every address of the machine.
struct Exposed {
    _process: Process,
    url: String,
    client: reqwest::Client,
}

impl Exposed {
    async fn start(pool: &Pool, more: &[(&'static str, String)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound address").port();
        drop(listener);
        let mut variables = pool.variables();
        variables.push(("WARREN_HTTP__LISTEN", format!("0.0.0.0:{port}")));
        variables.push(("WARREN_HTTP__TOKEN", TOKEN.to_owned()));
        variables.extend_from_slice(more);
        let process = Process::start("warren-monitor", &[], &variables);
        let exposed = Self { _process: process, url: format!("http://127.0.0.1:{port}"), client: http::client() };
        until("the monitor is ready", PATIENCE, async || match exposed.get("/ready").send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        exposed
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.get(path).bearer_auth(TOKEN).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.expect("text")
    }

    /// Every route that is described, with its methods, and every file that the page loads.
    async fn everything(&self) -> BTreeSet<(String, String)> {
        let document: Value = serde_json::from_str(&self.text("/api/openapi.json").await).expect("JSON");
        let mut all = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            let methods = methods.as_object().expect("methods").keys();
            all.extend(methods.map(|method| (method.to_uppercase(), path.replace(['{', '}'], ""))));
        }
        let page = self.text("/").await;
        let files: Vec<_> = page.split('"').filter(|text| text.starts_with("assets/")).collect();
        assert!(files.len() >= 3, "the page loads styles and scripts: {page}");
        let others = ["", "api/openapi.json", "nothing/here"].into_iter().chain(files);
        all.extend(others.map(|path| ("GET".to_owned(), format!("/{path}"))));
        all
    }

    async fn knock(&self, method: &str, path: &str, token: Option<&str>) -> reqwest::Response {
        let method: Method = method.parse().expect("a method");
        let request =
            self.client.request(method, format!("{}{path}", self.url)).header("content-type", "application/json");
        let request = match token {
            Some(token) => request.basic_auth("tests", Some(token)),
            None => request,
        };
        request.body("{}").send().await.expect("an answer")
    }
}

#[tokio::test]
async fn without_the_token_nothing_is_told_but_that_it_lives() {
    let pool = Pool::new();
    let monitor = Exposed::start(&pool, &[]).await;
    let all = monitor.everything().await;
    assert!(all.iter().any(|(_, path)| path == "/api/tasks/id"), "{all:?}");
    for (method, path) in &all {
        for token in [None, Some(""), Some("guess"), Some("s3cre"), Some("s3crett")] {
            let answer = monitor.knock(method, path, token).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path} with {token:?}");
            // A browser asks for name and token by itself when it reads this.
            let asks = answer.headers()["www-authenticate"].to_str().expect("text").to_owned();
            assert!(asks.starts_with("Basic "), "{method} {path}: {asks}");
            assert!(answer.text().await.expect("text").contains("expected"), "{method} {path} tells why, and no more");
        }
    }
    for path in OPEN {
        assert_eq!(monitor.knock("GET", path, None).await.status(), StatusCode::OK, "{path}");
    }
    // The token itself opens: the page, its files, and the data.
    let get = all.iter().filter(|(method, path)| method == "GET" && !path.contains("/id") && path != "/api/live");
    for (method, path) in get.filter(|(_, path)| path != "/nothing/here") {
        let answer = monitor.knock(method, path, Some(TOKEN)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{method} {path}");
    }
}

#[tokio::test]
async fn metrics_are_closed_where_that_is_wished() {
    let pool = Pool::new();
    let monitor = Exposed::start(&pool, &[("WARREN_HTTP__OPEN_METRICS", "false".to_owned())]).await;
    assert_eq!(monitor.knock("GET", "/metrics", None).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(monitor.knock("GET", "/metrics", Some(TOKEN)).await.status(), StatusCode::OK);
    assert_eq!(monitor.knock("GET", "/live", None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_monitor_that_others_can_reach_does_not_start_without_a_token() {
    let pool = Pool::new();
    let variables = [pool.variables(), vec![("WARREN_HTTP__LISTEN", "0.0.0.0:0".to_owned())]].concat();
    let mut process = Process::start("warren-monitor", &[], &variables);
    assert_eq!(process.ended(PATIENCE).await.code(), Some(2), "{}", process.output());
    assert!(process.output().contains("http.token"), "{}", process.output());
}

#[tokio::test]
async fn without_a_token_a_monitor_answers_to_no_name_that_another_site_can_point_at_it() {
    let pool = Pool::new();
    let monitor =
        pool.start("warren-monitor", &[], &[("WARREN_HTTP__HOSTS", "pool.example, other.example".into())]).await;
    for (host, expected) in
        [("evil.example", 421), ("pool.example", 200), ("other.example:8080", 200), ("monitor", 200)]
    {
        for path in ["/", "/api/overview"] {
            let request = http::client().get(format!("{}{path}", monitor.url)).header("host", host);
            assert_eq!(request.send().await.unwrap().status().as_u16(), expected, "{host}{path}");
        }
    }
}
