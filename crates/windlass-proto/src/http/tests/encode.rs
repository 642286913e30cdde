//! Heads, written: only what can be read back as what was meant.

use alloc::vec::Vec;

use crate::http::{EncodeError, HeadEncoder, RequestHeads, ResponseHeads, Status};
use crate::{Decode, Input};

#[test]
fn what_is_written_is_read_back() {
    let mut out = Vec::new();
    HeadEncoder::request(&mut out, "PUT", "/a?b")
        .header("host", "h")
        .header("x-empty", "")
        .header("x-wide", "a \t\u{e9}")
        .length(u64::MAX)
        .connection_close()
        .end()
        .unwrap();
    let mut input = Input::new(&mut out);
    let head = RequestHeads::default().decode(&mut input).unwrap().unwrap();
    assert_eq!((head.method, head.path(), head.query(), head.keep_alive), ("PUT", "/a", Some("b"), false));
    assert_eq!(head.headers.get("x-wide"), Some("a \t\u{e9}".as_bytes()));
    assert_eq!(head.framing, crate::http::Framing::Length(u64::MAX));

    let mut out = Vec::new();
    HeadEncoder::response(&mut out, Status::SWITCHING_PROTOCOLS).upgrade("websocket").end().unwrap();
    let mut input = Input::new(&mut out);
    let head = ResponseHeads::default().decode(&mut input).unwrap().unwrap();
    assert_eq!((head.reason, head.upgrade), (&b"Switching Protocols"[..], Some(&b"websocket"[..])));
}

#[test]
fn a_mistake_writes_nothing() {
    let mut out = b"before".to_vec();
    let mut header = |name: &str, value: &str| {
        HeadEncoder::response(&mut out, Status::OK).header(name, value).header("ok", "ok").end()
    };
    for value in ["a\r\nb: c", "a\n", "\0", "\x7f", "a\rb"] {
        assert_eq!(header("a", value), Err(EncodeError::HeaderValue), "{value:?}");
    }
    for name in ["", "a b", "a:", "a\r\n", "\u{e9}"] {
        assert_eq!(header(name, "x"), Err(EncodeError::HeaderName), "{name:?}");
    }
    for name in ["Content-Length", "transfer-encoding", "Connection", "upgrade", "keep-alive"] {
        assert_eq!(header(name, "x"), Err(EncodeError::Framing), "{name:?}");
    }
    assert_eq!(
        HeadEncoder::response(&mut out, Status::OK).length(1).chunked().end(),
        Err(EncodeError::Framing)
    );
    for (method, target) in
        [("", "/"), ("G T", "/"), ("GET", ""), ("GET", "/a b"), ("GET", "/\r\n"), ("GET", "/#")]
    {
        let written = HeadEncoder::request(&mut out, method, target).header("host", "h").end();
        assert_eq!(written, Err(EncodeError::StartLine), "{method:?} {target:?}");
    }
    assert_eq!(out, b"before");
}
