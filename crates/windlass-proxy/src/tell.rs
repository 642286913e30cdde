//! What a backend is told of a client in a PROXY header.

use std::net::SocketAddr;

use windlass::Conn;
use windlass_proto::Encode;
use windlass_proto::proxy_protocol::{Addresses, Header, ProxyProtocol, Tlvs, Version};
#[cfg(feature = "tls")]
use windlass_proto::proxy_protocol::{Tlv, kind};

use crate::config::Backend;

/// The client speaks TLS with us; it has shown a certificate (section 2.2.6).
#[cfg(feature = "tls")]
const CLIENT_SSL: u8 = 0x01;
#[cfg(feature = "tls")]
const CLIENT_CERT_CONN: u8 = 0x02;

/// The TLVs about the TLS of a client that ends here; none where it does not.
#[cfg(feature = "tls")]
pub(crate) fn tlvs(conn: &Conn<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(tls) = conn.tls() else { return out };
    if let Some(protocol) = tls.alpn() {
        Tlv { kind: kind::ALPN, value: protocol }.put(&mut out);
    }
    if let Some(name) = tls.server_name() {
        Tlv { kind: kind::AUTHORITY, value: name.as_bytes() }.put(&mut out);
    }
    let shown = tls.peer_certificates().next().is_some();
    let mut ssl = vec![CLIENT_SSL | if shown { CLIENT_CERT_CONN } else { 0 }];
    // Zero: a certificate was shown and verified. A handshake with one that is not does not get here.
    ssl.extend_from_slice(&u32::from(!shown).to_be_bytes());
    Tlv { kind: kind::SSL_VERSION, value: tls.version().to_string().as_bytes() }.put(&mut ssl);
    Tlv { kind: kind::SSL_CIPHER, value: tls.cipher_suite().as_bytes() }.put(&mut ssl);
    Tlv { kind: kind::SSL, value: &ssl }.put(&mut out);
    out
}

#[cfg(not(feature = "tls"))]
pub(crate) fn tlvs(_: &Conn<'_>) -> Vec<u8> {
    Vec::new()
}

/// Whether a backend is told more than addresses.
pub(crate) fn wants_tlvs(backend: &Backend) -> bool {
    backend.send_proxy == Some(Version::V2) && backend.send_proxy_tlvs
}

/// The header, if a backend is sent one.
pub(crate) fn preface(backend: &Backend, addresses: Addresses<'_>, tlvs: &[u8]) -> Option<Vec<u8>> {
    let version = backend.send_proxy?;
    let more = wants_tlvs(backend) && matches!(addresses, Addresses::Inet { .. } | Addresses::Unix { .. });
    let tlvs = if more { Tlvs::new(tlvs).unwrap_or(Tlvs::EMPTY) } else { Tlvs::EMPTY };
    let mut codec = ProxyProtocol::writes(version).checksum(more);
    let mut bytes = Vec::new();
    let encoded = codec.encode(&Header { version, addresses, tlvs }, &mut bytes);
    if encoded.is_err() {
        // Longer than a header may be: addresses alone always have an encoding.
        let encoded = codec.encode(&Header::new(version, addresses), &mut bytes);
        debug_assert!(encoded.is_ok());
    }
    Some(bytes)
}

/// What stands in front of the first datagram of a flow (section 2.2 of the PROXY protocol, `DGRAM`).
pub(crate) fn datagram_preface(version: Version, client: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let same_family = client.is_ipv4() == destination.is_ipv4();
    // A socket for both families may not have been told where a datagram was sent to.
    let destination = if same_family { destination } else { client };
    let addresses = Addresses::Inet { source: client, destination, datagram: true };
    let mut bytes = Vec::new();
    let encoded = ProxyProtocol::writes(version).encode(&Header::new(version, addresses), &mut bytes);
    debug_assert!(encoded.is_ok());
    bytes
}
