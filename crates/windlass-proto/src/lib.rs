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
//! Without the feature `alloc`, which is on by default, nothing in here needs a heap: framing, [`Lines`], the codec of
//! [`mqtt`], those of [`memcached`] and
//! [`proxy_protocol`], and the decoders of [`resp`] are left, and write into memory of a fixed size ([`PutSlice`]). With
//! `std`, the parser below HTTP may use the machine's vector instructions.
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

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod correlate;
mod decode;
#[cfg(feature = "deflate")]
pub mod deflate;
mod encode;
#[cfg(feature = "alloc")]
pub mod enet;
pub mod framing;
#[cfg(feature = "alloc")]
pub mod http;
mod input;
mod lines;
pub mod memcached;
pub mod mqtt;
pub mod proxy_protocol;
pub mod resp;
#[cfg(feature = "alloc")]
pub mod testing;
mod time;
#[cfg(feature = "alloc")]
mod tls_hello;
#[cfg(feature = "alloc")]
pub mod ws;

pub use decode::Decode;
pub use encode::{Encode, EncodeError, Put, PutSlice};
pub use input::Input;
pub use lines::{Lines, LinesError};
pub use time::Time;
#[cfg(feature = "alloc")]
pub use tls_hello::{CLIENT_HELLO_MAX, ClientHello, ClientHelloError};

#[cfg(all(test, feature = "alloc"))]
mod tests;
