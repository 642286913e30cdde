//! Properties against the table of section 2.2.2.2 of version 5.

use super::*;

/// Table 2.4, row by row: identifier, a value, packets it may stand in (`w` is the will).
const TABLE: [(u8, &[u8], &str); 27] = [
    (0x01, b"\x01", "pw"),
    (0x02, b"\0\0\0\x01", "pw"),
    (0x03, b"\0\x01x", "pw"),
    (0x08, b"\0\x01x", "pw"),
    (0x09, b"\0\x01x", "pw"),
    (0x0b, b"\x07", "ps"),
    (0x11, b"\0\0\0\x01", "cCd"),
    (0x12, b"\0\x01x", "C"),
    (0x13, b"\0\x01", "C"),
    (0x15, b"\0\x01x", "cCx"),
    (0x16, b"\0\x01x", "cCx"),
    (0x17, b"\x01", "c"),
    (0x18, b"\0\0\0\x01", "w"),
    (0x19, b"\x01", "c"),
    (0x1a, b"\0\x01x", "C"),
    (0x1c, b"\0\x01x", "Cd"),
    (0x1f, b"\0\x01x", "Cabrm+-dx"),
    (0x21, b"\0\x01", "cC"),
    (0x22, b"\0\x01", "cC"),
    (0x23, b"\0\x01", "p"),
    (0x24, b"\x01", "C"),
    (0x25, b"\x01", "C"),
    (0x26, b"\0\x01x\0\x01y", "cCpwabrms+u-dx"),
    (0x27, b"\0\0\0\x01", "cC"),
    (0x28, b"\x01", "C"),
    (0x29, b"\x01", "C"),
    (0x2a, b"\x01", "C"),
];

const PLACES: [(char, Place); 15] = [
    ('c', Place::Packet(Kind::Connect)),
    ('C', Place::Packet(Kind::Connack)),
    ('p', Place::Packet(Kind::Publish)),
    ('w', Place::Will),
    ('a', Place::Packet(Kind::Puback)),
    ('b', Place::Packet(Kind::Pubrec)),
    ('r', Place::Packet(Kind::Pubrel)),
    ('m', Place::Packet(Kind::Pubcomp)),
    ('s', Place::Packet(Kind::Subscribe)),
    ('+', Place::Packet(Kind::Suback)),
    ('u', Place::Packet(Kind::Unsubscribe)),
    ('-', Place::Packet(Kind::Unsuback)),
    ('d', Place::Packet(Kind::Disconnect)),
    ('x', Place::Packet(Kind::Auth)),
    ('?', Place::Packet(Kind::Pingreq)),
];

fn parse(bytes: &[u8], place: Place, from: Side) -> Result<(), MqttError> {
    let with_length = [&[bytes.len() as u8], bytes].concat();
    let mut reader = read::Reader::new(&with_length, Kind::Connect);
    let rules = limits::Kept::new(Limits::default()).rules(Version::V5, from);
    Properties::parse(&mut reader, place, &rules).map(|_| ())
}

#[test]
fn every_property_in_every_packet() {
    for (letter, place) in PLACES {
        for id in 0..=255 {
            let row = TABLE.iter().find(|row| row.0 == id);
            let bytes = [&[id][..], row.map_or(&b"\x01"[..], |row| row.1)].concat();
            // Who sends it matters to some, and is looked at elsewhere.
            let outcome = parse(&bytes, place, Side::Server).or_else(|_| parse(&bytes, place, Side::Client));
            let expected = match row.filter(|row| row.2.contains(letter)) {
                None => Err(MqttError::PropertyUnknown(id)),
                Some((0x16, ..)) => Err(MqttError::AuthenticationMethod),
                Some(_) => Ok(()),
            };
            assert_eq!(outcome, expected, "{id:#x} in {place:?}");
            let Some((_, value, places)) = row.filter(|row| row.2.contains(letter)) else { continue };
            // Cut off, and twice.
            for cut in 1..bytes.len() {
                let outcome = parse(&bytes[..cut], place, Side::Server);
                assert!(
                    matches!(outcome, Err(MqttError::Truncated(_) | MqttError::PropertyFrom(_))),
                    "{id:#x}"
                );
            }
            let twice = [&[id][..], value, &[id], value].concat();
            let outcome = parse(&twice, place, Side::Server).or_else(|error| match error {
                MqttError::PropertyFrom(_) => parse(&twice, place, Side::Client),
                error => Err(error),
            });
            let many = id == 0x26 || id == 0x0b && letter == 'p';
            assert_eq!(
                outcome,
                if many { Ok(()) } else { Err(MqttError::PropertyTwice(id)) },
                "{id:#x} {places}"
            );
        }
    }
}

/// Values that types allow and properties do not.
#[test]
fn values_that_may_not_be() {
    for id in [0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2a] {
        let (_, _, places) = TABLE.iter().find(|row| row.0 == id).unwrap();
        let place = PLACES.iter().find(|place| places.contains(place.0)).unwrap().1;
        assert_eq!(parse(&[id, 0], place, Side::Client), Ok(()));
        for value in 2..=255 {
            assert_eq!(parse(&[id, value], place, Side::Client), Err(MqttError::PropertyValue(id)));
        }
    }
    let connect = Place::Packet(Kind::Connect);
    assert_eq!(parse(b"\x21\0\0", connect, Side::Client), Err(MqttError::PropertyValue(0x21)));
    assert_eq!(parse(b"\x27\0\0\0\0", connect, Side::Client), Err(MqttError::PropertyValue(0x27)));
    assert_eq!(parse(b"\x22\0\0", connect, Side::Client), Ok(()), "no aliases");
    let publish = Place::Packet(Kind::Publish);
    // A number of four bytes is one, of five none ([MQTT-1.5.5-1]).
    assert_eq!(parse(b"\x0b\xff\xff\xff\x7f", publish, Side::Server), Ok(()));
    for long in [&b"\x0b\xff\xff\xff\xff\x01"[..], b"\x0b\x81\0"] {
        assert_eq!(parse(long, publish, Side::Server), Err(MqttError::Integer(Kind::Connect)));
    }
}

#[test]
fn what_is_pushed_is_checked() {
    let mut list = PropertiesBuf::new();
    let long = "x".repeat(65_536);
    for bad in [
        Property::ContentType("a\0"),
        Property::User("a", "\0"),
        Property::SubscriptionId(0),
        Property::SubscriptionId(268_435_456),
        Property::ReceiveMaximum(0),
        Property::TopicAlias(0),
        Property::MaximumPacketSize(0),
        Property::MaximumQoS(2),
    ] {
        assert_eq!(list.push(bad).err(), Some(EncodeError::Invalid), "{bad:?}");
    }
    let over = Some(EncodeError::TooLong { max: 65_535 });
    assert_eq!(list.push(Property::ReasonString(&long)).err(), over);
    assert_eq!(list.push(Property::CorrelationData(long.as_bytes())).err(), over);
    assert!(list.is_empty() && list.len() == 1, "the length is there in any case");
}

#[test]
fn getters_and_filters() {
    let list = properties(&[
        Property::User("k", "1"),
        Property::TopicAlias(3),
        Property::SubscriptionId(9),
        Property::User("k", "2"),
        Property::SubscriptionId(300),
    ]);
    let all = list.properties();
    assert_eq!((all.topic_alias(), all.message_expiry()), (Some(3), None));
    assert!(all.subscription_ids().eq([9, 300]));
    let mut passed_on = PropertiesBuf::new();
    passed_on.extend(all, |property| matches!(property, Property::User(..)));
    // [MQTT-3.3.2-17], [MQTT-3.3.2-18].
    assert!(passed_on.properties().iter().eq([Property::User("k", "1"), Property::User("k", "2")]));
    assert_eq!(format!("{all:?} {list:?}"), "Properties(22 bytes) Properties(22 bytes)", "no value is shown");
}

/// The table of section 2.4, code by code: which packets carry it (`d` and `D`: DISCONNECT of a client, of a server;
/// `x` and `X`: AUTH likewise).
#[test]
fn every_reason_code() {
    let table = [
        (0x00, "CabrmSUdDX"),
        (0x01, "S"),
        (0x02, "S"),
        (0x04, "d"),
        (0x10, "ab"),
        (0x11, "U"),
        (0x18, "xX"),
        (0x19, "x"),
        (0x80, "CabSUdD"),
        (0x81, "CdD"),
        (0x82, "CdD"),
        (0x83, "CabSUdD"),
        (0x84, "C"),
        (0x85, "C"),
        (0x86, "C"),
        (0x87, "CabSUD"),
        (0x88, "C"),
        (0x89, "CD"),
        (0x8a, "C"),
        (0x8b, "D"),
        (0x8c, "CD"),
        (0x8d, "D"),
        (0x8e, "D"),
        (0x8f, "SUD"),
        (0x90, "CabdD"),
        (0x91, "abSU"),
        (0x92, "rm"),
        (0x93, "dD"),
        (0x94, "dD"),
        (0x95, "CdD"),
        (0x96, "dD"),
        (0x97, "CabSdD"),
        (0x98, "dD"),
        (0x99, "CabdD"),
        (0x9a, "CD"),
        (0x9b, "CD"),
        (0x9c, "CD"),
        (0x9d, "CD"),
        (0x9e, "SD"),
        (0x9f, "CD"),
        (0xa0, "D"),
        (0xa1, "SD"),
        (0xa2, "SD"),
    ];
    let packets = [
        ('C', Kind::Connack, Side::Server),
        ('a', Kind::Puback, Side::Client),
        ('b', Kind::Pubrec, Side::Server),
        ('r', Kind::Pubrel, Side::Client),
        ('m', Kind::Pubcomp, Side::Server),
        ('S', Kind::Suback, Side::Server),
        ('U', Kind::Unsuback, Side::Server),
        ('d', Kind::Disconnect, Side::Client),
        ('D', Kind::Disconnect, Side::Server),
        ('x', Kind::Auth, Side::Client),
        ('X', Kind::Auth, Side::Server),
    ];
    for code in 0..=255 {
        let row = table.iter().find(|row| row.0 == code);
        let reason = Reason::from_code(code);
        assert_eq!(reason.map(Reason::code), row.map(|row| row.0));
        let (Some(reason), Some((_, allowed))) = (reason, row) else { continue };
        assert_eq!(reason.is_error(), code >= 0x80);
        for (letter, kind, from) in packets {
            assert_eq!(reason.is_allowed(kind, from), allowed.contains(letter), "{} {kind:?}", reason.name());
        }
        assert!(!reason.is_allowed(Kind::Publish, Side::Client));
    }
}
