//! A limit that an operator puts on the length of a task queue.
//!
//! A classic queue takes the fields of a policy one after the other, its length before what to do beyond it, and drops
//! from its head in between, as without `overflow`: what lies there above the limit is dead-lettered, unconfirmed, whatever the policy says.
//! The same happens when a broker starts with the limit in force. Only a queue that refuses already sheds nothing.

use lapin::options::BasicGetOptions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Broker, Stand};

const PATH: &str = "/api/policies/%2f/full";

/// Puts a limit of one on a queue, in one step: the queue sheds what it holds beyond that.
pub async fn shed(stand: &Stand, queue: &str) {
    put(stand, queue, &json!({"max-length": 1, "overflow": "reject-publish"})).await;
}

/// Makes a queue refuse all that comes, and keep all that it holds.
pub async fn refuse(stand: &Stand, queue: &str) {
    put(stand, queue, &json!({"overflow": "reject-publish"})).await;
    // Whoever asks for a message is answered after the policy was taken in. The message goes back with its channel.
    let broker = Broker::at(stand.amqp()).await;
    let channel = broker.channel().await;
    drop(channel.basic_get(queue.into(), BasicGetOptions::default()).await.expect("the queue answers"));
    channel.close(200, "taken in".into()).await.expect("an open channel");
    shed(stand, queue).await;
}

/// Takes the limit off, and returns when a broker that is killed would remember that.
pub async fn lift(stand: &Stand) {
    drop(stand.manage(Method::DELETE, PATH, None).await);
    stand.control(&["eval", "mnesia:sync_log()."]).await;
}

async fn put(stand: &Stand, queue: &str, limit: &Value) {
    let pattern = format!("^{}$", queue.replace('.', "\\."));
    let policy = json!({"pattern": pattern, "definition": limit, "apply-to": "queues"});
    let set = stand.manage(Method::PUT, PATH, Some(&policy)).await;
    assert!(set.is_some(), "the broker takes the policy");
}
