//! The client's end: order, interim responses, what nobody asked for, and when a connection can be kept.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::http::{ClientConn, EncodeError, Framing, HttpError, Limits, ResponsePart};
use crate::testing;
use crate::{Decode, Input};

pub(super) fn collect(parts: &mut Vec<String>, part: ResponsePart<'_>) {
    match part {
        ResponsePart::Interim(head) => parts.push(format!("interim {}", head.status.code())),
        ResponsePart::Head(head) => parts.push(format!("{}", head.status.code())),
        ResponsePart::Body(bytes) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            match parts.last_mut().filter(|last| last.starts_with("body ")) {
                Some(last) => last.push_str(&text),
                None => parts.push(format!("body {text}")),
            }
        }
        ResponsePart::Trailers(trailers) => parts.push(format!("trailers {}", trailers.len())),
        ResponsePart::End => parts.push("end".into()),
    }
}

fn asking(methods: &[&str]) -> ClientConn {
    let mut conn = ClientConn::new(Limits::default()).pipeline_max(8);
    for method in methods {
        let mut out = Vec::new();
        let request = conn.request(&mut out, method.trim_start_matches("UP "), "/", "h");
        if method.starts_with("UP ") {
            request.upgrade("websocket").unwrap();
        } else {
            request.empty().unwrap();
        }
    }
    conn
}

fn answered(methods: &[&str], bytes: &str) -> (String, Option<HttpError>) {
    let run = testing::any_split_with(|| asking(methods), bytes.as_bytes(), collect);
    (run.messages.join("|"), run.error)
}

/// The state after all of `bytes`, and perhaps the end of the stream.
fn after(methods: &[&str], bytes: &str, end: bool) -> (ClientConn, String, usize) {
    let mut conn = asking(methods);
    let mut bytes = bytes.as_bytes().to_vec();
    let mut input = Input::new(&mut bytes);
    let mut parts = Vec::new();
    while let Some(part) = conn.decode(&mut input).unwrap() {
        collect(&mut parts, part);
    }
    if end {
        // At most one part comes of it: the end of a body.
        match conn.end(&mut input) {
            Ok(Some(part)) => collect(&mut parts, part),
            Ok(None) => {}
            Err(error) => parts.push(error.label().into()),
        }
        assert!(!matches!(conn.end(&mut input), Ok(Some(_))));
    }
    (conn, parts.join("|"), input.len())
}

#[test]
fn responses_answer_requests_in_order() {
    let (parts, error) = answered(
        &["GET", "HEAD", "GET", "GET"],
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nHTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n\
         HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    );
    assert_eq!(parts, "interim 100|interim 103|200|body hi|end|200|end|304|end|200|body x|trailers 1|end");
    assert_eq!(error, Some(HttpError::Unexpected), "a response to no request");
}

#[test]
fn a_connection_is_kept_only_if_both_ends_know_where_they_are() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    assert!(after(&["GET"], whole, false).0.is_reusable());
    assert!(!after(&["GET"], "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", false).0.is_reusable());
    let closing = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (conn, parts, _) = after(&["GET"], closing, false);
    assert!(!conn.is_reusable() && conn.is_over() && conn.is_closing() && parts == "200|end");
    let old = after(&["GET"], "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false).0;
    assert!(!old.is_reusable() && old.is_over());
    let kept = "HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n";
    assert!(after(&["GET"], kept, false).0.is_reusable());

    // Answered before its body was sent: the server may never read it.
    let mut conn = ClientConn::default();
    let mut out = Vec::new();
    conn.request(&mut out, "POST", "/", "h").length(5).unwrap();
    conn.write(&mut out, b"ab").unwrap();
    assert_eq!(conn.finish(&mut out), Err(EncodeError::Length));
    assert_eq!(conn.request(&mut out, "GET", "/", "h").empty(), Err(EncodeError::State), "not in between");
    let mut bytes = *b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n";
    let mut input = Input::new(&mut bytes);
    while conn.decode(&mut input).unwrap().is_some() {}
    assert!(conn.is_over() && !conn.is_reusable());
}

#[test]
fn a_body_without_a_length_ends_with_the_stream() {
    let (conn, parts, _) = after(&["GET"], "HTTP/1.1 200 OK\r\n\r\nabc", true);
    assert_eq!(parts, "200|body abc|end");
    assert!(conn.is_over() && !conn.is_reusable());
    for cut in ["HTTP/1.1 2", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", ""] {
        assert!(after(&["GET"], cut, true).1.ends_with("truncated"), "{cut:?}");
    }
    let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    assert!(after(&["GET"], chunks, true).1.ends_with("truncated"));
    assert_eq!(after(&[], "", true).1, "", "between two requests it is in good order");
    let limits = Limits { body_max: 2, ..Limits::default() };
    let run = testing::any_split_with(
        || {
            let mut conn = ClientConn::new(limits);
            conn.request(&mut Vec::new(), "GET", "/", "h").empty().unwrap();
            conn
        },
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        collect,
    );
    assert_eq!((run.messages.join("|"), run.error), ("200|body ab".into(), Some(HttpError::BodyTooLong)));
}

#[test]
fn another_protocol_begins_only_where_it_was_asked_for() {
    let switch = "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02";
    let (conn, parts, left) = after(&["UP GET"], switch, false);
    assert_eq!((parts.as_str(), left, conn.is_switched()), ("101|end", 2, true));
    assert!(!conn.is_reusable() && !conn.is_over() && !conn.is_ready());
    assert_eq!(answered(&["GET"], switch), (String::new(), Some(HttpError::Unexpected)));
    let without = "HTTP/1.1 101 Go\r\n\r\n";
    assert_eq!(answered(&["UP GET"], without), (String::new(), Some(HttpError::Unexpected)));
    let refused = after(&["UP GET"], "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", false).0;
    assert!(refused.is_reusable() && !refused.is_switched());
    let (tunnel, _, left) = after(&["CONNECT"], "HTTP/1.1 200 OK\r\n\r\nxyz", false);
    assert!(tunnel.is_switched() && left == 3);

    let mut conn = asking(&["UP GET"]);
    let behind = conn.request(&mut Vec::new(), "GET", "/", "h").empty();
    assert_eq!(behind, Err(EncodeError::State), "what follows may not be HTTP");
}

/// To `HEAD` nothing may follow the head, whatever length it names: it cannot begin another protocol as well.
#[test]
fn what_is_only_asked_about_begins_no_protocol() {
    let mut conn = ClientConn::default();
    let mut out = Vec::new();
    let asked = conn.request(&mut out, "HEAD", "/", "h").upgrade("websocket");
    assert_eq!((asked, out.len()), (Err(EncodeError::State), 0));
    assert_eq!(conn.sent("HEAD", Framing::Empty, true), Err(EncodeError::State));
    assert!(conn.is_reusable());
}

#[test]
fn interim_responses_have_an_end() {
    let (_, error) = answered(&["GET"], &"HTTP/1.1 103 x\r\n\r\n".repeat(17));
    assert_eq!(error, Some(HttpError::Unexpected));
}

#[test]
fn requests_are_written_whole_or_not_at_all() {
    let mut conn = ClientConn::default();
    let mut out = Vec::new();
    let twice = conn.request(&mut out, "GET", "/", "h").header("Host", "x").empty();
    assert_eq!(twice, Err(EncodeError::Framing));
    assert_eq!(conn.request(&mut out, "GET", "/", "h\r\nx: y").empty(), Err(EncodeError::HeaderValue));
    assert_eq!(conn.request(&mut out, "CONNECT", "h:1", "h:1").body(b"x"), Err(EncodeError::State));
    assert!(out.is_empty() && conn.is_reusable());
    conn.request(&mut out, "POST", "/", "h").empty().unwrap();
    assert_eq!(out, b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
    assert!(!conn.is_ready(), "one at a time, if nothing else is said");
}
