//! The dashboard, as somebody sees it who opens it in a browser.

use serde_json::{Value, json};
use warren_core::TaskState;
use warren_tests::{
    Broker, Browser, Mill, Pool,
    broker::{headers, message},
    http,
    pool::Service,
    until,
};

const WORKER: &str = "slots = 2";

// By the door for foreign clients: the monitor hears of such a task before a worker takes it.
async fn publish(pool: &Pool, broker: &Broker, kind: &str, id: &str, payload: &Value) {
    broker.publish(&pool.names().tasks(), "default", message(kind, id), payload.to_string().as_bytes()).await;
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

#[tokio::test]
async fn an_operator_cancels_a_task_and_pauses_a_queue_from_the_page() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(WORKER).await, pool.monitor().await);
    publish(&pool, &broker, "sleep", "endless", &json!({"ms": 3_600_000})).await;
    monitor.task("endless", TaskState::Running).await;
    let browser = open(&monitor, "#/tasks/endless").await;
    browser.sees("running").await;
    browser.click("Cancel").await;
    browser.sees("Cancel this task?").await;
    browser.fill("Reason", "nobody waits for it").await;
    monitor.task("endless", TaskState::Cancelled).await;
    browser.sees("cancelled").await;

    browser.press("gq").await;
    browser.click("Pause").await;
    browser.click("Pause the queue").await;
    let paused = async |wanted: bool| {
        until(&format!("paused: {wanted}"), warren_tests::pool::PATIENCE, async || {
            let queues = monitor.get("/api/queues").await?;
            let paused = &queues["queues"][0]["paused"];
            if paused.is_object() == wanted { Ok(()) } else { Err(queues.to_string()) }
        })
        .await;
    };
    paused(true).await;
    publish(&pool, &broker, "echo", "held", &json!({})).await;
    monitor.task("held", TaskState::Queued).await;
    browser.open(&format!("{}/#/tasks/held", monitor.url)).await;
    browser.sees("Why is it waiting?").await;
    browser.sees("paused").await;
    browser.open(&format!("{}/#/queues", monitor.url)).await;
    browser.click("Resume").await;
    browser.click("Resume the queue").await;
    paused(false).await;
    monitor.task("held", TaskState::Succeeded).await;

    browser.press("ga").await;
    browser.sees("nobody waits for it").await;
    is_content(&browser).await;
}

#[tokio::test]
async fn what_is_shown_stays_while_an_answer_that_nobody_needs_any_more_is_given_up_half_way() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(WORKER).await, pool.monitor().await);
    publish(&pool, &broker, "echo", "an-echo", &json!({})).await;
    monitor.task("an-echo", TaskState::Succeeded).await;
    let browser = open(&monitor, "#/queues").await;
    browser.sees("default").await;
    // From here on an answer begins, and its body does not come before it is given up.
    let stall = "const real = window.fetch; window.asked = 0; window.fetch = async (url, options) => { \
                 const answer = await real(url, options); \
                 if (!String(url).endsWith('/api/queues')) return answer; \
                 window.asked += 1; \
                 const given_up = body => options.signal.addEventListener('abort', () => body.error(options.signal.reason)); \
                 return new Response(new ReadableStream({ start: given_up }), answer); }";
    browser.script(stall, &[]).await;
    let asked = async |times: u64| {
        until(&format!("asked {times} times"), warren_tests::pool::PATIENCE, async || {
            let asked = browser.script("return window.asked", &[]).await;
            if asked.as_u64() >= Some(times) { Ok(()) } else { Err(asked) }
        })
        .await;
    };
    browser.script("location.hash = '#/queues?look=again'", &[]).await;
    asked(1).await;
    browser.script("location.hash = '#/queues?look=once-more'", &[]).await;
    asked(2).await;
    browser.script("document.title = 'to be drawn anew'", &[]).await;
    until("drawn anew", warren_tests::pool::PATIENCE, async || {
        let title = browser.script("return document.title", &[]).await;
        if title == "to be drawn anew" { Err(title) } else { Ok(()) }
    })
    .await;
    is_content(&browser).await;
    browser.sees("default").await;
}

#[tokio::test]
async fn a_dead_letter_is_looked_at_changed_and_replayed_from_the_page() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let script = pool.file("picky.sh", "grep -q good || { echo 'this is bad' >&2; exit 65; }");
    let handler = format!("[handlers.picky]\ntype = 'command'\ncommand = ['sh', '{script}']\n");
    let (_worker, monitor) = (pool.worker(&handler).await, pool.monitor().await);
    publish(&pool, &broker, "picky", "spoilt", &json!({"fruit": "bad"})).await;
    monitor.task("spoilt", TaskState::Dead).await;

    let browser = open(&monitor, "#/dead").await;
    browser.sees("this is bad").await;
    browser.click("a sample").await;
    browser.sees("\"fruit\": \"bad\"").await;
    browser.click("Edit").await;
    let edit = "const area = document.querySelector('textarea'); area.value = '{\"fruit\": \"good\"}'; \
                area.dispatchEvent(new Event('input'))";
    browser.script(edit, &[]).await;
    browser.click("Replay changed…").await;
    browser.click("Replay the letter").await;
    let task = monitor.task("spoilt", TaskState::Succeeded).await;
    assert_eq!(task["attempts"].as_array().unwrap().len(), 2, "{task}");
    browser.sees("Attempt 2").await;
    is_content(&browser).await;
}

// A handler that takes nothing until the file `good` lies beside its script.
fn picky(pool: &Pool) -> String {
    let good = pool.folder().join("good").display().to_string();
    let script = pool.file("picky.sh", &format!("[ -e {good} ] || {{ echo 'nothing is good yet' >&2; exit 65; }}"));
    format!("slots = 2\n[handlers.picky]\ntype = 'command'\ncommand = ['sh', '{script}']\n")
}

#[tokio::test]
async fn a_group_of_dead_letters_is_replayed_behind_a_canary_from_the_page() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&picky(&pool)).await, pool.monitor().await);
    let ids = ["pick-1", "pick-2", "pick-3", "pick-4"];
    for id in ids {
        publish(&pool, &broker, "picky", id, &json!({})).await;
    }
    monitor.count(TaskState::Dead, ids.len() as u64).await;
    pool.file("good", "");

    let browser = open(&monitor, "#/dead").await;
    browser.sees("nothing is good yet").await;
    browser.click("Canary").await;
    browser.click("Replay one").await;
    browser.sees("1 of 4").await;
    monitor.count(TaskState::Succeeded, 1).await;
    monitor.count(TaskState::Dead, 3).await;
    browser.click("Replay the rest").await;
    browser.sees("Replay the other 3 letters?").await;
    browser.script("document.querySelector('dialog .primary, dialog [type=submit]').click()", &[]).await;
    monitor.count(TaskState::Succeeded, 4).await;
    browser.sees("4 of 4").await;
    browser.sees("No dead letters.").await;
    for id in ids {
        let task = monitor.task(id, TaskState::Succeeded).await;
        assert_eq!(task["attempts"].as_array().unwrap().len(), 2, "{task}");
    }
    is_content(&browser).await;
}

#[tokio::test]
async fn what_is_selected_on_the_page_is_acted_on_and_nothing_else() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&picky(&pool)).await, pool.monitor().await);
    for id in ["later-1", "later-2", "later-3"] {
        let properties = message("echo", id).with_headers(headers(&[("delay", json!(3_600_000))]));
        broker.publish(&pool.names().tasks(), "default", properties, b"{}").await;
        monitor.task(id, TaskState::Delayed).await;
    }
    let browser = open(&monitor, "#/tasks?state=delayed").await;
    browser.click("Select later-1").await;
    browser.click("Run now").await;
    browser.click("Run now 1 task").await;
    monitor.task("later-1", TaskState::Succeeded).await;
    browser.misses("later-1").await;
    browser.click("Select all that are shown").await;
    browser.sees("2 tasks selected").await;
    browser.click("Select later-3").await;
    browser.sees("1 task selected").await;
    browser.click("Cancel").await;
    browser.click("Cancel 1 task").await;
    monitor.task("later-2", TaskState::Cancelled).await;
    monitor.task("later-3", TaskState::Delayed).await;
    is_content(&browser).await;
}

#[tokio::test]
async fn a_worker_is_drained_from_the_page_and_works_again() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("slots = 2\nheartbeat = '1s'").await, pool.monitor().await);
    let browser = open(&monitor, "#/workers").await;
    browser.click("Drain").await;
    browser.fill("Reason", "a new kernel").await;
    browser.sees("draining").await;
    let told =
        browser.script("return !!document.querySelector('[title=\"drained by anonymous: a new kernel\"]')", &[]).await;
    assert_eq!(told, json!(true));
    publish(&pool, &broker, "echo", "waits", &json!({})).await;
    monitor.task("waits", TaskState::Queued).await;
    browser.click("Resume").await;
    browser.click("Resume the worker").await;
    monitor.task("waits", TaskState::Succeeded).await;
    browser.sees("alive").await;
    is_content(&browser).await;
}

#[tokio::test]
async fn a_phone_shows_every_view_without_scrolling_sideways_and_nothing_written_by_others_becomes_markup() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let hostile = "<img/src=x/onerror=\"window.caught=true\"><script>window.caught=true</script>";
    let script = pool.file("hostile.sh", &format!("echo '{hostile}' >&2; exit 65"));
    let handler = format!("[handlers.hostile]\ntype = 'command'\ncommand = ['sh', '{script}']\n");
    let (_worker, monitor) = (pool.worker(&handler).await, pool.monitor().await);
    let properties =
        message("hostile", hostile).with_headers(headers(&[("note", json!(hostile))])).with_app_id(hostile.into());
    broker
        .publish(
            "",
            &pool.queue(),
            properties,
            json!({ "long": "x".repeat(300), "text": hostile }).to_string().as_bytes(),
        )
        .await;
    monitor.count(TaskState::Dead, 1).await;

    let browser = open(&monitor, "#/").await;
    browser.resize(360, 740).await;
    let id = browser.script("return encodeURIComponent(arguments[0])", &[json!(hostile)]).await;
    let id = id.as_str().unwrap();
    for view in [
        "#/",
        "#/queues",
        "#/queues/default",
        "#/workers",
        "#/tasks",
        &format!("#/tasks/{id}"),
        "#/schedules",
        "#/dead",
        &format!("#/dead/{id}"),
        "#/audit",
    ] {
        browser.open(&format!("{}/{view}", monitor.url)).await;
        until(&format!("{view} is shown"), warren_tests::pool::PATIENCE, async || {
            let seen = browser
                .script("return document.querySelector('main > .view') ? '' : document.body.innerText", &[])
                .await;
            if seen == "" { Ok(()) } else { Err(seen.to_string()) }
        })
        .await;
        let wider = browser.script("return document.documentElement.scrollWidth - innerWidth", &[]).await;
        assert!(wider.as_i64().unwrap() <= 0, "{view} is {wider} pixels too wide");
    }
    assert_eq!(browser.script("return window.caught ?? null", &[]).await, Value::Null);
    is_content(&browser).await;
}

#[tokio::test]
async fn whoever_comes_with_the_token_acts_under_the_name_given() {
    let pool = Pool::new();
    let _worker = pool.worker(WORKER).await;
    let monitor = pool.start("warren-monitor", &[], &[("WARREN_HTTP__TOKEN", "s3cret".to_owned())]).await;
    let refused = http::client().get(&monitor.url).send().await.unwrap();
    assert_eq!(refused.status(), 401);

    let browser = Browser::start().await;
    browser.open(&format!("{}/#/queues", monitor.url.replace("//", "//ann:s3cret@"))).await;
    browser.click("Pause").await;
    browser.click("Pause the queue").await;
    browser.click("Resume").await;
    browser.click("Resume the queue").await;
    browser.click("Audit trail").await;
    browser.sees("ann").await;
    is_content(&browser).await;
}

#[tokio::test]
async fn the_picture_of_a_workflow_shows_live_states_and_folds_what_is_wide() {
    let mill = Mill::set(Pool::new(), 1, 1).await;
    let step = |payload: Value, after: Value| json!({"task": {"kind": "step", "payload": payload}, "after": after});
    let mut steps = serde_json::Map::new();
    steps.insert("begin".to_owned(), json!({"task": {"kind": "patient"}}));
    steps.insert("broken".to_owned(), step(json!({"hopeless": true}), json!([])));
    for n in 0..40 {
        steps.insert(format!("wide-{n}"), step(json!({}), json!([])));
    }
    let id = mill.submit(json!({"id": "pictured", "steps": steps})).await;
    let browser = open(&mill.monitors[0], "#/overview").await;
    browser.press("gf").await;
    browser.click(&id).await;
    browser.sees("40 steps").await;
    // What is said of a state is in words as well, and each box can be reached by the keyboard.
    let told = "return [...document.querySelectorAll('.graph a')].map(box => box.getAttribute('aria-label')).sort()";
    until("the picture says how the steps stand", warren_tests::pool::PATIENCE, async || {
        let told = browser.script(told, &[]).await;
        let wanted = json!(["40 steps: succeeded: list them", "begin: running", "broken: failed"]);
        if told == wanted { Ok(()) } else { Err(told.to_string()) }
    })
    .await;
    let press = "document.querySelector('.graph a[aria-label^=\"40 steps\"]').dispatchEvent(new MouseEvent('click', \
        { bubbles: true, cancelable: true }))";
    browser.script(press, &[]).await;
    browser.sees("Show all").await;
    assert!(browser.address().await.contains("state=succeeded"), "{}", browser.address().await);
    browser.click("Show all").await;
    is_content(&browser).await;

    browser.click("Cancel").await;
    browser.sees("Cancel this workflow?").await;
    browser.click("Cancel the workflow").await;
    mill.ends(&id, "cancelled").await;
    browser.sees("cancelled").await;
    browser.click("Retry").await;
    browser.click("Retry from what failed").await;
    mill.stands(&id, warren_tests::pool::PATIENCE, |view| view["state"] == "running").await;
    is_content(&browser).await;
}
