//! A client for HTTP.

/// A client with a provider of cryptography, which it wants even where nothing is encrypted.
pub fn client() -> reqwest::Client {
    warren_runtime::tls::install();
    reqwest::Client::new()
}
