//! Putting a header in front of a connection.

use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

use super::tlv::crc32c;
use super::{Addresses, Header, ProxyProtocol, SIGNATURE, V1_MAX, Version, kind};
use crate::{Encode, EncodeError, Put, PutSlice};

/// Paths of Unix sockets have this size, whatever is in them.
const UNIX_PATH: usize = 108;

impl Encode<Header<'_>> for ProxyProtocol {
    /// In the version that this codec writes, whichever the header came in.
    fn encode(&mut self, header: &Header<'_>, out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        match self.writes {
            Version::V1 => line(header, out),
            Version::V2 => self.binary(header, out),
        }
    }
}

/// Section 2.1: version 1 has no word for anything but a TCP connection, so that everything else is UNKNOWN.
fn line(header: &Header<'_>, out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
    if !header.tlvs.as_bytes().is_empty() {
        return Err(EncodeError::Head);
    }
    match header.addresses {
        Addresses::Inet { source, destination, datagram: false } => {
            let (from, to) = one_family(source, destination);
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from_port, to_port) = (source.port(), destination.port());
            let mut memory = [0; V1_MAX];
            let mut text = PutSlice::new(&mut memory);
            let fits = write!(text, "PROXY {family} {from} {to} {from_port} {to_port}\r\n");
            let Some(text) = text.whole().filter(|_| fits.is_ok()) else {
                return Err(EncodeError::TooLong { max: V1_MAX });
            };
            out.put(text);
        }
        _ => out.put(b"PROXY UNKNOWN\r\n"),
    }
    Ok(())
}

/// The addresses in one family: what there is of both if they are of one, else both as IPv6.
fn one_family(source: SocketAddr, destination: SocketAddr) -> (IpAddr, IpAddr) {
    let as_v6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
        v6 => v6,
    };
    match (source.ip(), destination.ip()) {
        (from @ IpAddr::V4(_), to @ IpAddr::V4(_)) => (from, to),
        (from, to) => (as_v6(from), as_v6(to)),
    }
}

impl ProxyProtocol {
    /// Section 2.2.
    fn binary(&self, header: &Header<'_>, out: &mut (impl Put + ?Sized)) -> Result<(), EncodeError> {
        let mut memory = [0; 2 * UNIX_PATH];
        let mut body = PutSlice::new(&mut memory);
        let (command, family) = match header.addresses {
            Addresses::Local => (0x20, 0),
            Addresses::Unknown => (0x21, 0),
            Addresses::Inet { source, destination, datagram } => {
                let (from, to) = one_family(source, destination);
                for ip in [from, to] {
                    match ip {
                        IpAddr::V4(ip) => body.put(&ip.octets()),
                        IpAddr::V6(ip) => body.put(&ip.octets()),
                    }
                }
                body.put(&source.port().to_be_bytes());
                body.put(&destination.port().to_be_bytes());
                (0x21, if from.is_ipv4() { 0x10 } else { 0x20 } | protocol(datagram))
            }
            Addresses::Unix { source, destination, datagram } => {
                for path in [source, destination] {
                    if path.len() > UNIX_PATH || path.last() == Some(&0) {
                        return Err(EncodeError::Length);
                    }
                    body.put(path);
                    body.put(&[0; UNIX_PATH][path.len()..]);
                }
                (0x21, 0x30 | protocol(datagram))
            }
        };
        let tlvs = header.tlvs.as_bytes();
        if family == 0 && !tlvs.is_empty() {
            // Whoever reads it skips all of it.
            return Err(EncodeError::Head);
        }
        // Two paths are the most there are.
        let Some(addresses) = body.whole() else { return Err(EncodeError::Length) };
        let mut sum: &[u8] = if self.sums && family != 0 { &[kind::CRC32C, 0, 4, 0, 0, 0, 0] } else { &[] };
        let total = addresses.len() + tlvs.len() + sum.len();
        let length = u16::try_from(total).map_err(|_| EncodeError::Length)?;
        if total > self.length_max {
            return Err(EncodeError::TooLong { max: self.length_max });
        }
        let head = [command, family, (length >> 8) as u8, length as u8];
        let mut summed = [kind::CRC32C, 0, 4, 0, 0, 0, 0];
        if !sum.is_empty() {
            // Over the header with zeros where it stands.
            let pieces = [&SIGNATURE[..], &head, addresses, tlvs, sum];
            summed[3..].copy_from_slice(&crc32c(pieces).to_be_bytes());
            sum = &summed;
        }
        for piece in [&SIGNATURE[..], &head, addresses, tlvs, sum] {
            out.put(piece);
        }
        Ok(())
    }
}

const fn protocol(datagram: bool) -> u8 {
    if datagram { 2 } else { 1 }
}
