//! Heads of requests: what is understood, and what is refused and why.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::http::{Framing, HttpError, Limits, RequestHead, RequestHeads, Target, Version};
use crate::testing;
use crate::{Decode, Input};

fn parse<T>(bytes: &[u8], look: impl Fn(RequestHead<'_>) -> T) -> Result<T, HttpError> {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let head = RequestHeads::default().decode(&mut input)?.expect("a whole head");
    assert_eq!(input.len(), 0);
    Ok(look(head))
}

fn one(lines: &str) -> Result<Framing, HttpError> {
    parse(format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes(), |head| head.framing)
}

#[test]
fn any_split_gives_the_same_heads() {
    let bytes = b"\r\nGET /a?b=c HTTP/1.1\r\nHost: example.com:80\r\nX-Empty:\r\nx-wide: \t a b \t\r\n\r\n\
                  OPTIONS * HTTP/1.1\r\nhost: [::1]\r\n\r\nGET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let own = |head: RequestHead<'_>| {
        let lines: Vec<_> =
            head.headers.iter().map(|h| format!("{}={}", h.name, String::from_utf8_lossy(h.value))).collect();
        format!("{} {:?} {:?} {} {}", head.method, head.target, head.host, head.keep_alive, lines.join(","))
    };
    let run = testing::any_split(RequestHeads::default, bytes, own);
    assert_eq!(
        run.messages,
        [
            "GET Origin { path: \"/a\", query: Some(\"b=c\") } Some(\"example.com:80\") true \
             Host=example.com:80,X-Empty=,x-wide=a b",
            "OPTIONS Asterisk Some(\"[::1]\") true host=[::1]",
            "GET Origin { path: \"/\", query: None } None false ",
        ]
    );
    assert_eq!(run.error, Some(HttpError::Host));
}

#[test]
fn targets_have_the_form_of_their_method() {
    let target = |line: &str| {
        let head = format!("{line} HTTP/1.1\r\nHost: h:80\r\n\r\n");
        parse(head.as_bytes(), |head| format!("{:?}", head.target))
    };
    let absolute = Target::Absolute { scheme: "http", authority: "H", path: "/", query: Some("q") };
    assert_eq!(target("GET http://H?q"), Ok(format!("{absolute:?}")));
    assert_eq!(target("GET /%2e%2e/../|{x}"), Ok("Origin { path: \"/%2e%2e/../|{x}\", query: None }".into()));
    assert_eq!(target("CONNECT h:443"), Ok("Authority(\"h:443\")".to_string()));
    assert_eq!(target("get /"), target("GET /"), "methods are case-sensitive, but `get` is one");
    for refused in [
        "GET *",
        "GET h:80",
        "GET a/b",
        "GET ftp://h/",
        "GET http:///x",
        "GET http://u@h/",
        "GET http://:80/",
        "GET /a#b",
        "GET /\u{e9}",
        "GET //\u{7f}",
        "CONNECT /",
        "CONNECT h",
        "CONNECT h:",
        "CONNECT :1",
        "CONNECT *",
    ] {
        assert!(
            matches!(target(refused), Err(HttpError::Target | HttpError::StartLine)),
            "{refused}: {:?}",
            target(refused)
        );
    }
}

#[test]
fn the_host_is_one_and_agrees_with_the_target() {
    let host = |line: &str, lines: &str| {
        parse(format!("{line}\r\n{lines}\r\n").as_bytes(), |head| head.host.map(ToString::to_string))
    };
    let known = |name: &str| Ok(Some(name.to_string()));
    assert_eq!(host("GET / HTTP/1.1", "Host: a.example:8080\r\n"), known("a.example:8080"));
    assert_eq!(host("GET / HTTP/1.1", "Host:\r\n"), known(""));
    assert_eq!(host("GET / HTTP/1.0", ""), Ok(None));
    assert_eq!(host("GET http://a/ HTTP/1.0", ""), known("a"));
    assert_eq!(host("GET http://A/ HTTP/1.1", "Host: a:80\r\n"), known("a:80"));
    assert_eq!(host("GET https://A/ HTTP/1.1", "Host: a:443\r\n"), known("a:443"));
    assert_eq!(host("CONNECT a:443 HTTP/1.1", "Host: a\r\n"), known("a"));
    for (line, lines) in [
        ("GET / HTTP/1.1", ""),
        ("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n"),
        ("GET / HTTP/1.0", "Host: a\r\nhost: b\r\n"),
        ("GET / HTTP/1.1", "Host: a b\r\n"),
        ("GET / HTTP/1.1", "Host: a, b\r\n"),
        ("GET / HTTP/1.1", "Host: a/b\r\n"),
        ("GET / HTTP/1.1", "Host: u@a\r\n"),
        ("GET / HTTP/1.1", "Host: a:b\r\n"),
        ("GET / HTTP/1.1", "Host: a:123456\r\n"),
        ("GET / HTTP/1.1", "Host: [::1\r\n"),
        ("GET / HTTP/1.1", "Host: [::1]x\r\n"),
        ("GET / HTTP/1.1", "Host: \u{e9}\r\n"),
        ("GET http://a/ HTTP/1.1", ""),
        ("GET http://a/ HTTP/1.1", "Host: b\r\n"),
        ("GET http://a/ HTTP/1.1", "Host: a:81\r\n"),
        ("CONNECT a:443 HTTP/1.1", "Host: b\r\n"),
    ] {
        assert!(
            matches!(host(line, lines), Err(HttpError::Host | HttpError::Target)),
            "{line} {lines}: {:?}",
            host(line, lines)
        );
    }
}

#[test]
fn a_body_has_one_length_or_the_request_none_at_all() {
    assert_eq!(one(""), Ok(Framing::Empty));
    assert_eq!(one("Content-Length: 0\r\n"), Ok(Framing::Length(0)));
    assert_eq!(one("content-length: \t18446744073709551615 \r\n"), Ok(Framing::Length(u64::MAX)));
    assert_eq!(one("Content-Length: 007\r\n"), Ok(Framing::Length(7)));
    assert_eq!(one("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
    for value in [
        "",
        "+1",
        "-1",
        "1 ",
        " 1",
        "1,1",
        "1, 1",
        "1,",
        "0x10",
        "1e1",
        "1.0",
        "1_0",
        "18446744073709551616",
        "99999999999999999999",
        "\u{661}",
        "1;",
        "1 1",
        "\"1\"",
    ] {
        let lines = format!("Content-Length: {value}\r\n");
        let expected =
            if value.trim() == "1" { Ok(Framing::Length(1)) } else { Err(HttpError::ContentLength) };
        assert_eq!(one(&lines), expected, "{value:?}");
    }
    for twice in ["Content-Length: 1\r\nContent-Length: 1\r\n", "Content-Length: 1\r\ncontent-length: 2\r\n"]
    {
        assert_eq!(one(twice), Err(HttpError::ContentLength));
    }
}

#[test]
fn a_transfer_encoding_is_chunked_and_nothing_else() {
    for value in [
        "",
        "identity",
        "gzip",
        "chunked, gzip",
        "chunked,",
        ", chunked",
        ",chunked",
        "chunked, chunked",
        "xchunked",
        "chunkedx",
        "chunked;a=b",
        "\"chunked\"",
        "'chunked'",
        "chunked chunked",
        "chunk ed",
        "chunked, identity",
        "cow chunked",
        "chunked\u{a0}",
        "gzip,, chunked",
        "gz/ip, chunked",
        "x y, chunked",
    ] {
        let lines = format!("Transfer-Encoding: {value}\r\n");
        assert_eq!(one(&lines), Err(HttpError::TransferEncoding), "{value:?}");
    }
    for value in ["gzip, chunked", "identity,chunked", "a , b,\tchunked"] {
        let lines = format!("Transfer-Encoding: {value}\r\n");
        assert_eq!(one(&lines), Err(HttpError::TransferEncodingUnknown), "{value:?}");
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(one(twice), Err(HttpError::TransferEncoding));
    let twice = "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(one(twice), Err(HttpError::TransferEncoding));
    for both in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\ncOnTeNt-LeNgTh: 0\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 1\r\n",
        "Transfer-Encoding:\r\nContent-Length: 1\r\n",
    ] {
        assert_eq!(one(both), Err(HttpError::LengthAndChunked), "{both:?}");
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(parse(old, |head| head.framing), Err(HttpError::TransferEncoding));
}

#[test]
fn malformed_heads_are_refused_for_their_reason_at_every_split() {
    let table: &[(&[u8], HttpError)] = &[
        (b"\r\n\r\n\r\nGET / HTTP/1.1\r\n", HttpError::StartLine),
        (b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", HttpError::StartLine),
        (b"\x00", HttpError::StartLine),
        (b"GET\r\n\r\n", HttpError::StartLine),
        (b"GET /\r\n\r\n", HttpError::StartLine),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Version),
        (b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::Version),
        (b"G{T / HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", HttpError::Version),
        (b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", HttpError::Version),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", HttpError::Version),
        (b"GET / http/1.1\r\nHost: h\r\n\r\n", HttpError::Version),
        (b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", HttpError::StartLine),
        (b"GET / HTTP/01.1\r\nHost: h\r\n\r\n", HttpError::Version),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpError::Version),
        (b"GET / HTTP/1.1\nHost: h\r\n\r\n", HttpError::BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\n\r\n", HttpError::BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", HttpError::BareLf),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n", HttpError::BareLf),
        (b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", HttpError::Fold),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", HttpError::Fold),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n", HttpError::Fold),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 5\r\n\r\n", HttpError::Fold),
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost\t: h\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\na b: c\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\0a: c\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\xff: c\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\n(x): c\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\x0b: chunked\r\n\r\n", HttpError::HeaderName),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\x0c\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\x00\r\n\r\n", HttpError::HeaderValue),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n", HttpError::Expect),
        (b"GET / HTTP/1.1\r\nHost: h\r\nExpect:\r\n\r\n", HttpError::Expect),
    ];
    for (bytes, expected) in table {
        let run = testing::any_split(RequestHeads::default, bytes, |head| format!("{head:?}"));
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!((run.messages.len(), run.error), (0, Some(*expected)), "{shown:?}");
    }
}

#[test]
fn limits_hold_at_the_byte() {
    let limits =
        Limits { start_line_max: 20, header_line_max: 12, head_max: 60, headers_max: 3, ..Limits::default() };
    let run = |bytes: &[u8]| testing::any_split(|| RequestHeads::new(limits), bytes, |_| ());
    let heads = |bytes: &[u8]| {
        let run = run(bytes);
        match run.error {
            None => Ok(run.messages.len()),
            Some(error) => Err(error),
        }
    };
    assert_eq!(heads(b"GET /2345 HTTP/1.1\r\nHost: h\r\nA: 45678901\r\n\r\n"), Err(HttpError::LineTooLong));
    assert_eq!(heads(b"GET /2345 HTTP/1.1\r\nHost: h\r\nA: 4567890\r\n\r\n"), Ok(1));
    assert_eq!(heads(b"GET /23456 HTTP/1.1\r\nHost: h\r\n\r\n"), Err(HttpError::StartLineTooLong));
    assert_eq!(heads(b"GET /2345678901234567"), Err(HttpError::StartLineTooLong));
    assert_eq!(heads(b"GET / HTTP/1.1\r\nHost: h\r\na:\r\nb:\r\n\r\n"), Ok(1));
    assert_eq!(heads(b"GET / HTTP/1.1\r\nHost: h\r\na:\r\nb:\r\nc:\r\n\r\n"), Err(HttpError::TooManyHeaders));
    let long = b"GET /2345 HTTP/1.1\r\nHost: h\r\nA: 4567890\r\nB: 4567890\r\nC: 4567890\r\n\r\n";
    assert_eq!(heads(long), Err(HttpError::HeadTooLong));
    let many = Limits { headers_max: 1000, ..Limits::default() };
    let lines = "a:\r\n".repeat(128);
    let run = testing::feed(
        RequestHeads::new(many),
        [format!("GET / HTTP/1.0\r\n{lines}\r\n").as_bytes()],
        |heads, head| heads.push(head.headers.len()),
    );
    assert_eq!(run.messages, [128], "as many as there may ever be");
}

#[test]
fn what_the_connection_does_next_follows_from_version_and_options() {
    let next = |version: &str, lines: &str| {
        parse(format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n").as_bytes(), |head| {
            (head.keep_alive, head.expects_continue, head.asks_for("websocket"), head.version)
        })
        .unwrap()
    };
    let (old, new) = (Version::Http10, Version::Http11);
    assert_eq!(next("1.1", ""), (true, false, false, new));
    assert_eq!(next("1.1", "Connection: foo, CLOSE\r\n"), (false, false, false, new));
    assert_eq!(next("1.1", "Connection: foo\r\nConnection: ,close,\r\n"), (false, false, false, new));
    assert_eq!(next("1.0", ""), (false, false, false, old));
    assert_eq!(next("1.0", "Connection: Keep-Alive\r\n"), (true, false, false, old));
    assert_eq!(next("1.0", "Connection: close, keep-alive\r\n"), (false, false, false, old));
    assert_eq!(next("1.1", "Expect: 100-Continue\r\n"), (true, true, false, new));
    assert_eq!(next("1.0", "Expect: 100-continue\r\n"), (false, false, false, old));
    let upgrade = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert_eq!(next("1.1", upgrade), (true, false, true, new));
    assert_eq!(next("1.0", upgrade), (true, false, false, old), "HTTP/1.0 has no upgrade");
    assert_eq!(next("1.1", "Upgrade: websocket\r\n"), (true, false, false, new), "not for this hop");
}

#[test]
fn a_proxy_passes_on_what_is_not_for_this_hop() {
    let passed = |lines: &str| {
        parse(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").as_bytes(), |head| {
            head.headers.end_to_end().map(|h| h.name.to_string()).collect::<Vec<_>>().join(" ")
        })
        .unwrap()
    };
    assert_eq!(passed("A: b\r\nContent-Length: 0\r\nTE: trailers\r\nCookie: c\r\n"), "Host A Cookie");
    let hop =
        "Connection: x-one, HOST, Upgrade\r\nConnection: X-Two\r\nX-One: 1\r\nx-two: 2\r\nX-Three: 3\r\n";
    assert_eq!(passed(&format!("{hop}Upgrade: y\r\nKeep-Alive: z\r\n")), "Host X-Three");
    assert_eq!(passed("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"), "Host");
}

#[test]
fn debug_shows_no_values() {
    let shown = parse(b"GET /?token=hidden HTTP/1.1\r\nHost: h\r\nAuthorization: hidden\r\n\r\n", |head| {
        format!("{head:?} {:?}", head.headers.iter().collect::<Vec<_>>())
    })
    .unwrap();
    assert!(!shown.contains("hidden") && shown.contains("Authorization"), "{shown}");
}
