//! Tests of [`crate::proxy_protocol`].

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::proxy_protocol::{
    Addresses, Header, HeaderError, ProxyProtocol, Tlv, Tlvs, V1_MAX, V2_FIXED, V2_LENGTH_MAX, Version, kind,
};
use crate::testing::{Codec, Rng, any_split, check};
use crate::{Decode, Encode, EncodeError, Input};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header that outlives its input.
#[derive(Clone, Debug, PartialEq)]
struct Owned {
    version: Version,
    addresses: Kept,
    tlvs: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kept {
    Local,
    Unknown,
    Inet(SocketAddr, SocketAddr, bool),
    Unix(Vec<u8>, Vec<u8>, bool),
}

fn own(header: Header<'_>) -> Owned {
    let addresses = match header.addresses {
        Addresses::Local => Kept::Local,
        Addresses::Unknown => Kept::Unknown,
        Addresses::Inet { source, destination, datagram } => Kept::Inet(source, destination, datagram),
        Addresses::Unix { source, destination, datagram } => {
            Kept::Unix(source.to_vec(), destination.to_vec(), datagram)
        }
    };
    Owned { version: header.version, addresses, tlvs: header.tlvs.as_bytes().to_vec() }
}

fn encode(version: Version, header: &Owned) -> Result<Vec<u8>, EncodeError> {
    let addresses = match &header.addresses {
        Kept::Local => Addresses::Local,
        Kept::Unknown => Addresses::Unknown,
        Kept::Inet(source, destination, datagram) => {
            Addresses::Inet { source: *source, destination: *destination, datagram: *datagram }
        }
        Kept::Unix(source, destination, datagram) => {
            Addresses::Unix { source, destination, datagram: *datagram }
        }
    };
    let tlvs = Tlvs::new(&header.tlvs).expect("whole TLVs");
    let mut out = Vec::new();
    ProxyProtocol::writes(version).encode(&Header { version, addresses, tlvs }, &mut out)?;
    Ok(out)
}

/// Both versions, in one stream.
struct Headers;

impl Codec for Headers {
    type Decoder = ProxyProtocol;
    type Message = Owned;

    fn decoder(&self) -> ProxyProtocol {
        ProxyProtocol::default()
    }

    fn own(header: Header<'_>) -> Owned {
        own(header)
    }

    fn message(&self, rng: &mut Rng) -> Owned {
        let v4 = |rng: &mut Rng| SocketAddr::from(((rng.next_u64() as u32).to_be_bytes(), 7));
        let v6 = |rng: &mut Rng| {
            let (high, low) = (u128::from(rng.next_u64()), u128::from(rng.next_u64()));
            SocketAddr::new(IpAddr::from((high << 64 | low).to_be_bytes()), rng.next_u64() as u16)
        };
        if rng.chance(1, 2) {
            let addresses = match rng.below(3) {
                0 => Kept::Unknown,
                1 => Kept::Inet(v4(rng), v4(rng), false),
                _ => Kept::Inet(v6(rng), v6(rng), false),
            };
            return Owned { version: Version::V1, addresses, tlvs: Vec::new() };
        }
        let path = |rng: &mut Rng| {
            let mut path = vec![b'/'; rng.below(109) as usize];
            if let [.., last] = &mut path[..] {
                *last = 1 + rng.below(255) as u8;
            }
            path
        };
        let datagram = rng.chance(1, 4);
        let addresses = match rng.below(5) {
            0 => Kept::Local,
            1 => Kept::Unknown,
            2 => Kept::Inet(v4(rng), v4(rng), datagram),
            3 => Kept::Inet(v6(rng), v6(rng), datagram),
            _ => Kept::Unix(path(rng), path(rng), datagram),
        };
        let mut tlvs = Vec::new();
        if !matches!(addresses, Kept::Local | Kept::Unknown) {
            for _ in 0..rng.below(4) {
                let longest = if rng.chance(1, 8) { 2000 } else { 20 };
                let value = vec![rng.next_u64() as u8; rng.below(longest) as usize];
                let kind = [kind::ALPN, kind::AUTHORITY, kind::NOOP, 0xe0][rng.below(4) as usize];
                tlvs.extend(tlv(kind, &value));
            }
        }
        Owned { version: Version::V2, addresses, tlvs }
    }

    fn encode(&self, header: &Owned, out: &mut Vec<u8>) -> bool {
        encode(header.version, header).map(|bytes| out.extend(bytes)).is_ok()
    }

    fn held_max(&self) -> usize {
        ProxyProtocol::default().held_max()
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        wrong().into_iter().map(|(bytes, _)| bytes).collect()
    }
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[command, family], &(body.len() as u16).to_be_bytes(), body].concat()
}

const INET: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xc7, 0x38, 1, 0xbb];

/// What must be refused, and why.
fn wrong() -> Vec<(Vec<u8>, HeaderError)> {
    use HeaderError::*;
    let line = |text: &str| text.as_bytes().to_vec();
    let inet = |tail: &[u8]| v2(0x21, 0x11, &[&INET[..], tail].concat());
    let mut wrong_sum = inet(&tlv(kind::CRC32C, &[1, 2, 3, 4]));
    wrong_sum.extend(b"GET /");
    vec![
        (line("GET / HTTP/1.1\r\n"), NotProxy),
        (line("PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n"), NotProxy),
        (line("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), NotProxy),
        (line("PROXY\r\n"), NotProxy),
        (line("PROXY \r\n"), Malformed),
        (line("PROXY TCP4\r\n"), Malformed),
        (line("PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n"), Malformed),
        (line("PROXY UNKNOWNX\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), Malformed),
        (line("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n"), Malformed),
        (line("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 ::1 1 2\r\n"), Malformed),
        (line("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n"), Malformed),
        (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\0\r\n"), Malformed),
        ([&b"PROXY UNKNOWN "[..], &[b'x'; V1_MAX]].concat(), TooLong),
        (b"\r\n\r\n\0\r\nQUIX".to_vec(), NotProxy),
        (b"\r\n\r\nX".to_vec(), NotProxy),
        (v2(0x11, 0x11, &INET), Unsupported),
        (v2(0x22, 0x11, &INET), Unsupported),
        (v2(0x21, 0x41, &INET), Unsupported),
        (v2(0x21, 0x13, &INET), Unsupported),
        (v2(0x21, 0x11, &INET[..11]), Malformed),
        (v2(0x21, 0x21, &[0; 35]), Malformed),
        (v2(0x21, 0x31, &[0; 215]), Malformed),
        (inet(&[kind::ALPN]), Malformed),
        (inet(&[kind::ALPN, 0, 3, b'h', b'2']), Malformed),
        (inet(&[kind::ALPN, 0xff, 0xff]), Malformed),
        (inet(&tlv(kind::CRC32C, &[0; 3])), Malformed),
        (inet(&tlv(kind::UNIQUE_ID, &[0; 129])), Malformed),
        (wrong_sum, Checksum),
        ([SIGNATURE, &[0x21, 0x11], &(V2_LENGTH_MAX as u16 + 1).to_be_bytes()].concat(), TooLong),
    ]
}

#[test]
fn both_versions_pass_the_kit() {
    check(&Headers);
}

#[test]
fn what_is_wrong_is_refused_for_the_same_reason_however_it_is_split() {
    for (bytes, why) in wrong() {
        let run = any_split(ProxyProtocol::default, &bytes, own);
        assert_eq!((run.messages.len(), run.error), (0, Some(why)), "{}", bytes.escape_ascii());
    }
}

fn decode(codec: ProxyProtocol, bytes: &[u8]) -> (Result<Option<Owned>, HeaderError>, usize) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let mut codec = codec;
    let header = codec.decode(&mut input).map(|header| header.map(own));
    (header, input.len())
}

#[test]
fn lines_of_version_1() {
    let take = |text: &str| decode(ProxyProtocol::default(), text.as_bytes());
    let inet = |from: &str, to: &str| Kept::Inet(from.parse().unwrap(), to.parse().unwrap(), false);
    for (text, addresses) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\n", inet("192.0.2.7:51000", "198.51.100.1:443")),
        ("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", inet("255.255.255.255:65535", "0.0.0.0:0")),
        ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", inet("[2001:db8::1]:1", "[::1]:2")),
        ("PROXY UNKNOWN\r\n", Kept::Unknown),
        ("PROXY UNKNOWN ffff::1 whatever 1 2\r\n", Kept::Unknown),
    ] {
        let header = Owned { version: Version::V1, addresses, tlvs: Vec::new() };
        assert_eq!(take(text), (Ok(Some(header.clone())), 0), "{text}");
        assert_eq!(take(&[text, "behind"].concat()), (Ok(Some(header)), 6));
    }
    // The longest there is, by the specification's own example.
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), V1_MAX);
    assert_eq!(take(longest).1, 0);
}

#[test]
fn local_and_unspecified_skip_their_block_whatever_is_in_it() {
    for (bytes, addresses) in [
        (v2(0x20, 0, &[]), Kept::Local),
        (v2(0x20, 0xff, &[9; 5]), Kept::Local),
        (v2(0x21, 0, &[9; 7]), Kept::Unknown),
        (v2(0x21, 0x10, &[9; 3]), Kept::Unknown),
    ] {
        let header = Owned { version: Version::V2, addresses, tlvs: Vec::new() };
        assert_eq!(decode(ProxyProtocol::default(), &bytes), (Ok(Some(header)), 0));
    }
}

#[test]
fn a_checksum_that_is_right_is_taken() {
    // Made by hand: the sum over the header with zeros in its place.
    let mut bytes =
        v2(0x21, 0x11, &[&INET[..], &tlv(kind::CRC32C, &[0; 4]), &tlv(kind::NOOP, &[0])].concat());
    let sum = crc32c_by_division(&bytes);
    let at = V2_FIXED + INET.len() + 3;
    bytes[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    let (header, left) = decode(ProxyProtocol::default(), &bytes);
    assert!(header.is_ok_and(|header| header.is_some()) && left == 0);
    bytes[at + 7] ^= 1;
    assert_eq!(decode(ProxyProtocol::default(), &bytes).0, Err(HeaderError::Checksum));
}

/// Polynomial division, the other way round than the decoder's: highest bit first, bytes reflected.
fn crc32c_by_division(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x1edc_6f41 } else { crc << 1 };
        }
    }
    !crc.reverse_bits()
}

#[test]
fn the_sum_is_that_of_the_standard() {
    // RFC 3720 appendix B.4.
    assert_eq!(crc32c_by_division(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c_by_division(b"123456789"), 0xe306_9283);
}

#[test]
fn tlvs_are_found_and_end_exactly() {
    let bytes =
        [tlv(kind::ALPN, b"h2"), tlv(kind::AUTHORITY, b"example.test"), tlv(kind::NOOP, b"")].concat();
    let tlvs = Tlvs::new(&bytes).unwrap();
    assert_eq!(tlvs.count(), 3);
    assert_eq!(tlvs.find(kind::AUTHORITY), Some(&b"example.test"[..]));
    assert_eq!(tlvs.find(kind::SSL), None);
    assert_eq!(tlvs.into_iter().next(), Some(Tlv { kind: kind::ALPN, value: b"h2" }));
    assert!(Tlvs::new(&bytes[..bytes.len() - 1]).is_none());
}

#[test]
fn one_version_alone_does_not_take_the_other() {
    let v1 = b"PROXY UNKNOWN\r\n";
    let v2 = v2(0x20, 0, &[]);
    let only = |version| ProxyProtocol::default().only(version);
    assert_eq!(decode(only(Version::V2), v1).0, Err(HeaderError::NotProxy));
    assert_eq!(decode(only(Version::V1), &v2).0, Err(HeaderError::NotProxy));
    assert_eq!(decode(only(Version::V1), v1).1, 0);
    assert_eq!(decode(only(Version::V2), &v2).1, 0);
}

#[test]
fn what_no_peer_could_read_is_not_written() {
    let header = |addresses, tlvs: &[u8]| Owned { version: Version::V2, addresses, tlvs: tlvs.to_vec() };
    let inet = Kept::Inet("192.0.2.7:1".parse().unwrap(), "192.0.2.8:2".parse().unwrap(), false);
    let alpn = tlv(kind::ALPN, b"h2");
    assert_eq!(encode(Version::V1, &header(inet.clone(), &alpn)), Err(EncodeError::Head));
    assert_eq!(encode(Version::V2, &header(Kept::Local, &alpn)), Err(EncodeError::Head));
    let long = tlv(kind::NOOP, &[0; V2_LENGTH_MAX]);
    assert_eq!(encode(Version::V2, &header(inet, &long)), Err(EncodeError::TooLong { max: V2_LENGTH_MAX }));
    let path = Kept::Unix(vec![b'x'; 109], Vec::new(), false);
    assert_eq!(encode(Version::V2, &header(path, &[])), Err(EncodeError::Length));
}

#[test]
fn families_that_differ_are_written_as_the_wider_one() {
    let mixed = Kept::Inet("192.0.2.7:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap(), false);
    let header = Owned { version: Version::V1, addresses: mixed, tlvs: Vec::new() };
    let line = encode(Version::V1, &header).unwrap();
    assert_eq!(line.escape_ascii().to_string(), r"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
    let (back, _) = decode(ProxyProtocol::default(), &encode(Version::V2, &header).unwrap());
    let Kept::Inet(from, to, _) = back.unwrap().unwrap().addresses else { panic!("addresses") };
    assert_eq!((from.to_string(), to.to_string()), ("[::ffff:192.0.2.7]:1".into(), "[2001:db8::1]:2".into()));
}

#[test]
fn a_checksum_that_is_asked_for_is_that_of_the_whole_header() {
    let addresses = Addresses::tcp("192.0.2.7:51000".parse().unwrap(), "198.51.100.1:443".parse().unwrap());
    let mut said = Vec::new();
    assert!(Tlv { kind: kind::AUTHORITY, value: b"example.com" }.put(&mut said));
    assert!(!Tlv { kind: kind::NOOP, value: &[0; 65_536] }.put(&mut said), "too long");
    let tlvs = Tlvs::new(&said).unwrap();
    let mut codec = ProxyProtocol::writes(Version::V2).checksum(true);
    let mut bytes = Vec::new();
    codec.encode(&Header { version: Version::V2, addresses, tlvs }, &mut bytes).unwrap();
    let mut zeroed = bytes.clone();
    let at = zeroed.len() - 4;
    zeroed[at..].fill(0);
    assert_eq!(bytes[at..], crc32c_by_division(&zeroed).to_be_bytes());
    let whole = bytes.clone();
    let mut input = Input::new(&mut bytes);
    let header = ProxyProtocol::default().decode(&mut input).unwrap().unwrap();
    assert_eq!((header.addresses, header.tlvs.find(kind::AUTHORITY)), (addresses, Some(&b"example.com"[..])));
    // All but the byte that says that this is a checksum.
    for at in (16..whole.len()).filter(|at| *at != whole.len() - 7) {
        let mut wrong = whole.clone();
        wrong[at] ^= 1;
        let mut input = Input::new(&mut wrong);
        assert!(!matches!(ProxyProtocol::default().decode(&mut input), Ok(Some(_))), "byte {at}");
    }
    // Without addresses nobody reads what stands behind them.
    let mut local = Vec::new();
    codec.encode(&Header::new(Version::V2, Addresses::Local), &mut local).unwrap();
    assert_eq!(local.len(), 16);
}
