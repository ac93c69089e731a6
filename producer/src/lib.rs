//! Warren's producer: handing tasks in.
//!
//! A task counts as handed in when the broker has confirmed that it is safe in its queue.
//!
//! ```no_run
//! use std::time::Duration;
//! use warren_producer::{Config, NewTask, Producer};
//!
//! # async fn example() -> Result<(), warren_producer::Error> {
//! let producer = Producer::connect(&Config::at("amqp://guest:guest@127.0.0.1:5672/%2f")).await?;
//!
//! let id = producer.enqueue(NewTask::new("echo").json(&"hello").priority(5)).await?;
//! println!("{id} is safe in its queue");
//!
//! let thumbnails = (1..=1_000).map(|page| {
//!     NewTask::new("thumbnail").queue("images").json(&page).delay(Duration::from_secs(30)).max_attempts(3)
//! });
//! for result in producer.enqueue_many(thumbnails).await {
//!     match result {
//!         Ok(_) => {}
//!         Err(error) if error.is_transient() => println!("may be tried again: {error}"),
//!         Err(error) => println!("refused: {error}"),
//!     }
//! }
//!
//! producer.close().await;
//! # Ok(())
//! # }
//! ```

// What is handed in.
mod field;
mod header;
mod task;

// Its forms: for programs in other languages, and for the broker.
mod json;
mod message;
pub mod request;

// Handing it in.
mod config;
mod error;
mod producer;

// Handing it in again and again, and one after another.
pub mod schedule;
pub mod workflow;

/// From a task to its message: reachable for the fuzz targets alone, and no part of the interface.
#[doc(hidden)]
pub mod encoders {
    pub use crate::message::{Message, compose};
}

pub use config::{Config, PORT};
pub use error::Error;
pub use field::{Invalid, Problem};
pub use header::HeaderValue;
pub use producer::{Producer, WINDOW};
pub use task::NewTask;
