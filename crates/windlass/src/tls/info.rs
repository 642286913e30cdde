//! What a service can ask about a connection's TLS.

use rustls::{CommonState, HandshakeKind, ProtocolVersion};

use super::server::TlsVersion;
use super::session::Session;

/// What was agreed in the handshake of a connection. From [`Conn::tls`](crate::Conn::tls).
#[derive(Clone, Copy)]
pub struct TlsInfo<'a> {
    session: &'a Session,
    common: &'a CommonState,
}

impl<'a> TlsInfo<'a> {
    pub(super) fn new(session: &'a Session) -> TlsInfo<'a> {
        TlsInfo { session, common: session.common() }
    }

    /// The version spoken.
    pub fn version(&self) -> TlsVersion {
        match self.common.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
            _ => TlsVersion::V1_3,
        }
    }

    /// The cipher suite's name in the registry of RFC 8446, as `TLS13_AES_256_GCM_SHA384`.
    pub fn cipher_suite(&self) -> &'static str {
        self.common.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown")
    }

    /// The application protocol (ALPN), if one was agreed.
    pub fn alpn(&self) -> Option<&'a [u8]> {
        self.common.alpn_protocol()
    }

    /// The host name the client asked for (SNI), in lower case.
    pub fn server_name(&self) -> Option<&'a str> {
        self.session.server_name()
    }

    /// The peer's certificates as DER, its own first; none if it showed none. They have been verified.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.common.peer_certificates().unwrap_or_default().iter().map(|certificate| certificate.as_ref())
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.common.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

impl std::fmt::Debug for TlsInfo<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsInfo")
            .field("version", &self.version())
            .field("cipher_suite", &self.cipher_suite())
            .field("server_name", &self.server_name())
            .field("resumed", &self.is_resumed())
            .finish_non_exhaustive()
    }
}
