//! TLS: what a listener shows (`server.rs`), one connection's session (`session.rs`), and where the
//! sessions of a worker are (`table.rs`). Read `session.rs` first.
//!
//! rustls does the protocol. Its unbuffered interface leaves the buffers to us, so a connection holds
//! none while it is idle, and what was read in one call is decrypted where it lies. A plain connection
//! pays one test of a flag that is tested anyway.
//!
//! This folder is the one place outside `sys/` that names rustls.

mod client;
mod fail;
mod identity;
mod info;
pub(crate) mod peer;
mod server;
pub(crate) mod session;
mod table;

pub use client::{TlsClient, TlsConnector, TlsTarget};
pub use identity::TlsIdentity;
pub use info::TlsInfo;
pub use server::{ClientCertificates, TlsAcceptor, TlsServer, TlsVersion};
pub(crate) use table::{Table, WIRE, handshake_error};
