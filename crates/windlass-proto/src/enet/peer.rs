//! One peer: its state, and the queues and figures that belong to it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::channel::{Channel, Waiting, give_back};
use super::config::Config;
use super::event::PeerId;
use super::output::{Output, Patience};
use super::pace::Pace;
use super::wire::{ACK_LEN, Body, Command, Throttle, WINDOW_MAX, WINDOW_MIN, Writer};

/// Acknowledgements that wait for a datagram, at most. A peer that wants more at once gets them when it sends again.
const ACKS_MAX: usize = 4096;

/// Those that memory is kept for: they are short.
const OWED_KEPT: usize = 8;

const WINDOW_SCALE: u32 = 64 * 1024;

/// Unsequenced messages are told apart within so many, and taken up to so many windows ahead.
const UNSEQUENCED_WINDOW: u16 = 1024;
const UNSEQUENCED_WINDOWS: u32 = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// We have asked, and wait for the answer.
    Connecting,
    Connected,
    /// We disconnect with this number as soon as everything is acknowledged.
    Leaving(u32),
    /// We have said so, and wait for the acknowledgement.
    Disconnecting,
    /// The peer has said so, and its acknowledgement is still to be sent. It is gone for the application.
    Left,
}

/// An acknowledgement that is owed.
#[derive(Clone, Copy, Debug)]
struct Owed {
    channel: u8,
    sequence: u16,
    sent_time: u16,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) addr: SocketAddr,
    pub(super) state: State,
    /// What it speaks to us by, and the session of it.
    pub(super) own_id: u16,
    pub(super) own_session: u8,
    /// What we speak to it by.
    pub(super) remote_id: u16,
    pub(super) remote_session: u8,
    pub(super) connect_id: u32,
    pub(super) code: u32,
    pub(super) mtu: u16,
    pub(super) window: u32,
    pub(super) incoming_bandwidth: u32,
    pub(super) outgoing_bandwidth: u32,
    /// The incoming bandwidth that it was told last.
    pub(super) told_bandwidth: u32,
    pub(super) channels: Vec<Option<Box<Channel>>>,
    pub(super) pace: Pace,
    pub(super) output: Output,
    owed: VecDeque<Owed>,
    unsequenced_from: u16,
    /// Which unsequenced messages of the window have come; nothing before the first.
    unsequenced: Option<Box<[u64; UNSEQUENCED_WINDOW as usize / 64]>>,
    pub(super) waiting: Waiting,
    /// When an acknowledgement came last, or the connection began.
    pub(super) heard_at: u64,
    pub(super) ping_interval: u32,
    pub(super) patience: Patience,
    /// It is counted under this hash of its network: it has connected to us.
    pub(super) network: Option<u64>,
    /// The next peer with the same own id.
    pub(super) next_same_id: u32,
    /// It stands in the queue of those that have something to send.
    pub(super) queued: bool,
    /// Since when.
    pub(super) queued_at: u64,
    /// Bytes queued for it since the bandwidth was last divided.
    pub(super) outgoing_bytes: u64,
}

impl Peer {
    pub(super) fn new(config: &Config, id: PeerId, addr: SocketAddr, now: u64, throttle: Throttle) -> Peer {
        Peer {
            id,
            addr,
            state: State::Connecting,
            own_id: 0,
            own_session: 0,
            remote_id: super::wire::NO_PEER,
            remote_session: 0,
            connect_id: 0,
            code: 0,
            mtu: config.mtu,
            window: WINDOW_MAX,
            incoming_bandwidth: 0,
            outgoing_bandwidth: 0,
            told_bandwidth: config.incoming_bandwidth,
            channels: Vec::new(),
            pace: Pace::new(throttle),
            output: Output::new(),
            owed: VecDeque::new(),
            unsequenced_from: 0,
            unsequenced: None,
            waiting: Waiting {
                held: 0,
                untaken: 0,
                max: config.waiting_max,
                message_max: config.message_max,
            },
            heard_at: now,
            ping_interval: config.ping_interval_ms,
            patience: Patience {
                limit: config.timeout_limit,
                minimum: config.timeout_minimum_ms,
                maximum: config.timeout_maximum_ms,
            },
            network: None,
            next_same_id: super::wheel::NONE,
            queued: false,
            queued_at: 0,
            outgoing_bytes: 0,
        }
    }

    /// Bytes of one message of its, and of what waits.
    pub(super) fn set_incoming_max(&mut self, message_max: usize, waiting_max: usize) {
        self.waiting.message_max = message_max;
        self.waiting.max = waiting_max.max(message_max.saturating_mul(2));
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected | State::Leaving(_))
    }

    pub(super) fn set_channels(&mut self, count: usize) {
        let mut channels = Vec::new();
        channels.reserve_exact(count);
        channels.resize_with(count, || None);
        self.channels = channels;
    }

    /// The channel, if the peer has it.
    #[inline]
    pub(super) fn channel(&mut self, number: u8) -> Option<&mut Channel> {
        let channel = self.channels.get_mut(usize::from(number))?;
        Some(channel.get_or_insert_default())
    }

    /// Remembers that this command is to be acknowledged. `false`: there are too many already.
    pub(super) fn owe(&mut self, channel: u8, sequence: u16, sent_time: u16) -> bool {
        if let Some(Some(open)) = self.channels.get(usize::from(channel))
            && !open.acknowledges(sequence)
        {
            return true;
        }
        if self.owed.len() >= ACKS_MAX {
            return false;
        }
        self.owed.push_back(Owed { channel, sequence, sent_time });
        true
    }

    pub(super) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Everything that is to be sent is dropped, what is received and waits as well.
    pub(super) fn clear(&mut self) {
        self.owed = VecDeque::new();
        self.output.clear();
        self.channels = Vec::new();
        self.waiting.held = 0;
    }

    pub(super) fn write_owed(&mut self, out: &mut Writer<'_>, limit: usize) {
        while out.at + ACK_LEN <= limit {
            let Some(owed) = self.owed.pop_front() else { break };
            let body = Body::Acknowledge { sequence: owed.sequence, sent_time: owed.sent_time };
            Command { flags: 0, channel: owed.channel, sequence: owed.sequence, body }.write(out);
        }
        give_back(&mut self.owed, OWED_KEPT);
    }

    /// Whether this unsequenced message is new; it is not the next time.
    pub(super) fn is_new_unsequenced(&mut self, group: u16) -> bool {
        let index = group % UNSEQUENCED_WINDOW;
        let mut ahead = u32::from(group);
        if group < self.unsequenced_from {
            ahead += 0x1_0000;
        }
        if ahead >= u32::from(self.unsequenced_from) + UNSEQUENCED_WINDOWS * u32::from(UNSEQUENCED_WINDOW) {
            return false;
        }
        let seen = self.unsequenced.get_or_insert_with(|| Box::new([0; UNSEQUENCED_WINDOW as usize / 64]));
        if group - index != self.unsequenced_from {
            self.unsequenced_from = group - index;
            seen.fill(0);
        }
        let word = &mut seen[usize::from(index) / 64];
        let bit = 1 << (index % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// It is connected, has acknowledged nothing for a while and owes nothing: a ping is due.
    pub(super) fn is_silent(&self, now: u64) -> bool {
        now.saturating_sub(self.heard_at) >= u64::from(self.ping_interval)
            && self.state == State::Connected
            && !self.output.expects_acknowledgement()
    }

    /// When it wants to be looked at: something may be lost, or a ping is due.
    pub(super) fn deadline(&self) -> u64 {
        match self.state {
            State::Connected if !self.output.expects_acknowledgement() => {
                self.heard_at.saturating_add(u64::from(self.ping_interval))
            }
            _ => self.output.next_timeout,
        }
    }
}

/// How many bytes of reliable messages may be under way, for what two ends say of their bandwidth.
pub(super) fn window_for(ours: u32, theirs: u32) -> u32 {
    let bandwidth = match (ours, theirs) {
        (0, 0) => return WINDOW_MAX,
        (0, one) | (one, 0) => one,
        (ours, theirs) => ours.min(theirs),
    };
    (bandwidth / WINDOW_SCALE).saturating_mul(WINDOW_MIN).clamp(WINDOW_MIN, WINDOW_MAX)
}
