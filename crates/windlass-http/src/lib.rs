//! HTTP/1.1 and WebSocket sessions on the windlass engine: what an admin page, a game page or an API of a
//! few routes needs. Not a web framework.
//!
//! The protocols themselves are sans-IO in [`windlass::proto::http`] and `windlass::proto::ws`.
//!
//! Read [`Http`] first, then [`App`]: pages and routes are given to the former, state that they share is
//! the latter. [`Request`] and [`Reply`] are what a route sees, [`File`] is a page held in memory, [`Event`]
//! is pushed to whoever listens, [`Later`] stands for an answer that is not there yet, and [`Upgraded`] is what a connection can become.
//!
//! ```no_run
//! use windlass::serve;
//! use windlass_http::{App, File, Http, Never};
//!
//! struct Counter(u64);
//! impl App for Counter {
//!     type Upgraded = Never;
//! }
//!
//! serve(|| {
//!     Http::new(Counter(0))
//!         .file("/", File::new("text/html; charset=utf-8", "<h1>Hello</h1>"))
//!         .post("/count", |counter, _, reply| {
//!             counter.0 += 1;
//!             reply.json(&counter.0)
//!         })
//! })
//! .tcp("127.0.0.1:8080")
//! .run()?;
//! # Ok::<(), windlass::Error>(())
//! ```
//!
//! Every worker has an `Http` of its own, and an app of its own: what all of them have to know travels by
//! [`Mailbox`](windlass::Mailbox), or there is one worker.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod answered;
mod app;
mod config;
mod date;
mod event;
mod file;
mod moving;
mod reply;
mod request;
mod route;
mod service;
mod session;
mod stats;

pub use answered::Answered;
pub use app::{App, DatagramApp, Never, Push, ReceiveApp, Upgraded};
pub use config::{HttpConfig, WhenSlow};
pub use event::Event;
pub use file::File;
pub use moving::{HttpSeed, MoveUpgraded};
pub use reply::{Later, Replied, Reply};
pub use request::{Refusal, Request};
pub use route::Accepted;
pub use service::Http;
pub use session::Session;
pub use stats::HttpStats;
pub mod ws;
