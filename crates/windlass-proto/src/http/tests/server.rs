//! The server's end: order, keep-alive, `Expect`, `HEAD`, what cannot be written, upgrade.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::body::collect;
use crate::http::{EncodeError, HttpError, Limits, RequestPart, ServerConn, Status};
use crate::testing;
use crate::{Decode, Input};

/// Answers each request when its end has come, with its path as the body.
struct Answering {
    conn: ServerConn,
    path: String,
    out: Vec<u8>,
}

impl Answering {
    fn new() -> Answering {
        Answering { conn: ServerConn::default(), path: String::new(), out: Vec::new() }
    }
}

impl Decode for Answering {
    type Message<'b> = (RequestPart<'b>, String);
    type Error = HttpError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Self::Message<'b>>, HttpError> {
        let Some(part) = self.conn.decode(input)? else { return Ok(None) };
        match &part {
            RequestPart::Head(head) => self.path = head.path().to_string(),
            RequestPart::End => {
                self.conn.respond(&mut self.out, Status::OK).body(self.path.as_bytes()).unwrap();
            }
            _ => {}
        }
        let written = String::from_utf8(core::mem::take(&mut self.out)).unwrap();
        Ok(Some((part, written)))
    }
}

/// What is written in answer to `bytes`, by a server that answers at the end of each request.
fn answers(bytes: &str) -> (String, Option<HttpError>) {
    let run = testing::any_split_with(Answering::new, bytes.as_bytes(), |all: &mut Vec<String>, part| {
        if let RequestPart::End = part.0 {
            all.push(part.1);
        }
    });
    (run.messages.concat(), run.error)
}

/// A connection that has read one request, and what was left.
fn asked(request: &str) -> ServerConn {
    let mut bytes = request.as_bytes().to_vec();
    let mut input = Input::new(&mut bytes);
    let mut conn = ServerConn::default();
    while conn.decode(&mut input).unwrap().is_some() {}
    conn
}

fn text(out: &[u8]) -> &str {
    core::str::from_utf8(out).unwrap()
}

#[test]
fn pipelined_requests_are_answered_in_order_and_at_every_split() {
    let (out, error) = answers(
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\
         \r\nHEAD /c HTTP/1.1\r\nHost: h\r\n\r\nGET /d HTTP/1.0\r\n\r\nGET /never HTTP/1.1\r\n",
    );
    assert_eq!(error, None, "what follows the last request is not looked at");
    assert_eq!(
        out,
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/aHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/b\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n/d"
    );
}

#[test]
fn the_next_request_waits_for_the_response_to_this_one() {
    let mut bytes = *b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut input = Input::new(&mut bytes);
    let (mut conn, mut out, mut parts) = (ServerConn::default(), Vec::new(), Vec::new());
    while let Some(part) = conn.decode(&mut input).unwrap() {
        collect(&mut parts, part);
    }
    assert_eq!(parts, ["GET /a", "end"]);
    assert!(conn.is_answering() && !conn.is_idle() && input.peek().starts_with(b"GET /b"));
    conn.respond(&mut out, Status::OK).chunked().unwrap();
    assert!(conn.decode(&mut input).unwrap().is_none(), "not before it is complete");
    conn.write(&mut out, b"x").unwrap();
    conn.finish(&mut out).unwrap();
    assert!(conn.is_idle());
    while let Some(part) = conn.decode(&mut input).unwrap() {
        collect(&mut parts, part);
    }
    assert_eq!((parts.join("|"), conn.requests()), ("GET /a|end|GET /b|end".into(), 2));
}

#[test]
fn what_a_body_was_said_to_be_it_is() {
    let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let (mut conn, mut out) = (asked(get), Vec::new());
    conn.respond(&mut out, Status::OK).length(3).unwrap();
    assert_eq!(conn.write(&mut out, b"abcd"), Err(EncodeError::Length));
    conn.write(&mut out, b"ab").unwrap();
    assert_eq!(conn.finish(&mut out), Err(EncodeError::Length), "too short");
    conn.write(&mut out, b"c").unwrap();
    assert_eq!(conn.finish_with_trailers(&mut out, &[("a", b"b")]), Err(EncodeError::State));
    conn.finish(&mut out).unwrap();
    assert_eq!(conn.write(&mut out, b""), Err(EncodeError::State));
    assert_eq!(conn.finish(&mut out), Err(EncodeError::State));
    assert_eq!(conn.respond(&mut out, Status::OK).empty(), Err(EncodeError::State), "answered already");
    assert_eq!(text(&out), "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");

    let (mut conn, mut out) = (asked(get), Vec::new());
    conn.respond(&mut out, Status::OK).chunked().unwrap();
    assert_eq!(conn.respond(&mut out, Status::OK).empty(), Err(EncodeError::State));
    for piece in [&b"a"[..], b"", &[b'x'; 300]] {
        conn.write(&mut out, piece).unwrap();
    }
    assert_eq!(conn.finish_with_trailers(&mut out, &[("a", b"b\n")]), Err(EncodeError::HeaderValue));
    assert_eq!(conn.finish_with_trailers(&mut out, &[("a b", b"")]), Err(EncodeError::HeaderName));
    conn.finish_with_trailers(&mut out, &[("a", b"b")]).unwrap();
    let body = format!("1\r\na\r\n12c\r\n{}\r\n0\r\na: b\r\n\r\n", "x".repeat(300));
    assert_eq!(text(&out), format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
    assert!(conn.is_idle());
}

#[test]
fn nobody_is_answered_who_did_not_ask() {
    let (mut conn, mut out) = (ServerConn::default(), Vec::new());
    assert_eq!(conn.respond(&mut out, Status::OK).empty(), Err(EncodeError::State));
    assert_eq!(conn.write(&mut out, b"x"), Err(EncodeError::State));
    assert_eq!(conn.send_continue(&mut out), Err(EncodeError::State));
    assert!(conn.interim(&mut out, Status::EARLY_HINTS).is_err());
    drop(asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n").respond(&mut out, Status::OK).header("a", "b"));
    assert_eq!(out, b"", "a head that is not ended is not sent");
}

#[test]
fn statuses_without_a_body_have_none() {
    let answer = |status, end: fn(crate::http::Response<'_, '_>) -> Result<(), EncodeError>| {
        let (mut conn, mut out) = (asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Vec::new());
        end(conn.respond(&mut out, status)).map(|()| {
            let _ = conn.finish(&mut out);
            (text(&out).to_string(), conn.is_idle())
        })
    };
    let whole = |head: &str| Ok((head.to_string(), true));
    assert_eq!(answer(Status::NO_CONTENT, |r| r.empty()), whole("HTTP/1.1 204 No Content\r\n\r\n"));
    assert_eq!(answer(Status::NO_CONTENT, |r| r.body(b"x")), Err(EncodeError::Length));
    assert_eq!(answer(Status::NO_CONTENT, |r| r.chunked()), Err(EncodeError::State));
    assert_eq!(answer(Status::NOT_MODIFIED, |r| r.empty()), whole("HTTP/1.1 304 Not Modified\r\n\r\n"));
    let with_length = "HTTP/1.1 304 Not Modified\r\ncontent-length: 1\r\n\r\n";
    assert_eq!(answer(Status::NOT_MODIFIED, |r| r.body(b"x")), whole(with_length));
    assert_eq!(answer(Status::CONTINUE, |r| r.empty()), Err(EncodeError::State));
    assert_eq!(answer(Status::SWITCHING_PROTOCOLS, |r| r.empty()), Err(EncodeError::State));
    assert_eq!(answer(Status::SWITCHING_PROTOCOLS, |r| r.upgrade("x")), Err(EncodeError::State));
    assert_eq!(answer(Status::OK, |r| r.tunnel()), Err(EncodeError::State));
}

#[test]
fn a_client_of_http_1_0_gets_what_it_understands() {
    let (mut conn, mut out) = (asked("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), Vec::new());
    conn.respond(&mut out, Status::OK).body(b"x").unwrap();
    assert_eq!(text(&out), "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx");
    assert!(conn.is_idle() && !conn.is_over());

    let (mut conn, mut out) = (asked("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), Vec::new());
    assert!(conn.interim(&mut out, Status::EARLY_HINTS).is_err());
    conn.respond(&mut out, Status::OK).chunked().unwrap();
    conn.write(&mut out, b"abc").unwrap();
    conn.finish_with_trailers(&mut out, &[("a", b"b")]).unwrap();
    assert_eq!(text(&out), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc");
    assert!(conn.is_over());
}

#[test]
fn a_client_that_waits_is_told_to_go_on_or_answered_for_good() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let (mut conn, mut out) = (asked(head), Vec::new());
    assert!(conn.is_continue_awaited());
    conn.send_continue(&mut out).unwrap();
    assert_eq!(conn.send_continue(&mut out), Err(EncodeError::State), "once");
    let mut bytes = *b"hi";
    let mut input = Input::new(&mut bytes);
    while conn.decode(&mut input).unwrap().is_some() {}
    conn.respond(&mut out, Status::OK).empty().unwrap();
    assert_eq!(text(&out), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(conn.is_idle() && !conn.is_over());

    // Whether it sends its body after this answer is its own decision: the connection cannot go on.
    let (mut conn, mut out) = (asked(head), Vec::new());
    conn.respond(&mut out, Status::FORBIDDEN).empty().unwrap();
    assert_eq!(text(&out), "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert!(conn.is_over());

    // It did not wait.
    let (mut conn, mut out) = (asked(&format!("{head}hi")), Vec::new());
    assert!(!conn.is_continue_awaited());
    conn.respond(&mut out, Status::OK).empty().unwrap();
    assert!(conn.is_idle());
}

#[test]
fn a_body_nobody_wants_is_read_over_up_to_the_limit() {
    let early = |framing: &str, sent: &str| {
        let limits = Limits { drain_max: 4, ..Limits::default() };
        let mut conn = ServerConn::new(limits);
        let mut out = Vec::new();
        let mut bytes = format!("POST /a HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{sent}").into_bytes();
        let mut input = Input::new(&mut bytes);
        let mut parts = Vec::new();
        while let Some(part) = conn.decode(&mut input).unwrap() {
            let head = matches!(part, RequestPart::Head(_));
            collect(&mut parts, part);
            if head && conn.requests() == 1 {
                conn.respond(&mut out, Status::OK).empty().unwrap();
            }
        }
        let closes = text(&out).contains("connection: close");
        (parts.join("|"), conn.is_over(), closes)
    };
    let next = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    let both = || "POST /a|GET /b|end".to_string();
    assert_eq!(early("Content-Length: 4", &format!("abcd{next}")), (both(), false, false));
    assert_eq!(early("Content-Length: 5", &format!("abcde{next}")), ("POST /a".into(), true, true));
    let chunks = format!("4\r\nabcd\r\n0\r\n\r\n{next}");
    assert_eq!(early("Transfer-Encoding: chunked", &chunks), (both(), false, false));
    // How much would come was not known when the response was written.
    let chunks = format!("5\r\nabcde\r\n0\r\n\r\n{next}");
    assert_eq!(early("Transfer-Encoding: chunked", &chunks), ("POST /a".into(), true, false));
    assert_eq!(early("Transfer-Encoding: chunked", "nonsense\r\n"), ("POST /a".into(), true, false));
}

#[test]
fn an_upgrade_hands_over_what_is_unread() {
    let request = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut bytes = format!("{request}\x01\x02GET").into_bytes();
    let mut input = Input::new(&mut bytes);
    let (mut conn, mut out) = (ServerConn::default(), Vec::new());
    while conn.decode(&mut input).unwrap().is_some() {}
    let agreed = conn.respond(&mut out, Status::SWITCHING_PROTOCOLS).header("sec-websocket-accept", "x");
    agreed.upgrade("websocket").unwrap();
    assert_eq!(
        text(&out),
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    assert!(conn.is_switched() && !conn.is_over());
    assert!(conn.decode(&mut input).unwrap().is_none());
    assert_eq!(input.peek(), b"\x01\x02GET");

    let body = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n";
    let (mut conn, mut out) = (asked(body), Vec::new());
    let early = conn.respond(&mut out, Status::SWITCHING_PROTOCOLS).upgrade("x");
    assert_eq!(early, Err(EncodeError::State), "the body comes first");

    let (mut conn, mut out) = (asked("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"), Vec::new());
    assert_eq!(conn.respond(&mut out, Status::OK).body(b"x"), Err(EncodeError::State));
    conn.respond(&mut out, Status::OK).tunnel().unwrap();
    assert_eq!((text(&out), conn.is_switched()), ("HTTP/1.1 200 OK\r\n\r\n", true));
}

#[test]
fn a_refusal_says_why_and_is_the_last_word() {
    let mut bytes = *b"GET / HTTP/1.1\r\n\r\n";
    let (mut conn, mut out) = (ServerConn::default(), Vec::new());
    let error = conn.decode(&mut Input::new(&mut bytes)).unwrap_err();
    conn.refuse(&mut out, error);
    assert_eq!(
        text(&out),
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhost\n"
    );
    assert!(conn.is_over());
    let before = out.len();
    conn.refuse(&mut out, HttpError::Timeout);
    assert_eq!(out.len(), before);

    // In the middle of a response nothing can be said.
    let (mut conn, mut out) = (asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Vec::new());
    conn.respond(&mut out, Status::OK).length(5).unwrap();
    let before = out.len();
    conn.refuse(&mut out, HttpError::Timeout);
    assert!(out.len() == before && conn.is_over());
}

#[test]
fn the_end_of_the_stream_is_fine_between_requests_only() {
    let end = |sent: &str| {
        let mut bytes = sent.as_bytes().to_vec();
        let mut input = Input::new(&mut bytes);
        let mut conn = ServerConn::default();
        while conn.decode(&mut input).unwrap().is_some() {}
        conn.end(&mut input).map(|part| part.is_none())
    };
    assert_eq!(end(""), Ok(true));
    assert_eq!(end("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Ok(true), "its answer is due");
    assert_eq!(end("GET / HT"), Err(HttpError::Truncated));
    assert_eq!(end("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na"), Err(HttpError::Truncated));
}

#[test]
fn a_shutdown_is_told_with_the_response_under_way() {
    let (mut conn, mut out) = (asked("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), Vec::new());
    conn.close_after_response();
    conn.respond(&mut out, Status::OK).empty().unwrap();
    assert!(text(&out).contains("connection: close") && conn.is_over());
}

/// The request, what is answered at its beginning, and whether the client has nothing more to say then.
#[test]
fn a_client_that_leaves_is_heard_out_once_all_of_its_request_was_read() {
    for (request, heard_all) in [
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", true),
        ("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", true),
        ("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\nab", false),
        ("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n", false),
        // It has said nothing of the kind, though it was told to go.
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", false),
    ] {
        let mut conn = asked(request);
        conn.close_after_response();
        conn.respond(&mut Vec::new(), Status::OK).body(b"").unwrap();
        assert_eq!(conn.has_heard_all(), heard_all, "{request:?}");
    }
}
