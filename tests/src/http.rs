//! A client for HTTP.

use std::sync::LazyLock;

// One for a process: each reads the system's certificates anew, which takes as long as hundreds of requests. It keeps no
// connection, for each test has a runtime of its own, and many kill what is at the other end.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    warren_runtime::tls::install();
    reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("the system has certificates")
});

/// A client with a provider of cryptography, which it wants even where nothing is encrypted.
pub fn client() -> reqwest::Client {
    CLIENT.clone()
}
