//! The real binary, as people start and stop it. Read `server` first.

#![cfg(unix)]

mod access;
mod config;
mod demo;
mod echo;
mod errors;
mod handover;
mod help;
mod logs;
#[cfg(feature = "kv")]
mod memcached;
mod process;
#[cfg(feature = "proxy")]
mod proxy;
mod queries;
#[cfg(feature = "kv")]
mod resp;
mod server;
mod stop;
#[cfg(feature = "tls")]
mod tls;
