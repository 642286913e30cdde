//! What comes and is none of the protocol: the connection it came on ends, with a reason that is counted, and nobody else
//! notices. The same as the whole server and its hub are tried with.

use std::io::{Read, Write};
#[cfg(any(feature = "hub", feature = "metrics"))]
use std::net::TcpStream;

use crate::harness::{LONG, Mini, mini};
#[cfg(all(feature = "metrics", any(feature = "hub", feature = "echo")))]
use crate::little::eventually;

/// With these services, and numbers if it is built to tell them: they are at the last address.
fn with_numbers(services: &str, listens: usize) -> Mini {
    let (admin, more) =
        if cfg!(feature = "metrics") { ("[admin]\nlisten = [\"127.0.0.1:0\"]\n", 1) } else { ("", 0) };
    mini(&format!("{admin}{services}"), listens + more)
}

#[cfg(any(feature = "hub", feature = "metrics"))]
fn connected(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// All that comes until the end, which is one of either kind and no silence.
#[cfg(any(feature = "hub", feature = "metrics"))]
fn to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{all:?}");
    }
    all
}

/// How often connections were closed for this reason.
#[cfg(feature = "metrics")]
fn closed(mini: &Mini, reason: &str) -> u64 {
    let page = asked(mini, b"GET /metrics HTTP/1.1\r\n\r\n");
    let sample = format!("windlass_connections_closed_total{{reason=\"{reason}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&sample)).map_or(0, |count| count.parse().unwrap())
}

#[cfg(feature = "metrics")]
fn asked(mini: &Mini, request: &[u8]) -> String {
    let mut stream = connected(mini.addresses.last().unwrap());
    stream.write_all(request).unwrap();
    String::from_utf8(to_the_end(&mut stream)).unwrap()
}

#[cfg(feature = "hub")]
mod hub {
    use super::*;
    use crate::reported::{self, REPORTED};

    const SERVICE: &str = "[[hub]]\nlisten = [\"127.0.0.1:0\"]\n";

    /// The answer to PINGREQ, which is the next thing it hears.
    fn is_here(good: &mut TcpStream) {
        good.write_all(b"\xc0\0").unwrap();
        let mut answer = [0; 2];
        good.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0xd0, 0]);
    }

    fn joined(mini: &Mini, version: u8, id: &str) -> TcpStream {
        let mut stream = connected(&mini.addresses[0]);
        stream.write_all(&reported::connect(version, id)).unwrap();
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        let mut body = vec![0; head[1].into()];
        stream.read_exact(&mut body).unwrap();
        assert_eq!((head[0], body[1]), (0x20, 0));
        stream
    }

    #[test]
    fn what_was_reported_of_others_is_not_taken_here() {
        let mini = with_numbers(SERVICE, 1);
        let mut good = joined(&mini, 5, "good");
        for (what, version, first, bytes, last) in REPORTED {
            for piece in [bytes.len(), 1] {
                let mut bad = match first {
                    true => connected(&mini.addresses[0]),
                    false => joined(&mini, *version, "bad"),
                };
                for piece in bytes.chunks(piece) {
                    // Some are ended before they have said all.
                    let _ = bad.write_all(piece);
                }
                let heard = to_the_end(&mut bad);
                assert_eq!(heard.escape_ascii().to_string(), last.escape_ascii().to_string(), "{what}");
            }
            is_here(&mut good);
        }
        #[cfg(feature = "metrics")]
        {
            let all = 2 * REPORTED.len() as u64;
            eventually("they are counted", || (closed(&mini, "protocol") >= all).then_some(()));
            assert_eq!(closed(&mini, "protocol"), all);
        }
        assert_eq!(mini.threads(), 1);
    }

    /// Every first byte there is, before and behind a CONNECT, with the greatest length and with none.
    #[test]
    fn no_first_byte_is_one_too_many() {
        let mini = with_numbers(SERVICE, 1);
        let mut good = joined(&mini, 5, "good");
        for first in 0..=255_u8 {
            for length in [&b"\xff\xff\xff\x7f"[..], b"\0", b"\xff\xff\xff\xff\x01"] {
                let mut strange = connected(&mini.addresses[0]);
                strange.write_all(&[&[first], length].concat()).unwrap();
                assert_eq!(to_the_end(&mut strange), b"", "{first:#x} {length:?}");
                let mut known = joined(&mini, 5, "bad");
                known.write_all(&[&[first], length].concat()).unwrap();
                // A PINGREQ and a DISCONNECT are whole so.
                match (first, length) {
                    (0xc0, b"\0") => assert_eq!(known.read(&mut [0; 2]).unwrap(), 2),
                    (0xe0, b"\0") => assert_eq!(to_the_end(&mut known), b""),
                    _ => assert_eq!(to_the_end(&mut known)[..2], [0xe0, 1], "{first:#x} {length:?}"),
                }
            }
        }
        is_here(&mut good);
        assert_eq!(mini.threads(), 1);
    }

    /// Half a packet is none, however its sender goes.
    #[test]
    fn what_is_cut_off_is_no_message() {
        let mini = with_numbers(SERVICE, 1);
        let mut good = joined(&mini, 4, "good");
        good.write_all(b"\x82\x06\0\x01\0\x01t\0").unwrap();
        good.read_exact(&mut [0; 5]).unwrap();
        let whole = b"\x30\x05\0\x01thi";
        for len in 1..whole.len() {
            let mut bad = joined(&mini, 4, "bad");
            bad.write_all(&whole[..len]).unwrap();
        }
        for len in 1..reported::connect(4, "bad").len() {
            connected(&mini.addresses[0]).write_all(&reported::connect(4, "bad")[..len]).unwrap();
        }
        is_here(&mut good);
    }
}

#[cfg(feature = "metrics")]
mod numbers {
    use super::*;

    const SERVICE: &str = if cfg!(feature = "hub") {
        "[[hub]]\nlisten = [\"127.0.0.1:0\"]\n"
    } else {
        "[[echo]]\nlisten = [\"127.0.0.1:0\"]\n"
    };

    #[test]
    #[cfg(any(feature = "hub", feature = "echo"))]
    fn a_request_that_is_none_is_refused_or_ends_its_connection() {
        let mini = with_numbers(SERVICE, 1);
        let long = [b"GET /", &*vec![b'a'; 9_000]].concat();
        let endless = vec![b'\n'; 9_000];
        for (request, answer) in [
            (&b"\r\n\r\n"[..], "HTTP/1.1 405"),
            (b"\0\0\0\0\r\n\r\n", "HTTP/1.1 405"),
            (b"GET\r\n\r\n", "HTTP/1.1 404"),
            (b"GET  /metrics\r\n\r\n", "HTTP/1.1 404"),
            (b"get /metrics\r\n\r\n", "HTTP/1.1 405"),
            (b"GET /../metrics\r\n\r\n", "HTTP/1.1 404"),
            (b"GET /\xff\xfe\r\n\r\n", "HTTP/1.1 404"),
            (b"GET http://a/metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 404"),
            (b"\x16\x03\x01\0\x05hello\r\n\r\n", "HTTP/1.1 405"),
            (&*long, ""),
            (&*endless, ""),
        ] {
            let said = asked(&mini, request);
            let said = said.get(..12).unwrap_or(&said);
            assert_eq!(said, answer, "{}", request[..request.len().min(40)].escape_ascii());
        }
        // Some begin, and say no more.
        let silent: Vec<_> = (0..100)
            .map(|n| {
                let mut stream = connected(&mini.addresses[1]);
                stream.write_all(&b"GET /metrics HTTP/1.1\r\n\r"[..n % 25]).unwrap();
                stream
            })
            .collect();
        assert!(asked(&mini, b"GET /healthz HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nok\n"));
        eventually("they are counted", || (closed(&mini, "input_full") >= 2).then_some(()));
        drop(silent);
        assert_eq!(mini.threads(), 1);
    }
}

#[cfg(all(feature = "echo", feature = "udp"))]
#[test]
fn datagrams_of_every_length_come_back() {
    let mini = with_numbers("[[echo]]\nlisten = [\"udp:127.0.0.1:0\"]\n", 1);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let (bytes, mut back) = (vec![7; 65_507], vec![0; 65_536]);
    for len in [0, 1, 1_472, 1_473, 9_000, 16_384, 16_385, 65_506, 65_507] {
        socket.send_to(&bytes[..len], &mini.addresses[0]).unwrap();
        let (got, _) = socket.recv_from(&mut back).unwrap();
        assert_eq!(&back[..got], &bytes[..len]);
    }
    assert_eq!(mini.threads(), 1);
}

/// A relay knows nothing of what it passes on.
#[cfg(feature = "relay")]
#[test]
fn bytes_of_no_protocol_are_passed_on_as_they_are() {
    let backend = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = backend.local_addr().unwrap();
    let mini = with_numbers(&format!("[[proxy]]\nlisten = [\"127.0.0.1:0\"]\nto = [\"{to}\"]\n"), 1);
    for bytes in [&b""[..], b"\0", b"\xff\xff\xff\xff\x7f", b"PROXY UNKNOWN\r\n", &vec![0xa5; 300_000]] {
        let mut client = std::net::TcpStream::connect(&mini.addresses[0]).unwrap();
        let (mut there, _) = backend.accept().unwrap();
        there.set_read_timeout(Some(LONG)).unwrap();
        let sent = bytes.to_vec();
        let says = std::thread::spawn(move || client.write_all(&sent).unwrap());
        let mut heard = Vec::new();
        there.read_to_end(&mut heard).unwrap();
        assert!(heard == bytes, "other bytes came: {}", heard.len());
        says.join().unwrap();
    }
}
