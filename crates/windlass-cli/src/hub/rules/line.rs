//! A message as JSON: a line of a file, an entry of what is posted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::outlet::Kept;

#[derive(Serialize)]
struct Line<'k> {
    /// RFC 3339, in UTC, with milliseconds.
    time: String,
    topic: &'k str,
    qos: u8,
    retain: bool,
    /// If it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'k str>,
    /// If it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Adds a message; nothing behind it.
pub(super) fn write(out: &mut Vec<u8>, kept: &Kept) {
    let payload = std::str::from_utf8(&kept.payload).ok();
    let line = Line {
        time: time(kept.unix_ms),
        topic: &kept.topic,
        qos: kept.qos,
        retain: kept.retain,
        payload,
        payload_base64: payload.is_none().then(|| STANDARD.encode(&kept.payload)),
    };
    // Texts and numbers have a form in JSON, and memory takes all of it.
    let _ = serde_json::to_writer(out, &line);
}

fn time(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| format!("{at:.3}"))
}
