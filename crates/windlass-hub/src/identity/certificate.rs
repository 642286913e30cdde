//! Who a client certificate is about. It has been verified by then; this only reads its names.

use std::fmt;

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Which name of a certificate is the user's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum CertificateName {
    /// The common name of its subject.
    #[default]
    CommonName,
    /// The whole subject, as RFC 4514 writes it: `CN=pump,O=Example`.
    Subject,
    /// Its only DNS name (subject alternative name, RFC 5280, section 4.2.1.6).
    Dns,
    /// Its only e-mail address.
    Email,
    /// Its only URI.
    Uri,
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// It cannot be read.
    Malformed,
    /// It has no such name.
    Absent,
    /// It has several: whoever it is, is not told.
    Several,
    /// The name is empty, has control characters or U+0000 in it, or is no text.
    Name,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertificateError::Malformed => "the certificate cannot be read",
            CertificateError::Absent => "the certificate has no such name",
            CertificateError::Several => "the certificate has several such names",
            CertificateError::Name => "the name in the certificate is no user's",
        })
    }
}

impl std::error::Error for CertificateError {}

impl CertificateName {
    /// The user that a certificate (DER) names.
    ///
    /// # Errors
    ///
    /// If it names nobody, or more than one.
    pub fn of(self, der: &[u8]) -> Result<String, CertificateError> {
        let certificate = Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        let certificate = certificate.tbs_certificate();
        let name = match self {
            CertificateName::CommonName => {
                only(certificate.subject().iter().filter(|it| it.oid == COMMON_NAME).map(|it| {
                    let value = &it.value;
                    let text = match value.tag() {
                        Tag::Utf8String => {
                            value.decode_as::<Utf8StringRef<'_>>().map(|it| it.as_str().to_owned())
                        }
                        Tag::PrintableString => {
                            value.decode_as::<PrintableStringRef<'_>>().map(|it| it.as_str().to_owned())
                        }
                        Tag::Ia5String => {
                            value.decode_as::<Ia5StringRef<'_>>().map(|it| it.as_str().to_owned())
                        }
                        _ => return Err(CertificateError::Name),
                    };
                    text.map_err(|_| CertificateError::Malformed)
                }))?
            }
            CertificateName::Subject => certificate.subject().to_string(),
            CertificateName::Dns | CertificateName::Email | CertificateName::Uri => {
                let names =
                    certificate.get_extension::<SubjectAltName>().map_err(|_| CertificateError::Malformed)?;
                let (_, names) = names.ok_or(CertificateError::Absent)?;
                only(names.0.iter().filter_map(|name| match (self, name) {
                    (CertificateName::Dns, GeneralName::DnsName(name)) => Some(Ok(name.as_str().to_owned())),
                    (CertificateName::Email, GeneralName::Rfc822Name(name)) => {
                        Some(Ok(name.as_str().to_owned()))
                    }
                    (CertificateName::Uri, GeneralName::UniformResourceIdentifier(name)) => {
                        Some(Ok(name.as_str().to_owned()))
                    }
                    _ => None,
                }))?
            }
        };
        let fits = !name.is_empty() && name.len() <= 65_535 && !name.contains(|c: char| c.is_control());
        if fits { Ok(name) } else { Err(CertificateError::Name) }
    }
}

/// `id-at-commonName`.
const COMMON_NAME: Oid = Oid::new_unwrap("2.5.4.3");

type Oid = x509_cert::spki::ObjectIdentifier;

fn only(
    mut names: impl Iterator<Item = Result<String, CertificateError>>,
) -> Result<String, CertificateError> {
    match (names.next(), names.next()) {
        (Some(name), None) => name,
        (None, _) => Err(CertificateError::Absent),
        _ => Err(CertificateError::Several),
    }
}

#[cfg(test)]
mod tests;
