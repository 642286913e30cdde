//! Connections that begin with a PROXY header.

use windlass_hub::HubConfig;

use crate::kit::{Desk, V3, V5};

#[test]
fn a_header_comes_first_where_it_is_asked_for() {
    let mut desk = Desk::new(HubConfig::default().proxy_header(true));
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
