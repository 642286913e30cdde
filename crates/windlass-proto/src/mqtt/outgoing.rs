//! Messages of QoS 1 and 2 on their way out: packet identifiers, acknowledgements, flow control, redelivery
//! (sections 4.3, 4.4, 4.6 of both versions, 4.9 of 5.0).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Place;

use super::{PacketId, QoS, Reason, table};

/// The sender's half of a session, either end's. It outlives the connection.
///
/// A message is kept here (as whatever `M` is: a handle, a `Bytes`, nothing) until the peer has it for good. What
/// an acknowledgement changes is returned, so that a store can follow; [`in_flight`](Outgoing::in_flight) and
/// [`restore`](Outgoing::restore) are all of it as plain values.
///
/// It allocates for as many messages as are in flight at once, and keeps that memory.
///
/// ```
/// use windlass_proto::mqtt::{Outgoing, QoS, Reason, Resend};
///
/// let mut out = Outgoing::new(2);
/// let first = out.send(QoS::AtLeastOnce, "first").unwrap();
/// let second = out.send(QoS::ExactlyOnce, "second").unwrap();
/// assert!(out.send(QoS::AtLeastOnce, "third").is_err(), "the peer takes two at a time");
///
/// assert_eq!(out.puback(first), Ok("first"));
/// assert_eq!(out.pubrec(second, Reason::Success), Ok(Some("second")));
/// out.reconnected(2);
/// assert_eq!(out.resend(), Some(Resend::Pubrel(second)));
/// assert_eq!(out.pubcomp(second), Ok(()));
/// assert!(out.is_empty());
/// ```
#[derive(Clone)]
pub struct Outgoing<M> {
    /// By packet identifier; the order they were sent in is in the entries.
    entries: HashMap<PacketId, Entry<M>>,
    receive_max: usize,
    /// Of the entries: those that this connection has sent, and that count against `receive_max`.
    unacknowledged: usize,
    last_id: u16,
    next_order: u64,
    /// What is still to be sent again, in order.
    again: VecDeque<PacketId>,
}

#[derive(Clone)]
struct Entry<M> {
    order: u64,
    state: State<M>,
    /// Whether this connection has sent it.
    sent: bool,
}

#[derive(Clone)]
enum State<M> {
    /// PUBLISH of QoS 1: PUBACK is to come.
    Puback(M),
    /// PUBLISH of QoS 2: PUBREC is to come.
    Pubrec(M),
    /// PUBREL: PUBCOMP is to come ([MQTT-4.3.3-1], [MQTT-4.3.3-5]).
    Pubcomp,
    /// SUBSCRIBE or UNSUBSCRIBE: its own answer is to come. Not of the session.
    Request,
}

/// What is in flight, as plain values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InFlight<M> {
    /// A message that is not acknowledged: QoS 1, or QoS 2 without PUBREC.
    Message(QoS, M),
    /// A message of QoS 2 that the peer has, and that only PUBCOMP is missing for.
    Released,
}

/// What is to be sent again after a reconnection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resend<'m, M> {
    /// A PUBLISH with DUP set ([MQTT-3.3.1-1]), under its identifier.
    Publish(PacketId, QoS, &'m M),
    /// A PUBREL.
    Pubrel(PacketId),
}

/// Why something was not sent, or what an acknowledgement was not for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OutgoingError {
    /// The peer takes no more at once, or all identifiers are in use: try again after the next acknowledgement
    /// ([MQTT-4.9.0-2]). Whoever sends first what waits elsewhere keeps the order.
    Full,
    /// QoS 0 is not acknowledged and needs nothing of this.
    QoS,
    /// Nothing is in flight under this identifier, or something that this packet does not acknowledge. In version 5
    /// PUBREC is answered by PUBREL with [`Reason::PacketIdentifierNotFound`] (section 3.5.2.1), the others by
    /// nothing.
    NotFound,
}

impl fmt::Display for OutgoingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OutgoingError::Full => "the peer takes no more messages at once",
            OutgoingError::QoS => "a message of QoS 0 is not acknowledged",
            OutgoingError::NotFound => "nothing of this identifier is to be acknowledged so",
        })
    }
}

impl core::error::Error for OutgoingError {}

impl<M> Outgoing<M> {
    /// Nothing is in flight, and the peer takes `receive_max` messages at once: its Receive Maximum, or less
    /// ([MQTT-4.9.0-1]). Clients of 3.1.1 say none.
    pub fn new(receive_max: u16) -> Outgoing<M> {
        Outgoing {
            entries: HashMap::new(),
            receive_max: receive_max.into(),
            unacknowledged: 0,
            last_id: 0,
            next_order: 0,
            again: VecDeque::new(),
        }
    }

    /// Makes room for twice as many as may be in flight at once, so that the table is never moved: one that is at most half
    /// full is put in order where it is.
    pub fn reserve(&mut self) {
        let room = 2 * self.receive_max;
        self.entries.reserve(room.saturating_sub(self.entries.len()));
        self.again.reserve(room.saturating_sub(self.again.len()));
    }

    /// Bytes that its tables take.
    pub fn memory(&self) -> usize {
        self.entries.allocation_size() + self.again.capacity() * size_of::<PacketId>()
    }

    /// Bytes that they take with [room](Outgoing::reserve) for this receive maximum, at most.
    pub fn memory_for(receive_max: u16) -> usize {
        let room = 2 * usize::from(receive_max);
        table::bytes::<(PacketId, Entry<M>)>(room) + 2 * room.max(4) * size_of::<PacketId>()
    }

    /// The greatest receive maximum that there is [room](Outgoing::reserve) for now.
    pub fn room(&self) -> u16 {
        let room = table::room::<(PacketId, Entry<M>)>(self.entries.allocation_size()) / 2;
        u16::try_from(room.min(self.again.capacity())).unwrap_or(u16::MAX)
    }

    /// How many messages may be sent now ([MQTT-4.9.0-2]). None while something is to be sent again: that comes
    /// first ([MQTT-4.6.0-1]).
    #[inline]
    pub fn quota(&self) -> usize {
        if !self.again.is_empty() || self.entries.len() >= usize::from(u16::MAX) {
            return 0;
        }
        self.receive_max.saturating_sub(self.unacknowledged)
    }

    /// Takes a message that goes out now, under the identifier it is given: an unused one ([MQTT-2.3.1-2],
    /// [MQTT-2.2.1-3], [MQTT-2.2.1-4]).
    ///
    /// # Errors
    ///
    /// [`OutgoingError::Full`], [`OutgoingError::QoS`].
    pub fn send(&mut self, qos: QoS, message: M) -> Result<PacketId, OutgoingError> {
        let state = match qos {
            QoS::AtMostOnce => return Err(OutgoingError::QoS),
            QoS::AtLeastOnce => State::Puback(message),
            QoS::ExactlyOnce => State::Pubrec(message),
        };
        if self.quota() == 0 {
            return Err(OutgoingError::Full);
        }
        self.unacknowledged += 1;
        self.insert(state)
    }

    /// An identifier for a SUBSCRIBE or UNSUBSCRIBE of a client, which share them with messages. No quota holds
    /// those up ([MQTT-3.3.4-8]).
    ///
    /// # Errors
    ///
    /// [`OutgoingError::Full`] if all are in use.
    pub fn request(&mut self) -> Result<PacketId, OutgoingError> {
        self.insert(State::Request)
    }

    fn insert(&mut self, state: State<M>) -> Result<PacketId, OutgoingError> {
        if self.entries.len() >= usize::from(u16::MAX) {
            return Err(OutgoingError::Full);
        }
        // Round and round: one that has just become free is used again last.
        let id = loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let Some(id) = PacketId::new(self.last_id) else { continue };
            // Looked up once, whether it is free or not.
            if let Place::Vacant(place) = self.entries.entry(id) {
                place.insert(Entry { order: self.next_order, state, sent: true });
                break id;
            }
        };
        self.next_order += 1;
        Ok(id)
    }

    /// PUBACK came, with any reason: the message is the peer's now, or refused for good ([MQTT-4.4.0-2]).
    ///
    /// # Errors
    ///
    /// [`OutgoingError::NotFound`].
    pub fn puback(&mut self, id: PacketId) -> Result<M, OutgoingError> {
        // Looked up once: what is taken out by mistake is put back, and seldom.
        match self.entries.remove(&id) {
            Some(Entry { state: State::Puback(message), sent, .. }) => {
                self.unacknowledged -= usize::from(sent);
                Ok(message)
            }
            Some(other) => {
                self.entries.insert(id, other);
                Err(OutgoingError::NotFound)
            }
            None => Err(OutgoingError::NotFound),
        }
    }

    /// PUBREC came: the message is the peer's. Send PUBREL ([MQTT-4.3.3-4]), again too if PUBREC came twice
    /// (`None`). With an error as its reason the exchange is over, and there is no PUBREL ([MQTT-4.4.0-2]).
    ///
    /// # Errors
    ///
    /// [`OutgoingError::NotFound`].
    pub fn pubrec(&mut self, id: PacketId, reason: Reason) -> Result<Option<M>, OutgoingError> {
        match self.entries.get_mut(&id) {
            Some(Entry { state: State::Pubrec(_), .. }) if reason.is_error() => Ok(self.remove(id)),
            Some(Entry { state: state @ State::Pubrec(_), .. }) => {
                match core::mem::replace(state, State::Pubcomp) {
                    State::Pubrec(message) => Ok(Some(message)),
                    _ => Ok(None),
                }
            }
            Some(Entry { state: State::Pubcomp, .. }) if !reason.is_error() => Ok(None),
            _ => Err(OutgoingError::NotFound),
        }
    }

    /// PUBCOMP came: the identifier is free.
    ///
    /// # Errors
    ///
    /// [`OutgoingError::NotFound`].
    pub fn pubcomp(&mut self, id: PacketId) -> Result<(), OutgoingError> {
        match self.entries.get(&id) {
            Some(Entry { state: State::Pubcomp, .. }) => {
                self.remove(id);
                Ok(())
            }
            _ => Err(OutgoingError::NotFound),
        }
    }

    /// SUBACK or UNSUBACK came.
    ///
    /// # Errors
    ///
    /// [`OutgoingError::NotFound`].
    pub fn answered(&mut self, id: PacketId) -> Result<(), OutgoingError> {
        match self.entries.get(&id) {
            Some(Entry { state: State::Request, .. }) => {
                self.entries.remove(&id);
                Ok(())
            }
            _ => Err(OutgoingError::NotFound),
        }
    }

    /// The message is not sent after all, since it is too long for the peer ([MQTT-3.1.2-25]) or expired before it was
    /// sent: as if it were acknowledged. Not one that was sent ([MQTT-4.3.3-7]).
    pub fn cancel(&mut self, id: PacketId) -> Option<M> {
        self.again.retain(|again| *again != id);
        self.remove(id)
    }

    fn remove(&mut self, id: PacketId) -> Option<M> {
        let entry = self.entries.remove(&id)?;
        if entry.sent && !matches!(entry.state, State::Request) {
            self.unacknowledged -= 1;
        }
        match entry.state {
            State::Puback(message) | State::Pubrec(message) => Some(message),
            State::Pubcomp | State::Request => None,
        }
    }

    /// The session goes on in a new connection, whose peer takes `receive_max` at once: everything that is in flight
    /// is to be sent again, in its order ([MQTT-4.4.0-1], [MQTT-4.6.0-1]). Requests are forgotten.
    pub fn reconnected(&mut self, receive_max: u16) {
        self.receive_max = receive_max.into();
        self.unacknowledged = 0;
        self.entries.retain(|_, entry| !matches!(entry.state, State::Request));
        let mut order: Vec<(u64, PacketId)> = Vec::with_capacity(self.entries.len());
        for (id, entry) in &mut self.entries {
            entry.sent = false;
            order.push((entry.order, *id));
        }
        order.sort_unstable();
        self.again.clear();
        self.again.extend(order.into_iter().map(|(_, id)| id));
    }

    /// The next one to be sent again. `None` when that is all, or when the peer has to acknowledge some first: ask
    /// again after each acknowledgement.
    pub fn resend(&mut self) -> Option<Resend<'_, M>> {
        // One that was acknowledged meanwhile is not there any more.
        let id = loop {
            let id = *self.again.front()?;
            match self.entries.get(&id) {
                Some(Entry { sent: false, .. }) => break id,
                _ => self.again.pop_front(),
            };
        };
        let waits = self.unacknowledged >= self.receive_max;
        let entry = self.entries.get_mut(&id)?;
        // PUBREL waits for nothing ([MQTT-3.3.4-8], [MQTT-4.9.0-3]).
        if waits && !matches!(entry.state, State::Pubcomp) {
            return None;
        }
        self.again.pop_front();
        self.unacknowledged += 1;
        entry.sent = true;
        Some(match &entry.state {
            State::Puback(message) => Resend::Publish(id, QoS::AtLeastOnce, message),
            State::Pubrec(message) => Resend::Publish(id, QoS::ExactlyOnce, message),
            State::Pubcomp | State::Request => Resend::Pubrel(id),
        })
    }

    /// Whether something is to be sent again, and has not been so far.
    #[inline]
    pub fn resends(&self) -> bool {
        !self.again.is_empty()
    }

    /// The message under this identifier, while it is not acknowledged.
    pub fn get(&self, id: PacketId) -> Option<&M> {
        match &self.entries.get(&id)?.state {
            State::Puback(message) | State::Pubrec(message) => Some(message),
            State::Pubcomp | State::Request => None,
        }
    }

    /// How many messages are in flight, those included that only PUBCOMP is missing for.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All that is in flight, in the order it was sent: what a store keeps. Requests are not of the session.
    pub fn in_flight(&self) -> Vec<(PacketId, InFlight<&M>)> {
        let mut all: Vec<(u64, PacketId, InFlight<&M>)> = Vec::with_capacity(self.entries.len());
        all.extend(self.entries.iter().filter_map(|(id, entry)| {
            let in_flight = match &entry.state {
                State::Puback(message) => InFlight::Message(QoS::AtLeastOnce, message),
                State::Pubrec(message) => InFlight::Message(QoS::ExactlyOnce, message),
                State::Pubcomp => InFlight::Released,
                State::Request => return None,
            };
            Some((entry.order, *id, in_flight))
        }));
        all.sort_unstable_by_key(|(order, ..)| *order);
        all.into_iter().map(|(_, id, in_flight)| (id, in_flight)).collect()
    }

    /// A session from what a store kept, in the same order. It waits for [`reconnected`](Outgoing::reconnected).
    /// Of two entries of one identifier the later holds; messages of QoS 0 are passed over.
    pub fn restore(entries: impl IntoIterator<Item = (PacketId, InFlight<M>)>) -> Outgoing<M> {
        let mut outgoing = Outgoing::new(0);
        for (id, in_flight) in entries {
            let state = match in_flight {
                InFlight::Message(QoS::AtMostOnce, _) => continue,
                InFlight::Message(QoS::AtLeastOnce, message) => State::Puback(message),
                InFlight::Message(QoS::ExactlyOnce, message) => State::Pubrec(message),
                InFlight::Released => State::Pubcomp,
            };
            let order = outgoing.next_order;
            outgoing.next_order += 1;
            outgoing.last_id = id.get();
            outgoing.entries.insert(id, Entry { order, state, sent: false });
        }
        outgoing.reconnected(0);
        outgoing
    }
}

/// The numbers only.
impl<M> fmt::Debug for Outgoing<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("len", &self.entries.len())
            .field("receive_max", &self.receive_max)
            .field("to_send_again", &self.again.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_no_more_than_is_said_and_has_room_for_what_is_said() {
        for receive_max in (1..200).chain([1_000, 20_000]) {
            let mut outgoing = Outgoing::<[u64; 5]>::new(receive_max);
            assert_eq!((outgoing.memory(), outgoing.room()), (0, 0));
            outgoing.reserve();
            let memory = outgoing.memory();
            let said = Outgoing::<[u64; 5]>::memory_for(receive_max);
            assert!(memory <= said && said <= 2 * memory, "{memory} for {receive_max}, and {said} said");
            assert!(outgoing.room() >= receive_max);
            // Round and round, and with all of it to be sent again.
            for _ in 0..5 {
                while let Ok(id) = outgoing.send(QoS::AtLeastOnce, [0; 5]) {
                    if id.get() % 3 == 0 {
                        outgoing.puback(id).unwrap();
                    }
                }
                outgoing.reconnected(receive_max);
                let ids: Vec<PacketId> = outgoing.entries.keys().copied().collect();
                for id in ids {
                    let _ = outgoing.puback(id);
                }
                assert!(outgoing.resend().is_none());
            }
            assert_eq!(outgoing.memory(), memory, "{receive_max}");
        }
    }
}
