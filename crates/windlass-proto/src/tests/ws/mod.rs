//! Tests of [`crate::ws`].

#[cfg(feature = "deflate")]
mod compression;
mod endpoint;
mod frames;
mod handshake;
mod messages;
mod small;

use alloc::vec::Vec;

use crate::ws::{FrameHead, Opcode, apply_mask};

pub(super) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame, masked with [`KEY`].
pub(super) fn masked(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead { fin, rsv1: false, opcode, mask: Some(KEY), len: payload.len() as u64 };
    let mut bytes = head.encode().as_ref().to_vec();
    let at = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[at..], KEY);
    bytes
}

/// One frame without a mask.
pub(super) fn plain(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead { fin, ..FrameHead::whole(opcode, payload.len() as u64) };
    [head.encode().as_ref(), payload].concat()
}
