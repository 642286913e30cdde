//! What an entity is: numbers, each within bounds and in steps.

use std::sync::Arc;

/// One number of an entity, as it travels: from a least value, in steps, in so many bits.
///
/// Differences are small mostly, so there are two forms of one: a short one of [`small`](Field::small) bits, and the whole
/// value. They wrap around, so a direction that passes 359 degrees is a small difference too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    min: i32,
    step: u32,
    bits: u32,
    small: u32,
}

impl Field {
    /// Values from `min`, in steps of `step` (at least 1), as many as fit into `bits` bits (1 to 32). What lies outside is
    /// told as the nearest that fits.
    pub const fn new(min: i32, step: u32, bits: u32) -> Field {
        let bits = if bits < 1 {
            1
        } else if bits > 32 {
            32
        } else {
            bits
        };
        let small = if bits < 6 { bits } else { 6 };
        Field { min, step: if step == 0 { 1 } else { step }, bits, small }
    }

    /// The bits of a short difference, sign included, instead of 6.
    pub const fn small(mut self, bits: u32) -> Field {
        self.small = if bits < 1 {
            1
        } else if bits > self.bits {
            self.bits
        } else {
            bits
        };
        self
    }

    pub(crate) const fn bits(&self) -> u32 {
        self.bits
    }

    pub(crate) const fn small_bits(&self) -> u32 {
        self.small
    }

    /// Bytes of a value as a frame keeps it: frames are many.
    fn bytes(&self) -> usize {
        match self.bits {
            0..=8 => 1,
            9..=16 => 2,
            _ => 4,
        }
    }

    /// Puts a quantised value behind others, as a frame keeps it.
    pub(crate) fn keep(&self, quantised: u32, kept: &mut Vec<u8>) {
        match self.bytes() {
            1 => kept.push(quantised as u8),
            2 => kept.extend_from_slice(&(quantised as u16).to_le_bytes()),
            _ => kept.extend_from_slice(&quantised.to_le_bytes()),
        }
    }

    /// Takes the first of values that are kept so, of which this field's is one.
    pub(crate) fn take(&self, kept: &mut &[u8]) -> u32 {
        let taken = match self.bytes() {
            1 => kept.split_first().map(|(value, rest)| (u32::from(*value), rest)),
            2 => kept.split_first_chunk().map(|(value, rest)| (u32::from(u16::from_le_bytes(*value)), rest)),
            _ => kept.split_first_chunk().map(|(value, rest)| (u32::from_le_bytes(*value), rest)),
        };
        let Some((value, rest)) = taken else { return 0 };
        *kept = rest;
        value
    }

    fn mask(&self) -> u32 {
        u32::MAX >> (32 - self.bits)
    }

    pub(crate) fn quantise(&self, value: i32) -> u32 {
        let steps = (i64::from(value) - i64::from(self.min)).max(0) as u64 / u64::from(self.step);
        steps.min(u64::from(self.mask())) as u32
    }

    pub(crate) fn value(&self, quantised: u32) -> i32 {
        let value = i64::from(self.min) + i64::from(quantised) * i64::from(self.step);
        value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }

    /// The difference, if its short form holds it.
    pub(crate) fn short(&self, from: u32, to: u32) -> Option<u32> {
        let (mask, half) = (self.mask(), 1u32 << (self.small - 1));
        // Shifted, so that those that fit are the ones below twice a half.
        let shifted = to.wrapping_sub(from).wrapping_add(half) & mask;
        let whole = u64::from(half) * 2;
        (u64::from(shifted) < whole).then_some(shifted)
    }

    pub(crate) fn add_short(&self, from: u32, shifted: u32) -> u32 {
        let half = 1u32 << (self.small - 1);
        from.wrapping_add(shifted).wrapping_sub(half) & self.mask()
    }
}

/// What the entities of a room are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schema {
    /// Shared by all frames of a room: they are many.
    pub(crate) fields: Arc<[Field]>,
    /// Bytes of an entity's fields, as a frame keeps them.
    pub(crate) row: usize,
    pub(crate) cell: i32,
}

impl Schema {
    /// Entities of these fields, 32 at most: more are left out.
    pub fn new(fields: impl Into<Vec<Field>>) -> Schema {
        let mut fields = fields.into();
        fields.truncate(Schema::FIELDS_MAX);
        let row = fields.iter().map(Field::bytes).sum();
        Schema { fields: fields.into(), row, cell: 256 }
    }

    /// Fields of an entity at most.
    pub const FIELDS_MAX: usize = 32;

    /// The side of a cell of the grid by which those near a place are found, instead of 256: about the radius that
    /// players see.
    pub fn cell(mut self, side: i32) -> Schema {
        self.cell = side.max(1);
        self
    }
}
