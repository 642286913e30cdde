//! The service: clients, connections to backends, and which callback is for whom. Read [`Client`] and [`Link`]
//! first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass::{
    BeforeTls, Close, Conn, ConnId, ConnectError, Input, Peer, Receive, Resolve, Resolved, Scope, Service,
    Sessions, Tick, Time,
};
use windlass_proto::http::{ClientConn, HeaderLines, HttpError, Limits, ServerConn};
use windlass_proto::proxy_protocol::Addresses;

use crate::checks::Connected;
use crate::fleet::Fleet;
use crate::front::{Message, Shared};
use crate::guard::Held;
use crate::http::exchange::Exchange;
use crate::http::log::Exchanged;
use crate::http::pool::Pool;
use crate::http::stats::HttpCells;
use crate::http::table::Table;
use crate::pair::Greeting;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::reach::Reach;
use crate::refusal::Refusal;
use crate::upstream::Lease;

/// The proxy for HTTP, on one worker. From [`Front`](crate::Front).
pub struct HttpProxy {
    pub(super) fleet: Fleet,
    /// By the number of their group.
    pub(super) queues: Vec<Queue>,
    pub(super) clients: Table<Client>,
    pub(super) links: Table<Link>,
    pub(super) calls: Table<Call>,
    pub(super) pool: Pool,
    /// Where counting bytes goes on.
    counts_at: usize,
    /// A retry is over, and somebody may wait for that.
    pub(super) owes_room: bool,
    /// Exchanges that are over, for their memory.
    #[allow(
        clippy::vec_box,
        reason = "a client holds the box: one word while idle, and no copy to attach it"
    )]
    pub(super) spare: Vec<Box<Exchange>>,
    /// What is written is made here.
    pub(super) out: Vec<u8>,
    pub(super) lines: HeaderLines,
    pub(super) target: String,
    pub(super) hear: Option<Hear>,
    pub(super) requests: u64,
}

/// Who hears of requests that are over.
pub(super) type Hear = Box<dyn FnMut(&Exchanged<'_>)>;

/// The state of one connection: what it is, and its number there.
#[derive(Debug)]
pub struct HttpSession {
    pub(super) side: Side,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Client(u32),
    Link(u32),
    /// The check of the backend of this number.
    Check(u32),
}

/// A client's connection. One request at a time: the next waits in the input.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) conn: ConnId,
    pub(super) peer: Peer,
    pub(super) listener: Option<usize>,
    pub(super) http: ServerConn,
    /// Who it is, as we or the proxy before us see it.
    pub(super) addresses: Addresses<'static>,
    /// Where it arrived, if somebody wants to know.
    pub(super) local: Option<SocketAddr>,
    pub(super) phase: Phase,
    /// What the guard counts it by.
    #[allow(dead_code, reason = "it counts itself out")]
    pub(super) held: Option<Held>,
    /// The request under way.
    pub(super) exchange: Option<Box<Exchange>>,
    /// When the head that is being read began.
    pub(super) head_since: Option<Time>,
    /// Input was left that has to be offered again.
    pub(super) has_more: bool,
    /// We have paused it.
    pub(super) is_paused: bool,
    /// It has ended its stream.
    pub(super) has_ended: bool,
}

impl Client {
    /// Who it is, as we or the proxy before us see it.
    pub(super) fn source(&self) -> Peer {
        match self.addresses {
            Addresses::Inet { source, .. } => Peer::Tcp(source),
            _ => self.peer,
        }
    }
}

/// Where a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It has to say something before its first request.
    Greeting(Greeting),
    /// It is not let in, and is kept waiting to be told so.
    Refused(Refusal),
    /// No request is under way; part of a head may be here, or what is left of a body nobody wants.
    Idle,
    /// Its request waits, under this number, for a backend with room.
    Queued(u64),
    /// A connection to a backend is being made for it.
    Calling(u32),
    /// It has this connection to a backend.
    Linked(u32),
    /// It is coupled with it for good. When one of the two had ended, if it has.
    Tunnel(u32),
    /// Nothing more is done for it.
    Over,
}

/// A connection to a backend.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) conn: ConnId,
    pub(super) http: ClientConn,
    /// Held for as long as the connection is there.
    pub(super) lease: Lease,
    /// Whose request it serves; none while it is idle.
    pub(super) client: Option<u32>,
    /// It has served before.
    pub(super) reused: bool,
    /// Something of the response under way has come.
    pub(super) has_heard: bool,
    /// We have paused it.
    pub(super) is_paused: bool,
    /// What it said was no HTTP.
    pub(super) error: Option<HttpError>,
    /// It is for one client alone, and never used by another.
    pub(super) is_private: bool,
    /// Of the plan that it is known to be in.
    pub(super) version: u64,
    /// When the two ends ended their streams: the client's, of a tunnel; the backend's, while it serves somebody.
    pub(super) ended: [Option<Time>; 2],
    /// Bytes that have passed to the backend, and from it, and are not counted yet.
    pub(super) passed: (u64, u64),
    /// Of those from it, what has come and waits to be understood.
    pub(super) untaken: usize,
    /// What of a tunnel's bytes is counted.
    pub(super) tunnelled: (u64, u64),
}

impl Link {
    /// Takes note of what has passed through it as a tunnel.
    pub(super) fn note_tunnel(&mut self, sent: u64, received: u64) {
        let before = std::mem::replace(&mut self.tunnelled, (sent, received));
        self.passed.0 += sent.saturating_sub(before.0);
        self.passed.1 += received.saturating_sub(before.1);
    }

    /// Counts what has passed since it was counted last, for the worker and for the backend.
    pub(super) fn count(&mut self, cells: &HttpCells) {
        let (sent, received) = std::mem::take(&mut self.passed);
        let counts = &self.lease.upstream().counts;
        if sent > 0 {
            cells.sent.fetch_add(sent, Relaxed);
            counts.sent.fetch_add(sent, Relaxed);
        }
        if received > 0 {
            cells.received.fetch_add(received, Relaxed);
            counts.received.fetch_add(received, Relaxed);
        }
    }
}

/// A connection to a backend that is being made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: Option<ConnId>,
    /// For whose request; none if its client has left.
    pub(super) client: Option<u32>,
    pub(super) lease: Lease,
    /// Of the plan that it was called by.
    pub(super) version: u64,
}

/// Connections to backends whose bytes are counted at each tick.
const COUNTS: usize = 1024;

/// Exchanges kept for their memory.
pub(super) const SPARE_MAX: usize = 256;

impl HttpProxy {
    /// The period of the tick that resolves names, checks backends, and closes what was idle for too long.
    pub const TICK: Duration = Duration::from_millis(100);

    pub(crate) fn new(shared: Arc<Shared>, plan: Arc<Plan>) -> HttpProxy {
        let queues = plan.groups.iter().map(|_| Queue::default()).collect();
        HttpProxy {
            fleet: Fleet::new(shared, plan),
            queues,
            clients: Table::default(),
            links: Table::default(),
            calls: Table::default(),
            pool: Pool::default(),
            counts_at: 0,
            owes_room: false,
            spare: Vec::new(),
            out: Vec::new(),
            lines: HeaderLines::new(),
            target: String::new(),
            hear: None,
            requests: 0,
        }
    }

    /// Has `hear` called for each request that is over, on this worker: for an access log. It runs on the data
    /// path, and must not block.
    pub fn on_exchange(mut self, hear: impl FnMut(&Exchanged<'_>) + 'static) -> HttpProxy {
        self.hear = Some(Box::new(hear));
        self
    }

    /// Requests whose head this worker has read.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) fn cells(&self) -> &HttpCells {
        self.fleet.shared.http.of(self.fleet.worker)
    }

    /// Takes note of a configuration that is newer than ours. Asked for with every request too: what comes after
    /// an operator was told that a backend drains does not go there, though the message about it is not heard yet.
    pub(super) fn catch_up(&mut self, scope: &mut impl Reach) {
        let Some(moved) = self.fleet.catch_up(scope.now()) else { return };
        let mut queues: Vec<Queue> = self.fleet.plan.groups.iter().map(|_| Queue::default()).collect();
        let mut homeless = Vec::new();
        for (n, mut queue) in std::mem::take(&mut self.queues).into_iter().enumerate() {
            match moved.of(n) {
                Some(to) => queues[to] = queue,
                None => {
                    while let Some((number, key, _)) = queue.first(true) {
                        queue.remove(number);
                        self.fleet.shared.waiting.fetch_sub(1, Relaxed);
                        homeless.push(key);
                    }
                }
            }
        }
        self.queues = queues;
        for exchange in self.clients.each().filter_map(|client| client.exchange.as_mut()) {
            exchange.group = moved.of(exchange.group).unwrap_or(usize::MAX);
            if let Some(forward) = &mut exchange.forward {
                forward.group = exchange.group;
            }
        }
        for key in homeless {
            if let Some(client) = self.clients.get(key) {
                client.phase = Phase::Idle;
            }
            self.refuse(scope, key, Refusal::NoBackend);
        }
        // Idle connections to who is gone, or is to be left alone, or is spoken to in another way now.
        let mut over = Vec::new();
        let (plan, links) = (self.fleet.plan.clone(), &self.links);
        let stays = |_, link| links.look(link).is_some_and(|link| is_current(&plan, link));
        self.pool.keep_only(stays, |link| over.push(link));
        self.pool.forget(|backend| plan.upstreams().any(|(_, upstream)| upstream.id() == backend));
        self.close_links(scope, &over);
    }

    /// Closes idle connections that were taken out of the pool.
    pub(super) fn close_links(&mut self, scope: &mut impl Reach, links: &[u32]) {
        for link in links {
            if let Some(link) = self.links.get(*link)
                && let Some(mut conn) = scope.conn(link.conn)
            {
                conn.close();
            }
        }
    }

    fn housekeeping(&mut self, scope: &mut Scope<'_>) {
        self.catch_up(scope);
        self.fleet.keep_house(scope);
        let (now, timeout) = (scope.now(), self.fleet.plan.config.http.pool_timeout);
        let mut expired = Vec::new();
        self.pool.expire(now, timeout, |link| expired.push(link));
        self.close_links(scope, &expired);
        self.serve_queues(scope);
        self.settle(scope);
        self.make_room_for_others(scope);
        self.count_traffic(scope);
    }

    /// Counts the bytes of some of the connections: those of a long response, or of a tunnel, are not to be missed
    /// until it ends.
    fn count_traffic(&mut self, scope: &mut Scope<'_>) {
        let cells = self.fleet.shared.http.of(self.fleet.worker);
        for link in self.links.next(&mut self.counts_at, COUNTS).filter(|link| link.client.is_some()) {
            if let Some(relayed) = scope.conn(link.conn).and_then(|conn| conn.relayed()) {
                link.note_tunnel(relayed.sent, relayed.received);
            }
            link.count(cells);
        }
    }

    /// Others wait for backends whose connections are ours, and idle.
    fn make_room_for_others(&mut self, scope: &mut Scope<'_>) {
        let ours: usize = self.queues.iter().map(|queue| queue.len()).sum();
        if self.fleet.shared.waiting.load(Relaxed) <= ours {
            return;
        }
        let plan = self.fleet.plan.clone();
        let is_full = |backend: u32| {
            plan.upstreams().any(|(_, upstream)| upstream.id() == backend && !upstream.has_room())
        };
        let mut given_up = Vec::new();
        self.pool.keep_only(|backend, _| !is_full(backend), |link| given_up.push(link));
        self.close_links(scope, &given_up);
    }

    pub(super) fn limits(&self) -> Limits {
        self.fleet.plan.config.http.limits
    }
}

/// Whether the backend of a connection is in the plan, as it was when it was called, and takes requests.
pub(super) fn is_current(plan: &Plan, link: &Link) -> bool {
    let upstream = link.lease.upstream();
    link.version == plan.version
        || plan.upstreams().any(|(_, other)| {
            other.id() == upstream.id() && other.config == upstream.config && other.config.weight > 0
        })
}

impl HttpProxy {
    /// Resets the connections to a backend: what is under way there ends as it does when a backend goes. Who is
    /// being connected to it is sent to another one.
    fn sever(&mut self, scope: &mut Scope<'_>, id: u32) {
        for link in self.links.each().filter(|link| link.lease.upstream().id() == id) {
            if let Some(mut conn) = scope.conn(link.conn) {
                conn.abort();
            }
        }
        for call in self.calls.each().filter(|call| call.lease.upstream().id() == id) {
            if let Some(call) = call.id {
                scope.cancel_connect(call);
            }
        }
    }
}

impl Service for HttpProxy {
    type Session = HttpSession;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<HttpSession>) {
        self.fleet.belongs_to(scope.worker());
        self.housekeeping(scope);
    }

    fn speaks_for_others(&mut self, peer: Peer) -> bool {
        self.fleet.speaks_for_others(peer)
    }

    fn before_tls(&mut self, peer: Peer, _: usize) -> BeforeTls {
        self.fleet.before_tls(peer)
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<HttpSession, Close> {
        self.open_client(conn).map(|key| HttpSession { side: Side::Client(key) })
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<HttpSession, Close> {
        match self.fleet.check_connected(conn, tag) {
            Some(Connected::Asked(id)) => return Ok(HttpSession { side: Side::Check(id) }),
            Some(Connected::Passed(is_back)) => {
                if is_back {
                    self.room(conn);
                }
                return Err(Close::Done);
            }
            None => {}
        }
        self.call_answered(conn, tag as u32).map(|key| HttpSession { side: Side::Link(key) })
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<HttpSession>,
        _: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        if !self.fleet.check_failed(tag, &why, scope.now()) {
            self.call_failed(scope, tag as u32, &why);
            self.settle(scope);
        }
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut HttpSession,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let said = match session.side {
            Side::Client(key) => self.client_said(conn, key, input),
            Side::Link(key) => self.link_said(conn, key, input),
            Side::Check(id) => match self.fleet.check_heard(id, input, conn.now()) {
                None => Ok(()),
                Some(is_back) => {
                    if is_back {
                        self.room(conn);
                    }
                    Err(Close::Done)
                }
            },
        };
        self.settle(conn);
        said
    }

    fn eof(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut HttpSession,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let ended = match session.side {
            Side::Client(key) => self.client_ended(key, input),
            Side::Link(key) => self.link_ended(conn, key, input),
            Side::Check(_) => Err(Close::Eof),
        };
        self.settle(conn);
        ended
    }

    fn drained(&mut self, conn: &mut Conn<'_>, session: &mut HttpSession) -> Result<(), Close> {
        match session.side {
            Side::Client(key) => self.client_drained(conn, key),
            Side::Link(key) => self.link_drained(conn, key),
            Side::Check(_) => {}
        }
        Ok(())
    }

    fn relay_ended(&mut self, conn: &mut Conn<'_>, session: &mut HttpSession) -> Result<(), Close> {
        self.tunnel_half_ended(conn, session.side);
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, session: &mut HttpSession) -> Result<(), Close> {
        let late = match session.side {
            Side::Client(key) => self.client_late(conn, key),
            Side::Link(_) => Ok(()),
            Side::Check(_) => Err(Close::Timeout),
        };
        self.settle(conn);
        late
    }

    fn draining(&mut self, _: &mut Conn<'_>, session: &mut HttpSession) -> Result<(), Close> {
        let goes = match session.side {
            Side::Client(key) => self.clients.get(key).is_none_or(|client| {
                client.http.close_after_response();
                // Who has said nothing, or waits for nothing, has nothing to lose.
                matches!(client.phase, Phase::Greeting(_) | Phase::Refused(_))
                    || (client.phase == Phase::Idle && client.http.is_idle() && !client.has_more)
            }),
            Side::Link(key) => self.links.get(key).is_none_or(|link| link.client.is_none()),
            Side::Check(_) => true,
        };
        if goes { Err(Close::Shutdown) } else { Ok(()) }
    }

    fn superseded(&mut self, _: &mut Conn<'_>, session: &mut HttpSession) -> Result<(), Close> {
        // Its next request goes to the successor, where it is told so with the response to this one.
        if let Side::Client(key) = session.side
            && let Some(client) = self.clients.get(key)
        {
            client.http.close_after_response();
        }
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, session: HttpSession, why: Close) {
        match session.side {
            Side::Client(key) => self.client_closed(conn, key),
            Side::Link(key) => self.link_closed(conn, key, &why),
            Side::Check(id) => {
                if self.fleet.check_closed(id, &why, conn.now()) {
                    self.room(conn);
                }
            }
        }
        self.settle(conn);
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<HttpSession>, _: Tick) {
        self.housekeeping(scope);
    }
}

impl Receive for HttpProxy {
    type Message = Message;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<HttpSession>, message: Message) {
        match message {
            Message::Changed => self.housekeeping(scope),
            Message::Room => {
                self.serve_queues(scope);
                self.settle(scope);
            }
            Message::Wanted => self.make_room_for_others(scope),
            Message::Sever(id) => self.sever(scope, id),
        }
    }
}

impl Resolve for HttpProxy {
    fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<HttpSession>, resolved: Resolved) {
        if self.fleet.resolved(resolved, scope.now()) {
            self.serve_queues(scope);
            self.settle(scope);
        }
    }
}
