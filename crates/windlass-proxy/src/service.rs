//! The service: what happens to a client, from its first byte to its last. Read [`Pair`] first; how a backend is
//! called is in `calls.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass::{
    BeforeTls, Close, Conn, ConnId, ConnectError, Input, Peer, Receive, Relayed, Resolve, Resolved, Scope,
    Service, Sessions, Tick, Time,
};
use windlass_proto::proxy_protocol::ProxyProtocol;
use windlass_proto::{ClientHello, Decode};

use crate::checks::Connected;
use crate::door::Newcomer;
use crate::fleet::Fleet;
use crate::front::{Message, Shared};
use crate::pair::{Attempt, Greeting, Pair, Pairs, Phase, Session, Side};
use crate::plan::Plan;
use crate::queue::Queue;
use crate::reach::Reach;
use crate::refusal::Refusal;
use crate::upstream::Failure;

/// The proxy, on one worker. From [`Front`](crate::Front).
pub struct Proxy {
    pub(crate) fleet: Fleet,
    /// By the number of their group.
    pub(crate) queues: Vec<Queue>,
    pub(crate) pairs: Pairs,
    coupled: u64,
    /// Where in the table counting has come to.
    counts_at: usize,
}

/// Pairs whose bytes are counted in one tick.
const COUNTS: usize = 1024;

impl Proxy {
    /// Clients that this worker has connected to a backend.
    pub fn coupled(&self) -> u64 {
        self.coupled
    }

    /// The period of the tick that resolves names, checks backends, and finds who has waited for one that is
    /// back.
    pub const TICK: Duration = Duration::from_millis(100);

    pub(crate) fn new(shared: Arc<Shared>, plan: Arc<Plan>) -> Proxy {
        let queues = plan.groups.iter().map(|_| Queue::default()).collect();
        Proxy { fleet: Fleet::new(shared, plan), queues, pairs: Pairs::default(), coupled: 0, counts_at: 0 }
    }

    /// Listens to what a client has to say first; all that follows is for the backend.
    fn greet(&mut self, conn: &mut Conn<'_>, key: u32, input: &mut Input<'_>) -> Result<(), Refusal> {
        let plan = self.fleet.plan.clone();
        loop {
            let Some(pair) = self.pairs.get(key) else { return Ok(()) };
            let Phase::Greeting(greeting) = pair.phase else { return Ok(()) };
            let next = (!plan.config.routes.is_empty()).then_some(Greeting::Hello);
            let group = match greeting {
                Greeting::Header => {
                    let decoded = ProxyProtocol::default().decode(input).map_err(Refusal::Header)?;
                    let Some(header) = decoded else { return Ok(()) };
                    let (addresses, held) = self.fleet.introduce(conn.peer(), header.addresses, conn.now());
                    pair.held = held?;
                    if let (Some(addresses), Some(attempt)) = (addresses, &mut pair.attempt) {
                        attempt.addresses = addresses;
                    }
                    next
                }
                Greeting::NoHeader => match begins_with_header(input.peek()) {
                    Some(true) => return Err(Refusal::Spoofed),
                    Some(false) => next,
                    None => return Ok(()),
                },
                Greeting::Hello => match ClientHello::peek(input, plan.config.hello_max) {
                    Ok(None) => return Ok(()),
                    Ok(Some(hello)) => {
                        let group = plan.route(&hello).ok_or(Refusal::NoRoute)?;
                        return self.begin(conn, key, group);
                    }
                    // What is no TLS goes to the others, if they take it.
                    Err(error) => {
                        let group = plan.others().ok_or(Refusal::Hello(error))?;
                        return self.begin(conn, key, group);
                    }
                },
            };
            match group {
                Some(greeting) => pair.phase = Phase::Greeting(greeting),
                None => return self.begin(conn, key, 0),
            }
        }
    }

    /// Leaves a client that has been refused alone for a while; then its `timeout` gives the reason.
    fn draw_out(&self, conn: &mut Conn<'_>) {
        conn.pause();
        conn.wake_at(conn.now() + self.fleet.plan.config.guard.tarpit);
    }

    /// The client has said what it had to: what follows waits until there is somebody to hear it.
    fn begin(&mut self, conn: &mut Conn<'_>, key: u32, group: usize) -> Result<(), Refusal> {
        conn.pause();
        conn.cancel_wake();
        let Some(attempt) = self.pairs.get(key).and_then(|pair| pair.attempt.as_mut()) else { return Ok(()) };
        attempt.group = group;
        attempt.underway = self.fleet.plan.groups.get(group).map(|group| group.budget.enter());
        self.place(conn, key)
    }

    /// How long the client's deadline may wait, by how long both connections have been silent; zero: it is
    /// over. `None`: for ever.
    fn patience(&mut self, client: &mut Conn<'_>, key: u32) -> Option<Duration> {
        let timeouts = self.fleet.plan.config.timeouts;
        let pair = self.pairs.get(key)?;
        let (now, client_idle) = (client.now(), client.idle());
        let server_idle = client.other(pair.upstream?)?.idle();
        // Silence before the end of the other half does not count against this one.
        let since = now.since(pair.ended_at);
        let limits = match (pair.client_ended, pair.server_ended) {
            (true, _) if !timeouts.server_fin.is_zero() => {
                [(timeouts.server_fin, server_idle.min(since)), (Duration::ZERO, client_idle)]
            }
            (_, true) if !timeouts.client_fin.is_zero() => {
                [(timeouts.client_fin, client_idle.min(since)), (Duration::ZERO, server_idle)]
            }
            _ if !timeouts.tunnel.is_zero() => {
                [(timeouts.tunnel, client_idle.min(server_idle)), (Duration::ZERO, server_idle)]
            }
            _ => [(timeouts.client, client_idle), (timeouts.server, server_idle)],
        };
        let set = limits.into_iter().filter(|(limit, _)| !limit.is_zero());
        set.map(|(limit, idle)| limit.saturating_sub(idle)).min()
    }

    /// Sets the deadline of a coupled client, which is that of both.
    fn wait(&mut self, client: &mut Conn<'_>, key: u32) {
        match self.patience(client, key) {
            Some(left) => client.wake_at(client.now() + left.max(Duration::from_millis(1))),
            None => client.cancel_wake(),
        }
    }

    /// Takes note of a configuration that is newer than ours. Asked for with every newcomer too: whoever comes after
    /// an operator was told that a backend drains does not get it, though the message about it is not heard yet.
    fn catch_up(&mut self, reach: &mut impl Reach) {
        let Some(moved) = self.fleet.catch_up(reach.now()) else { return };
        let mut queues: Vec<Queue> = self.fleet.plan.groups.iter().map(|_| Queue::default()).collect();
        for (n, mut queue) in std::mem::take(&mut self.queues).into_iter().enumerate() {
            match moved.of(n) {
                Some(to) => queues[to] = queue,
                None => {
                    while let Some((number, key, _)) = queue.first(true) {
                        queue.remove(number);
                        self.fleet.shared.waiting.fetch_sub(1, Relaxed);
                        self.refuse(reach, key, Refusal::NoBackend);
                    }
                }
            }
        }
        self.queues = queues;
        for attempt in self.pairs.each().filter_map(|pair| pair.attempt.as_mut()) {
            attempt.group = moved.of(attempt.group).unwrap_or(usize::MAX);
        }
    }

    fn housekeeping(&mut self, scope: &mut Scope<'_>) {
        self.catch_up(scope);
        self.fleet.keep_house(scope);
        self.serve_queues(scope);
        self.count_traffic(scope);
    }

    /// Counts the bytes of some of the connections that last: those of a long one are not to be missed until it
    /// ends.
    fn count_traffic(&mut self, scope: &mut Scope<'_>) {
        for pair in self.pairs.next(&mut self.counts_at, COUNTS) {
            let relayed = pair.upstream.and_then(|id| scope.conn(id)).and_then(|conn| conn.relayed());
            if let Some(relayed) = relayed {
                count(&self.fleet.shared, pair, relayed);
            }
        }
    }

    /// Resets the connections to a backend. Who is being connected to it is sent to another one.
    fn sever(&mut self, scope: &mut Scope<'_>, id: u32) {
        for pair in self.pairs.each() {
            if pair.lease.as_ref().is_none_or(|lease| lease.upstream().id() != id) {
                continue;
            }
            if let Phase::Calling(call) = pair.phase {
                scope.cancel_connect(call);
                continue;
            }
            for conn in [pair.upstream, pair.client].into_iter().flatten() {
                if let Some(mut conn) = scope.conn(conn) {
                    conn.abort();
                }
            }
        }
    }
}

/// Counts what has passed since the last time.
fn count(shared: &Shared, pair: &mut Pair, relayed: Relayed) {
    let before = std::mem::replace(&mut pair.counted, relayed);
    let (received, sent) = (relayed.received - before.received, relayed.sent - before.sent);
    if received + sent == 0 {
        return;
    }
    shared.received.fetch_add(received, Relaxed);
    shared.sent.fetch_add(sent, Relaxed);
    if let Some(lease) = &pair.lease {
        lease.upstream().counts.received.fetch_add(received, Relaxed);
        lease.upstream().counts.sent.fetch_add(sent, Relaxed);
    }
}

/// Whether these bytes begin with a PROXY header; `None`: they may.
pub(crate) fn begins_with_header(bytes: &[u8]) -> Option<bool> {
    const BEGINNINGS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];
    for beginning in BEGINNINGS {
        if bytes.starts_with(beginning) {
            return Some(true);
        }
        if beginning.starts_with(bytes) {
            return None;
        }
    }
    Some(false)
}

impl Service for Proxy {
    type Session = Session;

    fn speaks_for_others(&mut self, peer: Peer) -> bool {
        self.fleet.speaks_for_others(peer)
    }

    fn before_tls(&mut self, peer: Peer, _: usize) -> BeforeTls {
        self.fleet.before_tls(peer)
    }

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Session>) {
        self.fleet.belongs_to(scope.worker());
        self.housekeeping(scope);
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Session, Close> {
        self.catch_up(conn);
        self.fleet.shared.opened.fetch_add(1, Relaxed);
        let plan = &self.fleet.plan;
        let then = (!plan.config.routes.is_empty()).then_some(Greeting::Hello);
        let met = self.fleet.meet(conn, then, plan.tells);
        let Newcomer { greeting, addresses, admitted, .. } = met.map_err(|refusal| {
            self.fleet.shared.refusals.count(&refusal);
            refusal.close()
        })?;
        let (held, refused) = match admitted {
            Ok(held) => (held, None),
            Err(refusal) => match self.fleet.tarpit(refusal) {
                Some(stay) => (Some(stay), Some(refusal)),
                None => {
                    self.fleet.shared.refusals.count(&refusal);
                    return Err(refusal.close());
                }
            },
        };
        let attempt = Attempt {
            group: 0,
            addresses,
            tried: Vec::new(),
            failures: 0,
            waits_until: None,
            underway: None,
            retry: None,
        };
        let key = self.pairs.add(Pair {
            client: Some(conn.id()),
            upstream: None,
            phase: Phase::Greeting(greeting.unwrap_or(Greeting::Hello)),
            lease: None,
            held,
            attempt: Some(Box::new(attempt)),
            client_ended: false,
            server_ended: false,
            ended_at: Time::ZERO,
            counted: Relayed::default(),
        });
        self.fleet.shared.client_came();
        let session = Session { pair: key, side: Side::Client };
        if let Some(refusal) = refused {
            self.note_refusal(key, refusal);
            self.draw_out(conn);
            return Ok(session);
        }
        if greeting.is_some() {
            let limit = self.fleet.plan.config.timeouts.greeting;
            if !limit.is_zero() {
                conn.wake_at(conn.now() + limit);
            }
            return Ok(session);
        }
        if let Err(refusal) = self.begin(conn, key, 0) {
            self.refuse(conn, key, refusal);
        }
        Ok(session)
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<Session, Close> {
        match self.fleet.check_connected(conn, tag) {
            Some(Connected::Asked(id)) => return Ok(Session { pair: id, side: Side::Check }),
            Some(Connected::Passed(is_back)) => {
                if is_back {
                    self.room(conn);
                }
                return Err(Close::Done);
            }
            None => {}
        }
        let key = tag as u32;
        let Some(pair) = self.pairs.get(key) else { return Err(Close::Done) };
        pair.phase = Phase::Over;
        if let Some(lease) = &mut pair.lease {
            lease.upstream().counts.succeeded();
            self.fleet.praise(&mut lease.permit, conn.now());
        }
        // A client that is leaving is not coupled any more.
        let client = pair.client;
        let Some(client) = client.filter(|client| conn.relay(*client)) else {
            self.released(conn, key);
            // Or it cannot be coupled, and would wait for ever.
            if client.and_then(|client| conn.other(client)).is_some() {
                self.refuse(conn, key, Refusal::Resources);
            }
            return Err(Close::Done);
        };
        pair.upstream = Some(conn.id());
        pair.phase = Phase::Coupled;
        self.coupled += 1;
        let was_retry = pair.attempt.take().is_some_and(|attempt| attempt.retry.is_some());
        if let Some(mut client) = conn.other(client) {
            self.wait(&mut client, key);
        }
        if was_retry {
            self.retry_is_over(conn);
        }
        Ok(Session { pair: key, side: Side::Upstream })
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<Session>,
        _: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        if self.fleet.check_failed(tag, &why, scope.now()) {
            return;
        }
        self.call_failed(scope, tag as u32, &why);
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        if session.side == Side::Check {
            let Some(is_back) = self.fleet.check_heard(session.pair, input, conn.now()) else {
                return Ok(());
            };
            if is_back {
                self.room(conn);
            }
            return Err(Close::Done);
        }
        self.catch_up(conn);
        let Err(refusal) = self.greet(conn, session.pair, input) else { return Ok(()) };
        self.note_refusal(session.pair, refusal);
        let stay = self.fleet.tarpit(refusal);
        let (Some(stay), Some(pair)) = (stay, self.pairs.get(session.pair)) else {
            return Err(refusal.close());
        };
        pair.held = Some(stay);
        self.draw_out(conn);
        Ok(())
    }

    fn relay_ended(&mut self, conn: &mut Conn<'_>, session: &mut Session) -> Result<(), Close> {
        let Some(pair) = self.pairs.get(session.pair) else { return Ok(()) };
        match session.side {
            Side::Client => pair.client_ended = true,
            Side::Upstream => pair.server_ended = true,
            // Coupled with nobody.
            Side::Check => return Ok(()),
        }
        pair.ended_at = conn.now();
        let client = pair.client;
        match session.side {
            Side::Check => {}
            Side::Client => self.wait(conn, session.pair),
            Side::Upstream => {
                if let Some(mut client) = client.and_then(|client| conn.other(client)) {
                    self.wait(&mut client, session.pair);
                }
            }
        }
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut Session) -> Result<(), Close> {
        if session.side == Side::Check {
            return Err(Close::Timeout);
        }
        let Some(pair) = self.pairs.get(session.pair) else { return Ok(()) };
        let refusal = match pair.phase {
            Phase::Greeting(_) => Refusal::Silent,
            Phase::Queued(_) => Refusal::QueueTimeout,
            // Counted already.
            Phase::Refused(refusal) => return Err(refusal.close()),
            Phase::Coupled => {
                if self.patience(conn, session.pair) == Some(Duration::ZERO) {
                    return Err(Close::Timeout);
                }
                self.wait(conn, session.pair);
                return Ok(());
            }
            Phase::Calling(_) | Phase::Over => return Ok(()),
        };
        self.note_refusal(session.pair, refusal);
        Err(refusal.close())
    }

    fn draining(&mut self, _: &mut Conn<'_>, session: &mut Session) -> Result<(), Close> {
        if session.side == Side::Check {
            return Err(Close::Shutdown);
        }
        match self.pairs.get(session.pair).map(|pair| pair.phase) {
            // Who has not said whom it wants has nothing to lose.
            Some(Phase::Greeting(_) | Phase::Refused(_)) => Err(Close::Shutdown),
            _ => Ok(()),
        }
    }

    fn closed(&mut self, conn: &mut Conn<'_>, session: Session, why: Close) {
        let key = session.pair;
        if session.side == Side::Check {
            if self.fleet.check_closed(key, &why, conn.now()) {
                self.room(conn);
            }
            return;
        }
        let Some(pair) = self.pairs.get(key) else { return };
        match session.side {
            Side::Check => {}
            Side::Client => {
                self.fleet.shared.clients.fetch_sub(1, Relaxed);
                pair.client = None;
                match pair.phase {
                    Phase::Queued(number) => {
                        pair.phase = Phase::Over;
                        let group = pair.attempt.as_ref().map_or(usize::MAX, |attempt| attempt.group);
                        self.leave_queue(group, number);
                    }
                    // `connect_failed` is still to come, and is the end of it.
                    Phase::Calling(call) => drop(conn.cancel_connect(call)),
                    _ => {}
                }
                self.pairs.remove_if_over(key);
            }
            Side::Upstream => {
                pair.upstream = None;
                let relayed = conn.relayed().unwrap_or(pair.counted);
                count(&self.fleet.shared, pair, relayed);
                if let Some(lease) = &mut pair.lease {
                    let upstream = lease.upstream().clone();
                    if relayed.received > 0 {
                        upstream.counts.served();
                    } else if relayed.sent == 0 && matches!(why, Close::Reset) {
                        // What a client has said may be why: it must not take backends from others.
                        self.fleet.failed(lease, Failure::Broken, conn.now());
                    }
                }
                self.released(conn, key);
            }
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Session>, _: Tick) {
        self.housekeeping(scope);
    }
}

impl Receive for Proxy {
    type Message = Message;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Session>, message: Message) {
        match message {
            Message::Changed => self.housekeeping(scope),
            Message::Room => self.serve_queues(scope),
            Message::Sever(id) => self.sever(scope, id),
            // Nothing is kept idle.
            Message::Wanted => {}
        }
    }
}

impl Resolve for Proxy {
    fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Session>, resolved: Resolved) {
        if self.fleet.resolved(resolved, scope.now()) {
            self.serve_queues(scope);
        }
    }
}
