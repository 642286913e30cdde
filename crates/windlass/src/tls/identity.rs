//! A certificate chain with its private key.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::error::{Error, Result};

/// A certificate chain and the private key of its first certificate.
///
/// Both come as PEM: the chain with the own certificate first, the key as PKCS#8, PKCS#1 or SEC1 (RSA,
/// ECDSA P-256, P-384, Ed25519), unencrypted. A key is never printed.
#[derive(Clone)]
pub struct TlsIdentity {
    pub(super) key: Arc<CertifiedKey>,
}

impl TlsIdentity {
    /// From the text of two PEM files; they may be one and the same.
    ///
    /// # Errors
    ///
    /// If there is no certificate or no key in them, or the key is not that of the certificate.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<TlsIdentity> {
        let chain = certificates(chain.as_ref())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_ref())
            .map_err(|e| Error::config(format!("no private key in the PEM text: {e}")))?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|e| Error::config(format!("certificate and key cannot be used: {e}")))?;
        Ok(TlsIdentity { key: Arc::new(key) })
    }

    /// From two files.
    ///
    /// # Errors
    ///
    /// Those of [`TlsIdentity::from_pem`], and those of reading a file, with its name.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<TlsIdentity> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        TlsIdentity::from_pem(read(chain)?, read(key)?)
            .map_err(|e| Error::config(format!("{} and {}: {e}", chain.display(), key.display())))
    }

    /// The chain, each certificate as DER, the own one first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(|certificate| certificate.as_ref())
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("certificates", &self.key.cert.len()).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::config(format!("cannot read {}: {e}", path.display())))
}

/// All certificates in a PEM text; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Error::config("no certificate in the PEM text")),
        Err(e) => Err(Error::config(format!("a certificate in the PEM text is broken: {e}"))),
    }
}
