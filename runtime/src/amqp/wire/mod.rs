//! What comes from the broker, made fit for the client library.
//!
//! AMQP gives short strings no encoding, and RabbitMQ takes and delivers any bytes in a message's id, type, header names
//! and so on. lapin takes UTF-8 only: at anything else it ends the connection, gets the same message again on the next,
//! and ends that one too, so that a single message stops a whole pool. It also follows tables into each other as deep as
//! they go, and one message can make that deeper than its stack. Both are put right in the bytes, between TLS and lapin,
//! where nothing has to be known of what lapin does with them.

mod faults;
mod frames;
mod moderation;
mod returns;
mod runtime;
#[cfg(test)]
mod samples;
mod socket;
mod stream;

pub use returns::Returns;
pub use runtime::connect;
