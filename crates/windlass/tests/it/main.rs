//! The engine on real sockets. Each module is one promise; `harness.rs` starts and stops servers,
//! `probe.rs` is a service that a test scripts, `child.rs` runs a part of a test in another process.
#![cfg(unix)]

mod backpressure;
mod budget;
mod by_hand;
mod change;
mod child;
mod connect;
mod corners;
mod datagram_corners;
mod datagrams;
mod deadlines;
mod descriptors;
mod echo;
mod ends;
mod fronts;
mod handover;
mod handover_datagrams;
mod harness;
mod leftovers;
mod limits;
mod local_addr;
mod mailbox;
mod moving;
mod observe;
mod offload;
mod overload;
mod probe;
mod regressions;
mod relay;
mod resolver;
mod review;
mod services;
mod shutdown;
mod sigpipe;
mod steady;
mod stopped;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_client;
#[cfg(feature = "tls")]
mod tls_moving;
#[cfg(feature = "tls")]
#[path = "../tls_peer/mod.rs"]
mod tls_peer;
mod workers;
