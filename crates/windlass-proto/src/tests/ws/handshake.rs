//! Tests of the opening handshake, both sides.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::http::{RequestHeads, ResponseHeads, Status};
use crate::ws::{HandshakeError, Opening, Origins, Upgrade, WsConfig};
use crate::{Decode, Input};

const REQUEST: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://server.example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The server's answer to a request.
pub(super) fn serve(
    request: &str,
    config: &WsConfig,
    origins: &Origins,
    protocol: Option<&str>,
) -> Result<String, HandshakeError> {
    let mut bytes = request.as_bytes().to_vec();
    let head = RequestHeads::default().decode(&mut Input::new(&mut bytes))?.expect("a whole head");
    let upgrade = Upgrade::new(&head, origins)?;
    let mut out = Vec::new();
    upgrade.accept(config, protocol, &mut out);
    Ok(String::from_utf8(out).unwrap())
}

fn fails(request: &str) -> HandshakeError {
    serve(request, &WsConfig::default(), &Origins::SameHost, None).unwrap_err()
}

#[test]
fn the_example_of_the_rfc() {
    let answer = serve(REQUEST, &WsConfig::default(), &Origins::SameHost, Some("chat")).unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat\r\n\r\n";
    assert_eq!(answer, expected);
    let answer = serve(REQUEST, &WsConfig::default(), &Origins::SameHost, Some("other")).unwrap();
    assert!(!answer.contains("protocol:"), "one that was not offered is not chosen");
}

#[test]
fn what_is_refused_and_with_which_status() {
    let without = |line: &str| {
        let lines: Vec<_> = REQUEST.split("\r\n").filter(|text| !text.starts_with(line)).collect();
        lines.join("\r\n")
    };
    assert_eq!(fails(&without("Upgrade")), HandshakeError::NotUpgrade);
    assert_eq!(fails(&without("Connection")), HandshakeError::NotUpgrade);
    assert_eq!(fails(&without("Sec-WebSocket-Version")), HandshakeError::Version);
    assert_eq!(fails(&REQUEST.replace("Version: 13", "Version: 8")), HandshakeError::Version);
    assert_eq!(fails(&without("Sec-WebSocket-Key")), HandshakeError::Key);
    for key in ["", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQAA", "dGhl*HNhbXBsZSBub25jZQ=="] {
        assert_eq!(fails(&REQUEST.replace("dGhlIHNhbXBsZSBub25jZQ==", key)), HandshakeError::Key, "{key}");
    }
    let twice = REQUEST.replace("Origin:", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin:");
    assert_eq!(fails(&twice), HandshakeError::Key);
    let post = REQUEST.replace("GET", "POST");
    assert_eq!(fails(&post), HandshakeError::Method);
    assert_eq!(
        fails(&REQUEST.replace("Origin:", "Content-Length: 1\r\nOrigin:")),
        HandshakeError::NotUpgrade
    );
    assert_eq!(fails(&REQUEST.replace("HTTP/1.1", "HTTP/1.0")), HandshakeError::NotUpgrade);
    assert_eq!(fails(&REQUEST.replace("http://server", "http://evil")), HandshakeError::Origin);

    let respond = |error: HandshakeError| {
        let mut out = Vec::new();
        error.respond(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        respond(HandshakeError::Version),
        "HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\ncontent-length: 0\r\n\r\n"
    );
    assert!(respond(HandshakeError::Origin).starts_with("HTTP/1.1 403 "));
    assert!(respond(HandshakeError::Method).contains("allow: GET\r\n"));
    let refused = HandshakeError::Refused(Status::NOT_FOUND);
    assert!(respond(refused).contains("404") && respond(refused).contains("connection: close"));
}

#[test]
fn origins() {
    let admit =
        |origins: &Origins, host, origin: Option<&str>| origins.admit(host, origin.map(str::as_bytes));
    let same = Origins::SameHost;
    assert!(admit(&same, Some("a.example:8080"), None), "not a browser");
    assert!(admit(&same, Some("a.example:8080"), Some("http://a.example:8080")));
    assert!(admit(&same, Some("A.example"), Some("https://a.EXAMPLE")));
    for strange in ["null", "", "http://a.example", "http://a.example:8081", "http://a.example:8080.evil"] {
        assert!(!admit(&same, Some("a.example:8080"), Some(strange)), "{strange}");
    }
    assert!(!admit(&same, None, Some("http://a.example")));
    assert!(admit(&Origins::Any, None, Some("null")));
    let listed = Origins::Listed(Vec::from(["https://example.com".to_string()]));
    assert!(admit(&listed, Some("10.0.0.1"), Some("https://example.com")));
    assert!(!admit(&listed, Some("example.com"), Some("http://example.com")));
}

/// A client's request, a server's answer, and what the client thinks of it.
pub(super) fn shake(
    opening: &Opening,
    (client, server): (&WsConfig, &WsConfig),
    protocol: Option<&str>,
    change: impl Fn(String) -> String,
) -> Result<Option<String>, HandshakeError> {
    let mut request = Vec::new();
    opening.request("h", "/", client, &mut request).unwrap();
    let answer = serve(&String::from_utf8(request).unwrap(), server, &Origins::SameHost, protocol)?;
    let mut bytes = change(answer).into_bytes();
    let head = ResponseHeads::default().decode(&mut Input::new(&mut bytes))?.expect("a whole head");
    opening.answer(&head, client).map(|(_, protocol)| protocol.map(str::to_string))
}

#[test]
fn a_client_and_a_server_agree() {
    let opening = Opening::new([1; 32]).protocol("a").protocol("b").header("cookie", "x=1");
    let config = WsConfig::default();
    let run =
        |protocol, change: &dyn Fn(String) -> String| shake(&opening, (&config, &config), protocol, change);
    assert_eq!(run(Some("b"), &|answer| answer), Ok(Some("b".into())));
    assert_eq!(run(None, &|answer| answer), Ok(None));
    let with = |line: &'static str| {
        move |answer: String| answer.replace("upgrade: web", &format!("{line}\r\nupgrade: web"))
    };
    assert_eq!(run(None, &with("sec-websocket-protocol: c")), Err(HandshakeError::Protocol));
    assert_eq!(run(Some("a"), &with("sec-websocket-protocol: a")), Err(HandshakeError::Protocol));
    assert_eq!(run(None, &with("sec-websocket-extensions: foo")), Err(HandshakeError::Extension));
    assert_eq!(run(None, &|answer| answer.replace("101 ", "200 ")), Err(HandshakeError::Status(Status::OK)));
    let wrong = |answer: String| answer.replace("accept: ", "accept: x");
    assert_eq!(run(None, &wrong), Err(HandshakeError::Accept));
    assert_eq!(run(None, &|answer| answer.replace(": websocket", ": other")), Err(HandshakeError::Accept));
}

#[test]
fn what_cannot_stand_in_a_request_is_not_written() {
    let mut out = Vec::new();
    for opening in [
        Opening::new([1; 32]).header("x", "1\r\ny: 2"),
        Opening::new([1; 32]).protocol("two words"),
        Opening::new([1; 32]).header("upgrade", "h2c"),
    ] {
        assert!(opening.request("h", "/", &WsConfig::default(), &mut out).is_err());
    }
    assert!(Opening::new([1; 32]).request("h", "/ ", &WsConfig::default(), &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn keys_differ_and_do_not_tell_the_seed() {
    let request = |random| {
        let mut out = Vec::new();
        Opening::new(random).request("h", "/", &WsConfig::default(), &mut out).unwrap();
        out
    };
    assert_eq!(request([1; 32]), request([1; 32]));
    assert_ne!(request([1; 32]), request([2; 32]));
    assert!(!format!("{:?}", Opening::new([1; 32]).header("authorization", "secret")).contains("secret"));
}
