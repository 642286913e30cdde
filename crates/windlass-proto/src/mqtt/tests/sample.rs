//! Random packets, each with the text it must be told as.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::testing::Rng;

/// A packet's bytes and what it is.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) text: String,
    pub(super) bytes: Vec<u8>,
}

impl PartialEq for Sample {
    fn eq(&self, other: &Sample) -> bool {
        self.text == other.text
    }
}

const TEXTS: [&str; 6] = ["", "a", "ü", "\u{feff}x", "\u{1f980}", "some longer text with spaces"];
const TOPICS: [&str; 6] = ["a", "/", "a/b/c", "$SYS/x", "ö//", "a b/c"];
const FILTERS: [&str; 7] = ["#", "+", "a/+/c", "$share/g/a/#", "/", "+/+", "$SYS/#"];

fn one<T: Copy>(rng: &mut Rng, list: &[T]) -> T {
    list[rng.below(list.len() as u64) as usize]
}

fn any_id(rng: &mut Rng) -> PacketId {
    PacketId::new(rng.next_u64() as u16 | 1).unwrap()
}

fn any_properties(rng: &mut Rng, place: Place, from: Side, version: Version) -> PropertiesBuf {
    let mut list = PropertiesBuf::new();
    let auth = place == Place::Packet(Kind::Auth);
    if version == Version::V311 || !auth && rng.chance(1, 2) {
        return list;
    }
    let number = rng.next_u64() as u32;
    let (text, flag) = (one(rng, &TEXTS), rng.chance(1, 2));
    let publish = place == Place::Packet(Kind::Publish);
    let disconnect = place == Place::Packet(Kind::Disconnect);
    let mut all = Vec::from([
        Property::PayloadIsUtf8(flag),
        Property::MessageExpiry(number),
        Property::ContentType(text),
        Property::ResponseTopic(topic(one(rng, &TOPICS))),
        Property::CorrelationData(text.as_bytes()),
        Property::SubscriptionId(number % 268_435_455 + 1),
        Property::SessionExpiry(number),
        Property::AssignedClientId(text),
        Property::ServerKeepAlive(number as u16),
        Property::AuthenticationMethod(text),
        Property::AuthenticationData(Secret(text.as_bytes())),
        Property::RequestProblemInformation(flag),
        Property::WillDelay(number),
        Property::RequestResponseInformation(flag),
        Property::ResponseInformation(text),
        Property::ServerReference(text),
        Property::ReasonString(text),
        Property::ReceiveMaximum(number as u16 | 1),
        Property::TopicAliasMaximum(number as u16),
        Property::TopicAlias(number as u16 | 1),
        Property::MaximumQoS(flag.into()),
        Property::RetainAvailable(flag),
        Property::MaximumPacketSize(number | 1),
        Property::WildcardSubscriptionAvailable(flag),
        Property::SubscriptionIdAvailable(flag),
        Property::SharedSubscriptionAvailable(flag),
        Property::User(text, "1"),
        Property::User(text, "2"),
    ]);
    if publish {
        all.push(Property::SubscriptionId(7));
    }
    let method = auth || rng.chance(1, 2);
    all.retain(|property| match property {
        _ if !super::super::property::allowed(property.id(), place) => false,
        Property::SubscriptionId(_) if publish => from == Side::Server,
        Property::SessionExpiry(_) if disconnect => from == Side::Client,
        Property::ServerReference(_) if disconnect => from == Side::Server,
        Property::AuthenticationMethod(_) => method,
        Property::AuthenticationData(_) => method && rng.chance(1, 2),
        _ => rng.chance(1, 3),
    });
    for property in all {
        list.push(property).unwrap();
    }
    list
}

fn any_reason(rng: &mut Rng, kind: Kind, from: Side, version: Version) -> Reason {
    let allowed = |reason: &Reason| reason.is_allowed(kind, from);
    let all: Vec<Reason> = (0..=255).filter_map(Reason::from_code).filter(allowed).collect();
    match (version, kind) {
        (Version::V311, Kind::Connack) => {
            one(rng, &[Reason::Success, Reason::NotAuthorized, Reason::BadUserNameOrPassword])
        }
        (Version::V311, Kind::Suback) => {
            one(rng, &[Reason::Success, Reason::GrantedQos2, Reason::UnspecifiedError])
        }
        (Version::V311, _) => Reason::Success,
        (Version::V5, _) if all.is_empty() => Reason::Success,
        (Version::V5, _) => one(rng, &all),
    }
}

/// Any packet of this kind that this end may send.
pub(super) fn any(rng: &mut Rng, kind: Kind, from: Side, version: Version) -> Sample {
    let list = any_properties(rng, Place::Packet(kind), from, version);
    let (list, id) = (list.properties(), any_id(rng));
    let reason = any_reason(rng, kind, from, version);
    let (text, name) = (one(rng, &TEXTS), topic(one(rng, &TOPICS)));
    let ack = Ack { id, reason, properties: list };
    let will_list = any_properties(rng, Place::Will, from, version);
    let v5 = version == Version::V5;
    let packet = match kind {
        Kind::Connect => {
            let qos = one(rng, &[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
            let (retain, payload) = (rng.chance(1, 2), text.as_bytes());
            let will = Will { topic: name, payload, qos, retain, properties: will_list.properties() };
            let user_name = rng.chance(1, 2).then_some(text);
            Packet::Connect(Connect {
                version,
                clean_start: true,
                keep_alive: rng.next_u64() as u16,
                client_id: text,
                will: rng.chance(1, 2).then_some(will),
                user_name,
                password: (rng.chance(1, 2) && (v5 || user_name.is_some())).then_some(Secret(b"\0\xff")),
                properties: list,
            })
        }
        Kind::Connack => {
            let session_present = reason == Reason::Success && rng.chance(1, 2);
            Packet::Connack(Connack { session_present, reason, properties: list })
        }
        Kind::Publish => {
            let qos = one(rng, &[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
            let acknowledged = qos != QoS::AtMostOnce;
            let nameless = list.topic_alias().is_some() && rng.chance(1, 2);
            Packet::Publish(Publish {
                topic: (!nameless).then_some(name),
                qos,
                dup: acknowledged && rng.chance(1, 2),
                retain: rng.chance(1, 2),
                id: acknowledged.then_some(id),
                properties: list,
                payload: one(rng, &[&b""[..], b"\0", b"payload", &[0x30; 130]]),
            })
        }
        Kind::Puback => Packet::Puback(ack),
        Kind::Pubrec => Packet::Pubrec(ack),
        Kind::Pubrel => Packet::Pubrel(ack),
        Kind::Pubcomp => Packet::Pubcomp(ack),
        Kind::Subscribe => {
            let mut filters = Vec::new();
            for _ in 0..=rng.below(3) {
                let filter = filter(one(rng, &FILTERS));
                let mut options = SubscribeOptions::from_byte(rng.below(3) as u8).unwrap();
                if v5 {
                    options.no_local = filter.group().is_none() && rng.chance(1, 2);
                    options.retain_as_published = rng.chance(1, 2);
                    options.retain_handling =
                        one(rng, &[RetainHandling::SendIfNew, RetainHandling::DoNotSend]);
                }
                filters.push(Subscription { filter, options });
            }
            let packet = Subscribe { id, properties: list, filters: Filters::new(&filters) };
            return sample(Packet::Subscribe(packet), from, version);
        }
        Kind::Unsubscribe => {
            let filters = [filter(one(rng, &FILTERS)), filter("x")];
            let packet = Unsubscribe { id, properties: list, filters: Names::new(&filters) };
            return sample(Packet::Unsubscribe(packet), from, version);
        }
        Kind::Suback => {
            let reasons = [reason, Reason::Success];
            return sample(
                Packet::Suback(Suback { id, properties: list, reasons: Reasons::new(&reasons) }),
                from,
                version,
            );
        }
        Kind::Unsuback => {
            let reasons = if v5 { &[reason, Reason::Success][..] } else { &[] };
            return sample(
                Packet::Unsuback(Suback { id, properties: list, reasons: Reasons::new(reasons) }),
                from,
                version,
            );
        }
        Kind::Pingreq => Packet::Pingreq,
        Kind::Pingresp => Packet::Pingresp,
        Kind::Disconnect => Packet::Disconnect(Disconnect { reason, properties: list }),
        Kind::Auth => Packet::Auth(Auth { reason, properties: list }),
    };
    sample(packet, from, version)
}

fn sample(packet: Packet<'_>, from: Side, version: Version) -> Sample {
    let mut mqtt = sender(packet.kind(), from, version);
    let bytes = encoded(&mut mqtt, &packet).unwrap_or_else(|error| panic!("{packet:?}: {error}"));
    Sample { text: told(packet), bytes }
}

/// An end that may send a packet of this kind now.
pub(super) fn sender(kind: Kind, from: Side, version: Version) -> Mqtt {
    match (kind, from) {
        (Kind::Connect, _) => Mqtt::client(version, Limits::default()),
        (Kind::Connack, _) => {
            let mut mqtt = Mqtt::server(Limits::default());
            let connect = encoded(
                &mut Mqtt::client(version, Limits::default()),
                &Packet::Connect(Connect::new(version, "a")),
            );
            let mut bytes = connect.unwrap();
            crate::Decode::decode(&mut mqtt, &mut crate::Input::new(&mut bytes)).unwrap();
            mqtt
        }
        (_, Side::Client) => client(version),
        (_, Side::Server) => server(version),
    }
}
