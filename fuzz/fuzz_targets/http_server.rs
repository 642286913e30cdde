//! Any bytes to the server's end of HTTP/1.1: `cargo +nightly fuzz run http_server`. However they are cut, the
//! same requests come out; a head that was understood and is written anew is understood in the same way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use windlass::proto::http::{
    Framing, HeadEncoder, RequestHead, RequestHeads, RequestPart, ServerConn, Status,
};
use windlass::proto::{Decode, Input};

#[derive(PartialEq, Debug, Default)]
struct Seen {
    heads: Vec<String>,
    body: Vec<u8>,
    ends: u64,
}

fn run(bytes: &[u8], piece: usize) -> (Seen, Option<&'static str>) {
    let (mut conn, mut seen, mut left) = (ServerConn::default(), Seen::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        left.extend_from_slice(piece);
        let mut input = Input::new(&mut left);
        loop {
            match conn.decode(&mut input) {
                Ok(None) => break,
                Err(error) => return (seen, Some(error.label())),
                Ok(Some(RequestPart::Head(head))) => seen.heads.push(again(&head)),
                Ok(Some(RequestPart::Body(bytes))) => seen.body.extend_from_slice(bytes),
                Ok(Some(RequestPart::End)) => {
                    seen.ends += 1;
                    let ok = conn.respond(&mut Vec::new(), Status::OK).body(b"x");
                    // All but a CONNECT can be answered so.
                    if ok.is_err() {
                        conn.respond(&mut Vec::new(), Status::BAD_GATEWAY).empty().unwrap();
                    }
                }
                Ok(Some(_)) => {}
            }
        }
        let len = input.len();
        left.drain(..left.len() - len);
    }
    (seen, None)
}

/// Writes the head anew and reads that: it has to say the same.
fn again(head: &RequestHead<'_>) -> String {
    let show = |head: &RequestHead<'_>| {
        let hop = [
            "connection",
            "upgrade",
            "keep-alive",
            "proxy-connection",
            "content-length",
            "transfer-encoding",
        ];
        let lines = head.headers.iter().filter(|h| !hop.iter().any(|hop| hop.eq_ignore_ascii_case(h.name)));
        let lines: Vec<_> = lines.map(|h| (h.name.to_owned(), h.value.to_owned())).collect();
        format!("{} {:?} {:?} {:?} {lines:?}", head.method, head.target, head.host, head.framing)
    };
    let shown = show(head);
    let target = match head.target {
        windlass::proto::http::Target::Origin { path, query } => match query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        },
        _ => return shown,
    };
    let Some(host) = head.host else { return shown };
    let mut out = Vec::new();
    let mut encoder = HeadEncoder::request(&mut out, head.method, &target);
    if !head.headers.contains("host") {
        encoder = encoder.header("host", host);
    }
    for header in head.headers.iter() {
        let ours = [
            "connection",
            "upgrade",
            "keep-alive",
            "proxy-connection",
            "content-length",
            "transfer-encoding",
        ];
        if !ours.iter().any(|ours| ours.eq_ignore_ascii_case(header.name)) {
            encoder = encoder.header(header.name, header.value);
        }
    }
    encoder = match head.framing {
        Framing::Length(length) => encoder.length(length),
        Framing::Chunked => encoder.chunked(),
        _ => encoder,
    };
    encoder.end().expect("what was read can be written");
    let mut input = Input::new(&mut out);
    let heads = windlass::proto::http::Limits { head_max: 1 << 20, headers_max: 128, ..Default::default() };
    let read = RequestHeads::new(heads).decode(&mut input).unwrap().expect("a whole head");
    assert_eq!(show(&read), shown);
    shown
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    let whole = run(bytes, usize::MAX);
    let pieces = run(bytes, usize::from(size) + 1);
    assert_eq!(whole, pieces);
});
