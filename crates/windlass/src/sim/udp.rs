//! Simulated UDP: sockets of the server, sockets of clients, and a network between them that loses,
//! doubles and reorders, has no room now and then, and tells of ports where nobody listens.
//!
//! It has random numbers of its own, so that runs without datagrams are what they would be without it.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use windlass_proto::testing::Rng;

use super::errno::Errno;
use super::plan::{Edges, MICRO, MILLI, Odds};
use super::poller::Source;
use super::trace::{NONE, Who};
use super::world::{Happening, World};
use crate::sys::{Outbound, Readiness, Received, Token};

/// What one seed's network does to datagrams.
#[derive(Clone, Debug)]
pub(crate) struct UdpPlan {
    pub(crate) loss: Odds,
    pub(crate) twice: Odds,
    /// From just now to so much later, each on its own.
    late_max: u64,
    /// Sends that find no room, and for how long at most.
    no_room: Odds,
    no_room_max: u64,
    /// Receives that come back short.
    short: Odds,
    /// Datagrams of one sender that come in one buffer.
    together: Odds,
    /// Datagrams a socket holds.
    received_max: usize,
    /// Datagrams one call sends; 1: the system cannot cut up.
    segments_max: usize,
    /// It says it can, and fails.
    segments_fail: bool,
    /// Sockets bound to all addresses.
    wildcard: bool,
    /// What the path carries without fragments: longer ones are not cut up.
    packet_max: usize,
    /// Peers that a wall speaks for when they are away.
    walls: Odds,
}

impl UdpPlan {
    pub(crate) fn calm() -> UdpPlan {
        UdpPlan {
            loss: Odds::NEVER,
            twice: Odds::NEVER,
            late_max: 1,
            no_room: Odds::NEVER,
            no_room_max: 1,
            short: Odds::NEVER,
            together: Odds::NEVER,
            received_max: usize::MAX,
            segments_max: 64,
            segments_fail: false,
            wildcard: false,
            packet_max: usize::MAX,
            walls: Odds::NEVER,
        }
    }

    pub(crate) fn swarm(rng: &mut Rng) -> UdpPlan {
        let unreliable = rng.chance(1, 2);
        let odds = |rng: &mut Rng, most| if unreliable { Odds::draw(rng, most) } else { Odds::NEVER };
        UdpPlan {
            loss: odds(rng, 256),
            twice: odds(rng, 256),
            late_max: MICRO << rng.below(15),
            no_room: Odds::draw(rng, 512),
            no_room_max: MICRO << rng.below(13),
            short: Odds::draw(rng, 512),
            together: Odds::draw(rng, 1024),
            received_max: if unreliable { 1 << (2 + rng.below(8)) } else { usize::MAX },
            segments_max: if rng.chance(1, 4) { 1 } else { 64 },
            segments_fail: rng.chance(1, 4),
            wildcard: rng.chance(1, 2),
            packet_max: if rng.chance(1, 4) { 60 + rng.below(1400) as usize } else { usize::MAX },
            walls: Odds::draw(rng, 512),
        }
    }

    /// Nothing is lost and nothing comes twice.
    fn is_reliable(&self) -> bool {
        self.loss.never() && self.twice.never() && self.received_max == usize::MAX
    }
}

struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A socket of the server.
struct ServerSocket {
    /// The socket whose queue it receives from: its own, unless it was handed over.
    queue: usize,
    local: SocketAddr,
    peer: Option<SocketAddr>,
    registered: Option<(usize, Token)>,
    received: VecDeque<Packet>,
    error: Option<Errno>,
    write_interest: bool,
    blocked: bool,
    no_space: bool,
    armed_read: bool,
    armed_write: bool,
    marked: bool,
    segments_max: usize,
    retired: bool,
    closed: bool,
    /// Since when there is something to receive that nobody has looked for.
    unread_since: Option<u64>,
}

/// A client's socket.
#[derive(Default)]
struct ClientSocket {
    open: bool,
    /// Where it is, if not at the address of its client.
    at: Option<SocketAddr>,
    inbox: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// All there is of UDP in a world.
pub(crate) struct Udp {
    pub(crate) plan: UdpPlan,
    rng: Rng,
    sockets: Vec<ServerSocket>,
    clients: Vec<ClientSocket>,
    flying: Vec<Option<Packet>>,
    /// Datagrams that the server has received, and that it has sent.
    pub(crate) read: u64,
    pub(crate) sent: u64,
}

/// The server's addresses.
const SERVER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 255, 0, 1), Ipv4Addr::new(10, 255, 0, 2)];
/// The port of the first service, of the first socket that the server opens itself, and of the first client.
const PORT: u16 = 9000;
const EPHEMERAL: u16 = 40_000;
const CLIENT_PORT: u16 = 5000;

impl Udp {
    pub(crate) fn new(plan: UdpPlan, seed: u64) -> Udp {
        let rng = Rng::new(seed ^ 0xDA7A);
        Udp { plan, rng, sockets: Vec::new(), clients: Vec::new(), flying: Vec::new(), read: 0, sent: 0 }
    }

    /// Sockets of the server that were never closed.
    pub(crate) fn left_open(&self) -> usize {
        self.sockets.iter().filter(|socket| !socket.closed).count()
    }

    fn open(&mut self, local: SocketAddr, peer: Option<SocketAddr>) -> usize {
        self.sockets.push(ServerSocket {
            queue: self.sockets.len(),
            local,
            peer,
            registered: None,
            received: VecDeque::new(),
            error: None,
            write_interest: false,
            blocked: false,
            no_space: false,
            armed_read: true,
            armed_write: true,
            marked: false,
            segments_max: self.plan.segments_max,
            retired: false,
            closed: false,
            unread_since: None,
        });
        self.sockets.len() - 1
    }

    fn client(&mut self, client: u32) -> &mut ClientSocket {
        let client = client as usize;
        if self.clients.len() <= client {
            self.clients.resize_with(client + 1, ClientSocket::default);
        }
        &mut self.clients[client]
    }
}

impl World {
    /// Binds a socket of service `service` and hands it out with its address.
    pub(crate) fn bind_udp(&mut self, service: u16) -> (usize, SocketAddr) {
        let ip = if self.udp.plan.wildcard { Ipv4Addr::UNSPECIFIED } else { SERVER[0] };
        let local = SocketAddr::new(ip.into(), PORT + service);
        (self.udp.open(local, None), local)
    }

    /// The bound sockets of a service that are no descriptors of others, open or not.
    pub(crate) fn bound_udp(&self, service: u16) -> Vec<(usize, SocketAddr)> {
        let sockets = self.udp.sockets.iter().enumerate();
        let bound = sockets.filter(|(n, s)| s.queue == *n && s.peer.is_none() && !s.closed);
        bound.map(|(n, s)| (n, s.local)).filter(|(_, local)| local.port() == PORT + service).collect()
    }

    /// Another descriptor of a bound socket, for a successor.
    pub(crate) fn share_udp(&mut self, id: usize) -> usize {
        let (queue, local) = (self.udp.sockets[id].queue, self.udp.sockets[id].local);
        let shared = self.udp.open(local, None);
        self.udp.sockets[shared].queue = queue;
        shared
    }

    pub(crate) fn connect_udp(&mut self, peer: SocketAddr) -> Result<(usize, SocketAddr), Errno> {
        let local = SocketAddr::new(SERVER[0].into(), EPHEMERAL + self.udp.sockets.len() as u16);
        self.counts.progress += 1;
        Ok((self.udp.open(local, Some(peer)), local))
    }

    pub(crate) fn register_udp(&mut self, worker: usize, id: usize, token: Token) -> Result<(), Errno> {
        assert!(self.udp.sockets[id].registered.is_none(), "UDP socket {id} registered twice");
        self.udp.sockets[id].registered = Some((worker, token));
        self.now_registered(worker, Source::Udp(id), token);
        self.udp_edge(id);
        Ok(())
    }

    pub(crate) fn want_room(
        &mut self,
        worker: usize,
        id: usize,
        token: Token,
        wanted: bool,
    ) -> Result<(), Errno> {
        if self.udp.sockets[id].retired {
            self.udp.sockets[id].write_interest = wanted;
            return if wanted { self.register_udp(worker, id, token) } else { self.unregister_udp(id) };
        }
        let socket = &mut self.udp.sockets[id];
        assert_eq!(socket.registered.map(|(_, token)| token), Some(token), "want_room with another token");
        socket.write_interest = wanted;
        // A changed registration reports what is there already.
        self.udp_edge(id);
        Ok(())
    }

    pub(crate) fn rename_udp(&mut self, worker: usize, id: usize, token: Token) -> Result<(), Errno> {
        let socket = &mut self.udp.sockets[id];
        socket.registered = Some((worker, token));
        socket.write_interest = false;
        self.udp_edge(id);
        Ok(())
    }

    /// Another descriptor is received from.
    pub(crate) fn retire_udp(&mut self, id: usize) -> Result<(), Errno> {
        (self.udp.sockets[id].retired, self.udp.sockets[id].write_interest) = (true, false);
        self.udp.sockets[id].unread_since = None;
        self.unregister_udp(id)
    }

    fn unregister_udp(&mut self, id: usize) -> Result<(), Errno> {
        let Some((worker, token)) = self.udp.sockets[id].registered.take() else {
            self.fail(format!("UDP socket {id}: deregistered, and was not registered"));
            return Ok(());
        };
        self.udp.sockets[id].marked = false;
        self.deregistered(worker, Source::Udp(id), token);
        Ok(())
    }

    pub(crate) fn close_udp(&mut self, id: usize, registered: bool) {
        let socket = &mut self.udp.sockets[id];
        assert!(!socket.closed, "UDP socket {id} closed twice");
        socket.closed = true;
        if let Some((worker, token)) = socket.registered.take() {
            if !registered {
                self.fail(format!("UDP socket {id}: closed without being deregistered"));
            }
            self.deregistered(worker, Source::Udp(id), token);
        }
    }

    /// Something may be ready now: puts the socket on its worker's ready list.
    fn udp_edge(&mut self, id: usize) {
        let socket = &mut self.udp.sockets[id];
        if let Some((worker, _)) = socket.registered
            && !socket.marked
        {
            socket.marked = true;
            self.mark(worker, Source::Udp(id));
        }
    }

    /// What an event of this socket says.
    pub(crate) fn udp_bits(&self, id: usize) -> u8 {
        let socket = &self.udp.sockets[id];
        if socket.registered.is_none() {
            return 0;
        }
        let stingy = self.plan.edges == Edges::Stingy;
        let mut bits = 0;
        if (!stingy || socket.armed_read) && !socket.retired {
            bits |= if self.udp.sockets[socket.queue].received.is_empty() { 0 } else { Readiness::READABLE };
            bits |= if socket.error.is_some() { Readiness::BROKEN } else { 0 };
        }
        if socket.write_interest && !socket.blocked && (!stingy || socket.armed_write) {
            bits |= Readiness::WRITABLE;
        }
        bits
    }

    pub(crate) fn udp_token(&self, id: usize) -> Option<Token> {
        self.udp.sockets[id].registered.map(|(_, token)| token)
    }

    /// An event with these bits has been taken.
    pub(crate) fn udp_reported(&mut self, id: usize, bits: u8) {
        let socket = &mut self.udp.sockets[id];
        socket.marked = false;
        socket.armed_read &= bits & (Readiness::READABLE | Readiness::BROKEN) == 0;
        socket.armed_write &= bits & Readiness::WRITABLE == 0;
    }

    pub(crate) fn receive_udp(
        &mut self,
        id: usize,
        bufs: &mut [IoSliceMut<'_>],
        metas: &mut [Received],
    ) -> Result<usize, Errno> {
        let Udp { plan, rng, sockets, read, .. } = &mut self.udp;
        let socket = &mut sockets[id];
        assert!(!socket.closed, "receive on closed UDP socket {id}");
        if let Some(errno) = socket.error.take() {
            self.counts.progress += 1;
            socket.unread_since = (!socket.received.is_empty()).then_some(self.now);
            return Err(errno);
        }
        let queue = socket.queue;
        if sockets[queue].received.is_empty() {
            sockets[queue].unread_since = None;
            sockets[id].armed_read = true;
            return Err(Errno::WouldBlock);
        }
        let socket = &mut sockets[queue];
        let mut most = bufs.len();
        if most > 1 && plan.short.hit(rng) {
            most = 1 + rng.below(most as u64 - 1) as usize;
        }
        let mut filled = 0;
        for (buf, meta) in bufs.iter_mut().zip(metas).take(most) {
            let Some(first) = socket.received.pop_front() else { break };
            *meta = Received::default();
            meta.addr = first.from;
            meta.dst_ip = Some(first.to.ip());
            meta.stride = first.bytes.len();
            meta.len = first.bytes.len();
            buf[..meta.len].copy_from_slice(&first.bytes);
            *read += 1;
            // More of the same sender and size; a shorter one is the last.
            while !first.bytes.is_empty()
                && meta.len % meta.stride == 0
                && let Some(next) = socket.received.front()
                && (next.from, next.to) == (first.from, first.to)
                && (1..=meta.stride).contains(&next.bytes.len())
                && meta.len + next.bytes.len() <= buf.len()
                && plan.together.hit(rng)
            {
                let Some(next) = socket.received.pop_front() else { break };
                buf[meta.len..meta.len + next.bytes.len()].copy_from_slice(&next.bytes);
                meta.len += next.bytes.len();
                *read += 1;
            }
            self.counts.bytes += meta.len as u64;
            filled += 1;
        }
        // Where a short batch promises another event, the rest has not arrived yet.
        if filled < bufs.len() && self.plan.edges == Edges::Arrival {
            let rest: Vec<Packet> = socket.received.drain(..).collect();
            for packet in rest {
                let late = self.udp.rng.below(self.udp.plan.late_max);
                self.fly(packet, late);
            }
        }
        let socket = &mut self.udp.sockets[queue];
        socket.unread_since = (!socket.received.is_empty()).then_some(self.now);
        self.counts.progress += 1;
        Ok(filled)
    }

    pub(crate) fn send_udp(&mut self, id: usize, out: &Outbound<'_>) -> Result<(), Errno> {
        let now = self.now;
        let Udp { plan, rng, sockets, .. } = &mut self.udp;
        let socket = &mut sockets[id];
        assert!(!socket.closed, "send on closed UDP socket {id}");
        if let Some(errno) = socket.error.take() {
            socket.unread_since = socket.unread_since.filter(|_| !socket.received.is_empty());
            return Err(errno);
        }
        if !socket.blocked && plan.no_room.hit(rng) {
            socket.blocked = true;
            let until = now + 1 + rng.below(plan.no_room_max);
            self.at(until, Happening::UdpRoom(id as u32));
        }
        let Udp { plan, sockets, .. } = &mut self.udp;
        let socket = &mut sockets[id];
        if socket.blocked {
            socket.no_space = true;
            socket.armed_write = true;
            return Err(Errno::WouldBlock);
        }
        let segment = out.segment.unwrap_or(out.bytes.len());
        if out.segment.is_some() && (plan.segments_fail || socket.segments_max == 1) {
            socket.segments_max = 1;
            return Err(Errno::Protocol);
        }
        if out.segment.is_some_and(|segment| segment > plan.packet_max) {
            return Err(Errno::TooLong);
        }
        if socket.peer.is_some_and(|peer| peer != out.to) {
            self.fail(format!("UDP socket {id}: sends to {}, which is not its peer", out.to));
            return Ok(());
        }
        let ip = match (out.from, socket.local.ip()) {
            (Some(from), _) => from,
            (None, ip) if ip.is_unspecified() => SERVER[0].into(),
            (None, ip) => ip,
        };
        let from = SocketAddr::new(ip, socket.local.port());
        let mut datagrams: Vec<&[u8]> = out.bytes.chunks(segment.max(1)).collect();
        if datagrams.is_empty() {
            datagrams.push(&[]);
        }
        self.udp.sent += datagrams.len() as u64;
        self.counts.bytes += out.bytes.len() as u64;
        self.counts.progress += 1;
        self.trace.bytes(out.bytes);
        for bytes in datagrams {
            self.transmit(Packet { from, to: out.to, bytes: bytes.to_vec() });
        }
        Ok(())
    }

    pub(crate) fn udp_segments_max(&self, id: usize) -> usize {
        self.udp.sockets[id].segments_max
    }

    /// Puts a datagram on the way, or loses it, or doubles it.
    fn transmit(&mut self, packet: Packet) {
        let Udp { plan, rng, .. } = &mut self.udp;
        if plan.loss.hit(rng) {
            return;
        }
        let late = rng.below(plan.late_max);
        if plan.twice.hit(rng) {
            let later = rng.below(plan.late_max);
            let copy = Packet { bytes: packet.bytes.clone(), ..packet };
            self.fly(copy, later);
        }
        self.fly(packet, late);
    }

    fn fly(&mut self, packet: Packet, late: u64) {
        self.udp.flying.push(Some(packet));
        let n = self.udp.flying.len() as u32 - 1;
        self.at(self.now + late, Happening::Datagram(n));
    }

    /// A datagram arrives.
    pub(crate) fn datagram_arrives(&mut self, n: u32) {
        let Some(packet) = self.udp.flying[n as usize].take() else { return };
        match packet.to.ip() {
            IpAddr::V4(ip) if SERVER.contains(&ip) => self.arrives_at_server(packet),
            _ => self.arrives_at_client(packet),
        }
    }

    fn arrives_at_server(&mut self, packet: Packet) {
        let sockets = &self.udp.sockets;
        let open = |socket: &ServerSocket| !socket.closed && socket.local.port() == packet.to.port();
        let held = |n: usize| sockets.iter().any(|socket| socket.queue == n && open(socket));
        let of_peer =
            self.udp.sockets.iter().position(|socket| open(socket) && socket.peer == Some(packet.from));
        // A sender stays with its socket for as long as there are the same sockets.
        let shared: Vec<usize> =
            (0..self.udp.sockets.len()).filter(|&n| sockets[n].peer.is_none() && held(n)).collect();
        let hashed = shared.get(packet.from.port() as usize % shared.len().max(1)).copied();
        let Some(id) = of_peer.or(hashed) else { return };
        if self.udp.sockets[id].received.len() < self.udp.plan.received_max {
            let now = self.now;
            let socket = &mut self.udp.sockets[id];
            socket.received.push_back(packet);
            socket.unread_since.get_or_insert(now);
        }
        for n in (id..self.udp.sockets.len()).filter(|&n| self.udp.sockets[n].queue == id).collect::<Vec<_>>()
        {
            let socket = &self.udp.sockets[n];
            if !socket.closed && !socket.retired && (self.plan.edges == Edges::Arrival || socket.armed_read) {
                self.udp_edge(n);
            }
        }
    }

    fn arrives_at_client(&mut self, packet: Packet) {
        let by_port = u32::from(packet.to.port().wrapping_sub(CLIENT_PORT));
        let placed = self.udp.clients.iter().position(|client| client.at == Some(packet.to));
        let client = placed.map_or(by_port, |client| client as u32);
        let known = (client as usize) < self.udp.clients.len() && self.udp_address(client) == packet.to;
        if known && self.udp.client(client).open {
            self.trace.note(self.now, Who::World, "datagram", client, packet.bytes.len() as u64);
            self.udp.client(client).inbox.push_back((packet.from, packet.bytes));
            return self.stir(client);
        }
        // Nobody there: its system says so, and the sender's tells a socket that has no other peer.
        let back = self.udp.rng.below(self.udp.plan.late_max);
        let sender = self.udp.sockets.iter().position(|socket| {
            !socket.closed && socket.peer == Some(packet.to) && socket.local == packet.from
        });
        if let Some(id) = sender {
            self.at(self.now + back, Happening::UdpRefused(id as u32));
        }
    }

    pub(crate) fn udp_refused(&mut self, id: u32) {
        let socket = &mut self.udp.sockets[id as usize];
        if !socket.closed {
            // By its system, or by a wall in front of it.
            let Udp { plan, rng, .. } = &mut self.udp;
            let wall = plan.walls.hit(rng);
            let socket = &mut self.udp.sockets[id as usize];
            socket.error = Some(if wall { Errno::HostUnreachable } else { Errno::ConnectionRefused });
            socket.unread_since.get_or_insert(self.now);
            if self.plan.edges == Edges::Arrival || self.udp.sockets[id as usize].armed_read {
                self.udp_edge(id as usize);
            }
        }
    }

    pub(crate) fn udp_room(&mut self, id: u32) {
        let stingy = self.plan.edges == Edges::Stingy;
        let socket = &mut self.udp.sockets[id as usize];
        socket.blocked = false;
        let waits = if stingy { socket.armed_write } else { std::mem::take(&mut socket.no_space) };
        if waits && socket.write_interest && !socket.closed {
            self.udp_edge(id as usize);
        }
    }

    /// With every worker asleep, nothing may lie unread.
    pub(crate) fn check_unread(&mut self) {
        let most = self.slack() + self.plan.late_event_max;
        let late = |socket: &ServerSocket| {
            // Hardly any has anything, and there may be many of them.
            let Some(since) = socket.unread_since else { return false };
            let read = |other: &ServerSocket| {
                other.queue == socket.queue && other.registered.is_some() && !other.retired
            };
            // A predecessor may still be sending from a socket whose heir has been shut down.
            let heirs = self.udp.sockets.iter().filter(|other| other.queue == socket.queue).count() > 1;
            let excused = heirs && self.shutdown_at.is_some();
            !excused && self.now > since + most && self.udp.sockets.iter().any(read)
        };
        if let Some(id) = self.udp.sockets.iter().position(late) {
            let socket = &self.udp.sockets[id];
            let (n, error) = (socket.received.len(), socket.error.map_or("no error", Errno::name));
            self.fail(format!("UDP socket {id}: {n} datagrams and {error} lie unread"));
        }
    }

    // --- The side of the clients.

    /// The address of a client's socket.
    pub(crate) fn udp_address(&self, client: u32) -> SocketAddr {
        if let Some(at) = self.udp.clients.get(client as usize).and_then(|socket| socket.at) {
            return at;
        }
        SocketAddr::new(self.address(client, 0).ip(), CLIENT_PORT + client as u16)
    }

    /// The server's address for a client: one of two, where its sockets are bound to both.
    pub(crate) fn udp_server(&self, client: u32) -> SocketAddr {
        let n = if self.udp.plan.wildcard { client as usize % SERVER.len() } else { 0 };
        SocketAddr::new(SERVER[n].into(), PORT)
    }

    /// Gives a client's socket an address of its own, or that of its client, and has it listen.
    pub(crate) fn client_binds(&mut self, client: u32, at: Option<SocketAddr>) {
        let socket = self.udp.client(client);
        (socket.open, socket.at) = (true, at);
    }

    pub(crate) fn client_listens(&mut self, client: u32, open: bool) {
        self.udp.client(client).open = open;
    }

    pub(crate) fn client_sends(&mut self, client: u32, to: SocketAddr, bytes: &[u8]) {
        self.udp.client(client).open = true;
        let from = self.udp_address(client);
        self.trace.note(self.now, Who::Client(client), "sends datagram", NONE, bytes.len() as u64);
        self.transmit(Packet { from, to, bytes: bytes.to_vec() });
    }

    pub(crate) fn client_receives(&mut self, client: u32) -> Option<(SocketAddr, Vec<u8>)> {
        self.udp.client(client).inbox.pop_front()
    }

    pub(crate) fn udp_is_reliable(&self) -> bool {
        self.udp.plan.is_reliable() && self.shutdown_at.is_none()
    }

    /// Without a shutdown no time is too long for a blocked socket, but this is.
    pub(crate) fn udp_patience(&self) -> u64 {
        20 * (self.udp.plan.late_max + self.udp.plan.no_room_max)
            + 20 * self.plan.late_event_max
            + 200 * MILLI
    }
}
