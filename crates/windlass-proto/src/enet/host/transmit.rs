//! What goes: one datagram after another, and what time does to those that wait.

use core::net::SocketAddr;

use super::super::event::{Ended, Kind, PeerId, SendError};
use super::super::output::{Lost, Terrain, What};
use super::super::peer::State;
use super::super::wire::{
    Body, CHECKSUM, Command, HEADER, Header, NO_CHANNEL, NO_PEER, PING_LEN, SHORT_HEADER, UNSEQUENCED, Writer,
};
use super::{Farewell, Host};
use crate::Time;

impl Host {
    /// Writes the next datagram into `buf`, and gives back where it goes and how long it is; nothing if there is
    /// none now.
    ///
    /// Peers take turns: one that has more than fits comes again when all others had theirs.
    ///
    /// # Panics
    ///
    /// If `buf` is shorter than [`Config::mtu`](super::super::Config::mtu); [`DATAGRAM_MAX`](super::DATAGRAM_MAX)
    /// is always enough.
    pub fn poll_transmit(&mut self, now: Time, buf: &mut [u8]) -> Option<(SocketAddr, usize)> {
        assert!(buf.len() >= usize::from(self.config.mtu), "the buffer is shorter than a datagram");
        self.set_now(now);
        // Once per millisecond, however many datagrams there are in it.
        if self.looked_at != Some(self.now) {
            self.looked_at = Some(self.now);
            self.look_at_due();
            self.divide_bandwidth_if_due();
        }
        let (addr, len) = self.next_datagram(buf)?;
        self.counters.datagrams_out += 1;
        self.counters.bytes_out += len as u64;
        Some((addr, len))
    }

    /// Writes the next datagram for one peer out of its turn: acknowledgements and commands that wait for it, and `message`
    /// (its channel, how it travels, what it says) behind them, if it can be lost and all fits into one; else it is queued
    /// like others. So a server that speaks to each peer once in a while sends one datagram, and copies nothing.
    ///
    /// Nothing is written if there is nothing to send, or the throttle has dropped the message. What waits still is written
    /// by [`poll_transmit`](Host::poll_transmit), or the next call without a message.
    ///
    /// # Errors
    ///
    /// As [`send`](Host::send).
    ///
    /// # Panics
    ///
    /// As [`poll_transmit`](Host::poll_transmit).
    pub fn transmit_to(
        &mut self,
        now: Time,
        id: PeerId,
        message: Option<(u8, Kind, &[u8])>,
        buf: &mut [u8],
    ) -> Result<Option<(SocketAddr, usize)>, SendError> {
        assert!(buf.len() >= usize::from(self.config.mtu), "the buffer is shorter than a datagram");
        self.set_now(now);
        let mut loose = None;
        if let Some((channel, kind, bytes)) = message {
            self.check_send(id, channel, kind, bytes.len())?;
            loose = self.as_loose(id, channel, kind, bytes);
            if loose.is_none() {
                self.queue_message(id, channel, kind, bytes.into());
            }
        }
        let Some(peer) = self.peer_mut(id) else { return Ok(None) };
        let was_queued = core::mem::take(&mut peer.queued);
        if was_queued && self.queue.back().is_some_and(|(index, _)| *index == id.index) {
            self.queue.pop_back();
        }
        let sent = self.write_peer(id.index, loose, buf);
        if let Some((_, len)) = sent {
            self.counters.datagrams_out += 1;
            self.counters.bytes_out += len as u64;
        }
        Ok(sent)
    }

    /// A message that can be written at once, with its numbers.
    fn as_loose<'b>(&mut self, id: PeerId, channel: u8, kind: Kind, bytes: &'b [u8]) -> Option<Command<'b>> {
        let piece_max = self.piece_max(self.peer(id)?);
        if kind == Kind::Reliable || bytes.len() > piece_max {
            return None;
        }
        let peer = self.peer_mut(id)?;
        let (flags, sequence, body) = match kind {
            Kind::Unsequenced => {
                (UNSEQUENCED, 0, Body::Unsequenced { group: peer.output.next_group(), bytes })
            }
            _ => {
                let (reliable, own) = peer.channel(channel)?.next_unreliable()?;
                (0, reliable, Body::Unreliable { sequence: own, bytes })
            }
        };
        peer.outgoing_bytes += bytes.len() as u64;
        self.counters.messages_out += 1;
        Some(Command { flags, channel, sequence, body })
    }

    fn next_datagram(&mut self, buf: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let (now, linger) = (self.now, u64::from(self.config.linger_ms));
        while let Some(&(index, since)) = self.queue.front() {
            // Else it had its datagram meanwhile.
            let waits = self.at(index).is_some_and(|peer| peer.queued && peer.queued_at == since);
            if waits && since + linger > now {
                break;
            }
            self.queue.pop_front();
            if waits && let Some(sent) = self.write_queued(index, buf) {
                return Some(sent);
            }
        }
        while let Some(index) = self.more.pop_front() {
            if self.at(index).is_some_and(|peer| peer.queued)
                && let Some(sent) = self.write_queued(index, buf)
            {
                return Some(sent);
            }
        }
        self.addressee = None;
        while let Some(place) = self.answers.pop_front() {
            if let Some(sent) = self.write_answer(place, buf) {
                return Some(sent);
            }
        }
        let farewell = self.farewells.pop_front()?;
        self.addressee = farewell.peer;
        Some(self.write_farewell(&farewell, buf))
    }

    fn write_queued(&mut self, index: u32, buf: &mut [u8]) -> Option<(SocketAddr, usize)> {
        self.at(index)?.queued = false;
        self.write_peer(index, None, buf)
    }

    fn look_at_due(&mut self) {
        while let Some(index) = self.wheel.due(self.now) {
            self.due.push(index);
        }
        while let Some(index) = self.due.pop() {
            let now = self.now;
            let Some(peer) = self.at(index) else { continue };
            match peer.output.expire(now, peer.patience) {
                Lost::All => {
                    let ended = match peer.state {
                        State::Disconnecting => Ended::Local,
                        _ => Ended::TimedOut,
                    };
                    self.remove(index, Some(ended));
                    continue;
                }
                Lost::Some => self.enqueue(index),
                Lost::Nothing => {
                    if peer.is_silent(now) {
                        // It goes with whatever else there is.
                        self.enqueue(index);
                        continue;
                    }
                }
            }
            self.arm(index);
        }
    }

    /// What the peer has to be sent, as much as fits, and behind it a message that is queued nowhere.
    fn write_peer(
        &mut self,
        index: u32,
        loose: Option<Command<'_>>,
        buf: &mut [u8],
    ) -> Option<(SocketAddr, usize)> {
        let now = self.now;
        let checksum_len = if self.config.checksum { CHECKSUM } else { 0 };
        let peer = self.slots.get_mut(index as usize)?.peer.as_deref_mut()?;
        // A datagram with a command that is to be acknowledged carries its time, and has a longer header. Whether there is
        // one shows when the commands are there; mostly it is known before.
        let pings = peer.is_silent(now);
        let timed = pings || peer.output.has_reliable();
        let start = if timed { HEADER } else { SHORT_HEADER } + checksum_len;
        let limit = usize::from(peer.mtu).min(buf.len());
        let mut out = Writer { out: buf, at: start };
        let whole_limit = limit;
        let limit = limit - loose.as_ref().map_or(0, Command::len);

        peer.write_owed(&mut out, limit);
        let mut filled = Default::default();
        let mut terrain = Terrain {
            now,
            pace: &mut peer.pace,
            channels: &mut peer.channels,
            window: peer.window,
            mtu: peer.mtu,
            throttled: &mut self.counters.throttled,
            resent: &mut self.counters.resent,
        };
        if peer.output.wants_sending() {
            filled = peer.output.fill(&mut out, limit, &mut terrain);
        }
        if pings && !peer.output.expects_acknowledgement() && out.at + PING_LEN <= limit {
            peer.output.push_control(What::Ping);
            filled = peer.output.fill(&mut out, limit, &mut terrain);
        }
        if let Some(loose) = loose {
            debug_assert!(out.at + loose.len() <= whole_limit);
            if terrain.pace.admits() {
                loose.write(&mut out);
            } else {
                *terrain.throttled += 1;
            }
        }
        let len = out.at;
        let header = Header {
            peer: peer.remote_id,
            session: if peer.remote_id == NO_PEER { 0 } else { peer.remote_session },
            compressed: false,
            sent_time: filled.reliable.then_some(now as u16),
        };
        let connect_id = if peer.remote_id == NO_PEER { 0 } else { peer.connect_id };
        let (addr, id) = (peer.addr, peer.id);
        debug_assert!(timed || !filled.reliable);
        self.addressee = Some(id);

        let after = match peer.state {
            State::Left if !peer.owes() => After::Gone,
            State::Leaving(code) if peer.output.is_empty() => After::Leaves(code),
            _ if filled.more || peer.owes() => After::More,
            _ => After::Nothing,
        };
        match after {
            After::Gone => self.remove(index, None),
            After::Leaves(code) => self.disconnect(id, code),
            After::More => self.enqueue_more(index),
            After::Nothing => {}
        }
        // Else nothing has changed of when the peer is to be looked at.
        if timed {
            self.arm(index);
        }
        if len == start {
            return None;
        }
        Some((addr, self.seal(header, connect_id, buf, start, len)))
    }

    /// Puts header and checksum in front of commands that stand at `start`, behind room for them, compressed if
    /// that is agreed and helps. Gives back how long it is.
    fn seal(
        &mut self,
        mut header: Header,
        connect_id: u32,
        buf: &mut [u8],
        start: usize,
        len: usize,
    ) -> usize {
        let checksum_len = if self.config.checksum { CHECKSUM } else { 0 };
        let mut deflated = None;
        if let Some(coder) = &mut self.coder {
            let max = (len - start - 1).min(coder.scratch.len());
            deflated = coder.model.compress(&buf[start..len], &mut coder.scratch[..max]);
            header.compressed = deflated.is_some();
        }
        let mut head = [0; HEADER];
        let head_len = header.write(&mut head);
        let front = head_len + checksum_len;
        if checksum_len > 0 {
            // Of the commands as they were, with the flag that says how they are (`enet_protocol_send_outgoing_commands`).
            let sum = super::super::checksum::of(&head[..head_len], connect_id, &buf[start..len]);
            buf[head_len..front].copy_from_slice(&sum.to_be_bytes());
        }
        buf[..head_len].copy_from_slice(&head[..head_len]);
        match (deflated, &self.coder) {
            (Some(deflated), Some(coder)) => {
                buf[front..front + deflated].copy_from_slice(&coder.scratch[..deflated]);
                front + deflated
            }
            _ => {
                if front < start {
                    buf.copy_within(start..len, front);
                }
                front + len - start
            }
        }
    }

    /// A datagram with one command in it.
    pub(super) fn write_single(
        &mut self,
        header: Header,
        connect_id: u32,
        command: &Command<'_>,
        buf: &mut [u8],
    ) -> usize {
        let start = HEADER + if self.config.checksum { CHECKSUM } else { 0 };
        let mut out = Writer { out: buf, at: start };
        command.write(&mut out);
        let len = out.at;
        self.seal(header, connect_id, buf, start, len)
    }

    fn write_farewell(&mut self, farewell: &Farewell, buf: &mut [u8]) -> (SocketAddr, usize) {
        let header = Header {
            peer: farewell.remote_id,
            session: farewell.remote_session,
            compressed: false,
            sent_time: None,
        };
        let body = Body::Disconnect { code: farewell.code };
        let command = Command { flags: UNSEQUENCED, channel: NO_CHANNEL, sequence: 0, body };
        (farewell.addr, self.write_single(header, farewell.connect_id, &command, buf))
    }
}

/// What becomes of a peer that was sent a datagram.
enum After {
    Nothing,
    More,
    Gone,
    Leaves(u32),
}
