//! How peers come to be: those that ask us, and those that we ask.

use core::net::SocketAddr;

use super::super::event::{ConnectError, Event, PeerId};
use super::super::half_open::{HalfOpen, Place, Table};
use super::super::output::What;
use super::super::pace::THROTTLE_DEFAULT;
use super::super::peer::{State, window_for};
use super::super::wire::{
    Body, CHECKSUM, CONNECT_LEN, Command, HEADER, Header, MTU_MAX, MTU_MIN, NO_CHANNEL, NO_PEER, NO_SESSION,
    SESSION_MASK, Terms, WINDOW_MAX, WINDOW_MIN,
};
use super::{FAREWELLS_MAX, Farewell, Host};
use crate::Time;

/// Answers that wait to be sent, at most. A CONNECT beyond it is not answered; it comes again.
const ANSWERS_MAX: usize = 1024;

/// An id is looked for so often.
const TRIES: u16 = 64;

/// An answer that has arrived but whose acknowledgement was lost is sent again after so many milliseconds, and so
/// often, when its receiver speaks.
const AGAIN_AFTER: u64 = 200;
const AGAIN_MAX: u8 = 8;

const PURPOSE_ID: u8 = 3;

impl Host {
    /// Asks another host for a connection with so many channels (1 to 255, and at most
    /// [`Config::channels_max`](super::super::Config::channels_max)). `code` is for the application there. Either
    /// [`Event::Connected`] or [`Event::Disconnected`] follows.
    ///
    /// # Errors
    ///
    /// If there are too many peers.
    pub fn connect(
        &mut self,
        now: Time,
        to: SocketAddr,
        channels: u8,
        code: u32,
    ) -> Result<PeerId, ConnectError> {
        self.set_now(now);
        let drawn = self.key.draw();
        let connect_id = (drawn >> 32) as u32;
        let first = (drawn % u64::from(NO_PEER)) as u16;
        let own_id = (0..NO_PEER)
            .map(|step| (first + step) % NO_PEER)
            .find(|&id| self.find(&to, id).is_none())
            .ok_or(ConnectError::NoId)?;
        let config = &self.config;
        let channels = channels.clamp(1, config.channels_max);
        let (incoming_bandwidth, outgoing_bandwidth) = (config.incoming_bandwidth, config.outgoing_bandwidth);
        let peer = self.insert(to, own_id, THROTTLE_DEFAULT).ok_or(ConnectError::Full)?;
        peer.connect_id = connect_id;
        peer.code = code;
        peer.set_channels(usize::from(channels));
        peer.window = window_for(outgoing_bandwidth, 0);
        let terms = Terms {
            peer: own_id,
            incoming_session: NO_SESSION,
            outgoing_session: NO_SESSION,
            mtu: u32::from(peer.mtu),
            window: peer.window,
            channels: u32::from(channels),
            incoming_bandwidth,
            outgoing_bandwidth,
            throttle: peer.pace.throttle,
            connect_id,
        };
        peer.output.push_control(What::Connect((terms, code).into()));
        let id = peer.id;
        self.enqueue(id.index);
        Ok(id)
    }

    /// CONNECT has come, in a datagram of `len` bytes.
    pub(super) fn take_connect(&mut self, from: SocketAddr, terms: &Terms, code: u32, len: usize) {
        if !(1..=255).contains(&terms.channels) || terms.peer >= NO_PEER {
            self.counters.refused_connect += 1;
            return;
        }
        let id = |host: &Host, step| {
            let drawn = host.key.of(PURPOSE_ID, from, u64::from(terms.connect_id) << 16 | u64::from(step));
            ((drawn % u64::from(NO_PEER)) as u16, (drawn >> 32) as u8)
        };
        // The same CONNECT finds the same id again, and with it the entry.
        for step in 0..TRIES {
            let (own_id, drawn) = id(self, step);
            if let Some(index) = self.find(&from, own_id) {
                if self.at(index).is_some_and(|peer| peer.connect_id == terms.connect_id) {
                    return;
                }
                continue;
            }
            let place = match self.half_open.find(&self.key, self.now, from, own_id) {
                Some(place) => {
                    let Some(entry) = self.half_open.get_mut(place) else { return };
                    if entry.connect_id != terms.connect_id {
                        continue;
                    }
                    entry.credit = entry.credit.saturating_add(len as u16);
                    place
                }
                None => {
                    if !self.has_place_for(from) {
                        self.counters.refused_full += 1;
                        return;
                    }
                    let entry = self.half_open_for(from, terms, code, own_id, drawn, len as u16);
                    self.counters.connects += 1;
                    let (place, evicted) = self.half_open.insert(&mut self.key, self.now, entry);
                    self.counters.evicted += u64::from(evicted);
                    place
                }
            };
            self.queue_answer(place);
            return;
        }
        self.counters.refused_full += 1;
    }

    fn has_place_for(&self, from: SocketAddr) -> bool {
        let max = self.config.peers_per_address_max;
        let others = || {
            let network = self.key.of_network(from.ip());
            self.per_network.get(&network).copied().unwrap_or(0)
        };
        self.live < self.config.peers_max && (max == usize::MAX || others() < max)
    }

    fn half_open_for(
        &self,
        from: SocketAddr,
        terms: &Terms,
        code: u32,
        own_id: u16,
        drawn: u8,
        len: u16,
    ) -> HalfOpen {
        // The next of the session it had, or any: one that is left over from a connection before is told apart.
        let session = |before: u8, any: u8| match before {
            NO_SESSION => any & SESSION_MASK,
            before => before.wrapping_add(1) & SESSION_MASK,
        };
        HalfOpen {
            addr: from,
            at: self.now,
            connect_id: terms.connect_id,
            code,
            window: terms.window.clamp(WINDOW_MIN, WINDOW_MAX),
            incoming_bandwidth: terms.incoming_bandwidth,
            outgoing_bandwidth: terms.outgoing_bandwidth,
            throttle: terms.throttle,
            own_id,
            remote_id: terms.peer,
            mtu: terms.mtu.clamp(MTU_MIN, MTU_MAX).min(u32::from(self.config.mtu)) as u16,
            channels: (terms.channels as u8).min(self.config.channels_max),
            own_session: session(terms.outgoing_session, drawn),
            remote_session: session(terms.incoming_session, drawn >> 2),
            guesses: 0,
            answers: 0,
            credit: len,
            queued: false,
        }
    }

    fn queue_answer(&mut self, place: Place) {
        if self.answers.len() >= ANSWERS_MAX {
            return;
        }
        let Some(entry) = self.half_open.get_mut(place) else { return };
        if !core::mem::replace(&mut entry.queued, true) {
            self.answers.push_back(place);
        }
    }

    /// Writes the answer to a CONNECT, unless it would be longer than what came.
    pub(super) fn write_answer(&mut self, place: Place, buf: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let bandwidth = (self.config.incoming_bandwidth, self.config.outgoing_bandwidth);
        let entry = *self.half_open.get_mut(place)?;
        let terms = Terms {
            peer: entry.own_id,
            incoming_session: entry.remote_session,
            outgoing_session: entry.own_session,
            mtu: u32::from(entry.mtu),
            window: window_for(bandwidth.0, 0).min(entry.window),
            channels: u32::from(entry.channels),
            incoming_bandwidth: bandwidth.0,
            outgoing_bandwidth: bandwidth.1,
            throttle: entry.throttle,
            connect_id: entry.connect_id,
        };
        let command = Command {
            flags: super::super::wire::ACKNOWLEDGE,
            channel: NO_CHANNEL,
            sequence: 1,
            body: Body::Verify(terms),
        };
        let header = Header {
            peer: entry.remote_id,
            session: entry.remote_session,
            compressed: false,
            sent_time: Some(Table::secret(&self.key, entry.addr, entry.connect_id, entry.own_id)),
        };
        let len = self.write_single(header, entry.connect_id, &command, buf);
        let now = self.now;
        let entry = self.half_open.get_mut(place)?;
        entry.queued = false;
        entry.credit = entry.credit.checked_sub(len as u16)?;
        entry.answers = entry.answers.saturating_add(1);
        entry.at = now;
        self.counters.answers += 1;
        Some((entry.addr, len))
    }

    /// A datagram has come from somebody who was answered, to the id that only the answer names.
    ///
    /// If its first command acknowledges the answer with the secret of it, its sender is a peer from now on: gives
    /// it back. If not, the acknowledgement may be lost: the answer is sent again.
    pub(super) fn prove(&mut self, place: Place, session: u8, first: Option<Command<'_>>) -> Option<u32> {
        let now = self.now;
        let entry = *self.half_open.get_mut(place)?;
        if session != entry.own_session || entry.answers == 0 {
            self.counters.unproven += 1;
            self.half_open.wrong(place);
            return None;
        }
        let secret = Table::secret(&self.key, entry.addr, entry.connect_id, entry.own_id);
        let acknowledged = match first {
            Some(Command {
                channel: NO_CHANNEL, body: Body::Acknowledge { sequence: 1, sent_time }, ..
            }) => Some(sent_time),
            _ => None,
        };
        match acknowledged {
            Some(time) if time == secret => {}
            Some(_) => {
                self.counters.unproven += 1;
                self.half_open.wrong(place);
                return None;
            }
            None => {
                // Whoever knows id and session has got the answer, or has guessed fourteen bits.
                if now.saturating_sub(entry.at) >= AGAIN_AFTER && entry.answers < AGAIN_MAX {
                    let longest = HEADER + CHECKSUM + CONNECT_LEN;
                    if let Some(entry) = self.half_open.get_mut(place) {
                        entry.credit = entry.credit.max(longest as u16);
                    }
                    self.queue_answer(place);
                }
                return None;
            }
        }
        self.half_open.remove(place);
        self.become_peer(&entry)
    }

    fn become_peer(&mut self, entry: &HalfOpen) -> Option<u32> {
        let now = self.now;
        let outgoing_bandwidth = self.config.outgoing_bandwidth;
        let counts = self.config.peers_per_address_max != usize::MAX;
        let newcomer_max = self.config.newcomer_message_max;
        let place = self.has_place_for(entry.addr);
        let network = self.key.of_network(entry.addr.ip());
        let peer = match place {
            true => self.insert(entry.addr, entry.own_id, entry.throttle),
            false => None,
        };
        let Some(peer) = peer else {
            // Others were faster.
            self.counters.refused_full += 1;
            if self.farewells.len() < FAREWELLS_MAX {
                self.farewells.push_back(Farewell {
                    peer: None,
                    addr: entry.addr,
                    remote_id: entry.remote_id,
                    remote_session: entry.remote_session,
                    connect_id: entry.connect_id,
                    code: 0,
                });
            }
            return None;
        };
        peer.state = State::Connected;
        peer.remote_id = entry.remote_id;
        peer.own_session = entry.own_session;
        peer.remote_session = entry.remote_session;
        peer.connect_id = entry.connect_id;
        peer.code = entry.code;
        peer.mtu = entry.mtu;
        peer.incoming_bandwidth = entry.incoming_bandwidth;
        peer.outgoing_bandwidth = entry.outgoing_bandwidth;
        peer.window = window_for(outgoing_bandwidth, entry.incoming_bandwidth);
        peer.set_channels(usize::from(entry.channels));
        // VERIFY was the first command.
        peer.output.skip_control();
        peer.network = counts.then_some(network);
        if newcomer_max < peer.waiting.message_max {
            peer.set_incoming_max(newcomer_max, 0);
        }
        if entry.answers == 1 {
            peer.pace.sample(now, now.saturating_sub(entry.at) as u32);
        }
        let index = peer.id.index;
        if counts {
            *self.per_network.entry(network).or_insert(0) += 1;
        }
        self.has_connected(index);
        Some(index)
    }

    /// VERIFY has come: the other end takes us.
    pub(super) fn take_verify(&mut self, index: u32, terms: &Terms) -> bool {
        let outgoing_bandwidth = self.config.outgoing_bandwidth;
        let Some(peer) = self.at(index) else { return false };
        if peer.state != State::Connecting {
            return true;
        }
        if !(1..=255).contains(&terms.channels)
            || terms.peer >= NO_PEER
            || terms.connect_id != peer.connect_id
            || terms.throttle != peer.pace.throttle
        {
            return false;
        }
        peer.output.acknowledge(NO_CHANNEL, 1, &mut []);
        peer.channels.truncate(terms.channels as usize);
        peer.remote_id = terms.peer;
        peer.own_session = terms.incoming_session & SESSION_MASK;
        peer.remote_session = terms.outgoing_session & SESSION_MASK;
        peer.mtu = terms.mtu.clamp(MTU_MIN, MTU_MAX).min(u32::from(peer.mtu)) as u16;
        peer.incoming_bandwidth = terms.incoming_bandwidth;
        peer.outgoing_bandwidth = terms.outgoing_bandwidth;
        peer.window = window_for(outgoing_bandwidth, 0).min(terms.window.clamp(WINDOW_MIN, WINDOW_MAX));
        peer.state = State::Connected;
        self.has_connected(index);
        true
    }

    fn has_connected(&mut self, index: u32) {
        let now = self.now;
        let Some(peer) = self.at(index) else { return };
        peer.heard_at = now;
        let event = Event::Connected {
            peer: peer.id,
            addr: peer.addr,
            channels: peer.channels.len(),
            code: peer.code,
        };
        let limited = peer.incoming_bandwidth != 0;
        self.peers_limited |= limited;
        self.events.push_back(event);
        self.counters.connected += 1;
        self.connected += 1;
        self.divide_bandwidth = true;
        self.arm(index);
    }
}
