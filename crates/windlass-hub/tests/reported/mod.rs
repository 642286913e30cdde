//! What other brokers were reported to take and must not. `windlass-mini` is tried with it too.

/// Where it was reported and what it breaks, the version of MQTT (4 is 3.1.1), whether it comes instead of CONNECT, the packet, and the last
/// thing its sender hears.
pub(crate) type Reported = (&'static str, u8, bool, &'static [u8], &'static [u8]);

const SAID_81: &[u8] = b"\xe0\x01\x81";
const SAID_82: &[u8] = b"\xe0\x01\x82";
const REFUSED_81: &[u8] = b"\x20\x03\0\x81\0";
const REFUSED_82: &[u8] = b"\x20\x03\0\x82\0";

pub(crate) const REPORTED: &[Reported] = &[
    // Before CONNECT, or as one.
    ("FlashMQ#104 3.1.0-1: PINGREQ comes first", 4, true, b"\xc0\0", b""),
    ("CVE-2021-28166: a client sends CONNACK", 4, true, b"\x20\x02\0\0", b""),
    ("FlashMQ#170 2.1.3-1: flags of CONNECT", 4, true, b"\x1f\x0c\0\x04MQTT\x04\x02\0\x3c\0\0", b""),
    ("CVE-2026-21888: a length of five bytes", 4, true, b"\x10\xff\xff\xff\xff\x7f", b""),
    ("CVE-2026-21888: a length of five bytes", 5, false, b"\x30\x80\x80\x80\x80\x01", SAID_81),
    (
        "FlashMQ#103 3.1.2-13: retain and no will",
        5,
        true,
        b"\x10\x0d\0\x04MQTT\x05\x22\0\x3c\0\0\0",
        REFUSED_81,
    ),
    ("VerneMQ#69 3.1.2-11: QoS and no will", 4, true, b"\x10\x0c\0\x04MQTT\x04\x0a\0\x3c\0\0", b""),
    ("EMQX#13045: a user name that is not there", 4, true, b"\x10\x0c\0\x04MQTT\x04\x82\0\x3c\0\0", b""),
    (
        "EMQX#13045: a user name that is no text",
        5,
        true,
        b"\x10\x10\0\x04MQTT\x05\x82\0\x3c\0\0\0\0\x01\xff",
        REFUSED_81,
    ),
    ("HiveMQ CE#493: a will that is not there", 4, true, b"\x10\x0c\0\x04MQTT\x04\x06\0\x3c\0\0", b""),
    (
        "Mosquitto#3629 3.1.2-12: a will of QoS 3",
        5,
        true,
        b"\x10\x13\0\x04MQTT\x05\x1e\0\x3c\0\0\0\0\0\x01t\0\0",
        REFUSED_81,
    ),
    (
        "EMQX#13045: request response information twice",
        5,
        true,
        b"\x10\x11\0\x04MQTT\x05\x02\0\x3c\x04\x19\x01\x19\x01\0\0",
        REFUSED_82,
    ),
    (
        "EMQX#13045: a user property that is no text",
        5,
        true,
        b"\x10\x13\0\x04MQTT\x05\x02\0\x3c\x06\x26\0\x01\xff\0\0\0\0",
        REFUSED_81,
    ),
    (
        "VerneMQ#2355: U+0000 in the client identifier",
        5,
        true,
        b"\x10\x10\0\x04MQTT\x05\x02\0\x3c\0\0\x03a\0b",
        REFUSED_81,
    ),
    ("NanoMQ#2342: a password and no user", 4, true, b"\x10\x0f\0\x04MQTT\x04\x42\0\x3c\0\0\0\x01p", b""),
    (
        "NanoMQ#2342 3.1.3-8: no identifier, and a session",
        4,
        true,
        b"\x10\x0c\0\x04MQTT\x04\0\0\x3c\0\0",
        b"\x20\x02\0\x02",
    ),
    // In the middle of a connection.
    ("3.1.0-2: CONNECT again", 5, false, b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0", SAID_82),
    ("CVE-2021-28166: a client sends CONNACK", 5, false, b"\x20\x03\0\0\0", SAID_82),
    ("CVE-2021-34432: a topic of no letters", 4, false, b"\x30\x02\0\0", b""),
    ("EMQX#13045 3.3.1-2: QoS 0 and sent again", 5, false, b"\x38\x05\0\x01t\0x", SAID_81),
    ("hbmqtt#45 3.3.1-4: a message of QoS 3", 5, false, b"\x36\x06\0\x01t\0\x01\0", SAID_81),
    ("VerneMQ#2283 3.3.4-6: a subscription identifier", 5, false, b"\x30\x06\0\x01t\x02\x0b\x01", SAID_82),
    (
        "NanoMQ#1782 3.3.2-14: a wildcard in the response topic",
        5,
        false,
        b"\x30\x08\0\x01t\x04\x08\0\x01#",
        SAID_81,
    ),
    ("VerneMQ#1883: a property of other packets", 5, false, b"\x30\x08\0\x01t\x04\x1c\0\x01a", SAID_81),
    ("3.3.2-8: topic alias 0", 5, false, b"\x30\x07\0\x01t\x03\x23\0\0", b"\xe0\x01\x94"),
    ("Mosquitto#3052 3.10.3-2: UNSUBSCRIBE of nothing", 4, false, b"\xa2\x02\0\x01", b""),
    ("Mosquitto#3052 3.10.3-2: UNSUBSCRIBE of nothing", 5, false, b"\xa2\x03\0\x01\0", SAID_82),
    ("Mosquitto#3606 3.14.1-1: flags of DISCONNECT", 5, false, b"\xe1\0", SAID_81),
    ("Mosquitto#3589 3.8.1-1: flags of SUBSCRIBE", 5, false, b"\x80\x07\0\x01\0\0\x01t\0", SAID_81),
    ("Mosquitto#3589 3.6.1-1: flags of PUBREL", 5, false, b"\x60\x02\0\x01", SAID_81),
    ("nats-server#7805 2.2.1-3: SUBSCRIBE numbered 0", 5, false, b"\x82\x07\0\0\0\0\x01t\0", SAID_82),
    ("nats-server#7805 2.3.1-1: UNSUBSCRIBE numbered 0", 4, false, b"\xa2\x05\0\0\0\x01t", b""),
    ("rmqtt#479 4.7.3-1: a filter of no letters", 5, false, b"\x82\x06\0\x01\0\0\0\0", SAID_81),
    ("hbmqtt#45 3.8.3-4: a subscription of QoS 3", 4, false, b"\x82\x06\0\x01\0\x01t\x03", b""),
    ("3.8.3-5: reserved bits of a subscription", 5, false, b"\x82\x07\0\x01\0\0\x01t\x40", SAID_81),
];

/// CONNECT of a client with this identifier, without a session that stays.
pub(crate) fn connect(version: u8, id: &str) -> Vec<u8> {
    let mut bytes = b"\x10\0\0\x04MQTT\x04\x02\0\x3c".to_vec();
    if version == 5 {
        bytes[8] = 5;
        bytes.push(0);
    }
    bytes.extend((id.len() as u16).to_be_bytes());
    bytes.extend(id.as_bytes());
    bytes[1] = bytes.len() as u8 - 2;
    bytes
}
