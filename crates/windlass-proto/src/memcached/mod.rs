//! The memcached protocols, server side: text commands and binary requests on one port.
//!
//! Read [`Wire`] first, which tells the two apart, then [`Ascii`] and [`Binary`], the decoders, and
//! [`reply`] for what goes back. What the text protocol allows is written down in memcached's
//! `doc/protocol.txt`; the binary one in its `doc/protocol-binary.xml` (both as of 1.6.18). Where those
//! are silent, the replies are those of memcached 1.6.18, which a differential test asks.
//!
//! Nothing announced is believed: a value of 4 GiB is refused from its command line alone, and the bytes
//! that follow are dropped as they come.

mod ascii;
mod binary;
mod number;
pub mod reply;
mod token;

pub use ascii::{Ascii, AsciiError, Command, Get, Meta, MetaVerb, Refusal, Store};
pub use binary::{Binary, BinaryError, Operation, Request, Status};
pub use number::{parse_u64, stored_number};
pub use token::Tokens;

/// The longest key, in bytes, in either protocol.
pub const KEY_MAX: usize = 250;

/// How long a command may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the longest value. A longer one is refused and dropped as it comes. Default 1 MiB.
    pub value_max: usize,
    /// Bytes of the longest command line, its ending included. A longer one ends the connection, but for
    /// lists of keys (`get`, `gets`, `gat`, `gats`), which come in pieces of this size and may go on for
    /// ever. Default 8 KiB, at least 512.
    pub line_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { value_max: 1024 * 1024, line_max: 8 * 1024 }
    }
}

impl Limits {
    /// Bytes of input a decoder may wait for: the longest message, and what the engine's `input_max` must
    /// allow for.
    pub const fn input_max(&self) -> usize {
        // A command line or a binary head, the value and its CRLF.
        self.value_max.saturating_add(self.line_max).saturating_add(512)
    }
}

/// Which of the two protocols a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// Lines of text.
    Ascii,
    /// Requests with a head of 24 bytes.
    Binary,
}

impl Wire {
    /// Tells by the first byte a client sends: the magic number of a binary request begins no text
    /// command.
    ///
    /// ```
    /// use windlass_proto::memcached::Wire;
    ///
    /// assert_eq!(Wire::detect(b'g'), Wire::Ascii);
    /// assert_eq!(Wire::detect(0x80), Wire::Binary);
    /// ```
    pub const fn detect(first: u8) -> Wire {
        if first == binary::REQUEST { Wire::Binary } else { Wire::Ascii }
    }
}

/// What a storage command asks of the value that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Store it, whatever is there.
    Set,
    /// Store it if nothing is there.
    Add,
    /// Store it if something is there.
    Replace,
    /// Put it behind what is there.
    Append,
    /// Put it in front of what is there.
    Prepend,
}
