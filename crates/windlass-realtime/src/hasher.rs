//! A hash of a room's state that is the same on every machine.

/// FNV-1a of 64 bits over numbers: for [`Room::hash`](crate::Room::hash). It tells states apart, and proves nothing to
/// anybody.
///
/// ```
/// use windlass_realtime::Hasher;
///
/// let mut hasher = Hasher::new();
/// hasher.add(1).add(2);
/// assert_ne!(hasher.finish(), Hasher::new().add(2).add(1).finish());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hasher(u64);

impl Default for Hasher {
    fn default() -> Hasher {
        Hasher::new()
    }
}

impl Hasher {
    /// Of nothing yet.
    pub const fn new() -> Hasher {
        Hasher(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a number. Those of fewer bits are cast: `i32` with its sign.
    pub fn add(&mut self, number: i64) -> &mut Hasher {
        for byte in number.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    /// Adds bytes, and how many there are.
    pub fn add_bytes(&mut self, bytes: &[u8]) -> &mut Hasher {
        self.add(bytes.len() as i64);
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    /// The hash of what was added.
    pub fn finish(&self) -> u64 {
        self.0
    }
}
