//! RabbitMQ: one connection per direction, noticed when it breaks, and made anew.
//!
//! Publishing and consuming go over separate connections: an alarm on the broker blocks a connection that publishes as a
//! whole, its acknowledgements included (RabbitMQ documentation, "Memory and Disk Alarms").

pub mod address;
pub mod connection;
mod line;
pub mod message;
pub mod node;
pub mod publisher;
pub mod route;
pub mod session;
pub mod settle;
pub mod topology;
mod wire;

pub use address::Config;
pub use connection::{Connector, Error, Link};
pub use message::Outgoing;
pub use node::Node;
pub use publisher::{PublishError, Publisher};
pub use route::Route;
pub use topology::{Names, Profile, Topology};
