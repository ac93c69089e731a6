//! Warren's worker: takes tasks from RabbitMQ, runs them, and makes their outcome safe before it acknowledges them.
//!
//! ```no_run
//! use warren_worker::{Context, Failure, Job, Worker};
//!
//! async fn greet(job: Job, _: Context) -> Result<String, Failure> {
//!     let name: String = job.json()?;
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! # async fn example() -> anyhow::Result<()> {
//! Worker::builder().task("greet", greet).run().await
//! # }
//! ```

// Putting a worker together.
mod builder;
pub mod config;
mod worker;

// From a delivery to its acknowledgement.
mod desk;
mod execution;
pub mod handler;
mod lanes;
mod ordered;
mod patience;
mod pool;
mod reading;
mod receipt;
mod settlement;
mod steward;
mod suspects;
mod suspicion;
mod turn;
mod witness;

// Beside it.
mod board;
pub mod check;
mod forwarder;
mod heartbeat;
mod metrics;
mod search;

/// What reads the words of handlers: reachable for the fuzz targets alone, and no part of the interface.
#[doc(hidden)]
pub mod decoders {
    pub use crate::handler::{
        http::retry_after,
        process::{lines, protocol},
    };
}

pub use builder::{BuildError, Builder};
pub use handler::{Context, Failure, Job, guard};
pub use warren_core::retry;
pub use worker::{Error, Worker};
