//! QoS 1 and 2: each half by itself, and both through a network that loses connections.

use alloc::collections::BTreeMap;

use super::*;
use crate::testing::Rng;

#[test]
fn identifiers_are_unused_ones() {
    let mut out = Outgoing::new(65_535);
    // [MQTT-2.2.1-3]: round and round, never zero, never one in use.
    let first = out.send(QoS::AtLeastOnce, 0).unwrap();
    for n in 1..200_000 {
        let id = out.send(QoS::AtLeastOnce, n).unwrap();
        assert_ne!(id, first);
        assert_eq!(out.puback(id), Ok(n));
    }
    assert_eq!((out.len(), out.get(first)), (1, Some(&0)));
    // All of them.
    for n in 1..65_535 {
        out.send(QoS::ExactlyOnce, n).unwrap();
    }
    assert_eq!(out.quota(), 0);
    assert_eq!(out.send(QoS::AtLeastOnce, 0), Err(OutgoingError::Full));
    assert_eq!(out.request(), Err(OutgoingError::Full));
    assert_eq!(out.puback(first), Ok(0));
    assert_eq!(out.request(), Ok(first), "the only one that is free");
    assert_eq!(out.answered(first), Ok(()));
}

/// [MQTT-4.9.0-2], [MQTT-3.3.4-7], [MQTT-3.3.4-9]; what gives a place back, and what does not.
#[test]
fn the_peers_receive_maximum_holds() {
    let mut out = Outgoing::new(2);
    let one = out.send(QoS::ExactlyOnce, "one").unwrap();
    let two = out.send(QoS::ExactlyOnce, "two").unwrap();
    assert_eq!(out.send(QoS::AtLeastOnce, "x"), Err(OutgoingError::Full));
    // Requests are not held up ([MQTT-3.3.4-8]).
    let request = out.request().unwrap();
    assert_eq!(out.pubrec(one, Reason::Success), Ok(Some("one")));
    assert_eq!(out.quota(), 0, "PUBCOMP gives it back, PUBREC does not");
    assert_eq!(out.pubrec(two, Reason::QuotaExceeded), Ok(Some("two")));
    assert_eq!(out.quota(), 1, "an error does (section 4.9)");
    assert_eq!(out.pubcomp(one), Ok(()));
    assert_eq!((out.quota(), out.answered(request)), (2, Ok(())));
    let three = out.send(QoS::AtLeastOnce, "three").unwrap();
    assert_eq!(out.cancel(three), Some("three"));
    assert_eq!(out.quota(), 2);
    assert_eq!(out.send(QoS::AtMostOnce, "x"), Err(OutgoingError::QoS));
}

/// [MQTT-2.2.1-5], [MQTT-2.2.1-6]: an answer to something else changes nothing.
#[test]
fn answers_to_nothing() {
    let mut out = Outgoing::new(10);
    let (one, two) = (out.send(QoS::AtLeastOnce, 1).unwrap(), out.send(QoS::ExactlyOnce, 2).unwrap());
    let not_found = OutgoingError::NotFound;
    assert_eq!(out.pubrec(one, Reason::Success), Err(not_found));
    assert_eq!(out.pubcomp(one), Err(not_found));
    assert_eq!(out.answered(one), Err(not_found));
    assert_eq!(out.puback(two), Err(not_found));
    assert_eq!(out.pubcomp(two), Err(not_found), "before PUBREC");
    assert_eq!(out.puback(id(999)), Err(not_found));
    assert_eq!(out.pubrec(two, Reason::Success), Ok(Some(2)));
    assert_eq!(out.pubrec(two, Reason::Success), Ok(None), "twice: PUBREL again");
    assert_eq!(out.pubrec(two, Reason::UnspecifiedError), Err(not_found), "too late");
    assert_eq!(out.puback(one), Ok(1));
    assert_eq!(out.puback(one), Err(not_found));
}

/// [MQTT-4.4.0-1], [MQTT-4.6.0-1], [MQTT-4.3.3-6] of 5.0; a peer that takes less than is in flight.
#[test]
fn what_is_sent_again() {
    let mut out = Outgoing::new(10);
    let ids: Vec<PacketId> = (0..5)
        .map(|n| out.send(if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce }, n).unwrap())
        .collect();
    out.request().unwrap();
    out.pubrec(ids[1], Reason::Success).unwrap();
    let kept: Vec<_> = out.in_flight().into_iter().map(|(id, it)| (id, format!("{it:?}"))).collect();
    assert_eq!(kept[1], (ids[1], "Released".into()));
    assert_eq!(kept[4], (ids[4], "Message(AtLeastOnce, 4)".into()));

    out.reconnected(2);
    assert_eq!(out.len(), 5, "the request is forgotten");
    assert_eq!(out.quota(), 0, "new messages come after the old ones");
    assert_eq!(out.resend(), Some(Resend::Publish(ids[0], QoS::AtLeastOnce, &0)));
    assert_eq!(out.resend(), Some(Resend::Pubrel(ids[1])));
    assert_eq!(out.resend(), None, "two at a time");
    assert_eq!(out.puback(ids[0]), Ok(0));
    assert_eq!(out.resend(), Some(Resend::Publish(ids[2], QoS::AtLeastOnce, &2)));
    assert_eq!(out.resend(), None);
    assert_eq!((out.pubcomp(ids[1]), out.puback(ids[2])), (Ok(()), Ok(2)));
    assert_eq!(out.resend(), Some(Resend::Publish(ids[3], QoS::ExactlyOnce, &3)));
    assert_eq!(out.resend(), Some(Resend::Publish(ids[4], QoS::AtLeastOnce, &4)));
    assert_eq!(out.resend(), None);
    assert_eq!(out.quota(), 0);
    assert_eq!(out.puback(ids[4]), Ok(4));
    assert_eq!(out.quota(), 1);
    // PUBREL waits for no quota ([MQTT-4.9.0-3]).
    out.pubrec(ids[3], Reason::Success).unwrap();
    out.reconnected(0);
    assert_eq!(out.resend(), Some(Resend::Pubrel(ids[3])));
}

/// A message that must be new.
#[track_caller]
fn new(incoming: &mut Incoming, qos: QoS, packet_id: u16, dup: bool) -> Ticket {
    match incoming.publish(qos, id(packet_id), dup) {
        Ok(Arrival::New(ticket)) => {
            assert_eq!(ticket.id(), id(packet_id));
            ticket
        }
        other => panic!("{other:?}"),
    }
}

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;

#[test]
fn the_next_connection_may_be_held_to_another_maximum() {
    let mut incoming = Incoming::new(2, true);
    for n in 1..=2 {
        new(&mut incoming, TWO, n, false);
    }
    assert_eq!(incoming.publish(TWO, id(3), false), Err(IncomingError::ReceiveMaximum));
    incoming.reconnected(2, false);
    new(&mut incoming, TWO, 3, false);
    assert_eq!(incoming.exceeded(), 1);
    incoming.reconnected(3, true);
    assert_eq!(incoming.publish(TWO, id(4), false), Err(IncomingError::ReceiveMaximum));
    incoming.reconnected(4, true);
    new(&mut incoming, TWO, 4, false);
}

#[test]
fn a_message_that_is_being_taken_over_comes_again() {
    let mut incoming = Incoming::new(10, true);
    let ticket = new(&mut incoming, TWO, 1, false);
    assert_eq!(incoming.publish(TWO, id(1), true), Ok(Arrival::Duplicate));
    // The connection breaks while the store is at work; it comes again, and then the store is done.
    incoming.reconnected(10, true);
    assert_eq!(incoming.publish(TWO, id(1), true), Ok(Arrival::Duplicate));
    assert_eq!(incoming.next_ack(), None);
    incoming.ready(ticket, Reason::Success);
    assert_eq!(incoming.next_ack(), Some((Kind::Pubrec, id(1), Reason::Success)));
    assert_eq!(incoming.next_ack(), None);
    // The same, but the store is done before it comes again.
    let ticket = new(&mut incoming, TWO, 2, false);
    incoming.reconnected(10, true);
    incoming.ready(ticket, Reason::Success);
    assert_eq!(incoming.next_ack(), None, "nothing came in this connection");
    assert_eq!(incoming.taken_over(), [id(1), id(2)]);
    assert_eq!(incoming.publish(TWO, id(2), true), Ok(Arrival::Duplicate));
    assert_eq!(incoming.next_ack(), Some((Kind::Pubrec, id(2), Reason::Success)));
    // Refused meanwhile: then it is new ([MQTT-4.3.3-9]).
    let ticket = new(&mut incoming, TWO, 3, false);
    incoming.reconnected(10, true);
    incoming.ready(ticket, Reason::QuotaExceeded);
    new(&mut incoming, TWO, 3, true);
    // A store that answers for a message of a connection before means no other one of that identifier.
    let before = new(&mut incoming, ONE, 4, false);
    incoming.reconnected(10, true);
    incoming.ready(before, Reason::Success);
    let again = new(&mut incoming, ONE, 4, true);
    incoming.ready(before, Reason::Success);
    assert_eq!(incoming.next_ack(), None);
    incoming.ready(again, Reason::Success);
    assert_eq!(incoming.next_ack(), Some((Kind::Puback, id(4), Reason::Success)));
}

/// [MQTT-4.6.0-2], [MQTT-4.6.0-3], and an answer that waits is no answer to what comes after.
#[test]
fn answers_go_in_order_and_to_what_they_are_for() {
    let mut incoming = Incoming::new(10, true);
    let two = new(&mut incoming, TWO, 2, false);
    incoming.ready(two, Reason::Success);
    assert_eq!(incoming.next_ack(), Some((Kind::Pubrec, id(2), Reason::Success)));
    let slow = new(&mut incoming, ONE, 1, false);
    // 2 comes again and again, while its PUBREC is on its way; then it is released, and another 2 comes.
    for _ in 0..1000 {
        assert_eq!(incoming.publish(TWO, id(2), true), Ok(Arrival::Duplicate));
    }
    assert_eq!(incoming.pubrel(id(2)), Reason::Success);
    let other = new(&mut incoming, TWO, 2, false);
    assert_eq!(incoming.next_ack(), None);
    incoming.ready(two, Reason::Success);
    incoming.ready(slow, Reason::Success);
    assert_eq!(incoming.next_ack(), Some((Kind::Puback, id(1), Reason::Success)));
    assert_eq!(incoming.next_ack(), None, "the other 2 is not taken over");
    incoming.ready(other, Reason::Success);
    assert_eq!(incoming.next_ack(), Some((Kind::Pubrec, id(2), Reason::Success)));
    assert_eq!(incoming.next_ack(), None);
}

#[test]
fn identifiers_become_free() {
    let mut incoming = Incoming::new(2, true);
    // [MQTT-4.3.2-5]: after PUBACK it is a new one, whatever DUP says.
    for dup in [false, true, false] {
        let ticket = new(&mut incoming, ONE, 1, dup);
        incoming.ready(ticket, Reason::Success);
        assert_eq!(incoming.next_ack(), Some((Kind::Puback, id(1), Reason::Success)));
    }
    // [MQTT-4.3.3-12], [MQTT-4.3.3-9].
    for reason in [Reason::Success, Reason::QuotaExceeded, Reason::Success] {
        let ticket = new(&mut incoming, TWO, 1, false);
        assert_eq!(incoming.pubrel(id(1)), Reason::PacketIdentifierNotFound, "before PUBREC");
        incoming.ready(ticket, reason);
        assert_eq!(incoming.next_ack(), Some((Kind::Pubrec, id(1), reason)));
        let known = if reason.is_error() { Reason::PacketIdentifierNotFound } else { Reason::Success };
        assert_eq!(incoming.pubrel(id(1)), known);
        assert_eq!(incoming.pubrel(id(1)), Reason::PacketIdentifierNotFound);
    }
    // In use by another.
    new(&mut incoming, ONE, 1, false);
    assert_eq!(incoming.publish(ONE, id(1), false), Err(IncomingError::InUse));
    assert_eq!(incoming.publish(ONE, id(1), true), Ok(Arrival::Duplicate));
    assert_eq!(incoming.publish(TWO, id(1), true), Err(IncomingError::InUse));
    assert_eq!(MqttError::from(IncomingError::InUse).reason(), Reason::ProtocolError);
    // [MQTT-3.3.4-7].
    new(&mut incoming, TWO, 2, false);
    assert_eq!(incoming.publish(TWO, id(3), false), Err(IncomingError::ReceiveMaximum));
    assert_eq!(incoming.publish(QoS::AtMostOnce, id(3), false), Ok(Arrival::AtMostOnce));
    assert_eq!(MqttError::from(IncomingError::ReceiveMaximum).reason(), Reason::ReceiveMaximumExceeded);
    let mut lenient = Incoming::new(1, false);
    for n in 1..=3 {
        new(&mut lenient, TWO, n, false);
    }
    assert_eq!((lenient.exceeded(), lenient.len()), (2, 3));
}

/// What is on its way to the receiver, and back.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Publish { qos: QoS, id: PacketId, dup: bool, message: u64 },
    Pubrel(PacketId),
    Puback(PacketId),
    Pubrec(PacketId, Reason),
    Pubcomp(PacketId),
}

/// A sender, a receiver whose store takes its time, and connections that break at any moment with everything on its
/// way lost. Now and then an end starts anew from what it keeps. QoS 2 arrives exactly once, QoS 1 at least once, nothing
/// is acknowledged that is not stored, and at the end nothing is left over.
#[test]
fn nothing_is_lost_or_doubled() {
    for seed in 0..300 {
        exchange(seed);
    }
}

fn exchange(seed: u64) {
    let mut rng = Rng::new(seed);
    let max = rng.below(8) as u16 + 1;
    let (mut out, mut incoming) = (Outgoing::new(max), Incoming::new(max, true));
    let (mut there, mut back): (Vec<Sent>, Vec<Sent>) = Default::default();
    let mut storing: Vec<(Ticket, u64)> = Vec::new();
    let mut arrived: BTreeMap<u64, u32> = BTreeMap::new();
    let mut acknowledged = 0;
    let (mut next, total) = (0, 60);
    let qos_of = |message: u64| if message.is_multiple_of(3) { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
    let mut breaks = 20;
    for step in 0.. {
        assert!(step < 100_000, "it ends, seed {seed}");
        if next == total && out.is_empty() && there.is_empty() && back.is_empty() && incoming.is_empty() {
            break;
        }
        match rng.below(if breaks > 0 { 41 } else { 40 }) {
            0..10 if next < total && out.quota() > 0 => {
                let qos = qos_of(next);
                let id = out.send(qos, next).unwrap();
                there.push(Sent::Publish { qos, id, dup: false, message: next });
                next += 1;
            }
            10..20 if !there.is_empty() => match there.remove(0) {
                Sent::Publish { qos, id, dup, message } => match incoming.publish(qos, id, dup) {
                    Ok(Arrival::New(ticket)) => storing.push((ticket, message)),
                    Ok(_) => {}
                    Err(error) => panic!("{error}, seed {seed}"),
                },
                Sent::Pubrel(id) => {
                    incoming.pubrel(id);
                    back.push(Sent::Pubcomp(id));
                }
                other => panic!("{other:?}"),
            },
            20..28 if !storing.is_empty() => {
                let at = rng.below(storing.len() as u64) as usize;
                let (ticket, message) = storing.remove(at);
                *arrived.entry(message).or_default() += 1;
                incoming.ready(ticket, Reason::Success);
            }
            28..32 => match incoming.next_ack() {
                Some((Kind::Puback, id, _)) => back.push(Sent::Puback(id)),
                Some((_, id, reason)) => back.push(Sent::Pubrec(id, reason)),
                None => {}
            },
            32..40 if !back.is_empty() => match back.remove(0) {
                Sent::Puback(id) => {
                    let message = out.puback(id).unwrap_or_else(|error| panic!("{error}, seed {seed}"));
                    assert!(
                        arrived.contains_key(&message),
                        "{message} is acknowledged and not stored, {seed}"
                    );
                    acknowledged += 1;
                }
                Sent::Pubrec(id, reason) => {
                    let message =
                        out.pubrec(id, reason).unwrap_or_else(|error| panic!("{error}, seed {seed}"));
                    let stored = message.is_none_or(|message| arrived.contains_key(&message));
                    assert!(stored, "{message:?} is acknowledged and not stored, {seed}");
                    acknowledged += u64::from(message.is_some());
                    there.push(Sent::Pubrel(id));
                }
                Sent::Pubcomp(id) => {
                    // Twice for a PUBREL that went twice.
                    let _ = out.pubcomp(id);
                }
                other => panic!("{other:?}"),
            },
            40 => {
                breaks -= 1;
                there.clear();
                back.clear();
                if rng.chance(1, 3) {
                    let kept: Vec<(PacketId, InFlight<u64>)> = out
                        .in_flight()
                        .into_iter()
                        .map(|(id, it)| match it {
                            InFlight::Message(qos, message) => (id, InFlight::Message(qos, *message)),
                            InFlight::Released => (id, InFlight::Released),
                        })
                        .collect();
                    out = Outgoing::restore(kept);
                }
                if rng.chance(1, 3) {
                    // A store that was at work has nothing of it.
                    incoming = Incoming::restore(max, true, incoming.taken_over());
                    storing.clear();
                }
                out.reconnected(max);
                incoming.reconnected(max, true);
            }
            _ => {}
        }
        while let Some(again) = out.resend() {
            there.push(match again {
                Resend::Publish(id, qos, message) => Sent::Publish { qos, id, dup: true, message: *message },
                Resend::Pubrel(id) => Sent::Pubrel(id),
            });
        }
    }
    assert_eq!(acknowledged, total, "seed {seed}");
    for message in 0..total {
        let times = arrived.get(&message).copied().unwrap_or(0);
        match qos_of(message) {
            QoS::ExactlyOnce => assert_eq!(times, 1, "message {message}, seed {seed}"),
            _ => assert!(times >= 1, "message {message} is lost, seed {seed}"),
        }
    }
}
