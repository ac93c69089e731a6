//! Workflows: steps that wait for each other, get each other's results, and are tasks like any other.
//!
//! The event log is their truth: a workflow counts as handed in when the log has confirmed it. Whoever runs them, the leader
//! among any number of gateways, adds up what the log says, and hands in the tasks that may start.

// What a workflow is, and how it is shown.
mod reading;
mod view;

// Where workflows are kept, and how they are handed in and steered.
mod cabinet;
mod error;
mod registry;

// Running them.
mod book;
mod conclusion;
mod engine;
mod follower;
mod held;
mod input;
mod ledger;
mod metrics;
mod release;

/// What the log and messages say of workflows: reachable for the fuzz targets alone, and no part of the interface.
#[doc(hidden)]
pub mod decoders {
    pub use super::{
        book::{Book, Changes},
        held::{definition, read as read_held, template},
    };
}

pub use engine::Engine;
pub use error::Error;
pub use metrics::Measured;
pub use reading::{NewWorkflow, read, read_yaml};
pub use registry::Workflows;
pub use view::{Summary, View};
