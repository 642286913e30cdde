//! The other end, for simulations: a client of TLS that is fed bytes by hand. rustls' buffered client, so
//! that both of its interfaces meet here.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::server::{TlsVersion, roots};

/// What all clients of one simulated run share: their sessions too, so that some are resumed.
#[derive(Clone)]
pub(crate) struct PeerConfig {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl PeerConfig {
    /// A client that trusts `authorities` (PEM) and wants `name`. Records hold up to `fragment` bytes.
    pub(crate) fn new(
        authorities: &[u8],
        name: &str,
        version: TlsVersion,
        fragment: Option<usize>,
    ) -> PeerConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&TlsVersion::supported(&[version]))
            .expect("the provider has every version")
            .with_root_certificates(roots(authorities).expect("authorities"))
            .with_no_client_auth();
        config.max_fragment_size = fragment;
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        PeerConfig { config: Arc::new(config), name }
    }
}

pub(crate) struct Peer {
    conn: ClientConnection,
    /// Ciphertext to be sent.
    pub(crate) outgoing: Vec<u8>,
    /// Plaintext received and not yet looked at.
    received: Vec<u8>,
    /// The server's `close_notify` has come.
    pub(crate) closed: bool,
    pub(crate) failed: Option<String>,
}

impl Peer {
    pub(crate) fn new(config: &PeerConfig) -> Peer {
        let conn = ClientConnection::new(config.config.clone(), config.name.clone());
        let conn = conn.expect("a usable configuration");
        let mut peer = Peer { conn, outgoing: Vec::new(), received: Vec::new(), closed: false, failed: None };
        peer.collect();
        peer
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.conn.is_handshaking()
    }

    pub(crate) fn has_plaintext(&self) -> bool {
        !self.received.is_empty()
    }

    /// Takes in what came from the network.
    pub(crate) fn hear(&mut self, mut wire: &[u8]) {
        while !wire.is_empty() && self.failed.is_none() && !self.closed {
            if let Err(e) = self.conn.read_tls(&mut wire) {
                self.failed = Some(e.to_string());
            }
            match self.conn.process_new_packets() {
                Ok(state) => {
                    let at = self.received.len();
                    self.received.resize(at + state.plaintext_bytes_to_read(), 0);
                    let read = self.conn.reader().read_exact(&mut self.received[at..]);
                    read.expect("as much as it said");
                    self.closed = state.peer_has_closed();
                }
                Err(e) => self.failed = Some(e.to_string()),
            }
        }
        self.collect();
    }

    pub(crate) fn read(&mut self, into: &mut Vec<u8>, max: usize) -> usize {
        let n = self.received.len().min(max);
        into.extend(self.received.drain(..n));
        n
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(16 * 1024) {
            self.conn.writer().write_all(piece).expect("room for a piece");
            self.collect();
        }
    }

    pub(crate) fn finish(&mut self) {
        self.conn.send_close_notify();
        self.collect();
    }

    fn collect(&mut self) {
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.outgoing).expect("a vector takes everything");
        }
    }
}
