//! HTTP/1.1 (RFC 9110 and 9112), server and client side, without I/O.
//!
//! Strict where it matters: what two implementations could read in two ways is refused, since requests are
//! smuggled through exactly that. What is passed on is written anew, never copied.
//!
//! Read [`ServerConn`] or [`ClientConn`] first: each is one end of a connection, a [`Decode`](crate::Decode)
//! for what comes in and a writer for what goes out, and holds both to the protocol. Then [`RequestHead`] and
//! [`Limits`]. [`RequestHeads`] and [`ResponseHeads`] decode heads alone, a [`HeadEncoder`] writes them.
//!
//! Bodies are pieces: whoever passes them on slowly takes them slowly, since what is not taken stays in the
//! input, and the engine's limits push back on the sender.
//!
//! ```
//! use windlass_proto::http::{Framing, RequestHeads};
//! use windlass_proto::{Decode, Input};
//!
//! let mut received = *b"POST /save?as=x HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello";
//! let mut input = Input::new(&mut received);
//! let head = RequestHeads::default().decode(&mut input)?.unwrap();
//!
//! assert_eq!((head.method, head.path(), head.query()), ("POST", "/save", Some("as=x")));
//! assert_eq!((head.host, head.framing), (Some("example.com"), Framing::Length(5)));
//! assert_eq!(input.peek(), b"hello");
//! # Ok::<(), windlass_proto::http::HttpError>(())
//! ```

mod body;
mod body_out;
mod client;
mod encode;
mod error;
mod framing;
mod headers;
mod limits;
mod request;
mod response;
mod scan;
mod server;
mod status;
mod target;

pub use client::{ClientConn, Request, ResponsePart};
pub use encode::{EncodeError, HeadEncoder, HeaderLines, ValueWriter};
pub use error::HttpError;
pub use framing::Framing;
pub use headers::{Header, Headers};
pub use limits::Limits;
pub use request::{RequestHead, RequestHeadBuf, RequestHeads};
pub use response::{ResponseHead, ResponseHeads};
pub use server::{RequestPart, Response, ServerConn};
pub use status::{Status, Version};
pub use target::Target;

/// The most header lines any head may have, whatever the [`Limits`].
pub const HEADERS_MAX: usize = 128;

#[cfg(test)]
mod tests;
