//! Faults under load: the real binary as a proxy, between thousands of clients and servers of its own kind, and as a game
//! server, with players who come and go.
//!
//! Each takes both cores for half a minute and more, so all are `#[ignore]`d: `.ci/run load` runs them, one after
//! the other. `WINDLASS_SOAK=10m` makes the soaks as long as that.
#![cfg(all(target_os = "linux", feature = "proxy"))]

mod changes;
mod clients;
#[cfg(feature = "realtime")]
mod game;
mod origin;
#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "../it/served.rs"]
mod served;
#[allow(dead_code, reason = "shared with the other tests, which use more of it")]
#[path = "../it/server.rs"]
mod server;
mod slow;
mod soak;
mod spoofed;
