//! What you write: a service called with whole messages.

use windlass::{Close, Conn, Peer, Tick};
use windlass_proto::http::Status;
use windlass_proto::ws::{CloseCode, Upgrade};

use super::members::Members;
use super::session::Ws;

/// A message, whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// UTF-8.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

/// A service of WebSockets: one value per worker thread, as a [`windlass::Service`] is. Served by
/// [`WsServer`](super::WsServer).
///
/// `Err` from a callback ends the connection, after a Close frame that fits: 1000 for [`Close::Done`], 1001
/// for a shutdown, 1008 for [`Close::Protocol`], 1011 for the rest. To choose code and reason, call
/// [`Ws::close`] and return `Ok`.
#[allow(unused_variables, reason = "the defaults do nothing with theirs")]
pub trait WsService: Sized + 'static {
    /// Your state for one connection.
    type Session: 'static;

    /// A client asks for a WebSocket; that it may at all has been checked. Path, query, cookies and the
    /// subprotocols it offers are in `upgrade`, who it is in `peer`. `Err` refuses it with that status.
    fn accept(&mut self, upgrade: &Upgrade<'_, '_>, peer: Peer) -> Result<Accept<Self::Session>, Status>;

    /// It is open: the first that can be said.
    fn open(&mut self, ws: &mut Ws<'_, '_>, session: &mut Self::Session) -> Result<(), Close> {
        Ok(())
    }

    /// A message arrived.
    fn message(
        &mut self,
        ws: &mut Ws<'_, '_>,
        session: &mut Self::Session,
        message: Message<'_>,
    ) -> Result<(), Close>;

    /// Output fell below its low-water mark after having passed the high one. What is received is delivered
    /// again after it.
    fn drained(&mut self, ws: &mut Ws<'_, '_>, session: &mut Self::Session) -> Result<(), Close> {
        Ok(())
    }

    /// The deadline set with [`Ws::wake_at`] has passed.
    fn timeout(&mut self, ws: &mut Ws<'_, '_>, session: &mut Self::Session) -> Result<(), Close> {
        Ok(())
    }

    /// The last call for a WebSocket, once for every `accept` that returned `Ok`. `code` is that of the peer's
    /// Close frame ([`CloseCode::NO_STATUS`] if it had none), or of ours for what the peer did wrong, or
    /// [`CloseCode::ABNORMAL`]; `why` is the connection's reason.
    fn closed(&mut self, conn: &mut Conn<'_>, session: Self::Session, code: CloseCode, why: Close) {}

    /// A tick of the period given with [`Serve::tick`](windlass::Serve::tick).
    fn tick(&mut self, members: &mut Members<'_, '_, Self::Session>, tick: Tick) {}
}

/// A service of WebSockets with a [`Mailbox`](windlass::Mailbox).
pub trait WsReceive: WsService {
    /// What is sent to it.
    type Message: Send + 'static;

    /// A message from another thread arrived.
    fn receive(&mut self, members: &mut Members<'_, '_, Self::Session>, message: Self::Message);
}

/// A WebSocket accepted.
#[derive(Clone, Debug)]
pub struct Accept<T> {
    pub(super) session: T,
    pub(super) protocol: Option<String>,
}

impl<T> Accept<T> {
    /// With this session, and without a subprotocol.
    pub fn new(session: T) -> Accept<T> {
        Accept { session, protocol: None }
    }

    /// With this subprotocol, if it is one of those offered.
    pub fn protocol(mut self, name: &str) -> Accept<T> {
        self.protocol = Some(name.into());
        self
    }
}
