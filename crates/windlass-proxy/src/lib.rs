//! A proxy and load balancer for TCP, on the windlass engine.
//!
//! [`Front`] is the proxy as a whole and [`ProxyConfig`] all that can be set; [`Proxy`] is the service, one value
//! per worker. Read `service.rs` first: what happens to one client. `balance/` is how a backend is chosen,
//! `calls.rs` how it is called, `plan.rs` a configuration that has been checked.
//!
//! **What workers share** is what has to be the same for all: the configuration, the connections of each
//! backend and its health. These are atomic counts that are touched for a connection, never for its bytes.
//! Whose turn it is, queues, and pairs belong to a worker.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod balance;
mod breaker;
mod budget;
mod calls;
mod checks;
mod config;
mod discovery;
mod door;
mod fleet;
mod front;
mod guard;
mod http;
mod names;
mod pair;
mod pick;
mod plan;
mod queue;
mod reach;
mod refusal;
mod runtime;
mod service;
mod sources;
mod stats;
mod target;
mod tell;
#[cfg(test)]
mod tests;
mod udp;
mod upstream;

pub use balance::Balance;
pub use breaker::Breaker;
pub use budget::RetryBudget;
pub use checks::{CheckAddress, CheckKind, ExchangeCheck, HttpCheck};
pub use config::{AcceptProxy, Backend, Health, Others, ProxyConfig, Route, Timeouts};
pub use discovery::{
    Discover, Discovered, Discovery, DiscoveryConfig, FOUND_MAX, Family, Inquiry, Source, SourceStats,
    SourceTextError,
};
pub use front::{Front, Message};
pub use guard::GuardConfig;
pub use http::{
    Action, Ending, ErrorPage, Exchanged, Forwarded, ForwardedHeaders, HeaderRule, HostHeader, HttpConfig,
    HttpProxy, HttpRoute, HttpSession, HttpStats, RuleError, Sticky, Underscores,
};
pub use pair::Session;
pub use plan::ConfigError;
pub use refusal::Refusal;
pub use runtime::{Order, OrderError, Ordered, Origin, RUNTIME_CHANGES_MAX, Standing};
pub use service::Proxy;
pub use sources::{SourceError, Sources};
pub use stats::{BackendState, BackendStats, BudgetStats, Changed, GuardStats, LastCheck, ProxyStats};
pub use target::Target;
pub use udp::{FlowEnded, FlowEnding, UdpConfig, UdpProxy, UdpStats, WhenFlowsFull};
pub use windlass_proto::proxy_protocol::Version;
