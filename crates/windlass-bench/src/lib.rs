//! Load generators and side-by-side comparisons.
//!
//! [`Bench`] has a load generator for every protocol: it drives a server, verifies every reply, and reports
//! throughput, latency and the server's CPU time. [`load`] is what they share. [`compare`] builds several
//! servers, runs a generator against each in turn, and writes tables.
//!
//! Read [`echo`] first, then `load/driven.rs`, the loop that everything else is built around.

pub mod args;
pub mod compare;
pub mod echo;
pub mod http;
pub mod kv;
pub mod load;
pub mod mqtt;
pub mod pattern;
pub mod proc;
pub mod udp;
pub mod url;
pub mod ws;

mod bench;
mod clock;
mod latency;
mod net;
mod plot;
mod text;

pub use bench::Bench;
