//! The state of a client identifier, which may outlive its connection.
//!
//! Read [`Session`] first, then `queue` and `pump`: how messages wait and go out. `will` is what is published when a
//! client is gone, `table` where sessions are found.

pub(crate) mod message;
mod pump;
pub(crate) mod queue;
mod subscribed;
mod table;
pub(crate) mod will;

use std::collections::VecDeque;
use std::sync::Arc;

use windlass::{ConnId, Time};
use windlass_proto::mqtt::{Filter, Incoming, Outgoing, Scan, SubscribeOptions, Version};

use crate::access::Belonging;
use crate::memory::{OurAliases, Units};
use crate::route::elsewhere::State;
use crate::timers::Deadline;
use message::Message;
pub(crate) use pump::Pumped;
use queue::{How, Queue};
pub(crate) use subscribed::Subscribed;
pub(crate) use table::{Key, Sessions};
use will::Will;

/// The state of a client identifier (section 3.1.2.4 of 3.1.1, 4.1 of 5.0).
///
/// What most sessions do not need is behind a pointer: one that is idle and has one subscription takes some 350 bytes, its connection included.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Box<str>,
    /// Its number in the journal; 0: nothing of it is written down.
    pub(crate) number: u64,
    /// The level of the protocol of its last connection.
    pub(crate) level: u8,
    /// Who the client is: a session is taken over by nobody else.
    pub(crate) user: Option<Arc<str>>,
    /// What is known of it, and what it may do.
    pub(crate) belonging: Belonging,
    /// Its connection, while it has one.
    pub(crate) link: Option<Box<Link>>,
    /// Seconds it is kept without a connection: 0 is not at all, `u32::MAX` for ever.
    pub(crate) expiry: u32,
    pub(crate) subscriptions: Subscribed,
    /// Messages in flight to the client. Their content is kept only if the session outlives the connection.
    pub(crate) outgoing: Option<Box<Outgoing<Sent>>>,
    /// Messages in flight from the client.
    pub(crate) incoming: Option<Box<Incoming>>,
    pub(crate) queue: Queue,
    /// Retained messages that are still to be sent. Every subscription begins with some, be they the hub's own, so
    /// the room for them is given back.
    #[allow(clippy::box_collection, reason = "every session has it: one word, and mostly none")]
    pub(crate) scans: Option<Box<VecDeque<Replay>>>,
    pub(crate) will: Option<Box<Will>>,
    /// When the connection ended, or the session was found.
    pub(crate) since: Time,
    /// Its deadline among the timers, if it has one.
    pub(crate) timer: Deadline,
    /// It has shared subscriptions, and there are other workers: how they know it to be.
    pub(crate) standing: Option<State>,
    /// The publication that this session is among the receivers of, and where.
    pub(crate) mark: u64,
    pub(crate) mark_at: u32,
    /// What it is counted with, its subscriptions and what is in flight included.
    pub(crate) units: Units,
}

/// A message in flight. Without its content there is nothing to send again.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sent {
    pub(crate) message: Option<Arc<Message>>,
    pub(crate) how: How,
}

/// What a session knows of its connection. Every client has one, so it is small: without `sent`, which only those need who
/// ask about clients, it has 40 bytes, and with an allocator's share 48.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) version: Version,
    /// Bits of [`flag`].
    pub(crate) flags: u8,
    /// Messages of QoS 1 and 2 that the client takes at once.
    pub(crate) receive_max: u16,
    /// Bytes of the longest packet it takes; `u32::MAX`: any.
    pub(crate) packet_max: u32,
    pub(crate) aliases: Option<Box<OurAliases>>,
    /// What is told it waits until this record is committed.
    pub(crate) held: u64,
    /// Bytes of that.
    pub(crate) held_bytes: u32,
    /// Messages that were sent to it.
    #[cfg(feature = "inspect")]
    pub(crate) sent: u64,
}

/// What is so of a connection, or not.
pub(crate) mod flag {
    /// Packets go in frames of a WebSocket.
    pub(crate) const WEBSOCKET: u8 = 1;
    /// Reason strings and user properties of acknowledgements are wanted ([MQTT-3.1.2-29]).
    pub(crate) const WANTS_PROBLEMS: u8 = 1 << 1;
    /// The client is on this machine.
    pub(crate) const LOCAL: u8 = 1 << 2;
    /// CONNACK has not been sent, and nothing is before it.
    pub(crate) const OPENING: u8 = 1 << 3;
}

impl Link {
    /// Whether this bit of [`flag`] is set.
    #[inline]
    pub(crate) fn is(&self, bit: u8) -> bool {
        self.flags & bit != 0
    }

    /// CONNACK is on its way.
    #[inline]
    pub(crate) fn opened(&mut self) {
        self.flags &= !flag::OPENING;
    }

    /// One more message was sent to it.
    #[inline]
    pub(crate) fn count_sent(&mut self) {
        #[cfg(feature = "inspect")]
        {
            self.sent += 1;
        }
    }

    /// Bytes of the longest packet that the client takes.
    #[inline]
    pub(crate) fn send_max(&self) -> usize {
        self.packet_max_said().map_or(usize::MAX, |max| max as usize)
    }

    /// The same, if it said so.
    pub(crate) fn packet_max_said(&self) -> Option<u32> {
        Some(self.packet_max).filter(|max| *max != u32::MAX)
    }
}

/// One subscription.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Subscription {
    pub(crate) filter: Box<str>,
    pub(crate) options: SubscribeOptions,
    /// The client's number for it; 0: none.
    pub(crate) id: u32,
}

/// Retained messages on their way to a new subscription. Each filter has one at most.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) filter: Box<str>,
    /// How far the search is; `None` before it begins. It does not outlive the connection, since the tree keeps all of
    /// its places for it: in the next one it begins again.
    pub(crate) scan: Option<Scan>,
    /// Which question it answers: what is retained later comes as it is published.
    pub(crate) asked: u64,
    /// The journal has it that this is not over.
    pub(crate) is_noted: bool,
    pub(crate) options: SubscribeOptions,
    pub(crate) id: u32,
}

impl Session {
    pub(crate) fn new(client_id: Box<str>, now: Time) -> Session {
        Session {
            client_id,
            number: 0,
            level: 5,
            user: None,
            belonging: Belonging::default(),
            link: None,
            expiry: 0,
            subscriptions: Subscribed::default(),
            outgoing: None,
            incoming: None,
            queue: Queue::default(),
            scans: None,
            will: None,
            since: now,
            timer: Deadline::default(),
            standing: None,
            mark: 0,
            mark_at: 0,
            units: Units::default(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// How it is as a member of a group.
    pub(crate) fn state(&self) -> State {
        match (self.is_connected(), self.queue.is_empty()) {
            (true, true) => State::Idle,
            (true, false) => State::Busy,
            (false, _) => State::Away,
        }
    }

    /// Whether it outlives its connection.
    pub(crate) fn is_kept(&self) -> bool {
        self.expiry > 0
    }

    /// The first of the searches for retained messages.
    pub(crate) fn scan(&mut self) -> Option<&mut Replay> {
        self.scans.as_mut()?.front_mut()
    }

    /// The first of them is over.
    pub(crate) fn scan_over(&mut self) -> Option<Replay> {
        let scans = self.scans.as_mut()?;
        let over = scans.pop_front();
        if scans.is_empty() {
            self.scans = None;
        }
        over
    }

    pub(crate) fn subscription(&mut self, filter: Filter<'_>) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|it| *it.filter == *filter.as_str())
    }
}

#[cfg(test)]
mod tests;
