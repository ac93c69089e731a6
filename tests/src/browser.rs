//! A headless Chromium that a test looks through and clicks in, driven by `ChromeDriver` over HTTP.
//!
//! The protocol is W3C's `WebDriver` (<https://www.w3.org/TR/webdriver2/>), as little of it as the tests need.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::{http, until};

// A browser that starts beside three others on two cores takes its time.
const PATIENCE: Duration = Duration::from_mins(1);
// How the protocol names a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const ENTER: &str = "\u{E007}";
// What a key does all at once, a person takes several for.
const CONTROL_A: &str = "\u{E009}a\u{E009}";

/// A browser with one window. It is gone when it is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    session: String,
    folder: PathBuf,
    client: reqwest::Client,
}

impl Browser {
    /// Starts one.
    pub async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("warren-browser-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).expect("a folder for the browser's files");
        let mut command = Command::new("chromedriver");
        command.env("TMPDIR", &folder);
        // A group of its own, so that nothing that Chromium starts can be left behind.
        command.process_group(0);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().expect("chromedriver is installed: run the tests with scripts/test");
        let printed = BufReader::new(driver.stdout.take().expect("its output is ours"));
        let port = printed.lines().map_while(Result::ok).find_map(|line| {
            line.split_once("started successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
        });
        let address = format!("http://127.0.0.1:{}/session", port.expect("chromedriver says where it listens"));
        let mut browser = Self { driver, session: address.clone(), folder, client: http::client() };
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-quic",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = browser.post("", wanted).await.expect("Chromium starts");
        browser.session = format!("{address}/{}", session["sessionId"].as_str().expect("a session"));
        browser
    }

    /// Goes to this address.
    pub async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await.expect("a page");
    }

    /// The address that the window shows.
    pub async fn address(&self) -> String {
        self.script("return location.href", &[]).await.as_str().expect("an address").to_owned()
    }

    /// What a script in the page returns.
    pub async fn script(&self, text: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", json!({"script": text, "args": arguments})).await.expect("the script runs")
    }

    /// Makes the window this wide, as a phone is.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// The text that can be read on the page.
    pub async fn text(&self) -> String {
        self.script("return document.body.innerText", &[]).await.as_str().expect("text").to_owned()
    }

    /// Waits until the page says this.
    pub async fn sees(&self, text: &str) {
        let looking = async || {
            let seen = self.text().await;
            if seen.contains(text) { Ok(()) } else { Err(seen) }
        };
        until(&format!("the page says {text:?}"), PATIENCE, looking).await;
    }

    /// Waits until the page does not say this any more.
    pub async fn misses(&self, text: &str) {
        let looking = async || {
            let seen = self.text().await;
            if seen.contains(text) { Err(seen) } else { Ok(()) }
        };
        until(&format!("the page does not say {text:?} any more"), PATIENCE, looking).await;
    }

    /// Clicks what has this text or label, once it is there and can be clicked.
    pub async fn click(&self, name: &str) {
        let path = format!(
            "//*[self::button or self::a or self::summary or self::input][normalize-space()='{name}' or @aria-label='{name}']"
        );
        self.act(&path, "click", json!({})).await;
    }

    /// Types into the field of this label, instead of what is in there, and presses the enter key.
    pub async fn fill(&self, label: &str, text: &str) {
        let path = format!(
            "//label[span[normalize-space()='{label}']]/*[self::input or self::textarea] | //input[@aria-label='{label}'] | //textarea[@aria-label='{label}']"
        );
        self.act(&path, "value", json!({"text": format!("{CONTROL_A}{text}{ENTER}")})).await;
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: &str) {
        let focused = self.script("return document.activeElement", &[]).await;
        let element = focused[ELEMENT].as_str().expect("something has the focus");
        self.post(&format!("/element/{element}/value"), json!({"text": keys})).await.expect("the keys are taken");
    }

    /// What the page has complained of since this was asked last: errors, refused scripts, answers that were errors.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await.expect("the console");
        let bad = |entry: &Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        entries.as_array().expect("entries").iter().filter(|entry| bad(entry)).map(ToString::to_string).collect()
    }

    // Views are drawn anew while one looks: what was found can be gone, or covered for a moment.
    async fn act(&self, path: &str, action: &str, body: Value) {
        until(&format!("{action} {path}"), PATIENCE, async || {
            let found = self.post("/element", json!({"using": "xpath", "value": path})).await?;
            let element = found[ELEMENT].as_str().ok_or("no element")?;
            self.post(&format!("/element/{element}/{action}"), body.clone()).await
        })
        .await;
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", body).await.expect("the browser obeys");
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        let request = self.client.post(format!("{}{path}", self.session)).timeout(PATIENCE).json(&body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let failed = !answer.status().is_success();
        let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        let value = answer["value"].take();
        if failed { Err(value["message"].as_str().unwrap_or_default().to_owned()) } else { Ok(value) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browsers only when it is asked by HTTP, and who is dropped cannot wait for an answer.
        let group = i32::try_from(self.driver.id()).ok().and_then(Pid::from_raw).expect("a process id");
        if let Err(error) = kill_process_group(group, Signal::KILL) {
            eprintln!("the processes of a browser stay behind: {error}");
        }
        drop(self.driver.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
