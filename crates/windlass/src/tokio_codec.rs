//! Codecs written for `tokio_util::codec`, as a [`Decode`]: feature `tokio-util`. Read [`TokioCodec`] first.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};
use windlass_proto::{Decode, Input, Put};

/// What a codec may have in memory beyond its bound: what `BytesMut` keeps by habit.
const CAPACITY_FREE: usize = 128 * 1024;

/// A codec written for `tokio_util::codec`, with a bound on what it gathers.
///
/// Such codecs take their bytes from a `BytesMut` of their own, so everything that arrives is copied into
/// it, and most allocate for each message. That is the price of what is written already; where it is too
/// much, a [`Decode`] of your own borrows instead.
///
/// The buffer holds at most `max` bytes, and is given back when it is empty. A codec that wants more than
/// that for one message ends with [`TokioCodecError::TooLong`]. One that reserves what its peer announces
/// (`LengthDelimitedCodec` does) is refused as soon as it has; but it has reserved it then, so set its own
/// limit too.
///
/// ```
/// use tokio_util::codec::LinesCodec;
/// use windlass::TokioCodec;
/// use windlass::proto::{Decode, Input};
///
/// let mut lines = TokioCodec::new(LinesCodec::new(), 8 * 1024);
/// let mut received = *b"hello\r\nwor";
/// let mut input = Input::new(&mut received);
/// assert_eq!(lines.decode(&mut input).unwrap(), Some("hello".to_owned()));
/// assert_eq!(lines.decode(&mut input).unwrap(), None);
/// assert!(input.is_empty(), "what is not decoded waits in the codec's own buffer");
/// ```
#[derive(Debug)]
pub struct TokioCodec<C> {
    codec: C,
    // What the codec has not taken: up to `max` bytes of what was received.
    received: BytesMut,
    max: usize,
}

/// Why a foreign codec did not go on.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokioCodecError<E> {
    /// The codec's own error.
    Codec(E),
    /// It gathers, or has reserved, more than it may.
    TooLong {
        /// The bound, in bytes.
        max: usize,
    },
}

impl<C> TokioCodec<C> {
    /// A codec that may gather up to `max` bytes.
    pub fn new(codec: C, max: usize) -> TokioCodec<C> {
        TokioCodec { codec, received: BytesMut::new(), max }
    }

    /// The codec.
    pub fn codec(&mut self) -> &mut C {
        &mut self.codec
    }

    /// The codec, and what it has not decoded: for a switch of protocols, whose successor begins with
    /// these bytes and then goes on with the input.
    pub fn into_parts(self) -> (C, BytesMut) {
        (self.codec, self.received)
    }

    /// Encodes a message and puts it. Its bytes are copied once on their way.
    ///
    /// # Errors
    ///
    /// The codec's own.
    pub fn encode<M>(&mut self, message: M, out: &mut (impl Put + ?Sized)) -> Result<(), C::Error>
    where
        C: Encoder<M>,
    {
        // Not kept: an idle connection has no buffer.
        let mut encoded = BytesMut::new();
        self.codec.encode(message, &mut encoded)?;
        out.put(&encoded);
        Ok(())
    }
}

impl<C> Decode for TokioCodec<C>
where
    C: Decoder,
    C::Error: Error + Send + Sync + 'static,
{
    type Message<'b> = C::Item;
    type Error = TokioCodecError<C::Error>;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<C::Item>, Self::Error> {
        loop {
            let room = self.max.saturating_sub(self.received.len());
            if let Some(bytes) = input.take(input.len().min(room)) {
                self.received.extend_from_slice(bytes);
            }
            if self.received.is_empty() {
                self.received = BytesMut::new();
                return Ok(None);
            }
            if let Some(message) = self.codec.decode(&mut self.received).map_err(TokioCodecError::Codec)? {
                return Ok(Some(message));
            }
            let most = self.max.saturating_mul(2).max(CAPACITY_FREE);
            if self.received.len() >= self.max || self.received.capacity() > most {
                return Err(TokioCodecError::TooLong { max: self.max });
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
    }

    fn end<'b>(&mut self, _: &mut Input<'b>) -> Result<Option<C::Item>, Self::Error> {
        self.codec.decode_eof(&mut self.received).map_err(TokioCodecError::Codec)
    }
}

impl<E> TokioCodecError<E> {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            TokioCodecError::Codec(_) => "codec",
            TokioCodecError::TooLong { .. } => "too_long",
        }
    }
}

impl<E: fmt::Display> fmt::Display for TokioCodecError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokioCodecError::Codec(error) => write!(f, "{error}"),
            TokioCodecError::TooLong { max } => write!(f, "message that takes more than {max} bytes"),
        }
    }
}

impl<E: Error> Error for TokioCodecError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // Its text is the codec's own already.
        match self {
            TokioCodecError::Codec(error) => error.source(),
            TokioCodecError::TooLong { .. } => None,
        }
    }
}
