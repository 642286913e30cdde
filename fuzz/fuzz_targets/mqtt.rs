//! Any bytes to both ends of MQTT, in both versions: `cargo +nightly fuzz run mqtt`. The first byte of the input says
//! which end, and how the rest is cut. In pieces it gives what it gives in one; every part of a packet can be walked;
//! and what was decoded has one encoding, which gives it again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::mqtt::{Connect, Limits, Mqtt, Packet, Version};
use windlass::proto::testing::feed;
use windlass::proto::{Decode, Encode, Input};

fn told(packet: Packet<'_>) -> String {
    let parts = match &packet {
        Packet::Connect(connect) => {
            let will = connect.will.map_or(0, |will| will.properties.iter().count());
            format!("{will} {:?}", connect.properties.iter().collect::<Vec<_>>())
        }
        Packet::Publish(publish) => format!("{:?}", publish.properties.iter().collect::<Vec<_>>()),
        Packet::Subscribe(subscribe) => format!("{:?}", subscribe.filters.iter().collect::<Vec<_>>()),
        Packet::Unsubscribe(unsubscribe) => format!("{:?}", unsubscribe.filters.iter().collect::<Vec<_>>()),
        Packet::Suback(suback) | Packet::Unsuback(suback) => {
            format!("{:?}", suback.reasons.iter().collect::<Vec<_>>())
        }
        _ => String::new(),
    };
    format!("{packet:?} {parts}")
}

/// The other end, in the middle of the same connection.
fn peer(server: bool, version: Version) -> Mqtt {
    let limits = Limits::default();
    if server { Mqtt::client(version, limits) } else { Mqtt::server(limits) }.connected(version, true)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&how, bytes)) = bytes.split_first() else { return };
    let version = if how & 1 == 0 { Version::V311 } else { Version::V5 };
    let (server, started) = (how & 2 == 0, how & 4 == 0);
    // Small, so that a fuzzer reaches them.
    let limits = Limits { packet_max: 512, connect_max: 512, topic_levels_max: 8, user_properties_max: 4 };
    let decoder = || {
        let mut mqtt = if server { Mqtt::server(limits) } else { Mqtt::client(version, limits) };
        if started {
            return mqtt.connected(version, true);
        }
        if !server {
            mqtt.encode(&Packet::Connect(Connect::new(version, "a")), &mut Vec::new()).unwrap();
        }
        mqtt
    };
    let whole = feed(decoder(), [bytes], |seen, packet| seen.push(told(packet)));
    let pieces = bytes.chunks(usize::from(how >> 3) + 1);
    let split = feed(decoder(), pieces, |seen, packet| seen.push(told(packet)));
    assert_eq!((whole.messages, whole.error), (split.messages, split.error));

    let mut bytes = bytes.to_vec();
    let (mut mqtt, mut input) = (decoder(), Input::new(&mut bytes));
    while let Ok(Some(packet)) = mqtt.decode(&mut input) {
        if matches!(packet, Packet::Connect(_) | Packet::Connack(_)) {
            continue;
        }
        let version = mqtt.version().unwrap_or(version);
        let mut out = Vec::new();
        peer(server, version).encode(&packet, &mut out).expect("what came can be sent");
        let limits = Limits { packet_max: 1024, ..limits };
        let end = if server { Mqtt::server(limits) } else { Mqtt::client(version, limits) };
        let mut input = Input::new(&mut out);
        let again = end.connected(version, true).decode(&mut input).unwrap().unwrap();
        assert_eq!(told(again), told(packet));
        assert!(input.is_empty());
    }
});
