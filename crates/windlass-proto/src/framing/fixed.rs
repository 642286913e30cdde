//! Messages that all have the same length.

use super::{FrameError, ended};
use crate::{Decode, Encode, EncodeError, Input, Put};

/// Messages of so many bytes each.
///
/// ```
/// use windlass_proto::framing::{Fixed, FrameError};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"abcde";
/// let mut input = Input::new(&mut received);
/// assert_eq!(Fixed::bytes(3).decode(&mut input)?.unwrap(), b"abc");
/// assert!(Fixed::bytes(3).decode(&mut input)?.is_none());
/// assert_eq!(input.needed(), Some(3));
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    // Not zero.
    len: usize,
}

impl Fixed {
    /// Messages of `len` bytes.
    ///
    /// # Panics
    ///
    /// If `len` is zero: there would be no end of such messages.
    pub const fn bytes(len: usize) -> Fixed {
        assert!(len > 0, "a message has at least one byte");
        Fixed { len }
    }
}

impl Decode for Fixed {
    type Message<'b> = &'b mut [u8];
    type Error = FrameError;

    #[inline]
    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        let message = input.take(self.len);
        if message.is_none() {
            input.need(self.len);
        }
        Ok(message)
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<&'b mut [u8]>, FrameError> {
        ended(input).map(|()| None)
    }
}

impl Encode<[u8]> for Fixed {
    fn encode(&mut self, message: &[u8], out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        if message.len() != self.len {
            return Err(EncodeError::Length);
        }
        out.put(message);
        Ok(())
    }
}
