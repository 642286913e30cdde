//! A build without names in certificates: there is no value of these types.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Never {}

/// Which name of a certificate is the user's: none is, in this build.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CertificateName(Never);

/// Why a certificate names nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CertificateError(Never);

impl fmt::Display for CertificateError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl std::error::Error for CertificateError {}

impl CertificateName {
    pub(super) fn of(self, _: &[u8]) -> Result<String, CertificateError> {
        match self.0 {}
    }
}
