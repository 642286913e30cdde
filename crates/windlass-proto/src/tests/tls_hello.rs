//! The look at a ClientHello: every split of the bytes, every split into records, and what is wrong.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use crate::testing::{Codec, Rng, check};
use crate::{CLIENT_HELLO_MAX, ClientHello, ClientHelloError, Decode, Input};

type Looked = Result<Option<ClientHello>, ClientHelloError>;

fn peek(bytes: &[u8]) -> (Looked, Option<usize>) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let before = input.len();
    let looked = ClientHello::peek(&mut input, CLIENT_HELLO_MAX);
    assert_eq!(input.len(), before, "nothing is taken");
    (looked, input.needed())
}

fn with_len(width: usize, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    [&len[4 - width..], body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with_len(2, body)].concat()
}

fn name(name: &[u8]) -> Vec<u8> {
    extension(0, &with_len(2, &[&[0][..], &with_len(2, name)].concat()))
}

/// A handshake message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    let body = [
        &[3, 3][..],
        &[7; 32],
        &with_len(1, &[9; 32]),
        &with_len(2, &[0x13, 1, 0x13, 2]),
        &with_len(1, &[0]),
        &with_len(2, extensions),
    ]
    .concat();
    [&[1][..], &with_len(3, &body)].concat()
}

fn usual() -> Vec<u8> {
    let alpn = [with_len(1, b"h2"), with_len(1, b"http/1.1")].concat();
    [
        extension(51, &[5; 300]),
        name(b"WWW.Example.test"),
        extension(16, &with_len(2, &alpn)),
        extension(43, &with_len(1, &[3, 4, 3, 3])),
    ]
    .concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |piece: &[u8]| [&[22, 3, 1][..], &with_len(2, piece)].concat();
    message.chunks(size).flat_map(record).collect()
}

fn expected() -> ClientHello {
    ClientHello {
        server_name: Some("www.example.test".to_string()),
        alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        tls13: true,
        encrypted: false,
    }
}

#[test]
fn every_split_into_records_and_every_prefix() {
    let message = message(&usual());
    for size in [1, 2, 3, 4, 5, 7, 64, message.len() - 1, message.len(), 20_000] {
        let bytes = records(&message, size);
        assert_eq!(peek(&bytes).0, Ok(Some(expected())), "records of {size}");
        let behind = [&bytes[..], b"and what follows"].concat();
        assert_eq!(peek(&behind).0, Ok(Some(expected())));
        for end in 0..bytes.len() {
            let (looked, need) = peek(&bytes[..end]);
            assert_eq!(looked, Ok(None), "{end} bytes in records of {size}");
            let need = need.expect("a hint");
            assert!(need > end && need <= bytes.len(), "{need} after {end} of {}", bytes.len());
        }
        // Following the hints, and nothing else, leads to the end.
        let mut at = 0;
        while let (Ok(None), Some(need)) = peek(&bytes[..at]) {
            at = need;
        }
        assert_eq!(at, bytes.len());
    }
}

#[test]
fn what_is_not_there_is_not_told() {
    let bare = records(&message(&[]), 20_000);
    assert_eq!(peek(&bare).0, Ok(Some(ClientHello::default())));
    let mut old = message(&[]);
    old.truncate(old.len() - 2);
    let len = (old.len() - 4) as u8;
    old[3] = len;
    assert_eq!(peek(&records(&old, 20_000)).0, Ok(Some(ClientHello::default())), "no extensions at all");
    let hidden = records(&message(&extension(0xfe0d, &[0; 50])), 20_000);
    assert!(peek(&hidden).0.unwrap().unwrap().encrypted);
}

#[test]
fn what_is_wrong_is_said_as_soon_as_it_is_certain() {
    use ClientHelloError::*;
    let check = |bytes: &[u8], wanted| assert_eq!(peek(bytes).0, Err(wanted), "{bytes:?}");
    check(b"GET / HTTP/1.1\r\n", Http);
    check(b"PRI * HTTP/2.0\r\n", Http);
    check(b"DELET", Http);
    check(b"GE?", NotTls);
    assert_eq!(peek(b"GE"), (Ok(None), Some(3)), "either kind of plaintext");
    check(b"hello", NotTls);
    check(&[0x80, 0x2e, 1, 0, 2], NotTls);
    check(&[22, 2], NotTls);
    check(&[22, 3, 1, 0, 0], Malformed);
    check(&[22, 3, 1, 0x40, 1], Malformed);
    check(&[22, 3, 1, 0, 1, 2], Malformed);
    check(&[22, 3, 1, 0, 4, 1, 1, 0, 0], TooLong);
    check(&[22, 3, 1, 0, 1, 1, 21], Malformed);
    let twice = [name(b"a.test"), name(b"b.test")].concat();
    for bad in [&twice, &name(b""), &name(b"a\0b"), &name(&[b'a'; 256]), &extension(16, &[0, 1, 0]), &vec![0]]
    {
        check(&records(&message(bad), 20_000), Malformed);
    }
    // One-byte records take six bytes each.
    let long = records(&message(&extension(51, &[0; 4000])), 1);
    assert_eq!(peek(&long).0, Err(TooLong));
}

#[test]
fn mutations_never_panic() {
    let bytes = records(&message(&usual()), 100);
    let mut rng = Rng::new(1);
    for _ in 0..20_000 {
        let mut bytes = bytes.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        let _ = peek(&bytes);
    }
}

/// The look as a decoder: one hello, and whatever follows is nobody's.
#[derive(Default)]
struct Hello {
    seen: bool,
}

const MAX: usize = 700;

impl Decode for Hello {
    type Message<'b> = ClientHello;
    type Error = ClientHelloError;

    fn decode<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<ClientHello>, ClientHelloError> {
        let hello = if self.seen { None } else { ClientHello::peek(input, MAX)? };
        self.seen |= hello.is_some();
        if self.seen {
            input.take_all();
        }
        Ok(hello)
    }

    fn end<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<ClientHello>, ClientHelloError> {
        if input.is_empty() { Ok(None) } else { Err(ClientHelloError::Malformed) }
    }
}

struct Hellos;

impl Codec for Hellos {
    type Decoder = Hello;
    type Message = ClientHello;

    fn decoder(&self) -> Hello {
        Hello::default()
    }

    fn own(message: ClientHello) -> ClientHello {
        message
    }

    fn message(&self, rng: &mut Rng) -> ClientHello {
        let mut letters =
            |max: u64| -> Vec<u8> { (0..1 + rng.below(max)).map(|_| b'a' + rng.below(26) as u8).collect() };
        let name = letters(300);
        let alpn = (0..name[0] % 4).map(|_| letters(20)).collect();
        let server_name = (name[0] % 3 > 0).then(|| alloc::string::String::from_utf8(name).unwrap());
        ClientHello { server_name, alpn, tls13: rng.chance(1, 2), encrypted: rng.chance(1, 2) }
    }

    fn encode(&self, hello: &ClientHello, out: &mut Vec<u8>) -> bool {
        let mut extensions = Vec::new();
        if let Some(host) = &hello.server_name {
            extensions.extend(name(host.as_bytes()));
        }
        if !hello.alpn.is_empty() {
            let list: Vec<u8> = hello.alpn.iter().flat_map(|name| with_len(1, name)).collect();
            extensions.extend(extension(16, &with_len(2, &list)));
        }
        if hello.tls13 {
            extensions.extend(extension(43, &with_len(1, &[3, 3, 3, 4])));
        }
        if hello.encrypted {
            extensions.extend(extension(0xfe0d, &[1, 2, 3]));
        }
        let message = message(&extensions);
        // Records of every size, tiny ones too.
        let bytes = records(&message, 1 + extensions.len() % 97);
        let fits = bytes.len() <= MAX && hello.server_name.as_ref().is_none_or(|name| name.len() <= 255);
        if fits {
            out.extend(bytes);
        }
        fits
    }

    fn held_max(&self) -> usize {
        MAX - 1
    }

    fn refused(&self) -> Vec<Vec<u8>> {
        let requests = [&b"GET / HTTP/1.1\r\n"[..], b"OPTIONS * HTTP/1.1\r\n", b"GEnerally", b"hello"];
        requests.iter().map(|bytes| bytes.to_vec()).chain([vec![22, 3, 1, 0, 4, 1, 0, 3, 0]]).collect()
    }

    fn messages_max(&self) -> usize {
        1
    }
}

#[test]
fn passes_the_kit() {
    check(&Hellos);
}
