//! Bad input, strangers, and full memory: one connection ends, or one command fails.

use std::time::Duration;

use windlass::testing::Harness;
use windlass::{Limits, serve};
use windlass_kv::store::{Eviction, StoreConfig};
use windlass_kv::{Kv, KvConfig, Secret};

use crate::talk::*;

#[test]
fn a_broken_protocol_ends_one_connection_with_its_error() {
    let mut harness = harness(KvConfig::default());
    let good = harness.connect();
    for (sent, error) in [
        ("*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'"),
        ("*99999999\r\n", "-ERR Protocol error: invalid multibulk length"),
        ("*1\r\n$4294967296\r\n", "-ERR Protocol error: invalid bulk length"),
        ("set \"a\r\n", "-ERR Protocol error: unbalanced quotes in request"),
    ] {
        let bad = harness.connect();
        harness.send(bad, format!("PING\r\n{sent}PING\r\n"));
        assert_eq!(replies(&harness.receive(bad)), ["+PONG", error]);
        assert_eq!(harness.why(bad), Some("protocol"));
    }
    let info = ask(&mut harness, good, "INFO stats");
    for label in ["expected_bulk", "invalid_count", "invalid_bulk_length", "unbalanced_quotes"] {
        assert!(info.contains(&format!("protocol_error_{label}:1")), "{info}");
    }
}

/// A client that announces much holds as much as it has sent.
#[test]
fn what_is_announced_takes_nothing() {
    let config = KvConfig {
        store: StoreConfig { value_max: 4 << 30, ..StoreConfig::default() },
        ..KvConfig::default()
    };
    let mut harness = harness(config);
    let peer = harness.connect();
    harness.send(peer, "*2\r\n$4\r\nECHO\r\n$4294967296\r\nabc");
    // Longer than any input may be: it ends when it is announced.
    assert_eq!(harness.why(peer), Some("input_full"));
}

#[test]
fn strangers_must_say_the_password() {
    let config = KvConfig { password: Some(Secret::new("open sesame")), ..KvConfig::default() };
    assert!(!format!("{config:?}").contains("sesame"));
    let mut harness = harness(config);
    let peer = harness.connect();
    talk(
        &mut harness,
        peer,
        r#"
        GET a => -NOAUTH Authentication required.
        HELLO 3 => -NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
        AUTH wrong => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH "open sesam" => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH "open sesame!" => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH somebody "open sesame" => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH "open sesame" => +OK
        GET a => null
        RESET => +RESET
        GET a => -NOAUTH Authentication required.
        AUTH default "open sesame" => +OK
        "#,
    );
    let other = harness.connect();
    let hello = ask(&mut harness, other, "HELLO 3 AUTH default \"open sesame\" SETNAME me");
    assert!(hello.starts_with("{\"server\""), "{hello}");
    talk(&mut harness, other, "CLIENT GETNAME => \"me\"");
    // Little is read from a stranger, and not for long.
    let (rich, slow) = (harness.connect(), harness.connect());
    harness.send(rich, "*2\r\n$4\r\nAUTH\r\n$20000\r\n");
    assert_eq!(replies(&harness.receive(rich)), ["-ERR Protocol error: unauthenticated bulk length"]);
    harness.advance(Duration::from_secs(11));
    assert_eq!((harness.why(slow), harness.why(peer)), (Some("timeout"), None));
}

#[test]
fn full_memory_refuses_or_evicts() {
    let store = StoreConfig { memory_max: 20_000, ..StoreConfig::default() };
    let mut full = harness(KvConfig { store: store.clone(), ..KvConfig::default() });
    let peer = full.connect();
    let value = "x".repeat(1_000);
    let replies: Vec<String> = (0..30).map(|n| ask(&mut full, peer, &format!("SET k{n} {value}"))).collect();
    let oom = "-OOM command not allowed when used memory > 'maxmemory'.";
    assert!(replies[0] == "+OK" && replies[29] == oom, "{replies:?}");
    for command in ["LPUSH l", "HSET h f", "SADD s", "APPEND a", "ZADD z 1", "GETSET g", "SETRANGE r 1"] {
        assert_eq!(ask(&mut full, peer, &format!("{command} {value}")), oom, "{command}");
    }
    // All or none of them.
    let some = full.connect();
    assert_eq!(ask(&mut full, some, &format!("MSET tiny 1 large {}", value.repeat(15))), oom);
    assert_eq!(ask(&mut full, some, "EXISTS tiny"), "0");
    // Reading and deleting go on, and then there is room.
    assert_eq!(ask(&mut full, peer, "DEL k0 k1"), "2");
    assert_eq!(ask(&mut full, peer, &format!("SET new {value}")), "+OK");

    let store = StoreConfig { eviction: Eviction::AllKeysLru, ..store };
    let mut cache = harness(KvConfig { store, ..KvConfig::default() });
    let peer = cache.connect();
    for n in 0..200 {
        assert_eq!(ask(&mut cache, peer, &format!("SET k{n} {value}")), "+OK");
        cache.advance(Duration::from_millis(100));
    }
    let info = ask(&mut cache, peer, "INFO stats");
    assert!(!info.contains("evicted_keys:0"), "{info}");
    assert_eq!(ask(&mut cache, peer, "EXISTS k199 k198 k0"), "2");
}

/// What takes room without writing a value.
#[test]
fn names_copies_and_watched_keys_are_bounded() {
    let store = StoreConfig { memory_max: 20_000, key_max: 10_000, ..StoreConfig::default() };
    let mut full = harness(KvConfig { store, ..KvConfig::default() });
    let peer = full.connect();
    let (name, oom) = ("n".repeat(9_000), "-OOM command not allowed when used memory > 'maxmemory'.");
    for n in 0..3 {
        assert_eq!(ask(&mut full, peer, &format!("SET k{n} v")), "+OK");
        let renamed = ask(&mut full, peer, &format!("RENAME k{n} {n}{name}"));
        assert_eq!(renamed, if n < 2 { "+OK" } else { oom });
    }
    assert_eq!(ask(&mut full, peer, &format!("COPY 0{name} 2{name}")), oom);
    let long = ask(&mut full, peer, &format!("WATCH {}", "k".repeat(10_001)));
    assert_eq!(long, "-ERR key is longer than it may be");
}

#[test]
fn a_transaction_is_bounded() {
    let mut harness = harness(KvConfig { transaction_max: 1_000, ..KvConfig::default() });
    let peer = harness.connect();
    ask(&mut harness, peer, "MULTI");
    let long = format!("SET a {}", "x".repeat(600));
    assert_eq!(ask(&mut harness, peer, &long), "+QUEUED");
    assert_eq!(ask(&mut harness, peer, &long), "-ERR the transaction is longer than it may be");
    talk(&mut harness, peer, "EXEC => -EXECABORT Transaction discarded because of previous errors.");
    talk(&mut harness, peer, "GET a => null");
}

#[test]
fn all_transactions_are_bounded_together() {
    let mut harness = harness(KvConfig { transactions_max: 1_000, ..KvConfig::default() });
    let (one, two) = (harness.connect(), harness.connect());
    let refused = "-ERR the transactions of all clients are longer than they may be";
    let long = format!("SET a {}", "x".repeat(600));
    ask(&mut harness, one, "MULTI");
    ask(&mut harness, two, "MULTI");
    assert_eq!(ask(&mut harness, one, &long), "+QUEUED");
    assert_eq!(ask(&mut harness, two, &long), refused);
    talk(&mut harness, two, "DISCARD => +OK");
    assert_eq!(ask(&mut harness, two, &format!("WATCH {}", "k".repeat(600))), refused);
    // What one held is there for the other, however it came to its end.
    harness.reset(one);
    ask(&mut harness, two, "MULTI");
    assert_eq!(ask(&mut harness, two, &long), "+QUEUED");
    talk(&mut harness, two, "EXEC => [+OK]");
}

#[test]
fn subscriptions_are_bounded() {
    let mut harness = harness(KvConfig { subscriptions_max: 1_000, ..KvConfig::default() });
    let peer = harness.connect();
    let many = (0..10).map(|n| format!(" c{n}")).collect::<String>();
    let replies = ask(&mut harness, peer, &format!("SUBSCRIBE{many}"));
    assert_eq!(replies, "-ERR there are more subscriptions than there may be");
    ask(&mut harness, peer, "RESET");
    talk(&mut harness, peer, "PUBLISH c0 x => 0");
}

/// What is asked for many times over ends the connection at its output limit, and holds no more than that.
#[test]
fn a_reply_of_any_size_is_bounded() {
    let limits = Limits { output_max: 1 << 20, ..Limits::default() };
    let service = serve(|| Kv::new(KvConfig::default())).limits(limits);
    let mut harness = Harness::with_buffers(service, 4 << 10);
    let good = harness.connect();
    ask(&mut harness, good, &format!("SET k {}", "x".repeat(10_000)));
    for command in [
        format!("MGET {}\r\n", "k ".repeat(5_000)),
        format!("MULTI\r\n{}EXEC\r\n", "GET k\r\n".repeat(5_000)),
    ] {
        let greedy = harness.connect();
        harness.send(greedy, command);
        assert_eq!(harness.why(greedy), Some("overflow"));
    }
    talk(&mut harness, good, "PING => +PONG");
}

/// A client that sends and does not read is not served on, and its neighbour does not notice.
#[test]
fn whoever_does_not_read_waits_alone() {
    let limits =
        Limits { output_high: 8 << 10, output_low: 2 << 10, output_max: 1 << 20, ..Limits::default() };
    let service = serve(|| Kv::new(KvConfig::default())).limits(limits);
    let mut harness = Harness::with_buffers(service, 4 << 10);
    let (greedy, good) = (harness.connect(), harness.connect());
    ask(&mut harness, good, &format!("SET k {}", "x".repeat(3_000)));
    harness.send(greedy, "GET k\r\n".repeat(2_000));
    let sent = harness.handle().stats().counters.bytes_out;
    assert!(sent < 100_000, "{sent}");
    talk(&mut harness, good, "PING => +PONG");
    assert_eq!(replies(&harness.receive(greedy)).len(), 2_000);
    assert_eq!(harness.why(greedy), None);
}
