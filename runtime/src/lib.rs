//! What Warren's services share: everything between the pure decisions of `warren-core` and a running process.

// From the start of a process to its end.
pub mod config;
pub mod shutdown;
pub mod telemetry;
pub mod tls;

// The outside world.
pub mod amqp;
pub mod clock;
pub mod http;
pub mod redis;

// What a process tells of itself and is told, and a program to people.
pub mod command_log;
pub mod event_log;
pub mod readiness;
pub mod terminal;
pub mod uplink;

pub use shutdown::Shutdown;
pub use uplink::Uplink;
