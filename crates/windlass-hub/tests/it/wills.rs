//! Wills: what is published when a client is gone.

use windlass_hub::{HubConfig, QoS, Reason};
use windlass_proto::mqtt::{
    Connect, Disconnect, Packet, Properties, PropertiesBuf, Property, Topic, Version, Will,
};

use crate::kit::{Desk, Device, V3, V5, properties};

fn connect<'c>(
    version: Version,
    id: &'c str,
    will: &'c PropertiesBuf,
    own: &'c PropertiesBuf,
) -> Connect<'c> {
    let v5 = version == V5;
    let will = Will {
        topic: Topic::new("gone").unwrap(),
        payload: id.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: if v5 { will.properties() } else { Properties::NONE },
    };
    let properties = if v5 { own.properties() } else { Properties::NONE };
    Connect { will: Some(will), properties, ..Connect::new(version, id) }
}

fn watcher(desk: &mut Desk) -> Device {
    let mut watcher = desk.join(V5, "watcher");
    desk.subscribe(&mut watcher, "gone", QoS::AtMostOnce);
    watcher
}

#[test]
fn it_is_published_when_the_connection_ends_without_a_word() {
    let mut desk = Desk::new(HubConfig::default());
    let mut watcher = watcher(&mut desk);
    let none = properties(&[]);
    for version in [V3, V5] {
        let device = desk.join_with(&connect(version, "a", &none, &none));
        desk.lose(&device);
        assert_eq!(desk.hear(&mut watcher), ["PUBLISH gone \"a\" q0"]);
        // A mistake of the client's is no farewell either.
        let mut device = desk.join_with(&connect(version, "b", &none, &none));
        desk.harness.send(device.peer, b"\x00\x00");
        desk.hear(&mut device);
        assert_eq!(desk.hear(&mut watcher), ["PUBLISH gone \"b\" q0"]);
        let mut device = desk.join_with(&connect(version, "c", &none, &none));
        desk.say(&mut device, &Packet::Disconnect(Disconnect::new(Reason::Success)));
        assert!(desk.hear(&mut watcher).is_empty(), "[MQTT-3.14.4-3]");
    }
    let mut device = desk.join_with(&connect(V5, "d", &none, &none));
    desk.say(&mut device, &Packet::Disconnect(Disconnect::new(Reason::DisconnectWithWill)));
    assert_eq!(desk.hear(&mut watcher), ["PUBLISH gone \"d\" q0"]);
    assert_eq!(desk.stats().wills, 5);
}

#[test]
fn it_waits_as_long_as_it_says() {
    let mut desk = Desk::new(HubConfig::default());
    let mut watcher = watcher(&mut desk);
    let delay = properties(&[Property::WillDelay(5)]);
    let keep = properties(&[Property::SessionExpiry(60)]);
    let device = desk.join_with(&connect(V5, "a", &delay, &keep));
    desk.lose(&device);
    desk.wait(4.9);
    assert!(desk.hear(&mut watcher).is_empty());
    desk.wait(0.2);
    assert_eq!(desk.hear(&mut watcher), ["PUBLISH gone \"a\" q0"], "within 100 ms");
    // Who is back in time is not gone ([MQTT-3.1.3-9]).
    let back = Connect { clean_start: false, ..connect(V5, "a", &delay, &keep) };
    let device = desk.join_with(&back);
    desk.lose(&device);
    desk.wait(4.0);
    let device = desk.join_with(&back);
    desk.wait(10.0);
    assert!(desk.hear(&mut watcher).is_empty());
    // It does not outlive the session.
    desk.lose(&device);
    desk.wait(1.0);
    let _clean = desk.join(V5, "a");
    assert_eq!(desk.hear(&mut watcher), ["PUBLISH gone \"a\" q0"]);
    let short = properties(&[Property::SessionExpiry(2)]);
    let device = desk.join_with(&connect(V5, "b", &delay, &short));
    desk.lose(&device);
    desk.wait(2.1);
    assert_eq!(desk.hear(&mut watcher), ["PUBLISH gone \"b\" q0"], "the session ends before the delay");
}

#[test]
fn what_goes_with_it_goes_with_the_message() {
    let mut desk = Desk::new(HubConfig::default());
    let mut watcher = watcher(&mut desk);
    let will = properties(&[
        Property::WillDelay(2),
        Property::MessageExpiry(30),
        Property::ContentType("text"),
        Property::User("k", "v"),
    ]);
    let keep = properties(&[Property::SessionExpiry(60)]);
    let device = desk.join_with(&connect(V5, "a", &will, &keep));
    desk.lose(&device);
    desk.wait(2.1);
    let heard = desk.hear(&mut watcher);
    // Its interval begins when it is published.
    let wanted = "PUBLISH gone \"a\" q0 MessageExpiry(30) ContentType(\"text\") User(\"k\", \"v\")";
    assert_eq!(heard, [wanted]);
}

#[test]
fn a_takeover_is_an_end_like_any_other() {
    let mut desk = Desk::new(HubConfig::default());
    let mut watcher = watcher(&mut desk);
    let none = properties(&[]);
    let _one = desk.join_with(&connect(V5, "a", &none, &none));
    let _two = desk.join(V5, "a");
    assert_eq!(desk.hear(&mut watcher), ["PUBLISH gone \"a\" q0"]);
}

#[test]
fn a_will_is_retained_if_it_says_so() {
    let mut desk = Desk::new(HubConfig::default());
    let none = properties(&[]);
    let mut said = connect(V5, "a", &none, &none);
    said.will.as_mut().unwrap().retain = true;
    let device = desk.join_with(&said);
    desk.lose(&device);
    let mut late = desk.join(V5, "late");
    let heard = desk.subscribe(&mut late, "gone", QoS::AtLeastOnce);
    assert_eq!(heard[1], "PUBLISH gone \"a\" q1 #1 retain");
}

#[test]
fn what_a_hub_does_not_take_is_no_will() {
    let none = properties(&[]);
    let mut desk = Desk::new(HubConfig::default().qos_max(QoS::AtMostOnce));
    let (_, heard) = desk.connect(&connect(V5, "a", &none, &none));
    assert_eq!(heard, "CONNACK QosNotSupported", "[MQTT-3.2.2-12]");
    let mut desk = Desk::new(HubConfig::default().retain(false));
    let mut said = connect(V5, "a", &none, &none);
    said.will.as_mut().unwrap().retain = true;
    assert_eq!(desk.connect(&said).1, "CONNACK RetainNotSupported", "[MQTT-3.2.2-13]");
    let mut desk = Desk::new(HubConfig::default());
    let mut said = connect(V5, "a", &none, &none);
    said.will.as_mut().unwrap().topic = Topic::new("$SYS/broker/uptime").unwrap();
    assert_eq!(desk.connect(&said).1, "CONNACK NotAuthorized");
}
