//! Publish and subscribe.

use windlass::testing::Harness;
use windlass::{Limits, serve};
use windlass_kv::{Kv, KvConfig};

use crate::talk::*;

#[test]
fn subscriptions() {
    session(
        r#"
        SUBSCRIBE a b => ["subscribe" "a" 1] | ["subscribe" "b" 2]
        SUBSCRIBE a => ["subscribe" "a" 2]
        PSUBSCRIBE n* => ["psubscribe" "n*" 3]
        GET x => -ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context
        PING => ["pong" ""]
        PING x => ["pong" "x"]
        UNSUBSCRIBE a => ["unsubscribe" "a" 2]
        UNSUBSCRIBE nope => ["unsubscribe" "nope" 2]
        UNSUBSCRIBE => ["unsubscribe" "b" 1]
        UNSUBSCRIBE => ["unsubscribe" null 1]
        PUNSUBSCRIBE => ["punsubscribe" "n*" 0]
        PING => +PONG
        UNSUBSCRIBE => ["unsubscribe" null 0]
        "#,
    );
}

#[test]
fn messages_reach_those_who_want_them() {
    let mut harness = harness(KvConfig::default());
    let [one, two, three, publisher] = [0; 4].map(|_| harness.connect());
    ask(&mut harness, one, "SUBSCRIBE news");
    ask(&mut harness, two, "HELLO 3");
    ask(&mut harness, two, "SUBSCRIBE news other");
    ask(&mut harness, three, "PSUBSCRIBE n?ws [");
    talk(
        &mut harness,
        publisher,
        r#"
        PUBLISH news hello => 3
        PUBLISH nobody hello => 0
        PUBSUB CHANNELS => ["news" "other"]
        PUBSUB CHANNELS o* => ["other"]
        PUBSUB NUMSUB news nope => ["news" 2 "nope" 0]
        PUBSUB NUMPAT => 2
        "#,
    );
    assert_eq!(replies(&harness.receive(one)), [r#"["message" "news" "hello"]"#]);
    assert_eq!(replies(&harness.receive(two)), [r#"push("message" "news" "hello")"#]);
    assert_eq!(replies(&harness.receive(three)), [r#"["pmessage" "n?ws" "news" "hello"]"#]);
    // Whoever goes is forgotten, and whoever changes its version hears it in that.
    harness.reset(one);
    ask(&mut harness, two, "HELLO 2");
    talk(&mut harness, publisher, "PUBLISH news again => 2");
    assert_eq!(replies(&harness.receive(two)), [r#"["message" "news" "again"]"#]);
    ask(&mut harness, three, "RESET");
    talk(&mut harness, publisher, "PUBLISH news again => 1\n PUBSUB NUMPAT => 0");
}

/// A transaction's messages come in their place.
#[test]
fn own_messages_come_before_the_reply() {
    let mut harness = harness(KvConfig::default());
    let peer = harness.connect();
    ask(&mut harness, peer, "HELLO 3");
    harness.send(peer, "SET a 1\r\nSUBSCRIBE c\r\nPUBLISH c x\r\nGET a\r\n");
    let wanted = ["+OK", r#"push("subscribe" "c" 1)"#, r#"push("message" "c" "x")"#, "1", "\"1\""];
    assert_eq!(replies(&harness.receive(peer)), wanted);
}

/// One that reads nothing is ended by the engine's limit on output; the others get everything.
#[test]
fn a_subscriber_that_does_not_read_is_dropped_alone() {
    let limits =
        Limits { output_high: 4 << 10, output_low: 1 << 10, output_max: 64 << 10, ..Limits::default() };
    let service = serve(|| Kv::new(KvConfig::default())).limits(limits);
    let mut harness = Harness::with_buffers(service, 4 << 10);
    let [deaf, good, publisher] = [0; 3].map(|_| harness.connect());
    ask(&mut harness, deaf, "SUBSCRIBE c");
    ask(&mut harness, good, "SUBSCRIBE c");
    let text = "x".repeat(1_000);
    for n in 0..200 {
        let heard = ask(&mut harness, publisher, &format!("PUBLISH c {n}-{text}"));
        assert!(heard == "2" || (heard == "1" && n > 60), "{n}: {heard}");
        let wanted = format!("[\"message\" \"c\" \"{n}-{text}\"]");
        assert_eq!(replies(&harness.receive(good)), [wanted]);
    }
    assert_eq!(harness.why(deaf), Some("overflow"));
    assert_eq!((harness.why(good), harness.why(publisher)), (None, None));
}
