//! The TLS of one connection: ciphertext in, plaintext out, and the other way round. It knows no socket.
//!
//! Bytes are in one of four places. *Ciphertext* that is no whole record yet waits in `rest`; everything
//! that is whole is decrypted at once. *Plaintext* the service has no room for waits in `backlog`, at most
//! what one read brought. Plaintext that is *written* waits in the worker's cork or in `pending` until
//! the flush, and what is encrypted goes to the connection's output queue. All of them are empty, without
//! memory, while the connection is idle.

use std::sync::Arc;

#[cfg(feature = "connect")]
use rustls::client::UnbufferedClientConnection;
#[cfg(feature = "connect")]
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, HandshakeKind, ServerConfig};
use windlass_proto::proxy_protocol::{Addresses, ProxyProtocol};
use windlass_proto::{ClientHello, ClientHelloError, Decode, Input};

use super::client::TlsTarget;
use super::fail::tls_error;
use super::info::TlsInfo;
use crate::connect::ConnectError;
use crate::tls_error::TlsError;

/// Ciphertext that is no whole record or handshake message: more than this is none of either. A handshake
/// message is at most 64 KiB, in records of at least a byte each; rustls moves their payloads together.
pub(crate) const REST_MAX: usize = 96 * 1024;
/// Plaintext of one record.
pub(super) const FRAGMENT: usize = 16 * 1024;
/// The most plaintext that makes up to `wire` bytes: records, and a key update before them.
pub(crate) fn plaintext_max(wire: usize) -> usize {
    wire.saturating_sub(wire / 256 + 128)
}
/// What a record adds to its plaintext, at most: header, TLS 1.2's explicit nonce, content type, tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 1 + 16;
/// A ClientHello up to this is looked into for its name.
const HELLO_MAX: usize = 64 * 1024;

enum Side {
    Server(UnbufferedServerConnection),
    #[cfg(feature = "connect")]
    Client(UnbufferedClientConnection),
}

/// How the peer's half of the session ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// With `close_notify`.
    Clean,
    Failed(TlsError),
}

/// Of a connection we made, until its service knows what became of it.
pub(crate) struct Call {
    /// The service's own number for it.
    pub(crate) tag: u64,
    pub(crate) while_draining: bool,
    /// Decided from outside: a cancel, a shutdown.
    pub(crate) verdict: Option<ConnectError>,
}

pub(crate) struct Session {
    side: Side,
    /// Boxed: most have none.
    call: Option<Box<Call>>,
    /// Ciphertext that is no whole record yet.
    rest: Vec<u8>,
    backlog: Vec<u8>,
    /// Bytes of the backlog already given out.
    backlog_at: usize,
    /// Written and not yet encrypted.
    pub(super) pending: Vec<u8>,
    /// What comes behind the backlog.
    end: Option<End>,
    /// A PROXY header has to come before the handshake.
    awaits_header: bool,
    /// What it said.
    proxied: Option<Box<Addresses<'static>>>,
    server_name: Option<Box<str>>,
    /// The name has been looked for.
    hello_seen: bool,
    /// No look at the ClientHello before there is so much of it.
    hello_need: usize,
    /// The TCP stream ended without `close_notify`.
    pub(crate) truncated: bool,
    /// Our `close_notify`, or a fatal alert, has been queued.
    pub(super) notified: bool,
    /// How much of `held` is counted as buffered.
    pub(super) booked: usize,
}

/// Where plaintext goes: to the service's input, and beyond its room into the backlog.
struct Plain<'a> {
    into: &'a mut [u8],
    len: usize,
    backlog: &'a mut Vec<u8>,
}

impl Plain<'_> {
    fn push(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.into.len() - self.len);
        self.into[self.len..self.len + fits].copy_from_slice(&bytes[..fits]);
        self.len += fits;
        self.backlog.extend_from_slice(&bytes[fits..]);
    }
}

/// What a step of rustls' state machine leads to.
enum Next {
    Again,
    Stop,
    PeerClosed,
    Failed(rustls::Error),
}

impl Session {
    pub(crate) fn server(config: Arc<ServerConfig>, header: bool) -> Result<Session, TlsError> {
        let side = UnbufferedServerConnection::new(config).map_err(tls_error)?;
        Ok(Session { awaits_header: header, ..Session::new(Side::Server(side), None) })
    }

    /// Of a connection we made.
    pub(crate) fn client(target: &TlsTarget, call: Call) -> Result<Session, TlsError> {
        #[cfg(not(feature = "connect"))]
        {
            // Nobody is called in this build.
            let _ = (target, call);
            Err(TlsError::Incompatible("no connections of our own".into()))
        }
        #[cfg(feature = "connect")]
        {
            let side = UnbufferedClientConnection::new(target.config.clone(), target.name.clone());
            let mut session = Session::new(Side::Client(side.map_err(tls_error)?), Some(Box::new(call)));
            if let ServerName::DnsName(name) = &target.name {
                session.server_name = Some(name.as_ref().into());
            }
            session.hello_seen = true;
            Ok(session)
        }
    }

    fn new(side: Side, call: Option<Box<Call>>) -> Session {
        Session {
            side,
            call,
            rest: Vec::new(),
            backlog: Vec::new(),
            backlog_at: 0,
            pending: Vec::new(),
            end: None,
            awaits_header: false,
            proxied: None,
            server_name: None,
            hello_seen: false,
            hello_need: 0,
            truncated: false,
            notified: false,
            booked: 0,
        }
    }

    /// Of a connection we made, while it is in its handshake.
    pub(super) fn call(&mut self) -> Option<&mut Call> {
        self.call.as_deref_mut()
    }

    pub(super) fn take_call(&mut self) -> Option<Box<Call>> {
        self.call.take()
    }

    pub(super) fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(side) => side,
            #[cfg(feature = "connect")]
            Side::Client(side) => side,
        }
    }

    pub(super) fn info(&self) -> TlsInfo<'_> {
        TlsInfo::new(self)
    }

    pub(super) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    pub(super) fn proxied(&self) -> Option<Addresses<'static>> {
        self.proxied.as_deref().copied()
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    // --- Reading.

    /// Ciphertext that waits for more: it goes in front of what is read next.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Whether there is something to give out without reading the socket.
    pub(crate) fn has_more(&self) -> bool {
        !self.backlog.is_empty() || self.end.is_some()
    }

    /// Gives out plaintext that found no room before.
    pub(crate) fn take_backlog(&mut self, into: &mut [u8]) -> usize {
        let waiting = &self.backlog[self.backlog_at..];
        let n = waiting.len().min(into.len());
        into[..n].copy_from_slice(&waiting[..n]);
        self.backlog_at += n;
        if self.backlog_at == self.backlog.len() {
            (self.backlog, self.backlog_at) = (Vec::new(), 0);
        }
        n
    }

    /// Puts plaintext back that was given out: in front of everything else.
    pub(crate) fn put_back(&mut self, plain: &[u8]) {
        self.backlog.splice(..self.backlog_at, plain.iter().copied());
        self.backlog_at = 0;
    }

    /// Gives out all of that at once.
    pub(super) fn take_decrypted(&mut self) -> Vec<u8> {
        let mut backlog = std::mem::take(&mut self.backlog);
        backlog.drain(..std::mem::take(&mut self.backlog_at));
        backlog
    }

    /// Bytes of the connection that wait here.
    pub(super) fn held(&self) -> usize {
        self.rest.len() + self.backlog.len() - self.backlog_at + self.pending.len()
    }

    /// The end of the peer's half, once everything before it has been given out.
    pub(crate) fn take_end(&mut self) -> Option<End> {
        if self.backlog.is_empty() { self.end.take() } else { None }
    }

    /// Decrypts `wire`: what waited in `rest`, and what was read behind it. Returns how much plaintext is
    /// in `into` now; what did not fit is in the backlog. Protocol messages that are to be sent are
    /// appended to `out`.
    pub(crate) fn open(&mut self, wire: &mut [u8], into: &mut [u8], out: &mut Vec<u8>) -> usize {
        let header = if self.awaits_header { self.take_header(wire) } else { Ok(0) };
        let wire = match header {
            Ok(len) => &mut wire[len..],
            Err(error) => {
                self.end = Some(End::Failed(error));
                self.rest = Vec::new();
                return 0;
            }
        };
        if self.awaits_header {
            // At most what the longest header takes; kept whole, since it is read as a whole.
            self.rest.clear();
            self.rest.extend_from_slice(wire);
            return 0;
        }
        if !self.hello_seen
            && let Some(error) = self.look_at_hello(wire)
        {
            self.end = Some(End::Failed(error));
            self.rest = Vec::new();
            return 0;
        }
        let mut backlog = std::mem::take(&mut self.backlog);
        let mut plain = Plain { into, len: 0, backlog: &mut backlog };
        let mut at = 0;
        loop {
            let (discard, next) = self.step(&mut wire[at..], &mut plain, out);
            at += discard;
            match next {
                Next::Again => {}
                Next::Stop => break,
                Next::PeerClosed => {
                    // What follows is to be ignored: RFC 8446 section 6.1.
                    self.end = Some(End::Clean);
                    at = wire.len();
                }
                Next::Failed(error) => {
                    self.alert(&mut wire[at..], &mut plain, out);
                    self.end = Some(End::Failed(tls_error(error)));
                    at = wire.len();
                    break;
                }
            }
        }
        let n = plain.len;
        self.backlog = backlog;
        let left = &wire[at..];
        if left.is_empty() {
            self.rest = Vec::new();
        } else {
            self.rest.clear();
            self.rest.extend_from_slice(left);
        }
        if self.rest.len() > REST_MAX {
            self.rest = Vec::new();
            self.end = Some(End::Failed(TlsError::Malformed("a message in too many pieces".into())));
        }
        n
    }

    /// Takes the PROXY header off the front, once it is there; says how long it was.
    fn take_header(&mut self, wire: &mut [u8]) -> Result<usize, TlsError> {
        let len = wire.len();
        let mut input = Input::new(wire);
        let header = ProxyProtocol::default().decode(&mut input).map_err(TlsError::ProxyHeader)?;
        let addresses = match header.map(|header| header.addresses) {
            None => return Ok(0),
            Some(Addresses::Inet { source, destination, datagram }) => {
                Addresses::Inet { source, destination, datagram }
            }
            Some(Addresses::Local) => Addresses::Local,
            // Paths of somebody else's sockets say nothing here.
            Some(_) => Addresses::Unknown,
        };
        self.proxied = Some(Box::new(addresses));
        self.awaits_header = false;
        Ok(len - input.len())
    }

    fn step(&mut self, wire: &mut [u8], plain: &mut Plain<'_>, out: &mut Vec<u8>) -> (usize, Next) {
        match &mut self.side {
            Side::Server(side) => advance(side.process_tls_records(wire), plain, out),
            #[cfg(feature = "connect")]
            Side::Client(side) => advance(side.process_tls_records(wire), plain, out),
        }
    }

    /// Takes out the fatal alert that rustls has made, and nothing else: to go on would fail again.
    fn alert(&mut self, wire: &mut [u8], plain: &mut Plain<'_>, out: &mut Vec<u8>) {
        self.notified = true;
        while self.common().wants_write() {
            if !matches!(self.step(wire, plain, out), (_, Next::Again)) {
                return;
            }
        }
    }

    /// The name the client asks for, which rustls' unbuffered server keeps to itself; and whether this is
    /// TLS at all.
    fn look_at_hello(&mut self, wire: &mut [u8]) -> Option<TlsError> {
        if wire.len() < self.hello_need {
            return None;
        }
        let mut input = Input::new(wire);
        match ClientHello::peek(&mut input, HELLO_MAX) {
            Ok(None) => {
                self.hello_need = input.needed().unwrap_or(0);
                return None;
            }
            Ok(Some(hello)) => self.server_name = hello.server_name.map(String::into_boxed_str),
            Err(ClientHelloError::Http) => return Some(TlsError::HttpRequest),
            Err(ClientHelloError::NotTls) => return Some(TlsError::Plaintext),
            // rustls says what is wrong with it.
            Err(_) => {}
        }
        self.hello_seen = true;
        None
    }

    // --- Writing.

    /// Encrypts `plain` and appends it to `out`, behind protocol messages that wait to be sent.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        for fragment in plain.chunks(4 * FRAGMENT) {
            let at = out.len();
            out.resize(at + fragment.len() + fragment.len().div_ceil(FRAGMENT) * RECORD_OVERHEAD, 0);
            let mut failed = None;
            let n = self.with_traffic(out, at, |traffic, out| {
                loop {
                    match traffic.encrypt(fragment, &mut out[at..]) {
                        Ok(n) => return n,
                        // A key update goes before it.
                        Err(EncryptError::InsufficientSize(e)) => out.resize(at + e.required_size, 0),
                        Err(EncryptError::EncryptExhausted) => {
                            failed = Some(TlsError::Exhausted);
                            return 0;
                        }
                    }
                }
            });
            match (n, failed) {
                (_, Some(error)) => return Err(error),
                (None, None) => return Err(TlsError::Internal("not ready for traffic".into())),
                (Some(()), None) => {}
            }
        }
        Ok(())
    }

    /// Appends our `close_notify` to `out`, once.
    pub(crate) fn notify_close(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.notified, true) || self.is_handshaking() {
            return;
        }
        let at = out.len();
        out.resize(at + 64, 0);
        self.with_traffic(out, at, |traffic, out| {
            loop {
                match traffic.queue_close_notify(&mut out[at..]) {
                    Ok(n) => return n,
                    Err(EncryptError::InsufficientSize(e)) => out.resize(at + e.required_size, 0),
                    Err(EncryptError::EncryptExhausted) => return 0,
                }
            }
        });
    }

    /// Lets `write` encrypt to `out[at..]`; it says how many bytes that took. Protocol messages that come
    /// up on the way go before. `None`: the session cannot send.
    fn with_traffic(
        &mut self,
        out: &mut Vec<u8>,
        at: usize,
        write: impl FnOnce(&mut dyn Traffic, &mut Vec<u8>) -> usize,
    ) -> Option<()> {
        let mut first = Vec::new();
        let mut backlog = std::mem::take(&mut self.backlog);
        let mut plain = Plain { into: &mut [], len: 0, backlog: &mut backlog };
        // The state machine hands out the right to write only when it is given what it has not consumed.
        let mut rest = std::mem::take(&mut self.rest);
        let mut write = Some(write);
        let mut done = None;
        loop {
            let write = &mut |traffic: &mut dyn Traffic| {
                if let Some(write) = write.take() {
                    let n = write(traffic, out);
                    out.truncate(at + n);
                    done = Some(());
                }
            };
            let (discard, next) = match &mut self.side {
                Side::Server(side) => {
                    advance_or_write(side.process_tls_records(&mut rest), &mut plain, &mut first, write)
                }
                #[cfg(feature = "connect")]
                Side::Client(side) => {
                    advance_or_write(side.process_tls_records(&mut rest), &mut plain, &mut first, write)
                }
            };
            rest.drain(..discard);
            match next {
                Next::Again => {}
                Next::PeerClosed => self.end = Some(End::Clean),
                Next::Stop | Next::Failed(_) => break,
            }
        }
        if done.is_none() {
            out.truncate(at);
        }
        if !first.is_empty() {
            out.splice(at..at, first);
        }
        self.rest = rest;
        self.backlog = backlog;
        done
    }
}

/// The right to write, whichever side we are.
trait Traffic {
    fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, EncryptError>;
    fn queue_close_notify(&mut self, out: &mut [u8]) -> Result<usize, EncryptError>;
}

impl<D> Traffic for WriteTraffic<'_, D> {
    fn encrypt(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::encrypt(self, plain, out)
    }
    fn queue_close_notify(&mut self, out: &mut [u8]) -> Result<usize, EncryptError> {
        WriteTraffic::queue_close_notify(self, out)
    }
}

/// Does what one state asks for, and says how many bytes of the wire are done with.
fn advance<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &mut Plain<'_>,
    out: &mut Vec<u8>,
) -> (usize, Next) {
    let UnbufferedStatus { mut discard, state } = status;
    let next = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain.push(record.payload);
                }
                Some(Err(e)) => break Next::Failed(e),
                None => break Next::Again,
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut encode)) => {
            append(&mut encode, out);
            Next::Again
        }
        Ok(ConnectionState::TransmitTlsData(transmit)) => {
            transmit.done();
            Next::Again
        }
        Ok(ConnectionState::PeerClosed) => Next::PeerClosed,
        // Early data is switched off, so it never comes.
        Ok(_) => Next::Stop,
        Err(e) => Next::Failed(e),
    };
    (discard, next)
}

/// As `advance`, but with the right to write it writes.
fn advance_or_write<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &mut Plain<'_>,
    out: &mut Vec<u8>,
    write: &mut dyn FnMut(&mut dyn Traffic),
) -> (usize, Next) {
    match status {
        UnbufferedStatus { discard, state: Ok(ConnectionState::WriteTraffic(mut traffic)) } => {
            write(&mut traffic);
            (discard, Next::Stop)
        }
        status => advance(status, plain, out),
    }
}

fn append<D>(encode: &mut EncodeTlsData<'_, D>, out: &mut Vec<u8>) {
    let at = out.len();
    // It says how much it is only when it does not fit.
    if let Err(EncodeError::InsufficientSize(e)) = encode.encode(&mut []) {
        out.resize(at + e.required_size, 0);
        let n = encode.encode(&mut out[at..]).unwrap_or(0);
        out.truncate(at + n);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("handshaking", &self.is_handshaking()).finish_non_exhaustive()
    }
}
