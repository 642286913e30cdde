//! What is to be sent to one peer, and what of it was sent and not acknowledged.
//!
//! Four queues. What is *reliable* waits while as many bytes are under way as the window allows. What is *loose*
//! (unreliable messages, and commands without a message) does not wait for that. What is lost goes *again*, before
//! everything else. What is *sent* waits for its acknowledgement.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::channel::{Channel, KEPT, OVERHEAD, append, give_back};
use super::pace::{Pace, SCALE};
use super::wire::{ACKNOWLEDGE, Body, Command, Fragment, NO_CHANNEL, Terms, Throttle, UNSEQUENCED, Writer};

/// Reliable commands under way, at most, however short they are. The other end has to keep what is behind a lost
/// one, and to acknowledge all of them.
const IN_TRANSIT_MAX: usize = 4096;

/// A piece of a message that many commands, and many peers, may share.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) message: Arc<[u8]>,
    pub(super) start: u16,
    pub(super) count: u32,
    pub(super) number: u32,
    pub(super) offset: u32,
    pub(super) len: u16,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Connect(Box<(Terms, u32)>),
    Disconnect(u32),
    Ping,
    Bandwidth { incoming: u32, outgoing: u32 },
    Throttle(Throttle),
    Reliable(Arc<[u8]>),
    Unreliable(u16, Arc<[u8]>),
    Unsequenced(u16, Arc<[u8]>),
    Fragment(Piece),
    UnreliableFragment(Piece),
}

impl What {
    fn message_len(&self) -> usize {
        match self {
            What::Reliable(bytes) | What::Unreliable(_, bytes) | What::Unsequenced(_, bytes) => bytes.len(),
            What::Fragment(piece) | What::UnreliableFragment(piece) => usize::from(piece.len),
            _ => 0,
        }
    }

    fn is_message(&self) -> bool {
        matches!(
            self,
            What::Reliable(_)
                | What::Unreliable(..)
                | What::Unsequenced(..)
                | What::Fragment(_)
                | What::UnreliableFragment(_)
        )
    }

    fn body(&self) -> Body<'_> {
        match self {
            What::Connect(connect) => Body::Connect { terms: connect.0, code: connect.1 },
            What::Disconnect(code) => Body::Disconnect { code: *code },
            What::Ping => Body::Ping,
            What::Bandwidth { incoming, outgoing } => {
                Body::Bandwidth { incoming: *incoming, outgoing: *outgoing }
            }
            What::Throttle(throttle) => Body::Throttle(*throttle),
            What::Reliable(bytes) => Body::Reliable(bytes),
            What::Unreliable(sequence, bytes) => Body::Unreliable { sequence: *sequence, bytes },
            What::Unsequenced(group, bytes) => Body::Unsequenced { group: *group, bytes },
            What::Fragment(piece) => Body::Fragment(piece.fragment()),
            What::UnreliableFragment(piece) => Body::UnreliableFragment(piece.fragment()),
        }
    }
}

impl Piece {
    fn fragment(&self) -> Fragment<'_> {
        let from = self.offset as usize;
        Fragment {
            start: self.start,
            count: self.count,
            number: self.number,
            total: self.message.len() as u32,
            offset: self.offset,
            bytes: &self.message[from..from + usize::from(self.len)],
        }
    }
}

#[derive(Clone, Debug)]
struct Queued {
    what: What,
    flags: u8,
    channel: u8,
    sequence: u16,
    /// When it was queued, among the other queues'.
    order: u32,
    attempts: u8,
    sent_at: u64,
    /// Milliseconds after which it is lost; zero before it was sent.
    timeout: u32,
}

impl Queued {
    fn is_reliable(&self) -> bool {
        self.flags & ACKNOWLEDGE != 0
    }

    fn command(&self) -> Command<'_> {
        Command { flags: self.flags, channel: self.channel, sequence: self.sequence, body: self.what.body() }
    }

    fn cost(&self) -> usize {
        OVERHEAD + self.what.message_len()
    }
}

/// What came of filling a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Filled {
    /// Something in it wants to be acknowledged.
    pub(super) reliable: bool,
    /// There was more than fits.
    pub(super) more: bool,
}

/// What came of looking for lost commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lost {
    Nothing,
    Some,
    /// The peer is given up.
    All,
}

/// How long is too long, as [`Config`](super::Config) says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Patience {
    pub(super) limit: u32,
    pub(super) minimum: u32,
    pub(super) maximum: u32,
}

/// What the peer's other parts have to say about a datagram.
pub(super) struct Terrain<'a> {
    pub(super) now: u64,
    pub(super) pace: &'a mut Pace,
    pub(super) channels: &'a mut [Option<Box<Channel>>],
    pub(super) window: u32,
    pub(super) mtu: u16,
    /// Counts messages that the throttle drops, and commands sent again.
    pub(super) throttled: &'a mut u64,
    pub(super) resent: &'a mut u64,
}

#[derive(Debug)]
pub(super) struct Output {
    again: VecDeque<Queued>,
    loose: VecDeque<Queued>,
    reliable: VecDeque<Queued>,
    sent: VecDeque<Queued>,
    /// Commands among the loose ones that are acknowledged.
    controls: u32,
    order: u32,
    /// What all of it is counted as.
    pub(super) bytes: usize,
    /// Bytes of reliable messages under way.
    in_transit: u32,
    /// The number of the last command of no channel.
    control: u16,
    /// The number of the last unsequenced message.
    group: u16,
    /// Nothing sent is lost before.
    pub(super) next_timeout: u64,
    /// When the oldest command that is lost, with none acknowledged since, was sent.
    earliest_lost: Option<u64>,
    pub(super) sent_total: u64,
    pub(super) resent_total: u64,
}

impl Output {
    pub(super) fn new() -> Output {
        Output {
            again: VecDeque::new(),
            loose: VecDeque::new(),
            reliable: VecDeque::new(),
            sent: VecDeque::new(),
            controls: 0,
            order: 0,
            bytes: 0,
            in_transit: 0,
            control: 0,
            group: 0,
            next_timeout: u64::MAX,
            earliest_lost: None,
            sent_total: 0,
            resent_total: 0,
        }
    }

    /// Nothing is left, neither to be sent nor to be acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty() && !self.wants_sending()
    }

    pub(super) fn wants_sending(&self) -> bool {
        !(self.loose.is_empty() && self.reliable.is_empty() && self.again.is_empty())
    }

    /// Something that wants to be acknowledged may be sent.
    pub(super) fn has_reliable(&self) -> bool {
        self.controls > 0 || !self.reliable.is_empty() || !self.again.is_empty()
    }

    /// Something was sent that wants to be acknowledged, or will be.
    pub(super) fn expects_acknowledgement(&self) -> bool {
        !self.sent.is_empty() || !self.again.is_empty()
    }

    /// Everything is dropped.
    pub(super) fn clear(&mut self) {
        self.again = VecDeque::new();
        self.loose = VecDeque::new();
        self.reliable = VecDeque::new();
        self.sent = VecDeque::new();
        self.controls = 0;
        self.bytes = 0;
        self.in_transit = 0;
        self.next_timeout = u64::MAX;
        self.earliest_lost = None;
    }

    fn push(&mut self, what: What, flags: u8, channel: u8, sequence: u16) {
        self.order = self.order.wrapping_add(1);
        let reliable = flags & ACKNOWLEDGE != 0 && what.is_message();
        let queued =
            Queued { what, flags, channel, sequence, order: self.order, attempts: 0, sent_at: 0, timeout: 0 };
        self.bytes += queued.cost();
        if reliable {
            append(&mut self.reliable, queued);
        } else {
            append(&mut self.loose, queued);
        }
    }

    /// A command of no channel, acknowledged.
    pub(super) fn push_control(&mut self, what: What) {
        self.control = self.control.wrapping_add(1);
        self.controls += 1;
        self.push(what, ACKNOWLEDGE, NO_CHANNEL, self.control);
    }

    /// Counts one command of no channel that was sent without this queue.
    pub(super) fn skip_control(&mut self) {
        self.control = self.control.wrapping_add(1);
    }

    pub(super) fn push_reliable(&mut self, channel: u8, sequence: u16, what: What) {
        self.push(what, ACKNOWLEDGE, channel, sequence);
    }

    /// `sequence` is that of the reliable message before it.
    pub(super) fn push_unreliable(&mut self, channel: u8, sequence: u16, what: What) {
        self.push(what, 0, channel, sequence);
    }

    /// The number of the next unsequenced message.
    pub(super) fn next_group(&mut self) -> u16 {
        self.group = self.group.wrapping_add(1);
        self.group
    }

    pub(super) fn push_unsequenced(&mut self, channel: u8, message: Arc<[u8]>) {
        let group = self.next_group();
        self.push(What::Unsequenced(group, message), UNSEQUENCED, channel, 0);
    }

    /// Writes as many commands as fit below `limit`.
    pub(super) fn fill(&mut self, out: &mut Writer<'_>, limit: usize, terrain: &mut Terrain<'_>) -> Filled {
        let share = u64::from(terrain.pace.share) * u64::from(terrain.window) / u64::from(SCALE);
        let window = (share as u32).max(u32::from(terrain.mtu));
        let mut filled = Filled::default();
        // What is reliable goes in its order or not at all.
        let mut blocked = false;

        loop {
            let source = match (self.again.front(), self.loose.front(), self.reliable.front()) {
                (Some(again), ..) if !(blocked && again.what.is_message()) => Source::Again,
                (_, None, None) => break,
                (_, None, Some(_)) if blocked => break,
                (_, Some(loose), Some(reliable))
                    if !blocked && (reliable.order.wrapping_sub(loose.order) as i32) < 0 =>
                {
                    Source::Reliable
                }
                (_, None, Some(_)) => Source::Reliable,
                (_, Some(_), _) => Source::Loose,
            };
            let queue = match source {
                Source::Again => &mut self.again,
                Source::Loose => &mut self.loose,
                Source::Reliable => &mut self.reliable,
            };
            let Some(next) = queue.front_mut() else { break };
            let message_len = next.what.message_len() as u32;

            if next.is_reliable() && next.what.is_message() {
                let begins = next.attempts == 0;
                let channel = terrain.channels.get_mut(usize::from(next.channel)).and_then(Option::as_mut);
                if begins && channel.as_ref().is_some_and(|channel| !channel.may_begin(next.sequence))
                    || self.in_transit + message_len > window
                    || self.sent.len() >= IN_TRANSIT_MAX
                {
                    blocked = true;
                    continue;
                }
            }
            let command = next.command();
            if out.at + command.len() > limit {
                filled.more = true;
                break;
            }
            if !next.is_reliable() && next.what.is_message() && starts(&next.what) && !terrain.pace.admits() {
                *terrain.throttled += 1;
                self.drop_front_message();
                continue;
            }
            command.write(out);
            let Some(mut next) = queue.pop_front() else { break };
            if !next.is_reliable() {
                self.bytes -= next.cost();
                continue;
            }
            filled.reliable = true;
            self.controls -= u32::from(matches!(source, Source::Loose));
            if next.attempts == 0
                && next.what.is_message()
                && let Some(Some(channel)) = terrain.channels.get_mut(usize::from(next.channel))
            {
                channel.began(next.sequence);
            }
            self.sent_total += 1;
            self.resent_total += u64::from(next.attempts > 0);
            *terrain.resent += u64::from(next.attempts > 0);
            next.attempts = next.attempts.saturating_add(1);
            if next.timeout == 0 {
                next.timeout = terrain.pace.timeout();
            }
            next.sent_at = terrain.now;
            self.in_transit += message_len;
            self.next_timeout = self.next_timeout.min(terrain.now + u64::from(next.timeout));
            append(&mut self.sent, next);
        }
        give_back(&mut self.again, 0);
        give_back(&mut self.loose, KEPT);
        give_back(&mut self.reliable, KEPT);
        filled
    }

    // The unreliable message that is next, with all of its fragments.
    fn drop_front_message(&mut self) {
        let Some(first) = self.loose.pop_front() else { return };
        self.bytes -= first.cost();
        let What::UnreliableFragment(piece) = &first.what else { return };
        while let Some(next) = self.loose.front() {
            match &next.what {
                What::UnreliableFragment(other)
                    if next.channel == first.channel
                        && next.sequence == first.sequence
                        && other.start == piece.start => {}
                _ => break,
            }
            self.bytes -= next.cost();
            self.loose.pop_front();
        }
    }

    /// The other end has this command. Gives back what it was, unless it was acknowledged before.
    pub(super) fn acknowledge(
        &mut self,
        channel: u8,
        sequence: u16,
        channels: &mut [Option<Box<Channel>>],
    ) -> Option<What> {
        self.earliest_lost = None;
        let is_it = |queued: &Queued| queued.sequence == sequence && queued.channel == channel;
        let queued = match self.sent.iter().position(is_it) {
            Some(place) => {
                let queued = self.sent.remove(place)?;
                self.in_transit -= queued.what.message_len() as u32;
                queued
            }
            // It was late, and counted as lost.
            None => {
                let place = self.again.iter().position(is_it)?;
                self.again.remove(place)?
            }
        };
        self.bytes -= queued.cost();
        if queued.what.is_message()
            && let Some(Some(channel)) = channels.get_mut(usize::from(channel))
        {
            channel.arrived(sequence);
        }
        if self.sent.is_empty() {
            self.next_timeout = u64::MAX;
            give_back(&mut self.sent, KEPT);
        }
        Some(queued.what)
    }

    /// Moves what is lost to what goes again.
    pub(super) fn expire(&mut self, now: u64, patience: Patience) -> Lost {
        if now < self.next_timeout {
            return Lost::Nothing;
        }
        self.next_timeout = u64::MAX;
        let mut lost = Lost::Nothing;
        for _ in 0..self.sent.len() {
            let Some(mut queued) = self.sent.pop_front() else { break };
            let age = now.saturating_sub(queued.sent_at);
            if age < u64::from(queued.timeout) {
                self.next_timeout = self.next_timeout.min(queued.sent_at + u64::from(queued.timeout));
                self.sent.push_back(queued);
                continue;
            }
            let earliest = self.earliest_lost.map_or(queued.sent_at, |earliest| earliest.min(queued.sent_at));
            self.earliest_lost = Some(earliest);
            let silent = now.saturating_sub(earliest);
            let factor = 1_u32.checked_shl(u32::from(queued.attempts).saturating_sub(1)).unwrap_or(u32::MAX);
            if silent >= u64::from(patience.maximum)
                || (factor >= patience.limit && silent >= u64::from(patience.minimum))
            {
                return Lost::All;
            }
            lost = Lost::Some;
            queued.timeout = queued.timeout.saturating_mul(2);
            self.in_transit -= queued.what.message_len() as u32;
            self.again.push_back(queued);
        }
        lost
    }
}

enum Source {
    Again,
    Loose,
    Reliable,
}

/// Whether it is the beginning of a message: what the throttle decides about.
fn starts(what: &What) -> bool {
    !matches!(what, What::UnreliableFragment(piece) if piece.number > 0)
}
