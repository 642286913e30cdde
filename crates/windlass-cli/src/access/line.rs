//! From a record to a line. Whatever a peer has put into it, it stays one line, and its values stay apart.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::AccessLog;
use super::fields::Field;
use super::format::{Form, Piece};
#[cfg(feature = "proxy")]
use super::record::Flow;
use super::record::{About, Asked, Passed, Record};
use super::when::{common, iso};

/// Adds the line about `record` to `lines`.
pub(super) fn write(lines: &mut String, log: &AccessLog, record: &Record) {
    match &log.format.form {
        Form::Json => lines.push_str(&json(log, record)),
        Form::Combined => combined(lines, record),
        Form::Template(pieces) => {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => lines.push_str(text),
                    Piece::Field { field, quoted } => {
                        let value = value(*field, log, record);
                        escape(lines, value.as_deref().filter(|it| !it.is_empty()).unwrap_or("-"), *quoted);
                    }
                }
            }
        }
    }
    lines.push('\n');
}

/// `127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 2326 "referer" "agent"`.
fn combined(lines: &mut String, record: &Record) {
    let nothing = Asked::default();
    let asked = if let About::Request(asked) = &record.about { asked } else { &nothing };
    let client = asked.passed.as_ref().and_then(|passed| passed.client).or(record.peer.addr());
    let peer = client.map_or("unix:".into(), |addr| addr.ip().to_string());
    let _ = write!(lines, "{peer} - - [{}] \"", common(record.at));
    match (&asked.method, &asked.path) {
        (Some(method), Some(path)) => {
            escape(lines, method, true);
            lines.push(' ');
            // A space in there would be another part of the request.
            escape(lines, path, false);
            let _ = write!(lines, " {}", asked.protocol.unwrap_or("-"));
        }
        _ => lines.push('-'),
    }
    let _ = write!(lines, "\" {} ", asked.status);
    match asked.bytes {
        0 => lines.push('-'),
        bytes => {
            let _ = write!(lines, "{bytes}");
        }
    }
    for text in [&asked.referer, &asked.user_agent] {
        lines.push_str(" \"");
        escape(lines, text.as_deref().filter(|text| !text.is_empty()).unwrap_or("-"), true);
        lines.push('"');
    }
}

fn value(field: Field, log: &AccessLog, record: &Record) -> Option<String> {
    match field {
        Field::Time => return Some(iso(record.at)),
        Field::Peer => return Some(record.peer.to_string()),
        Field::Service => return Some(log.service.clone()),
        Field::Listener => return listener(log, record),
        Field::Conn => return record.conn.map(|conn| conn.to_string()),
        Field::DurationMs => return Some(format!("{:.3}", millis(record.took))),
        _ => {}
    }
    match &record.about {
        About::Connection(ended) => match field {
            Field::Received => ended.traffic.map(|(received, _)| received.to_string()),
            Field::Sent => ended.traffic.map(|(_, sent)| sent.to_string()),
            Field::Messages => Some(ended.messages.to_string()),
            Field::Reason => Some(ended.reason.into()),
            Field::Fault => Some(ended.fault.into()),
            _ => None,
        },
        #[cfg(feature = "proxy")]
        About::Flow(flow) => value_of_flow(field, flow),
        About::Request(asked) => match field {
            Field::Method => asked.method.clone(),
            Field::Target => asked.path.clone(),
            Field::Query => asked.query.clone(),
            Field::Protocol => asked.protocol.map(String::from),
            Field::Status => Some(asked.status.to_string()),
            Field::Bytes => Some(asked.bytes.to_string()),
            Field::Host => asked.host.clone(),
            Field::UserAgent => asked.user_agent.clone(),
            Field::Referer => asked.referer.clone(),
            field => asked.passed.as_ref().and_then(|passed| value_of_passed(field, passed, record)),
        },
    }
}

/// Where it came in.
fn listener(log: &AccessLog, record: &Record) -> Option<String> {
    match &record.about {
        // In which of a socket's addresses, which may be all that there are.
        #[cfg(feature = "proxy")]
        About::Flow(flow) => Some(format!("udp:{}", flow.to?)),
        _ => log.address(record.listener),
    }
}

#[cfg(feature = "proxy")]
fn value_of_flow(field: Field, flow: &Flow) -> Option<String> {
    match field {
        Field::Backend => Some(flow.backend.clone()),
        Field::Received => Some(flow.received.to_string()),
        Field::Sent => Some(flow.sent.to_string()),
        Field::Requests => Some(flow.requests.to_string()),
        Field::Replies => Some(flow.replies.to_string()),
        Field::Ending => Some(flow.ending.into()),
        _ => None,
    }
}

fn value_of_passed(field: Field, passed: &Passed, record: &Record) -> Option<String> {
    let time = |took: Duration| Some(format!("{:.3}", millis(took)));
    match field {
        Field::Client => Some(passed.client.map_or_else(|| record.peer.to_string(), |it| it.to_string())),
        Field::Route => Some(passed.route.clone()),
        Field::Backend => passed.backend.clone(),
        Field::RequestBytes => Some(passed.request_bytes.to_string()),
        Field::QueueMs => time(passed.queued),
        Field::ConnectMs => time(passed.connecting),
        Field::ResponseMs => time(passed.responding),
        Field::Retries => Some(passed.retries.to_string()),
        Field::Reused => Some(if passed.reused { "yes" } else { "no" }.into()),
        Field::Ending => Some(passed.ending.into()),
        Field::Why => passed.why.map(str::to_owned),
        _ => None,
    }
}

/// To a microsecond.
fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

/// Control characters, quotes and backslashes become `\xHH`, byte by byte; spaces too outside of quotes.
fn escape(lines: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        if c.is_control() || c == '"' || c == '\\' || (c.is_whitespace() && !(quoted && c == ' ')) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(lines, "\\x{byte:02X}");
            }
        } else {
            lines.push(c);
        }
    }
}

#[derive(Serialize)]
struct Object<'r, T> {
    time: String,
    service: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<String>,
    duration_ms: f64,
    #[serde(flatten)]
    about: T,
}

#[derive(Serialize)]
struct OfConnection {
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    messages: u64,
    reason: &'static str,
    fault: &'static str,
}

#[cfg(feature = "proxy")]
#[derive(Serialize)]
struct OfFlow<'r> {
    backend: &'r str,
    received: u64,
    sent: u64,
    requests: u64,
    replies: u64,
    ending: &'static str,
}

/// The query is left out: there are secrets in it.
#[derive(Serialize)]
struct OfRequest<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'r str>,
    status: u16,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'r str>,
    #[serde(flatten)]
    passed: Option<OfPassed<'r>>,
}

#[derive(Serialize)]
struct OfPassed<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    route: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'r str>,
    request_bytes: u64,
    queue_ms: f64,
    connect_ms: f64,
    response_ms: f64,
    retries: u32,
    reused: bool,
    ending: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

fn json(log: &AccessLog, record: &Record) -> String {
    fn object<T: Serialize>(log: &AccessLog, record: &Record, about: T) -> String {
        let object = Object {
            time: iso(record.at),
            service: &log.service,
            listener: listener(log, record),
            peer: record.peer.to_string(),
            conn: record.conn.map(|conn| conn.to_string()),
            duration_ms: millis(record.took),
            about,
        };
        // Texts and numbers can always be written.
        serde_json::to_string(&object).unwrap_or_default()
    }
    match &record.about {
        About::Connection(ended) => {
            let about = OfConnection {
                received: ended.traffic.map(|(received, _)| received),
                sent: ended.traffic.map(|(_, sent)| sent),
                messages: ended.messages,
                reason: ended.reason,
                fault: ended.fault,
            };
            object(log, record, about)
        }
        #[cfg(feature = "proxy")]
        About::Flow(flow) => {
            let Flow { backend, received, sent, requests, replies, ending, .. } = &**flow;
            let (received, sent, requests, replies) = (*received, *sent, *requests, *replies);
            object(log, record, OfFlow { backend, received, sent, requests, replies, ending })
        }
        About::Request(asked) => {
            let about = OfRequest {
                method: asked.method.as_deref(),
                target: asked.path.as_deref(),
                protocol: asked.protocol,
                status: asked.status,
                bytes: asked.bytes,
                host: asked.host.as_deref(),
                user_agent: asked.user_agent.as_deref(),
                referer: asked.referer.as_deref(),
                passed: asked.passed.as_ref().map(|passed| OfPassed {
                    client: passed.client.map(|client| client.to_string()),
                    route: &passed.route,
                    backend: passed.backend.as_deref(),
                    request_bytes: passed.request_bytes,
                    queue_ms: millis(passed.queued),
                    connect_ms: millis(passed.connecting),
                    response_ms: millis(passed.responding),
                    retries: passed.retries,
                    reused: passed.reused,
                    ending: passed.ending,
                    why: passed.why,
                }),
            };
            object(log, record, about)
        }
    }
}

#[cfg(test)]
#[path = "../tests/access/line.rs"]
mod tests;
