//! RESP2 and RESP3, the protocol of Redis, without I/O: both sides of it.
//!
//! A server decodes with [`Commands`] and answers with an [`Encoder`]; a client encodes with
//! [`Encoder::command`] and decodes with [`Replies`]. Nothing is copied and nothing allocated: a
//! [`Command`] and a [`Reply`] are views of the bytes they came in, which were checked once and are walked
//! when asked. Read `command` first, then `inline` for what people type, then `reply`.
//!
//! The protocol is described at <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Where it
//! leaves open what is an error, and how it is worded, Redis 7 is followed; it does not look at what
//! stands where CR LF belongs, which is refused here.
//!
//! ```
//! use windlass_proto::resp::{Commands, Encoder, Version};
//! use windlass_proto::{Decode, Input};
//!
//! let mut received = *b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\nPING\r\n";
//! let mut input = Input::new(&mut received);
//! let mut commands = Commands::default();
//! let (mut out, mut seen) = (Vec::new(), Vec::new());
//! while let Some(command) = commands.decode(&mut input)? {
//!     seen.push(command.name().to_vec());
//!     if let Some(text) = command.args().nth(1) {
//!         Encoder::new(&mut out, Version::Resp2).bulk(text);
//!     }
//! }
//! assert_eq!(seen, [b"ECHO", b"PING"]);
//! assert_eq!(out, b"$5\r\nhello\r\n");
//! # Ok::<(), windlass_proto::resp::RespError>(())
//! ```

mod command;
#[cfg(feature = "alloc")]
mod encode;
mod error;
mod inline;
mod number;
mod reply;

pub use command::{Args, Command, Commands, RespLimits};
#[cfg(feature = "alloc")]
pub use encode::{Encoder, Version};
pub use error::RespError;
pub use number::{decimal, parse_decimal};
pub use reply::{Elements, Replies, Reply, Value};

#[cfg(all(test, feature = "alloc"))]
mod tests;
