//! ENet, the protocol of many native games, without I/O: wire-compatible with ENet 1.3.18, server and client.
//!
//! ENet carries messages over UDP, on up to 255 channels per peer, each reliable and in order, unreliable but never
//! out of order, or unsequenced. A [`Host`] is both ends of it for everybody behind one socket; give it what
//! arrives, send what it writes, and take its [`Event`]s. Bounds are in [`Config`], what was refused is counted in
//! [`Counters`].
//!
//! Read [`Host`] first, then `wire`, which has the twelve commands, `channel` for the order of what comes, `output`
//! for what goes and goes again, and `half_open` for how a connection begins.
//!
//! There is no specification but the library itself, [lsalzman/enet](https://github.com/lsalzman/enet); where a rule
//! is one of its, its function is named. What is different here on purpose:
//!
//! - A stranger costs an entry in a small table and one answer, no longer than what it sent, until it has shown that
//!   the answer reached it (ENet: a peer, and 5.5 times the bytes).
//! - What a peer may have waiting is bounded everywhere, and 256 KiB is the longest message (ENet: 32 MiB).
//! - Messages that were in order before a disconnection are handed out (ENet drops them).
//! - A command is not lost before 10 ms have passed (ENet: 1 ms, if the round trip is that short).
//! - Nobody is told its bandwidth when that has not changed (ENet: everybody, whenever somebody comes or goes).
//!
//! ENet has neither encryption nor authentication. Whoever sees the traffic may read and forge it.

mod bucket;
mod channel;
mod checksum;
mod coder;
mod config;
mod event;
mod half_open;
mod host;
mod keyed;
mod output;
mod pace;
mod peer;
mod wheel;
mod wire;

pub use config::Config;
pub use event::{ConnectError, Counters, Ended, Event, Kind, PeerId, PeerStats, SendError};
pub use host::{DATAGRAM_MAX, Host};

#[cfg(test)]
mod tests;
