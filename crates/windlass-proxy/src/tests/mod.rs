//! Unit tests, one file per subject; whole proxies on a network without faults are in `front.rs`.

mod breaker;
mod budget;
mod checks;
mod front;
mod guard;
mod health;
mod http;
mod plan;
mod runtime;
mod sources;

use crate::{Backend, ProxyConfig};

/// Backends at these addresses.
pub(crate) fn config(addresses: &[&str]) -> ProxyConfig {
    let backend = |address: &&str| Backend::at(address.parse().expect("an address"));
    ProxyConfig { backends: addresses.iter().map(backend).collect(), ..ProxyConfig::default() }
}
