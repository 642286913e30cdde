//! Decoders of requests, whose encoders are other people's clients, through the test kit.

use crate::Lines;
use crate::http::{self, RequestHeads, ResponseHeads};
use crate::memcached::{self, Ascii, Binary};
use crate::testing::{Samples, check};

#[test]
fn heads_of_http_pass_the_kit() {
    let limits =
        http::Limits { start_line_max: 64, header_line_max: 64, head_max: 128, ..http::Limits::default() };
    check(
        &Samples::new(|| RequestHeads::new(limits), 128)
            .sample(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .sample(b"POST /x HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\n")
            .sample(b"OPTIONS * HTTP/1.1\r\nhost:c\r\nConnection: close\r\n\r\n")
            .refused(b"GET / HTTP/1.1\n\n")
            .refused(b"\x16\x03\x01")
            .refused(&[b'G'; 200]),
    );
    check(
        &Samples::new(|| ResponseHeads::new(limits), 128)
            .sample(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .sample(b"HTTP/1.1 304 Not Modified\r\n\r\n")
            .refused(b"ICY 200 OK\r\n\r\n")
            .refused(&[b'H'; 200]),
    );
}

#[test]
fn requests_of_memcached_pass_the_kit() {
    let limits = memcached::Limits { value_max: 20, line_max: 512 };
    check(
        &Samples::new(|| Ascii::new(limits), limits.input_max())
            .open_end()
            .sample(b"get a b c\r\n")
            .sample(b"set key 1 0 5\r\na\r\nb!\r\n")
            .sample(b"cas key 1 0 0 77 noreply\r\n\r\n")
            .sample(b"mg key v t\r\n")
            .sample(b"ms key 2\r\nhi\r\n")
            .sample(b"nonsense\r\n"),
    );
    let head = |opcode, key: u8, extras: u8, body: u8| {
        let mut head = [0; 24];
        [head[0], head[1], head[3], head[4], head[11]] = [0x80, opcode, key, extras, body];
        head
    };
    check(
        &Samples::new(|| Binary::new(limits), limits.input_max())
            .open_end()
            .sample(&[&head(0, 3, 0, 3)[..], b"key"].concat())
            .sample(&[&head(1, 1, 8, 14)[..], &[0; 8], b"kvalue"].concat())
            .sample(&head(10, 0, 0, 0))
            .refused(b"get a\r\n")
            .refused(&head(0, 9, 0, 3)),
    );
}

#[test]
#[should_panic(expected = "and not one message")]
fn a_sample_is_one_message() {
    check(&Samples::new(Lines::default, 9000).sample(b"a\nb\n"));
}
