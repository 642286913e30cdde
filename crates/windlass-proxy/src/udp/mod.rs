//! Datagrams: clients' flows, each on a socket of its own to one backend. Read `service.rs` first; `flows.rs` is
//! the table, `config.rs` what can be set, `log.rs` what is told of a flow when it is over.

mod config;
mod flows;
mod log;
mod service;
mod stats;
#[cfg(test)]
mod tests;

pub use config::{UdpConfig, WhenFlowsFull};
pub use log::{FlowEnded, FlowEnding};
pub use service::UdpProxy;
pub(crate) use stats::Totals;
pub use stats::UdpStats;
