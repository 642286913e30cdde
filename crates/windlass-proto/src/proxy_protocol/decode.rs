//! Taking a header off the front of an input.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::{self, FromStr};

use memchr::memmem;

use super::tlv::crc32c;
use super::{
    Addresses, Header, HeaderError, LINE, ProxyProtocol, SIGNATURE, Tlvs, V1_MAX, V2_FIXED, Version, kind,
};
use crate::{Decode, Input};

/// Paths of Unix sockets have this size, whatever is in them (section 2.2).
const UNIX_PATH: usize = 108;

impl Decode for ProxyProtocol {
    type Message<'b> = Header<'b>;
    type Error = HeaderError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Header<'b>>, HeaderError> {
        let seen = input.peek();
        match seen.first() {
            None => Ok(None),
            Some(b'P') if self.takes_v1 => line(input),
            Some(b'\r') if self.takes_v2 => self.take_binary(input),
            Some(_) => Err(HeaderError::NotProxy),
        }
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Header<'b>>, HeaderError> {
        if input.is_empty() { Ok(None) } else { Err(HeaderError::Truncated) }
    }
}

/// Whether `bytes` are, or may become, what begins with `start`.
fn may_begin(bytes: &[u8], start: &[u8]) -> bool {
    let common = bytes.len().min(start.len());
    bytes[..common] == start[..common]
}

/// Section 2.1. Nothing of a line is looked at before its end is there, but how it begins.
fn line<'b>(input: &mut Input<'b>) -> Result<Option<Header<'b>>, HeaderError> {
    let seen = &input.peek()[..input.len().min(V1_MAX)];
    if !may_begin(seen, LINE) {
        return Err(HeaderError::NotProxy);
    }
    let Some(end) = memmem::find(seen, b"\r\n") else {
        return if seen.len() == V1_MAX { Err(HeaderError::TooLong) } else { Ok(None) };
    };
    let addresses = str::from_utf8(&seen[LINE.len().min(end)..end]).ok().and_then(words);
    let addresses = addresses.ok_or(HeaderError::Malformed)?;
    input.skip(end + 2);
    Ok(Some(Header::new(Version::V1, addresses)))
}

/// What stands behind `PROXY `.
fn words(text: &str) -> Option<Addresses<'static>> {
    // What follows UNKNOWN is to be ignored, whatever it is.
    if text.strip_prefix("UNKNOWN").is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')) {
        return Some(Addresses::Unknown);
    }
    let mut words = text.split(' ');
    let mut next = || words.next();
    let (family, from, to, from_port, to_port) = (next()?, next()?, next()?, next()?, next()?);
    if next().is_some() {
        return None;
    }
    let (from, to): (IpAddr, IpAddr) = match family {
        "TCP4" => (Ipv4Addr::from_str(from).ok()?.into(), Ipv4Addr::from_str(to).ok()?.into()),
        "TCP6" => (Ipv6Addr::from_str(from).ok()?.into(), Ipv6Addr::from_str(to).ok()?.into()),
        _ => return None,
    };
    Some(Addresses::tcp(SocketAddr::new(from, port(from_port)?), SocketAddr::new(to, port(to_port)?)))
}

/// Digits alone, and none too many: `+1` and `007` are no ports.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if digits && !leading { text.parse().ok() } else { None }
}

impl ProxyProtocol {
    /// Section 2.2.
    fn take_binary<'b>(&self, input: &mut Input<'b>) -> Result<Option<Header<'b>>, HeaderError> {
        let seen = input.peek();
        if !may_begin(seen, &SIGNATURE) {
            return Err(HeaderError::NotProxy);
        }
        // Checked as soon as it is there: who is refused need not send more first.
        let local = match seen.get(12) {
            None | Some(0x21) => false,
            Some(0x20) => true,
            Some(_) => return Err(HeaderError::Unsupported),
        };
        let family = seen.get(13).copied().unwrap_or(0);
        // The family that comes with LOCAL is to be ignored.
        if !local && (family >> 4 > 3 || family & 15 > 2) {
            return Err(HeaderError::Unsupported);
        }
        let Some(&[high, low]) = seen.get(14..V2_FIXED) else {
            input.need(V2_FIXED);
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > self.length_max {
            return Err(HeaderError::TooLong);
        }
        // UNSPEC in either half says nothing of the addresses, and how long they are nobody can tell.
        let unknown = family >> 4 == 0 || family & 15 == 0;
        let addresses = match family >> 4 {
            _ if local || unknown => 0,
            1 => 12,
            2 => 36,
            _ => 2 * UNIX_PATH,
        };
        if length < addresses {
            return Err(HeaderError::Malformed);
        }
        let total = V2_FIXED + length;
        if seen.len() < total {
            input.need(total);
            return Ok(None);
        }
        let Some(header) = input.take(total) else { return Ok(None) };
        let header = &*header;
        let body = &header[V2_FIXED..];
        if local || unknown {
            // The block is to be skipped: there may be anything in it.
            let addresses = if local { Addresses::Local } else { Addresses::Unknown };
            return Ok(Some(Header::new(Version::V2, addresses)));
        }
        let tlvs = Tlvs::new(&body[addresses..]).ok_or(HeaderError::Malformed)?;
        check_sum(header, tlvs)?;
        Ok(Some(Header {
            version: Version::V2,
            addresses: parse(&body[..addresses], family & 15 == 2).ok_or(HeaderError::Malformed)?,
            tlvs,
        }))
    }
}

/// Section 2.2.3: over the whole header, with zeros where the sum stands.
fn check_sum(header: &[u8], tlvs: Tlvs<'_>) -> Result<(), HeaderError> {
    let mut at = header.len() - tlvs.as_bytes().len();
    for tlv in tlvs {
        if tlv.kind == kind::CRC32C {
            let (before, rest) = header.split_at(at + 3);
            let (sum, behind) = rest.split_at(4);
            if crc32c([before, &[0; 4], behind]).to_be_bytes() != sum {
                return Err(HeaderError::Checksum);
            }
        }
        at += 3 + tlv.value.len();
    }
    Ok(())
}

fn parse(bytes: &[u8], datagram: bool) -> Option<Addresses<'_>> {
    let (source, destination): (IpAddr, IpAddr) = match *bytes {
        [a, b, c, d, e, f, g, h, ..] if bytes.len() == 12 => ([a, b, c, d].into(), [e, f, g, h].into()),
        _ if bytes.len() == 36 => {
            let address = |at: usize| -> Option<[u8; 16]> { bytes[at..at + 16].try_into().ok() };
            (address(0)?.into(), address(16)?.into())
        }
        _ => {
            let (source, destination) = bytes.split_at_checked(UNIX_PATH)?;
            return Some(Addresses::Unix { source: path(source), destination: path(destination), datagram });
        }
    };
    let [.., a, b, c, d] = *bytes else { return None };
    Some(Addresses::Inet {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
        datagram,
    })
}

/// Without the zeros at its end; one at its beginning is that of an abstract address.
fn path(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}
