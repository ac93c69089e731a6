//! The dead letters themselves, which lie in queues of the broker: looked at, replayed, thrown away.
//!
//! The letter is the truth, the projection its index. A queue can only be walked from its head, so one walk serves
//! everybody who wants something of it: it holds each letter unacknowledged for as long as it lasts, and what it does not
//! take goes back to its place when its channel closes. Only the leader walks, for who walks hides what it holds from
//! everybody else; other monitors ask it by way of Redis.
//!
//! What must stay true: a letter is acknowledged only after its copy is confirmed by the task's queue and the fact by the
//! log. Whatever dies in between leaves the letter, and the journal says how far it had come.

mod deal;
pub mod desk;
pub mod edit;
pub mod job;
mod journal;
pub mod letter;
mod pace;
mod pass;
pub mod question;
mod sweeper;
mod walk;

pub use sweeper::Sweeper;
