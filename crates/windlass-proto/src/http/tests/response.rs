//! Heads of responses.

use alloc::format;
use alloc::string::String;

use crate::http::{Framing, HttpError, ResponseHead, ResponseHeads, Status};
use crate::testing;
use crate::{Decode, Input};

fn parse<T>(bytes: &[u8], look: impl Fn(ResponseHead<'_>) -> T) -> Result<T, HttpError> {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let head = ResponseHeads::default().decode(&mut input)?.expect("a whole head");
    Ok(look(head))
}

#[test]
fn any_split_gives_the_same_heads() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.0 404 Not \xe9 Found\r\n\r\nHTTP/1.1 999\r\n\r\n\
                  HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nX";
    let run = testing::any_split(ResponseHeads::default, bytes, |head| {
        let reason = String::from_utf8_lossy(head.reason);
        format!("{} {reason} {:?} {:?}", head.status.code(), head.framing_for("GET"), head.upgrade.is_some())
    });
    let expected = [
        "200 OK Length(0) false",
        "404 Not \u{fffd} Found UntilClose false",
        "999  UntilClose false",
        "101 Go Empty true",
    ];
    assert_eq!(run.messages, expected);
    assert_eq!(run.error, Some(HttpError::StartLine));
}

#[test]
fn whether_there_is_a_body_depends_on_method_and_status() {
    let framing = |start: &str, method: &str| {
        parse(format!("HTTP/1.1 {start}\r\n\r\n").as_bytes(), |head| head.framing_for(method))
    };
    assert_eq!(framing("200 OK\r\ncontent-length: 5", "GET"), Ok(Framing::Length(5)));
    assert_eq!(framing("200 OK\r\ntransfer-encoding: chunked", "GET"), Ok(Framing::Chunked));
    assert_eq!(framing("200 OK", "GET"), Ok(Framing::UntilClose));
    assert_eq!(framing("200 OK\r\ncontent-length: 5", "HEAD"), Ok(Framing::Empty));
    assert_eq!(framing("200 OK\r\ntransfer-encoding: chunked", "HEAD"), Ok(Framing::Empty));
    assert_eq!(framing("304 Not Modified\r\ncontent-length: 5", "GET"), Ok(Framing::Empty));
    assert_eq!(framing("204 No Content\r\ncontent-length: 0", "GET"), Ok(Framing::Empty));
    assert_eq!(framing("100 Continue", "GET"), Ok(Framing::Empty));
    assert_eq!(framing("200 OK", "CONNECT"), Ok(Framing::Empty));
    assert_eq!(framing("407 No\r\ncontent-length: 5", "CONNECT"), Ok(Framing::Length(5)));
    // A body where none may be would be read as the next response.
    assert_eq!(framing("204 No Content\r\ncontent-length: 5", "GET"), Err(HttpError::ContentLength));
    assert_eq!(
        framing("204 No Content\r\ntransfer-encoding: chunked", "GET"),
        Err(HttpError::TransferEncoding)
    );
    assert_eq!(framing("101 Go\r\ntransfer-encoding: chunked", "GET"), Err(HttpError::TransferEncoding));
}

#[test]
fn malformed_heads_are_refused_at_every_split() {
    let table: &[(&[u8], HttpError)] = &[
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", HttpError::StartLine),
        (b"ICY 200 OK\r\n\r\n", HttpError::StartLine),
        (b"HTTP/2 200 OK\r\n\r\n", HttpError::Version),
        (b"HTTP/1.1 20 OK\r\n\r\n", HttpError::StartLine),
        (b"HTTP/1.1 2000 OK\r\n\r\n", HttpError::StartLine),
        (b"HTTP/1.1 099 OK\r\n\r\n", HttpError::StartLine),
        (b"HTTP/1.1 +20 OK\r\n\r\n", HttpError::StartLine),
        (b"HTTP/1.1  200 OK\r\n\r\n", HttpError::StartLine),
        (b"HTTP/1.1 200 O\0K\r\n\r\n", HttpError::StartLine),
        (b"HTTP/1.1 200 OK\n\r\n", HttpError::BareLf),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", HttpError::HeaderName),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", HttpError::Fold),
        (b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", HttpError::HeaderName),
        (b"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", HttpError::HeaderValue),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", HttpError::ContentLength),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            HttpError::LengthAndChunked,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", HttpError::TransferEncoding),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HttpError::TransferEncoding),
    ];
    for (bytes, expected) in table {
        let run = testing::any_split(ResponseHeads::default, bytes, |head| format!("{head:?}"));
        assert_eq!(
            (run.messages.len(), run.error),
            (0, Some(*expected)),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn a_status_has_three_digits() {
    assert_eq!(Status::new(99), None);
    assert_eq!(Status::new(1000), None);
    assert_eq!(Status::new(599).map(|status| (status.code(), status.reason())), Some((599, "")));
    assert!(
        Status::OK.is_success() && Status::CONTINUE.is_informational() && Status::NOT_MODIFIED.has_no_body()
    );
}
