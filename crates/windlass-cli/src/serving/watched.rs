//! A service with somebody watching: its connections are logged, its messages counted, its drain told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use windlass::{
    Answer, BeforeTls, Close, Conn, ConnId, ConnectError, Datagram, DatagramService, Fault, Input, Move,
    Peer, Placement, Receive, Resolve, Resolved, Scope, Service, Sessions, Socket, Tick, Work,
};

use super::Told;
pub(crate) use super::ends::{Ends, Open};
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
    teller: Option<Teller>,
    bound: admin::Slot,
    ends: Ends,
}

impl<S: Tally> Watched<S> {
    pub(crate) fn new(service: S, told: &Told, ends: Ends) -> Watched<S> {
        let (teller, bound) = (told.teller.clone(), told.bound.clone());
        Watched { service, published: told.messages.count(), teller, bound, ends }
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
        let before = self.service.messages();
        let outcome = call(&mut self.service, conn, session, input);
        self.ends.served(conn.id(), self.service.messages() - before);
        outcome
    }

    fn publish(&self) {
        self.published.set(self.service.messages());
    }
}

impl<S: Tally> Service for Watched<S> {
    type Session = S::Session;

    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        self.service.place(peer, listener)
    }

    fn speaks_for_others(&mut self, peer: Peer) -> bool {
        self.service.speaks_for_others(peer)
    }

    fn before_tls(&mut self, peer: Peer, listener: usize) -> BeforeTls {
        self.service.before_tls(peer, listener)
    }

    fn start(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>) {
        self.published.worker.store(scope.worker(), Relaxed);
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
        // A service that is removed is told so too, and its server goes on.
        let drains = self.bound.get().is_some_and(|bound| bound.handle.is_draining());
        if let Some(teller) = self.teller.as_ref().filter(|_| drains) {
            teller.draining();
        }
        self.service.shutdown(scope, sessions);
    }
}

impl<S: Tally + Receive> Receive for Watched<S> {
    type Message = S::Message;

    fn receive(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>, message: S::Message) {
        self.service.receive(scope, sessions, message);
        self.publish();
    }
}

impl<S: Tally + Move> Move for Watched<S> {
    /// With what is known of it for its log.
    type Seed = (S::Seed, Option<Open>);

    fn move_out(&mut self, conn: &mut Conn<'_>, session: S::Session) -> Self::Seed {
        let open = self.ends.left(conn.id());
        (self.service.move_out(conn, session), open)
    }

    fn move_in(&mut self, conn: &mut Conn<'_>, (seed, open): Self::Seed) -> Result<S::Session, Close> {
        self.ends.arrived(conn.id(), open);
        let outcome = self.service.move_in(conn, seed);
        if let Err(why) = &outcome {
            self.ends.ended(conn, why);
        }
        outcome
    }
}

impl<S: Tally + Work> Work for Watched<S> {
    type Answer = S::Answer;

    fn answer(
        &mut self,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<S::Session>,
        answer: Answer<S::Answer>,
    ) {
        self.service.answer(scope, sessions, answer);
    }

    fn room(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<S::Session>) {
        self.service.room(scope, sessions);
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
    counts: Arc<Mutex<Vec<Counted>>>,
    /// Whose messages are counted with this one: a service's name and kind.
    service: Arc<str>,
    kind: &'static str,
}

/// What one worker counts of one service.
struct Counted {
    service: Arc<str>,
    kind: &'static str,
    count: Arc<Count>,
}

/// Written by one worker only; on a cache line of its own, or workers would slow each other down.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Count {
    messages: AtomicU64,
    worker: AtomicUsize,
}

impl Count {
    pub(crate) fn set(&self, messages: u64) {
        self.messages.store(messages, Relaxed);
    }
}

/// What is left of services that are gone becomes one count for each name and worker, or every change of a
/// running server would add some.
fn keep_one_of_those_gone(counts: &mut Vec<Counted>) {
    let mut gone: BTreeMap<(Arc<str>, usize), Arc<Count>> = BTreeMap::new();
    counts.retain(|counted| {
        if Arc::strong_count(&counted.count) > 1 {
            return true;
        }
        let whose = (counted.service.clone(), counted.count.worker.load(Relaxed));
        match gone.get(&whose) {
            Some(first) => {
                first.messages.fetch_add(counted.count.messages.load(Relaxed), Relaxed);
                false
            }
            None => {
                gone.insert(whose, counted.count.clone());
                true
            }
        }
    });
}

impl Messages {
    pub(crate) fn count(&self) -> Arc<Count> {
        let count = Arc::new(Count::default());
        let counted = Counted { service: self.service.clone(), kind: self.kind, count: count.clone() };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        keep_one_of_those_gone(&mut counts);
        counts.push(counted);
        count
    }

    /// The same counts, to count the messages of this service with.
    pub(crate) fn of(&self, service: &str, kind: &'static str) -> Messages {
        Messages { counts: self.counts.clone(), service: service.into(), kind }
    }

    /// By the name of the service: its kind, and how many it has counted.
    pub(crate) fn by_service(&self) -> BTreeMap<String, (&'static str, u64)> {
        let mut by_service = BTreeMap::new();
        for counted in &*self.counts.lock().unwrap_or_else(PoisonError::into_inner) {
            let entry = by_service.entry(counted.service.to_string()).or_insert((counted.kind, 0));
            entry.1 += counted.count.messages.load(Relaxed);
        }
        by_service
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn total(&self) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|counted| counted.count.messages.load(Relaxed)).sum()
    }

    /// How many one worker has counted, of all services.
    pub(crate) fn of_worker(&self, worker: usize) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let its = counts.iter().filter(|counted| counted.count.worker.load(Relaxed) == worker);
        its.map(|counted| counted.count.messages.load(Relaxed)).sum()
    }
}
