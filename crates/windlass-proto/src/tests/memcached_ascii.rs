//! Text commands of memcached: every split, the limits, what memcached 1.6.18 refuses and how.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::memcached::reply::Line;
use crate::memcached::{Ascii, AsciiError, Command, KEY_MAX, Limits, Mode, Refusal, stored_number};
use crate::testing::{Rng, any_split};
use crate::{Decode, Input};

const SMALL: Limits = Limits { value_max: 100, line_max: 512 };

fn run(bytes: &[u8]) -> (Vec<String>, Option<AsciiError>) {
    let run = any_split(|| Ascii::new(SMALL), bytes, |command| format!("{command:?}"));
    (run.messages, run.error)
}

fn below(rng: &mut Rng, end: usize) -> usize {
    rng.below(end as u64) as usize
}

/// The only command in `line`.
fn one(line: &[u8], check: impl FnOnce(Command<'_>)) {
    let mut bytes = line.to_vec();
    let mut input = Input::new(&mut bytes);
    check(Ascii::new(Limits::default()).decode(&mut input).unwrap().unwrap());
    assert!(input.is_empty(), "{:?} left of {:?}", input.peek(), String::from_utf8_lossy(line));
}

fn refusal(line: &[u8]) -> (Refusal, bool) {
    let mut seen = None;
    one(line, |command| match command {
        Command::Refused { refusal, noreply } => seen = Some((refusal, noreply)),
        other => panic!("{other:?}"),
    });
    seen.unwrap()
}

#[test]
fn a_session_of_every_command_at_every_split() {
    let session = b"version\r\nset a 5 0 3\r\nabc\r\nadd b 0 100 0 noreply\r\n\r\nreplace c 1 -1 2\n\r\n\r\n\
        append d 0 0 1\r\nx\r\nprepend e 0 0 1\r\ny\r\ncas f 4294967295 0 1 18446744073709551615\r\nz\r\n\
        get a  bb ccc \r\ngets a\r\ngat 10 a b\r\ngats 0 a\r\ndelete a\r\ndelete a 0 noreply\r\n\
        incr n 18446744073709551615\r\ndecr n 1 noreply\r\ntouch a 10\r\nflush_all\r\nflush_all 10 noreply\r\n\
        verbosity 1\r\nstats\r\nstats items\r\nmn\r\nmg a v k\r\nms a 2 T0\r\nhi\r\nmd a q\r\nma n D2\r\nme a\r\n\
        \r\nnonsense\r\nset x\r\nquit\r\n";
    let (messages, error) = run(session);
    assert_eq!((messages.len(), error), (31, None), "{messages:#?}");
    assert_eq!(messages[0], "Version");
    assert!(
        messages[1]
            .starts_with("Store(Store { mode: Set, key: [97], flags: 5, exptime: 0, value: [97, 98, 99]")
    );
    assert!(messages[30].starts_with("Quit"));
}

#[test]
fn any_bytes_give_the_same_at_every_split() {
    let words: &[&[u8]] = &[
        b"get ",
        b"gets ",
        b"gat ",
        b"set ",
        b"cas ",
        b"ms ",
        b"delete ",
        b"incr ",
        b"noreply",
        b"a ",
        b"b ",
        b"0 ",
        b"3 ",
        b"99 ",
        b"101 ",
        b"-1 ",
        b"4294967296 ",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"xyz\r\n",
        b"\x80",
        b"\0",
    ];
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut bytes = Vec::new();
        for _ in 0..rng.below(40) {
            bytes.extend_from_slice(words[below(&mut rng, words.len())]);
        }
        run(&bytes);
    }
}

#[test]
fn an_announced_value_is_not_believed() {
    for announced in ["101", "4294967295", "4294967296", "18446744073709551614"] {
        let line = format!("set big 0 0 {announced} noreply\r\n");
        let mut ascii = Ascii::new(SMALL);
        let mut bytes = line.into_bytes();
        let mut input = Input::new(&mut bytes);
        let command = ascii.decode(&mut input).unwrap();
        assert_eq!(command, Some(Command::TooLarge { key: b"big", mode: Mode::Set, noreply: true }));
        assert_eq!(input.needed(), None);
        // Whatever comes is dropped, and nothing waits.
        let mut bytes = [b'x'; 90];
        let mut input = Input::new(&mut bytes);
        assert_eq!((ascii.decode(&mut input), input.len()), (Ok(None), 0));
    }
    let mut session = b"set big 0 0 101\r\n".to_vec();
    session.extend_from_slice(&[b'x'; 101]);
    session.extend_from_slice(b"\r\nversion\r\n");
    let (messages, error) = run(&session);
    assert_eq!((messages.len(), &*messages[1], error), (2, "Version", None));
}

#[test]
fn a_value_is_waited_for_with_its_true_length() {
    let mut ascii = Ascii::new(SMALL);
    let mut bytes = *b"set a 0 0 10\r\n0123";
    let mut input = Input::new(&mut bytes);
    assert_eq!(ascii.decode(&mut input), Ok(None));
    assert_eq!((input.needed(), input.len()), (Some(14 + 10 + 2), 18));
}

#[test]
fn a_line_without_end_is_refused_at_its_limit() {
    let (messages, error) = run(&[b'x'; 600]);
    assert_eq!((messages.len(), error), (0, Some(AsciiError::LineTooLong { max: 512 })));
    let (messages, error) = run(&[b' '; 600]);
    assert_eq!((messages.len(), error), (0, Some(AsciiError::LineTooLong { max: 512 })));
}

#[test]
fn a_long_list_of_keys_comes_in_pieces() {
    for (verb, exptime) in [("get", None), ("gats 60", Some(60))] {
        let mut line = String::from(verb);
        let expected: Vec<String> = (0..250).map(|n| format!("key{n}")).collect();
        for key in &expected {
            line += " ";
            line += key;
        }
        line += "\r\nversion\r\n";
        let mut keys = Vec::new();
        let mut lasts = Vec::new();
        let run = any_split(
            || Ascii::new(SMALL),
            line.as_bytes(),
            |command| match command {
                Command::Get(get) => {
                    assert_eq!((get.exptime, get.cas), (exptime, exptime.is_some()));
                    let keys = get.keys.map(|key| String::from_utf8_lossy(key).into_owned()).collect();
                    (get.last, keys)
                }
                Command::Version => (false, Vec::new()),
                other => panic!("{other:?}"),
            },
        );
        for (last, some) in run.messages {
            lasts.push(last);
            keys.extend(some);
        }
        assert_eq!(keys, expected);
        assert_eq!(lasts.iter().filter(|last| **last).count(), 1);
        assert!(lasts.len() > 3 && lasts[lasts.len() - 2]);
    }
}

#[test]
fn a_long_key_in_a_long_list_ends_it() {
    let mut line = b"get ".to_vec();
    line.extend_from_slice(&[b'k'; KEY_MAX + 1]);
    line.extend_from_slice(&[b' '; 300]);
    let (messages, error) = run(&line);
    assert_eq!((messages.len(), error), (0, Some(AsciiError::Key)));
}

#[test]
fn refusals_are_those_of_memcached() {
    use Refusal::*;
    let long = |before: &str, after: &str| format!("{before}{}{after}", "k".repeat(KEY_MAX + 1));
    let table: &[(&str, Refusal, bool)] = &[
        ("\r\n", Unknown, false),
        (" \n", Unknown, false),
        ("GET a\r\n", Unknown, false),
        ("get \r\n", Unknown, false),
        ("gat\r\n", Unknown, false),
        ("gat x a\r\n", Exptime, false),
        ("set a 0 0\r\n", Unknown, false),
        ("set a 0 0 1 noreply x\r\n", Unknown, false),
        ("set a 0 0 -1\r\n", Format, false),
        ("set a x 0 1 noreply\r\n", Format, true),
        ("set a 4294967296 0 1\r\n", Format, false),
        ("cas a 0 0 1\r\n", Unknown, false),
        ("cas a 0 0 1 x noreply\r\n", Format, true),
        ("set a 0 0 1\r\nxyz", Chunk, false),
        ("ms a\r\n", Format, false),
        ("ms\r\n", Unknown, false),
        ("delete\r\n", Unknown, false),
        ("delete d 1\r\n", DeleteUsage, false),
        ("delete d x noreply\r\n", DeleteUsage, true),
        ("delete d noreply x\r\n", DeleteUsage, false),
        ("delete d x y z\r\n", Unknown, false),
        ("incr n\r\n", Unknown, false),
        ("incr n x noreply\r\n", Delta, true),
        ("incr n -1\r\n", Delta, false),
        ("incr n 18446744073709551616\r\n", Delta, false),
        ("touch a\r\n", Unknown, false),
        ("touch a x\r\n", Exptime, false),
        ("flush_all x\r\n", Exptime, false),
        ("flush_all noreply 1\r\n", Exptime, false),
        ("flush_all 1 2 3\r\n", Unknown, false),
        ("verbosity\r\n", Unknown, false),
        ("verbosity x\r\n", Format, false),
        ("verbosity 1 2 3\r\n", Unknown, false),
        ("quitx\r\n", Unknown, false),
    ];
    for (line, why, noreply) in table {
        assert_eq!(refusal(line.as_bytes()), (*why, *noreply), "{line:?}");
    }
    for line in
        [long("get ", "\r\n"), long("set ", " 0 0 1\r\n"), long("incr ", " 1\r\n"), long("delete ", "\r\n")]
    {
        assert_eq!(refusal(line.as_bytes()).0, Format, "{line:?}");
    }
    one(format!("get {}\r\n", "k".repeat(KEY_MAX)).as_bytes(), |command| {
        assert!(matches!(command, Command::Get(_)));
    });
}

#[test]
fn stores_come_back_as_they_were_written() {
    for seed in 0..500 {
        let mut rng = Rng::new(seed);
        let key: Vec<u8> = (0..1 + below(&mut rng, KEY_MAX)).map(|_| b'!' + rng.below(90) as u8).collect();
        let value: Vec<u8> = (0..below(&mut rng, 300)).map(|_| rng.below(256) as u8).collect();
        let (flags, exptime) = (rng.next_u64() as u32, (rng.next_u64() >> 1) as i64);
        let noreply = rng.below(2) == 1;
        let mut bytes = b"set ".to_vec();
        bytes.extend_from_slice(&key);
        let tail = if noreply { " noreply" } else { "" };
        bytes.extend_from_slice(format!(" {flags} {exptime} {}{tail}\r\n", value.len()).as_bytes());
        bytes.extend_from_slice(&value);
        bytes.extend_from_slice(b"\r\n");
        one(&bytes, |command| match command {
            Command::Store(store) => {
                assert_eq!((store.key, store.value, store.flags), (&*key, &*value, flags));
                assert_eq!((store.exptime, store.noreply, store.mode), (exptime, noreply, Mode::Set));
            }
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn the_longest_line_of_an_answer_fits() {
    let key = [b'k'; KEY_MAX];
    let mut line = Line::default();
    line.value(&key, u32::MAX, usize::MAX, Some(u64::MAX));
    assert!(line.bytes().ends_with(b" 4294967295 18446744073709551615 18446744073709551615\r\n"));
    line.counted(1_234_567_890);
    assert_eq!(line.bytes(), b"1234567890\r\n");
    line.counted(0);
    assert_eq!(line.bytes(), b"0\r\n");
}

#[test]
fn numbers_in_values() {
    for (value, number) in [
        (&b"0"[..], Some(0)),
        (b" 12", Some(12)),
        (b"13 ", Some(13)),
        (b"1 2", Some(1)),
        (b"+1", Some(1)),
        (b"0000000000000000000000001", Some(1)),
        (b"18446744073709551615", Some(u64::MAX)),
        (b"18446744073709551616", None),
        (b"-1", None),
        (b"", None),
        (b"  ", None),
        (b"abc", None),
        (b"1x", None),
    ] {
        assert_eq!(stored_number(value), number, "{value:?}");
    }
}
