//! Frames from messages.

use alloc::vec::Vec;

use sha1_smol::Sha1;

use super::frame::{FrameHead, HEAD_BYTES_MAX, Opcode};
use super::frames::Kind;
use super::mask::apply_mask;

/// A message as one unmasked frame: encoded once, it can be sent to any number of clients, compressed or
/// not.
///
/// ```
/// use windlass_proto::ws::{Kind, frame};
///
/// assert_eq!(frame(Kind::Text, b"Hello"), b"\x81\x05Hello");
/// ```
pub fn frame(kind: Kind, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES_MAX + message.len());
    append(&mut out, FrameHead::whole(kind.opcode(), message.len() as u64), message);
    out
}

impl Kind {
    /// The opcode its messages begin with.
    pub const fn opcode(self) -> Opcode {
        match self {
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
        }
    }
}

/// Appends a frame to `out`, its payload masked if its head has a key.
pub(super) fn append(out: &mut Vec<u8>, head: FrameHead, payload: &[u8]) {
    out.extend_from_slice(head.encode().as_ref());
    let at = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = head.mask {
        apply_mask(&mut out[at..], key);
    }
}

/// The keys a client masks its frames with, from a seed.
///
/// RFC 6455 section 10.3 wants keys that nobody can foretell, so that a page in a browser cannot have bytes
/// of its choice on the wire, in front of an intermediary that takes them for HTTP. These are as good as
/// their seed: each is a part of the SHA-1 of the seed and a counter.
#[derive(Clone)]
pub struct MaskKeys {
    seed: [u8; 16],
    counter: u64,
    keys: [[u8; 4]; 5],
}

impl MaskKeys {
    /// Keys from a seed of 16 random bytes, as random as the keys have to be.
    pub const fn new(seed: [u8; 16]) -> MaskKeys {
        MaskKeys { seed, counter: 0, keys: [[0; 4]; 5] }
    }

    /// The next key.
    pub fn next_key(&mut self) -> [u8; 4] {
        let part = (self.counter % 5) as usize;
        if part == 0 {
            let mut sha1 = Sha1::new();
            sha1.update(&self.seed);
            sha1.update(&self.counter.to_le_bytes());
            for (key, bytes) in self.keys.iter_mut().zip(sha1.digest().bytes().as_chunks().0) {
                *key = *bytes;
            }
        }
        self.counter += 1;
        self.keys[part]
    }
}

/// The seed is a secret.
impl core::fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MaskKeys").field("given", &self.counter).finish_non_exhaustive()
    }
}
