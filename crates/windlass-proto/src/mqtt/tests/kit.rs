//! The test kit: what is encoded comes back, however it is cut; what is garbled does no harm.

use super::sample::{Sample, any, sender};
use super::*;
use crate::testing::{Codec, Rng, check};

/// Packets of one end in one version. CONNECT and CONNACK come once, so they are checked alone.
struct Wire {
    from: Side,
    version: Version,
    kinds: &'static [Kind],
    once: bool,
}

const PACKET_MAX: usize = 400;

const CLIENTS: &[Kind] = &[
    Kind::Publish,
    Kind::Puback,
    Kind::Pubrec,
    Kind::Pubrel,
    Kind::Pubcomp,
    Kind::Subscribe,
    Kind::Unsubscribe,
    Kind::Pingreq,
    Kind::Disconnect,
];
const SERVERS: &[Kind] = &[
    Kind::Publish,
    Kind::Puback,
    Kind::Pubrec,
    Kind::Pubrel,
    Kind::Pubcomp,
    Kind::Suback,
    Kind::Unsuback,
    Kind::Pingresp,
];

impl Codec for Wire {
    type Decoder = Mqtt;
    type Message = Sample;

    fn decoder(&self) -> Mqtt {
        let limits = Limits { packet_max: PACKET_MAX, connect_max: PACKET_MAX, ..Limits::default() };
        let mut mqtt = match self.from {
            Side::Client => Mqtt::server(limits),
            Side::Server => Mqtt::client(self.version, limits),
        };
        if !self.once {
            return mqtt.connected(self.version, self.version == Version::V5);
        }
        if self.from == Side::Server {
            encoded(&mut mqtt, &Packet::Connect(Connect::new(self.version, "a"))).unwrap();
        }
        mqtt
    }

    fn own(message: Packet<'_>) -> Sample {
        Sample { text: told(message), bytes: Vec::new() }
    }

    fn message(&self, rng: &mut Rng) -> Sample {
        let kind = self.kinds[rng.below(self.kinds.len() as u64) as usize];
        any(rng, kind, self.from, self.version)
    }

    fn encode(&self, message: &Sample, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&message.bytes);
        message.bytes.len() <= PACKET_MAX
    }

    fn held_max(&self) -> usize {
        PACKET_MAX - 1
    }

    fn messages_max(&self) -> usize {
        if self.once { 1 } else { 8 }
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        Vec::from([Vec::from([0x00, 0]), Vec::from([0x3f, 0]), Vec::from([0xc0, 0xff, 0xff, 0xff, 0xff])])
    }
}

#[test]
fn packets_of_clients() {
    for version in [Version::V311, Version::V5] {
        check(&Wire { from: Side::Client, version, kinds: CLIENTS, once: false });
        check(&Wire { from: Side::Client, version, kinds: &[Kind::Connect], once: true });
    }
    check(&Wire { from: Side::Client, version: Version::V5, kinds: &[Kind::Auth], once: false });
}

#[test]
fn packets_of_servers() {
    for version in [Version::V311, Version::V5] {
        check(&Wire { from: Side::Server, version, kinds: SERVERS, once: false });
        check(&Wire { from: Side::Server, version, kinds: &[Kind::Connack], once: true });
    }
    let kinds = &[Kind::Auth, Kind::Disconnect];
    check(&Wire { from: Side::Server, version: Version::V5, kinds, once: false });
}

/// What was decoded is encoded to the same bytes again.
#[test]
fn there_is_one_form() {
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        for (from, kinds) in [(Side::Client, CLIENTS), (Side::Server, SERVERS)] {
            let version = if rng.chance(1, 2) { Version::V311 } else { Version::V5 };
            let kind = kinds[rng.below(kinds.len() as u64) as usize];
            let Sample { mut bytes, text } = any(&mut rng, kind, from, version);
            let before = bytes.clone();
            let mut receiver = if from == Side::Client { server(version) } else { client(version) };
            let packet = crate::Decode::decode(&mut receiver, &mut crate::Input::new(&mut bytes));
            let packet = packet.unwrap().unwrap();
            assert_eq!(told(packet), text);
            assert_eq!(encoded(&mut sender(kind, from, version), &packet).unwrap(), before, "{text}");
        }
    }
}
