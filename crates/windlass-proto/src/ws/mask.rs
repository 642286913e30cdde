//! Masking (RFC 6455 section 5.3), eight bytes at a time.

/// Masks or unmasks `bytes` in place with `key`; the same call does both. Returns the key turned to where
/// the next bytes of the same frame begin.
///
/// ```
/// use windlass_proto::ws::apply_mask;
///
/// let mut bytes = *b"Hello";
/// let key = [0x37, 0xfa, 0x21, 0x3d];
/// apply_mask(&mut bytes, key);
/// assert_eq!(bytes, [0x7f, 0x9f, 0x4d, 0x51, 0x58]); // the RFC's example
/// let behind = apply_mask(&mut bytes[..1], key);
/// apply_mask(&mut bytes[1..], behind);
/// assert_eq!(&bytes, b"Hello");
/// ```
#[inline]
pub fn apply_mask(bytes: &mut [u8], key: [u8; 4]) -> [u8; 4] {
    let turn = bytes.len() % 4;
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // Groups of 32 bytes become vector instructions.
    let (groups, rest) = bytes.as_chunks_mut::<32>();
    for group in groups {
        for word in group.as_chunks_mut::<8>().0 {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    let mut turned = key;
    turned.rotate_left(turn);
    turned
}
