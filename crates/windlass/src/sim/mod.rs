//! A whole server under a simulated network, in virtual time, from a seed.
//!
//! [`check`] runs the very engine that serves real sockets, with your service in it, on a network that
//! does its worst: short reads and writes, interrupted calls, spurious, stale, late and shuffled events,
//! tiny buffers, zero windows, delays, resets behind data, ends that share an event with data, failing
//! accepts, no descriptors left. Each seed draws which of these exist and how strong they are. The
//! same seed is the same run, down to the last byte, so whatever fails can be looked at again.
//!
//! ```no_run
//! use windlass::{Close, Conn, Input, Service, sim};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Session = ();
//!     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
//!         Ok(())
//!     }
//!     fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
//!         conn.write(input.take_all());
//!         Ok(())
//!     }
//! }
//!
//! sim::check("echo", 0..200, |sim| {
//!     sim.service(|| Echo).clients(10, sim::echo_client).clients(3, sim::rude_client);
//! });
//! ```
//!
//! **What is checked in every run**, whatever the service: `closed` comes once for every `open` that
//! returned `Ok`, and no callback after it; the reason it gives is true; nothing is open at the end;
//! no limit is exceeded; no deadline is missed or kept early; no worker spins; every run ends. What the
//! service itself must do is checked by its clients: [`echo_client`] and [`ChatRoom`] check every byte,
//! [`Script`] what you tell it to, and [`Client`] is a small trait to write others.
//!
//! **TLS.** A service with a TLS listener is simulated with it, and [`Sim::tls`] has the clients speak it.
//! Its keys and nonces come from the system, not from the seed; so the hash that two runs are compared by
//! leaves ciphertext out. It has the lengths of everything that is read and written, and all plaintext:
//! with a certificate whose signatures all have one length (Ed25519), every seed replays.
//!
//! Services that connect to others find [remotes](Sim::remote) there, which accept, refuse, come late or
//! never answer. That every `connect` has exactly one answer, a true one, and in time, is checked too.
//!
//! A failure names its seed and the command that replays it. `WINDLASS_SIM_SEED=7` runs only seed 7,
//! `WINDLASS_SIM_SEEDS=100000` that many. Every eighth seed is run twice, and must do the same twice.

pub(crate) mod build;
mod changes;
mod check;
pub(crate) mod client;
mod clients;
pub(crate) mod end;
mod errno;
mod jobs;
mod net;
mod oracle;
mod plan;
mod poller;
pub(crate) mod remote;
pub(crate) mod run;
mod succession;
mod sys;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod trace;
mod udp;
mod watch;
mod world;

pub use build::Sim;
pub use check::{Failure, Report, check, explore};
pub use client::{Client, Ending, Line, Status, Step};
pub use clients::*;
pub use remote::Answer;
