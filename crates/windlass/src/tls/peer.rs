//! The other end, for simulations: a client or a server of TLS that is fed bytes by hand. rustls' buffered
//! connections, so that both of its interfaces meet here.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use super::server::{TlsAcceptor, TlsVersion, roots};

/// What all clients of one simulated run share: their sessions too, so that some are resumed. Or what all
/// peers of one remote do.
#[derive(Clone)]
pub(crate) enum PeerConfig {
    Client { config: Arc<ClientConfig>, name: ServerName<'static> },
    Server { config: Arc<ServerConfig>, distrusted: bool },
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
            .with_protocol_versions(&TlsVersion::supported(&[version]).expect("a version of this build"))
            .expect("the provider has every version")
            .with_root_certificates(roots(authorities).expect("authorities"))
            .with_no_client_auth();
        config.max_fragment_size = fragment;
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        PeerConfig::Client { config: Arc::new(config), name }
    }

    /// A server that shows what `acceptor` shows.
    pub(crate) fn server(acceptor: &TlsAcceptor, fragment: Option<usize>, distrusted: bool) -> PeerConfig {
        let mut config = ServerConfig::clone(&acceptor.config());
        config.max_fragment_size = fragment;
        PeerConfig::Server { config: Arc::new(config), distrusted }
    }
}

pub(crate) struct Peer {
    conn: Connection,
    /// Ciphertext to be sent.
    pub(crate) outgoing: Vec<u8>,
    /// Plaintext received and not yet looked at.
    received: Vec<u8>,
    /// The other end's `close_notify` has come.
    pub(crate) closed: bool,
    pub(crate) failed: Option<String>,
    /// The other end is not to believe it.
    pub(crate) distrusted: bool,
}

impl Peer {
    pub(crate) fn new(config: &PeerConfig) -> Peer {
        let (conn, distrusted) = match config {
            PeerConfig::Client { config, name } => {
                (ClientConnection::new(config.clone(), name.clone()).map(Connection::from), false)
            }
            PeerConfig::Server { config, distrusted } => {
                (ServerConnection::new(config.clone()).map(Connection::from), *distrusted)
            }
        };
        let conn = conn.expect("a usable configuration");
        let (outgoing, received) = (Vec::new(), Vec::new());
        let mut peer = Peer { conn, outgoing, received, closed: false, failed: None, distrusted };
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
