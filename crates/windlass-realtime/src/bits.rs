//! Numbers of any number of bits in a row, the lowest bit first.

/// Writes bits behind bytes that are there already.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    len: u32,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> BitWriter<'a> {
        BitWriter { out, held: 0, len: 0 }
    }

    /// The lowest `bits` of `value`, 32 at most.
    pub(crate) fn put(&mut self, value: u32, bits: u32) {
        debug_assert!(bits <= 32 && (bits == 32 || value >> bits == 0));
        self.held |= u64::from(value) << self.len;
        self.len += bits;
        while self.len >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.len -= 8;
        }
    }

    /// Fills the last byte with zeros.
    pub(crate) fn end(self) {
        if self.len > 0 {
            self.out.push(self.held as u8);
        }
    }
}

/// Reads what a [`BitWriter`] wrote.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    held: u64,
    len: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, held: 0, len: 0 }
    }

    /// The next `bits`, 32 at most; `None` if there are not so many.
    pub(crate) fn take(&mut self, bits: u32) -> Option<u32> {
        while self.len < bits {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.held |= u64::from(byte) << self.len;
            self.len += 8;
        }
        let value = (self.held & ((1 << bits) - 1)) as u32;
        self.held >>= bits;
        self.len -= bits;
        Some(value)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }
}
