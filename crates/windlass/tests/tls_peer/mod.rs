//! The other end of a TLS connection, for tests: rustls' own client, the test authority's certificates,
//! and a client that plays the peer of a `Harness`.
#![allow(dead_code, reason = "each test binary uses some of it")]

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use windlass::testing::{Harness, TestPeer};
use windlass::{Close, Conn, Input, Service, TlsIdentity};

pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// A file of `tests/certs`.
pub(crate) fn pem(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

pub(crate) fn identity(name: &str) -> TlsIdentity {
    TlsIdentity::from_pem(pem(&format!("{name}.pem")), pem(&format!("{name}.key"))).unwrap()
}

/// A client that trusts the test authority.
pub(crate) fn client_config(
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&str>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_slice(&pem(&format!("{name}.pem"))).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(&pem(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}

/// A client's end, before it has said anything.
pub(crate) fn client_connection(config: impl Into<Arc<ClientConfig>>) -> ClientConnection {
    ClientConnection::new(config.into(), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// Sends everything back.
pub(crate) struct Echo;

impl Service for Echo {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

/// A TLS client at one end of a harness's connection.
pub(crate) struct HarnessClient {
    pub(crate) peer: TestPeer,
    pub(crate) conn: ClientConnection,
    /// Plaintext received.
    pub(crate) received: Vec<u8>,
    /// The server has said `close_notify`.
    pub(crate) closed: bool,
    pub(crate) failed: Option<String>,
}

impl HarnessClient {
    pub(crate) fn connect(harness: &mut Harness, version: &'static SupportedProtocolVersion) -> Self {
        let peer = harness.connect();
        let conn = client_connection(client_config(&[version], None));
        HarnessClient { peer, conn, received: Vec::new(), closed: false, failed: None }
    }

    /// What it has to say now.
    pub(crate) fn flight(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        while self.conn.wants_write() {
            self.conn.write_tls(&mut wire).unwrap();
        }
        wire
    }

    /// Takes in what has come.
    pub(crate) fn hear(&mut self, harness: &mut Harness) {
        let wire = harness.receive(self.peer);
        self.hear_wire(&wire);
    }

    pub(crate) fn hear_wire(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() && self.failed.is_none() && !self.closed {
            self.conn.read_tls(&mut wire).unwrap();
            match self.conn.process_new_packets() {
                Ok(state) => self.closed = state.peer_has_closed(),
                Err(e) => self.failed = Some(e.to_string()),
            }
            // At most until it would block.
            let _ = self.conn.reader().read_to_end(&mut self.received);
        }
    }

    /// Says what it has to say, and listens.
    pub(crate) fn talk(&mut self, harness: &mut Harness) {
        let flight = self.flight();
        harness.send(self.peer, flight);
        self.hear(harness);
    }

    /// Goes through the handshake up to its own last flight, and returns that unsent.
    pub(crate) fn last_flight(&mut self, harness: &mut Harness) -> Vec<u8> {
        for _ in 0..4 {
            let flight = self.flight();
            // A client of 1.2 has a flight before its last, but sends it together with that.
            harness.send(self.peer, flight);
            self.hear(harness);
            if !self.conn.is_handshaking() || self.conn.protocol_version().is_some() {
                break;
            }
        }
        self.flight()
    }

    pub(crate) fn shake_hands(&mut self, harness: &mut Harness) {
        for _ in 0..4 {
            self.talk(harness);
        }
        assert!(!self.conn.is_handshaking() && self.failed.is_none(), "{:?}", self.failed);
    }

    /// Puts `bytes` into records; `flight` has them.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut wire = self.flight();
        for piece in bytes.chunks(16 * 1024) {
            self.conn.writer().write_all(piece).unwrap();
            wire.extend(self.flight());
        }
        wire
    }
}
