//! Bodies: chunks in every shape, limits at the byte, trailers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::http::{HttpError, Limits, RequestPart, ServerConn, Status};
use crate::{Decode, Input, testing};

/// The parts as text, with neighbouring pieces of a body put together: how they were cut means nothing.
pub(super) fn collect(parts: &mut Vec<String>, part: RequestPart<'_>) {
    match part {
        RequestPart::Head(head) => parts.push(format!("{} {}", head.method, head.path())),
        RequestPart::Body(bytes) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            match parts.last_mut().filter(|last| last.starts_with("body ")) {
                Some(last) => last.push_str(&text),
                None => parts.push(format!("body {text}")),
            }
        }
        RequestPart::Trailers(trailers) => {
            let lines = trailers.iter().map(|t| format!("{}={}", t.name, String::from_utf8_lossy(t.value)));
            parts.push(format!("trailers {}", lines.collect::<Vec<_>>().join(",")));
        }
        RequestPart::End => parts.push("end".into()),
    }
}

fn chunked_with(limits: Limits, body: &[u8]) -> (Vec<String>, Option<HttpError>) {
    let mut bytes = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    bytes.extend_from_slice(body);
    let run = testing::any_split_with(|| ServerConn::new(limits), &bytes, collect);
    (run.messages[1..].to_vec(), run.error)
}

fn chunked(body: &[u8]) -> (Vec<String>, Option<HttpError>) {
    chunked_with(Limits::default(), body)
}

#[test]
fn chunks_are_put_together() {
    let parts = |body: &str| {
        let (parts, error) = chunked(body.as_bytes());
        assert_eq!(error, None, "{body:?}");
        parts.join("|")
    };
    assert_eq!(parts("0\r\n\r\n"), "end");
    assert_eq!(parts("5\r\nhello\r\n0\r\n\r\n"), "body hello|end");
    assert_eq!(parts("1\r\na\r\n00A\r\n0123456789\r\n000\r\n\r\n"), "body a0123456789|end");
    assert_eq!(parts("1;x\r\na\r\n1 \t; y=\"z;\\\" \"\r\nb\r\n0;\r\n\r\n"), "body ab|end");
    assert_eq!(parts("2\r\n\r\n\r\n0\r\n\r\n"), "body \r\n|end");
    assert_eq!(parts("0\r\nA: b\r\nC:\td \r\n\r\n"), "trailers A=b,C=d|end");
    assert_eq!(parts("00000000000000000000000000000001\r\na\r\n0\r\n\r\n"), "body a|end");
}

#[test]
fn malformed_chunks_are_refused() {
    let table: &[(&str, HttpError)] = &[
        ("\r\n", HttpError::Chunk),
        (";x\r\n", HttpError::Chunk),
        ("g\r\n", HttpError::Chunk),
        ("-1\r\n", HttpError::Chunk),
        ("+1\r\na\r\n", HttpError::Chunk),
        ("0x1\r\na\r\n", HttpError::Chunk),
        ("1_0\r\n", HttpError::Chunk),
        (" 1\r\na\r\n", HttpError::Chunk),
        ("1 \r\na\r\n", HttpError::Chunk),
        ("1 1\r\na\r\n", HttpError::Chunk),
        ("1,2\r\na\r\n", HttpError::Chunk),
        ("1\ra\r\n", HttpError::Chunk),
        ("1\r\r\na\r\n", HttpError::Chunk),
        ("1;a\rb\r\na\r\n", HttpError::Chunk),
        ("1;\0\r\na\r\n", HttpError::Chunk),
        ("1\0\r\na\r\n", HttpError::Chunk),
        ("\u{661}\r\n", HttpError::Chunk),
        ("10000000000000000\r\n", HttpError::Chunk),
        ("fffffffffffffffff\r\n", HttpError::Chunk),
        ("ffffffffffffffff\r\n", HttpError::BodyTooLong),
        ("1\na\r\n", HttpError::BareLf),
        ("1;x\na\r\n", HttpError::BareLf),
        ("0\n\r\n", HttpError::BareLf),
        ("1\r\nab\r\n", HttpError::Chunk),
        ("1\r\na\n0\r\n", HttpError::Chunk),
        ("1\r\na\r0\r\n", HttpError::Chunk),
        ("1\r\na0\r\n\r\n", HttpError::Chunk),
        ("0\r\n\n", HttpError::BareLf),
        ("0\r\nA: b\n\r\n", HttpError::BareLf),
        ("0\r\nA: b\r\n c\r\n\r\n", HttpError::Fold),
        ("0\r\n A: b\r\n\r\n", HttpError::Fold),
        ("0\r\nA : b\r\n\r\n", HttpError::HeaderName),
        ("0\r\n: b\r\n\r\n", HttpError::HeaderName),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", HttpError::HeaderName),
        ("0\r\nA: \0\r\n\r\n", HttpError::HeaderValue),
        ("0\r\nContent-Length: 5\r\n\r\n", HttpError::Trailer),
        ("0\r\ntransfer-encoding: chunked\r\n\r\n", HttpError::Trailer),
        ("0\r\nHost: x\r\n\r\n", HttpError::Trailer),
        ("0\r\nAuthorization: x\r\n\r\n", HttpError::Trailer),
    ];
    for (body, expected) in table {
        let (parts, error) = chunked(body.as_bytes());
        assert_eq!(error, Some(*expected), "{body:?}");
        assert!(!parts.iter().any(|part| part == "end"), "{body:?} ended");
    }
}

#[test]
fn limits_hold_at_the_byte() {
    let limits = Limits { body_max: 4, chunk_line_max: 6, trailers_max: 8, ..Limits::default() };
    let run = |body: &str| {
        let (parts, error) = chunked_with(limits, body.as_bytes());
        (parts.join("|"), error)
    };
    let fine = |parts: &str| (String::from(parts), None);
    let refused = |parts: &str, error| (String::from(parts), Some(error));
    assert_eq!(run("4\r\nabcd\r\n0\r\n\r\n"), fine("body abcd|end"));
    assert_eq!(run("5\r\nabcde\r\n0\r\n\r\n"), refused("", HttpError::BodyTooLong));
    assert_eq!(run("2\r\nab\r\n3\r\ncde\r\n"), refused("body ab", HttpError::BodyTooLong));
    assert_eq!(run("1;ab\r\na\r\n0\r\n\r\n"), fine("body a|end"));
    assert_eq!(run("1;abc\r\na\r\n0\r\n\r\n"), refused("", HttpError::ChunkLineTooLong));
    assert_eq!(run("000001\r\na\r\n"), refused("", HttpError::ChunkLineTooLong));
    assert_eq!(run("0\r\na: b\r\n\r\n"), fine("trailers a=b|end"));
    assert_eq!(run("0\r\na: bc\r\n\r\n"), refused("", HttpError::TrailersTooLong));
}

#[test]
fn a_body_that_announces_too_much_is_refused_before_it_is_read() {
    let bytes = b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\nx";
    let run = testing::any_split_with(ServerConn::default, bytes, collect);
    assert_eq!((run.messages.join("|"), run.error), ("PUT /a".into(), Some(HttpError::BodyTooLong)));
    assert_eq!(run.left, 1);
}

#[test]
fn a_request_that_was_answered_early_gets_no_second_answer() {
    let (mut conn, mut out) = (ServerConn::default(), Vec::new());
    let mut received = *b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
    let mut input = Input::new(&mut received);
    while let Some(part) = conn.decode(&mut input).unwrap() {
        if let RequestPart::Head(_) = part {
            conn.respond(&mut out, Status::NOT_FOUND).body(b"no").unwrap();
        }
    }
    // The rest of its body never comes.
    conn.refuse(&mut out, HttpError::Timeout);
    assert_eq!(String::from_utf8_lossy(&out).matches("HTTP/1.1").count(), 1);
}
