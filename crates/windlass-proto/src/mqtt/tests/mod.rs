//! Tests of MQTT. The clauses of the specifications stand at the tests that hold them.

mod alias;
mod clauses;
mod kit;
mod moments;
mod properties;
mod qos;
mod refused;
mod sample;
mod template;
mod topics;
mod tree;
mod vectors;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::testing::{self, Run};
use crate::{Encode, EncodeError};

/// A packet in all its parts, those included that its `Debug` keeps to itself.
fn told(packet: Packet<'_>) -> String {
    let list = |properties: Properties<'_>| {
        properties.iter().fold(String::new(), |text, property| {
            // A secret is told here too: it has to be the one that was sent.
            match property {
                Property::AuthenticationData(Secret(bytes)) => text + &format!(" auth {bytes:?}"),
                property => text + &format!(" {property:?}"),
            }
        })
    };
    match packet {
        Packet::Connect(connect) => {
            let will = connect.will.map(|will| format!("{:?}{}", will.payload, list(will.properties)));
            let password = connect.password.map(|Secret(bytes)| bytes);
            format!("{connect:?} {will:?} {password:?}{}", list(connect.properties))
        }
        Packet::Connack(connack) => format!("{connack:?}{}", list(connack.properties)),
        Packet::Publish(publish) => {
            format!("{publish:?} {:?}{}", publish.payload, list(publish.properties))
        }
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            format!("{} {ack:?}{}", packet.kind().name(), list(ack.properties))
        }
        Packet::Subscribe(subscribe) => {
            let filters: Vec<_> = subscribe.filters.iter().collect();
            format!("SUBSCRIBE {} {filters:?}{}", subscribe.id, list(subscribe.properties))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<_> = unsubscribe.filters.iter().collect();
            format!("UNSUBSCRIBE {} {filters:?}{}", unsubscribe.id, list(unsubscribe.properties))
        }
        Packet::Suback(suback) | Packet::Unsuback(suback) => {
            let reasons: Vec<_> = suback.reasons.iter().collect();
            format!("{} {} {reasons:?}{}", packet.kind().name(), suback.id, list(suback.properties))
        }
        Packet::Pingreq | Packet::Pingresp => packet.kind().name().into(),
        Packet::Disconnect(disconnect) => format!("{disconnect:?}{}", list(disconnect.properties)),
        Packet::Auth(auth) => format!("{auth:?}{}", list(auth.properties)),
    }
}

fn run(mqtt: &Mqtt, bytes: &[u8]) -> Run<String, MqttError> {
    testing::any_split(|| mqtt.clone(), bytes, told)
}

/// A server's end in the middle of a connection, with an authentication method where there is one.
fn server(version: Version) -> Mqtt {
    Mqtt::server(Limits::default()).connected(version, version == Version::V5)
}

fn client(version: Version) -> Mqtt {
    Mqtt::client(version, Limits::default()).connected(version, version == Version::V5)
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}

fn topic(text: &str) -> Topic<'_> {
    Topic::new(text).unwrap()
}

fn filter(text: &str) -> Filter<'_> {
    Filter::new(text).unwrap()
}

fn properties(list: &[Property<'_>]) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    for property in list {
        properties.push(*property).unwrap();
    }
    properties
}

fn encoded(mqtt: &mut Mqtt, packet: &Packet<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    mqtt.encode(packet, &mut out).map(|()| out)
}
