//! The PROXY protocol, versions 1 and 2: who a connection really comes from, said in its first bytes by a
//! proxy before us. Follows its specification, `proxy-protocol.txt` of HAProxy; sections are cited by number.
//!
//! [`ProxyProtocol`] is the codec: [`Decode`](crate::Decode) takes one [`Header`] off the front of an input,
//! [`Encode`](crate::Encode) puts one. A header is believed from peers that are trusted and from nobody else
//! (section 5): whether this one is, only the owner of the socket can know.
//!
//! ```
//! use windlass_proto::proxy_protocol::{Addresses, ProxyProtocol};
//! use windlass_proto::{Decode, Input};
//!
//! let mut received = *b"PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\nGET /";
//! let mut input = Input::new(&mut received);
//! let header = ProxyProtocol::default().decode(&mut input)?.unwrap();
//! let Addresses::Inet { source, .. } = header.addresses else { panic!("addresses are there") };
//! assert_eq!(source.to_string(), "192.0.2.7:51000");
//! assert_eq!(input.peek(), b"GET /");
//! # Ok::<(), windlass_proto::proxy_protocol::HeaderError>(())
//! ```

mod decode;
mod encode;
mod tlv;

use core::error::Error;
use core::fmt;
use core::net::SocketAddr;

pub use tlv::{Tlv, Tlvs, kind};

/// The longest line of version 1, its CRLF included (section 2.1).
pub const V1_MAX: usize = 107;
/// Bytes of version 2 in front of what its length counts (section 2.2).
pub const V2_FIXED: usize = 16;
/// Bytes behind these sixteen that are taken if nothing else is said: addresses take up to 216, and the rest
/// is for what a peer adds, a TLS client's certificate among it.
pub const V2_LENGTH_MAX: usize = 4096;

/// How every header of version 2 begins (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How every line of version 1 begins (section 2.1).
const LINE: &[u8] = b"PROXY ";

/// Which form a header has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Version {
    /// A line of text: addresses of TCP and nothing else.
    V1,
    /// Binary, with room for more.
    #[default]
    V2,
}

/// The codec. As a decoder it takes either version, unless one is refused; as an encoder it writes the one
/// that it was made for.
#[derive(Clone, Copy, Debug)]
pub struct ProxyProtocol {
    writes: Version,
    takes_v1: bool,
    takes_v2: bool,
    length_max: usize,
    sums: bool,
}

impl Default for ProxyProtocol {
    fn default() -> ProxyProtocol {
        ProxyProtocol::writes(Version::V2)
    }
}

impl ProxyProtocol {
    /// Takes both versions and writes this one.
    pub const fn writes(version: Version) -> ProxyProtocol {
        ProxyProtocol {
            writes: version,
            takes_v1: true,
            takes_v2: true,
            length_max: V2_LENGTH_MAX,
            sums: false,
        }
    }

    /// Takes this version alone; the other is [`HeaderError::NotProxy`].
    pub const fn only(self, version: Version) -> ProxyProtocol {
        ProxyProtocol {
            takes_v1: matches!(version, Version::V1),
            takes_v2: matches!(version, Version::V2),
            ..self
        }
    }

    /// Bytes that a header of version 2 may have behind its first sixteen. Default [`V2_LENGTH_MAX`].
    pub const fn length_max(self, bytes: usize) -> ProxyProtocol {
        ProxyProtocol { length_max: bytes, ..self }
    }

    /// Puts a checksum behind the other TLVs of a header of version 2 with addresses (section 2.2.3). Default:
    /// does not.
    pub const fn checksum(self, sums: bool) -> ProxyProtocol {
        ProxyProtocol { sums, ..self }
    }

    /// The most bytes that an incomplete header leaves in the input.
    pub const fn held_max(&self) -> usize {
        let v2 = V2_FIXED + self.length_max;
        if v2 > V1_MAX { v2 } else { V1_MAX }
    }
}

/// What a peer says of the connection behind its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'b> {
    /// The form it came in.
    pub version: Version,
    /// Who talks to whom.
    pub addresses: Addresses<'b>,
    /// What else was said (version 2, section 2.2). Its layout and its checksum have been checked.
    pub tlvs: Tlvs<'b>,
}

/// Who talks to whom, as the peer saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Addresses<'b> {
    /// The peer talks for itself, a health check perhaps (version 2, `LOCAL`): the connection's own addresses
    /// count.
    Local,
    /// The peer passes somebody on and does not know whom (`UNKNOWN`, `UNSPEC`): the connection's own
    /// addresses count here too.
    Unknown,
    /// TCP or UDP; both addresses are of one family.
    Inet {
        /// The client.
        source: SocketAddr,
        /// Where it wanted to.
        destination: SocketAddr,
        /// Datagrams and not a stream.
        datagram: bool,
    },
    /// Unix sockets; paths of up to 108 bytes, without the zeros behind them.
    Unix {
        /// The client.
        source: &'b [u8],
        /// Where it wanted to.
        destination: &'b [u8],
        /// Datagrams and not a stream.
        datagram: bool,
    },
}

impl Addresses<'static> {
    /// A TCP connection.
    pub const fn tcp(source: SocketAddr, destination: SocketAddr) -> Addresses<'static> {
        Addresses::Inet { source, destination, datagram: false }
    }
}

impl<'b> Header<'b> {
    /// A header with nothing but addresses.
    pub const fn new(version: Version, addresses: Addresses<'b>) -> Header<'b> {
        Header { version, addresses, tlvs: Tlvs::EMPTY }
    }

    /// The client's address, if it has one that means something here.
    pub fn source(&self) -> Option<SocketAddr> {
        match self.addresses {
            Addresses::Inet { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What is wrong with a header. The connection cannot go on (section 2: "must be discarded").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HeaderError {
    /// These are other first bytes: no header, or one of a version that is not taken.
    NotProxy,
    /// It takes more bytes than it may.
    TooLong,
    /// A command, family or protocol that its version does not have.
    Unsupported,
    /// A number, an address or a length that does not fit.
    Malformed,
    /// The checksum in it differs from that of its bytes.
    Checksum,
    /// The input ended inside it.
    Truncated,
}

impl HeaderError {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            HeaderError::NotProxy => "not_proxy",
            HeaderError::TooLong => "too_long",
            HeaderError::Unsupported => "unsupported",
            HeaderError::Malformed => "malformed",
            HeaderError::Checksum => "checksum",
            HeaderError::Truncated => "truncated",
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::NotProxy => "no PROXY header where one was expected",
            HeaderError::TooLong => "a PROXY header longer than the limit",
            HeaderError::Unsupported => "a PROXY header of an unknown kind",
            HeaderError::Malformed => "a malformed PROXY header",
            HeaderError::Checksum => "a PROXY header with a wrong checksum",
            HeaderError::Truncated => "the input ended inside a PROXY header",
        })
    }
}

impl Error for HeaderError {}
