//! Numbers of any number of bits in a row, the lowest bit first.

/// Takes bits in a row.
pub(crate) trait PutBits {
    /// The lowest `bits` of `value`, 32 at most; the others are 0.
    fn put(&mut self, value: u32, bits: u32);
}

/// Writes bits behind bytes that are there already.
pub(crate) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    held: u64,
    /// Fewer than 32.
    len: u32,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> BitWriter<'a> {
        BitWriter { out, held: 0, len: 0 }
    }

    /// Bits that were put elsewhere before.
    pub(crate) fn put_row(&mut self, row: BitRow) {
        let (mut bits, mut len) = (row.bits, row.len);
        while len > 32 {
            self.put(bits as u32, 32);
            (bits, len) = (bits >> 32, len - 32);
        }
        self.put(bits as u32, len);
    }

    /// Fills the last byte with zeros.
    pub(crate) fn end(self) {
        let bytes = self.len.div_ceil(8) as usize;
        self.out.extend_from_slice(&self.held.to_le_bytes()[..bytes]);
    }
}

impl PutBits for BitWriter<'_> {
    fn put(&mut self, value: u32, bits: u32) {
        debug_assert!(bits <= 32 && (bits == 32 || value >> bits == 0));
        self.held |= u64::from(value) << self.len;
        self.len += bits;
        if self.len >= 32 {
            self.out.extend_from_slice(&(self.held as u32).to_le_bytes());
            self.held >>= 32;
            self.len -= 32;
        }
    }
}

/// A row of at most [`BitRow::MAX`] bits, to be written more than once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct BitRow {
    bits: u128,
    len: u32,
}

impl BitRow {
    pub(crate) const MAX: u32 = 128;

    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl PutBits for BitRow {
    fn put(&mut self, value: u32, bits: u32) {
        debug_assert!(self.len + bits <= BitRow::MAX && (bits == 32 || value >> bits == 0));
        self.bits |= u128::from(value) << self.len;
        self.len += bits;
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
