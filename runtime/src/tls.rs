//! The one provider of cryptography.

/// Makes ring the provider of TLS for this process. Call it first in `main`: rustls refuses to guess between several.
pub fn install() {
    // A second call finds the provider in place, which is what was wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}
