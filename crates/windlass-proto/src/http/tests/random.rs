//! Random conversations between the two ends: what one writes the other reads, however it was cut.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{body, client};
use crate::http::{ClientConn, Limits, RequestPart, ServerConn, Status};
use crate::testing::Rng;
use crate::{Decode, Input};

const SEEDS: u64 = 400;

struct Message {
    method: &'static str,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    pieces: Vec<Vec<u8>>,
    how: u64,
    trailers: bool,
}

fn message(rng: &mut Rng) -> Message {
    let method = ["GET", "HEAD", "POST", "PUT", "X-ODD"][rng.below(5) as usize];
    let headers = (0..rng.below(6)).map(|n| {
        let mut value = alloc::vec![0; rng.below(40) as usize];
        rng.fill(&mut value);
        value.retain(|&b| b > b' ' && b != 0x7f);
        (format!("x-{n}"), value)
    });
    let headers = headers.collect();
    let pieces = (0..rng.below(4)).map(|_| {
        let longest = 1 << rng.below(10);
        let mut piece = alloc::vec![0; rng.below(longest) as usize];
        rng.fill(&mut piece);
        piece.iter_mut().for_each(|b| *b = b' ' + (*b & 63));
        piece
    });
    let pieces = pieces.collect();
    Message {
        method,
        path: format!("/{}", rng.next_u64()),
        headers,
        pieces,
        how: rng.below(3),
        trailers: rng.chance(1, 2),
    }
}

impl Message {
    fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// The parts as `collect` shows them, behind the head.
    fn parts(&self, head: String, silent: bool, trailers: Option<String>) -> Vec<String> {
        let mut parts = alloc::vec![head];
        let body = String::from_utf8(self.body()).unwrap();
        if !body.is_empty() && !silent {
            parts.push(format!("body {body}"));
        }
        parts.extend(trailers.filter(|_| !silent));
        parts.push("end".to_string());
        parts
    }
}

/// Feeds `bytes` in pieces, so that what is left comes back with more behind it.
fn feed<D: Decode>(
    conn: &mut D,
    rng: &mut Rng,
    bytes: &[u8],
    left: &mut Vec<u8>,
    mut each: impl for<'b> FnMut(&mut D, D::Message<'b>),
) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((rng.below(200) as usize + 1).min(rest.len()));
        rest = behind;
        left.extend_from_slice(piece);
        let mut input = Input::new(left);
        while let Some(part) = conn.decode(&mut input).unwrap() {
            each(conn, part);
        }
        let len = input.len();
        left.drain(..left.len() - len);
    }
}

#[test]
fn what_one_end_writes_the_other_reads() {
    for seed in 0..SEEDS {
        let rng = &mut Rng::new(seed);
        let (mut client, mut server) = (ClientConn::new(Limits::default()), ServerConn::default());
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        for number in 1..=rng.below(6) + 1 {
            let (ask, answer) = (message(rng), message(rng));

            let mut wire = Vec::new();
            let mut request = client.request(&mut wire, ask.method, &ask.path, "h");
            for (name, value) in &ask.headers {
                request = request.header(name, value);
            }
            let mut trailers = None;
            match ask.how {
                0 => request.body(&ask.body()).unwrap(),
                how => {
                    let length = ask.body().len() as u64;
                    if how == 1 {
                        request.length(length).unwrap()
                    } else {
                        request.chunked().unwrap()
                    }
                    for piece in &ask.pieces {
                        client.write(&mut wire, piece).unwrap();
                    }
                    if how == 2 && ask.trailers {
                        client.finish_with_trailers(&mut wire, &[("x-sum", b"1")]).unwrap();
                        trailers = Some("trailers x-sum=1".to_string());
                    } else {
                        client.finish(&mut wire).unwrap();
                    }
                }
            }
            let mut parts = Vec::new();
            feed(&mut server, rng, &wire, &mut to_server, |_, part| {
                if let RequestPart::Head(head) = &part {
                    let headers: Vec<_> = head.headers.iter().filter(|h| h.name.starts_with("x-")).collect();
                    assert_eq!(headers.len(), ask.headers.len(), "seed {seed}");
                    for (header, (name, value)) in headers.iter().zip(&ask.headers) {
                        assert_eq!(
                            (header.name, header.value),
                            (name.as_str(), value.as_slice()),
                            "seed {seed}"
                        );
                    }
                }
                body::collect(&mut parts, part);
            });
            assert_eq!(
                parts,
                ask.parts(format!("{} {}", ask.method, ask.path), false, trailers),
                "seed {seed}"
            );
            assert!(server.is_answering() && to_server.is_empty() && server.requests() == number);

            let mut wire = Vec::new();
            let mut response = server.respond(&mut wire, Status::OK);
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            let mut trailers = None;
            match answer.how {
                0 => response.body(&answer.body()).unwrap(),
                how => {
                    let length = answer.body().len() as u64;
                    if how == 1 {
                        response.length(length).unwrap()
                    } else {
                        response.chunked().unwrap()
                    }
                    for piece in &answer.pieces {
                        server.write(&mut wire, piece).unwrap();
                    }
                    if how == 2 && answer.trailers {
                        server.finish_with_trailers(&mut wire, &[("x-sum", b"1")]).unwrap();
                        trailers = Some("trailers 1".to_string());
                    } else {
                        server.finish(&mut wire).unwrap();
                    }
                }
            }
            let mut parts = Vec::new();
            feed(&mut client, rng, &wire, &mut to_client, |_, part| client::collect(&mut parts, part));
            assert_eq!(parts, answer.parts("200".to_string(), ask.method == "HEAD", trailers), "seed {seed}");
            assert!(client.is_reusable() && server.is_idle() && to_client.is_empty(), "seed {seed}");
        }
    }
}
