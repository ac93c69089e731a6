//! Warren's vocabulary and its decisions.
//!
//! Everything here is pure: no clock, no broker, no store, no environment. Time and chance are arguments, so a table or
//! a property test can show that a decision is right. The services around this crate only carry out what it decides.

mod name;

// The words.
mod attempt;
mod identity;
mod priority;
mod redelivery;
mod time;

// Bytes as text.
pub mod base64;

// The message contract and what it asks for.
pub mod header;
pub mod message;

// What an attempt leads to.
pub mod depth;
mod fingerprint;
pub mod letter;
mod outcome;
pub mod retry;
mod verdict;

// Waiting and choosing, and letting go.
pub mod ladder;
pub mod order;
pub mod outstanding;
pub mod row;
pub mod schedule;
pub mod weights;
pub mod workflow;

// Facts, and the state that they add up to.
pub mod event;
pub mod preview;
pub mod record;
mod standing;
mod state;
pub mod worker;

// What operators wish.
pub mod command;
pub mod permit;

// What is counted.
pub mod figure;
pub mod histogram;
mod span;

// What is done where no fact is known.
pub mod unrecorded;

// What is wrong, and what is only slow.
pub mod finding;
pub mod trend;
pub mod waiting;

pub use attempt::Attempt;
pub use fingerprint::{Fingerprint, InvalidFingerprint};
pub use identity::{
    Kind, Operator, OrderId, OrderKey, QueueName, ScheduleName, StepName, TaskId, WorkerId, WorkflowId,
};
pub use name::InvalidName;
pub use outcome::{Outcome, Output};
pub use priority::Priority;
pub use redelivery::{Redelivery, consider};
pub use span::{Span, UnknownSpan};
pub use standing::Standing;
pub use state::TaskState;
pub use time::{InvalidTimestamp, Timestamp};
pub use verdict::{Reason, Verdict, judge};
