//! Messages under way, and what must come of each: once, in order, unchanged, to every subscriber.

use std::sync::Arc;

use windlass_proto::mqtt::{Ack, Packet, PacketId, Publish, QoS};

use super::peer::{Voice, refused};
use crate::latency::Latency;
use crate::load::{Fault, Tally};
use crate::pattern::{PERIOD, Pattern};

/// Bytes in front of the pattern: who published it, and the how manieth it is.
pub(super) const HEAD: usize = 8;
/// Messages a publisher has under way at the most, where a schedule says when they are due.
const OPEN_MAX: u64 = 4096;
/// Packet identifiers there are.
const IDS: u64 = 65_535;

/// One message under way.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Subscribers that have not got it, and one more while it is not acknowledged.
    left: u32,
    /// When it was handed to its connection.
    sent: u64,
}

/// Who publishes on a connection.
#[derive(Debug)]
pub(super) struct Publisher {
    /// Its number in the whole run, which its messages carry.
    pub(super) number: u32,
    pub(super) client: usize,
    pub(super) topic: Arc<str>,
    /// Messages under way: message `n` is in slot `n % slots`.
    slots: Box<[Slot]>,
    /// Messages sent, and those of which nothing is awaited any more, all before them included.
    pub(super) sent: u64,
    pub(super) done: u64,
    /// Messages that a schedule asks for.
    pub(super) due: u64,
    unacknowledged: u32,
    pub(super) receive_maximum: u32,
    /// When something was last heard of its messages, or the wait began.
    pub(super) progress: u64,
}

impl Publisher {
    /// With so many messages under way; `None`: as a schedule wants.
    pub(super) fn new(number: u32, client: usize, topic: Arc<str>, depth: Option<u64>) -> Publisher {
        let slots = depth.unwrap_or(OPEN_MAX).min(IDS) as usize;
        Publisher {
            number,
            client,
            topic,
            slots: vec![Slot::default(); slots].into(),
            sent: 0,
            done: 0,
            due: 0,
            unacknowledged: 0,
            receive_maximum: u32::MAX,
            progress: 0,
        }
    }

    /// Whether another message may be sent now.
    pub(super) fn has_room(&self) -> bool {
        self.sent - self.done < self.slots.len() as u64 && self.unacknowledged < self.receive_maximum
    }

    /// Notes that message `sent` goes out; its identifier.
    pub(super) fn send(&mut self, qos: QoS, subscribers: u32, now: u64) -> Option<PacketId> {
        let acknowledged = qos != QoS::AtMostOnce;
        let at = self.sent as usize % self.slots.len();
        self.slots[at] = Slot { left: subscribers + u32::from(acknowledged), sent: now };
        if self.sent == self.done {
            self.progress = now;
        }
        let id = acknowledged.then(|| PacketId::MIN.saturating_add((self.sent % IDS) as u16));
        self.unacknowledged += u32::from(acknowledged);
        self.sent += 1;
        id
    }

    /// The message of an identifier, if it is under way.
    fn message_of(&self, id: PacketId) -> Option<u64> {
        let ahead = (u64::from(id.get() - 1) + IDS - self.done % IDS) % IDS;
        Some(self.done + ahead).filter(|&message| message < self.sent)
    }

    /// One thing less is awaited of `message`; when it was sent.
    fn less(&mut self, message: u64, now: u64) -> Option<u64> {
        if !(self.done..self.sent).contains(&message) {
            return None;
        }
        self.progress = now;
        let slots = self.slots.len();
        let slot = &mut self.slots[message as usize % slots];
        slot.left = slot.left.checked_sub(1)?;
        let sent = slot.sent;
        while self.done < self.sent && self.slots[self.done as usize % slots].left == 0 {
            self.done += 1;
        }
        Some(sent)
    }

    /// Deliveries and acknowledgements that are still awaited.
    pub(super) fn awaited(&self) -> u64 {
        (self.done..self.sent).map(|n| u64::from(self.slots[n as usize % self.slots.len()].left)).sum()
    }

    /// Counts the time of what is under way from `now` on.
    pub(super) fn restart(&mut self, now: u64) {
        for slot in &mut self.slots {
            slot.sent = slot.sent.max(now);
        }
        self.progress = now;
    }
}

/// What a connection is for.
#[derive(Debug, Clone)]
pub(super) enum Role {
    /// It publishes, as this one of the publishers.
    Publisher(usize),
    /// It hears the publishers from this one on, which are as many as numbers stand here: that of the message
    /// that is next of each.
    Subscriber { first: usize, next: Box<[u32]> },
}

/// All messages of a thread, and what it has seen of them.
pub(super) struct Flow {
    pub(super) publishers: Vec<Publisher>,
    pub(super) qos: QoS,
    pub(super) size: usize,
    pub(super) pattern: Arc<Pattern>,
    /// Publishers that may have room for another message, each perhaps more than once.
    pub(super) ready: Vec<u32>,
    /// Acknowledgements are what is counted: nobody subscribes.
    pub(super) counts_acks: bool,
    /// Only what falls between these two moments is counted.
    pub(super) window: (u64, u64),
    pub(super) tally: Tally,
    /// From a message's sending to its acknowledgement.
    pub(super) acknowledged: Latency,
    /// When a message was due, if a schedule says so: of a publisher's number and its message.
    pub(super) due: Option<Box<dyn Fn(u64, u64) -> u64 + Send>>,
}

impl Flow {
    /// The payload of a message.
    pub(super) fn write_payload(&self, publisher: u32, message: u32, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&publisher.to_be_bytes());
        out.extend_from_slice(&message.to_be_bytes());
        let mut at = start(publisher, message);
        while out.len() < self.size {
            let piece = self.pattern.piece(at, self.size - out.len());
            out.extend_from_slice(piece);
            at = crate::pattern::advance(at, piece.len());
        }
    }

    /// Takes a packet that came on a connection, and answers it.
    pub(super) fn take(
        &mut self,
        role: &mut Role,
        packet: &Packet<'_>,
        (voice, out): (&mut Voice, &mut Vec<u8>),
        now: u64,
    ) -> Result<(), Fault> {
        match (packet, role) {
            (Packet::Publish(publish), Role::Subscriber { first, next }) => {
                self.delivered(*first, next, publish, now)?;
                match (publish.qos, publish.id) {
                    (QoS::AtLeastOnce, Some(id)) => voice.say(&Packet::Puback(Ack::new(id)), out),
                    (QoS::ExactlyOnce, Some(id)) => voice.say(&Packet::Pubrec(Ack::new(id)), out),
                    _ => Ok(()),
                }
            }
            (Packet::Pubrel(ack), Role::Subscriber { .. }) => {
                voice.say(&Packet::Pubcomp(Ack::new(ack.id)), out)
            }
            (Packet::Pubrec(ack), Role::Publisher(_)) if self.qos == QoS::ExactlyOnce => {
                if ack.reason.is_error() {
                    return Err(refused("refuses a message", ack.reason));
                }
                voice.say(&Packet::Pubrel(Ack::new(ack.id)), out)
            }
            (Packet::Puback(ack), Role::Publisher(publisher)) if self.qos == QoS::AtLeastOnce => {
                self.acknowledge(*publisher, ack, now)
            }
            (Packet::Pubcomp(ack), Role::Publisher(publisher)) if self.qos == QoS::ExactlyOnce => {
                self.acknowledge(*publisher, ack, now)
            }
            _ => Err(Fault::Wrong(format!("{} that nobody asked for", packet.kind().name()))),
        }
    }

    fn delivered(
        &mut self,
        first: usize,
        next: &mut [u32],
        publish: &Publish<'_>,
        now: u64,
    ) -> Result<(), Fault> {
        let (head, body) = publish.payload.split_at_checked(HEAD).unwrap_or_default();
        let word = |at: usize| {
            head.get(at..at + 4)
                .map_or(0, |word| word.iter().fold(0_u32, |all, &byte| all << 8 | u32::from(byte)))
        };
        let (number, message) = (word(0), word(4));
        let base = self.publishers.get(first).map_or(0, |publisher| publisher.number);
        // Within a group numbers are consecutive, whatever the threads.
        let place = number.wrapping_sub(base) as usize;
        let publisher = self.publishers.get(first + place).filter(|_| place < next.len());
        let same = publisher
            .is_some_and(|publisher| publish.topic.is_some_and(|topic| topic.as_str() == &*publisher.topic));
        let fits = publish.payload.len() == self.size && publish.qos == self.qos && !publish.retain;
        if !same || !fits || self.pattern.verify(start(number, message), body).is_err() {
            return Err(Fault::Wrong(format!(
                "a message that nobody published so: {} bytes, QoS {}",
                publish.payload.len(),
                publish.qos as u8
            )));
        }
        let publisher = &mut self.publishers[first + place];
        // Numbers on the wire begin again after 2^32.
        let whole = |message: u32| publisher.done + u64::from(message.wrapping_sub(publisher.done as u32));
        let expected = next[place];
        let gap = message.wrapping_sub(expected);
        if gap > u32::MAX / 2 {
            let what = format!("message {message} of publisher {number} came again, or out of order");
            self.tally.fault(&Fault::Delivery { kind: "repeated", what }, Fault::to_string);
            return Ok(());
        }
        let (message, expected) = (whole(message), whole(expected));
        if gap > 0 {
            let what = format!("messages {expected} to {} of publisher {number} did not come", message - 1);
            self.tally.fault(&Fault::Delivery { kind: "missing", what }, Fault::to_string);
            // Nobody waits for them any more.
            for lost in expected..message {
                publisher.less(lost, now);
            }
        }
        next[place] = (message + 1) as u32;
        let Some(sent) = publisher.less(message, now) else { return Err(Fault::Surplus) };
        self.ready.push((first + place) as u32);
        let received = publish.payload.len() as u64;
        self.count(number, message, sent, received, now);
        Ok(())
    }

    /// Counts a message that has come to somebody.
    fn count(&mut self, number: u32, message: u64, sent: u64, bytes: u64, now: u64) {
        self.tally.messages += 1;
        let within = |moment: u64| self.window.0 <= moment && moment < self.window.1;
        if within(now) {
            self.tally.counted += 1;
            self.tally.counted_bytes += bytes;
        }
        match self.due.as_ref().map(|due| due(u64::from(number), message)) {
            None if within(now) => self.tally.latency.record(now.saturating_sub(sent)),
            Some(due) if within(due) => {
                self.tally.latency.record(now.saturating_sub(due));
                self.tally.from_sending.record(now.saturating_sub(sent));
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, index: usize, ack: &Ack<'_>, now: u64) -> Result<(), Fault> {
        if ack.reason.is_error() {
            return Err(refused("refuses a message", ack.reason));
        }
        let publisher = &mut self.publishers[index];
        let message = publisher.message_of(ack.id);
        let Some((message, sent)) = message.and_then(|it| Some((it, publisher.less(it, now)?))) else {
            return Err(Fault::Wrong(format!(
                "an acknowledgement of packet {}, which is not under way",
                ack.id
            )));
        };
        publisher.unacknowledged -= 1;
        let number = publisher.number;
        if self.window.0 <= now && now < self.window.1 {
            self.acknowledged.record(now.saturating_sub(sent));
        }
        if self.counts_acks {
            self.count(number, message, sent, self.size as u64, now);
        }
        self.ready.push(index as u32);
        Ok(())
    }
}

/// Where the pattern of a message begins.
fn start(publisher: u32, message: u32) -> usize {
    let mixed = u64::from(publisher) * 7919 + u64::from(message) * 104_729;
    (mixed % PERIOD as u64) as usize
}
