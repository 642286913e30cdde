//! One packet, given to our codec and to that of mqtt-protocol-core. The fuzz target of the same name uses this file
//! too.

use mqtt_protocol_core::mqtt::packet::{v3_1_1, v5_0};
use windlass_proto::mqtt::{Connect, Kind, Limits, Mqtt, MqttError, Packet, Version};
use windlass_proto::{Decode, Encode, Input};

/// All there are, in the order of their numbers.
pub(crate) const KINDS: [Kind; 15] = [
    Kind::Connect,
    Kind::Connack,
    Kind::Publish,
    Kind::Puback,
    Kind::Pubrec,
    Kind::Pubrel,
    Kind::Pubcomp,
    Kind::Subscribe,
    Kind::Suback,
    Kind::Unsubscribe,
    Kind::Unsuback,
    Kind::Pingreq,
    Kind::Pingresp,
    Kind::Disconnect,
    Kind::Auth,
];

/// The kind of a packet with this first byte.
fn kind_of(first: u8) -> Option<Kind> {
    KINDS.get(usize::from(first >> 4).checked_sub(1)?).copied()
}

/// The first byte of a packet of this kind, but for the flags of PUBLISH.
pub(crate) fn first_of(kind: Kind) -> u8 {
    (kind as u8) << 4 | if matches!(kind, Kind::Pubrel | Kind::Subscribe | Kind::Unsubscribe) { 2 } else { 0 }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Verdict {
    /// Both take it, and read the same.
    Taken,
    /// Both refuse it.
    Refused,
    /// They differ, and this is why: [`DIFFERENCES`].
    Known(usize),
}

/// One more than the other takes, and why that is right.
pub(crate) struct Difference {
    pub(crate) why: &'static str,
    /// Whether it is the reason of ours, or `None` for one that ours takes.
    is: fn(Option<MqttError>, &Case<'_>) -> bool,
}

/// A packet that one takes and the other does not.
struct Case<'c> {
    kind: Kind,
    version: Version,
    body: &'c [u8],
}

/// Gives this packet to both.
///
/// # Panics
///
/// If they differ, and nothing here says why.
pub(crate) fn compare(first: u8, body: &[u8], version: Version) -> Verdict {
    let Some(kind) = kind_of(first) else { panic!("no kind: {first:#x}") };
    // CONNECT says its version itself.
    let version = match (kind, body.get(6)) {
        (Kind::Connect, Some(5)) => Version::V5,
        (Kind::Connect, _) => Version::V311,
        _ => version,
    };
    let ours = ours(first, body, version);
    let theirs = theirs(first, body, version);
    let shown = || format!("{version:?} {kind:?} {first:#04x} {}", body.escape_ascii());
    match (ours, theirs) {
        (Ok(mine), Some(theirs)) => {
            // What they have read is written down again by them, and by us what we read of that.
            let (first, body) = split(&theirs);
            let again = self::ours(first, body, version).unwrap_or_else(|errors| {
                panic!("{}: theirs again: {errors:?}: {}", shown(), theirs.escape_ascii())
            });
            assert_eq!(again.escape_ascii().to_string(), mine.escape_ascii().to_string(), "{}", shown());
            Verdict::Taken
        }
        (Err(_), None) => Verdict::Refused,
        (ours, theirs) => {
            let case = Case { kind, version, body };
            // Of each end that could get it.
            let errors: Vec<Option<MqttError>> = match ours {
                Ok(_) => vec![None],
                Err(errors) => errors.into_iter().map(Some).collect(),
            };
            let known = |error: &Option<MqttError>| DIFFERENCES.iter().position(|it| (it.is)(*error, &case));
            let known: Option<Vec<usize>> = errors.iter().map(known).collect();
            match known.and_then(|all| all.first().copied()) {
                Some(at) => Verdict::Known(at),
                None => panic!("{}: ours {errors:?}, theirs {}", shown(), theirs.is_some()),
            }
        }
    }
}

/// First byte and body of one packet.
fn split(packet: &[u8]) -> (u8, &[u8]) {
    let head = 1 + packet[1..].iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
    (packet[0], &packet[head..])
}

/// The packet of this body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let byte = (left % 128) as u8;
        left /= 128;
        packet.push(byte | if left > 0 { 0x80 } else { 0 });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// What a packet is by our codec, written down again: two of the same bytes mean the same. Or why neither end takes it.
fn ours(first: u8, body: &[u8], version: Version) -> Result<Vec<u8>, Vec<MqttError>> {
    let limits = Limits {
        packet_max: usize::MAX,
        connect_max: usize::MAX,
        topic_levels_max: usize::MAX,
        user_properties_max: usize::MAX,
    };
    let (server, client) = (Mqtt::server(limits), Mqtt::client(version, limits));
    // Both ends in the middle of a connection with an authentication that goes on; the one that may get it takes it.
    let ends = match kind_of(first) {
        Some(Kind::Connect) => [Some((server.clone(), client)), None],
        Some(Kind::Connack) => {
            let (mut receiver, mut sender) = (client, server);
            let mut connect = Vec::new();
            receiver.encode(&Packet::Connect(Connect::new(version, "a")), &mut connect).expect("CONNECT");
            sender.decode(&mut Input::new(&mut connect)).expect("CONNECT");
            [Some((receiver, sender)), None]
        }
        _ => {
            let (server, client) = (server.connected(version, true), client.connected(version, true));
            [Some((server.clone(), client.clone())), Some((client, server))]
        }
    };
    let mut bytes = packet(first, body);
    let mut refused = Vec::new();
    for (mut receiver, mut sender) in ends.into_iter().flatten() {
        let mut input = Input::new(&mut bytes);
        match receiver.decode(&mut input) {
            Ok(Some(packet)) => {
                let mut again = Vec::new();
                sender.encode(&packet, &mut again).expect("what was taken can be sent");
                assert!(input.is_empty());
                return Ok(again);
            }
            Ok(None) => panic!("it is whole: {}", body.escape_ascii()),
            // It is not for this end.
            Err(MqttError::Unexpected(_)) => {}
            Err(error) => refused.push(error),
        }
    }
    Err(refused)
}

/// What it is by theirs, written down again.
fn theirs(first: u8, body: &[u8], version: Version) -> Option<Vec<u8>> {
    macro_rules! whole {
        ($packet:ty) => {
            match <$packet>::parse(body) {
                Ok((packet, len)) if len == body.len() => Some(packet.to_continuous_buffer()),
                _ => None,
            }
        };
    }
    macro_rules! either {
        ($name:ident) => {
            match version {
                Version::V5 => whole!(v5_0::$name),
                Version::V311 => whole!(v3_1_1::$name),
            }
        };
    }
    match kind_of(first)? {
        Kind::Connect => either!(Connect),
        Kind::Connack => either!(Connack),
        Kind::Publish => match version {
            Version::V5 => {
                v5_0::Publish::parse(first & 15, body.into()).ok().map(|it| it.0.to_continuous_buffer())
            }
            Version::V311 => {
                v3_1_1::Publish::parse(first & 15, body.into()).ok().map(|it| it.0.to_continuous_buffer())
            }
        },
        Kind::Puback => either!(Puback),
        Kind::Pubrec => either!(Pubrec),
        Kind::Pubrel => either!(Pubrel),
        Kind::Pubcomp => either!(Pubcomp),
        Kind::Subscribe => either!(Subscribe),
        Kind::Suback => either!(Suback),
        Kind::Unsubscribe => either!(Unsubscribe),
        Kind::Unsuback => either!(Unsuback),
        Kind::Pingreq => either!(Pingreq),
        Kind::Pingresp => either!(Pingresp),
        Kind::Disconnect => either!(Disconnect),
        Kind::Auth if version == Version::V5 => whole!(v5_0::Auth),
        Kind::Auth => None,
    }
}

/// What mqtt-protocol-core 0.7.9 does otherwise: but for the first, it takes what it should not, or what only one end may
/// send, since its packets are read without knowing which.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        why: "a password without a user name is allowed in version 5 (section 3.1.2.9)",
        is: |error, case| {
            let flags = case.body.get(7).copied().unwrap_or(0);
            error.is_none()
                && case.kind == Kind::Connect
                && case.version == Version::V5
                && flags & 0xc0 == 0x40
        },
    },
    Difference {
        why: "strings have no U+0000 ([MQTT-1.5.3-2], [MQTT-1.5.4-2])",
        is: |error, _| error == Some(MqttError::Null),
    },
    Difference {
        why: "identifiers are not 0 ([MQTT-2.3.1-1], [MQTT-2.2.1-3])",
        is: |error, _| error == Some(MqttError::PacketId),
    },
    Difference {
        why: "topics and filters are more than strings ([MQTT-3.3.2-2], [MQTT-3.3.2-14], [MQTT-4.7.1-2] and \
              [MQTT-4.7.1-3], [MQTT-4.7.3-1], [MQTT-4.8.2-1] and [MQTT-4.8.2-2], which we hold 3.1.1 to as well)",
        is: |error, _| matches!(error, Some(MqttError::Topic(_) | MqttError::Filter(_))),
    },
    Difference {
        why: "a message has a topic, or in version 5 an alias (section 3.3.2.1)",
        is: |error, case| error == Some(MqttError::NoTopic) && case.kind == Kind::Publish,
    },
    Difference {
        why: "integers are as short as can be ([MQTT-1.5.5-1])",
        is: |error, case| error == Some(MqttError::Integer(case.kind)),
    },
    Difference { why: "DUP is 0 with QoS 0 ([MQTT-3.3.1-2])", is: |error, _| error == Some(MqttError::Dup) },
    Difference {
        why: "flags of CONNECT fit each other ([MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-13] to [MQTT-3.1.2-15])",
        is: |error, _| error == Some(MqttError::ConnectFlags),
    },
    Difference {
        why: "in 3.1.1 a session that stays has a client identifier ([MQTT-3.1.3-8])",
        is: |error, case| error == Some(MqttError::ClientId) && case.version == Version::V311,
    },
    Difference {
        why: "CONNACK has one flag, and no session with a refusal ([MQTT-3.2.2-1], [MQTT-3.2.2-4], [MQTT-3.2.2-6])",
        is: |error, _| error == Some(MqttError::ConnackFlags),
    },
    Difference {
        why: "in 3.1.1 an acknowledgement is an identifier (sections 3.4 to 3.7)",
        is: |error, case| error == Some(MqttError::Trailing(case.kind)) && case.version == Version::V311,
    },
    Difference {
        why: "in 3.1.1 six bits of a requested QoS are reserved ([MQTT-3.8.3-4])",
        is: |error, case| error == Some(MqttError::SubscribeOptions) && case.version == Version::V311,
    },
    Difference {
        why: "No Local is not for shared subscriptions ([MQTT-3.8.3-4] of 5.0)",
        is: |error, _| error == Some(MqttError::SharedNoLocal),
    },
    Difference {
        why: "SUBSCRIBE has one identifier (section 3.8.2.1.2)",
        is: |error, case| error == Some(MqttError::PropertyTwice(0x0b)) && case.kind == Kind::Subscribe,
    },
    Difference {
        why: "authentication has a method (sections 3.1.2.11.10, 3.15.2.2.2)",
        is: |error, _| error == Some(MqttError::AuthenticationMethod),
    },
    Difference {
        why: "properties and reasons of one end are not the other's ([MQTT-3.14.2-2], [MQTT-3.3.4-6], tables 3-9 and \
              3-10, section 3.15.2.1)",
        is: |error, case| match error {
            Some(MqttError::PropertyFrom(_)) => true,
            Some(MqttError::ReasonCode(kind, code)) => {
                let of_one_end = match kind {
                    Kind::Disconnect => !matches!(code, 0x00 | 0x80..=0x83),
                    Kind::Auth => matches!(code, 0x00 | 0x18 | 0x19),
                    _ => false,
                };
                kind == case.kind && of_one_end
            }
            _ => false,
        },
    },
    Difference {
        why: "a message of version 5 has properties, be it none (section 3.3.2.3.1)",
        is: |error, case| {
            error == Some(MqttError::Truncated(Kind::Publish))
                && case.version == Version::V5
                && case.kind == Kind::Publish
        },
    },
    Difference {
        why: "a bad authentication method is a reason of DISCONNECT (section 2.4), though the table of 3.14 leaves it out",
        is: |error, case| {
            error.is_none()
                && case.kind == Kind::Disconnect
                && case.version == Version::V5
                && case.body.first() == Some(&0x8c)
        },
    },
];
