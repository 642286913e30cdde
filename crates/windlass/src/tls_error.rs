//! What went wrong with TLS on a connection: a small set of stable labels, with or without TLS built in.

use std::fmt;

use windlass_proto::proxy_protocol::HeaderError;

/// Why TLS ended a connection. Each is counted by its [label](TlsError::label); the text behind it, where
/// there is one, is for logs.
///
/// A fatal alert that says so has been sent to the peer where TLS has one.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The first bytes are not TLS.
    Plaintext,
    /// The first bytes are an HTTP request: somebody forgot the `s`.
    HttpRequest,
    /// A record or a message that cannot be parsed, or is longer than TLS allows.
    Malformed(Box<str>),
    /// No version, cipher suite or key exchange in common.
    Incompatible(Box<str>),
    /// The peer broke the rules of the protocol: a message out of turn, a flood of key updates.
    Misbehaved(Box<str>),
    /// A record that was not encrypted with the session's keys, or was tampered with.
    Decrypt,
    /// The peer showed no certificate, though one is required.
    NoCertificate,
    /// The peer's certificate is not to be trusted.
    Certificate(Box<str>),
    /// There is no certificate for the name the client asks for.
    ServerName,
    /// No application protocol in common (ALPN).
    NoProtocol,
    /// The peer sent a fatal alert; its text is the alert's name.
    Alert(Box<str>),
    /// The handshake was not over within
    /// [`Limits::tls_handshake_timeout`](crate::Limits::tls_handshake_timeout), or the peer was idle or took
    /// nothing for longer than it may.
    HandshakeTimeout,
    /// There were [`Limits::tls_handshakes_max`](crate::Limits::tls_handshakes_max) handshakes in progress.
    HandshakesFull,
    /// The connection ended before the handshake was over: left, reset, or closed by a shutdown.
    HandshakeCut,
    /// The peer ended its TCP stream without the `close_notify` alert that ends a TLS stream: somebody in
    /// between may have cut it short.
    Truncated,
    /// The PROXY header that has to come before the handshake is wrong, or is none.
    ProxyHeader(HeaderError),
    /// The service takes no TLS from this peer.
    Untrusted,
    /// The keys have encrypted as much as they may.
    Exhausted,
    /// Something else failed, here.
    Internal(Box<str>),
}

/// How many kinds there are, for the counters.
pub(crate) const TLS_KINDS: usize = 19;

/// In the order of `TlsError::kind`.
pub(crate) const TLS_LABELS: [&str; TLS_KINDS] = [
    "plaintext",
    "http_request",
    "malformed",
    "incompatible",
    "misbehaved",
    "decrypt",
    "no_certificate",
    "certificate",
    "server_name",
    "no_protocol",
    "alert",
    "handshake_timeout",
    "handshakes_full",
    "handshake_cut",
    "truncated",
    "exhausted",
    "internal",
    "proxy_header",
    "untrusted",
];

impl TlsError {
    /// A short stable name, fit for a metric's label.
    pub fn label(&self) -> &'static str {
        TLS_LABELS[self.kind()]
    }

    pub(crate) fn kind(&self) -> usize {
        match self {
            TlsError::Plaintext => 0,
            TlsError::HttpRequest => 1,
            TlsError::Malformed(_) => 2,
            TlsError::Incompatible(_) => 3,
            TlsError::Misbehaved(_) => 4,
            TlsError::Decrypt => 5,
            TlsError::NoCertificate => 6,
            TlsError::Certificate(_) => 7,
            TlsError::ServerName => 8,
            TlsError::NoProtocol => 9,
            TlsError::Alert(_) => 10,
            TlsError::HandshakeTimeout => 11,
            TlsError::HandshakesFull => 12,
            TlsError::HandshakeCut => 13,
            TlsError::Truncated => 14,
            TlsError::Exhausted => 15,
            TlsError::Internal(_) => 16,
            TlsError::ProxyHeader(_) => 17,
            TlsError::Untrusted => 18,
        }
    }

    /// Whether it is worth sending an alert, or the rest of what was queued.
    pub(crate) fn is_orderly(&self) -> bool {
        !matches!(self, TlsError::HandshakeTimeout | TlsError::HandshakesFull)
    }

    /// Whether it is ours, and not the peer's.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, TlsError::HandshakesFull | TlsError::Exhausted | TlsError::Internal(_))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, detail) = match self {
            TlsError::Plaintext => ("plaintext on a TLS port", None),
            TlsError::HttpRequest => ("HTTP request to a TLS port", None),
            TlsError::Malformed(detail) => ("malformed TLS", Some(detail)),
            TlsError::Incompatible(detail) => ("nothing in common with the peer", Some(detail)),
            TlsError::Misbehaved(detail) => ("the peer broke the rules of TLS", Some(detail)),
            TlsError::Decrypt => ("a record that cannot be decrypted", None),
            TlsError::NoCertificate => ("the peer showed no certificate", None),
            TlsError::Certificate(detail) => ("the peer's certificate is not trusted", Some(detail)),
            TlsError::ServerName => ("no certificate for the name the client asked for", None),
            TlsError::NoProtocol => ("no application protocol in common", None),
            TlsError::Alert(detail) => ("the peer sent an alert", Some(detail)),
            TlsError::HandshakeTimeout => ("the handshake took too long", None),
            TlsError::HandshakesFull => ("too many handshakes in progress", None),
            TlsError::HandshakeCut => ("the connection ended during the handshake", None),
            TlsError::Truncated => ("the peer ended its stream without close_notify", None),
            TlsError::Exhausted => ("the session's keys are used up", None),
            TlsError::Internal(detail) => ("TLS failed", Some(detail)),
            TlsError::ProxyHeader(error) => return write!(f, "before the handshake: {error}"),
            TlsError::Untrusted => ("not one of the peers that may connect", None),
        };
        match detail {
            Some(detail) => write!(f, "{text}: {detail}"),
            None => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_told_apart() {
        let mut labels = TLS_LABELS.to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), TLS_KINDS);
        assert_eq!(TlsError::Truncated.label(), "truncated");
        assert_eq!(TlsError::Internal("".into()).label(), "internal");
    }
}
