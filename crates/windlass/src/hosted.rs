//! A service with its sessions behind one erased interface, so that different services share a
//! worker. One virtual call per event, none per message.

use windlass_proto::Input;

use crate::close::Close;
use crate::conn::Conn;
use crate::datagram::{Calls, Datagram, Socket};
use crate::mailbox::Inbox;
use crate::scope::{Scope, Sessions};
use crate::service::{Service, Tick};

/// What a worker calls. `Conn` tells which connection; its key finds the session.
pub(crate) trait Hosted {
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn data(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close>;
    fn eof(&mut self, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close>;
    fn drained(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn timeout(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn draining(&mut self, conn: &mut Conn<'_>) -> Result<(), Close>;
    fn closed(&mut self, conn: &mut Conn<'_>, why: Close);
    fn tick(&mut self, scope: &mut Scope<'_>, tick: Tick);
    fn shutdown(&mut self, scope: &mut Scope<'_>);
    /// Delivers one message; false when there is none.
    fn receive(&mut self, scope: &mut Scope<'_>) -> bool;
    /// Closes the mailbox, unless a message is waiting; true if there is none open.
    fn close_mailbox_if_empty(&mut self) -> bool;

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
    inbox: Option<Box<dyn Inbox<S>>>,
    /// Set if it serves datagrams.
    calls: Option<Calls<S>>,
}

impl<S: Service> Host<S> {
    pub(crate) fn new(service: S, inbox: Option<Box<dyn Inbox<S>>>, calls: Option<Calls<S>>) -> Host<S> {
        Host { service, sessions: Sessions::new(), inbox, calls }
    }
}

/// The engine keeps sessions and connections in step; a callback without a session is its bug.
const NO_SESSION: &str = "a connection in service has a session";

impl<S: Service> Hosted for Host<S> {
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

    fn closed(&mut self, conn: &mut Conn<'_>, why: Close) {
        // None after an `open` that refused.
        if let Some(session) = self.sessions.remove(conn.key()) {
            self.service.closed(conn, session, why);
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, tick: Tick) {
        self.service.tick(scope, &mut self.sessions, tick);
    }

    fn shutdown(&mut self, scope: &mut Scope<'_>) {
        self.service.shutdown(scope, &mut self.sessions);
    }

    fn receive(&mut self, scope: &mut Scope<'_>) -> bool {
        match &mut self.inbox {
            Some(inbox) => inbox.deliver(&mut self.service, scope, &mut self.sessions),
            None => false,
        }
    }

    fn close_mailbox_if_empty(&mut self) -> bool {
        self.inbox.as_mut().is_none_or(|inbox| inbox.close_if_empty())
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
