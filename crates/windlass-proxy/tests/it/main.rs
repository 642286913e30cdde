//! The proxy on real sockets.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests play the peers: they open sockets, start threads and read the clock"
)]

mod churn;
mod ends;
mod http;
mod servers;
#[cfg(feature = "tls")]
mod tls;
mod udp;
