//! Formats of `sub`: what is written, and how mistakes in them are told.

use jiff::civil::date;
use windlass::proto::mqtt::PropertiesBuf;

use super::*;

fn printed(format: &str, payload: &[u8]) -> Result<String, String> {
    let mut properties = PropertiesBuf::new();
    let all = [
        Property::ContentType("text/plain"),
        Property::User("a", "1"),
        Property::User("b", "2"),
        Property::SubscriptionId(9),
        Property::MessageExpiry(60),
    ];
    for property in all {
        properties.push(property).unwrap();
    }
    let at = date(2026, 1, 31).at(23, 59, 58, 1_002_003).in_tz("UTC").unwrap();
    let message = Printed {
        topic: "a/b",
        payload,
        qos: 1,
        retain: true,
        id: 7,
        properties: properties.properties(),
        at: &at,
    };
    let mut out = Vec::new();
    Format::parse(format)?.print(&message, false, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn every_field() {
    for (format, wanted) in [
        ("%t %p", "a/b hi"),
        ("%l %m %q %r", "2 7 1 1"),
        ("%x %X", "6869 6869"),
        ("%C|%P|%S|%E|%A|%D|%F|%R", "text/plain|a:1 b:2|9|60||||"),
        ("%I", "2026-01-31T23:59:58+0000"),
        ("%U", "1769903998.001002003"),
        ("@Y-@m-@d @H:@M:@S.@N @@", "2026-01-31 23:59:58.001002003 @"),
        (r"%%\t\n\0\\\a\e\r\v", "%\t\n\0\\\x07\x1b\r\x0b"),
    ] {
        assert_eq!(printed(format, b"hi").as_deref(), Ok(wanted), "{format}");
    }
}

#[test]
fn widths() {
    for (format, wanted) in [
        ("[%6t]", "[   a/b]"),
        ("[%-6t]", "[a/b   ]"),
        ("[%2.2t]", "[a/]"),
        ("[%5l]", "[    2]"),
        ("[%05l]", "[00002]"),
        ("[%-05l]", "[2    ]"),
        ("[%.1C]", "[t]"),
        ("[%4p]", "[  hi]"),
    ] {
        assert_eq!(printed(format, b"hi").as_deref(), Ok(wanted), "{format}");
    }
}

/// As mosquitto_sub 2.0.11 prints it.
#[test]
fn json() {
    let head = r#"{"tst":"2026-01-31T23:59:58.001002+0000","topic":"a/b","qos":1,"retain":1,"#;
    let with = r#""properties":{"content-type":"text/plain","subscription-identifier":9,"message-expiry-interval":60,"user-properties":{"a":"1","b":"2"}},"#;
    let text = printed("%j", b"say \"hi\"").unwrap();
    assert_eq!(text, format!(r#"{head}"payloadlen":8,"mid":7,{with}"payload":"say \"hi\""}}"#));
    let inner = printed("%J", b" {\"t\": 1.50}\n").unwrap();
    assert_eq!(inner, format!(r#"{head}"payloadlen":13,"mid":7,{with}"payload":{{"t": 1.50}}}}"#));
    assert!(printed("%J", b"{").unwrap_err().contains("a/b"));
}

#[test]
fn what_is_no_format() {
    for format in ["%", "%y", "%5", "%5%", "%5j", "%99999t", "@", "@!", "\\", "\\q"] {
        assert!(Format::parse(format).is_err(), "{format}");
    }
}
