//! WebSocket services on the engine.
//!
//! Implement [`WsService`], which is called with whole messages, and serve it with [`WsServer`]: the opening
//! handshake and its deadline, the closing one, pings and their deadline, limits, back-pressure and the
//! counting of errors are done for you. Beside pages of an [`Http`](crate::Http) it stands at a path of its
//! own: [`WsApp`]. A service with sessions of its own keeps a [`WsSession`] in them instead.
//!
//! Read [`WsService`] first. What is on the wire is in [`windlass_proto::ws`].
//!
//! ```no_run
//! use windlass::{Close, serve};
//! use windlass_http::ws::{Accept, Message, Upgrade, Ws, WsServer, WsServerConfig, WsService};
//! use windlass_proto::http::Status;
//!
//! struct Echo;
//!
//! impl WsService for Echo {
//!     type Session = ();
//!     fn accept(&mut self, _: &Upgrade<'_, '_>, _: windlass::Peer) -> Result<Accept<()>, Status> {
//!         Ok(Accept::new(()))
//!     }
//!     fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
//!         ws.send(message);
//!         Ok(())
//!     }
//! }
//!
//! serve(|| WsServer::new(Echo, WsServerConfig::default())).tcp("127.0.0.1:9002").run()?;
//! # Ok::<(), windlass::Error>(())
//! ```

mod config;
mod members;
mod server;
mod service;
mod session;
mod stats;
mod upgraded;
mod worker;

pub use config::WsServerConfig;
pub use members::Members;
pub use server::{ServerSession, WsServer};
pub use service::{Accept, Message, WsReceive, WsService};
pub use session::{Ws, WsSession};
pub use stats::WsStats;
pub use upgraded::{WsApp, WsUpgraded, upgrade};
pub use worker::WsWorker;

pub use windlass_proto::ws::{CloseCode, HandshakeError, Kind, Origins, Upgrade, WsConfig, WsError, frame};
