//! WebSocket (RFC 6455) and permessage-deflate (RFC 7692), server and client, without I/O.
//!
//! In layers, each of use by itself:
//!
//! - [`Frames`] decodes frames into the fragments of messages as they arrive: nothing is held, whatever
//!   the length a frame announces.
//! - [`Messages`] puts fragments together, up to a cap in bytes, and checks UTF-8 on the way.
//!
//! Errors are [`WsError`], each with the close code that tells the peer.

mod close;
mod encode;
mod error;
mod frame;
mod frames;
mod mask;
mod messages;
mod utf8;

pub use close::{CloseCode, CloseFrame};
pub use encode::{MaskKeys, frame};
pub use error::WsError;
pub use frame::{FrameHead, HEAD_BYTES_MAX, Head, Opcode};
pub use frames::{Fragment, Frames, Kind, Piece, Role};
pub use mask::apply_mask;
pub use messages::{Message, Messages};
