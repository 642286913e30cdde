//! The service: what happens to a datagram. Each flow has a socket that is connected to its backend, so only what
//! comes from there comes to it, and the system tells which backend nobody listens at.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use windlass::{
    Close, Conn, ConnId, ConnectError, Datagram, DatagramService, Input, Outgoing, Peer, Receive, Resolve,
    Resolved, Scope, Service, Sessions, Socket, SocketId, Tick, Time,
};

use super::config::{UdpConfig, WhenFlowsFull};
use super::flows::Flows;
use super::log::{FlowEnded, FlowEnding};
use super::stats::UdpStats;
use crate::checks::{CHECK, Connected};
use crate::fleet::Fleet;
use crate::front::{Message, Shared};
use crate::guard::Held;
use crate::pick::Picked;
use crate::plan::Plan;
use crate::upstream::{Failure, Lease};

/// The proxy for datagrams, on one worker. From [`Front`](crate::Front).
pub struct UdpProxy {
    fleet: Fleet,
    flows: Flows<Key, Flow>,
    counted: UdpStats,
    opened: u64,
    /// Where in the table counting has come to.
    settled_at: usize,
    /// Flows whose backends are down. Kept for its memory.
    stranded: Vec<SocketId>,
    hear: Option<Hear>,
}

/// Who hears of flows that are over.
type Hear = Box<dyn FnMut(&FlowEnded<'_>)>;

/// The tag of a check's socket when that is over: no backend has this number.
const ANSWERED: u64 = CHECK;

/// Flows whose bytes are counted in one tick.
const SETTLED: usize = 1024;

/// What a flow is known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    client: SocketAddr,
    /// Our socket that it came to.
    to: SocketId,
    /// Which of its addresses, if it is bound to all.
    asked: Option<IpAddr>,
}

/// A client's datagrams and their answers.
#[derive(Debug)]
struct Flow {
    upstream: SocketId,
    /// Where that leads.
    address: SocketAddr,
    lease: Lease,
    /// When its first datagram came, since it has this backend.
    since: Time,
    /// When the last datagram passed, in either direction.
    heard: Time,
    /// Datagrams, and their bytes.
    requests: u64,
    sent: u64,
    replies: u64,
    received: u64,
    /// Of those bytes: what its backend's count has.
    settled: (u64, u64),
    /// The backend does not know yet who the client is.
    owes_header: bool,
    /// What the guard counts of its source.
    _held: Option<Held>,
    /// Backends that nobody listened at, the present one perhaps among them.
    failed: Vec<u32>,
}

impl Flow {
    /// What there is to tell of it, now that it is over.
    fn ended(&self, client: SocketAddr, to: Option<SocketAddr>, ending: FlowEnding) -> FlowEnded<'_> {
        FlowEnded {
            client,
            to,
            backend: &self.lease.upstream().config.name,
            requests: self.requests,
            request_bytes: self.sent,
            replies: self.replies,
            reply_bytes: self.received,
            lasted: self.heard.since(self.since),
            ending,
        }
    }
}

/// Why there is no flow for a newcomer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    Full,
    Source,
    NoBackend,
    BackendsFull,
    Tripped,
    Guard,
    Resources,
    Draining,
}

/// A backend that was chosen, and the socket to it.
struct Reached {
    upstream: SocketId,
    address: SocketAddr,
    lease: Lease,
}

impl UdpProxy {
    pub(crate) fn new(shared: Arc<Shared>, plan: Arc<Plan>) -> UdpProxy {
        let mut fleet = Fleet::new(shared, plan);
        fleet.has_datagrams = true;
        UdpProxy {
            fleet,
            flows: Flows::new(),
            counted: UdpStats::default(),
            opened: 0,
            settled_at: 0,
            stranded: Vec::new(),
            hear: None,
        }
    }

    /// Has `hear` called for each flow that is over, on this worker: for an access log. It runs on the data path, and
    /// must not block.
    pub fn on_flow(mut self, hear: impl FnMut(&FlowEnded<'_>) + 'static) -> UdpProxy {
        self.hear = Some(Box::new(hear));
        self
    }

    /// Flows that this worker has begun.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    fn config(&self) -> &UdpConfig {
        &self.fleet.plan.config.udp
    }

    // --- From clients.

    #[inline]
    fn pass_on(&mut self, socket: &mut Socket<'_>, datagram: &Datagram<'_>) {
        let (guard, plan) = (&self.fleet.plan.config.guard, &self.fleet.plan);
        if guard.request_rate > 0 && !plan.guard.admit_request(guard, datagram.from.ip(), socket.now()) {
            self.counted.requests_refused += 1;
            return;
        }
        let asked = if socket.is_wildcard() { datagram.to } else { None };
        let key = Key { client: datagram.from, to: socket.id(), asked };
        let at = match self.flows.find(&key) {
            Some(at) => at,
            None => match self.open(socket, key) {
                Ok(at) => at,
                Err(why) => return self.refused(why),
            },
        };
        let requests_max = self.config().requests_max;
        let Some(flow) = self.flows.get(at) else { return };
        let answered = flow.replies > 0;
        flow.heard = socket.now();
        flow.requests += 1;
        flow.sent += datagram.bytes.len() as u64;
        let is_last = requests_max > 0 && flow.requests >= u64::from(requests_max);
        let local = if flow.owes_header { Some(destination(socket, datagram)) } else { None };
        let Some(mut upstream) = socket.other(flow.upstream) else {
            return self.end(&mut socket.scope(), at, FlowEnding::Closed);
        };
        let queued = match local {
            Some(local) => {
                let header = flow.lease.upstream().config.send_proxy;
                let header =
                    header.map(|version| crate::tell::datagram_preface(version, datagram.from, local));
                let bytes = [&header.unwrap_or_default(), datagram.bytes].concat();
                // Never before each: a backend would take the others for what the client has said.
                flow.owes_header = !upstream.send(&bytes);
                !flow.owes_header
            }
            None => match datagram.ecn {
                None => upstream.send(datagram.bytes),
                Some(mark) => upstream.send_out(Outgoing::new(flow.address, datagram.bytes).ecn(mark)),
            },
        };
        match queued {
            true => {
                self.counted.requests += 1;
                self.counted.request_bytes += datagram.bytes.len() as u64;
            }
            false => self.counted.requests_dropped += 1,
        }
        if answered {
            self.flows.prove(at);
        }
        self.flows.touch(at);
        if is_last {
            self.flows.detach(at);
        }
    }

    /// Begins a flow, within the caps.
    #[cold]
    fn open(&mut self, socket: &mut Socket<'_>, key: Key) -> Result<u32, Refused> {
        if socket.is_draining() {
            return Err(Refused::Draining);
        }
        // Whoever comes after an operator was told that a backend drains does not get it, though the message about
        // it is not heard yet.
        self.fleet.catch_up(socket.now());
        let UdpConfig { flows_max, source_flows_max, when_full, .. } = *self.config();
        let ip = key.client.ip();
        let held = self.fleet.admit(Peer::Tcp(key.client), socket.now()).map_err(|refusal| {
            self.fleet.shared.refusals.count(&refusal);
            Refused::Guard
        })?;
        if source_flows_max > 0 && self.flows.len_of(ip) >= source_flows_max {
            let first = self.flows.first_to_go_of(ip).filter(|_| when_full == WhenFlowsFull::Evict);
            self.end(&mut socket.scope(), first.ok_or(Refused::Source)?, FlowEnding::SourceEvicted);
        }
        // More than one, if the cap was lowered.
        while self.flows.len() >= flows_max {
            self.evict(socket).ok_or(Refused::Full)?;
        }
        let Reached { upstream, address, lease } = match self.reach(socket, ip, &mut Vec::new()) {
            Ok(reached) => reached,
            Err(why) => {
                if why == Refused::Resources {
                    // Not for this one, since a socket is closed only at the end of the turn; for the next.
                    self.evict(socket);
                }
                return Err(why);
            }
        };
        let owes_header = lease.upstream().config.send_proxy.is_some();
        let now = socket.now();
        let at = self.flows.add(
            key,
            ip,
            Flow {
                upstream,
                address,
                lease,
                since: now,
                heard: now,
                requests: 0,
                sent: 0,
                replies: 0,
                received: 0,
                settled: (0, 0),
                owes_header,
                _held: held,
                failed: Vec::new(),
            },
        );
        self.adopt(socket, upstream, at);
        self.opened += 1;
        self.fleet.shared.opened.fetch_add(1, Relaxed);
        self.fleet.shared.client_came();
        Ok(at)
    }

    /// A socket is a flow's from now on, and says when that has been silent for too long.
    fn adopt(&mut self, socket: &mut Socket<'_>, upstream: SocketId, at: u32) {
        let idle = self.config().idle;
        if let Some(mut upstream) = socket.other(upstream) {
            upstream.set_tag(u64::from(at));
            upstream.wake_at(upstream.now() + idle);
        }
    }

    /// Chooses a backend that has not failed, and opens a socket to it.
    fn reach(
        &mut self,
        socket: &mut Socket<'_>,
        ip: IpAddr,
        failed: &mut Vec<u32>,
    ) -> Result<Reached, Refused> {
        for _ in 0..=self.fleet.plan.config.retries_max {
            let picked = self.fleet.pick(&mut socket.scope(), 0, Some(ip), failed);
            let mut lease = match picked {
                Picked::Upstream(lease) => lease,
                Picked::Full => return Err(Refused::BackendsFull),
                Picked::Nobody => return Err(Refused::NoBackend),
                Picked::Tripped => return Err(Refused::Tripped),
            };
            let address = self.fleet.address(lease.upstream()).ok_or(Refused::NoBackend)?;
            match socket.connect(address) {
                Ok(upstream) => {
                    lease.upstream().counts.opened.fetch_add(1, Relaxed);
                    return Ok(Reached { upstream, address, lease });
                }
                Err(error) if is_its_fault(&error) => {
                    note_failure(&mut self.fleet, &mut lease, failed, socket.now())
                }
                Err(_) => return Err(Refused::Resources),
            }
        }
        Err(Refused::NoBackend)
    }

    fn refused(&mut self, why: Refused) {
        let counted = &mut self.counted;
        *match why {
            Refused::Full => &mut counted.refused_full,
            Refused::Source => &mut counted.refused_source,
            Refused::NoBackend => &mut counted.refused_no_backend,
            Refused::BackendsFull => &mut counted.refused_backends_full,
            Refused::Tripped => &mut counted.refused_circuit_open,
            Refused::Guard => &mut counted.refused_guard,
            Refused::Resources => &mut counted.refused_resources,
            Refused::Draining => &mut counted.refused_draining,
        } += 1;
    }

    /// Whoever is first to go makes way, if anybody may be sent away.
    fn evict(&mut self, socket: &mut Socket<'_>) -> Option<()> {
        if self.config().when_full != WhenFlowsFull::Evict {
            return None;
        }
        let first = self.flows.first_to_go()?;
        self.end(&mut socket.scope(), first, FlowEnding::Evicted);
        Some(())
    }

    /// Ends a flow: its socket closes at the end of the turn, and what was queued on it still goes.
    fn end(&mut self, scope: &mut Scope<'_>, at: u32, ending: FlowEnding) {
        let Some(key) = self.flows.key(at) else { return };
        let Some(mut flow) = self.flows.remove(at) else { return };
        ending.count(&mut self.counted);
        self.fleet.shared.clients.fetch_sub(1, Relaxed);
        settle(&self.fleet.shared, &mut flow);
        if let Some(hear) = &mut self.hear {
            let to = scope.socket(key.to).map(|socket| address_of(&socket, key.asked));
            hear(&flow.ended(key.client, to, ending));
        }
        if let Some(mut upstream) = scope.socket(flow.upstream) {
            upstream.close();
        }
        if self.flows.len() == 0 && scope.is_draining() {
            // Nobody is left to be answered.
            scope.each_socket(|socket| socket.close());
        }
    }

    // --- From backends.

    #[inline]
    fn pass_back(&mut self, socket: &mut Socket<'_>, datagram: &Datagram<'_>) {
        let at = socket.tag() as u32;
        let UdpConfig { replies_expected, reply_factor_max, .. } = *self.config();
        let Some(key) = self.flows.key(at) else { return };
        let Some(flow) = self.flows.get(at).filter(|flow| flow.upstream == socket.id()) else { return };
        let bytes = datagram.bytes.len() as u64;
        if flow.replies == 0 {
            flow.lease.upstream().counts.answered();
            self.fleet.praise(&mut flow.lease.permit, socket.now());
            flow.failed.clear();
        }
        flow.replies += 1;
        flow.heard = socket.now();
        let is_last =
            replies_expected > 0 && flow.replies >= flow.requests.saturating_mul(replies_expected.into());
        let most = flow.sent.saturating_mul(reply_factor_max.into());
        let is_proven = self.flows.is_proven(at);
        let Some(flow) = self.flows.get(at) else { return };
        if reply_factor_max > 0 && !is_proven && flow.received + bytes > most {
            self.counted.replies_withheld += 1;
        } else {
            flow.received += bytes;
            let Some(mut to) = socket.other(key.to) else {
                return self.end(&mut socket.scope(), at, FlowEnding::Orphaned);
            };
            let mut out = Outgoing::new(key.client, datagram.bytes).from_asked(key.asked);
            if let Some(mark) = datagram.ecn {
                out = out.ecn(mark);
            }
            match to.send_out(out) {
                true => {
                    self.counted.replies += 1;
                    self.counted.reply_bytes += bytes;
                }
                false => self.counted.replies_dropped += 1,
            }
        }
        self.flows.touch(at);
        if is_last {
            self.end(&mut socket.scope(), at, FlowEnding::Answered);
        }
    }

    /// Nobody listens at a flow's backend: another one takes the client's next datagram. The one before is lost,
    /// as datagrams are, and whoever wants an answer asks again.
    fn nobody_there(&mut self, socket: &mut Socket<'_>, at: u32) {
        let Some(key) = self.flows.key(at) else { return };
        let Some(flow) = self.flows.get(at).filter(|flow| flow.upstream == socket.id()) else { return };
        let mut failed = std::mem::take(&mut flow.failed);
        note_failure(&mut self.fleet, &mut flow.lease, &mut failed, socket.now());
        let more = failed.len() <= self.fleet.plan.config.retries_max as usize;
        let reached = match more && !socket.is_draining() {
            true => self.reach(socket, key.client.ip(), &mut failed).ok(),
            false => None,
        };
        let Some(flow) = self.flows.get(at) else { return };
        let Some(Reached { upstream, address, lease }) = reached else {
            // There is no other: perhaps this one comes back, or with the next error one of the others has.
            flow.failed = vec![flow.lease.upstream().id()];
            return;
        };
        flow.failed = failed;
        settle(&self.fleet.shared, flow);
        FlowEnding::Moved.count(&mut self.counted);
        if let Some(hear) = &mut self.hear {
            let to = socket.other(key.to).map(|socket| address_of(&socket, key.asked));
            hear(&flow.ended(key.client, to, FlowEnding::Moved));
        }
        flow.owes_header = lease.upstream().config.send_proxy.is_some();
        (flow.upstream, flow.address, flow.lease) = (upstream, address, lease);
        (flow.requests, flow.replies, flow.sent, flow.received) = (0, 0, 0, 0);
        (flow.settled, flow.since) = ((0, 0), flow.heard);
        self.adopt(socket, upstream, at);
        socket.close();
    }

    /// Ends a flow that has been silent for too long, or sets the time at which it will have been.
    fn look_at(&mut self, socket: &mut Socket<'_>) {
        let at = socket.tag() as u32;
        let UdpConfig { idle, drain_idle, .. } = *self.config();
        let idle = if socket.is_draining() { idle.min(drain_idle) } else { idle };
        let Some(flow) = self.flows.get(at).filter(|flow| flow.upstream == socket.id()) else { return };
        let ends = flow.heard + idle;
        if socket.now() < ends {
            return socket.wake_at(ends);
        }
        self.end(&mut socket.scope(), at, FlowEnding::Expired);
    }

    fn publish(&mut self) {
        self.fleet.shared.udp.add(&mut self.counted);
    }

    fn housekeeping(&mut self, scope: &mut Scope<'_>) {
        // Flows keep their backends: there is one group, and none of them waits for anything.
        self.fleet.catch_up(scope.now());
        self.fleet.keep_house(scope);
        self.check(scope);
        // Those of a flow that lasts are not to be missed until it ends.
        for flow in self.flows.next(&mut self.settled_at, SETTLED) {
            settle(&self.fleet.shared, flow);
            let upstream = flow.lease.upstream();
            if upstream.counts.is_down() && self.fleet.has_another(upstream, scope.now()) {
                self.stranded.push(flow.upstream);
            }
        }
        while let Some(upstream) = self.stranded.pop() {
            if let Some(at) = scope.socket(upstream).map(|socket| socket.tag() as u32) {
                self.end(scope, at, FlowEnding::Moved);
            }
        }
        self.publish();
    }

    // --- Checks by datagrams.

    /// Makes those that are due, each by a socket of its own.
    fn check(&mut self, scope: &mut Scope<'_>) {
        let timeout = self.fleet.plan.config.health.check_timeout;
        while let Some((id, address, asked)) = self.fleet.next_datagram() {
            let begun = scope.connect_udp(address);
            let its_fault = begun.as_ref().is_err_and(is_its_fault);
            let Some(mut socket) = begun.ok().and_then(|socket| scope.socket(socket)) else {
                self.fleet.datagram_check_ended(id, None, its_fault, scope.now());
                continue;
            };
            socket.set_tag(CHECK | u64::from(id));
            socket.wake_at(socket.now() + timeout);
            socket.send(&asked);
        }
    }

    /// A check is over, if this socket is that of one. Says whether it is.
    fn check_ended(&mut self, socket: &mut Socket<'_>, heard: Option<&[u8]>, its_fault: bool) -> bool {
        let tag = socket.tag();
        if tag & CHECK == 0 {
            return false;
        }
        if tag != ANSWERED {
            // It closes at the end of the turn, and may hear more until then.
            socket.set_tag(ANSWERED);
            self.fleet.datagram_check_ended((tag & !CHECK) as u32, heard, its_fault, socket.now());
            socket.close();
        }
        true
    }

    /// Ends the flows of a backend: the next datagram of each client goes to another one.
    fn sever(&mut self, scope: &mut Scope<'_>, id: u32) {
        for at in 0..self.flows.places() {
            if self.flows.get(at).is_some_and(|flow| flow.lease.upstream().id() == id) {
                self.end(scope, at, FlowEnding::Severed);
            }
        }
    }
}

/// One failure of a backend, for one flow.
fn note_failure(fleet: &mut Fleet, lease: &mut Lease, failed: &mut Vec<u32>, now: Time) {
    let upstream = lease.upstream().clone();
    if !failed.contains(&upstream.id()) {
        failed.push(upstream.id());
        fleet.address_failed(&upstream);
        fleet.failed(lease, Failure::Refused, now);
    }
}

/// Adds what a flow has carried since the last time to what its backend has, and the proxy.
fn settle(shared: &Shared, flow: &mut Flow) {
    let before = std::mem::replace(&mut flow.settled, (flow.sent, flow.received));
    let (sent, received) = (flow.sent - before.0, flow.received - before.1);
    if sent + received == 0 {
        return;
    }
    let counts = &flow.lease.upstream().counts;
    counts.sent.fetch_add(sent, Relaxed);
    counts.received.fetch_add(received, Relaxed);
    shared.sent.fetch_add(sent, Relaxed);
    shared.received.fetch_add(received, Relaxed);
}

/// Where a client's datagram was sent to.
fn destination(socket: &Socket<'_>, datagram: &Datagram<'_>) -> SocketAddr {
    address_of(socket, datagram.to)
}

/// Which of its addresses was asked, if it is bound to all.
fn address_of(socket: &Socket<'_>, asked: Option<IpAddr>) -> SocketAddr {
    let local = socket.local_addr();
    SocketAddr::new(asked.unwrap_or(local.ip()).to_canonical(), local.port())
}

/// Whether an error says something about the backend, and nothing about us.
fn is_its_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}

impl DatagramService for UdpProxy {
    #[inline]
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        match socket.peer() {
            None => self.pass_on(socket, &datagram),
            Some(_) if self.check_ended(socket, Some(datagram.bytes), false) => {}
            Some(_) => self.pass_back(socket, &datagram),
        }
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: io::Error) {
        if socket.peer().is_none() {
            self.counted.client_errors += 1;
            return;
        }
        // Whatever else it is, the answer may still come.
        if socket.tag() & CHECK != 0 {
            if is_its_fault(&error) {
                self.check_ended(socket, None, true);
            }
            return;
        }
        self.counted.backend_errors += 1;
        if is_its_fault(&error) {
            self.nobody_there(socket, socket.tag() as u32);
        }
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        if socket.peer().is_some() && !self.check_ended(socket, None, true) {
            self.look_at(socket);
        }
    }

    fn draining(&mut self, socket: &mut Socket<'_>) {
        match socket.peer() {
            Some(_) if self.check_ended(socket, None, false) => {}
            Some(_) => self.look_at(socket),
            // It stays for as long as somebody may have to be answered through it.
            None if self.flows.len() > 0 => {}
            None => socket.close(),
        }
    }
}

/// Checks of its backends may be connections, and it has no others.
impl Service for UdpProxy {
    /// The number of the backend that this is a check of.
    type Session = u32;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<u32>) {
        self.fleet.belongs_to(scope.worker());
        self.housekeeping(scope);
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<u32, Close> {
        Err(Close::Refused)
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<u32, Close> {
        match self.fleet.check_connected(conn, tag) {
            Some(Connected::Asked(id)) => Ok(id),
            _ => Err(Close::Done),
        }
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<u32>,
        _: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        self.fleet.check_failed(tag, &why, scope.now());
    }

    fn data(&mut self, conn: &mut Conn<'_>, id: &mut u32, input: &mut Input<'_>) -> Result<(), Close> {
        match self.fleet.check_heard(*id, input, conn.now()) {
            None => Ok(()),
            Some(_) => Err(Close::Done),
        }
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut u32) -> Result<(), Close> {
        Err(Close::Shutdown)
    }

    fn closed(&mut self, conn: &mut Conn<'_>, id: u32, why: Close) {
        self.fleet.check_closed(id, &why, conn.now());
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<u32>, _: Tick) {
        self.housekeeping(scope);
    }
}

impl Receive for UdpProxy {
    type Message = Message;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<u32>, message: Message) {
        match message {
            Message::Changed => self.housekeeping(scope),
            Message::Sever(id) => self.sever(scope, id),
            // Nobody waits for a backend, and none is kept idle.
            Message::Room | Message::Wanted => {}
        }
    }
}

impl Resolve for UdpProxy {
    fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<u32>, resolved: Resolved) {
        self.fleet.resolved(resolved, scope.now());
    }
}

/// What is left at the end of a worker, its drain being over, is counted out too.
impl Drop for UdpProxy {
    fn drop(&mut self) {
        let flows = self.flows.len();
        for (key, flow) in self.flows.each() {
            settle(&self.fleet.shared, flow);
            if let Some(hear) = &mut self.hear {
                hear(&flow.ended(key.client, None, FlowEnding::Closed));
            }
        }
        self.fleet.shared.clients.fetch_sub(flows, Relaxed);
        self.publish();
    }
}
