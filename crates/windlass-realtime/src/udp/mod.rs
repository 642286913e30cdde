//! The gateway of datagrams: the ENet peers of one worker, on their way to their seats and in them.
//!
//! A worker has one socket and one [`Host`] behind it. Who is connected has shown that it receives at its address, and
//! nothing more: it is a *stranger* until a ticket has come on channel 0, and what else it says is dropped. Strangers have
//! little time and little room, and are few.
//!
//! What a seat is told in a tick leaves in one datagram, with the acknowledgements that are owed to it. So what comes is not
//! answered at once, unless somebody waits for it: acknowledgements linger for a tick, [`LINGER_MS`] at most.

mod config;
mod parts;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use windlass::{Datagram, Outgoing, Socket, SocketId, Time};
use windlass_http::ws::CloseCode;
use windlass_proto::enet::{Config, Counters, DATAGRAM_MAX, Event, Host, Kind, PeerId, PeerStats, SendError};

pub use config::UdpConfig;

use crate::config::GameConfig;
use crate::gate::{CLOSED, ELSEWHERE, EXPIRED, NO_TICKET, REJECTED, SLOW, code_of};
use crate::hall::{Hall, PACK_MAX, Unclaimed, Way};
use crate::outbox::Free;
use crate::stats::GameStats;
use crate::ticket::Ticket;
use crate::wire::{END_MAX, HEAD_BYTES, Head, piece_len, put_end, short};
use parts::Parts;

/// Channels that a peer has to ask for: reliable, sequenced, unreliable.
pub(crate) const CHANNELS: u8 = 3;
pub(crate) const RELIABLE: u8 = 0;
pub(crate) const SEQUENCED: u8 = 1;
const UNRELIABLE: u8 = 2;

/// A peer with fewer channels is told that, as one that breaks a protocol (RFC 6455 section 7.4.1).
const FEW_CHANNELS: u32 = 1002;

/// How long an acknowledgement waits for a tick with which it could leave, in milliseconds. Rooms of 30 Hz and more send it
/// before.
const LINGER_MS: u32 = 40;

/// Bytes of reliable messages on their way to one peer. What is beyond waits in its room's outbox, where it counts.
const UNDERWAY_MAX: usize = 64 * 1024;

/// Bytes of a message of a stranger's: room for a ticket.
const STRANGER_MESSAGE_MAX: usize = 256;

/// Bytes that wait in the socket, since the system has no room: with more, nobody is sent anything but what they wait for.
const BLOCKED_AT: usize = 256 * 1024;

/// Who has been sent away is waited for so long, in milliseconds: at least, and at most.
const FAREWELL_MS: (u32, u32) = (1_000, 3_000);

/// Bytes of the longest message that is sent: all that may wait for a seat, and the end behind it. What may be lost leaves only
/// if it is no more than a tick's worth ([`PACK_MAX`]); behind so much a snapshot has as much room again.
fn longest(config: &GameConfig) -> usize {
    let tick = PACK_MAX as usize;
    HEAD_BYTES + config.reliable_max.max(2 * tick) + piece_len(END_MAX)
}

/// Bytes that may be queued to one peer: what may be on its way, and behind it a message, and the last one.
fn output_max(longest: usize) -> usize {
    2 * (longest + UNDERWAY_MAX)
}

/// A deadline that is no further ahead is not asked for again with every datagram.
const WAKE_SOON: Duration = Duration::from_millis(1);

/// A peer that is connected.
#[derive(Clone, Copy, Debug)]
struct Known {
    peer: PeerId,
    seat: Option<Ticket>,
}

/// The socket of this worker.
#[derive(Clone, Copy, Debug)]
struct Bound {
    id: SocketId,
    addr: SocketAddr,
    is_wildcard: bool,
}

pub(crate) struct Udp {
    config: Arc<GameConfig>,
    limits: UdpConfig,
    worker: usize,
    host: Host,
    bound: Option<Bound>,
    /// By [`PeerId::index`].
    known: Vec<Option<Known>>,
    /// Peers without a seat, the oldest first, and until when they may have none. Those who have one by now, or are gone,
    /// stand here still.
    strangers: VecDeque<(Time, PeerId)>,
    strange: usize,
    seated: usize,
    /// To which of our addresses peers send, if the socket has all of them. By [`PeerId::index`], until another one has that
    /// place: who is sent away is told so from there too, and told again.
    asked: Vec<Option<(PeerId, IpAddr)>>,
    /// The same of whoever sent the datagram that is looked at.
    asking: Option<(SocketAddr, IpAddr)>,
    /// When the socket's deadline is.
    wake: Option<Time>,
    /// The system has no room for datagrams.
    blocked: bool,
    /// The server ends: nobody new is let in.
    closing: bool,
    parts: Parts,
    /// Bytes of the longest message that is sent.
    longest: usize,
    buf: Box<[u8]>,
}

impl Udp {
    pub(crate) fn new(config: Arc<GameConfig>, limits: UdpConfig, worker: usize) -> Udp {
        let what = format!("enet {} {worker}", config.unix_ms);
        let mut seed = [0; 16];
        for (count, half) in seed.chunks_exact_mut(8).enumerate() {
            half.copy_from_slice(&config.key.number(&what, count as u64).to_le_bytes());
        }
        let longest = longest(&config);
        let silence = u32::try_from(limits.silence_timeout.as_millis()).unwrap_or(u32::MAX);
        let enet = Config {
            peers_max: limits.peers_max,
            peers_per_address_max: limits.address_peers_max,
            channels_max: CHANNELS,
            message_max: longest.max(config.message_max),
            newcomer_message_max: STRANGER_MESSAGE_MAX,
            output_max: output_max(longest),
            half_open_max: limits.half_open_max,
            linger_ms: LINGER_MS,
            connects_per_second: limits.address_connects.per_second,
            connect_burst: limits.address_connects.burst,
            checksum: limits.checksum,
            compression: limits.compression,
            timeout_minimum_ms: silence / 2,
            timeout_maximum_ms: silence,
            ..Config::default()
        };
        Udp {
            host: Host::new(enet, seed),
            config,
            limits,
            worker,
            bound: None,
            known: Vec::new(),
            strangers: VecDeque::new(),
            strange: 0,
            seated: 0,
            asked: Vec::new(),
            longest,
            asking: None,
            wake: None,
            blocked: false,
            closing: false,
            parts: Parts::default(),
            buf: vec![0; DATAGRAM_MAX].into(),
        }
    }

    /// Other settings of the game: what may wait for a seat from now on may leave in one message, too. What waits already is
    /// no less for it.
    pub(crate) fn set(&mut self, config: &GameConfig) {
        self.longest = self.longest.max(longest(config));
        self.host.set_outgoing_max(self.longest, output_max(self.longest));
    }

    /// Looks which socket it has, if it has not been told so.
    pub(crate) fn find_socket(&mut self, scope: &mut windlass::Scope<'_>) {
        if self.bound.is_none() {
            scope.each_socket(|socket| self.bind(socket));
        }
    }

    fn bind(&mut self, socket: &Socket<'_>) {
        self.bound.get_or_insert(Bound {
            id: socket.id(),
            addr: socket.local_addr(),
            is_wildcard: socket.is_wildcard(),
        });
    }

    pub(crate) fn socket(&self) -> Option<SocketId> {
        self.bound.map(|bound| bound.id)
    }

    /// The port, and the address if it is one and no wildcard: what a guest is told.
    pub(crate) fn place(&self) -> Option<(Option<IpAddr>, u16)> {
        let bound = self.bound?;
        let ip = bound.addr.ip().to_canonical();
        Some(((!ip.is_unspecified()).then_some(ip), bound.addr.port()))
    }

    /// A datagram has come.
    pub(crate) fn receive(&mut self, socket: &Socket<'_>, datagram: &Datagram<'_>) {
        self.bind(socket);
        if self.bound.is_some_and(|bound| bound.is_wildcard) {
            self.asking = datagram.to.map(|to| (datagram.from, to));
        }
        self.host.receive(socket.now(), datagram.from, datagram.bytes);
    }

    /// What has happened.
    pub(crate) fn happened(&mut self, socket: &mut Socket<'_>, hall: &mut Hall, superseded: &mut Vec<Way>) {
        let now = socket.now();
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Connected { peer, addr, channels, .. } => {
                    self.arrived(peer, addr, channels, now, &mut hall.stats);
                }
                Event::Message { peer, channel, kind, bytes } => {
                    let is_ticket = channel == RELIABLE && kind == Kind::Reliable;
                    match self.known(peer) {
                        Some(Known { seat: Some(ticket), .. }) => {
                            self.said(peer, ticket, &bytes, now, hall);
                        }
                        Some(Known { seat: None, .. }) if is_ticket => {
                            self.shown(peer, &bytes, now, hall, superseded);
                            // It waits for the answer.
                            self.flush_peer(socket, peer);
                        }
                        Some(_) => hall.stats.udp_early += 1,
                        // Sent away.
                        None => {}
                    }
                    self.host.take_back(bytes);
                }
                Event::Disconnected { peer, .. } => {
                    if let Some(Known { seat: Some(ticket), .. }) = self.forget(peer) {
                        hall.lost(ticket, Way::Udp(peer), now);
                    }
                }
                _ => {}
            }
        }
    }

    fn known(&self, peer: PeerId) -> Option<Known> {
        self.known.get(peer.index()).copied().flatten().filter(|known| known.peer == peer)
    }

    fn arrived(&mut self, peer: PeerId, addr: SocketAddr, channels: usize, now: Time, stats: &mut GameStats) {
        if let Some((_, to)) = self.asking.filter(|(from, _)| *from == addr) {
            if self.asked.len() <= peer.index() {
                self.asked.resize(peer.index() + 1, None);
            }
            self.asked[peer.index()] = Some((peer, to));
        }
        if self.closing || channels < CHANNELS.into() {
            let code = if self.closing { CLOSED.0.into() } else { FEW_CHANNELS };
            stats.udp_refused_channels += u64::from(!self.closing);
            return self.turn_away(peer, code);
        }
        if self.known.len() <= peer.index() {
            self.known.resize(peer.index() + 1, None);
        }
        self.known[peer.index()] = Some(Known { peer, seat: None });
        self.strange += 1;
        self.strangers.push_back((now + self.limits.ticket_timeout, peer));
        while self.strange > self.limits.strangers_max {
            // Whoever means it has shown a ticket soon after they came: who has waited longest has to go.
            let Some((_, oldest)) = self.strangers.pop_front() else { break };
            if self.is_stranger(oldest) {
                stats.udp_refused_full += 1;
                self.turn_away(oldest, NO_TICKET.0.into());
            }
        }
    }

    fn is_stranger(&self, peer: PeerId) -> bool {
        self.known(peer).is_some_and(|known| known.seat.is_none())
    }

    /// A stranger shows what is to be a ticket.
    fn shown(&mut self, peer: PeerId, text: &[u8], now: Time, hall: &mut Hall, superseded: &mut Vec<Way>) {
        let ticket = std::str::from_utf8(text).ok().and_then(|text| Ticket::read(text, &self.config.key));
        let Some(ticket) = ticket.filter(|ticket| usize::from(ticket.worker) == self.worker) else {
            hall.stats.udp_refused_ticket += 1;
            return self.turn_away(peer, NO_TICKET.0.into());
        };
        let way = Way::Udp(peer);
        let (code, why) = match hall.claim(ticket, way, now) {
            Ok(claimed) => {
                match claimed.before {
                    Some(Way::Udp(before)) => self.dismiss(before, ELSEWHERE.0.into()),
                    Some(before) => superseded.push(before),
                    None => {}
                }
                if let Some(known) = self.known.get_mut(peer.index()).and_then(Option::as_mut) {
                    known.seat = Some(ticket);
                }
                (self.strange, self.seated) = (self.strange - 1, self.seated + 1);
                hall.stats.udp_joined += 1;
                let message_max = self.config.message_max;
                self.host.set_incoming_max(peer, message_max, 2 * message_max);
                let host = &mut self.host;
                hall.welcome(ticket, &mut |message| {
                    // Nothing is queued for it yet.
                    let _ = host.send(peer, RELIABLE, Kind::Reliable, message);
                });
                return;
            }
            Err(Unclaimed::NoRoom) => (CLOSED, "the room is over".to_owned()),
            Err(Unclaimed::Expired) => (EXPIRED, "the seat was given away".to_owned()),
            Err(Unclaimed::Rejected(reject)) => (REJECTED, reject.0),
        };
        let mut out = Vec::new();
        Head::default().put(&mut out);
        put_end(&mut out, short(&why));
        let _ = self.host.send(peer, RELIABLE, Kind::Reliable, &out);
        self.dismiss(peer, code.0.into());
    }

    fn said(&mut self, peer: PeerId, ticket: Ticket, message: &[u8], now: Time, hall: &mut Hall) {
        hall.stats.udp_messages_in += 1;
        hall.stats.udp_bytes_in += message.len() as u64;
        let way = Way::Udp(peer);
        if let Err(why) = hall.received(ticket, way, message, now) {
            hall.leave(ticket, way, why);
            self.dismiss(peer, code_of(why).0.into());
        }
    }

    /// What is known of a player's connection.
    pub(crate) fn stats(&self, peer: PeerId) -> Option<PeerStats> {
        self.known(peer)?;
        self.host.stats(peer)
    }

    /// What may leave to a player now; `None` if they are gone.
    pub(crate) fn free(&self, peer: PeerId) -> Option<Free> {
        self.known(peer)?;
        let queued = self.host.queued_bytes(peer)?;
        Some(Free { congested: self.blocked, reliable: UNDERWAY_MAX.saturating_sub(queued) })
    }

    /// Sends a message of a room's: each of its pieces as it is to travel, in one datagram if they fit into one.
    pub(crate) fn send(
        &mut self,
        socket: &mut Socket<'_>,
        peer: PeerId,
        message: &[u8],
        stats: &mut GameStats,
    ) {
        if self.known(peer).is_none() {
            return;
        }
        stats.udp_messages_out += 1;
        stats.udp_bytes_out += message.len() as u64;
        let now = socket.now();
        let mut parts = std::mem::take(&mut self.parts);
        let mtu = self.host.mtu(peer).map_or(0, usize::from);
        parts.split(message, mtu, self.limits.checksum);
        if let Some(reliable) = parts.reliable()
            && let Err(error) = self.host.send(peer, RELIABLE, Kind::Reliable, reliable)
        {
            // More than `free` allowed cannot be, or longer than the longest; whoever is wrong about it, a gap it may not have.
            let code = if error == SendError::TooLong { CloseCode::INTERNAL } else { SLOW };
            debug_assert_ne!(error, SendError::TooLong, "{} bytes", reliable.len());
            self.host.disconnect(peer, code.0.into());
        }
        for (fits, unreliable) in parts.unreliable() {
            let kind = if fits { Kind::Unsequenced } else { Kind::Unreliable };
            // It may be lost.
            let _ = self.host.send(peer, UNRELIABLE, kind, unreliable);
        }
        let sequenced = parts.sequenced().map(|message| (SEQUENCED, Kind::Unreliable, message));
        match self.host.transmit_to(now, peer, sequenced, &mut self.buf) {
            Ok(Some((to, len))) => self.write(socket, to, len),
            // A snapshot beyond all measure: it may be lost, and is.
            Err(SendError::TooLong) => stats.snapshots_stale += 1,
            _ => {}
        }
        self.parts = parts;
        self.flush_peer(socket, peer);
        self.blocked = socket.output_len() > BLOCKED_AT;
    }

    /// Sends what there is for one peer.
    fn flush_peer(&mut self, socket: &mut Socket<'_>, peer: PeerId) {
        let now = socket.now();
        while let Ok(Some((to, len))) = self.host.transmit_to(now, peer, None, &mut self.buf) {
            self.write(socket, to, len);
        }
    }

    fn write(&self, socket: &mut Socket<'_>, to: SocketAddr, len: usize) {
        let bytes = &self.buf[..len];
        let asking = || self.asking.filter(|(from, _)| *from == to).map(|(_, asked)| asked);
        let of_peer = || {
            let peer = self.host.addressee()?;
            let (its, asked) = self.asked.get(peer.index()).copied().flatten()?;
            (its == peer).then_some(asked)
        };
        let asked = match self.bound {
            Some(bound) if bound.is_wildcard => of_peer().or_else(asking),
            _ => None,
        };
        match asked {
            Some(_) => socket.send_out(Outgoing::new(to, bytes).from_asked(asked)),
            None => socket.send_to(to, bytes),
        };
    }

    /// Ends a peer's connection: its seat is over, or another has it.
    pub(crate) fn end(&mut self, peer: PeerId, code: u16) {
        self.dismiss(peer, code.into());
    }

    /// The name of a peer's connection is nobody's any more, and the peer is told why, behind all that it was sent.
    fn dismiss(&mut self, peer: PeerId, code: u32) {
        self.forget(peer);
        let (least, most) = FAREWELL_MS;
        self.host.set_timeouts(peer, 4, least, most);
        self.host.disconnect_later(peer, code);
    }

    /// The same for one who has shown no ticket: in one datagram, and whether it comes or not, their place is free for others.
    fn turn_away(&mut self, peer: PeerId, code: u32) {
        self.forget(peer);
        self.host.disconnect_now(peer, code);
    }

    fn forget(&mut self, peer: PeerId) -> Option<Known> {
        let known = self.known.get_mut(peer.index())?.take_if(|known| known.peer == peer)?;
        *(if known.seat.is_some() { &mut self.seated } else { &mut self.strange }) -= 1;
        Some(known)
    }

    /// Sends what is to be sent by now.
    pub(crate) fn flush(&mut self, socket: &mut Socket<'_>) {
        let now = socket.now();
        while socket.output_len() <= BLOCKED_AT {
            let Some((to, len)) = self.host.poll_transmit(now, &mut self.buf) else { break };
            self.write(socket, to, len);
        }
        self.asking = None;
        self.blocked = socket.output_len() > BLOCKED_AT;
    }

    /// Time has passed: who is late with their ticket goes, and what is lost goes again.
    pub(crate) fn pass(&mut self, socket: &Socket<'_>, stats: &mut GameStats) {
        let now = socket.now();
        self.wake = None;
        while let Some((until, peer)) = self.strangers.front().copied() {
            let is_strange = self.is_stranger(peer);
            if is_strange && until > now {
                break;
            }
            self.strangers.pop_front();
            if is_strange {
                stats.udp_refused_late += 1;
                self.turn_away(peer, NO_TICKET.0.into());
            }
        }
    }

    /// Sees to it that what waits is looked at in time; closes the socket when the server ends and nobody is left.
    pub(crate) fn settle_up(&mut self, socket: &mut Socket<'_>) {
        if self.closing && self.host.live() == 0 {
            return socket.close();
        }
        if self.blocked {
            // `drained` comes.
            return;
        }
        let now = socket.now();
        if self.wake.is_some_and(|wake| now < wake && wake <= now + WAKE_SOON) {
            // Whatever came up with this datagram is in time then: its clock counts milliseconds.
            return;
        }
        let of_host = self.host.next_deadline();
        let of_strangers = self.strangers.front().map(|(until, _)| *until);
        let Some(at) = of_host.into_iter().chain(of_strangers).min() else { return };
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            socket.wake_at(at);
        }
    }

    /// The server ends: who has no seat has none any more, and who has one was told by their room. Nobody comes now, not even
    /// back: what is waited for becomes only less.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.host.set_accept(false);
        for (_, peer) in std::mem::take(&mut self.strangers) {
            if self.is_stranger(peer) {
                self.turn_away(peer, CLOSED.0.into());
            }
        }
    }

    /// What is shown of it.
    pub(crate) fn count(&self, stats: &mut GameStats) {
        let Counters {
            datagrams_in,
            bytes_in,
            datagrams_out,
            bytes_out,
            resent,
            throttled,
            dropped_malformed,
            dropped_unknown,
            dropped_commands,
            dropped_full,
            refused_rate,
            refused_full,
            evicted,
            unproven,
            connected,
            ..
        } = *self.host.counters();
        stats.udp_seated = self.seated as u64;
        stats.udp_strangers = self.strange as u64;
        stats.udp_connected = connected;
        (stats.udp_datagrams_in, stats.udp_datagram_bytes_in) = (datagrams_in, bytes_in);
        (stats.udp_datagrams_out, stats.udp_datagram_bytes_out) = (datagrams_out, bytes_out);
        (stats.udp_resent, stats.udp_throttled) = (resent, throttled);
        stats.udp_dropped = dropped_malformed + dropped_unknown + dropped_commands + dropped_full;
        (stats.udp_refused_rate, stats.udp_refused_peers) = (refused_rate, refused_full);
        (stats.udp_evicted, stats.udp_unproven) = (evicted, unproven);
    }
}
