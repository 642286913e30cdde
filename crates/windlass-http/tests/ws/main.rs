//! WebSocket services: driven by hand, and by clients and servers that are not ours.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod chromium;
mod pages;
mod service;
mod strangers;
#[path = "../ws_peer/mod.rs"]
mod ws_peer;
