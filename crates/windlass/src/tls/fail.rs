//! rustls' errors in our words.

use rustls::{CertificateError, Error, InvalidMessage};

use crate::tls_error::TlsError;

/// What rustls says when the resolver has no certificate for the name: it has no error of its own for it.
const NO_CERTIFICATE_RESOLVED: &str = "no server certificate chain resolved";

pub(super) fn tls_error(error: Error) -> TlsError {
    let debug = |error: &dyn std::fmt::Debug| format!("{error:?}").into_boxed_str();
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            TlsError::Malformed("no TLS record".into())
        }
        Error::InvalidMessage(e) => TlsError::Malformed(debug(&e)),
        Error::PeerSentOversizedRecord => TlsError::Malformed("oversized record".into()),
        Error::PeerIncompatible(e) => TlsError::Incompatible(debug(&e)),
        Error::PeerMisbehaved(e) => TlsError::Misbehaved(debug(&e)),
        Error::InappropriateMessage { got_type, .. } => {
            TlsError::Misbehaved(format!("{got_type:?} out of turn").into())
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            TlsError::Misbehaved(format!("{got_type:?} out of turn").into())
        }
        Error::DecryptError => TlsError::Decrypt,
        Error::NoCertificatesPresented => TlsError::NoCertificate,
        Error::InvalidCertificate(e) => TlsError::Certificate(certificate(e)),
        Error::AlertReceived(alert) => TlsError::Alert(debug(&alert)),
        Error::NoApplicationProtocol => TlsError::NoProtocol,
        Error::General(text) if text == NO_CERTIFICATE_RESOLVED => TlsError::ServerName,
        Error::EncryptError => TlsError::Exhausted,
        other => TlsError::Internal(other.to_string().into()),
    }
}

/// In short: the context some of them carry holds names and times, which belong into no label.
fn certificate(error: CertificateError) -> Box<str> {
    match error {
        CertificateError::ExpiredContext { .. } => "expired".into(),
        CertificateError::NotValidYetContext { .. } => "not valid yet".into(),
        CertificateError::NotValidForNameContext { .. } => "not valid for the name".into(),
        other => format!("{other:?}").into(),
    }
}
