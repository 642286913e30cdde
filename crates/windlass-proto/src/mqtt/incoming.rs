//! Messages of QoS 1 and 2 on their way in: which are new, and which acknowledgement goes when (sections 4.3, 4.4,
//! 4.6 of both versions, 4.9 of 5.0).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;

use super::{Kind, MqttError, PacketId, QoS, Reason, table};

/// The receiver's half of a session, either end's. Its QoS 2 part outlives the connection.
///
/// A message is acknowledged when its receiver has taken it over, which may take a while: a store has to say so.
/// [`ready`](Incoming::ready) says it, in any order, and [`next_ack`](Incoming::next_ack) gives acknowledgements in the order
/// the messages came in ([MQTT-4.6.0-2], [MQTT-4.6.0-3]).
///
/// ```
/// use windlass_proto::mqtt::{Arrival, Incoming, Kind, PacketId, QoS, Reason};
///
/// let id = |id| PacketId::new(id).unwrap();
/// let mut incoming = Incoming::new(20, true);
/// let Arrival::New(seven) = incoming.publish(QoS::ExactlyOnce, id(7), false)? else { panic!() };
/// let Arrival::New(eight) = incoming.publish(QoS::AtLeastOnce, id(8), false)? else { panic!() };
///
/// incoming.ready(eight, Reason::Success);
/// assert_eq!(incoming.next_ack(), None, "7 came first");
/// incoming.ready(seven, Reason::Success);
/// assert_eq!(incoming.next_ack(), Some((Kind::Pubrec, id(7), Reason::Success)));
/// assert_eq!(incoming.next_ack(), Some((Kind::Puback, id(8), Reason::Success)));
///
/// assert_eq!(incoming.publish(QoS::ExactlyOnce, id(7), true), Ok(Arrival::Duplicate));
/// assert_eq!(incoming.next_ack(), Some((Kind::Pubrec, id(7), Reason::Success)));
/// assert_eq!(incoming.pubrel(id(7)), Reason::Success); // of the PUBCOMP to send
/// # Ok::<(), windlass_proto::mqtt::IncomingError>(())
/// ```
#[derive(Clone)]
pub struct Incoming {
    entries: HashMap<PacketId, Entry>,
    /// Acknowledgements to be sent, in the order of their messages; those of one number are `order - first`.
    acks: VecDeque<Ack>,
    first: u64,
    receive_max: usize,
    enforced: bool,
    exceeded: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// QoS 1 without PUBACK. The number is that of its acknowledgement, and of its ticket.
    Puback(u64),
    /// QoS 2 that is being taken over, with the number of its ticket, and that of its acknowledgement if it came in
    /// this connection.
    Pubrec(u64, Option<u64>),
    /// QoS 2 that is taken over: PUBREL is to come. The number is that of a PUBREC that waits to be sent.
    Pubrel(Option<u64>),
}

#[derive(Clone, Copy)]
struct Ack {
    id: PacketId,
    kind: Kind,
    state: Waiting,
}

#[derive(Clone, Copy)]
enum Waiting {
    /// For the message to be taken over.
    Store,
    /// To be sent.
    Ready(Reason),
    /// For nothing any more.
    Void,
}

/// One for each identifier, and as many that became void behind one that waits. Only a peer that wants to gets there.
const ACKS_MAX: usize = 2 * 65_535;

/// What a message that came is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// One of QoS 0, to pass on.
    AtMostOnce,
    /// One to pass on, and to say [`ready`](Incoming::ready) for.
    New(Ticket),
    /// One that was passed on already: nothing is to be done for it ([MQTT-4.3.3-2], [MQTT-4.3.3-10]).
    Duplicate,
}

/// A message that is being taken over. Its identifier would not do: once the connection is another one, it may stand
/// for another message before the store has answered for this one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket {
    id: PacketId,
    number: u64,
}

impl Ticket {
    /// The identifier the message came under.
    #[inline]
    pub const fn id(self) -> PacketId {
        self.id
    }
}

/// Why a message cannot be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum IncomingError {
    /// More messages than the receive maximum ([MQTT-3.3.4-7], [MQTT-3.3.4-9]).
    ReceiveMaximum,
    /// Another message is under way by this identifier ([MQTT-2.3.1-2], [MQTT-2.2.1-3]).
    InUse,
}

impl From<IncomingError> for MqttError {
    fn from(error: IncomingError) -> MqttError {
        match error {
            IncomingError::ReceiveMaximum => MqttError::ReceiveMaximum,
            IncomingError::InUse => MqttError::PacketIdInUse,
        }
    }
}

impl fmt::Display for IncomingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MqttError::from(*self).fmt(f)
    }
}

impl core::error::Error for IncomingError {}

impl Incoming {
    /// Nothing has come. `receive_max`: how many messages may be under way at once, our Receive Maximum.
    /// `enforced`: one more ends the connection (0x93); else it is counted, and 65,535 identifiers are the limit.
    pub fn new(receive_max: u16, enforced: bool) -> Incoming {
        Incoming {
            entries: HashMap::new(),
            acks: VecDeque::new(),
            first: 0,
            receive_max: receive_max.into(),
            enforced,
            exceeded: 0,
        }
    }

    /// Makes room for twice as many as may be in flight at once, so that the table is never moved: one that is at most half
    /// full is put in order where it is.
    pub fn reserve(&mut self) {
        let room = 2 * self.receive_max;
        self.entries.reserve(room.saturating_sub(self.entries.len()));
    }

    /// Bytes that its tables take.
    pub fn memory(&self) -> usize {
        self.entries.allocation_size() + self.acks.capacity() * size_of::<Ack>()
    }

    /// Bytes that they take with [room](Incoming::reserve) for this receive maximum, at most, while acknowledgements do not
    /// wait.
    pub fn memory_for(receive_max: u16) -> usize {
        table::bytes::<(PacketId, Entry)>(2 * usize::from(receive_max)) + 4 * size_of::<Ack>()
    }

    /// How much more they take with one more message, at most: more than nothing only for a peer that has more under way
    /// than there was room made for.
    #[inline]
    pub fn more(&self) -> usize {
        let acks = if self.acks.len() < self.acks.capacity() { 0 } else { (2 * self.acks.len()).max(4) };
        let entries = self.entries.len() + 1;
        let room = table::room::<(PacketId, Entry)>(self.entries.allocation_size());
        // One that is at most half full is put in order where it is.
        let grows = self.entries.capacity() < entries && entries > room / 2;
        let entries = if grows { table::bytes::<(PacketId, Entry)>(room + 1) } else { 0 };
        entries.saturating_sub(self.entries.allocation_size()) + acks * size_of::<Ack>()
    }

    /// A message came.
    ///
    /// # Errors
    ///
    /// The connection ends with them: [`IncomingError::ReceiveMaximum`]; [`IncomingError::InUse`] for another QoS
    /// under an identifier in use, or for one of QoS 1 that is not said to be sent again while the first is not
    /// acknowledged.
    pub fn publish(&mut self, qos: QoS, id: PacketId, dup: bool) -> Result<Arrival, IncomingError> {
        let next = self.first + self.acks.len() as u64;
        let kind = match qos {
            QoS::AtMostOnce => return Ok(Arrival::AtMostOnce),
            QoS::AtLeastOnce => Kind::Puback,
            QoS::ExactlyOnce => Kind::Pubrec,
        };
        match (self.entries.get_mut(&id), kind) {
            // Being taken over: its acknowledgement comes then.
            (Some(Entry::Puback(_)), Kind::Puback) if dup => return Ok(Arrival::Duplicate),
            (Some(Entry::Pubrec(_, Some(_))), Kind::Pubrec) => return Ok(Arrival::Duplicate),
            (Some(Entry::Pubrec(_, order @ None)), Kind::Pubrec) => {
                *order = Some(next);
                self.acks.push_back(Ack { id, kind, state: Waiting::Store });
                return Ok(Arrival::Duplicate);
            }
            // One PUBREC answers all that come before it is sent.
            (Some(Entry::Pubrel(Some(_))), Kind::Pubrec) => return Ok(Arrival::Duplicate),
            (Some(Entry::Pubrel(order @ None)), Kind::Pubrec) => {
                *order = Some(next);
                self.acks.push_back(Ack { id, kind, state: Waiting::Ready(Reason::Success) });
                return Ok(Arrival::Duplicate);
            }
            (Some(_), _) => return Err(IncomingError::InUse),
            (None, _) => {}
        }
        if self.entries.len() >= self.receive_max || self.acks.len() >= ACKS_MAX {
            if self.enforced || self.acks.len() >= ACKS_MAX {
                return Err(IncomingError::ReceiveMaximum);
            }
            self.exceeded += 1;
        }
        let entry = match kind {
            Kind::Puback => Entry::Puback(next),
            _ => Entry::Pubrec(next, Some(next)),
        };
        self.entries.insert(id, entry);
        self.acks.push_back(Ack { id, kind, state: Waiting::Store });
        Ok(Arrival::New(Ticket { id, number: next }))
    }

    /// The message of this ticket has been taken over, or refused: its acknowledgement may go, with this reason. If
    /// the connection is another one meanwhile, a message of QoS 1 is not under way any more, and nothing happens.
    pub fn ready(&mut self, ticket: Ticket, reason: Reason) {
        let at = ticket.number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(ack) = at.and_then(|at| self.acks.get_mut(at))
            && ack.kind == Kind::Puback
            && ack.id == ticket.id
        {
            // One of QoS 1 stays in its place among the acknowledgements: it is not looked up.
            ack.state = Waiting::Ready(reason);
            return;
        }
        let order = match self.entries.get_mut(&ticket.id) {
            Some(Entry::Puback(number)) if *number == ticket.number => Some(*number),
            Some(entry @ Entry::Pubrec(..)) => {
                let Entry::Pubrec(number, order) = *entry else { return };
                if number != ticket.number {
                    return;
                }
                if !reason.is_error() {
                    *entry = Entry::Pubrel(order);
                } else if order.is_none() {
                    // Nothing is to be sent, and it is new when it comes again ([MQTT-4.3.3-9]).
                    self.entries.remove(&ticket.id);
                }
                order
            }
            _ => None,
        };
        self.set(order, Waiting::Ready(reason));
    }

    /// What has become of the acknowledgement of this number, if it has not been sent.
    fn set(&mut self, order: Option<u64>, state: Waiting) {
        let at = order.and_then(|order| usize::try_from(order.checked_sub(self.first)?).ok());
        if let Some(ack) = at.and_then(|at| self.acks.get_mut(at)) {
            ack.state = state;
        }
    }

    /// The next acknowledgement to send: PUBACK or PUBREC. Call it until it gives none.
    pub fn next_ack(&mut self) -> Option<(Kind, PacketId, Reason)> {
        loop {
            let Ack { id, kind, state } = *self.acks.front()?;
            if matches!(state, Waiting::Store) {
                return None;
            }
            self.acks.pop_front();
            self.first += 1;
            let Waiting::Ready(reason) = state else { continue };
            if kind == Kind::Puback || reason.is_error() {
                // From here on the identifier stands for something new ([MQTT-4.3.2-2], [MQTT-4.3.2-5],
                // [MQTT-4.3.3-9]).
                self.entries.remove(&id);
            } else if let Some(Entry::Pubrel(order)) = self.entries.get_mut(&id) {
                *order = None;
            }
            return Some((kind, id, reason));
        }
    }

    /// PUBREL came: the reason of the PUBCOMP to send ([MQTT-4.3.3-11]). The identifier is free then
    /// ([MQTT-4.3.3-12]); one that is not known is said so (section 3.7.2.1 of 5.0), which 3.1.1 leaves out.
    pub fn pubrel(&mut self, id: PacketId) -> Reason {
        match self.entries.get(&id) {
            Some(Entry::Pubrel(order)) => {
                // A PUBREC that still waits would be taken for that of the next message.
                let order = *order;
                self.set(order, Waiting::Void);
                self.entries.remove(&id);
                Reason::Success
            }
            _ => Reason::PacketIdentifierNotFound,
        }
    }

    /// The session goes on in a new connection. Messages of QoS 1 will come again and be new; what is known of QoS 2
    /// stays, those included that are still being taken over. `receive_max` and `enforced` are as with
    /// [`new`](Incoming::new), and may be others: a client of 3.1.1 cannot know of the one before.
    pub fn reconnected(&mut self, receive_max: u16, enforced: bool) {
        self.receive_max = receive_max.into();
        self.enforced = enforced;
        self.first += self.acks.len() as u64;
        self.acks.clear();
        self.entries.retain(|_, entry| match entry {
            Entry::Puback(_) => false,
            Entry::Pubrec(_, order) => {
                *order = None;
                true
            }
            Entry::Pubrel(order) => {
                *order = None;
                true
            }
        });
    }

    /// Messages under way: without PUBACK, or without PUBREL.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many messages came over the receive maximum, where it is not enforced.
    pub const fn exceeded(&self) -> u64 {
        self.exceeded
    }

    /// The identifiers of QoS 2 whose messages were taken over and not released: what a store keeps. Sorted.
    pub fn taken_over(&self) -> Vec<PacketId> {
        let taken = self.entries.iter().filter(|(_, entry)| matches!(entry, Entry::Pubrel(_)));
        let mut ids: Vec<PacketId> = taken.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// A session from what a store kept.
    pub fn restore(
        receive_max: u16,
        enforced: bool,
        taken_over: impl IntoIterator<Item = PacketId>,
    ) -> Incoming {
        let mut incoming = Incoming::new(receive_max, enforced);
        incoming.entries.extend(taken_over.into_iter().map(|id| (id, Entry::Pubrel(None))));
        incoming
    }
}

/// The numbers only.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("len", &self.entries.len())
            .field("receive_max", &self.receive_max)
            .field("acks", &self.acks.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_no_more_than_is_said_however_many_come() {
        for receive_max in [1, 3, 7, 20, 29, 56, 57, 1_000] {
            let mut incoming = Incoming::new(receive_max, false);
            incoming.reserve();
            let said = Incoming::memory_for(receive_max);
            let mut grown = 0;
            // Those of before are released while others come, and then no more.
            for id in 1..=30_000_u16 {
                if id < 10_000 && id > receive_max {
                    incoming.pubrel(PacketId::new(id - receive_max).unwrap());
                }
                let (memory, more) = (incoming.memory(), incoming.more());
                incoming.publish(QoS::ExactlyOnce, PacketId::new(id).unwrap(), false).unwrap();
                assert!(
                    incoming.memory() <= memory + more,
                    "{id}: {} after {memory}, {more} said",
                    incoming.memory()
                );
                grown += u32::from(incoming.memory() > memory && id > receive_max);
                if id <= receive_max {
                    assert!(
                        incoming.memory() <= said,
                        "{} for {receive_max}, {said} said",
                        incoming.memory()
                    );
                }
                let number = u64::from(id) - 1;
                incoming.ready(Ticket { id: PacketId::new(id).unwrap(), number }, Reason::Success);
                incoming.next_ack().unwrap();
                assert!(id >= 10_000 || grown == 0, "{id}: one that does as it is told never grows");
            }
            assert!(grown >= 3);
        }
    }
}
