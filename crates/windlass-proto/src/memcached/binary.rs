//! Binary requests. Read [`Binary`] first, then [`Request`].

use core::error::Error;
use core::fmt;

use super::{KEY_MAX, Limits, Mode};
use crate::{Decode, Input};

/// The first byte of a request.
pub(super) const REQUEST: u8 = 0x80;
/// The first byte of a response.
pub(super) const RESPONSE: u8 = 0x81;
/// Bytes of a head, of requests and responses alike.
pub(super) const HEAD: usize = 24;

/// Decodes binary requests.
///
/// ```
/// use windlass_proto::memcached::{Binary, Limits, Operation};
/// use windlass_proto::{Decode, Input};
///
/// // GetKQ of "a", opaque 7.
/// let mut received = [0x80, 0x0d, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, b'a'];
/// let mut input = Input::new(&mut received);
/// let request = Binary::new(Limits::default()).decode(&mut input)?.unwrap();
/// assert_eq!((request.opaque, request.quiet), (7, true));
/// assert_eq!(request.operation, Operation::Get { key: b"a", with_key: true, exptime: None });
/// # Ok::<(), windlass_proto::memcached::BinaryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Binary {
    limits: Limits,
    /// Bytes still to come of a body that was refused.
    drop: u32,
}

/// One binary request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'b> {
    /// As it came, to be repeated in the response.
    pub opcode: u8,
    /// To be repeated in the response.
    pub opaque: u32,
    /// If not 0: do it only if the value there has this number.
    pub cas: u64,
    /// A quiet variant: only what is not expected is answered (a hit of `GetQ`, a failure of `SetQ`).
    pub quiet: bool,
    /// What is asked for.
    pub operation: Operation<'b>,
}

/// What a binary request asks for. Keys have 1 to 250 bytes. Exptimes are as in
/// [`Store::exptime`](super::Store::exptime), but never below 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Operation<'b> {
    /// Get, GetK, GAT, GATK and their quiet variants.
    Get {
        /// What to fetch.
        key: &'b [u8],
        /// The key is wanted in the response.
        with_key: bool,
        /// The exptime it is given (GAT).
        exptime: Option<u32>,
    },
    /// Touch: a new exptime, without the value.
    Touch {
        /// Whose.
        key: &'b [u8],
        /// The new one.
        exptime: u32,
    },
    /// Set, Add, Replace, Append, Prepend.
    Store {
        /// What is asked of the value that is there.
        mode: Mode,
        /// Where to.
        key: &'b [u8],
        /// Kept with the value; 0 for Append and Prepend, which leave what is there.
        flags: u32,
        /// When it expires; 0 for Append and Prepend, which leave what is there.
        exptime: u32,
        /// Up to [`Limits::value_max`] bytes.
        value: &'b [u8],
    },
    /// Delete.
    Delete {
        /// What.
        key: &'b [u8],
    },
    /// Increment and Decrement.
    Arith {
        /// Whose number.
        key: &'b [u8],
        /// Decrement.
        down: bool,
        /// By how much.
        delta: u64,
        /// What to store if there is nothing.
        initial: u64,
        /// Its exptime then; `None` (all bits set on the wire): store nothing.
        exptime: Option<u32>,
    },
    /// Flush.
    FlushAll {
        /// When, written as an exptime; 0: at once.
        delay: u32,
    },
    /// No-op: answered behind whatever was quiet before it.
    Noop,
    /// Version.
    Version,
    /// Quit.
    Quit,
    /// Stat.
    Stat {
        /// Which statistics; empty: the general ones.
        key: &'b [u8],
    },
    /// Verbosity.
    Verbosity,
    /// No such opcode, or one for what is not offered (SASL). What came with it is dropped.
    Unknown,
    /// A value over the limit, which is dropped as it comes: answered with [`Status::TooLarge`].
    TooLarge {
        /// Where it was to go.
        key: &'b [u8],
        /// What was to be done with it. A failed Set takes what is stored with it, so that nobody goes on
        /// reading what the client thinks replaced.
        mode: Mode,
    },
}

/// What ends a connection of binary requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BinaryError {
    /// Something else than a request begins here.
    Magic,
    /// The lengths of key and extras are more than that of the whole.
    Lengths {
        /// Of the request.
        opcode: u8,
        /// Of the request.
        opaque: u32,
    },
    /// The opcode wants other extras, a key, no key, or no value.
    Arguments {
        /// Of the request.
        opcode: u8,
        /// Of the request.
        opaque: u32,
    },
}

/// How a request went: section 3.2 of the specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
#[non_exhaustive]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such key.
    NotFound = 1,
    /// There is one already, or one with another number.
    Exists = 2,
    /// Over the limit.
    TooLarge = 3,
    /// Not what the opcode wants.
    Arguments = 4,
    /// Nothing to append to.
    NotStored = 5,
    /// No number to count from.
    NotNumeric = 6,
    /// No such opcode.
    Unknown = 0x81,
    /// No memory.
    OutOfMemory = 0x82,
}

impl Status {
    /// The text that goes into the response's value.
    pub const fn text(self) -> &'static [u8] {
        match self {
            Status::Ok => b"",
            Status::NotFound => b"Not found",
            Status::Exists => b"Data exists for key.",
            Status::TooLarge => b"Too large.",
            Status::Arguments => b"Invalid arguments",
            Status::NotStored => b"Not stored.",
            Status::NotNumeric => b"Non-numeric server-side value for incr or decr",
            Status::Unknown => b"Unknown command",
            Status::OutOfMemory => b"Out of memory",
        }
    }
}

impl BinaryError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            BinaryError::Magic => "magic",
            BinaryError::Lengths { .. } => "lengths",
            BinaryError::Arguments { .. } => "arguments",
        }
    }

    /// What goes back before the end: opcode, opaque and status of a response, if there was a request.
    pub const fn response(&self) -> Option<(u8, u32, Status)> {
        match *self {
            BinaryError::Magic => None,
            BinaryError::Lengths { opcode, opaque } => Some((opcode, opaque, Status::Unknown)),
            BinaryError::Arguments { opcode, opaque } => Some((opcode, opaque, Status::Arguments)),
        }
    }
}

impl fmt::Display for BinaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BinaryError::Magic => f.write_str("something else than a binary request"),
            BinaryError::Lengths { opcode, .. } => {
                write!(f, "lengths that do not fit each other, in a request {opcode:#04x}")
            }
            BinaryError::Arguments { opcode, .. } => {
                write!(f, "arguments that are not those of a request {opcode:#04x}")
            }
        }
    }
}

impl Error for BinaryError {}

/// What an opcode does, without its quiet flag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get { with_key: bool, touch: bool },
    Touch,
    Store(Mode),
    Delete,
    Arith { down: bool },
    FlushAll,
    Noop,
    Version,
    Quit,
    Stat,
    Verbosity,
    Unknown,
}

const fn kind(opcode: u8) -> (Kind, bool) {
    const fn get(with_key: bool, touch: bool) -> Kind {
        Kind::Get { with_key, touch }
    }
    match opcode {
        0x00 => (get(false, false), false),
        0x01 => (Kind::Store(Mode::Set), false),
        0x02 => (Kind::Store(Mode::Add), false),
        0x03 => (Kind::Store(Mode::Replace), false),
        0x04 => (Kind::Delete, false),
        0x05 => (Kind::Arith { down: false }, false),
        0x06 => (Kind::Arith { down: true }, false),
        0x07 => (Kind::Quit, false),
        0x08 => (Kind::FlushAll, false),
        0x09 => (get(false, false), true),
        0x0a => (Kind::Noop, false),
        0x0b => (Kind::Version, false),
        0x0c => (get(true, false), false),
        0x0d => (get(true, false), true),
        0x0e => (Kind::Store(Mode::Append), false),
        0x0f => (Kind::Store(Mode::Prepend), false),
        0x10 => (Kind::Stat, false),
        0x11 => (Kind::Store(Mode::Set), true),
        0x12 => (Kind::Store(Mode::Add), true),
        0x13 => (Kind::Store(Mode::Replace), true),
        0x14 => (Kind::Delete, true),
        0x15 => (Kind::Arith { down: false }, true),
        0x16 => (Kind::Arith { down: true }, true),
        0x17 => (Kind::Quit, true),
        0x18 => (Kind::FlushAll, true),
        0x19 => (Kind::Store(Mode::Append), true),
        0x1a => (Kind::Store(Mode::Prepend), true),
        0x1b => (Kind::Verbosity, false),
        0x1c => (Kind::Touch, false),
        0x1d => (get(false, true), false),
        0x1e => (get(false, true), true),
        0x23 => (get(true, true), false),
        0x24 => (get(true, true), true),
        _ => (Kind::Unknown, false),
    }
}

/// A head, as far as it matters.
struct Head {
    opcode: u8,
    key: usize,
    extras: usize,
    /// Extras, key and value.
    body: usize,
    opaque: u32,
    cas: u64,
}

impl Head {
    #[inline]
    fn parse(bytes: &[u8; HEAD]) -> Head {
        let [_, opcode, k1, k0, extras, _, _, _, body @ .., o3, o2, o1, o0, c7, c6, c5, c4, c3, c2, c1, c0] =
            *bytes;
        Head {
            opcode,
            key: u16::from_be_bytes([k1, k0]).into(),
            extras: extras.into(),
            body: u32::from_be_bytes(body) as usize,
            opaque: u32::from_be_bytes([o3, o2, o1, o0]),
            cas: u64::from_be_bytes([c7, c6, c5, c4, c3, c2, c1, c0]),
        }
    }

    /// Whether the extras, the key and the value are those of this kind.
    #[inline]
    fn fits(&self, kind: Kind) -> bool {
        let value = self.body - self.key - self.extras;
        let (extras, key, may_have_value) = match kind {
            Kind::Get { touch: false, .. } | Kind::Delete => (0, true, false),
            Kind::Get { touch: true, .. } | Kind::Touch => (4, true, false),
            Kind::Store(Mode::Append | Mode::Prepend) => (0, true, true),
            Kind::Store(_) => (8, true, true),
            Kind::Arith { .. } => (20, true, false),
            Kind::Noop | Kind::Version | Kind::Quit => (0, false, false),
            Kind::FlushAll | Kind::Verbosity if self.extras == 4 => (4, false, false),
            Kind::FlushAll | Kind::Verbosity => (0, false, false),
            Kind::Stat => (0, self.key > 0, false),
            Kind::Unknown => return true,
        };
        self.extras == extras
            && (self.key > 0) == key
            && self.key <= KEY_MAX
            && (value == 0 || may_have_value)
    }
}

impl Binary {
    /// A decoder with these limits; lines it has none.
    pub const fn new(limits: Limits) -> Binary {
        Binary { limits, drop: 0 }
    }
}

impl Decode for Binary {
    type Message<'b> = Request<'b>;
    type Error = BinaryError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Request<'b>>, BinaryError> {
        if self.drop > 0 {
            self.drop -= input.skip(self.drop as usize) as u32;
        }
        match input.peek().first() {
            Some(&REQUEST) => {}
            Some(_) => return Err(BinaryError::Magic),
            None => return Ok(None),
        }
        let Some(head) = input.peek().first_chunk() else {
            input.need(HEAD);
            return Ok(None);
        };
        let head = Head::parse(head);
        let (opcode, opaque) = (head.opcode, head.opaque);
        if head.key + head.extras > head.body {
            return Err(BinaryError::Lengths { opcode, opaque });
        }
        let (kind, quiet) = kind(opcode);
        if !head.fits(kind) {
            return Err(BinaryError::Arguments { opcode, opaque });
        }
        let value = head.body - head.key - head.extras;
        // What will be taken, and what will be dropped as it comes.
        let (taken, drop) = match kind {
            Kind::Unknown => (0, head.body),
            _ if value > self.limits.value_max => (head.body - value, value),
            _ => (head.body, 0),
        };
        if input.len() < HEAD + taken {
            input.need(HEAD + taken);
            return Ok(None);
        }
        self.drop = drop as u32;
        input.skip(HEAD);
        let Some(body) = input.take(taken) else { return Ok(None) };
        let operation = operation(kind, &head, body, drop > 0);
        Ok(Some(Request { opcode, opaque, cas: head.cas, quiet, operation }))
    }
}

/// Takes a body apart that [`Head::fits`].
#[inline]
fn operation<'b>(kind: Kind, head: &Head, body: &'b [u8], too_large: bool) -> Operation<'b> {
    if kind == Kind::Unknown {
        return Operation::Unknown;
    }
    let (extras, rest) = body.split_at(head.extras);
    let (key, value) = rest.split_at(head.key);
    match kind {
        Kind::Get { with_key, touch } => {
            Operation::Get { key, with_key, exptime: touch.then(|| u32_at(extras, 0)) }
        }
        Kind::Touch => Operation::Touch { key, exptime: u32_at(extras, 0) },
        Kind::Store(mode) if too_large => Operation::TooLarge { key, mode },
        Kind::Store(mode) => {
            Operation::Store { mode, key, flags: u32_at(extras, 0), exptime: u32_at(extras, 4), value }
        }
        Kind::Delete => Operation::Delete { key },
        Kind::Arith { down } => {
            let exptime = Some(u32_at(extras, 16)).filter(|exptime| *exptime != u32::MAX);
            Operation::Arith { key, down, delta: u64_at(extras, 0), initial: u64_at(extras, 8), exptime }
        }
        Kind::FlushAll => Operation::FlushAll { delay: u32_at(extras, 0) },
        Kind::Noop => Operation::Noop,
        Kind::Version => Operation::Version,
        Kind::Quit => Operation::Quit,
        Kind::Stat => Operation::Stat { key },
        Kind::Verbosity => Operation::Verbosity,
        Kind::Unknown => Operation::Unknown,
    }
}

/// The number at `at`; 0 if the extras are shorter.
#[inline]
fn u32_at(extras: &[u8], at: usize) -> u32 {
    extras.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The same of 64 bits.
#[inline]
fn u64_at(extras: &[u8], at: usize) -> u64 {
    extras.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
