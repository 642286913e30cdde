//! Non-blocking network services on readiness events, without `async`.
//!
//! You write a [`Service`]: what to do when a peer connects, when bytes arrive, when one leaves. The
//! engine does the rest: it drains edges, finishes partial writes, pushes back instead of buffering,
//! keeps deadlines, survives running out of descriptors, shuts down gracefully, and bounds
//! everything. One **worker** is one thread with its own poll, connections and service values;
//! nothing on the data path is shared, so nothing there is locked.
//!
//! ```no_run
//! use windlass::{Close, Conn, Input, Service, serve};
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
//! fn main() -> windlass::Result<()> {
//!     serve(|| Echo).tcp("127.0.0.1:7000").run()?;
//!     Ok(())
//! }
//! ```
//!
//! Where to go on: [`Service`] for the callbacks, [`Conn`] for what they may do, [`Limits`] for what
//! is bounded, [`Connect`] for connections of your own, [`Mailbox`] for other threads, [`Server`] for
//! several services in one.
//!
//! **What the engine promises.** Callbacks never nest. `closed` is called once for every `open` that
//! returned `Ok`. Bytes come in order and none twice; what a service leaves untaken comes back.
//! Output goes out in order, or the connection ends with a reason. A limit is never exceeded. In the
//! steady state of a connection the engine allocates nothing, takes no lock and changes no
//! registration.

#![deny(unsafe_code)]
#![deny(missing_docs)]

mod address;
mod atomic;
mod budget;
mod change;
mod close;
mod config;
mod conn;
mod connect;
mod core;
mod datagram;
mod error;
mod handover;
mod hosted;
mod id;
mod mailbox;
mod moving;
mod observe;
mod offload;
mod parts;
#[cfg_attr(not(feature = "planted-faults"), allow(dead_code))]
#[doc(hidden)]
pub mod planted;
mod reconnect;
mod resolve;
mod scope;
mod serve;
mod server;
mod service;
mod shared;
pub mod sim;
mod stats;
mod sys;
pub mod testing;
#[cfg(feature = "tls")]
mod tls;
mod tls_error;
#[cfg(feature = "tokio-util")]
mod tokio_codec;
mod wheel;
mod worker;

/// Bytes to messages and back: decoders, and the types they share with the engine.
pub use windlass_proto as proto;
pub use windlass_proto::{Input, Time};

pub use bytes::Bytes;

pub use address::{Address, AddressError};
pub use budget::{MemoryLine, MemoryPlan};
pub use change::{Applied, Change};
pub use close::{Close, Fault};
pub use config::{Config, LimitMut, Limits, WhenDatagramsFull, WhenFull, WhenOverloaded};
pub use conn::{Conn, Peer, Relayed};
#[cfg(all(feature = "pipe", target_os = "linux"))]
pub use connect::Piped;
pub use connect::{Connect, ConnectError, Remote};
pub use datagram::{
    Datagram, DatagramReceive, DatagramService, Ecn, Only, Outgoing, Socket, SocketId, datagrams,
};
pub use error::{Error, Result};
pub use handover::Inherited;
pub use id::{ConnId, ConnIdError};
pub use mailbox::{Mailbox, SendError};
pub use moving::{Move, MoveError, Placement};
pub use observe::{
    CloseHow, ConnEntry, ConnState, LimitUse, LimitValue, ListenerStats, ObserveError, Page, Query,
    ServiceStats, Sort, TraceEntry, TraceStep, Traffic, TurnTrace,
};
pub use offload::{Answer, JobError, JobId, Offload, OffloadConfig, OffloadStats, Origin, SubmitError, Work};
pub use reconnect::Reconnect;
pub use resolve::{
    Lookup, LookupId, Resolve, ResolveError, Resolved, Resolver, ResolverConfig, ResolverStats,
};
pub use scope::{Scope, Sessions};
pub use serve::{Serve, serve};
pub use server::{Bound, BoundAddress, Handle, Server, Summary};
pub use service::{BeforeTls, Receive, Service, Tick};
pub use shared::Stall;
pub use stats::{Counters, Stats, TurnTimes};
#[cfg(feature = "tls")]
pub use tls::{
    ClientCertificates, TlsAcceptor, TlsClient, TlsConnector, TlsIdentity, TlsInfo, TlsServer, TlsTarget,
    TlsVersion,
};
pub use tls_error::TlsError;
#[cfg(feature = "tokio-util")]
pub use tokio_codec::{TokioCodec, TokioCodecError};
