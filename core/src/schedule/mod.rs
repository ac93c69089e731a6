//! Schedules: what is to run when, and what was decided about each tick.
//!
//! A tick is a point in time that a schedule names; its task bears the tick's name as its id. When the ticks are is told
//! by whoever knows calendars; everything that follows from that is decided here, by time as an argument.

mod definition;
mod entry;
mod misfire;
mod overlap;
mod progress;
mod tick;

pub use definition::{Definition, Misfire, Overlap, Timing};
pub use entry::{Entry, Kept, Origin, Refused};
pub use misfire::{Choice, choose};
pub use overlap::{Meeting, is_going, meet};
pub use progress::{Claim, Counts, Previous, Progress};
pub use tick::Tick;
