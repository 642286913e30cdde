//! The few forms that records are made of: variable-length numbers, and bytes behind their length.

use super::record::RecordError;

/// Appends a number, seven bits a byte, the lowest first; the high bit says that more follow.
#[inline]
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes behind their length.
#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes one thing after the other off the front of some bytes.
pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader(bytes)
    }

    /// What has not been taken.
    pub(super) fn rest(&self) -> &'b [u8] {
        self.0
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        let (first, rest) = self.0.split_first().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    /// A number of at most ten bytes, in its shortest form.
    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, RecordError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(RecordError::Number);
            }
            number |= bits << shift;
            if byte < 0x80 {
                // Another form of the same number would be two encodings of one record.
                return if byte == 0 && shift > 0 { Err(RecordError::Number) } else { Ok(number) };
            }
        }
        Err(RecordError::Number)
    }

    pub(super) fn number_as<N: TryFrom<u64>>(&mut self) -> Result<N, RecordError> {
        N::try_from(self.number()?).map_err(|_| RecordError::Number)
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'b [u8], RecordError> {
        let len: usize = self.number_as()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'b str, RecordError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| RecordError::Text)
    }
}
