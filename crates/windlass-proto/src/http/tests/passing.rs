//! What a proxy needs of both ends: heads written once and sent again, responses passed on as they are framed.

use alloc::string::String;
use alloc::vec::Vec;

use crate::http::{
    ClientConn, EncodeError, Framing, HeadEncoder, HeaderLines, HttpError, RequestPart, ResponseHeads,
    ServerConn, Status,
};
use crate::{Decode, Input};

/// An end that has heard this request.
fn asked(request: &str) -> ServerConn {
    let mut conn = ServerConn::default();
    let mut bytes = Vec::from(request);
    let mut input = Input::new(&mut bytes);
    while let Ok(Some(_)) = conn.decode(&mut input) {}
    conn
}

/// What a client that has asked like this is told of this response, and whether its connection stays.
fn passed_on(request: &str, response: &str) -> (String, bool) {
    let mut conn = asked(request);
    let mut bytes = Vec::from(response);
    let head = ResponseHeads::default().decode(&mut Input::new(&mut bytes)).unwrap().unwrap();
    let mut out = Vec::new();
    conn.respond(&mut out, head.status).framed_like(&head).unwrap();
    let piece = b"body";
    let has_body = conn.begin_piece(&mut out, piece.len()).is_ok_and(|sent| sent);
    if has_body {
        out.extend_from_slice(piece);
        conn.end_piece(&mut out);
    }
    conn.finish(&mut out).unwrap();
    (String::from_utf8(out).unwrap(), !conn.is_over())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn a_response_is_passed_on_as_it_is_framed() {
    for (request, response, expected, stays) in [
        (GET, "200 OK\r\nContent-Length: 4", "200 OK\r\ncontent-length: 4\r\n\r\nbody", true),
        (
            GET,
            "200 OK\r\nTransfer-Encoding: chunked",
            "200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            true,
        ),
        // What ends with its connection there is chunked here.
        (GET, "200 OK", "200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", true),
        (OLD, "200 OK", "200 OK\r\nconnection: close\r\n\r\nbody", false),
        (
            OLD,
            "200 OK\r\nContent-Length: 4",
            "200 OK\r\ncontent-length: 4\r\nconnection: keep-alive\r\n\r\nbody",
            true,
        ),
        // A length that stands for a body which is not sent.
        (HEAD, "200 OK\r\nContent-Length: 9", "200 OK\r\ncontent-length: 9\r\n\r\n", true),
        (HEAD, "200 OK\r\nTransfer-Encoding: chunked", "200 OK\r\n\r\n", true),
        (GET, "304 Not Modified\r\nContent-Length: 9", "304 Not Modified\r\ncontent-length: 9\r\n\r\n", true),
        (GET, "304 Not Modified", "304 Not Modified\r\n\r\n", true),
        (GET, "204 No Content", "204 No Content\r\n\r\n", true),
    ] {
        let response = alloc::format!("HTTP/1.1 {response}\r\n\r\n");
        let expected = alloc::format!("HTTP/1.1 {expected}");
        assert_eq!(passed_on(request, &response), (expected, stays), "{request:?} {response:?}");
    }
}

#[test]
fn a_head_that_was_written_before_can_be_sent_on_any_connection() {
    let mut head = Vec::new();
    HeadEncoder::request(&mut head, "PUT", "/").header("host", "h").length(3).end().unwrap();
    for _ in 0..2 {
        let mut conn = ClientConn::default();
        conn.sent("PUT", Framing::Length(3), false).unwrap();
        assert_eq!(conn.sent("GET", Framing::Empty, false), Err(EncodeError::State), "one at a time");
        let mut out = head.clone();
        conn.write(&mut out, b"abc").unwrap();
        assert_eq!(conn.write(&mut out, b"d"), Err(EncodeError::Length));
        conn.finish(&mut out).unwrap();
        assert!(out.ends_with(b"\r\n\r\nabc") && !conn.is_sending());
    }
    let mut conn = ClientConn::default();
    assert_eq!(conn.sent("GET", Framing::UntilClose, false), Err(EncodeError::State));
    assert_eq!(conn.sent("GET", Framing::Length(1), true), Err(EncodeError::State));
    assert_eq!(conn.sent("CONNECT", Framing::Chunked, false), Err(EncodeError::State));
    assert!(conn.is_reusable(), "nothing of that was sent");
    // A response is read by what was noted.
    conn.sent("HEAD", Framing::Empty, false).unwrap();
    let mut bytes = *b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let mut input = Input::new(&mut bytes);
    while let Some(_part) = conn.decode(&mut input).unwrap() {}
    assert!(conn.is_reusable(), "without its body");
    conn.sent("GET", Framing::Empty, true).unwrap();
    let mut bytes = *b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n";
    assert!(conn.decode(&mut Input::new(&mut bytes)).unwrap().is_some() && conn.is_switched());
}

#[test]
fn a_target_is_told_in_the_clients_words() {
    for target in ["/a?b=%20", "http://h/x?", "*", "/"] {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let mut bytes = alloc::format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
        let mut conn = ServerConn::default();
        let part = conn.decode(&mut Input::new(&mut bytes)).unwrap();
        let Some(RequestPart::Head(head)) = part else { panic!("{target}") };
        assert_eq!(head.target_as_sent(), target);
    }
}

#[test]
fn a_refusal_may_be_in_other_words() {
    let mut lines = HeaderLines::new();
    lines.push("content-type", "text/html").unwrap();
    let mut conn = asked(GET);
    let mut out = Vec::new();
    conn.refuse_with(&mut out, HttpError::Timeout, &lines, b"<p>");
    let expected = "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/html\r\ncontent-length: 3\r\nconnection: close\r\n\r\n<p>";
    assert_eq!((core::str::from_utf8(&out).unwrap(), conn.is_over()), (expected, true));
    conn.refuse_with(&mut out, HttpError::Timeout, &lines, b"<p>");
    assert_eq!(out.len(), expected.len(), "once");
    assert_eq!(HttpError::Timeout.status(), Status::REQUEST_TIMEOUT);
}

#[test]
fn a_client_may_end_its_half_once_its_request_is_whole() {
    // Though the end of its empty body was not asked for.
    let mut conn = ServerConn::default();
    let mut bytes = Vec::from(GET);
    let mut input = Input::new(&mut bytes);
    assert!(conn.decode(&mut input).unwrap().is_some());
    assert!(conn.end(&mut input).unwrap().is_none());
    let mut conn = ServerConn::default();
    let mut bytes = *b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx";
    let mut input = Input::new(&mut bytes);
    while let Ok(Some(_)) = conn.decode(&mut input) {}
    assert_eq!(conn.end(&mut input).unwrap_err(), HttpError::Truncated);
}
