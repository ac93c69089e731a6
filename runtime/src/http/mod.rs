//! The HTTP side of a process: health and metrics, a guard before everything else, errors of one shape.

mod guard;
mod health;
mod metrics;
mod problem;
mod server;
mod site;

pub use guard::Guard;
pub use health::{ask, routes as health_routes};
pub use metrics::Metrics;
pub use problem::Problem;
pub use server::{Config, Error, Server};
