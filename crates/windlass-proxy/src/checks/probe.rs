//! One check that asks something: bytes in, a verdict out.

use windlass_proto::http::{ClientConn, Limits, ResponsePart};
use windlass_proto::{Decode, Input};

use super::config::{CheckKind, ExchangeCheck, HttpCheck};

/// A check that has asked and waits for the answer.
#[derive(Debug)]
pub(crate) enum Probe {
    Http {
        check: HttpCheck,
        conn: Box<ClientConn>,
        /// The status was one of those that are wanted.
        fits: bool,
        /// What has come of the body, as far as it is looked through.
        body: Vec<u8>,
    },
    Exchange {
        expect: Vec<u8>,
        heard: Vec<u8>,
    },
}

impl Probe {
    /// What is said to the backend first. `None`: nothing has to be asked.
    pub(crate) fn begin(kind: &CheckKind, host: &str) -> Option<(Probe, Vec<u8>)> {
        match kind {
            CheckKind::Connect => None,
            CheckKind::Exchange(ExchangeCheck { send, expect }) => {
                Some((Probe::Exchange { expect: expect.clone(), heard: Vec::new() }, send.clone()))
            }
            CheckKind::Http(check) => {
                let mut conn = Box::new(ClientConn::new(Limits::default()));
                let mut out = Vec::new();
                let host = check.host.as_deref().unwrap_or(host);
                let request = conn.request(&mut out, &check.method, &check.path, host);
                let asked = request.header("user-agent", "windlass-check").close().empty();
                // A request that cannot be written is never answered, and so fails.
                debug_assert!(asked.is_ok(), "its parts were checked: {asked:?}");
                let body = Vec::new();
                Some((Probe::Http { check: check.clone(), conn, fits: false, body }, out))
            }
        }
    }

    /// What the backend says. `Some`: whether it has passed.
    pub(crate) fn heard(&mut self, input: &mut Input<'_>) -> Option<bool> {
        match self {
            Probe::Exchange { expect, heard } => {
                let wanted = expect.len() - heard.len();
                heard.extend_from_slice(&input.peek()[..input.len().min(wanted)]);
                input.skip(input.len());
                if !expect.starts_with(heard) {
                    return Some(false);
                }
                (heard.len() == expect.len()).then_some(true)
            }
            Probe::Http { check, conn, fits, body } => loop {
                match conn.decode(input) {
                    Ok(None) => return None,
                    Ok(Some(ResponsePart::Head(head))) => {
                        *fits = check.status.iter().any(|range| range.contains(&head.status.code()));
                        if !*fits || check.body.is_none() {
                            return Some(*fits);
                        }
                    }
                    Ok(Some(ResponsePart::Body(piece))) => {
                        let room = HttpCheck::BODY_MAX - body.len();
                        body.extend_from_slice(&piece[..piece.len().min(room)]);
                        if body.len() == HttpCheck::BODY_MAX {
                            return Some(has_text(body, check));
                        }
                    }
                    Ok(Some(ResponsePart::End)) => return Some(has_text(body, check)),
                    Ok(Some(_)) => {}
                    Err(_) => return Some(false),
                }
            },
        }
    }

    /// The backend has ended its stream: whether it has passed.
    pub(crate) fn ended(&mut self) -> bool {
        match self {
            Probe::Exchange { .. } => false,
            Probe::Http { check, conn, fits, body } => {
                let whole = matches!(conn.end(&mut Input::new(&mut [])), Ok(Some(ResponsePart::End)));
                whole && *fits && has_text(body, check)
            }
        }
    }
}

fn has_text(body: &[u8], check: &HttpCheck) -> bool {
    let text = check.body.as_deref().unwrap_or_default().as_bytes();
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(check: HttpCheck) -> Probe {
        Probe::begin(&CheckKind::Http(check), "10.0.0.1:80").expect("it asks").0
    }

    /// What comes of these bytes, whole, at every split, and byte by byte; and of the end behind them.
    fn verdict(make: impl Fn() -> Probe, said: &[u8]) -> (Option<bool>, bool) {
        let run = |pieces: &[&[u8]]| {
            let (mut probe, mut left) = (make(), Vec::new());
            for piece in pieces {
                left.extend_from_slice(piece);
                let mut input = Input::new(&mut left);
                if let Some(passed) = probe.heard(&mut input) {
                    return (Some(passed), passed);
                }
                let taken = input.peek().to_vec();
                left = taken;
            }
            (None, probe.ended())
        };
        let wanted = run(&[said]);
        for at in 0..=said.len() {
            assert_eq!(run(&[&said[..at], &said[at..]]), wanted, "split at {at}");
        }
        let bytes: Vec<&[u8]> = said.chunks(1).collect();
        assert_eq!(run(&bytes), wanted, "byte by byte");
        wanted
    }

    #[test]
    fn a_request_says_what_the_check_says() {
        let check = HttpCheck { method: "HEAD".into(), path: "/up?full".into(), ..HttpCheck::default() };
        let (_, asked) = Probe::begin(&CheckKind::Http(check), "10.0.0.1:80").unwrap();
        let asked = String::from_utf8(asked).unwrap();
        assert!(asked.starts_with("HEAD /up?full HTTP/1.1\r\nhost: 10.0.0.1:80\r\n"), "{asked}");
        assert!(asked.to_ascii_lowercase().contains("connection: close\r\n"), "{asked}");
    }

    #[test]
    fn the_status_decides() {
        let make = || http(HttpCheck { status: vec![200..=299, 401..=401], ..HttpCheck::default() });
        for (status, passes) in
            [(200, true), (204, true), (299, true), (302, false), (401, true), (500, false)]
        {
            let said = format!("HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(verdict(make, said.as_bytes()), (Some(passes), passes), "{status}");
        }
        let interim = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(verdict(make, interim), (Some(true), true));
        assert_eq!(verdict(make, b"SSH-2.0-OpenSSH\r\n\r\n").0, Some(false), "no HTTP");
        assert_eq!(verdict(make, b"HTTP/1.1 200 OK\r\nContent-Le"), (None, false), "cut short");
        assert_eq!(verdict(make, b""), (None, false));
    }

    #[test]
    fn the_text_has_to_be_in_the_body_wherever_it_is_split() {
        let make = || http(HttpCheck { body: Some("all is well".into()), ..HttpCheck::default() });
        let length = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n<p>all is well</p";
        assert_eq!(verdict(make, length), (Some(true), true));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n5\r\n well\r\n0\r\n\r\n";
        assert_eq!(verdict(make, chunked), (Some(true), true));
        let to_the_end = b"HTTP/1.1 200 OK\r\n\r\nall is well";
        assert_eq!(verdict(make, to_the_end), (None, true), "its end is the end of the body");
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nall is well";
        assert_eq!(verdict(make, cut), (None, false));
        let other = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhelp";
        assert_eq!(verdict(make, other), (Some(false), false));
    }

    #[test]
    fn a_body_without_an_end_is_looked_through_so_far() {
        let mut said = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        said.resize(said.len() + HttpCheck::BODY_MAX, b'x');
        let run = |said: &[u8]| {
            let mut probe = http(HttpCheck { body: Some("well".into()), ..HttpCheck::default() });
            probe.heard(&mut Input::new(&mut said.to_vec()))
        };
        assert_eq!(run(&said[..said.len() - 1]), None);
        assert_eq!(run(&said), Some(false));
    }

    #[test]
    fn an_exchange_looks_at_how_the_answer_begins() {
        let kind =
            CheckKind::Exchange(ExchangeCheck { send: b"PING\r\n".to_vec(), expect: b"+PONG".to_vec() });
        let make = || Probe::begin(&kind, "").unwrap().0;
        assert_eq!(Probe::begin(&kind, "").unwrap().1, b"PING\r\n");
        for (said, passes) in [(&b"+PONG\r\n"[..], Some(true)), (b"+PO", None), (b"-LOADING", Some(false))] {
            assert_eq!(verdict(make, said), (passes, passes == Some(true)), "{}", said.escape_ascii());
        }
    }

    #[test]
    fn checks_that_cannot_be_are_said() {
        let http = |change: &dyn Fn(&mut HttpCheck)| {
            let mut check = HttpCheck::default();
            change(&mut check);
            CheckKind::Http(check).problem()
        };
        assert_eq!(http(&|_| {}), None);
        assert!(http(&|check| check.method = "GET /".into()).is_some());
        assert!(http(&|check| check.path = "up".into()).is_some());
        assert!(http(&|check| check.path = "/a b\r\nX: y".into()).is_some());
        assert!(http(&|check| check.host = Some("a b".into())).is_some());
        assert!(http(&|check| check.status = Vec::new()).is_some());
        assert!(http(&|check| check.status = vec![100..=199]).is_some());
        assert!(CheckKind::Exchange(ExchangeCheck::default()).problem().is_some());
    }
}
