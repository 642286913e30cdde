//! A game server on real sockets, with WebSocket clients that are not ours.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod bots;
mod door;
mod joins;
mod kit;
mod play;
mod ticks;
