//! Messages to bytes: the other half of [`Decode`](crate::Decode).

#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

/// Where encoded bytes go: something that takes a piece at its end and never says no.
///
/// A `Vec<u8>` is one. In the engine a connection is one, so an encoder writes its header and its body
/// straight to `conn`, which gathers what one turn writes and sends it with one call: no buffer of the
/// encoder's own, and nothing allocated.
///
/// This is all of `bytes::BufMut` that an encoder needs. The rest of that trait hands out memory to be
/// written into later, and a connection has none to give: what it is given may be on its way already.
/// For the same reason an encoder checks first and puts afterwards; nothing can be taken back.
pub trait Put {
    /// Takes `bytes`, behind everything before.
    fn put(&mut self, bytes: &[u8]);
}

#[cfg(feature = "alloc")]
impl Put for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl<P: Put + ?Sized> Put for &mut P {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        (**self).put(bytes);
    }
}

/// Memory of a fixed size as an output: for those who have no heap.
///
/// A piece that does not fit is not taken, and neither is any behind it; [`wanted`](PutSlice::wanted) counts them all
/// the same, so that one looks at the end whether everything is there.
///
/// ```
/// use windlass_proto::{Encode, Lines, PutSlice};
///
/// let mut memory = [0; 8];
/// let mut out = PutSlice::new(&mut memory);
/// Lines::max(5).encode(b"hello", &mut out)?;
/// assert_eq!(out.whole(), Some(&b"hello\n"[..]));
/// Lines::max(5).encode(b"world", &mut out)?;
/// assert_eq!((out.whole(), out.wanted()), (None, 12));
/// # Ok::<(), windlass_proto::EncodeError>(())
/// ```
pub struct PutSlice<'m> {
    memory: &'m mut [u8],
    wanted: usize,
}

impl<'m> PutSlice<'m> {
    /// From the first byte of `memory` on.
    pub fn new(memory: &'m mut [u8]) -> PutSlice<'m> {
        PutSlice { memory, wanted: 0 }
    }

    /// All that was put; `None` if it did not fit.
    pub fn whole(&self) -> Option<&[u8]> {
        self.memory.get(..self.wanted)
    }

    /// Bytes that were put, whether they fit or not.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.wanted = 0;
    }
}

/// The numbers only: output may hold a secret.
impl fmt::Debug for PutSlice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutSlice").field("room", &self.memory.len()).field("wanted", &self.wanted).finish()
    }
}

impl Put for PutSlice<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let from = self.wanted;
        self.wanted = from.saturating_add(bytes.len());
        if let Some(room) = self.memory.get_mut(from..self.wanted) {
            room.copy_from_slice(bytes);
        }
    }
}

/// Text, for `write!`: an error says that it did not fit.
impl fmt::Write for PutSlice<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        if self.whole().is_some() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Appends a message to an output, in the form its [`Decode`](crate::Decode) takes off an input.
///
/// ```
/// use windlass_proto::{Encode, EncodeError, Lines};
///
/// let mut out = Vec::new();
/// let mut lines = Lines::max(5);
/// lines.encode(b"hello", &mut out)?;
/// assert_eq!(lines.encode(b"two\nlines", &mut out), Err(EncodeError::TooLong { max: 5 }));
/// assert_eq!(out, b"hello\n");
/// # Ok::<(), EncodeError>(())
/// ```
pub trait Encode<M: ?Sized> {
    /// Puts the whole message, or nothing of it.
    ///
    /// # Errors
    ///
    /// If the peer's decoder could not give this message back: it is too long, or holds what ends one.
    fn encode(&mut self, message: &M, out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError>;
}

/// Why a message of ours has no encoding. Not the peer's doing: with `?` in a callback of the engine it
/// becomes `Close::Unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// It is longer than the limit, which is the same in both directions.
    TooLong {
        /// The limit, in bytes, counted as the decoder of the protocol counts it.
        max: usize,
    },
    /// Its length cannot be said: not the fixed one, or none that fits into the length field.
    Length,
    /// It holds, or ends with the beginning of, what ends a message.
    Delimiter,
    /// The frame has bytes in front of the message that the message does not tell.
    Head,
    /// It is none that its protocol has, here or now: the peer would take it for a mistake.
    Invalid,
}

impl EncodeError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            EncodeError::TooLong { .. } => "too_long",
            EncodeError::Length => "length",
            EncodeError::Delimiter => "delimiter",
            EncodeError::Head => "head",
            EncodeError::Invalid => "invalid",
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::TooLong { max } => write!(f, "message to send takes more than {max} bytes"),
            EncodeError::Length => f.write_str("message to send has a length that cannot be said"),
            EncodeError::Delimiter => f.write_str("message to send holds what ends a message"),
            EncodeError::Head => f.write_str("message to send does not tell the front of its frame"),
            EncodeError::Invalid => f.write_str("message to send is none of its protocol, here or now"),
        }
    }
}

impl Error for EncodeError {}
