//! Compression of the messages of any framing, where it pays.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use super::{DeflateOptions, Deflater, InflateError, Inflater};
use crate::{Decode, Encode, EncodeError, Input, Put};

const AS_IS: u8 = 0;
const DEFLATED: u8 = 1;

const WORTH_IT_MIN: usize = 128;

/// A framing whose messages are compressed where that makes them shorter.
///
/// In front of each message stands one byte: 0, and the message follows as it is; or 1, and it follows
/// deflated (RFC 1951, without the four bytes that a flush ends with). Each message stands alone, so an
/// encoded one can be sent to many. Anything else in that byte is an error.
///
/// A message that came as it is, is borrowed from the input; one that was deflated is owned. The cap counts
/// the message as it was, and is checked while it inflates. The limit of the framing counts what is on the
/// wire.
///
/// A connection that never compresses holds nothing. Encoding a message worth it takes
/// [`DeflateOptions::bytes`] for the rest of the connection, decoding one
/// [`INFLATER_BYTES_MAX`](super::INFLATER_BYTES_MAX) at most.
///
/// ```
/// use windlass_proto::deflate::Compressed;
/// use windlass_proto::framing::LengthField;
/// use windlass_proto::{Decode, Encode, Input};
///
/// let mut codec = Compressed::new(LengthField::be(2).max(4096), 100_000);
/// let mut bytes = Vec::new();
/// codec.encode(&[b'x'; 50_000], &mut bytes)?;
/// assert!(bytes.len() < 4096);
/// let message = codec.decode(&mut Input::new(&mut bytes)).unwrap().unwrap();
/// assert_eq!(*message, [b'x'; 50_000]);
/// # Ok::<(), windlass_proto::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Compressed<C> {
    framing: C,
    max: usize,
    worth_it_min: usize,
    options: DeflateOptions,
    deflater: Option<Box<Deflater>>,
    inflater: Option<Box<Inflater>>,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompressedError<E> {
    /// Its frame is wrong.
    Frame(E),
    /// It does not say whether it is compressed.
    Unmarked,
    /// It cannot be inflated, or to more than the cap.
    Inflate(InflateError),
    /// It came as it is, and is longer than the cap.
    TooLong {
        /// The cap, in bytes.
        max: usize,
    },
}

impl<C> Compressed<C> {
    /// Messages of up to `max` bytes each before they are compressed, in this framing.
    pub fn new(framing: C, max: usize) -> Compressed<C> {
        let options = DeflateOptions::default();
        Compressed { framing, max, worth_it_min: WORTH_IT_MIN, options, deflater: None, inflater: None }
    }

    /// How to compress. With many connections a small window: `window_bits: 10, memory_level: 3` takes 24 KiB.
    pub fn options(self, options: DeflateOptions) -> Compressed<C> {
        Compressed { options, deflater: None, ..self }
    }

    /// Messages shorter than this are sent as they are. Default 128 bytes.
    pub fn worth_it_min(self, bytes: usize) -> Compressed<C> {
        Compressed { worth_it_min: bytes, ..self }
    }

    fn unpack<'b, E>(&mut self, marked: &'b mut [u8]) -> Result<Cow<'b, [u8]>, CompressedError<E>> {
        let max = self.max;
        match marked.split_first() {
            Some((&AS_IS, message)) if message.len() > max => Err(CompressedError::TooLong { max }),
            Some((&AS_IS, message)) => Ok(Cow::Borrowed(message)),
            Some((&DEFLATED, packed)) => {
                let inflater = self.inflater.get_or_insert_default();
                let mut message = Vec::new();
                inflater.reset();
                inflater.inflate(packed, max, &mut message).map_err(CompressedError::Inflate)?;
                Ok(Cow::Owned(message))
            }
            _ => Err(CompressedError::Unmarked),
        }
    }
}

impl<C> Decode for Compressed<C>
where
    C: for<'b> Decode<Message<'b> = &'b mut [u8]>,
{
    type Message<'b> = Cow<'b, [u8]>;
    type Error = CompressedError<C::Error>;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Cow<'b, [u8]>>, Self::Error> {
        let marked = self.framing.decode(input).map_err(CompressedError::Frame)?;
        marked.map(|marked| self.unpack(marked)).transpose()
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Cow<'b, [u8]>>, Self::Error> {
        let marked = self.framing.end(input).map_err(CompressedError::Frame)?;
        marked.map(|marked| self.unpack(marked)).transpose()
    }
}

impl<C: Encode<[u8]>> Encode<[u8]> for Compressed<C> {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        if message.len() > self.max {
            return Err(EncodeError::TooLong { max: self.max });
        }
        let mut marked = Vec::with_capacity(1 + message.len());
        if message.len() >= self.worth_it_min {
            let options = self.options;
            let deflater = self.deflater.get_or_insert_with(|| Box::new(Deflater::new(options)));
            deflater.reset();
            marked.push(DEFLATED);
            deflater.compress(message, &mut marked);
        }
        if marked.is_empty() || marked.len() > message.len() {
            marked.clear();
            marked.push(AS_IS);
            marked.extend_from_slice(message);
        }
        self.framing.encode(&marked, out)
    }
}

impl<E> CompressedError<E> {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            CompressedError::Frame(_) => "frame",
            CompressedError::Unmarked => "unmarked",
            CompressedError::Inflate(_) => "inflate",
            CompressedError::TooLong { .. } => "too_long",
        }
    }
}

impl<E: fmt::Display> fmt::Display for CompressedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompressedError::Frame(error) => write!(f, "{error}"),
            CompressedError::Unmarked => f.write_str("message that does not say whether it is compressed"),
            CompressedError::Inflate(error) => write!(f, "{error}"),
            CompressedError::TooLong { max } => write!(f, "message longer than {max} bytes"),
        }
    }
}

impl<E: Error> Error for CompressedError<E> {}
