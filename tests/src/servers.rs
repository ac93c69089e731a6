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

/// What shows a process another time, by one of faketime's settings. The time since the start stays as it is
/// (`clock_gettime(2)`, `CLOCK_MONOTONIC`).
pub fn faketime(setting: &'static str, value: String) -> Vec<(&'static str, String)> {
    vec![
        ("LD_PRELOAD", variable("WARREN_TEST_FAKETIME")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        (setting, value),
    ]
}

/// The root of the repository.
pub fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}
