//! A service with somebody watching: its connections are logged, its messages counted, its drain told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use windlass::{
    Close, Conn, ConnId, ConnectError, Datagram, DatagramService, Fault, Input, Peer, Placement, Receive,
    Scope, Service, Sessions, Socket, Tick,
};

use super::Told;
use crate::admin;
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
    messages: Messages,
    teller: Option<Teller>,
    bound: admin::Slot,
}

impl<S: Tally> Watched<S> {
    pub(crate) fn new(service: S, told: &Told) -> Watched<S> {
        let messages = told.messages.clone();
        let (teller, bound) = (told.teller.clone(), told.bound.clone());
        Watched { service, published: messages.count(), messages, teller, bound }
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
        self.service.open(conn)
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<S::Session, Close> {
        self.service.connected(conn, tag)
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
        let outcome = self.service.data(conn, session, input);
        self.publish();
        outcome
    }

    fn eof(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut S::Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        self.service.eof(conn, session, input)
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
        self.service.closed(conn, session, why);
    }

    fn tick(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>, tick: Tick) {
        self.service.tick(scope, sessions, tick);
    }

    fn shutdown(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>) {
        // A service that is removed is told so too, and its server goes on.
        let drains = self.bound.get().is_some_and(|bound| bound.handle.is_draining());
        if let Some(teller) = self.teller.as_ref().filter(|_| drains) {
            teller.draining();
        }
        self.service.shutdown(scope, sessions);
    }
}

impl<S> Drop for Watched<S> {
    /// It is gone; what it has counted is not.
    fn drop(&mut self) {
        self.messages.end(&self.published);
    }
}

impl<S: Tally + Receive> Receive for Watched<S> {
    type Message = S::Message;

    fn receive(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>, message: S::Message) {
        self.service.receive(scope, sessions, message);
        self.publish();
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
    counts: Arc<Mutex<Counts>>,
}

/// Those of services that are there, and the sum of those that are gone.
#[derive(Default)]
struct Counts {
    there: Vec<Arc<Count>>,
    gone: u64,
}

/// Written by one worker only; on a cache line of its own, or workers would slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU64);

impl Messages {
    fn count(&self) -> Arc<Count> {
        let count = Arc::new(Count::default());
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).there.push(count.clone());
        count
    }

    /// Its service is gone.
    fn end(&self, count: &Arc<Count>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.there.retain(|other| !Arc::ptr_eq(other, count));
        counts.gone += count.0.load(Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.gone + counts.there.iter().map(|count| count.0.load(Relaxed)).sum::<u64>()
    }
}
