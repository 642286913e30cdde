//! A service with somebody watching: its connections are logged, its messages counted, its drain told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use windlass::{
    Close, Conn, ConnId, ConnectError, Datagram, DatagramService, Fault, Input, Peer, Placement, Receive,
    Resolve, Resolved, Scope, Service, Sessions, Socket, Tick,
};

use super::Told;
pub(crate) use super::ends::Ends;
use crate::console::Teller;

/// A service that counts what it has served, in its own terms.
pub(crate) trait Tally: Service {
    /// How many messages it has served since it was made.
    fn messages(&self) -> u64;
}

/// A service, and those who are told about it. Every callback goes through unchanged.
pub(crate) struct Watched<S> {
    service: S,
    published: Arc<Count>,
    teller: Option<Teller>,
    ends: Ends,
}

impl<S: Tally> Watched<S> {
    pub(crate) fn new(service: S, told: &Told, ends: Ends) -> Watched<S> {
        Watched { service, published: told.messages.count(), teller: told.teller.clone(), ends }
    }

    /// Gives the service input, and notes what came of it where somebody wants to know.
    fn give(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut S::Session,
        input: &mut Input<'_>,
        call: impl FnOnce(&mut S, &mut Conn<'_>, &mut S::Session, &mut Input<'_>) -> Result<(), Close>,
    ) -> Result<(), Close> {
        if !self.ends.is_any() {
            return call(&mut self.service, conn, session, input);
        }
        let (there, before) = (input.len(), self.service.messages());
        let outcome = call(&mut self.service, conn, session, input);
        self.ends.given(conn.id(), there, input.len(), self.service.messages() - before);
        outcome
    }

    fn publish(&self) {
        self.published.0.store(self.service.messages(), Relaxed);
    }
}

impl<S: Tally> Service for Watched<S> {
    type Session = S::Session;

    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        self.service.place(peer, listener)
    }

    fn start(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>) {
        self.service.start(scope, sessions);
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<S::Session, Close> {
        tracing::debug!(conn = %conn.id(), peer = %conn.peer(), "opened");
        let outcome = self.service.open(conn);
        self.ends.opened(conn, outcome.as_ref().err());
        outcome
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<S::Session, Close> {
        let outcome = self.service.connected(conn, tag);
        self.publish();
        outcome
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<S::Session>,
        id: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        self.service.connect_failed(scope, sessions, id, tag, why);
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut S::Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let outcome = self.give(conn, session, input, S::data);
        self.publish();
        outcome
    }

    fn eof(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut S::Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let outcome = self.give(conn, session, input, S::eof);
        self.publish();
        outcome
    }

    fn relay_ended(&mut self, conn: &mut Conn<'_>, session: &mut S::Session) -> Result<(), Close> {
        self.service.relay_ended(conn, session)
    }

    fn drained(&mut self, conn: &mut Conn<'_>, session: &mut S::Session) -> Result<(), Close> {
        self.service.drained(conn, session)
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut S::Session) -> Result<(), Close> {
        self.service.timeout(conn, session)
    }

    fn draining(&mut self, conn: &mut Conn<'_>, session: &mut S::Session) -> Result<(), Close> {
        self.service.draining(conn, session)
    }

    fn superseded(&mut self, conn: &mut Conn<'_>, session: &mut S::Session) -> Result<(), Close> {
        self.service.superseded(conn, session)
    }

    fn closed(&mut self, conn: &mut Conn<'_>, session: S::Session, why: Close) {
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(conn = %conn.id(), peer = %conn.peer(), reason = why.label(), "closed: {why}")
            };
        }
        match (&why, why.fault()) {
            (Close::MemoryFull | Close::Io(_), _) => log!(warn),
            (_, Fault::Peer) => log!(info),
            _ => log!(debug),
        }
        self.ends.ended(conn, &why);
        self.service.closed(conn, session, why);
    }

    fn tick(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>, tick: Tick) {
        self.service.tick(scope, sessions, tick);
    }

    fn shutdown(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>) {
        if let Some(teller) = &self.teller {
            teller.draining();
        }
        self.service.shutdown(scope, sessions);
    }
}

impl<S: Tally + Receive> Receive for Watched<S> {
    type Message = S::Message;

    fn receive(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>, message: S::Message) {
        self.service.receive(scope, sessions, message);
    }
}

impl<S: Tally + Resolve> Resolve for Watched<S> {
    fn resolved(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>, resolved: Resolved) {
        self.service.resolved(scope, sessions, resolved);
    }
}

impl<S: Tally + DatagramService> DatagramService for Watched<S> {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.service.datagram(socket, datagram);
        self.publish();
    }

    fn drained(&mut self, socket: &mut Socket<'_>) {
        DatagramService::drained(&mut self.service, socket);
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        DatagramService::timeout(&mut self.service, socket);
    }

    fn draining(&mut self, socket: &mut Socket<'_>) {
        DatagramService::draining(&mut self.service, socket);
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {
        tracing::debug!(socket = %socket.local_addr(), "datagram: {error}");
        self.service.error(socket, error);
    }
}

/// Counts the messages of all workers.
#[derive(Clone, Default)]
pub(crate) struct Messages {
    counts: Arc<Mutex<Vec<Arc<Count>>>>,
}

/// Written by one worker only; on a cache line of its own, or workers would slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU64);

impl Messages {
    fn count(&self) -> Arc<Count> {
        let count = Arc::new(Count::default());
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).push(count.clone());
        count
    }

    pub(crate) fn total(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|count| count.0.load(Relaxed)).sum()
    }
}
