//! The harness of Warren's end-to-end tests: real servers, real processes, and conditions to wait for.
//!
//! `scripts/test` starts RabbitMQ and Redis once and says where they are; each test works in a namespace of its own there.

pub mod books;
pub mod broker;
pub mod browser;
pub mod cluster;
pub mod fault;
pub mod flat;
pub mod graph;
pub mod history;
pub mod http;
pub mod ledger;
pub mod mill;
pub mod mixture;
pub mod orders;
pub mod policy;
pub mod pool;
pub mod process;
pub mod projection;
pub mod proxy;
pub mod report;
pub mod rota;
pub mod servers;
pub mod stage;
pub mod stand;
pub mod timeline;
pub mod wait;

pub use broker::Broker;
pub use browser::Browser;
pub use cluster::Cluster;
pub use mill::Mill;
pub use pool::Pool;
pub use process::Process;
pub use proxy::{Proxy, Wire};
pub use rota::Rota;
pub use stage::Stage;
pub use stand::Stand;
pub use wait::until;
