//! A small in-memory key-value server that speaks RESP and memcached: the worked example of a custom
//! protocol on the windlass engine.
//!
//! [`Kv`] is the service; a listener of it speaks one [`Protocol`], and all of them share one
//! [`Store`](store::Store). Read `service` first, then [`store`], then the module of a protocol.
//!
//! ```no_run
//! use windlass_kv::{Kv, KvConfig};
//!
//! windlass::serve(|| Kv::new(KvConfig::default())).tick(Kv::TICK).workers(1).tcp("127.0.0.1:6379").run()?;
//! # Ok::<(), windlass::Error>(())
//! ```
//!
//! **One keyspace, one worker.** Clients of both protocols expect one keyspace, and a command may touch
//! any of its keys. So there is one store in a process, and it is owned by worker 0: every connection is
//! placed there, whichever worker accepted it, and no lock is taken. Redis serves with one thread too. Run
//! it with one worker, which leaves the others nothing to do anyway; more keyspaces are more processes.
//! Keys are only ever reached through [`Store`](store::Store), so a store split over workers by key could
//! stand in its place, at the price of a mailbox hop for each key that lives elsewhere.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod config;
mod memcached;
mod resp;
mod service;
pub mod store;

pub use config::{KvConfig, KvSettings, Protocol, Secret};
pub use service::{Kv, Session};
