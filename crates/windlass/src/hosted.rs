//! A service with its sessions behind one erased interface, so that different services share a
//! worker. One virtual call per event, none per message.

use windlass_proto::{Input, Time};

use crate::close::Close;
use crate::conn::{Conn, Peer};
use crate::connect::ConnectError;
use crate::datagram::{Calls, Datagram, Socket};
use crate::id::ConnId;
use crate::mailbox::{Inbox, Shut};
use crate::moving::{AnySeed, Mover, Placement};
use crate::scope::{Scope, Sessions};
#[cfg(feature = "tls")]
use crate::service::BeforeTls;
use crate::service::{Service, Tick};

/// What a worker calls. `Conn` tells which connection; its key finds the session.
pub(crate) trait Hosted {
    /// Room for the sessions of so many connections.
    fn reserve(&mut self, connections: usize);
    fn place(&mut self, peer: Peer, listener: usize) -> Placement;
    #[cfg(feature = "tls")]
    fn speaks_for_others(&mut self, peer: Peer) -> bool;
    #[cfg(feature = "tls")]
    fn before_tls(&mut self, peer: Peer, listener: usize) -> BeforeTls;
    /// Whether `move_out` and `move_in` may be called.
    fn is_movable(&self) -> bool;
    fn move_out(&mut self, conn: &mut Conn<'_>) -> AnySeed;
    fn move_in(&mut self, conn: &mut Conn<'_>, seed: AnySeed) -> Result<(), Close>;
    fn start(&mut self, scope: &mut Scope<'_>);
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close>;
    fn connect_failed(&mut self, scope: &mut Scope<'_>, id: ConnId, tag: u64, why: ConnectError);
    fn data(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close>;
    fn eof(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close>;
    fn relay_ended(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn drained(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn timeout(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn draining(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn superseded(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn closed(&mut self, conn: &mut Conn<'_>, why: Close);
    fn tick(&mut self, scope: &mut Scope<'_>, tick: Tick);
    fn deadline(&mut self) -> Option<Time>;
    fn due(&mut self, scope: &mut Scope<'_>);
    fn shutdown(&mut self, scope: &mut Scope<'_>);
    /// Delivers one message; false when there is none.
    fn receive(&mut self, scope: &mut Scope<'_>) -> bool;
    /// Closes the mailbox and its like, unless something is still to come.
    fn close_mailbox_if_empty(&mut self) -> Shut;

    // Of a service of datagrams only.
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>);
    fn socket_drained(&mut self, socket: &mut Socket<'_>);
    fn socket_error(&mut self, socket: &mut Socket<'_>, error: std::io::Error);
    fn socket_timeout(&mut self, socket: &mut Socket<'_>);
    fn socket_draining(&mut self, socket: &mut Socket<'_>);
}

pub(crate) struct Host<S: Service> {
    service: S,
    sessions: Sessions<S::Session>,
    inboxes: Vec<Box<dyn Inbox<S>>>,
    /// The one to ask first next time, so that none starves the others.
    next_inbox: usize,
    mover: Option<Mover<S>>,
    /// Set if it serves datagrams.
    calls: Option<Calls<S>>,
}

impl<S: Service> Host<S> {
    pub(crate) fn new(
        service: S,
        inboxes: Vec<Box<dyn Inbox<S>>>,
        mover: Option<Mover<S>>,
        calls: Option<Calls<S>>,
    ) -> Host<S> {
        Host { service, sessions: Sessions::new(), inboxes, next_inbox: 0, mover, calls }
    }
}

/// The engine keeps sessions and connections in step; a callback without a session is its bug.
/// Asked by `Conn::move_to` before anything moves.
const NOT_MOVABLE: &str = "only a movable service's connections move";
const NO_SESSION: &str = "a connection in service has a session";

impl<S: Service> Hosted for Host<S> {
    fn reserve(&mut self, connections: usize) {
        self.sessions.reserve(connections);
    }

    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        self.service.place(peer, listener)
    }

    #[cfg(feature = "tls")]
    fn speaks_for_others(&mut self, peer: Peer) -> bool {
        self.service.speaks_for_others(peer)
    }

    #[cfg(feature = "tls")]
    fn before_tls(&mut self, peer: Peer, listener: usize) -> BeforeTls {
        self.service.before_tls(peer, listener)
    }

    fn is_movable(&self) -> bool {
        self.mover.is_some()
    }

    fn move_out(&mut self, conn: &mut Conn<'_>) -> AnySeed {
        self.inboxes.iter_mut().for_each(|inbox| inbox.gone(conn));
        let session = self.sessions.remove(conn.key()).expect(NO_SESSION);
        let mover = self.mover.expect(NOT_MOVABLE);
        (mover.out)(&mut self.service, conn, session)
    }

    fn move_in(&mut self, conn: &mut Conn<'_>, seed: AnySeed) -> Result<(), Close> {
        let mover = self.mover.expect(NOT_MOVABLE);
        let session = (mover.into)(&mut self.service, conn, seed)?;
        self.sessions.insert(conn.key(), session);
        Ok(())
    }

    fn start(&mut self, scope: &mut Scope<'_>) {
        self.service.start(scope, &mut self.sessions);
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close> {
        let session = self.service.connected(conn, tag)?;
        self.sessions.insert(conn.key(), session);
        Ok(())
    }

    fn connect_failed(&mut self, scope: &mut Scope<'_>, id: ConnId, tag: u64, why: ConnectError) {
        self.service.connect_failed(scope, &mut self.sessions, id, tag, why);
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let session = self.service.open(conn)?;
        self.sessions.insert(conn.key(), session);
        Ok(())
    }

    #[inline]
    fn data(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        let session = self.sessions.at(conn.key()).expect(NO_SESSION);
        self.service.data(conn, session, input)
    }

    fn eof(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        let session = self.sessions.at(conn.key()).expect(NO_SESSION);
        self.service.eof(conn, session, input)
    }

    fn relay_ended(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let session = self.sessions.at(conn.key()).expect(NO_SESSION);
        self.service.relay_ended(conn, session)
    }

    fn drained(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let session = self.sessions.at(conn.key()).expect(NO_SESSION);
        self.service.drained(conn, session)
    }

    fn timeout(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let session = self.sessions.at(conn.key()).expect(NO_SESSION);
        self.service.timeout(conn, session)
    }

    fn draining(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let session = self.sessions.at(conn.key()).expect(NO_SESSION);
        self.service.draining(conn, session)
    }

    fn superseded(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let session = self.sessions.at(conn.key()).expect(NO_SESSION);
        self.service.superseded(conn, session)
    }

    fn closed(&mut self, conn: &mut Conn<'_>, why: Close) {
        self.inboxes.iter_mut().for_each(|inbox| inbox.gone(conn));
        // None after an `open` that refused.
        if let Some(session) = self.sessions.remove(conn.key()) {
            self.service.closed(conn, session, why);
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, tick: Tick) {
        self.service.tick(scope, &mut self.sessions, tick);
    }

    #[inline]
    fn deadline(&mut self) -> Option<Time> {
        self.service.deadline()
    }

    fn due(&mut self, scope: &mut Scope<'_>) {
        self.service.due(scope, &mut self.sessions);
    }

    fn shutdown(&mut self, scope: &mut Scope<'_>) {
        self.service.shutdown(scope, &mut self.sessions);
    }

    fn receive(&mut self, scope: &mut Scope<'_>) -> bool {
        for _ in 0..self.inboxes.len() {
            let n = self.next_inbox % self.inboxes.len();
            self.next_inbox = n + 1;
            if self.inboxes[n].deliver(&mut self.service, scope, &mut self.sessions) {
                return true;
            }
        }
        false
    }

    fn close_mailbox_if_empty(&mut self) -> Shut {
        self.inboxes.iter_mut().map(|inbox| inbox.close_if_empty()).max().unwrap_or(Shut::Closed)
    }

    #[inline]
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        if let Some(calls) = &self.calls {
            (calls.datagram)(&mut self.service, socket, datagram);
        }
    }

    fn socket_drained(&mut self, socket: &mut Socket<'_>) {
        if let Some(calls) = &self.calls {
            (calls.drained)(&mut self.service, socket);
        }
    }

    fn socket_error(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {
        if let Some(calls) = &self.calls {
            (calls.error)(&mut self.service, socket, error);
        }
    }

    fn socket_timeout(&mut self, socket: &mut Socket<'_>) {
        if let Some(calls) = &self.calls {
            (calls.timeout)(&mut self.service, socket);
        }
    }

    fn socket_draining(&mut self, socket: &mut Socket<'_>) {
        if let Some(calls) = &self.calls {
            (calls.draining)(&mut self.service, socket);
        }
    }
}
