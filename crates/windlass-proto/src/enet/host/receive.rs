//! What comes: whose datagram it is, and what each of its commands does.

use core::net::SocketAddr;

use super::super::channel::Took;
use super::super::event::{Ended, Event, Kind};
use super::super::output::What;
use super::super::peer::{State, window_for};
use super::super::wire::{ACKNOWLEDGE, Body, CHECKSUM, CONNECT_LEN, Command, Header, NO_PEER};
use super::{DATAGRAM_MAX, Host, Inbox};
use crate::Time;

/// An acknowledgement that names an earlier time than this many milliseconds ago names none of ours: nothing waits
/// that long. The time on the wire has sixteen bits.
const ECHO_MAX: u16 = 60_000;

/// Whether the rest of a datagram is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    /// The command is not to be acknowledged, and what is behind it not to be looked at.
    Stop,
}

impl Host {
    /// A datagram has come, with its time of arrival and the address that it claims to be from.
    ///
    /// What is wrong with it is counted ([`counters`](Host::counters)) and not answered.
    pub fn receive(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        self.set_now(now);
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += datagram.len() as u64;
        if datagram.len() > DATAGRAM_MAX {
            self.counters.dropped_malformed += 1;
            return;
        }
        let Some((header, header_len)) = Header::read(datagram) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        if header.peer == NO_PEER {
            self.receive_from_stranger(from, header, header_len, datagram);
            return;
        }
        if let Some(index) = self.find(&from, header.peer) {
            let Some(peer) = self.at(index) else { return };
            if peer.remote_id != NO_PEER && peer.own_session != header.session {
                self.counters.dropped_unknown += 1;
                return;
            }
            let connect_id = peer.connect_id;
            self.open(header, header_len, connect_id, datagram, DATAGRAM_MAX, |host, commands| {
                host.take_commands(index, header.sent_time, commands);
            });
        } else if let Some(place) = self.half_open.find(&self.key, self.now, from, header.peer) {
            let Some(connect_id) = self.half_open.get_mut(place).map(|entry| entry.connect_id) else {
                return;
            };
            self.open(header, header_len, connect_id, datagram, DATAGRAM_MAX, |host, commands| {
                let mut rest = commands;
                let first = Command::read(&mut rest).ok().flatten();
                if let Some(index) = host.prove(place, header.session, first) {
                    host.take_commands(index, header.sent_time, rest);
                }
            });
        } else {
            self.counters.dropped_unknown += 1;
        }
    }

    /// From somebody without an id: only CONNECT means anything, and nobody is asked to do more than look at that.
    fn receive_from_stranger(
        &mut self,
        from: SocketAddr,
        header: Header,
        header_len: usize,
        datagram: &[u8],
    ) {
        if !self.config.accept {
            self.counters.refused_connect += 1;
            return;
        }
        let network = self.key.of_network(from.ip());
        let random = self.key.draw();
        if !self.buckets.take(self.now, network, random) {
            self.counters.refused_rate += 1;
            return;
        }
        let len = datagram.len();
        self.open(
            header,
            header_len,
            0,
            datagram,
            2 * CONNECT_LEN,
            |host, mut commands| match Command::read(&mut commands) {
                Ok(Some(Command { body: Body::Connect { terms, code }, .. })) => {
                    host.take_connect(from, &terms, code, len);
                }
                _ => host.counters.dropped_malformed += 1,
            },
        );
    }

    /// Undoes compression, looks at the checksum, and gives the commands to `take`.
    fn open(
        &mut self,
        header: Header,
        header_len: usize,
        connect_id: u32,
        datagram: &[u8],
        inflated_max: usize,
        take: impl FnOnce(&mut Host, &[u8]),
    ) {
        let checksum_len = if self.config.checksum { CHECKSUM } else { 0 };
        let Some((front, mut commands)) = datagram.split_at_checked(header_len + checksum_len) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        // Given back below: what takes the commands borrows the host.
        let mut coder = None;
        if header.compressed {
            coder = self.coder.take();
            let inflated = coder.as_mut().and_then(|coder| {
                let max = inflated_max.min(coder.scratch.len());
                let len = coder.model.decompress(commands, &mut coder.scratch[..max])?;
                Some(&coder.scratch[..len])
            });
            match inflated {
                Some(inflated) => commands = inflated,
                None => {
                    self.counters.dropped_malformed += 1;
                    if let Some(coder) = coder {
                        self.coder = Some(coder);
                    }
                    return;
                }
            }
        }
        let (head, sum) = front.split_at(header_len);
        let right = !self.config.checksum
            || sum == super::super::checksum::of(head, connect_id, commands).to_be_bytes();
        if right {
            take(self, commands);
        } else {
            self.counters.dropped_malformed += 1;
        }
        if coder.is_some() {
            self.coder = coder;
        }
    }

    fn take_commands(&mut self, index: u32, sent_time: Option<u16>, mut commands: &[u8]) {
        // Messages alone change nothing of when the peer is to be looked at.
        let mut rearm = false;
        loop {
            let command = match Command::read(&mut commands) {
                Ok(Some(command)) => command,
                Ok(None) => break,
                Err(_) => {
                    self.counters.dropped_malformed += 1;
                    break;
                }
            };
            rearm |= !command.is_message();
            if self.take_command(index, &command) == Next::Stop {
                break;
            }
            let Some(peer) = self.at(index) else { return };
            if command.flags & ACKNOWLEDGE == 0 {
                continue;
            }
            // It cannot be acknowledged without its time.
            let Some(sent_time) = sent_time else { break };
            let owed = match peer.state {
                State::Disconnecting | State::Connecting => true,
                State::Left if !matches!(command.body, Body::Disconnect { .. }) => true,
                _ => peer.owe(command.channel, command.sequence, sent_time),
            };
            self.counters.dropped_acknowledgements += u64::from(!owed);
        }
        let Some(peer) = self.at(index) else { return };
        if peer.owes() || peer.output.wants_sending() {
            self.enqueue(index);
        }
        if rearm {
            self.arm(index);
        }
    }

    fn take_command(&mut self, index: u32, command: &Command<'_>) -> Next {
        match command.body {
            Body::Acknowledge { sequence, sent_time } => {
                return self.take_acknowledge(index, command.channel, sequence, sent_time);
            }
            Body::Verify(terms) => {
                if self.take_verify(index, &terms) {
                    return Next::Go;
                }
            }
            Body::Disconnect { code } => {
                self.take_disconnect(index, code, command.flags & ACKNOWLEDGE != 0);
                return Next::Go;
            }
            Body::Connect { .. } => {}
            _ => {
                let Some(peer) = self.at(index) else { return Next::Stop };
                if peer.is_connected() {
                    return self.take_from_connected(index, command);
                }
            }
        }
        self.counters.dropped_commands += 1;
        Next::Stop
    }

    fn take_from_connected(&mut self, index: u32, command: &Command<'_>) -> Next {
        let outgoing_bandwidth = self.config.outgoing_bandwidth;
        let Some(peer) = self.slots.get_mut(index as usize).and_then(|slot| slot.peer.as_deref_mut()) else {
            return Next::Stop;
        };
        match command.body {
            Body::Ping => return Next::Go,
            Body::Bandwidth { incoming, outgoing } => {
                peer.incoming_bandwidth = incoming;
                peer.outgoing_bandwidth = outgoing;
                peer.window = window_for(outgoing_bandwidth, incoming);
                self.peers_limited |= incoming != 0;
                return Next::Go;
            }
            Body::Throttle(throttle) => {
                peer.pace.throttle = throttle;
                return Next::Go;
            }
            _ => {}
        }

        // A message. Who is leaving only wants the other end to go on.
        let (number, sequence) = (command.channel, command.sequence);
        if peer.state != State::Connected && usize::from(number) < peer.channels.len() {
            return Next::Go;
        }
        let reliable = matches!(command.body, Body::Reliable(_) | Body::Fragment(_));
        if peer.waiting.is_full() {
            self.counters.dropped_full += 1;
            return if reliable { Next::Stop } else { Next::Go };
        }
        let mut inbox = Inbox {
            peer: peer.id,
            channel: number,
            events: &mut self.events,
            spare: &mut self.spare,
            messages: &mut self.counters.messages_in,
        };
        if let Body::Unsequenced { group, bytes } = command.body {
            if usize::from(number) >= peer.channels.len() || bytes.len() > peer.waiting.message_max {
                self.counters.dropped_commands += 1;
                return Next::Stop;
            }
            if peer.is_new_unsequenced(group) {
                peer.waiting.untaken += super::super::channel::OVERHEAD + bytes.len();
                let bytes = super::Hand::copy(&mut inbox, bytes);
                super::Hand::hand(&mut inbox, Kind::Unsequenced, bytes);
            } else {
                self.counters.dropped_late += 1;
            }
            return Next::Go;
        }
        // In place, not as a copy that is written back: it is a short way from one message to the next.
        let waiting = &mut peer.waiting;
        let Some(channel) = peer.channels.get_mut(usize::from(number)) else {
            self.counters.dropped_commands += 1;
            return Next::Stop;
        };
        let channel = channel.get_or_insert_default();
        let took = match command.body {
            Body::Reliable(bytes) => channel.take_reliable(sequence, bytes, waiting, &mut inbox),
            Body::Fragment(fragment) => channel.take_fragment(sequence, &fragment, waiting, &mut inbox),
            Body::Unreliable { sequence: own, bytes } => {
                channel.take_unreliable(sequence, own, bytes, waiting, &mut inbox)
            }
            Body::UnreliableFragment(fragment) => {
                channel.take_unreliable_fragment(sequence, &fragment, waiting, &mut inbox)
            }
            _ => Took::Impossible,
        };
        match took {
            Took::Taken => Next::Go,
            Took::Late => {
                self.counters.dropped_late += 1;
                Next::Go
            }
            Took::Full => {
                self.counters.dropped_full += 1;
                if reliable { Next::Stop } else { Next::Go }
            }
            Took::Impossible => {
                self.counters.dropped_commands += 1;
                Next::Stop
            }
        }
    }

    fn take_acknowledge(&mut self, index: u32, channel: u8, sequence: u16, sent_time: u16) -> Next {
        let now = self.now;
        let Some(peer) = self.at(index) else { return Next::Stop };
        if peer.state == State::Left {
            return Next::Go;
        }
        let rtt = (now as u16).wrapping_sub(sent_time);
        if rtt > ECHO_MAX {
            self.counters.dropped_commands += 1;
            return Next::Go;
        }
        // Only of what was under way: a proof of the handshake that comes twice, say, has a time that is none.
        let Some(what) = peer.output.acknowledge(channel, sequence, &mut peer.channels) else {
            self.counters.dropped_late += 1;
            return Next::Go;
        };
        peer.pace.sample(now, u32::from(rtt));
        peer.heard_at = now;
        match peer.state {
            State::Disconnecting => {
                if matches!(what, What::Disconnect(_)) {
                    self.remove(index, Some(Ended::Local));
                    return Next::Stop;
                }
            }
            State::Leaving(code) if peer.output.is_empty() => {
                let id = peer.id;
                self.disconnect(id, code);
            }
            _ => {}
        }
        Next::Go
    }

    fn take_disconnect(&mut self, index: u32, code: u32, acknowledged: bool) {
        let Some(peer) = self.at(index) else { return };
        match peer.state {
            State::Connecting => self.remove(index, Some(Ended::Refused)),
            State::Disconnecting => self.remove(index, Some(Ended::Local)),
            State::Left => {}
            State::Connected | State::Leaving(_) if acknowledged => {
                // It stays until its command is acknowledged, but only for that.
                peer.clear();
                peer.state = State::Left;
                let gone = peer.id;
                self.connected -= 1;
                self.divide_bandwidth = true;
                self.events.push_back(Event::Disconnected { peer: gone, ended: Ended::Remote(code) });
                self.enqueue(index);
            }
            State::Connected | State::Leaving(_) => self.remove(index, Some(Ended::Remote(code))),
        }
    }
}
