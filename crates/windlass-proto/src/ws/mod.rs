//! WebSocket (RFC 6455) and permessage-deflate (RFC 7692), server and client, without I/O.
//!
//! In layers, each of use by itself:
//!
//! - [`Frames`] decodes frames into the fragments of messages as they arrive: nothing is held, whatever
//!   the length a frame announces.
//! - [`Messages`] puts fragments together, up to a cap in bytes, and checks UTF-8 on the way.
//! - [`Endpoint`] is one end of an open connection: it answers pings, keeps the closing handshake,
//!   compresses and inflates, and encodes what you send.
//! - [`Upgrade`] (server) and [`Opening`] (client) are the opening handshake, which makes one.
//!
//! Read [`Endpoint`] first. Errors are [`WsError`], each with the close code that tells the peer, and
//! [`HandshakeError`], each with the status that does.

mod client;
mod close;
mod config;
mod encode;
mod endpoint;
mod error;
mod frame;
mod frames;
mod handshake;
mod mask;
mod messages;
#[cfg(feature = "deflate")]
mod params;
#[cfg(feature = "deflate")]
mod permessage;
mod receiver;
mod scratch;
mod sender;
mod server;
mod utf8;

pub use client::Opening;
pub use close::{CloseCode, CloseFrame};
pub use config::WsConfig;
pub use encode::{MaskKeys, frame};
pub use endpoint::Endpoint;
pub use error::WsError;
pub use frame::{FrameHead, HEAD_BYTES_MAX, Head, Opcode};
pub use frames::{Fragment, Frames, Kind, Piece, Role};
pub use handshake::HandshakeError;
pub use mask::apply_mask;
pub use messages::{Message, Messages};
#[cfg(feature = "deflate")]
pub use permessage::Compression;
pub use receiver::{Event, Receiver};
pub use scratch::{ReceiveScratch, Scratch, SendScratch};
pub use sender::{Encoded, Sender};
pub use server::{AcceptHeaders, Origins, Upgrade};
