//! Connections that begin with a PROXY header.

use windlass_hub::HubConfig;
use windlass_hub::identity::{Anonymous, Identity, IdentityConfig};

use crate::kit::{Desk, V3, V5};

#[test]
fn a_header_comes_first_where_it_is_asked_for() {
    let anonymous = Some(Anonymous::Everybody);
    let identity = Identity::new(IdentityConfig { anonymous, ..IdentityConfig::default() });
    let mut desk = Desk::new(HubConfig::default().proxy_header(true).identity(identity));
    for header in [
        &b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 1883\r\n"[..],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x0f\xa0\x07\x5b",
    ] {
        let one = desk.stranger(V3);
        let mut bytes = header.to_vec();
        bytes.extend(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a");
        desk.harness.send_split(one.peer, bytes, 3);
        assert_eq!(desk.harness.receive(one.peer), b"\x20\x02\0\0");
    }
    let (one, heard) = desk.connect(&windlass_proto::mqtt::Connect::new(V5, "a"));
    assert_eq!((heard.as_str(), desk.harness.why(one.peer)), ("", Some("protocol")), "without one");
}

/// A proxy on this machine brings clients of others: where the client is counts, and nobody is here who does not say so.
#[test]
fn a_client_is_where_its_header_says() {
    let mut desk = Desk::new(HubConfig::default().proxy_header(true));
    for (header, answer) in [
        (&b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 1883\r\n"[..], 5),
        (b"PROXY TCP4 127.0.0.1 127.0.0.1 4000 1883\r\n", 0),
        (b"PROXY TCP6 ::1 ::1 4000 1883\r\n", 0),
        (b"PROXY UNKNOWN\r\n", 5),
    ] {
        let one = desk.stranger(V3);
        let connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a";
        desk.harness.send(one.peer, [header, connect].concat());
        assert_eq!(desk.harness.receive(one.peer), [0x20, 2, 0, answer], "{}", header.escape_ascii());
    }
}
