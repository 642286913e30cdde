//! An IoT hub on the windlass engine: MQTT 3.1.1 and 5.0, clients of both in one topic space.
//!
//! [`Hub`] is the service. Read `service` first, then `client` (one connection), `session` (what outlives it),
//! `route` and `deliver` (who gets a message), `post` (how it gets there). [`identity`] is who a client is and what it
//! may do; [`import`] reads what Mosquitto is configured with; [`inspect`] is what an operator
//! asks, [`rules`] what leaves the hub otherwise.
//!
//! ```no_run
//! use windlass::Mailbox;
//! use windlass_hub::{Hub, HubConfig, HubWatch};
//!
//! let (mailbox, watch) = (Mailbox::new(), HubWatch::new(1));
//! let its = watch.clone();
//! windlass::serve(move || Hub::new(HubConfig::default(), &its))
//!     .mailbox(&mailbox)
//!     .tick(Hub::TICK)
//!     .input_max(2 << 20)
//!     .workers(1)
//!     .tcp("127.0.0.1:1883")
//!     .run()?;
//! # Ok::<(), windlass::Error>(())
//! ```
//!
//! **One connection, one port.** A connection that begins with a request of HTTP becomes a WebSocket; any other
//! speaks MQTT from its first byte. TLS, client certificates and Unix sockets are the engine's.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod access;
mod atomic;
mod client;
mod config;
mod deliver;
mod durable;
mod exchange;
pub mod identity;
pub mod import;
#[cfg_attr(not(feature = "inspect"), path = "inspect/absent.rs")]
pub mod inspect;
pub mod journal;
mod memory;
mod parts;
mod post;
mod quota;
mod reach;
mod route;
#[cfg_attr(not(feature = "rules"), path = "rules/absent.rs")]
pub mod rules;
mod service;
mod session;
mod siblings;
mod stats;
mod sys_topics;
mod timers;
mod totals;

pub use client::Client;
pub use config::{HubConfig, WhenExceeded, WhenQueueFull};
pub use durable::{Done, OpenLog, TakeLog};
pub use exchange::{Authenticator, Exchange, Step};
pub use service::{Hub, Mail};
pub use siblings::{Batch, Beginning};
pub use stats::{HubStats, HubWatch};
pub use windlass_proto::mqtt::{QoS, Reason};
