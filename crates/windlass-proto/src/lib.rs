//! Bytes to messages and back, without a socket, a clock or a thread.
//!
//! This crate is the part of windlass that cannot do I/O: it is `#![no_std]`, so a decoder written here
//! has nothing to block on and nothing to wait for. Whoever owns the socket hands it bytes, whoever owns
//! the clock hands it the [`Time`], and the same code runs under a server, a simulator and a fuzzer.
//!
//! **The one contract:** a decoder takes a message off the front of its [`Input`] once all of it is
//! there, and leaves everything else, which comes back with more behind it.
//!
//! Read [`Input`] first, then [`Decode`], then [`Lines`], which is the smallest whole decoder. [`framing`]
//! has the other ready ones, and [`Encode`] is the way back. [`correlate`] tells which reply
//! belongs to which request. [`testing`] holds a codec to the contract: any
//! split of the bytes must give the same messages.
//!
//! ```
//! use windlass_proto::{Decode, Input, Lines};
//!
//! let mut received = *b"hello\r\nwor";
//! let mut input = Input::new(&mut received);
//! let mut lines = Lines::max(80);
//!
//! assert_eq!(lines.decode(&mut input)?.unwrap(), b"hello");
//! assert!(lines.decode(&mut input)?.is_none());
//! assert_eq!(input.peek(), b"wor"); // stays until its end has arrived
//! # Ok::<(), windlass_proto::LinesError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

pub mod correlate;
mod decode;
#[cfg(feature = "deflate")]
pub mod deflate;
mod encode;
pub mod enet;
pub mod framing;
pub mod http;
mod input;
mod lines;
pub mod memcached;
pub mod mqtt;
pub mod proxy_protocol;
pub mod resp;
pub mod testing;
mod time;
mod tls_hello;
pub mod ws;

pub use decode::Decode;
pub use encode::{Encode, EncodeError, Put};
pub use input::Input;
pub use lines::{Lines, LinesError};
pub use time::Time;
pub use tls_hello::{CLIENT_HELLO_MAX, ClientHello, ClientHelloError};

#[cfg(test)]
mod tests;
