//! CONNECT: sessions that begin, stay, are taken over, and end.

use std::time::Duration;

use windlass_hub::{HubConfig, Mail, QoS};
use windlass_proto::mqtt::{Connect, Disconnect, Packet, Property, Reason};

use crate::kit::{Desk, V3, V5, properties};

#[test]
fn a_clean_session_begins_with_nothing() {
    let mut desk = Desk::new(HubConfig::default());
    for version in [V3, V5] {
        let (mut one, heard) = desk.join_for_good(version, "a");
        assert_eq!(heard, "CONNACK Success");
        assert_eq!(desk.subscribe(&mut one, "t", QoS::AtLeastOnce), ["SUBACK #9 [GrantedQos1]"]);
        desk.lose(&one);
        let (mut again, heard) = desk.connect(&Connect::new(version, "a"));
        assert_eq!(heard, "CONNACK Success", "[MQTT-3.1.2-4]: nothing is present");
        desk.publish(&mut again, "t", "x");
        assert!(desk.hear(&mut again).is_empty(), "its subscriptions are gone");
        desk.lose(&again);
        assert_eq!(desk.stats().sessions, 0, "one that started clean ends with its connection");
    }
}

#[test]
fn a_session_that_is_kept_is_there_again() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    for version in [V3, V5] {
        let (mut one, _) = desk.join_for_good(version, "b");
        desk.subscribe(&mut one, "t/#", QoS::ExactlyOnce);
        desk.lose(&one);
        desk.publish(&mut sender, "t/0", "zero");
        assert_eq!(
            desk.publish_at(&mut sender, "t/1", "one", QoS::AtLeastOnce, 1),
            ["PUBACK #1 Success"],
            "it waits"
        );
        let (mut one, heard) = desk.join_for_good(version, "b");
        // QoS 0 does not wait for those who are away.
        assert_eq!(heard, "CONNACK Success present; PUBLISH t/1 \"one\" q1 #1");
        desk.puback(&mut one, 1);
        desk.say(&mut one, &Packet::Disconnect(Disconnect::new(Reason::Success)));
        let (one, heard) = desk.connect(&Connect::new(version, "b"));
        assert_eq!(heard, "CONNACK Success");
        desk.lose(&one);
    }
}

#[test]
fn qos_0_waits_where_it_is_wanted() {
    let mut desk = Desk::new(HubConfig::default().queue_qos_0(true));
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V3, "b");
    desk.subscribe(&mut one, "t", QoS::AtMostOnce);
    desk.lose(&one);
    desk.publish(&mut sender, "t", "zero");
    let (_, heard) = desk.join_for_good(V3, "b");
    assert_eq!(heard, "CONNACK Success present; PUBLISH t \"zero\" q0");
}

#[test]
fn a_session_ends_when_nobody_comes_back_in_time() {
    let mut desk = Desk::new(HubConfig::default());
    let keep = properties(&[Property::SessionExpiry(10)]);
    let connect = Connect { clean_start: false, properties: keep.properties(), ..Connect::new(V5, "a") };
    let device = desk.join_with(&connect);
    desk.wait(20.0);
    assert_eq!(desk.stats().sessions, 1, "it does not end while there is a connection");
    desk.lose(&device);
    desk.wait(9.0);
    let (device, heard) = desk.connect(&connect);
    assert_eq!(heard, "CONNACK Success present");
    desk.lose(&device);
    desk.wait(10.1);
    let stats = desk.stats();
    assert_eq!((stats.sessions, stats.sessions_expired), (0, 1));
    let (_, heard) = desk.connect(&connect);
    assert_eq!(heard, "CONNACK Success");
}

#[test]
fn the_longest_expiry_is_the_hubs_to_say() {
    let mut desk = Desk::new(HubConfig::default().session_expiry_max(60));
    let keep = properties(&[Property::SessionExpiry(600)]);
    let (_, heard) = desk.connect(&Connect { properties: keep.properties(), ..Connect::new(V5, "a") });
    assert_eq!(heard, "CONNACK Success SessionExpiry(60)");
    let (device, _) = desk.join_for_good(V3, "old");
    desk.lose(&device);
    desk.wait(61.0);
    assert_eq!(desk.stats().sessions, 1);
}

#[test]
fn disconnect_can_change_the_expiry_but_not_from_nothing() {
    let mut desk = Desk::new(HubConfig::default());
    let (mut device, _) = desk.join_for_good(V5, "a");
    let now = properties(&[Property::SessionExpiry(0)]);
    desk.say(
        &mut device,
        &Packet::Disconnect(Disconnect { reason: Reason::Success, properties: now.properties() }),
    );
    assert_eq!(desk.stats().sessions, 0);
    let mut device = desk.join(V5, "a");
    let later = properties(&[Property::SessionExpiry(10)]);
    desk.say(
        &mut device,
        &Packet::Disconnect(Disconnect { reason: Reason::Success, properties: later.properties() }),
    );
    assert_eq!(desk.hear(&mut device), ["DISCONNECT ProtocolError"]);
    assert_eq!(desk.stats().sessions, 0);
}

#[test]
fn who_comes_later_takes_the_session_over() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    for version in [V3, V5] {
        let (mut one, _) = desk.join_for_good(version, "a");
        desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
        let (mut two, heard) = desk.join_for_good(version, "a");
        assert_eq!(heard, "CONNACK Success present");
        let last = desk.hear(&mut one);
        assert_eq!(last, if version == V5 { vec!["DISCONNECT SessionTakenOver"] } else { vec![] });
        assert!(desk.harness.is_ended(one.peer));
        desk.publish(&mut sender, "t", "x");
        assert_eq!(desk.hear(&mut two), ["PUBLISH t \"x\" q0"]);
        desk.say(&mut two, &Packet::Disconnect(Disconnect::new(Reason::Success)));
        let (gone, _) = desk.connect(&Connect::new(version, "a"));
        desk.lose(&gone);
    }
    assert_eq!(desk.stats().taken_over, 2);
}

#[test]
fn a_storm_of_a_hundred_for_one_identifier_leaves_one() {
    let mut desk = Desk::new(HubConfig::default());
    let mut all: Vec<_> = (0..100).map(|_| desk.join_for_good(V5, "a").0).collect();
    let mut last = all.pop().unwrap();
    for device in &mut all {
        assert_eq!(desk.hear(device), ["DISCONNECT SessionTakenOver"]);
        assert!(desk.harness.is_ended(device.peer));
    }
    desk.say(&mut last, &Packet::Pingreq);
    assert_eq!(desk.hear(&mut last), ["PINGRESP"]);
    let stats = desk.stats();
    assert_eq!((stats.clients, stats.sessions), (1, 1));
}

#[test]
fn identifiers_are_chosen_for_those_who_have_none() {
    let mut desk = Desk::new(HubConfig::default());
    let (_, heard) = desk.connect(&Connect::new(V3, ""));
    assert_eq!(heard, "CONNACK Success");
    let (_, one) = desk.connect(&Connect::new(V5, ""));
    let (_, two) = desk.connect(&Connect { clean_start: false, ..Connect::new(V5, "") });
    assert!(one.starts_with("CONNACK Success AssignedClientId(\"auto-") && two != one, "{one} {two}");
    let (_, heard) = desk.connect(&Connect::new(V5, "own"));
    assert_eq!(heard, "CONNACK Success", "only then");
    assert_eq!(desk.stats().sessions, 4);
}

#[test]
fn too_many_sessions_are_refused() {
    let mut desk = Desk::new(HubConfig::default().sessions_max(2));
    let one = desk.join(V5, "a");
    desk.join(V3, "b");
    let (_, heard) = desk.connect(&Connect::new(V5, "c"));
    assert_eq!(heard, "CONNACK QuotaExceeded");
    let (_, heard) = desk.connect(&Connect::new(V3, "c"));
    assert_eq!(heard, "CONNACK ServerUnavailable");
    desk.join(V3, "b");
    desk.lose(&one);
    desk.join(V5, "c");
    assert_eq!(desk.stats().refused, 2);
}

/// Whoever else comes finds no place, neither before nor behind it: the place of the old session is the new one's.
#[test]
fn who_begins_anew_needs_no_other_place_than_its_own() {
    let stay = properties(&[Property::SessionExpiry(60)]);
    let connect =
        |id, clean_start| Connect { clean_start, properties: stay.properties(), ..Connect::new(V5, id) };
    let mut desk = Desk::new(HubConfig::default().sessions_max(3));
    let (mut ends, mut stays) = (desk.join(V5, "ends"), desk.join_with(&connect("stays", false)));
    let away = desk.join_with(&connect("away", false));
    desk.lose(&away);
    // As if others had taken every place that becomes free.
    desk.tell(|| Mail::Set(Box::new(HubConfig::default().sessions_max(1).sys_interval(Duration::ZERO))));
    let mut all = Vec::new();
    for connect in
        [Connect::new(V5, "ends"), connect("ends", false), connect("stays", true), connect("away", true)]
    {
        let (device, heard) = desk.connect(&connect);
        assert!(heard.starts_with("CONNACK Success"), "{}: {heard}", connect.client_id);
        assert!(!heard.contains("present"), "{}: {heard}", connect.client_id);
        all.push(device);
    }
    for old in [&mut ends, &mut stays] {
        assert_eq!(desk.hear(old), ["DISCONNECT SessionTakenOver"]);
        assert!(desk.harness.is_ended(old.peer));
    }
    assert_eq!((desk.stats().sessions, desk.stats().refused), (3, 0));
    // And no place is left over when all of them are gone.
    all.iter().for_each(|device| desk.lose(device));
    let (_, heard) = desk.connect(&Connect::new(V5, "other"));
    assert_eq!(heard, "CONNACK QuotaExceeded", "they are kept for a minute");
    desk.wait(61.0);
    desk.join(V5, "other");
    let (_, heard) = desk.connect(&Connect::new(V5, "another"));
    assert_eq!(heard, "CONNACK QuotaExceeded");
}

#[test]
fn what_came_behind_connect_is_served() {
    let mut desk = Desk::new(HubConfig::default());
    let device = desk.stranger(V3);
    // CONNECT of 3.1.1, SUBSCRIBE to `a`, PUBLISH to it, PINGREQ, byte by byte.
    let bytes = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a\x82\x06\0\x01\0\x01a\0\x30\x04\0\x01ax\xc0\0";
    let wanted = b"\x20\x02\0\0\x90\x03\0\x01\0\x30\x04\0\x01ax\xd0\0";
    desk.harness.send_split(device.peer, bytes, 1);
    assert_eq!(desk.harness.receive(device.peer), wanted);
    let device = desk.stranger(V3);
    desk.harness.send(device.peer, bytes);
    assert_eq!(desk.harness.receive(device.peer), wanted, "in their order, if all come at once");
}
