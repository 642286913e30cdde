//! The client's side of TLS: whom it trusts, and the socket below it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::io::Errno;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::line::Fault;
use super::wire::again;

/// Where systems keep the certificates they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whom to trust.
#[derive(Debug, Clone)]
pub enum Trust {
    /// What the system trusts.
    System,
    /// The certificates in this PEM file.
    File(PathBuf),
    /// Anybody.
    Anybody,
}

/// How every connection of a load does TLS.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsClient {
    /// For a server called `name`, which may be an address.
    ///
    /// # Errors
    /// The name is none, or the trusted certificates cannot be read.
    pub(crate) fn new(trust: &Trust, name: &str, protocols: &[&str]) -> Result<TlsClient> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let mut config = match trust {
            Trust::Anybody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unverified(provider)))
                .with_no_client_auth(),
            Trust::File(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
            Trust::System => {
                let found = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
                let Some(path) = found else {
                    bail!(
                        "this system keeps no trusted certificates where they are looked for: give --tls-ca or --tls-insecure"
                    );
                };
                builder.with_root_certificates(roots(path)?).with_no_client_auth()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let name = match bare.parse::<IpAddr>() {
            Ok(address) => ServerName::IpAddress(address.into()),
            Err(_) => ServerName::try_from(bare.to_owned())
                .with_context(|| format!("`{name}` is no name of a server"))?,
        };
        Ok(TlsClient { config: Arc::new(config), name })
    }

    /// TLS over `socket`, which is non-blocking. The handshake comes with the first bytes.
    pub(crate) fn wire(&self, socket: OwnedFd) -> Result<TlsWire, Fault> {
        let session = ClientConnection::new(self.config.clone(), self.name.clone())
            .map_err(|error| Fault::Tls(error.to_string()))?;
        Ok(TlsWire { socket, session })
    }
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read {}", path.display()))?;
    for certificate in certificates.flatten() {
        // A bundle holds what this library does not take; the rest is as good without.
        let _ = roots.add(certificate);
    }
    ensure!(!roots.is_empty(), "{} holds no certificate", path.display());
    Ok(roots)
}

/// A connection with TLS.
#[derive(Debug)]
pub(crate) struct TlsWire {
    socket: OwnedFd,
    session: ClientConnection,
}

impl TlsWire {
    /// Goes on with the handshake. True: it is over; false: the socket has to become ready first.
    pub(crate) fn shake_hands(&mut self) -> Result<bool, Fault> {
        while self.session.is_handshaking() {
            self.push()?;
            if !self.fetch()? {
                return Ok(false);
            }
        }
        self.push().map(|blocked| !blocked)
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        // It takes no more than its own limit, so that what the socket refuses does not pile up.
        let taken = self.session.writer().write(bytes).map_err(|error| Fault::Tls(error.to_string()))?;
        let blocked = self.push()?;
        Ok(Some(taken).filter(|&taken| taken > 0 || !blocked))
    }

    pub(super) fn push(&mut self) -> Result<bool, Fault> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Raw(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(false)
    }

    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, Fault> {
        loop {
            match self.session.reader().read(scratch) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end without `close_notify` is an end like any other: who counts on more says so.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Some(0)),
                Err(error) => return Err(failed(&error)),
            }
            if !self.fetch()? {
                return Ok(None);
            }
        }
    }

    /// Takes what has arrived; false: nothing has.
    fn fetch(&mut self) -> Result<bool, Fault> {
        match self.session.read_tls(&mut Raw(&self.socket)) {
            Ok(0) if self.session.is_handshaking() => {
                return Err(Fault::Tls("the server ended the handshake".into()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(failed(&error)),
        }
        if let Err(error) = self.session.process_new_packets() {
            // The alert that says why is worth a try.
            let _ = self.push();
            return Err(Fault::Tls(error.to_string()));
        }
        self.push()?;
        Ok(true)
    }
}

impl AsFd for TlsWire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The socket, as the library wants it.
struct Raw<'s>(&'s OwnedFd);

impl std::io::Read for Raw<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match rustix::io::read(self.0, &mut *buf) {
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl std::io::Write for Raw<'_> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match again(|| rustix::net::send(self.0, buf, rustix::net::SendFlags::NOSIGNAL)) {
            Ok(Some(sent)) => Ok(sent),
            Ok(None) => Err(ErrorKind::WouldBlock.into()),
            Err(Fault::Failed(error)) => Err(error.into()),
            Err(_) => Err(ErrorKind::Other.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> Fault {
    match error.raw_os_error() {
        Some(code) => Fault::Failed(Errno::from_raw_os_error(code)),
        None => Fault::Tls(error.to_string()),
    }
}

/// Takes every certificate, and still wants the server to have its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
