//! What version 2 says beyond addresses: type, length, value (section 2.2).

use core::fmt;

use crate::Put;

/// Types of TLVs (sections 2.2.1 to 2.2.8).
pub mod kind {
    /// The protocol agreed by ALPN.
    pub const ALPN: u8 = 0x01;
    /// The host name the client asked for: its SNI.
    pub const AUTHORITY: u8 = 0x02;
    /// CRC32c over the whole header.
    pub const CRC32C: u8 = 0x03;
    /// Nothing: fills up.
    pub const NOOP: u8 = 0x04;
    /// Up to 128 bytes that name the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// TLS between the client and the peer: TLVs of its own behind five bytes.
    pub const SSL: u8 = 0x20;
    /// Within [`SSL`]: the version of TLS, as `TLSv1.3`.
    pub const SSL_VERSION: u8 = 0x21;
    /// Within [`SSL`]: the cipher suite, as `TLS13_AES_256_GCM_SHA384`.
    pub const SSL_CIPHER: u8 = 0x23;
    /// The name of a network namespace.
    pub const NETNS: u8 = 0x30;
}

/// The longest unique id (section 2.2.5).
const UNIQUE_ID_MAX: usize = 128;
/// The reversed polynomial of CRC32c (RFC 4960 appendix B, to which section 2.2.3 refers).
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tlv<'b> {
    /// Its type: see [`kind`].
    pub kind: u8,
    /// Its value.
    pub value: &'b [u8],
}

impl Tlv<'_> {
    /// Appends it to `out`. False, and nothing appended, if its value is too long: it takes up to 65,535 bytes.
    pub fn put(&self, out: &mut (impl Put + ?Sized)) -> bool {
        let Ok(length) = u16::try_from(self.value.len()) else { return false };
        let [high, low] = length.to_be_bytes();
        out.put(&[self.kind, high, low]);
        out.put(self.value);
        true
    }
}

/// All of a header, in the order they came: an iterator.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Tlvs<'b>(&'b [u8]);

impl<'b> Tlvs<'b> {
    /// None.
    pub const EMPTY: Tlvs<'static> = Tlvs(&[]);

    /// Those in `bytes`; `None` unless they end exactly where the bytes do, each within its own limit.
    pub fn new(bytes: &'b [u8]) -> Option<Tlvs<'b>> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (tlv, behind) = first(rest)?;
            if tlv.kind == kind::UNIQUE_ID && tlv.value.len() > UNIQUE_ID_MAX {
                return None;
            }
            if tlv.kind == kind::CRC32C && tlv.value.len() != 4 {
                return None;
            }
            rest = behind;
        }
        Some(Tlvs(bytes))
    }

    /// The bytes of all of them.
    pub fn as_bytes(&self) -> &'b [u8] {
        self.0
    }

    /// The value of the first of a type.
    pub fn find(&self, kind: u8) -> Option<&'b [u8]> {
        let mut tlvs = *self;
        Iterator::find(&mut tlvs, |tlv| tlv.kind == kind).map(|tlv| tlv.value)
    }
}

impl<'b> Iterator for Tlvs<'b> {
    type Item = Tlv<'b>;

    fn next(&mut self) -> Option<Tlv<'b>> {
        let (tlv, rest) = first(self.0)?;
        self.0 = rest;
        Some(tlv)
    }
}

/// What they are, and how long: they may hold a client's name.
impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.map(|tlv| (tlv.kind, tlv.value.len()))).finish()
    }
}

fn first(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let [kind, high, low, rest @ ..] = bytes else { return None };
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((Tlv { kind: *kind, value }, rest))
}

/// CRC32c of pieces one behind the other. A header is short and there is one to a connection: no table.
pub(super) fn crc32c<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> u32 {
    let mut crc = u32::MAX;
    for byte in pieces.into_iter().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}
