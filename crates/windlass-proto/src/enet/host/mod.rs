//! The host: all peers that speak over one socket, and who may become one.
//!
//! Read [`Host`] first, then `receive`, which has what comes, `connect`, which has how peers come to be, and
//! `transmit`, which has what goes.

mod bandwidth;
mod connect;
mod receive;
mod transmit;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use hashbrown::HashMap;

use super::bucket::Buckets;
use super::channel::{Hand, OVERHEAD};
use super::coder::RangeCoder;
use super::config::Config;
use super::event::{Counters, Ended, Event, Kind, PeerId, PeerStats, SendError};
use super::half_open::{Place, Table};
use super::keyed::Key;
use super::output::{Patience, Piece, What};
use super::peer::{Peer, State, window_for};
use super::wheel::{NONE, Wheel};
use super::wire::{CHECKSUM, FRAGMENT_LEN, HEADER, MTU_MAX, MTU_MIN, NO_PEER, Throttle};
use crate::Time;

/// The longest datagram that a host makes or reads, in bytes.
pub const DATAGRAM_MAX: usize = MTU_MAX as usize;

const NANOS_PER_MS: u64 = 1_000_000;

/// Emptied messages that are kept, and the most that one may have room for.
const SPARE_MAX: usize = 256;
const SPARE_BYTES: usize = 2048;

/// Events that memory is kept for, when all were taken.
const EVENTS_KEPT: usize = 1024;

/// Notices to those that are no peers, at most. What is beyond is not said: they will time out.
const FAREWELLS_MAX: usize = 1024;

/// Both ends of ENet, for all peers of one socket.
///
/// The owner of the socket hands every datagram to [`receive`](Host::receive), takes what has happened from
/// [`poll_event`](Host::poll_event), and sends what [`poll_transmit`](Host::poll_transmit) gives until it gives
/// nothing. What is queued meanwhile leaves together: per flush a peer gets one datagram, with all channels in it,
/// while that is enough. Nothing is sent, sent again or given up but in `poll_transmit`, which therefore has to be
/// called at [`next_deadline`](Host::next_deadline) too.
///
/// The same calls with the same times and seed give the same datagrams.
///
/// ```
/// use windlass_proto::Time;
/// use windlass_proto::enet::{Config, DATAGRAM_MAX, Event, Host, Kind};
///
/// let (here, there) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
/// let mut server = Host::new(Config::default(), [1; 16]);
/// let mut client = Host::new(Config { accept: false, ..Config::default() }, [2; 16]);
/// let now = Time::ZERO;
/// let peer = client.connect(now, there, 2, 7)?;
///
/// // A network that loses nothing.
/// let mut buffer = [0; DATAGRAM_MAX];
/// let mut exchange = |server: &mut Host, client: &mut Host| {
///     for _ in 0..3 {
///         while let Some((_, len)) = client.poll_transmit(now, &mut buffer) {
///             server.receive(now, here, &buffer[..len]);
///         }
///         while let Some((_, len)) = server.poll_transmit(now, &mut buffer) {
///             client.receive(now, there, &buffer[..len]);
///         }
///     }
/// };
/// exchange(&mut server, &mut client);
/// assert!(matches!(client.poll_event(), Some(Event::Connected { .. })));
/// assert!(matches!(server.poll_event(), Some(Event::Connected { code: 7, channels: 2, .. })));
///
/// client.send(peer, 1, Kind::Reliable, b"hello")?;
/// exchange(&mut server, &mut client);
/// let Some(Event::Message { channel: 1, bytes, .. }) = server.poll_event() else { panic!() };
/// assert_eq!(bytes, b"hello");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Host {
    config: Config,
    key: Key,
    /// Bytes of a message that is sent.
    outgoing_max: usize,
    /// Milliseconds of the last time that was passed in.
    now: u64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    live: usize,
    connected: usize,
    /// The first peer with each id; the others behind it.
    by_id: Box<[u32]>,
    per_network: HashMap<u64, usize>,
    wheel: Wheel,
    /// When it was asked who is due.
    looked_at: Option<u64>,
    due: Vec<u32>,
    /// Peers with something to send, in turn, and since when. Some had their datagram meanwhile.
    queue: VecDeque<(u32, u64)>,
    /// Those that had one and have more.
    more: VecDeque<u32>,
    half_open: Table,
    buckets: Buckets,
    /// Answers to CONNECT that are to be sent.
    answers: VecDeque<Place>,
    farewells: VecDeque<Farewell>,
    /// For whom the datagram was that was written last.
    addressee: Option<PeerId>,
    coder: Option<Coder>,
    bandwidth_at: u64,
    divide_bandwidth: bool,
    /// A peer has a bandwidth of its own.
    peers_limited: bool,
    events: VecDeque<Event>,
    /// Emptied messages, to be used again.
    spare: Vec<Vec<u8>>,
    counters: Counters,
}

struct Coder {
    model: RangeCoder,
    /// What was received, inflated; or what is sent, deflated.
    scratch: Box<[u8]>,
}

impl core::fmt::Debug for Coder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Coder")
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    peer: Option<Box<Peer>>,
}

/// A DISCONNECT to somebody who is no peer any more, or could not become one.
#[derive(Debug)]
struct Farewell {
    /// Who it was, if it was one.
    peer: Option<PeerId>,
    addr: SocketAddr,
    remote_id: u16,
    remote_session: u8,
    connect_id: u32,
    code: u32,
}

/// Puts messages into the queue of events.
struct Inbox<'a> {
    peer: PeerId,
    channel: u8,
    events: &'a mut VecDeque<Event>,
    spare: &'a mut Vec<Vec<u8>>,
    messages: &'a mut u64,
}

impl Hand for Inbox<'_> {
    #[inline]
    fn hand(&mut self, kind: Kind, bytes: Vec<u8>) {
        *self.messages += 1;
        self.events.push_back(Event::Message { peer: self.peer, channel: self.channel, kind, bytes });
    }

    #[inline]
    fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.extend_from_slice(bytes);
        copy
    }
}

impl Host {
    /// A host without peers.
    ///
    /// `seed` is what ids and the proof of addresses are drawn from: random and secret where strangers may connect.
    /// Values of the configuration that ENet does not allow (a longest datagram of 100 bytes, no channels) are
    /// taken as the nearest that it does.
    pub fn new(config: Config, seed: [u8; 16]) -> Host {
        let config = Config {
            mtu: config.mtu.clamp(MTU_MIN as u16, MTU_MAX as u16),
            channels_max: config.channels_max.max(1),
            peers_max: config.peers_max.min(NONE as usize),
            message_max: config.message_max.min(i32::MAX as usize),
            waiting_max: config.waiting_max.max(config.message_max.saturating_mul(2)),
            ping_interval_ms: config.ping_interval_ms.max(1),
            ..config
        };
        Host {
            key: Key::new(seed),
            outgoing_max: config.message_max,
            now: 0,
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
            connected: 0,
            by_id: vec![NONE; usize::from(NO_PEER)].into(),
            per_network: HashMap::new(),
            wheel: Wheel::new(),
            looked_at: None,
            due: Vec::new(),
            queue: VecDeque::new(),
            more: VecDeque::new(),
            half_open: Table::new(config.half_open_max),
            buckets: Buckets::new(config.connects_per_second, config.connect_burst),
            answers: VecDeque::new(),
            farewells: VecDeque::new(),
            addressee: None,
            coder: config
                .compression
                .then(|| Coder { model: RangeCoder::new(), scratch: vec![0; DATAGRAM_MAX].into() }),
            bandwidth_at: 0,
            divide_bandwidth: false,
            peers_limited: false,
            events: VecDeque::new(),
            spare: Vec::new(),
            counters: Counters::default(),
            config,
        }
    }

    /// The next thing that has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if let Some(Event::Message { peer, bytes, .. }) = &event
            && let Some(peer) = self.peer_mut(*peer)
        {
            peer.waiting.untaken = peer.waiting.untaken.saturating_sub(OVERHEAD + bytes.len());
        }
        if event.is_none() {
            super::channel::give_back(&mut self.events, EVENTS_KEPT);
        }
        event
    }

    /// Takes the bytes of a message back once it was read: they are used for one to come, and nothing is allocated for it. Some
    /// are kept, of up to 2 KiB each.
    pub fn take_back(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && (1..=SPARE_BYTES).contains(&bytes.capacity()) {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// When [`poll_transmit`](Host::poll_transmit) has something to do next: a time that has passed if something
    /// waits to be sent now, and nothing if nobody is there.
    pub fn next_deadline(&self) -> Option<Time> {
        let ms = if self.has_output() {
            self.now
        } else {
            let queued = self.queue.front().map(|(_, at)| at + u64::from(self.config.linger_ms));
            [self.bandwidth_deadline(), self.wheel.next(), queued].into_iter().flatten().min()?
        };
        Some(Time::from_nanos(ms.saturating_mul(NANOS_PER_MS)))
    }

    fn has_output(&self) -> bool {
        let linger = self.config.linger_ms > 0;
        !(self.more.is_empty() && self.answers.is_empty() && self.farewells.is_empty())
            || !linger && !self.queue.is_empty()
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// If the peer is not connected, has no such channel, or too much waits for it; or if the message is too long.
    pub fn send(&mut self, peer: PeerId, channel: u8, kind: Kind, bytes: &[u8]) -> Result<(), SendError> {
        self.check_send(peer, channel, kind, bytes.len())?;
        self.queue_message(peer, channel, kind, Arc::from(bytes));
        Ok(())
    }

    /// Queues a message without copying it, so that many peers can be sent the same bytes.
    ///
    /// # Errors
    ///
    /// As [`send`](Host::send).
    pub fn send_shared(
        &mut self,
        peer: PeerId,
        channel: u8,
        kind: Kind,
        bytes: &Arc<[u8]>,
    ) -> Result<(), SendError> {
        self.check_send(peer, channel, kind, bytes.len())?;
        self.queue_message(peer, channel, kind, bytes.clone());
        Ok(())
    }

    /// Bytes of a message that still travel in one piece.
    fn piece_max(&self, peer: &Peer) -> usize {
        usize::from(peer.mtu) - HEADER - FRAGMENT_LEN - if self.config.checksum { CHECKSUM } else { 0 }
    }

    fn check_send(&self, id: PeerId, channel: u8, kind: Kind, len: usize) -> Result<(), SendError> {
        let peer = self.peer(id).ok_or(SendError::NotConnected)?;
        if peer.state != State::Connected {
            return Err(SendError::NotConnected);
        }
        if usize::from(channel) >= peer.channels.len() {
            return Err(SendError::Channel);
        }
        let piece = self.piece_max(peer);
        if len > self.outgoing_max || (kind == Kind::Unsequenced && len > piece) {
            return Err(SendError::TooLong);
        }
        // Mostly there is one piece, and nothing to divide.
        let pieces = if len <= piece { 1 } else { len.div_ceil(piece) };
        let cost = len + OVERHEAD * pieces;
        if peer.output.bytes + cost > self.config.output_max {
            return Err(SendError::Full);
        }
        Ok(())
    }

    fn queue_message(&mut self, id: PeerId, number: u8, kind: Kind, message: Arc<[u8]>) {
        let Some(peer) = self.peer(id) else { return };
        let piece_max = self.piece_max(peer);
        let Some(peer) = self.peer_mut(id) else { return };
        peer.outgoing_bytes += message.len() as u64;
        let Some(channel) = peer.channels.get_mut(usize::from(number)) else { return };
        let channel = channel.get_or_insert_default();
        let output = &mut peer.output;
        // Unreliable numbers do not wrap: a reliable message begins them anew (`enet_peer_send`).
        let unreliable = match kind {
            Kind::Unreliable => channel.next_unreliable(),
            _ => None,
        };
        if message.len() <= piece_max {
            match (kind, unreliable) {
                (Kind::Unsequenced, _) => output.push_unsequenced(number, message),
                (_, Some((reliable, own))) => {
                    output.push_unreliable(number, reliable, What::Unreliable(own, message));
                }
                (_, None) => {
                    output.push_reliable(number, channel.next_reliable(), What::Reliable(message));
                }
            }
        } else {
            let count = message.len().div_ceil(piece_max) as u32;
            let mut start = None;
            for number_of in 0..count {
                let offset = number_of as usize * piece_max;
                let piece = |start| Piece {
                    start,
                    count,
                    number: number_of,
                    offset: offset as u32,
                    len: piece_max.min(message.len() - offset) as u16,
                    message: message.clone(),
                };
                if let Some((reliable, own)) = unreliable {
                    output.push_unreliable(number, reliable, What::UnreliableFragment(piece(own)));
                } else {
                    let sequence = channel.next_reliable();
                    let start = *start.get_or_insert(sequence);
                    output.push_reliable(number, sequence, What::Fragment(piece(start)));
                }
            }
        }
        self.counters.messages_out += 1;
        self.enqueue(id.index);
    }

    /// Leaves a peer: what is queued is dropped, and it is told `code`. [`Event::Disconnected`] follows when it has
    /// acknowledged that, or does not.
    pub fn disconnect(&mut self, id: PeerId, code: u32) {
        let Some(peer) = self.peer_mut(id) else { return };
        match peer.state {
            State::Connecting => self.remove(id.index, Some(Ended::Local)),
            State::Connected | State::Leaving(_) => {
                peer.clear();
                peer.state = State::Disconnecting;
                peer.output.push_control(What::Disconnect(code));
                self.connected -= 1;
                self.divide_bandwidth = true;
                self.enqueue(id.index);
            }
            State::Disconnecting | State::Left => {}
        }
    }

    /// Leaves a peer once everything that is queued was acknowledged. What comes from it until then is
    /// acknowledged and dropped.
    pub fn disconnect_later(&mut self, id: PeerId, code: u32) {
        let Some(peer) = self.peer_mut(id) else { return };
        if peer.is_connected() && !peer.output.is_empty() {
            peer.state = State::Leaving(code);
        } else {
            self.disconnect(id, code);
        }
    }

    /// Leaves a peer at once. It is told `code` in one datagram, which may be lost; then it will find out by itself.
    /// No event follows.
    pub fn disconnect_now(&mut self, id: PeerId, code: u32) {
        let Some(peer) = self.peer_mut(id) else { return };
        let farewell = Farewell {
            peer: Some(id),
            addr: peer.addr,
            remote_id: peer.remote_id,
            remote_session: peer.remote_session,
            connect_id: peer.connect_id,
            code,
        };
        if peer.is_connected() && self.farewells.len() < FAREWELLS_MAX {
            self.farewells.push_back(farewell);
        }
        self.remove(id.index, None);
    }

    /// Forgets a peer without a word to it, and without an event.
    pub fn reset(&mut self, id: PeerId) {
        if self.peer(id).is_some() {
            self.remove(id.index, None);
        }
    }

    /// Sends a ping, to have the round trip measured now. They are sent by themselves while nothing else is
    /// acknowledged.
    pub fn ping(&mut self, id: PeerId) {
        let output_max = self.config.output_max;
        let Some(peer) = self.peer_mut(id) else { return };
        if peer.state == State::Connected && peer.output.bytes < output_max {
            peer.output.push_control(What::Ping);
            self.enqueue(id.index);
        }
    }

    /// How long a peer is waited for, in place of what [`Config`] says.
    pub fn set_timeouts(&mut self, id: PeerId, limit: u32, minimum_ms: u32, maximum_ms: u32) {
        if let Some(peer) = self.peer_mut(id) {
            peer.patience = Patience { limit, minimum: minimum_ms, maximum: maximum_ms };
        }
    }

    /// How long a message of a peer's may be from now on, and how many bytes of its may wait here (at least twice as many), in
    /// place of what [`Config`] says.
    pub fn set_incoming_max(&mut self, id: PeerId, message_max: usize, waiting_max: usize) {
        if let Some(peer) = self.peer_mut(id) {
            peer.set_incoming_max(message_max, waiting_max);
        }
    }

    /// How long a message may be that is sent from now on, and how many bytes may be queued to one peer, in place of what
    /// [`Config::message_max`] and [`Config::output_max`] say. What may come stays as it is.
    pub fn set_outgoing_max(&mut self, message_max: usize, output_max: usize) {
        self.outgoing_max = message_max.min(i32::MAX as usize);
        self.config.output_max = output_max;
    }

    /// Whether CONNECT is answered from now on, in place of what [`Config::accept`] says. Whoever was answered before may
    /// still become a peer.
    pub fn set_accept(&mut self, accept: bool) {
        self.config.accept = accept;
    }

    /// How often a peer is pinged, in place of what [`Config`] says. Milliseconds, at least 1.
    pub fn set_ping_interval(&mut self, id: PeerId, interval_ms: u32) {
        if let Some(peer) = self.peer_mut(id) {
            peer.ping_interval = interval_ms.max(1);
            self.arm(id.index);
        }
    }

    /// How fast the share of unreliable messages that is sent grows and shrinks, here and at the peer: by
    /// `acceleration` and `deceleration` 32nds per acknowledgement, against a round trip that is measured anew
    /// every `interval_ms`.
    pub fn set_throttle(&mut self, id: PeerId, interval_ms: u32, acceleration: u32, deceleration: u32) {
        let output_max = self.config.output_max;
        let Some(peer) = self.peer_mut(id) else { return };
        if peer.state != State::Connected || peer.output.bytes >= output_max {
            return;
        }
        let throttle = Throttle { interval: interval_ms, acceleration, deceleration };
        peer.pace.throttle = throttle;
        peer.output.push_control(What::Throttle(throttle));
        self.enqueue(id.index);
    }

    /// Bytes per second that peers may send us, and that we send to them, all together; 0 for no limit. Peers are
    /// told within a second.
    pub fn set_bandwidth(&mut self, incoming: u32, outgoing: u32) {
        self.config.incoming_bandwidth = incoming;
        self.config.outgoing_bandwidth = outgoing;
        for slot in &mut self.slots {
            if let Some(peer) = &mut slot.peer {
                peer.window = window_for(outgoing, peer.incoming_bandwidth);
            }
        }
        self.divide_bandwidth = true;
    }

    /// How a peer fares; nothing if it is gone.
    pub fn stats(&self, id: PeerId) -> Option<PeerStats> {
        let peer = self.peer(id)?;
        Some(PeerStats {
            addr: peer.addr,
            rtt_ms: peer.pace.rtt,
            rtt_variance_ms: peer.pace.variance,
            mtu: peer.mtu,
            channels: peer.channels.len(),
            throttle: peer.pace.share,
            queued_bytes: peer.output.bytes,
            waiting_bytes: peer.waiting.held + peer.waiting.untaken,
            sent: peer.output.sent_total,
            resent: peer.output.resent_total,
        })
    }

    /// Bytes that are queued to a peer, as in [`stats`](Host::stats): for who asks before every message.
    pub fn queued_bytes(&self, id: PeerId) -> Option<usize> {
        Some(self.peer(id)?.output.bytes)
    }

    /// The longest datagram to a peer, in bytes, as in [`stats`](Host::stats).
    pub fn mtu(&self, id: PeerId) -> Option<u16> {
        Some(self.peer(id)?.mtu)
    }

    /// What has been done and refused so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The configuration, as it is in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The peers that are connected.
    pub fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.slots.iter().filter_map(|slot| {
            let peer = slot.peer.as_ref()?;
            peer.is_connected().then_some(peer.id)
        })
    }

    /// For which peer the datagram was that [`poll_transmit`](Host::poll_transmit) or
    /// [`transmit_to`](Host::transmit_to) gave last: for an owner with several addresses, who has to know which of them this
    /// peer knows it by. The peer may be gone by now, since that was the last it was told. `None`: for somebody who is no
    /// peer, or not yet.
    pub fn addressee(&self) -> Option<PeerId> {
        self.addressee
    }

    /// How many are connected.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// Peers that there are, those that come and that leave included.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Bytes that the tables of those that are not connected yet take; bounded by
    /// [`Config::half_open_max`].
    pub fn half_open_bytes(&self) -> usize {
        self.half_open.bytes() + self.answers.capacity() * size_of::<Place>()
    }

    fn peer(&self, id: PeerId) -> Option<&Peer> {
        let slot = self.slots.get(id.index())?;
        slot.peer.as_deref().filter(|_| slot.generation == id.generation)
    }

    fn peer_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        let slot = self.slots.get_mut(id.index())?;
        slot.peer.as_deref_mut().filter(|_| slot.generation == id.generation)
    }

    fn at(&mut self, index: u32) -> Option<&mut Peer> {
        self.slots.get_mut(index as usize)?.peer.as_deref_mut()
    }

    /// The peer that speaks to us by this id from this address.
    #[inline]
    fn find(&self, addr: &SocketAddr, own_id: u16) -> Option<u32> {
        let mut index = *self.by_id.get(usize::from(own_id))?;
        while let Some(slot) = self.slots.get(index as usize) {
            let peer = slot.peer.as_ref()?;
            if peer.addr == *addr {
                return Some(index);
            }
            index = peer.next_same_id;
        }
        None
    }

    fn set_now(&mut self, now: Time) {
        self.now = (now.as_nanos() / NANOS_PER_MS).max(self.now);
    }

    /// Has the peer asked for its next datagram.
    fn enqueue(&mut self, index: u32) {
        let now = self.now;
        let Some(peer) = self.at(index) else { return };
        if !peer.queued {
            (peer.queued, peer.queued_at) = (true, now);
            self.queue.push_back((index, now));
        }
    }

    /// The same for one that has had a datagram and has more, which waits for nothing but the others.
    fn enqueue_more(&mut self, index: u32) {
        let Some(peer) = self.at(index) else { return };
        if !peer.queued {
            peer.queued = true;
            self.more.push_back(index);
        }
    }

    fn arm(&mut self, index: u32) {
        let Some(deadline) = self.at(index).map(|peer| peer.deadline()) else { return };
        if deadline == u64::MAX {
            self.wheel.disarm(index);
        } else {
            self.wheel.arm(index, deadline);
        }
    }

    /// Finds a place for a peer, under an id that is its own at its address.
    fn insert(&mut self, addr: SocketAddr, own_id: u16, throttle: Throttle) -> Option<&mut Peer> {
        if self.live >= self.config.peers_max {
            return None;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let head = &mut self.by_id[usize::from(own_id)];
        let slot = &mut self.slots[index as usize];
        let id = PeerId { index, generation: slot.generation };
        let mut peer = Box::new(Peer::new(&self.config, id, addr, self.now, throttle));
        peer.own_id = own_id;
        peer.next_same_id = core::mem::replace(head, index);
        self.live += 1;
        Some(slot.peer.insert(peer))
    }

    /// Takes a peer out, and says why if the application is to know.
    fn remove(&mut self, index: u32, ended: Option<Ended>) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        let Some(peer) = slot.peer.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        if peer.is_connected() {
            self.connected -= 1;
            self.divide_bandwidth = true;
        }
        if let Some(network) = peer.network
            && let Some(count) = self.per_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.per_network.remove(&network);
            }
        }
        self.unchain(index, &peer);
        self.wheel.disarm(index);
        // Its place in the queue of output would become the next one's; that one is asked once too often then.
        self.free.push(index);
        self.live -= 1;
        if let Some(ended) = ended {
            self.events.push_back(Event::Disconnected { peer: peer.id, ended });
        }
    }

    fn unchain(&mut self, index: u32, peer: &Peer) {
        let own_id = usize::from(peer.own_id);
        if self.by_id[own_id] == index {
            self.by_id[own_id] = peer.next_same_id;
            return;
        }
        let mut at = self.by_id[own_id];
        while let Some(other) = self.at(at) {
            if other.next_same_id == index {
                other.next_same_id = peer.next_same_id;
                return;
            }
            at = other.next_same_id;
        }
    }
}
