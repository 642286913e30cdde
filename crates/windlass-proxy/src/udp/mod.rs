//! Datagrams: clients' flows, each on a socket of its own to one backend. Read `service.rs` first; `flows.rs` is
//! the table, `config.rs` what can be set.

mod config;
mod flows;
mod service;
mod stats;
#[cfg(test)]
mod tests;

pub use config::{UdpConfig, WhenFlowsFull};
pub use service::UdpProxy;
pub(crate) use stats::Totals;
pub use stats::UdpStats;
