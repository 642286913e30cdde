//! A conversation with the service: a command a line, and replies as text.

use windlass::proto::resp::{Elements, Replies, Reply, Value};
use windlass::proto::testing::feed;
use windlass::serve;
use windlass::testing::{Harness, TestPeer};
use windlass_kv::{Kv, KvConfig};

/// The time at which every test begins, in Unix milliseconds.
pub(crate) const BEGIN: u64 = 1_700_000_000_000;

pub(crate) fn harness(config: KvConfig) -> Harness {
    Harness::new(serve(move || Kv::new(KvConfig { unix_ms: BEGIN, ..config.clone() })).tick(Kv::TICK))
}

/// A reply as text.
pub(crate) fn shown(reply: Reply<'_>) -> String {
    let all = |inner: Elements<'_>| inner.map(shown).collect::<Vec<_>>().join(" ");
    match reply.value() {
        Value::Simple(text) => format!("+{}", text.escape_ascii()),
        Value::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Value::Integer(number) => format!("{number}"),
        Value::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Null => "null".into(),
        Value::Array(inner) => format!("[{}]", all(inner)),
        Value::Map(inner) => format!("{{{}}}", all(inner)),
        Value::Set(inner) => format!("set({})", all(inner)),
        Value::Push(inner) => format!("push({})", all(inner)),
        Value::Double(number) => format!("{number:?}"),
        Value::Boolean(yes) => format!("{yes}"),
        Value::Verbatim(_, text) => format!("text({})", text.escape_ascii()),
        other => format!("{other:?}"),
    }
}

/// All replies in these bytes, which must be whole.
pub(crate) fn replies(bytes: &[u8]) -> Vec<String> {
    let run = feed(Replies::default(), [bytes], |all, reply| all.push(shown(reply)));
    assert_eq!((run.error, run.left), (None, 0), "{}", bytes.escape_ascii());
    run.messages
}

/// Sends a line and returns the replies, one behind the other.
pub(crate) fn ask(harness: &mut Harness, peer: TestPeer, line: &str) -> String {
    harness.send(peer, format!("{line}\r\n"));
    replies(&harness.receive(peer)).join(" | ")
}

/// Holds a whole conversation: `command => replies` on each line.
pub(crate) fn talk(harness: &mut Harness, peer: TestPeer, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (command, wanted) = line.split_once(" => ").unwrap_or((line.trim_end_matches(" =>"), ""));
        assert_eq!(ask(harness, peer, command).trim_end(), wanted, "{command}");
    }
}

/// The same on a fresh server.
pub(crate) fn session(script: &str) {
    let mut harness = harness(KvConfig::default());
    let peer = harness.connect();
    talk(&mut harness, peer, script);
}
