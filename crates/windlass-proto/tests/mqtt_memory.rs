//! What MQTT allocates, and what it does not. In a process of its own and without a test harness, whose thread would
//! allocate meanwhile: all that is allocated is counted.

use std::alloc::System;
use std::ops::ControlFlow;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use windlass_proto::mqtt::{
    AliasesIn, AliasesOut, Arrival, Delivery, Filter, Incoming, Limits, Matched, Mqtt, Outgoing, Packet,
    PacketId, Properties, PropertiesBuf, Property, PublishTemplate, QoS, Reason, Retained, Subscriptions,
    Topic, TopicForm, TreeLimits, Version,
};
use windlass_proto::testing::Rng;
use windlass_proto::{Decode, Encode, Input};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What `act` allocates.
fn counted<T>(act: impl FnOnce() -> T) -> (Stats, T) {
    let region = Region::new(ALLOCATOR);
    let done = act();
    (region.change(), done)
}

#[track_caller]
fn nothing<T>(act: impl FnOnce() -> T) -> T {
    let (change, done) = counted(act);
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    done
}

fn main() {
    // With `std`, which other crates of a build may turn on, the first table of a process draws its seed; then none does.
    drop(AliasesOut::new(10));
    packets();
    garbage();
    one_to_many();
    machines();
    trees();
}

/// Reading a packet and walking everything in it.
fn packets() {
    let limits = Limits::default();
    let mut list = PropertiesBuf::new();
    list.push(Property::User("a", "b")).unwrap().push(Property::ContentType("text")).unwrap();
    let packets: [&[u8]; 4] = [
        b"\x10\x25\0\x04MQTT\x04\xce\0\x0a\0\0\0\x01w\0\x05gone!\0\x05alice\0\x06secret",
        b"\x32\x08\0\x03a/b\0\x0a!",
        b"\x82\x0e\0\x0a\0\x03a/b\x01\0\x03c/d\x02",
        b"\xa2\x0c\0\x0a\0\x03a/b\0\x03c/d",
    ];
    let mut bytes = packets.concat();
    let mut input = Input::new(&mut bytes);
    let mut mqtt = Mqtt::server(limits);
    let seen = nothing(|| {
        let mut seen = 0;
        while let Some(packet) = mqtt.decode(&mut input).unwrap() {
            seen += match packet {
                Packet::Subscribe(subscribe) => subscribe.filters.iter().count(),
                Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.iter().count(),
                _ => 1,
            };
        }
        seen
    });
    assert_eq!((seen, input.len()), (6, 0));
    let mut out = Vec::with_capacity(1000);
    let publish = windlass_proto::mqtt::Publish {
        properties: list.properties(),
        ..windlass_proto::mqtt::Publish::new(Topic::new("a/b").unwrap(), b"payload")
    };
    let mut mqtt = Mqtt::server(limits).connected(Version::V5, false);
    nothing(|| mqtt.encode(&Packet::Publish(publish), &mut out).unwrap());
}

/// Whatever a peer sends: the bytes that it sent are all the memory it takes.
fn garbage() {
    let mut rng = Rng::new(1);
    for version in [Version::V311, Version::V5] {
        for _ in 0..20_000 {
            let mut bytes = [0; 64];
            rng.fill(&mut bytes);
            bytes[1] = 62;
            let first = [0x30, 0x32, 0x34, 0x40, 0x62, 0x82, 0xa2, 0xe0, 0xf0, 0x10];
            bytes[0] = first[rng.below(first.len() as u64) as usize];
            let mqtt = Mqtt::server(Limits::default());
            let mut mqtt = if bytes[0] == 0x10 { mqtt } else { mqtt.connected(version, true) };
            nothing(|| {
                let _ = mqtt.decode(&mut Input::new(&mut bytes));
            });
        }
    }
}

/// One message to a thousand receivers of both versions: its head is laid out twice.
fn one_to_many() {
    let mut came = PropertiesBuf::new();
    came.push(Property::User("unit", "\u{b0}C")).unwrap().push(Property::MessageExpiry(60)).unwrap();
    let payload = [b'x'; 64];
    let topic = Topic::new("building/7/floor/3/room/12/temperature").unwrap();
    let mut out = Vec::with_capacity(1000 * 200);
    let (change, templates) = counted(|| {
        let new = |version| PublishTemplate::new(version, topic, came.properties(), payload.len()).unwrap();
        let mut templates = [new(Version::V311), new(Version::V5)];
        for receiver in 0..1000_u16 {
            let id = PacketId::new(receiver % 3 * 7);
            let delivery = Delivery {
                qos: if id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
                id,
                subscription_ids: &[5, 6][..usize::from(receiver % 3)],
                topic: if receiver % 4 == 3 { TopicForm::Alias(1) } else { TopicForm::Name },
                expiry: Some(59),
                ..Delivery::default()
            };
            templates[usize::from(receiver % 2)].put(&delivery, &payload, usize::MAX, &mut out).unwrap();
        }
        // And the next message, in the same memory.
        for template in &mut templates {
            template.set(topic, Properties::NONE, 0).unwrap();
        }
        templates
    });
    assert_eq!((change.allocations, change.reallocations), (2, 0), "one for each version");
    assert!(templates[0].len(&Delivery::default()) < templates[1].len(&Delivery::default()));
}

/// Once as much has been in flight as there will be, nothing is allocated any more.
fn machines() {
    let (change, _) = counted(|| (Outgoing::<u64>::new(20), Incoming::new(20, true), AliasesOut::new(10)));
    assert_eq!(change.allocations, 0, "an idle session takes nothing");
    let mut out = Outgoing::new(20);
    let mut incoming = Incoming::new(20, true);
    let mut round = |messages: u64| {
        for message in 0..messages {
            let qos = if message % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            let id = out.send(qos, message).unwrap();
            let Ok(Arrival::New(ticket)) = incoming.publish(qos, id, false) else { panic!("it is new") };
            incoming.ready(ticket, Reason::Success);
            incoming.next_ack().unwrap();
            if qos == QoS::AtLeastOnce {
                out.puback(id).unwrap();
            } else {
                out.pubrec(id, Reason::Success).unwrap();
                assert_eq!(incoming.pubrel(id), Reason::Success);
                out.pubcomp(id).unwrap();
            }
        }
    };
    round(20);
    nothing(|| round(100_000));
    let topics = ["a/long/topic", "another/long/topic"].map(|topic| Topic::new(topic).unwrap());
    let (mut ours, mut theirs) = (AliasesOut::new(10), AliasesIn::new(10, 1000));
    let mut round = || {
        for topic in topics {
            let (name, alias) = match ours.form(topic) {
                TopicForm::Alias(alias) => (None, alias),
                TopicForm::NameAndAlias(alias) => (Some(topic), alias),
                TopicForm::Name => panic!("it has a number"),
            };
            assert_eq!(theirs.resolve(name, Some(alias)), Ok(topic));
        }
    };
    round();
    nothing(round);
}

fn trees() {
    let mut tree = Subscriptions::new(TreeLimits::default());
    let mut retained = Retained::new(TreeLimits::default());
    for n in 0..2000_u32 {
        let name = format!("building/{}/room/{n}", n % 7);
        tree.insert(Filter::new(&name).unwrap(), n, ()).unwrap();
        tree.insert(Filter::new("building/+/room/#").unwrap(), n, ()).unwrap();
        retained.insert(Topic::new(&name).unwrap(), n).unwrap();
    }
    let found = nothing(|| {
        let mut found = 0;
        tree.matching(Topic::new("building/3/room/3").unwrap(), |matched| {
            found += u32::from(matches!(matched, Matched::Own(..)));
        });
        retained.matching(Filter::new("building/3/+/#").unwrap(), |_| {
            found += 1;
            ControlFlow::Continue(())
        });
        found
    });
    assert_eq!(found, 2001 + 286);
}
