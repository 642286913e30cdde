//! The memcached service, driven by hand in virtual time: what it answers, and what it does not do.

use std::time::Duration;

use windlass::testing::{Harness, TestPeer};
use windlass::{Limits, serve};
use windlass_kv::store::{Eviction, StoreConfig};
use windlass_kv::{Kv, KvConfig, Protocol};

/// 2026-11-22, in seconds since 1970.
const TODAY: u64 = 1_795_305_600;

fn config(store: StoreConfig) -> KvConfig {
    KvConfig { store, protocols: vec![Protocol::Memcached], unix_ms: TODAY * 1000, ..KvConfig::default() }
}

fn harness_with(store: StoreConfig, buffers: usize, limits: Limits) -> Harness {
    let config = config(store);
    let service = serve(move || Kv::new(config.clone())).limits(limits).tick(Kv::TICK);
    Harness::with_buffers(service, buffers)
}

fn harness() -> Harness {
    let store = StoreConfig { value_max: 1 << 20, ..StoreConfig::default() };
    let limits = Limits { input_max: 2 << 20, idle_timeout: Duration::ZERO, ..Limits::default() };
    harness_with(store, 1 << 20, limits)
}

#[track_caller]
fn ask(harness: &mut Harness, peer: TestPeer, request: impl AsRef<[u8]>, reply: &str) {
    harness.send(peer, request.as_ref());
    let received = harness.receive(peer);
    let asked = String::from_utf8_lossy(request.as_ref()).into_owned();
    assert_eq!(String::from_utf8_lossy(&received), reply, "to {asked:?}");
}

/// What each of these is answered, one after another, on one connection.
#[track_caller]
fn talk(talk: &[(&str, &str)]) {
    let mut harness = harness();
    let peer = harness.connect();
    for (request, reply) in talk {
        ask(&mut harness, peer, request, reply);
    }
    // The same in one piece: replies do not depend on who waits for them.
    let peer = harness.connect();
    ask(&mut harness, peer, "flush_all\r\n", "OK\r\n");
    let (mut requests, mut replies) = (String::new(), String::new());
    talk.iter().for_each(|(request, reply)| {
        requests += request;
        replies += reply;
    });
    ask(&mut harness, peer, &requests, &replies);
}

#[test]
fn values_are_stored_and_found() {
    talk(&[
        ("get a\r\n", "END\r\n"),
        ("set a 5 0 3\r\nabc\r\n", "STORED\r\n"),
        ("get a\r\n", "VALUE a 5 3\r\nabc\r\nEND\r\n"),
        ("set b 0 0 0\r\n\r\n", "STORED\r\n"),
        ("get b zz a\r\n", "VALUE b 0 0\r\n\r\nVALUE a 5 3\r\nabc\r\nEND\r\n"),
        ("add a 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        ("add c 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("replace a 6 0 1\r\ny\r\n", "STORED\r\n"),
        ("replace zz 6 0 1\r\ny\r\n", "NOT_STORED\r\n"),
        ("append a 9 100 2\r\nAA\r\n", "STORED\r\n"),
        ("prepend a 9 100 2\r\nPP\r\n", "STORED\r\n"),
        ("append zz 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        ("get a\r\n", "VALUE a 6 5\r\nPPyAA\r\nEND\r\n"),
        ("set a 0 0 1 noreply\r\nz\r\n", ""),
        ("delete b noreply\r\n", ""),
        ("get a b\r\n", "VALUE a 0 1\r\nz\r\nEND\r\n"),
        ("delete a\r\n", "DELETED\r\n"),
        ("delete a\r\n", "NOT_FOUND\r\n"),
        ("verbosity 1\r\n", "OK\r\n"),
        ("version\r\n", "VERSION 1.6.18\r\n"),
        ("set a 0 0 1\r\nxy\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\n"),
        ("nonsense\r\n", "ERROR\r\n"),
        ("mn\r\n", "MN\r\n"),
    ]);
}

#[test]
fn meta_commands_say_what_is_asked() {
    talk(&[
        ("mn\r\n", "MN\r\n"),
        ("mg a v\r\n", "EN\r\n"),
        ("mg a v q\r\nmn\r\n", "MN\r\n"),
        ("mg a k O7\r\n", "EN ka O7\r\n"),
        ("ms a 3 F5 T100 k\r\nabc\r\n", "HD ka\r\n"),
        ("mg a s v f t k O1\r\n", "VA 3 s3 f5 t100 ka O1\r\nabc\r\n"),
        ("mg a t T0\r\nmg a l\r\n", "HD t-1\r\nHD l0\r\n"),
        ("ms a 1 MA q\r\nx\r\nms a 1 MP\r\ny\r\nmg a v\r\n", "HD\r\nVA 5\r\nyabcx\r\n"),
        ("ms a 1 ME k\r\nx\r\nms zz 1 MR\r\nx\r\n", "NS ka\r\nNS\r\n"),
        ("ms a 1 C999 O2\r\nx\r\nmd a C999\r\nms zz 1 C1\r\nx\r\n", "EX O2\r\nEX\r\nNF\r\n"),
        (
            "ma n k\r\nma n N0 J13 v\r\nma n D5 v\r\nma n MD v t\r\n",
            "NF kn\r\nVA 2\r\n13\r\nVA 2\r\n18\r\nVA 2 t-1\r\n17\r\n",
        ),
        ("ma a\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
        ("mg a T-1 v\r\nmg a\r\n", "VA 5\r\nyabcx\r\nEN\r\n"),
        ("md n q\r\nmd n\r\n", "NF\r\n"),
        // The key of three bytes "foo", as base64.
        ("ms Zm9v 2 b k\r\nhi\r\nget foo\r\n", "HD kZm9v b\r\nVALUE foo 0 2\r\nhi\r\nEND\r\n"),
        ("mg Zm9v b k v\r\nmg $$ b\r\n", "VA 2 kZm9v b\r\nhi\r\nCLIENT_ERROR error decoding key\r\n"),
        ("mg foo v v\r\nmg foo z\r\n", "CLIENT_ERROR duplicate flag\r\nCLIENT_ERROR invalid flag\r\n"),
        (
            "ms foo 2 M\r\nhi\r\nmd foo z\r\n",
            "CLIENT_ERROR incorrect length for M token\r\nCLIENT_ERROR invalid or duplicate flag\r\n",
        ),
        ("me zz\r\n", "EN\r\n"),
    ]);
}

#[test]
fn numbers_count_in_place() {
    talk(&[
        ("incr n 1\r\n", "NOT_FOUND\r\n"),
        ("set n 7 0 2\r\n10\r\n", "STORED\r\n"),
        ("incr n 5\r\n", "15\r\n"),
        ("decr n 10\r\n", "5\r\n"),
        ("get n\r\n", "VALUE n 7 2\r\n5 \r\nEND\r\n"),
        ("decr n 100\r\n", "0\r\n"),
        ("incr n 1000\r\n", "1000\r\n"),
        ("get n\r\n", "VALUE n 7 4\r\n1000\r\nEND\r\n"),
        ("set n 0 0 20\r\n18446744073709551615\r\n", "STORED\r\n"),
        ("incr n 2\r\n", "1\r\n"),
        ("incr n 1 noreply\r\n", ""),
        ("get n\r\n", "VALUE n 0 20\r\n2                   \r\nEND\r\n"),
        ("set s 0 0 3\r\nabc\r\n", "STORED\r\n"),
        ("incr s 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"),
        ("incr n x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n"),
    ]);
}

#[test]
fn cas_stores_only_over_what_was_seen() {
    let mut harness = harness();
    let (one, two) = (harness.connect(), harness.connect());
    ask(&mut harness, one, "cas a 0 0 1 1\r\nx\r\n", "NOT_FOUND\r\n");
    ask(&mut harness, one, "set a 0 0 1\r\n0\r\n", "STORED\r\n");
    ask(&mut harness, one, "gets a\r\n", "VALUE a 0 1 1\r\n0\r\nEND\r\n");
    ask(&mut harness, two, "cas a 0 0 1 1\r\ny\r\n", "STORED\r\n");
    ask(&mut harness, one, "cas a 0 0 1 1\r\nx\r\n", "EXISTS\r\n");
    ask(&mut harness, one, "gets a\r\n", "VALUE a 0 1 2\r\ny\r\nEND\r\n");
    // What failed to count has changed nothing.
    ask(
        &mut harness,
        one,
        "incr a 1\r\n",
        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    );
    ask(&mut harness, one, "touch a 100\r\n", "TOUCHED\r\n");
    ask(&mut harness, one, "cas a 3 0 1 2\r\nz\r\n", "STORED\r\n");
    ask(&mut harness, one, "get a\r\n", "VALUE a 3 1\r\nz\r\nEND\r\n");
}

#[test]
fn values_expire_relative_and_by_the_calendar() {
    let mut harness = harness();
    let peer = harness.connect();
    let month = 60 * 60 * 24 * 30;
    ask(&mut harness, peer, "set never 0 0 1\r\nx\r\n", "STORED\r\n");
    ask(&mut harness, peer, "set soon 0 10 1\r\nx\r\n", "STORED\r\n");
    ask(&mut harness, peer, "set past 0 -1 1\r\nx\r\n", "STORED\r\n");
    ask(&mut harness, peer, format!("set month 0 {month} 1\r\nx\r\n"), "STORED\r\n");
    ask(&mut harness, peer, format!("set old 0 {} 1\r\nx\r\n", month + 1), "STORED\r\n");
    ask(&mut harness, peer, format!("set date 0 {} 1\r\nx\r\n", TODAY + 20), "STORED\r\n");
    let all = "get never soon past month old date\r\n";
    let value = |key: &str| format!("VALUE {key} 0 1\r\nx\r\n");
    let found = |keys: &[&str]| keys.iter().map(|key| value(key)).collect::<String>() + "END\r\n";
    ask(&mut harness, peer, all, &found(&["never", "soon", "month", "date"]));
    harness.advance(Duration::from_millis(9_990));
    ask(&mut harness, peer, all, &found(&["never", "soon", "month", "date"]));
    harness.advance(Duration::from_millis(20));
    ask(&mut harness, peer, all, &found(&["never", "month", "date"]));
    ask(&mut harness, peer, "touch date 100\r\n", "TOUCHED\r\n");
    ask(&mut harness, peer, "gat 5 never zz\r\n", &found(&["never"]));
    harness.advance(Duration::from_secs(11));
    ask(&mut harness, peer, all, &found(&["month", "date"]));
    ask(&mut harness, peer, "gat -1 month\r\n", &found(&["month"]));
    ask(&mut harness, peer, "touch date -1\r\n", "TOUCHED\r\n");
    ask(&mut harness, peer, all, &found(&[]));
    ask(&mut harness, peer, "touch date 1\r\n", "NOT_FOUND\r\n");
}

#[test]
fn everything_is_forgotten_now_or_later() {
    let mut harness = harness();
    let peer = harness.connect();
    ask(&mut harness, peer, "set a 0 0 1\r\nx\r\nflush_all 5\r\n", "STORED\r\nOK\r\n");
    ask(
        &mut harness,
        peer,
        "set b 0 0 1\r\nx\r\nget a b\r\n",
        "STORED\r\nVALUE a 0 1\r\nx\r\nVALUE b 0 1\r\nx\r\nEND\r\n",
    );
    harness.advance(Duration::from_millis(5_001));
    ask(&mut harness, peer, "get a b\r\n", "END\r\n");
    ask(&mut harness, peer, "set a 0 0 1\r\nx\r\nflush_all\r\nget a\r\n", "STORED\r\nOK\r\nEND\r\n");
    ask(&mut harness, peer, "set a 0 0 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_value_over_the_limit_is_dropped_as_it_comes() {
    let mut harness = harness();
    let peer = harness.connect();
    ask(&mut harness, peer, "set a 0 0 1\r\nx\r\n", "STORED\r\n");
    // 4 GiB are announced: answered at once.
    ask(&mut harness, peer, "set a 0 0 4294967296\r\n", "SERVER_ERROR object too large for cache\r\n");
    for _ in 0..64 {
        harness.send(peer, vec![b'x'; 1 << 16]);
        assert_eq!(harness.handle().stats().counters.buffered_bytes, 0);
    }
    assert_eq!((harness.receive(peer), harness.why(peer)), (Vec::new(), None));
    // What the writer thinks is gone is gone.
    let other = harness.connect();
    ask(&mut harness, other, "get a\r\n", "END\r\n");
    let mut request = b"append a 0 0 1048577\r\n".to_vec();
    request.extend(vec![b'x'; 1048577 + 2]);
    request.extend_from_slice(b"version\r\n");
    ask(&mut harness, other, &request, "SERVER_ERROR object too large for cache\r\nVERSION 1.6.18\r\n");
}

#[test]
fn a_value_grown_over_the_limit_is_refused() {
    let store = StoreConfig { value_max: 100, ..StoreConfig::default() };
    let mut harness = harness_with(store, 1 << 20, Limits::default());
    let peer = harness.connect();
    let (half, much) = ("x".repeat(60), "SERVER_ERROR object too large for cache\r\n");
    ask(&mut harness, peer, format!("set a 0 0 60\r\n{half}\r\n"), "STORED\r\n");
    ask(&mut harness, peer, format!("append a 0 0 60\r\n{half}\r\n"), much);
    ask(&mut harness, peer, "get a\r\n", &format!("VALUE a 0 60\r\n{half}\r\nEND\r\n"));
}

#[test]
fn output_is_bounded_by_its_reader() {
    let limits = Limits { output_high: 8_000, output_low: 2_000, output_max: 100_000, ..Limits::default() };
    let mut harness = harness_with(StoreConfig::default(), 4_000, limits);
    let (slow, other) = (harness.connect(), harness.connect());
    let value = "v".repeat(3_000);
    ask(&mut harness, other, format!("set a 0 0 3000\r\n{value}\r\n"), "STORED\r\n");
    let one = format!("VALUE a 0 3000\r\n{value}\r\n");
    // Many commands, and many keys of one command: 600 KB of answers, of which output_max allows no part.
    let mut request = "get a\r\n".repeat(100);
    request += &format!("get{}\r\nversion\r\n", " a".repeat(100));
    harness.send(slow, &request);
    assert_eq!(harness.why(slow), None);
    // What a worker gathers in one turn, and no more.
    assert!(harness.handle().stats().counters.buffered_bytes < 80_000);
    let expected = format!("{one}END\r\n").repeat(100) + &one.repeat(100) + "END\r\nVERSION 1.6.18\r\n";
    // Others go on meanwhile.
    ask(&mut harness, other, "get zz\r\n", "END\r\n");
    let received = harness.receive(slow);
    assert_eq!(received.len(), expected.len());
    assert!(received == expected.as_bytes());
}

#[test]
fn a_long_list_of_keys_is_answered_in_full() {
    let mut harness = harness();
    let peer = harness.connect();
    ask(&mut harness, peer, "set a 0 0 1\r\nx\r\n", "STORED\r\n");
    let request = format!("get{}\r\n", " a".repeat(20_000));
    let reply = "VALUE a 0 1\r\nx\r\n".repeat(20_000) + "END\r\n";
    ask(&mut harness, peer, request, &reply);
}

#[test]
fn what_is_no_command_ends_one_connection() {
    let mut harness = harness();
    let (long, magic, good) = (harness.connect(), harness.connect(), harness.connect());
    ask(&mut harness, long, vec![b'x'; 10_000], "CLIENT_ERROR line too long\r\n");
    assert_eq!(harness.why(long), Some("protocol"));
    harness.send(magic, [0x80; 1]);
    harness.send(magic, [0; 23]);
    // A Get without a key.
    assert_eq!(harness.receive(magic)[..8], [0x81, 0, 0, 0, 0, 0, 0, 4]);
    assert_eq!(harness.why(magic), Some("protocol"));
    ask(&mut harness, good, "version\r\n", "VERSION 1.6.18\r\n");
    harness.send(good, "quit\r\nversion\r\n");
    assert_eq!((harness.receive(good), harness.why(good)), (Vec::new(), Some("done")));
}

#[test]
fn memory_is_bounded_and_the_unused_goes_first() {
    let store = StoreConfig { memory_max: 200_000, eviction: Eviction::AllKeysLru, ..StoreConfig::default() };
    let mut harness = harness_with(store, 1 << 20, Limits::default());
    let peer = harness.connect();
    let value = "v".repeat(1_000);
    for n in 0..1_000 {
        ask(&mut harness, peer, format!("set k{n} 0 0 1000\r\n{value}\r\n"), "STORED\r\n");
        harness.advance(Duration::from_millis(100));
        ask(&mut harness, peer, "get k0\r\n", &format!("VALUE k0 0 1000\r\n{value}\r\nEND\r\n"));
    }
    ask(&mut harness, peer, "get k1\r\n", "END\r\n");
    let stats = stats(&mut harness, peer);
    let number = |name: &str| stats.iter().find(|(n, _)| n == name).unwrap().1.parse::<u64>().unwrap();
    assert!(number("bytes") <= 200_000 && number("evictions") > 700, "{stats:?}");
    assert_eq!(number("total_items"), 1_000);
}

#[test]
fn memory_that_may_not_be_taken_is_refused() {
    let store = StoreConfig { memory_max: 2_000, ..StoreConfig::default() };
    let mut harness = harness_with(store, 1 << 20, Limits::default());
    let peer = harness.connect();
    ask(&mut harness, peer, "set a 0 0 1\r\nx\r\n", "STORED\r\n");
    let value = "v".repeat(3_000);
    let refused = "SERVER_ERROR out of memory storing object\r\n";
    ask(&mut harness, peer, format!("set a 0 0 3000\r\n{value}\r\nget a\r\n"), &format!("{refused}END\r\n"));
}

fn stats(harness: &mut Harness, peer: TestPeer) -> Vec<(String, String)> {
    harness.send(peer, "stats\r\n");
    let text = String::from_utf8(harness.receive(peer)).unwrap();
    let lines = text.strip_suffix("END\r\n").unwrap().lines();
    let words = lines.map(|line| line.strip_prefix("STAT ").unwrap().split_once(' ').unwrap());
    words.map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn statistics_count() {
    let mut harness = harness();
    let peer = harness.connect();
    harness.send(
        peer,
        "set a 0 0 1\r\n5\r\nget a b\r\ngat 0 a b\r\ntouch a 0\r\ntouch b 0\r\nincr a 1\r\nincr b 1\r\ndecr b 1\r\n\
         cas a 0 0 1 999\r\nx\r\ncas b 0 0 1 1\r\nx\r\ndelete a\r\ndelete a\r\nflush_all\r\nset c 0 0 1\r\nx\r\n",
    );
    harness.receive(peer);
    harness.advance(Duration::from_secs(7));
    let before = stats(&mut harness, peer);
    let is = |name: &str, value: &str| {
        let found = before.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found.1, value, "{name}");
    };
    for (name, value) in [
        ("pid", &*std::process::id().to_string()),
        ("uptime", "7"),
        ("time", &(TODAY + 7).to_string()),
        ("version", "1.6.18"),
        ("curr_connections", "1"),
        ("curr_items", "1"),
        ("total_items", "2"),
        ("cmd_get", "3"),
        ("cmd_set", "4"),
        ("cmd_flush", "1"),
        ("cmd_touch", "4"),
        ("get_hits", "1"),
        ("get_misses", "2"),
        ("delete_hits", "1"),
        ("delete_misses", "1"),
        ("incr_hits", "1"),
        ("incr_misses", "1"),
        ("decr_hits", "0"),
        ("decr_misses", "1"),
        ("cas_badval", "1"),
        ("cas_misses", "1"),
        ("touch_hits", "2"),
        ("touch_misses", "2"),
        ("limit_maxbytes", "268435456"),
        ("threads", "1"),
    ] {
        is(name, value);
    }
    ask(&mut harness, peer, "stats reset\r\n", "RESET\r\n");
    assert!(stats(&mut harness, peer).contains(&("cmd_set".into(), "0".into())));
    ask(&mut harness, peer, "stats nonsense\r\n", "ERROR\r\n");
    harness.finish(peer);
    let other = harness.connect();
    assert!(stats(&mut harness, other).contains(&("curr_connections".into(), "1".into())));
}

/// A binary request, opaque 7.
fn request(opcode: u8, cas: u64, extras: &[u8], key: &str, value: &str) -> Vec<u8> {
    let body = (extras.len() + key.len() + value.len()) as u32;
    let mut bytes = vec![0x80, opcode, 0, key.len() as u8, extras.len() as u8, 0, 0, 0];
    bytes.extend_from_slice(&body.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 7]);
    bytes.extend_from_slice(&cas.to_be_bytes());
    [&bytes, extras, key.as_bytes(), value.as_bytes()].concat()
}

/// Status, CAS, and everything behind the head, of each response.
fn responses(mut bytes: &[u8]) -> Vec<(u8, u16, u64, String)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let body = u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
        assert_eq!((bytes[0], &bytes[12..16]), (0x81, &[0, 0, 0, 7][..]));
        let status = u16::from_be_bytes([bytes[6], bytes[7]]);
        let cas = u64::from_be_bytes(bytes[16..24].try_into().unwrap());
        let text = bytes[24..24 + body].escape_ascii().to_string();
        all.push((bytes[1], status, cas, text));
        bytes = &bytes[24 + body..];
    }
    all
}

#[test]
fn binary_requests_on_the_same_port() {
    let mut harness = harness();
    let (text, peer) = (harness.connect(), harness.connect());
    let mut ask_binary = |requests: &[Vec<u8>], expected: &[(u8, u16, u64, &str)]| {
        harness.send(peer, requests.concat());
        let received = responses(&harness.receive(peer));
        let expected: Vec<_> =
            expected.iter().map(|(op, s, cas, text)| (*op, *s, *cas, text.to_string())).collect();
        assert_eq!(received, expected);
    };
    let (set, noop) =
        (|key, value| request(1, 0, &[0, 0, 0, 5, 0, 0, 0, 0], key, value), || request(0x0a, 0, b"", "", ""));
    ask_binary(
        &[request(0, 0, b"", "a", ""), request(9, 0, b"", "a", ""), request(0x0c, 0, b"", "a", "")],
        &[(0, 1, 0, "Not found"), (0x0c, 1, 0, "a")],
    );
    ask_binary(
        &[set("a", "val"), request(0, 0, b"", "a", ""), request(0x0d, 0, b"", "a", "")],
        &[(1, 0, 1, ""), (0, 0, 1, "\\x00\\x00\\x00\\x05val"), (0x0d, 0, 1, "\\x00\\x00\\x00\\x05aval")],
    );
    // Quiet ones answer only what is not expected.
    ask_binary(
        &[
            request(0x11, 0, &[0; 8], "a", "w"),
            request(0x12, 0, &[0; 8], "a", "w"),
            request(0x13, 0, &[0; 8], "zz", "w"),
            request(0x19, 0, b"", "zz", "w"),
            request(0x1a, 0, b"", "a", "pre"),
            request(0x11, 77, &[0; 8], "a", "w"),
            noop(),
        ],
        &[
            (0x12, 2, 0, "Data exists for key."),
            (0x13, 1, 0, "Not found"),
            (0x19, 5, 0, "Not stored."),
            (0x11, 2, 0, "Data exists for key."),
            (0x0a, 0, 0, ""),
        ],
    );
    let count = |opcode, delta: u64, initial: u64, exptime: u32| {
        let extras = [&delta.to_be_bytes()[..], &initial.to_be_bytes(), &exptime.to_be_bytes()].concat();
        request(opcode, 0, &extras, "n", "")
    };
    ask_binary(
        &[
            count(5, 1, 10, u32::MAX),
            count(5, 1, 10, 0),
            count(5, 2, 10, 0),
            count(0x16, 1, 0, 0),
            count(6, 99, 0, 0),
        ],
        &[
            (5, 1, 0, "Not found"),
            (5, 0, 4, "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\n"),
            (5, 0, 5, "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x0c"),
            (6, 0, 7, "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"),
        ],
    );
    ask_binary(
        &[
            count(5, 1, 10, 0).iter().map(|byte| if *byte == b'n' { b'a' } else { *byte }).collect(),
            request(0x1c, 0, &[0, 0, 0, 9], "a", ""),
            request(0x1d, 0, &[0, 0, 0, 9], "a", ""),
            request(4, 77, b"", "a", ""),
            request(4, 3, b"", "a", ""),
            request(4, 0, b"", "a", ""),
            request(0x20, 0, b"", "", ""),
            request(0x1b, 0, &[0; 4], "", ""),
            request(0x0b, 0, b"", "", ""),
            request(8, 0, &[0; 4], "", ""),
            request(0x18, 0, b"", "", ""),
        ],
        &[
            (5, 6, 0, "Non-numeric server-side value for incr or decr"),
            (0x1c, 0, 3, "\\x00\\x00\\x00\\x00"),
            (0x1d, 0, 3, "\\x00\\x00\\x00\\x00prew"),
            (4, 2, 0, "Data exists for key."),
            (4, 0, 0, ""),
            (4, 1, 0, "Not found"),
            (0x20, 0x81, 0, "Unknown command"),
            (0x1b, 0, 0, ""),
            (0x0b, 0, 0, "1.6.18"),
            (8, 0, 0, ""),
        ],
    );
    ask_binary(&[set("t", "text")], &[(1, 0, 10, "")]);
    harness.send(peer, request(7, 0, b"", "", ""));
    assert_eq!(responses(&harness.receive(peer)), [(7, 0, 0, String::new())]);
    assert_eq!(harness.why(peer), Some("done"));
    ask(&mut harness, text, "gets t\r\n", "VALUE t 5 4 10\r\ntext\r\nEND\r\n");
}

#[test]
fn a_binary_value_over_the_limit_is_dropped_as_it_comes() {
    let mut harness = harness();
    let peer = harness.connect();
    harness.send(peer, request(1, 0, &[0; 8], "a", "x"));
    let mut announced = request(1, 0, &[0; 8], "a", "");
    announced[8..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    harness.send(peer, &announced);
    harness.send(peer, vec![0x80; 1 << 18]);
    assert_eq!(harness.handle().stats().counters.buffered_bytes, 0);
    let received = responses(&harness.receive(peer));
    assert_eq!(received, [(1, 0, 1, String::new()), (1, 3, 0, "Too large.".into())]);
    let other = harness.connect();
    ask(&mut harness, other, "get a\r\n", "END\r\n");
}
