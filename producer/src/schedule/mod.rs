//! Schedules: recurring tasks, by the calendar or at an interval.
//!
//! Each tick gives one task, whose id is the tick's name. Any number of processes may run the schedules; one at a time,
//! the leader, does.

// What a schedule is, and when its ticks are.
mod clockwork;
mod reading;
mod view;

// Where schedules are kept, and how they are changed.
mod cabinet;
mod error;
mod registry;

// Running them.
mod book;
mod metrics;
mod scheduler;
mod sync;
mod turn;
mod watch;

pub use clockwork::{Clockwork, Unusable};
pub use error::Error;
pub use metrics::Measured;
pub use reading::{LARGEST, read};
pub use registry::Schedules;
pub use scheduler::Scheduler;
pub use view::{Forecast, View};
