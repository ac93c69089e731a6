//! From any client's message to a result on record.

use lapin::message::Delivery;
use serde_json::json;
use warren_core::TaskState;
use warren_tests::{
    Broker, Pool,
    broker::{header, headers, message},
    timeline::started,
    until,
};

#[tokio::test]
async fn a_foreign_message_runs_and_its_result_is_shown() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    let properties = message("echo", "first").with_priority(3);
    broker.publish(&pool.names().tasks(), "default", properties, br#"{"hello":"world"}"#).await;

    let task = monitor.task("first", TaskState::Succeeded).await;
    assert_eq!((&task["kind"], &task["queue"], &task["priority"]), (&json!("echo"), &json!("default"), &json!(3)));
    assert_eq!(task["result"], json!({"hello": "world"}));
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["outcome"], "success");
    assert!(attempts[0]["worker"].is_string() && attempts[0]["start"].is_string() && attempts[0]["end"].is_string());
    broker.holds(&pool.queue(), 0).await;
}

#[tokio::test]
async fn a_message_straight_to_the_queue_without_id_is_adopted() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    let (reply_to, mut replies) = broker.reply_queue().await;
    let properties = lapin::BasicProperties::default()
        .with_headers(headers(&[("task", json!("echo"))]))
        .with_reply_to(reply_to.as_str().into())
        .with_correlation_id("mine".into());
    broker.publish("", &pool.queue(), properties, b"plain text").await;

    let reply = Broker::reply(&mut replies).await;
    assert_eq!(reply.data, b"plain text");
    assert_eq!(header(&reply, "outcome").as_deref(), Some("success"));
    assert_eq!(reply.properties.correlation_id().as_ref().unwrap().as_str(), "mine");
    let id = reply.properties.message_id().as_ref().unwrap().to_string();
    let task = monitor.task(&id, TaskState::Succeeded).await;
    assert_eq!(task["result"], json!("plain text"));
    assert!(task["warning"].as_str().unwrap().contains("persistent"), "{task}");
}

#[tokio::test]
async fn higher_priorities_start_first() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker(&format!("slots = 1\n{}", pool.gate())).await, pool.monitor().await);
    broker.publish("", &pool.queue(), message("gate", "busy"), b"").await;
    monitor.task("busy", TaskState::Running).await;
    for (id, priority) in [("low", 0), ("middle", 4), ("above", 200), ("high", 8), ("middle2", 4)] {
        broker.publish("", &pool.queue(), message("sleep", id).with_priority(priority), br#"{"ms":5}"#).await;
    }
    pool.open_gate();
    monitor.count(TaskState::Succeeded, 6).await;
    let mut starts = Vec::new();
    for id in ["low", "middle2", "middle", "above", "high"] {
        let task = monitor.task(id, TaskState::Succeeded).await;
        starts.push((started(&task), id));
    }
    // The sort is stable: what starts in one millisecond stays in the order of the list, which is not the expected one.
    starts.sort_by_key(|(start, _)| *start);
    let order: Vec<_> = starts.iter().map(|(_, id)| *id).collect();
    assert_eq!(order, ["above", "high", "middle", "middle2", "low"]);
}

#[tokio::test]
async fn a_bad_value_is_a_dead_letter_that_names_the_field() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    let bad = headers(&[("delay", json!("soon")), ("tenant", json!("acme"))]);
    broker.publish("", &pool.queue(), message("echo", "bad").with_headers(bad), b"1").await;
    broker.publish("", &pool.queue(), message("no-such-kind", "unknown"), b"2").await;
    broker.publish("", &pool.queue(), message("", "nameless"), b"3").await;

    for (id, reason, says) in [
        ("bad", "invalid", "delay: expected a whole number"),
        ("unknown", "unknown_kind", "no handler for kind no-such-kind"),
        ("nameless", "invalid", "type: expected a kind"),
    ] {
        let task = monitor.task(id, TaskState::Dead).await;
        assert_eq!(task["reason"], reason);
        assert!(task["error"].as_str().unwrap().contains(says), "{task}");
    }
    // Two slots bury at once: the order is by chance.
    let mut letters = Vec::new();
    for _ in 0..3 {
        letters.push(broker.take(&pool.names().dead(&"default".parse().unwrap())).await);
    }
    let is_bad = |letter: &&Delivery| letter.properties.message_id().as_ref().is_some_and(|id| id.as_str() == "bad");
    let letter = letters.iter().find(is_bad).expect("the one with the bad value");
    assert_eq!(header(letter, "warren-reason").as_deref(), Some("invalid"));
    assert_eq!(header(letter, "tenant").as_deref(), Some("acme"), "foreign headers travel along");
}

#[tokio::test]
async fn a_message_to_an_unknown_queue_is_kept_and_shown() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    broker.publish(&pool.names().tasks(), "nowhere", message("echo", "lost"), b"1").await;
    assert_eq!(broker.depth(&pool.names().unroutable()).await, Some(1));
    until("the overview counts it", warren_tests::pool::PATIENCE, async || {
        let overview = monitor.get("/api/overview").await?;
        if overview["unroutable"] == 1 { Ok(()) } else { Err(overview.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_is_deleted_under_its_consumer_comes_back() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let (_worker, monitor) = (pool.worker("").await, pool.monitor().await);
    broker.delete(&pool.queue()).await;
    until("the queue is there again", warren_tests::pool::PATIENCE, async || {
        broker.depth(&pool.queue()).await.ok_or("gone")
    })
    .await;
    broker.publish("", &pool.queue(), message("echo", "after"), b"1").await;
    monitor.task("after", TaskState::Succeeded).await;
}

#[tokio::test]
async fn queues_share_a_slot_in_proportion_to_their_weights() {
    let (pool, broker) = (Pool::new(), Broker::connect().await);
    let queues = "slots = 1\n[[queues]]\nname = 'heavy'\nweight = 3\n[[queues]]\nname = 'light'\n";
    let (_worker, monitor) = (pool.worker(&format!("{queues}{}", pool.gate())).await, pool.monitor().await);
    broker.publish(&pool.names().tasks(), "heavy", message("gate", "busy"), b"").await;
    monitor.task("busy", TaskState::Running).await;
    for n in 0..12 {
        for queue in ["heavy", "light"] {
            let task = message("sleep", &format!("{queue}{n}"));
            broker.publish(&pool.names().tasks(), queue, task, br#"{"ms":60}"#).await;
        }
    }
    pool.open_gate();
    monitor.count(TaskState::Succeeded, 25).await;
    let mut starts = Vec::new();
    for n in 0..12 {
        for queue in ["heavy", "light"] {
            let task = monitor.task(&format!("{queue}{n}"), TaskState::Succeeded).await;
            starts.push((started(&task), queue));
        }
    }
    starts.sort_unstable();
    let heavy = starts[..12].iter().filter(|(_, queue)| *queue == "heavy").count();
    assert!((8..=10).contains(&heavy), "9 of the first 12 were due to the heavy queue, it got {heavy}");
}
