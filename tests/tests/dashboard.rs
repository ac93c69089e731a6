//! The dashboard, as somebody sees it who opens it in a browser.

use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{Broker, Browser, Pool, broker::message, pool::Service};

const WORKER: &str = "slots = 2";

async fn publish(pool: &Pool, broker: &Broker, kind: &str, id: &str, payload: &Value) {
    broker.publish("", &pool.queue(), message(kind, id), payload.to_string().as_bytes()).await;
}

// A browser before a pool: the page is open when this returns.
async fn open(monitor: &Service, view: &str) -> Browser {
    let browser = Browser::start().await;
    browser.open(&format!("{}/{view}", monitor.url)).await;
    browser.sees("live").await;
    browser
}

async fn is_content(browser: &Browser) {
    assert_eq!(browser.complaints().await, [""; 0]);
}

#[tokio::test]
async fn an_open_page_follows_the_pool_and_says_when_it_cannot() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(WORKER).await, pool.monitor().await);
    let browser = open(&monitor, "#/tasks").await;
    browser.script("window.untouched = true; document.getElementById('search').focus()", &[]).await;

    publish(&pool, &broker, "echo", "followed", &json!({"n": 1})).await;
    browser.sees("followed").await;
    browser.sees("succeeded").await;
    // It was not loaded again, and whoever was typing still is.
    let state = browser.script("return [window.untouched, document.activeElement.id]", &[]).await;
    assert_eq!(state, json!([true, "search"]));
    is_content(&browser).await;

    monitor.process.freeze();
    browser.sees("The monitor has not answered since").await;
    monitor.process.thaw();
    browser.misses("The monitor has not answered since").await;
    publish(&pool, &broker, "echo", "after-the-gap", &json!({})).await;
    browser.sees("after-the-gap").await;
}

#[tokio::test]
async fn what_a_list_is_narrowed_to_is_in_the_address() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(WORKER).await, pool.monitor().await);
    publish(&pool, &broker, "echo", "an-echo", &json!({})).await;
    publish(&pool, &broker, "nobody-knows-it", "a-letter", &json!({})).await;
    monitor.task("a-letter", TaskState::Dead).await;
    monitor.task("an-echo", TaskState::Succeeded).await;
    let browser = open(&monitor, "#/tasks").await;
    browser.sees("a-letter").await;

    browser.click("succeeded").await;
    browser.misses("a-letter").await;
    assert!(browser.address().await.ends_with("#/tasks?state=succeeded"), "{}", browser.address().await);
    browser.click("succeeded").await;
    browser.fill("Kind", "nobody-knows-it").await;
    browser.misses("an-echo").await;
    assert!(browser.address().await.ends_with("#/tasks?kind=nobody-knows-it"), "{}", browser.address().await);

    // The same for whoever gets the link; and what cannot be meant is explained.
    browser.open(&format!("{}/#/tasks?state=succeeded&kind=echo", monitor.url)).await;
    browser.sees("an-echo").await;
    browser.misses("a-letter").await;
    is_content(&browser).await;
    browser.fill("Priority", "10").await;
    browser.sees("priority: ").await;
}
