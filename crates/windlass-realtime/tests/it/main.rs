//! A game server on real sockets, with WebSocket clients that are not ours and ENet clients that are.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod bots;
mod door;
mod joins;
mod kit;
mod lossy;
mod peer;
mod play;
mod ticks;
mod udp;
mod udp_ends;
mod virtual_time;
#[path = "../../../windlass-http/tests/ws_peer/mod.rs"]
mod ws_peer;
