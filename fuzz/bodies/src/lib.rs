//! What must hold of every decoder, whatever it is given.
//!
//! Each function here takes any bytes, decodes them as one of Warren's decoders would, and panics when a promise is
//! broken: libFuzzer looks for such bytes (`scripts/fuzz`), and the ordinary tests give it those that are kept in
//! `fuzz/corpus`. One body for both, so that what was found once is never lost.

mod api;
mod config;
mod events;
mod headers;
mod message;
mod protocol;
mod request;
mod workflow;
mod written;

pub use api::api;
pub use config::config;
pub use events::events;
pub use headers::headers;
pub use message::message;
pub use protocol::protocol;
pub use request::request;
pub use workflow::workflow;

/// A body: it panics if bytes break a promise.
pub type Body = fn(&[u8]);

/// All bodies by the names of their targets.
pub const BODIES: [(&str, Body); 8] = [
    ("message", message),
    ("headers", headers),
    ("config", config),
    ("protocol", protocol),
    ("events", events),
    ("request", request),
    ("api", api),
    ("workflow", workflow),
];

// The time at which everything is read.
fn now() -> warren_core::Timestamp {
    warren_core::Timestamp::from_millis(1_769_860_800_000)
}
