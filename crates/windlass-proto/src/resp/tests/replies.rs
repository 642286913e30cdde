//! Replies at every split, and that what is encoded is decoded.

use alloc::format;
use alloc::string::String;

use super::*;
use crate::testing::Rng;

/// A reply as text.
fn shown(reply: Reply<'_>) -> String {
    let all = |inner: Elements<'_>| inner.map(shown).collect::<Vec<_>>().join(" ");
    match reply.value() {
        Value::Simple(text) => format!("+{}", text.escape_ascii()),
        Value::Error(text) => format!("-{}", text.escape_ascii()),
        Value::Integer(number) => format!("{number}"),
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Null => "null".into(),
        Value::Array(inner) => format!("[{}]", all(inner)),
        Value::Map(inner) => format!("{{{}}}", all(inner)),
        Value::Set(inner) => format!("set({})", all(inner)),
        Value::Push(inner) => format!("push({})", all(inner)),
        Value::Double(number) => format!("{number:?}"),
        Value::Boolean(yes) => format!("{yes}"),
        Value::BigNumber(digits) => format!("big {}", digits.escape_ascii()),
        Value::Verbatim(format, text) => {
            format!("{}:{}", format.escape_ascii(), text.escape_ascii())
        }
    }
}

fn replies(bytes: &[u8]) -> (String, Option<RespError>) {
    let run = testing::any_split(Replies::default, bytes, shown);
    (run.messages.join(" | "), run.error)
}

#[track_caller]
fn are(bytes: &[u8], wanted: &str) {
    assert_eq!(replies(bytes), (wanted.into(), None));
}

#[test]
fn every_type() {
    are(
        b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n_\r\n",
        "+OK | -ERR no | -7 | \"a\\r\\n\" | null | null | null",
    );
    are(b"*3\r\n:1\r\n*0\r\n*1\r\n$0\r\n\r\n+end\r\n", "[1 [] [\"\"]] | +end");
    are(b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", "{+a 1 +b [2]}");
    are(b"~1\r\n#t\r\n>2\r\n$1\r\nm\r\n#f\r\n", "set(true) | push(\"m\" false)");
    are(b",1.5\r\n,inf\r\n,-inf\r\n(12345678901234567890\r\n", "1.5 | inf | -inf | big 12345678901234567890");
    are(b"=7\r\ntxt:abc\r\n!5\r\nERR x\r\n", "txt:abc | -ERR x");
}

#[test]
fn attributes_are_passed_over() {
    are(b"|1\r\n+ttl\r\n*1\r\n:3\r\n:7\r\n:8\r\n", "7 | 8");
    are(b"*2\r\n|1\r\n+a\r\n+b\r\n:7\r\n:8\r\n|0\r\n:9\r\n", "[7 8] | 9");
    are(b"|1\r\n+a\r\n+b\r\n|1\r\n+c\r\n+d\r\n*1\r\n:1\r\n", "[1]");
}

#[test]
fn what_is_refused() {
    let deep = |levels: usize| [&b"*1\r\n".repeat(levels)[..], b":1\r\n"].concat();
    assert_eq!(replies(&deep(32)).1, None);
    assert_eq!(replies(&deep(33)).1, Some(RespError::TooDeep));
    for (bytes, error) in [
        (&b"?\r\n"[..], RespError::UnknownType(b'?')),
        (b":x\r\n", RespError::InvalidSimple),
        (b"#x\r\n", RespError::InvalidSimple),
        (b"$-2\r\n", RespError::InvalidBulkLength),
        (b"$4294967296\r\n", RespError::InvalidBulkLength),
        (b"*1048577\r\n", RespError::InvalidBulkLength),
        (b"$1\r\nab\r\n", RespError::ExpectedEnd),
        (b"+a\rb", RespError::ExpectedEnd),
    ] {
        assert_eq!(replies(bytes).1, Some(error), "{}", bytes.escape_ascii());
    }
    let line = [&b"+"[..], &[b'x'; 70_000]].concat();
    let run = testing::feed(Replies::default(), [&line[..]], |all, reply| all.push(shown(reply)));
    assert_eq!(run.error, Some(RespError::InvalidSimple));
}

/// Nested replies at random, in both versions.
#[test]
fn what_is_encoded_is_decoded() {
    fn write(rng: &mut Rng, out: &mut Encoder<'_>, depth: u32) -> String {
        let inner = |rng: &mut Rng, out: &mut Encoder<'_>, n: usize| {
            (0..n).map(|_| write(rng, out, depth + 1)).collect::<Vec<_>>().join(" ")
        };
        let resp3 = out.version() == Version::Resp3;
        match rng.below(if depth < 4 { 10 } else { 6 }) {
            0 => (out.simple("OK"), "+OK".into()).1,
            1 => (out.error("ERR no"), "-ERR no".into()).1,
            2 => {
                let number = rng.next_u64() as i64 >> rng.below(64);
                (out.integer(number), format!("{number}")).1
            }
            3 => (out.bulk(b"some bytes"), "\"some bytes\"".into()).1,
            4 => (out.null(), "null".into()).1,
            5 => {
                let number = rng.below(1000) as f64 / 8.0;
                out.double(number);
                if resp3 { format!("{number:?}") } else { format!("\"{number}\"") }
            }
            6 | 7 => {
                let n = rng.below(12) as usize;
                out.array(n);
                format!("[{}]", inner(rng, out, n))
            }
            8 => {
                let n = rng.below(3) as usize;
                out.map(n);
                let inner = inner(rng, out, 2 * n);
                if resp3 { format!("{{{inner}}}") } else { format!("[{inner}]") }
            }
            _ => {
                let n = rng.below(3) as usize;
                out.set(n);
                let inner = inner(rng, out, n);
                if resp3 { format!("set({inner})") } else { format!("[{inner}]") }
            }
        }
    }
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let version = if seed % 2 == 0 { Version::Resp2 } else { Version::Resp3 };
        let mut bytes = Vec::new();
        let wanted = write(&mut rng, &mut Encoder::new(&mut bytes, version), 0);
        if bytes.len() < 4096 {
            assert_eq!(replies(&bytes), (wanted, None), "seed {seed}");
        }
    }
}

#[test]
fn doubles_are_short_and_exact() {
    for (number, text) in [
        (0.0, "0"),
        (3.3, "3.3"),
        (1e20, "100000000000000000000"),
        (1e22, "1e22"),
        (-1.5e-9, "-1.5e-9"),
        (f64::INFINITY, "inf"),
        (f64::MIN, "-1.7976931348623157e308"),
        (123_456_789_012_345_680_000.0, "123456789012345680000"),
        (0.000_001_25, "0.00000125"),
    ] {
        let mut out = Vec::new();
        Encoder::new(&mut out, Version::Resp3).double(number);
        assert_eq!(out, format!(",{text}\r\n").as_bytes());
    }
}
