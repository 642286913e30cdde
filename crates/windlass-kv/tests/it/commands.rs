//! What each command does and says; the replies are those of Redis 7.0.

use std::time::Duration;

use windlass_kv::KvConfig;

use crate::talk::*;

#[test]
fn strings() {
    session(
        r#"
        PING => +PONG
        ping hello => "hello"
        PING a b => -ERR wrong number of arguments for 'ping' command
        ECHO "a b" => "a b"
        GET a => null
        SET a 1 => +OK
        GET a => "1"
        GET => -ERR wrong number of arguments for 'get' command
        SET a 2 NX => null
        SET b 2 XX => null
        SET a 3 XX GET => "1"
        SET b 4 GET => null
        SET a 1 NX XX => -ERR syntax error
        SET a 1 EX => -ERR syntax error
        SET a 1 EX 0 => -ERR invalid expire time in 'set' command
        SET a 1 EX x => -ERR value is not an integer or out of range
        SET a 1 EX 9223372036854775807 => -ERR invalid expire time in 'set' command
        SET a 1 EX 10 PX 10 => -ERR syntax error
        SET a 1 NOPE => -ERR syntax error
        GET a => "3"
        SETNX a 9 => 0
        SETNX c 9 => 1
        GETSET a 5 => "3"
        GETDEL c => "9"
        GETDEL c => null
        MSET a 1 b 2 c => -ERR wrong number of arguments for 'mset' command
        MSET a 1 b 2 => +OK
        MSETNX b 3 d 4 => 0
        MSETNX d 4 e 5 => 1
        MGET a b nope e => ["1" "2" null "5"]
        APPEND s hello => 5
        APPEND s " world" => 11
        STRLEN s => 11
        STRLEN nope => 0
        GETRANGE s 0 4 => "hello"
        GETRANGE s -5 -1 => "world"
        GETRANGE s 5 2 => ""
        GETRANGE s 0 100 => "hello world"
        SETRANGE s 6 Redis => 11
        GET s => "hello Redis"
        SETRANGE t 3 x => 4
        GET t => "\x00\x00\x00x"
        SETRANGE t -1 x => -ERR offset is out of range
        SETRANGE t 999999999999 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE none 0 "" => 0
        EXISTS none => 0
        "#,
    );
}

#[test]
fn counters() {
    session(
        r#"
        INCR n => 1
        INCRBY n 41 => 42
        DECR n => 41
        DECRBY n 41 => 0
        SET n 9223372036854775807 => +OK
        INCR n => -ERR increment or decrement would overflow
        DECRBY n -9223372036854775808 => -ERR decrement would overflow
        SET n x => +OK
        INCR n => -ERR value is not an integer or out of range
        INCRBY n x => -ERR value is not an integer or out of range
        INCRBYFLOAT f 3.5 => "3.5"
        INCRBYFLOAT f -0.5 => "3"
        INCRBYFLOAT f x => -ERR value is not a valid float
        INCRBYFLOAT f inf => -ERR increment would produce NaN or Infinity
        LPUSH l 1 => 1
        INCR l => -WRONGTYPE Operation against a key holding the wrong kind of value
        GET l => -WRONGTYPE Operation against a key holding the wrong kind of value
        SET l 1 => +OK
        "#,
    );
}

#[test]
fn keys_and_their_time() {
    let mut harness = harness(KvConfig::default());
    let peer = harness.connect();
    talk(
        &mut harness,
        peer,
        r#"
        SET a 1 EX 10 => +OK
        TTL a => 10
        PTTL a => 10000
        EXPIRETIME a => 1700000010
        SET a 2 KEEPTTL => +OK
        TTL a => 10
        SET a 2 => +OK
        TTL a => -1
        TTL none => -2
        EXPIRE a 100 => 1
        EXPIRE a 50 GT => 0
        EXPIRE a 50 LT => 1
        EXPIRE a 60 NX => 0
        EXPIRE a 60 XX => 1
        EXPIRE a 1 NX GT => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE a 1 NOPE => -ERR Unsupported option NOPE
        PERSIST a => 1
        PERSIST a => 0
        EXPIRE none 1 => 0
        PEXPIREAT a 1700000005000 => 1
        TTL a => 5
        GETEX a EX 7 => "2"
        TTL a => 7
        GETEX a PERSIST => "2"
        TTL a => -1
        SETEX b 1 x => +OK
        PSETEX c 1500 x => +OK
        SET d x PXAT 1700000002000 => +OK
        EXPIRE a -1 => 1
        EXISTS a => 0
        DBSIZE => 3
        "#,
    );
    harness.advance(Duration::from_millis(1_000));
    talk(&mut harness, peer, "EXISTS b c d => 2");
    harness.advance(Duration::from_millis(1_000));
    talk(&mut harness, peer, "EXISTS b c d c => 0\n DBSIZE => 0");
    talk(
        &mut harness,
        peer,
        r#"
        MSET a 1 b 2 => +OK
        RENAME a c => +OK
        RENAME a c => -ERR no such key
        RENAMENX c b => 0
        RENAMENX c d => 1
        COPY d b => 0
        COPY d b REPLACE => 1
        GET b => "1"
        TYPE b => +string
        TYPE none => +none
        DEL b d none => 2
        RANDOMKEY => null
        SET only 1 => +OK
        RANDOMKEY => "only"
        OBJECT ENCODING only => "int"
        OBJECT IDLETIME only => 0
        TOUCH only none => 1
        UNLINK only => 1
        MSET aa 1 ab 2 b 3 => +OK
        KEYS a? => ["aa" "ab"]
        SCAN 0 MATCH b => ["0" ["b"]]
        SCAN 0 COUNT 1 => ["2" ["b"]]
        SCAN 2 COUNT 5 TYPE string => ["0" ["ab" "aa"]]
        SCAN x => -ERR invalid cursor
        FLUSHALL => +OK
        FLUSHDB ASYNC => +OK
        DBSIZE => 0
        "#,
    );
}

#[test]
fn lists() {
    session(
        r#"
        LPUSH l b a => 2
        RPUSH l c d => 4
        LPUSHX none x => 0
        LRANGE l 0 -1 => ["a" "b" "c" "d"]
        LRANGE l 1 1 => ["b"]
        LRANGE l 5 9 => []
        LRANGE none 0 -1 => []
        LLEN l => 4
        LINDEX l -1 => "d"
        LINDEX l 9 => null
        LSET l 1 B => +OK
        LSET l 9 x => -ERR index out of range
        LSET none 0 x => -ERR no such key
        LINSERT l BEFORE B x => 5
        LINSERT l AFTER nope x => -1
        LPOS l c => 3
        LPOS l nope => null
        RPUSH l c => 6
        LPOS l c RANK -1 => 5
        LPOS l c COUNT 0 => [3 5]
        LREM l -1 c => 1
        LTRIM l 1 2 => +OK
        LRANGE l 0 -1 => ["x" "B"]
        LPOP l => "x"
        RPOP l 5 => ["B"]
        LPOP l => null
        LPOP l 1 => null
        EXISTS l => 0
        RPUSH l 1 2 3 => 3
        LMOVE l m RIGHT LEFT => "3"
        RPOPLPUSH l l => "2"
        LRANGE l 0 -1 => ["2" "1"]
        LMOVE none m LEFT LEFT => null
        LPOP l -1 => -ERR value is out of range, must be positive
        HGET l f => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

#[test]
fn hashes_and_sets() {
    session(
        r#"
        HSET h a 1 b 2 => 2
        HSET h a 3 c 4 => 1
        HSET h a => -ERR wrong number of arguments for 'hset' command
        HSET h a 1 b => -ERR wrong number of arguments for 'hset' command
        HGET h a => "3"
        HGET h x => null
        HMGET h a x b => ["3" null "2"]
        HGETALL h => ["a" "3" "b" "2" "c" "4"]
        HKEYS h => ["a" "b" "c"]
        HVALS h => ["3" "2" "4"]
        HLEN h => 3
        HEXISTS h a => 1
        HSTRLEN h a => 1
        HSETNX h a 9 => 0
        HINCRBY h a 4 => 7
        HINCRBYFLOAT h a 0.5 => "7.5"
        HINCRBY h a 1 => -ERR hash value is not an integer
        HSCAN h 0 => ["0" ["c" "4" "b" "2" "a" "7.5"]]
        HDEL h a b x => 2
        HDEL h c => 1
        EXISTS h => 0
        SADD s a b c a => 3
        SCARD s => 3
        SISMEMBER s a => 1
        SMISMEMBER s a x => [1 0]
        SMEMBERS s => ["a" "b" "c"]
        SREM s a x => 1
        SADD t c d => 2
        SINTER s t => ["c"]
        SUNION s t => ["c" "b" "d"]
        SDIFF s t => ["b"]
        SMOVE s t b => 1
        SSCAN t 0 MATCH b => ["0" ["b"]]
        SPOP s => "c"
        SPOP s => null
        EXISTS s => 0
        SRANDMEMBER none => null
        SCARD t => 3
        "#,
    );
}

#[test]
fn sorted_sets() {
    session(
        r#"
        ZADD z 1 a 2 b 3 c => 3
        ZADD z NX 9 a 4 d => 1
        ZADD z XX CH 5 a 1 x => 1
        ZADD z GT 1 a => 0
        ZADD z INCR 1 a => "6"
        ZADD z x a => -ERR value is not a valid float
        ZSCORE z a => "6"
        ZSCORE z nope => null
        ZMSCORE z b nope => ["2" null]
        ZCARD z => 4
        ZRANGE z 0 -1 => ["b" "c" "d" "a"]
        ZRANGE z 0 0 WITHSCORES => ["b" "2"]
        ZREVRANGE z 0 1 => ["a" "d"]
        ZRANGEBYSCORE z (2 4 => ["c" "d"]
        ZRANGEBYSCORE z -inf +inf LIMIT 1 2 => ["c" "d"]
        ZREVRANGEBYSCORE z +inf (3 => ["a" "d"]
        ZRANGE z 3 2 BYSCORE REV => ["c" "b"]
        ZCOUNT z 2 3 => 2
        ZCOUNT z x 3 => -ERR min or max is not a float
        ZRANK z c => 1
        ZREVRANK z c => 2
        ZRANK z nope => null
        ZINCRBY z 0.5 b => "2.5"
        ZPOPMIN z => ["b" "2.5"]
        ZPOPMAX z 2 => ["a" "6" "d" "4"]
        ZSCAN z 0 => ["0" ["c" "3"]]
        ZREM z c => 1
        ZPOPMIN z => []
        EXISTS z => 0
        "#,
    );
}

#[test]
fn the_third_version() {
    session(
        r#"
        HELLO 4 => -NOPROTO unsupported protocol version
        HELLO x => -ERR Protocol version is not an integer or out of range
        HELLO 3 => {"server" "redis" "version" "7.0.15" "proto" 3 "id" 1 "mode" "standalone" "role" "master" "modules" []}
        GET none => null
        HSET h f v => 1
        HGETALL h => {"f" "v"}
        SADD s a => 1
        SMEMBERS s => set("a")
        ZADD z 1.5 a => 1
        ZSCORE z a => 1.5
        ZRANGE z 0 -1 WITHSCORES => [["a" 1.5]]
        CONFIG GET save => {"save" ""}
        SUBSCRIBE c => push("subscribe" "c" 1)
        GET none => null
        PUBLISH c hi => push("message" "c" "hi") | 1
        RESET => +RESET
        GET none => null
        HGETALL h => ["f" "v"]
        "#,
    );
}

#[test]
fn the_connection() {
    session(
        r#"
        SELECT 0 => +OK
        SELECT 1 => -ERR DB index is out of range
        AUTH x => -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        CLIENT ID => 1
        CLIENT GETNAME => null
        CLIENT SETNAME me => +OK
        CLIENT GETNAME => "me"
        CLIENT SETNAME "a b" => -ERR Client names cannot contain spaces, newlines or special characters.
        CLIENT SETINFO LIB-NAME x => +OK
        CLIENT NOPE => -ERR unknown subcommand 'NOPE'. Try CLIENT HELP.
        nope a b => -ERR unknown command 'nope', with args beginning with: 'a' 'b'
        COMMAND COUNT => 129
        CONFIG GET maxmemory-policy => ["maxmemory-policy" "noeviction"]
        CONFIG SET save x => -ERR settings are given when the server is started: windlass resp --help
        OBJECT NOPE x => -ERR unknown subcommand 'NOPE'. Try OBJECT HELP.
        MEMORY USAGE none => null
        TIME => ["1700000000" "0"]
        "#,
    );
    let mut harness = harness(KvConfig::default());
    let (peer, other) = (harness.connect(), harness.connect());
    let list = ask(&mut harness, peer, "CLIENT LIST");
    assert!(list.contains("id=1 addr=") && list.contains("\\nid=2 addr="), "{list}");
    let info = ask(&mut harness, peer, "INFO");
    for part in ["# Server", "connected_clients:2", "maxmemory_policy:noeviction", "role:master"] {
        assert!(info.contains(part), "{part}: {info}");
    }
    assert_eq!(ask(&mut harness, peer, "CLIENT KILL ID 2"), "1");
    assert_eq!(harness.why(other), Some("done"));
    assert_eq!(ask(&mut harness, peer, "QUIT"), "+OK");
    assert_eq!(harness.why(peer), Some("done"));
}

#[test]
fn transactions() {
    session(
        r#"
        EXEC => -ERR EXEC without MULTI
        DISCARD => -ERR DISCARD without MULTI
        MULTI => +OK
        MULTI => -ERR MULTI calls can not be nested
        SET a 1 => +QUEUED
        INCR a => +QUEUED
        LPUSH a x => +QUEUED
        GET a => +QUEUED
        EXEC => [+OK 2 -WRONGTYPE Operation against a key holding the wrong kind of value "2"]
        MULTI => +OK
        SET a 9 => +QUEUED
        DISCARD => +OK
        GET a => "2"
        MULTI => +OK
        GET => -ERR wrong number of arguments for 'get' command
        SET a 9 => +QUEUED
        EXEC => -EXECABORT Transaction discarded because of previous errors.
        MULTI => +OK
        nope => -ERR unknown command 'nope', with args beginning with:
        EXEC => -EXECABORT Transaction discarded because of previous errors.
        WATCH a b => +OK
        SET a 3 => +OK
        MULTI => +OK
        WATCH a => -ERR WATCH inside MULTI is not allowed
        GET a => +QUEUED
        EXEC => null
        WATCH a => +OK
        UNWATCH => +OK
        SET a 4 => +OK
        MULTI => +OK
        GET a => +QUEUED
        EXEC => ["4"]
        GET a => "4"
        "#,
    );
}

/// As many commands at once as fit, in pieces of any size: one reply each, in order.
#[test]
fn pipelining_in_pieces() {
    for size in [1, 7, 100, 100_000] {
        let mut harness = harness(KvConfig::default());
        let peer = harness.connect();
        let mut sent = Vec::new();
        for n in 0..200 {
            let value = "v".repeat(n);
            sent.extend(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${n}\r\n{value}\r\nSTRLEN k\r\n").as_bytes());
        }
        harness.send_split(peer, &sent, size);
        let replies = replies(&harness.receive(peer));
        let wanted: Vec<String> = (0..200).flat_map(|n| ["+OK".into(), n.to_string()]).collect();
        assert_eq!(replies, wanted, "in pieces of {size}");
    }
}

/// A value of a mebibyte, in and out, whole.
#[test]
fn large_values_go_through_whole() {
    let mut harness = harness(KvConfig::default());
    let peer = harness.connect();
    let value: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    // A little over what one command may be by default.
    let limits = windlass::Limits { input_max: 2 << 20, ..windlass::Limits::default() };
    let config = KvConfig { unix_ms: BEGIN, ..KvConfig::default() };
    let mut large = windlass::testing::Harness::new(
        windlass::serve(move || windlass_kv::Kv::new(config.clone())).limits(limits),
    );
    let big = large.connect();
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len());
    large.send(big, [head.as_bytes(), &value, b"\r\nPING\r\nGET k\r\nMULTI\r\nGET k\r\nEXEC\r\n"].concat());
    let bulk = [format!("${}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
    let wanted = [b"+OK\r\n+PONG\r\n", &bulk[..], b"+OK\r\n+QUEUED\r\n*1\r\n", &bulk[..]].concat();
    assert!(large.receive(big) == wanted);
    talk(&mut harness, peer, "PING => +PONG");
}
