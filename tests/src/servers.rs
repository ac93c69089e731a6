//! Where the servers of this test run are.

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with scripts/test"))
}

/// RabbitMQ, for AMQP.
pub fn amqp() -> String {
    variable("WARREN_TEST_AMQP_URL")
}

/// RabbitMQ's management API, with its credentials.
pub fn management() -> String {
    variable("WARREN_TEST_MANAGEMENT_URL")
}

/// Redis.
pub fn redis() -> String {
    variable("WARREN_TEST_REDIS_URL")
}

/// Python with pika.
pub fn python() -> String {
    variable("WARREN_TEST_PYTHON")
}

/// A folder `node_modules` with amqplib.
pub fn node_modules() -> String {
    variable("WARREN_TEST_NODE_MODULES")
}

/// The library that shows a process another time (`LD_PRELOAD`).
pub fn faketime() -> String {
    variable("WARREN_TEST_FAKETIME")
}

/// The root of the repository.
pub fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}
