//! Load generators and side-by-side comparisons.
//!
//! [`echo`] is the load generator: it drives an echo server over TCP or Unix sockets, verifies
//! every byte that comes back, and reports throughput, latency and the server's CPU time.
//! [`udp`] does the same with datagrams, [`ws`] with WebSocket messages. [`compare`] builds several servers, runs the generator against each in turn, and writes tables.
//!
//! Read [`echo`] first, then `echo/stream.rs`, the loop that everything else is built around.

pub mod args;
pub mod compare;
pub mod echo;
pub mod pattern;
pub mod proc;
pub mod udp;
pub mod ws;

mod clock;
mod latency;
mod net;
mod plot;
mod text;
