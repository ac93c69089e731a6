//! The monitor: it builds the state of all tasks and workers from the event log, finds what is wrong, and shows it.
//!
//! Any number of monitors may run. Every one of them answers questions; one at a time, the leader, writes.

// From the start of a process to its end.
pub mod config;
pub mod service;

// What is told to others.
pub mod alerts;

// Who may write.
mod duties;

// What the leader does.
mod detector;
mod figures;
mod keeper;
mod letters;
mod projection;
mod queues;
mod reaper;
mod tap;
mod trends;

// What is stored beside the records of tasks.
mod audit;
mod found;
mod index;
mod status;
mod worker_entry;

// What everybody may ask.
mod api;
mod dashboard;
mod metrics;

/// What reads the log, the store, the tap and requests: reachable for the fuzz targets alone, and no part of the interface.
#[doc(hidden)]
pub mod decoders {
    pub use warren_runtime::event_log::entry::Entry;

    pub use crate::{
        api::{filter::Filter, position::Position},
        found::Found,
        projection::{Source, change},
        tap::copy,
        worker_entry::{Reading, WorkerEntry},
    };
}
