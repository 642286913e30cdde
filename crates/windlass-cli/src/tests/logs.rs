//! What a log line looks like, and that no peer can forge one.

use std::io::Write as _;
use std::sync::Mutex;

use super::*;
use crate::console::{Notice, Teller};

/// The level is the process's, and tests run side by side.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What `log` logs, as it would be written.
fn logged(style: Style, color: bool, level: LogLevel, log: impl FnOnce()) -> Vec<Vec<u8>> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (teller, notices) = Teller::new();
    threshold::begin(level);
    tracing::subscriber::with_default(subscriber(style, color, teller), log);
    let line = |notice| if let Notice::Line(line) = notice { Some(line) } else { None };
    notices.try_iter().filter_map(line).collect()
}

const FORGED: &str = "gone\n2026-01-01T00:00:00Z  INFO forged \u{1b}[2J\r\n";

#[test]
fn a_line_stays_a_line() {
    for color in [false, true] {
        let lines = logged(Style::Text, color, LogLevel::Info, || tracing::warn!(peer = FORGED, "{FORGED}"));
        let text = String::from_utf8(lines.concat()).unwrap();
        assert_eq!((lines.len(), text.lines().count()), (1, 1), "{text}");
        assert!(
            text.contains("gone\\n2026") && !text.contains("\u{1b}[2J") && !text.contains('\r'),
            "{text}"
        );
    }
    let lines = logged(Style::Json, false, LogLevel::Info, || tracing::warn!(peer = FORGED, "{FORGED}"));
    let value: serde_json::Value = serde_json::from_slice(&lines[0]).unwrap();
    assert_eq!((lines.len(), &value["message"], &value["peer"]), (1, &FORGED.into(), &FORGED.into()));
    assert_eq!(lines[0].iter().filter(|byte| **byte == b'\n').count(), 1);
}

/// The fields of an entry, read as the journal does.
fn fields(mut entry: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    while !entry.is_empty() {
        let at = entry.iter().position(|byte| matches!(byte, b'=' | b'\n')).unwrap();
        let name = String::from_utf8(entry[..at].to_vec()).unwrap();
        let (value, rest) = if entry[at] == b'=' {
            let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
            (&entry[at + 1..end], &entry[end + 1..])
        } else {
            let length = u64::from_le_bytes(entry[at + 1..at + 9].try_into().unwrap()) as usize;
            assert_eq!(entry[at + 9 + length], b'\n');
            (&entry[at + 9..at + 9 + length], &entry[at + 10 + length..])
        };
        fields.push((name, String::from_utf8(value.to_vec()).unwrap()));
        entry = rest;
    }
    fields
}

#[test]
fn an_entry_has_fields_and_no_peer_adds_one() {
    let lines = logged(Style::Journal, false, LogLevel::Info, || {
        tracing::warn!(bytes_in = 3_u64, reason = "a\nPRIORITY=0", "gone: {}", "x\nMESSAGE=forged");
        tracing::error!("plain");
    });
    let wanted = [
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "windlass"),
        ("MESSAGE", "gone: x\nMESSAGE=forged bytes_in=3 reason=a\nPRIORITY=0"),
        ("WINDLASS_BYTES_IN", "3"),
        ("WINDLASS_REASON", "a\nPRIORITY=0"),
    ];
    assert_eq!(fields(&lines[0]), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(lines[1], b"PRIORITY=3\nSYSLOG_IDENTIFIER=windlass\nMESSAGE=plain\n");
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let (long, most) = ("é".repeat(10_000), "x".repeat(8_192));
    let lines = logged(Style::Journal, false, LogLevel::Info, || {
        tracing::info!(a = most, b = most, c = most, d = most, e = most, "{long}");
    });
    let fields = fields(&lines[0]);
    let names: Vec<_> = fields.iter().map(|(name, _)| &name[..]).collect();
    assert_eq!(&names[3..], ["WINDLASS_A", "WINDLASS_B", "WINDLASS_C"]);
    let message = &fields[2].1;
    assert!(message.contains("é.. (11808 bytes more) a=xx"), "{}", &message[8_000..9_000]);
    assert!(message.ends_with(" .. (fields left out: 2)"));
    // What a datagram can hold here by default.
    assert!(lines[0].len() < 200_000, "{}", lines[0].len());
}

#[cfg(target_os = "linux")]
#[test]
fn entries_go_to_the_socket_and_a_journal_that_is_not_there_is_told() {
    let path = std::env::temp_dir().join(format!("windlass-journal-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    assert!(Journal::reach(&path).is_err());
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let journal = Journal::reach(&path).unwrap();
    journal.send(b"MESSAGE=one\n").unwrap();
    // It is started anew.
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    assert!(journal.send(b"MESSAGE=lost\n").is_err());
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    journal.send(b"MESSAGE=two\n").unwrap();
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"MESSAGE=two\n");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_level_changes_while_it_runs() {
    let log = || tracing::debug!("seen");
    let lines = logged(Style::Json, false, LogLevel::Info, || {
        log();
        assert!(set_level(LogLevel::Debug));
        log();
        assert_eq!(threshold::level(), Some(LogLevel::Debug));
        assert!(set_level(LogLevel::Warn));
        log();
        tracing::info!("nor this");
        assert!(set_level(LogLevel::Off));
        tracing::error!("nor this");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn each_line_is_one_write() {
    let (teller, notices) = Teller::new();
    let lines = Lines { lines: teller, color: false };
    (&lines).write_all(b"a\tb\x1b\x7f\n").unwrap();
    let Some(Notice::Line(line)) = notices.try_iter().next() else { panic!() };
    assert_eq!(line, b"a\\tb\\x1b\\x7f\n");
}
