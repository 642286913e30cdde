//! What lines look like, and that no peer writes one of its own.

use std::time::{Duration, UNIX_EPOCH};

use windlass::testing::Harness;
use windlass::{Close, Conn, Input, Service, serve};

use super::*;
use crate::access::record::Ended;
use crate::access::{AccessLogs, Format, Kind, Number};

/// A connection's id comes from an engine alone.
fn id() -> windlass::ConnId {
    #[derive(Clone, Default)]
    struct Ask(std::sync::Arc<std::sync::OnceLock<windlass::ConnId>>);
    impl Service for Ask {
        type Session = ();
        fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
            let _ = self.0.set(conn.id());
            Ok(())
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            Ok(())
        }
    }
    let (ask, asked) = (Ask::default(), Ask::default());
    let (make, _) = (ask.clone(), asked);
    let mut harness = Harness::new(serve(move || make.clone()));
    harness.connect();
    *ask.0.get().unwrap()
}

fn log(format: &str) -> AccessLog {
    let logs = AccessLogs::default();
    logs.set_addresses(vec!["127.0.0.1:9000".into()]);
    let format = Format::parse(format).unwrap();
    AccessLog { file: Number(0).into(), format, service: "echo".into(), logs }
}

fn record(about: About) -> Record {
    Record {
        // 2024-02-29 12:34:56.789
        at: UNIX_EPOCH + Duration::from_millis(1_709_210_096_789),
        conn: Some(id()),
        peer: windlass::Peer::Tcp("192.0.2.7:4711".parse().unwrap()),
        listener: Some(0),
        took: Duration::from_micros(1_234_567),
        about,
    }
}

fn ended() -> Record {
    record(About::Connection(Ended::new(Some((17, 19)), 3, &Close::SlowConsumer)))
}

fn asked(path: &str, agent: &str) -> Record {
    record(About::Request(Box::new(Asked {
        method: Some("GET".into()),
        path: Some(path.into()),
        query: Some("token=secret".into()),
        protocol: Some("HTTP/1.1"),
        status: 200,
        bytes: 2326,
        host: Some("localhost".into()),
        user_agent: Some(agent.into()),
        referer: None,
        passed: None,
    })))
}

fn line(format: &str, record: &Record) -> String {
    let mut lines = String::new();
    write(&mut lines, &log(format), record);
    assert_eq!((lines.lines().count(), lines.ends_with('\n')), (1, true), "{lines}");
    lines.trim_end().into()
}

#[test]
fn lines_about_connections() {
    let usual = Format::usual(Kind::Connections);
    assert_eq!(
        line(usual.text(), &ended()),
        "2024-02-29T12:34:56.789Z 192.0.2.7:4711 echo 127.0.0.1:9000 1234.567 17 19 3 slow_consumer peer"
    );
    assert_eq!(line("{{{reason}}} {status}", &ended()), "{slow_consumer} -");
    let json: serde_json::Value = serde_json::from_str(&line("json", &ended())).unwrap();
    let wanted = serde_json::json!({
        "time": "2024-02-29T12:34:56.789Z", "service": "echo", "listener": "127.0.0.1:9000",
        "peer": "192.0.2.7:4711", "conn": json["conn"], "duration_ms": 1234.567, "received": 17, "sent": 19,
        "messages": 3,
        "reason": "slow_consumer", "fault": "peer",
    });
    assert_eq!(json, wanted);
}

#[cfg(feature = "proxy")]
#[test]
fn lines_about_flows() {
    let flow = Flow {
        to: Some("192.0.2.1:53".parse().unwrap()),
        backend: "a b".into(),
        received: 17,
        sent: 19,
        requests: 2,
        replies: 3,
        ending: "expired",
    };
    let flow = Record { conn: None, listener: None, ..record(About::Flow(Box::new(flow))) };
    assert_eq!(
        line(Format::usual(Kind::Flows).text(), &flow),
        "2024-02-29T12:34:56.789Z 192.0.2.7:4711 echo udp:192.0.2.1:53 a\\x20b 1234.567 17 19 2 3 expired"
    );
    let json: serde_json::Value = serde_json::from_str(&line("json", &flow)).unwrap();
    let wanted = serde_json::json!({
        "time": "2024-02-29T12:34:56.789Z", "service": "echo", "listener": "udp:192.0.2.1:53",
        "peer": "192.0.2.7:4711", "duration_ms": 1234.567, "backend": "a b", "received": 17, "sent": 19,
        "requests": 2, "replies": 3, "ending": "expired",
    });
    assert_eq!(json, wanted);
    for (format, wrong) in [
        ("combined", "`combined` is for requests, and there are only flows of datagrams here"),
        ("{conn}", "{conn} is nothing that flows of datagrams have; those have time, peer, service, "),
        ("{messages}", "{messages} is nothing that flows of datagrams have"),
    ] {
        let said = Format::parse(format).unwrap().check(Kind::Flows).unwrap_err();
        assert!(said.starts_with(wrong), "{said}");
    }
    assert!(Format::parse("{replies}").unwrap().check(Kind::Connections).is_err());
}

#[test]
fn lines_about_requests() {
    let request = asked("/metrics", "curl/8.0 (x; y)");
    assert_eq!(
        line("combined", &request),
        "192.0.2.7 - - [29/Feb/2024:12:34:56 +0000] \"GET /metrics HTTP/1.1\" 200 2326 \"-\" \"curl/8.0 (x; y)\""
    );
    let json = line("json", &request);
    assert!(
        json.contains(r#""target":"/metrics","protocol":"HTTP/1.1","status":200,"bytes":2326"#),
        "{json}"
    );
    assert!(!json.contains("secret"), "a query is not told unless it is asked for: {json}");
    assert_eq!(
        line("{user_agent} \"{user_agent}\" {query}", &request),
        "curl/8.0\\x20(x;\\x20y) \"curl/8.0 (x; y)\" token=secret"
    );
    let unread = record(About::Request(Box::new(Asked { status: 400, ..Asked::default() })));
    assert!(line("combined", &unread).ends_with(" \"-\" 400 - \"-\" \"-\""), "{}", line("combined", &unread));
}

#[test]
fn nobody_forges_a_line_or_a_column() {
    let evil = "x\" 200 1 \"-\" \"-\"\n10.0.0.1 - - \\ \u{9b}2J\u{7f}\r\t é";
    let request = asked("/a b\"\nc", evil);
    assert_eq!(
        line("combined", &request).split_once(']').unwrap().1,
        " \"GET /a\\x20b\\x22\\x0Ac HTTP/1.1\" 200 2326 \"-\" \"x\\x22 200 1 \\x22-\\x22 \\x22-\\x22\\x0A10.0.0.1 \
         - - \\x5C \\xC2\\x9B2J\\x7F\\x0D\\x09 é\""
    );
    let columns = line("{method} {user_agent} {status}", &request);
    assert_eq!(columns.split(' ').count(), 3, "{columns}");
    let json: serde_json::Value = serde_json::from_str(&line("json", &request)).unwrap();
    assert_eq!(json["user_agent"], evil);
}

#[test]
fn templates_are_read_and_mistakes_told() {
    for (format, wrong) in [
        (
            "combind",
            "`combind` is neither `combined` nor `json`, and has no {field}; did you mean `combined`?",
        ),
        ("", "`` is neither `combined` nor `json`, and has no {field}"),
        ("{pier}", "there is no field {pier}; did you mean {peer}?"),
        ("{peer", "a `{` stands alone: a brace itself is written `{{`"),
        ("{peer} }", "a `}` stands alone: a brace itself is written `}}`"),
        ("{{}}", "a line without any {field} would always be the same"),
        ("{peer}\n", "a line has no line breaks and other control characters in it"),
    ] {
        assert_eq!(Format::parse(format).unwrap_err(), wrong);
    }
    assert!(Format::parse("{colour}").unwrap_err().contains("the fields are time, peer, "));
    let check = |format: &str, kind| Format::parse(format).unwrap().check(kind);
    assert!(check("combined", Kind::Connections).unwrap_err().contains("is for requests"));
    let why = check("{peer} {status}", Kind::Connections).unwrap_err();
    assert!(why.starts_with("{status} is nothing that connections have; those have time, "), "{why}");
    assert!(check("{reason}", Kind::Requests).is_err());
    for (format, kind) in [
        ("combined", Kind::Requests),
        ("json", Kind::Requests),
        ("json", Kind::Connections),
        ("{status}{peer}", Kind::Requests),
    ] {
        assert_eq!(check(format, kind), Ok(()));
    }
    for kind in [Kind::Requests, Kind::Connections] {
        assert_eq!(Format::parse(Format::usual(kind).text()).unwrap(), Format::usual(kind));
        assert_eq!(Format::usual(kind).check(kind), Ok(()));
    }
}

#[test]
fn times_are_those_of_the_calendar() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, "2000-02-28T23:59:59.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (978_307_199, "2000-12-31T23:59:59.000Z"),
        (1_767_225_599, "2025-12-31T23:59:59.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (32_503_680_000, "3000-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(iso(UNIX_EPOCH + Duration::from_secs(seconds)), text);
    }
    assert_eq!(common(UNIX_EPOCH + Duration::from_secs(971_211_336)), "10/Oct/2000:20:55:36 +0000");
}
