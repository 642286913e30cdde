//! Commands at every split: what they mean, and what is refused.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use super::*;
use crate::Decode;
use crate::Input;
use crate::testing::Rng;

/// The words, each in brackets; an error behind them as its text.
fn shown(bytes: &[u8]) -> String {
    shown_within(RespLimits::default(), bytes)
}

fn shown_within(limits: RespLimits, bytes: &[u8]) -> String {
    let run = commands(limits, bytes);
    let mut text = String::new();
    for command in run.messages {
        for word in command {
            text += &format!("[{}]", word.escape_ascii());
        }
        text += " ";
    }
    text + &run.error.map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn arrays_of_bulk_strings() {
    assert_eq!(shown(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n"), "[GET][a] [PING] ");
    assert_eq!(shown(b"*2\r\n$4\r\nECHO\r\n$4\r\n\r\n*1\r\n"), "[ECHO][\\r\\n*1] ");
    assert_eq!(shown(b"*2\r\n$0\r\n\r\n$0\r\n\r\n"), "[][] ");
    assert_eq!(shown(b"*0\r\n*-1\r\n\r\n*1\r\n$1\r\na\r\n"), "[a] ", "empty ones are passed over");
    assert_eq!(shown(b"*2\r\n$3\r\nGET\r\n$1\r\na"), "");
    let long = [&b"*1\r\n$1000\r\n"[..], &[b'x'; 1000], b"\r\n"].concat();
    assert_eq!(commands(RespLimits::default(), &long).messages, [vec![vec![b'x'; 1000]]]);
}

#[test]
fn lines_of_words() {
    assert_eq!(shown(b"PING\r\nset  a\t1 \n\r\n\n get a\n"), "[PING] [set][a][1] [get][a] ");
    assert_eq!(shown(b"PING\n*1\r\n$4\r\nPING\r\nPING\n"), "[PING] [PING] [PING] ");
    assert_eq!(shown(b"\n\n*1\r\n$4\r\nPING\r\n"), "[PING] ");
    assert_eq!(shown(br#"set "a b" "c\"d" 'e f' 'it\'s'"#), "", "no end of line");
    assert_eq!(
        shown(b"set \"a b\" \"c\\\"d\" 'e \\n f' 'it\\'s'\r\n"),
        "[set][a b][c\\\"d][e \\\\n f][it\\'s] "
    );
    assert_eq!(
        shown(b"a \"\\x00\\xfF\\n\\r\\t\\a\\b\\q\\xg\" b\n"),
        "[a][\\x00\\xff\\n\\r\\t\\x07\\x08qxg][b] "
    );
    assert_eq!(shown(b"x foo\"bar\" y\n"), "[x][foobar][y] ");
    assert_eq!(shown(b"\"\" \"a\" \"\"\n"), "[][a][] ");
    assert_eq!(shown(b"\"\\x0a\\x0d\\x20\" z\n"), "[\\n\\r ][z] ");
    for bad in ["\"a\n", "'a\n", "\"a\"b\n", "'a'b\n", "a \"\\\"\n", "\"\\x4\n"] {
        assert_eq!(shown(bad.as_bytes()), "Protocol error: unbalanced quotes in request", "{bad:?}");
    }
}

#[test]
fn what_is_refused_and_how() {
    let cases: [(&[u8], &str); 14] = [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*9223372036854775808\r\n", "invalid multibulk length"),
        (b"*1\rx", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n\x01", "expected '$', got ' '"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$4294967296\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$1\r\nab\r\n", "expected CRLF"),
        (b"*1\r\n$1\r\na\rx", "expected CRLF"),
    ];
    for (bytes, error) in cases {
        assert_eq!(shown(bytes), format!("Protocol error: {error}"), "{}", bytes.escape_ascii());
    }
}

#[test]
fn limits_are_kept_to_the_byte() {
    let limits = RespLimits { args_max: 2, bulk_max: 3, inline_max: 8, ..RespLimits::default() };
    assert_eq!(shown_within(limits, b"*2\r\n$3\r\nabc\r\n$0\r\n\r\n"), "[abc][] ");
    assert_eq!(shown_within(limits, b"*3\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(shown_within(limits, b"*1\r\n$4\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(shown_within(limits, b"12345678\n"), "[12345678] ");
    assert_eq!(shown_within(limits, b"123456789\n"), "Protocol error: too big inline request");
    assert_eq!(shown_within(limits, b"123456789"), "Protocol error: too big inline request");
    assert_eq!(shown_within(limits, b"*11111111111"), "Protocol error: too big mbulk count string");
    assert_eq!(shown_within(limits, b"*1\r\n$11111111111"), "Protocol error: too big bulk count string");
    assert_eq!(shown_within(limits, b"a b c\n"), "Protocol error: invalid multibulk length");
}

#[test]
fn a_stranger_may_send_little() {
    let decoder = || {
        let mut commands = Commands::default();
        commands.set_unauthenticated(true);
        commands
    };
    let run = testing::any_split(decoder, b"*11\r\n", words);
    assert_eq!(run.error, Some(RespError::UnauthenticatedCount));
    let run = testing::any_split(decoder, b"*1\r\n$16385\r\n", words);
    assert_eq!(run.error, Some(RespError::UnauthenticatedBulkLength));
    let run = testing::any_split(decoder, b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", words);
    assert_eq!((run.messages.len(), run.error), (1, None));
}

#[test]
fn a_length_is_hinted_and_never_more() {
    let mut bytes = *b"*2\r\n$3\r\nGET\r\n$100\r\nab";
    let mut input = Input::new(&mut bytes);
    assert!(Commands::default().decode(&mut input).unwrap().is_none());
    assert_eq!(input.needed(), Some(13 + 6 + 100 + 2));
}

/// Anything at all: no panic, the same at every split, and every word as long as it should be.
#[test]
fn noise() {
    let alphabet = b"*$\r\n\"'\\x0123 ab";
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let len = rng.below(40);
        let bytes: Vec<u8> = (0..len).map(|_| alphabet[rng.below(alphabet.len() as u64) as usize]).collect();
        commands(RespLimits::default(), &bytes);
        let _ = testing::any_split(Replies::default, &bytes, |reply| format!("{:?}", reply.value()));
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let wanted: Vec<Vec<Vec<u8>>> = (0..rng.below(4))
            .map(|_| {
                (0..=rng.below(4))
                    .map(|_| {
                        let mut word = vec![0; rng.below(30) as usize];
                        rng.fill(&mut word);
                        word
                    })
                    .collect()
            })
            .collect();
        let mut bytes = Vec::new();
        for command in &wanted {
            let args: Vec<&[u8]> = command.iter().map(|word| &word[..]).collect();
            Encoder::new(&mut bytes, Version::Resp2).command(&args);
        }
        let run = commands(RespLimits::default(), &bytes);
        assert_eq!((run.messages, run.error, run.left), (wanted, None, 0), "seed {seed}");
    }
}

#[test]
fn decimals() {
    for number in [0, 7, 10, 99, 100, 12_345, -1, -10, i64::MAX, i64::MIN] {
        let text = decimal(number, <[u8]>::to_vec);
        assert_eq!(text, number.to_string().as_bytes());
        assert_eq!(parse_decimal(&text), Some(number));
    }
    for bad in ["", "-", "-0", "00", "+1", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809"] {
        assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad:?}");
    }
}
