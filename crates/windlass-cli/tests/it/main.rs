//! The real binary, as people start and stop it. Read `server` first.

#![cfg(unix)]

mod access;
mod admin;
#[cfg(feature = "proxy")]
mod backends;
#[cfg(all(target_os = "linux", feature = "bench"))]
mod bench;
mod config;
mod dashboard;
mod demo;
#[cfg(feature = "proxy")]
mod discovery;
mod echo;
mod errors;
#[cfg(feature = "realtime")]
mod game;
#[cfg(all(target_os = "linux", feature = "realtime"))]
mod game_operated;
#[cfg(all(feature = "realtime", feature = "tls"))]
mod game_tls;
mod handover;
mod help;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "hub")]
mod hub_operated;
#[cfg(feature = "hub")]
mod hub_users;
#[cfg(target_os = "linux")]
mod little;
mod logs;
#[cfg(feature = "kv")]
mod memcached;
#[cfg(target_os = "linux")]
mod memory;
mod mqtt;
mod process;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(feature = "proxy")]
mod proxy_http;
#[cfg(feature = "proxy")]
mod proxy_udp;
mod queries;
mod reload;
#[cfg(feature = "kv")]
mod resp;
mod served;
mod server;
mod stop;
mod terminal;
#[cfg(feature = "tls")]
mod tls;
#[cfg(all(target_os = "linux", feature = "top"))]
mod top;
mod walk;
