//! HTTP/1.1: requests of any client go to any connection to a backend, one after the other.
//!
//! Read `service.rs` first: the service, and the state of its connections. `client.rs` is what happens at a
//! client's end and `link.rs` at a backend's, `calls.rs` how a request gets a connection, `pool.rs` the
//! connections that wait for one, `answer.rs` how a request ends. What is decided about a request is in `policy/`,
//! and changes nothing but header lines.

mod answer;
mod calls;
mod client;
mod config;
mod exchange;
mod link;
mod log;
pub(crate) mod policy;
mod pool;
mod rule_text;
mod service;
mod stats;
mod table;

pub use config::{
    Action, ErrorPage, Forwarded, ForwardedHeaders, HeaderRule, HostHeader, HttpConfig, HttpRoute, Sticky,
    Underscores,
};
pub use log::{Ending, Exchanged};
pub use rule_text::RuleError;
pub use service::{HttpProxy, HttpSession};
pub use stats::HttpStats;
pub(crate) use stats::HttpTotals;
