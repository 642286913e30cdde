//! What is known about a connection or a request when its line is due.

use std::time::{Duration, SystemTime};

use windlass::proto::http::{Target, Version};
use windlass::{Close, ConnId, Fault, Peer};
use windlass_http::Answered;

/// The longest text of a peer's that is kept; what is longer is cut.
const TEXT_MAX: usize = 1024;

/// What one line is about. Small and without a copy of anything as long as it is about a connection.
pub(crate) struct Record {
    pub(super) at: SystemTime,
    pub(super) conn: ConnId,
    pub(super) peer: Peer,
    pub(super) listener: Option<usize>,
    pub(super) took: Duration,
    pub(super) about: About,
}

pub(super) enum About {
    Connection(Ended),
    Request(Box<Asked>),
}

/// A connection that has ended.
pub(crate) struct Ended {
    /// Bytes received and sent, if they were counted.
    pub(super) traffic: Option<(u64, u64)>,
    /// Messages of its, in the service's terms.
    pub(crate) messages: u64,
    pub(crate) reason: &'static str,
    pub(crate) fault: &'static str,
}

impl Ended {
    pub(crate) fn new(traffic: Option<(u64, u64)>, messages: u64, why: &Close) -> Ended {
        let fault = match why.fault() {
            Fault::Nobody => "nobody",
            Fault::Peer => "peer",
            Fault::Server => "server",
            Fault::Network => "network",
            _ => "other",
        };
        Ended { traffic, messages, reason: why.label(), fault }
    }
}

/// A request that was answered. Without a method it could not be read.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) query: Option<String>,
    pub(super) protocol: Option<&'static str>,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) host: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) referer: Option<String>,
}

impl Record {
    /// A connection has ended that was open for so long.
    pub(crate) fn ended(conn: &windlass::Conn<'_>, took: Duration, ended: Ended) -> Record {
        Record {
            at: SystemTime::now(),
            conn: conn.id(),
            peer: conn.peer(),
            listener: conn.listener(),
            took,
            about: About::Connection(ended),
        }
    }

    /// A request was answered.
    pub(crate) fn answered(answered: &Answered<'_>) -> Record {
        Record {
            at: SystemTime::now(),
            conn: answered.conn,
            peer: answered.peer,
            listener: answered.listener,
            took: answered.took,
            about: About::Request(Box::new(Asked::of(answered))),
        }
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        let texts = match &self.about {
            About::Connection(_) => 0,
            About::Request(asked) => {
                let texts = [&asked.method, &asked.path, &asked.query, &asked.host];
                let more = [&asked.user_agent, &asked.referer];
                let all = texts.into_iter().chain(more).flatten();
                all.map(String::len).sum::<usize>() + size_of::<Asked>()
            }
        };
        size_of::<Record>() + texts
    }
}

impl Asked {
    fn of(answered: &Answered<'_>) -> Asked {
        let (status, bytes) = (answered.status.code(), answered.body_bytes);
        let Some(head) = &answered.head else { return Asked { status, bytes, ..Asked::default() } };
        let header = |name| head.headers.get(name).map(|value| cut(&String::from_utf8_lossy(value)));
        let target = match &head.target {
            Target::Authority(authority) => authority,
            target => target.path().unwrap_or("*"),
        };
        // Other sites put secrets there as well.
        let without_query = |url: String| url.split(['?', '#']).next().map(str::to_owned);
        Asked {
            method: Some(cut(head.method)),
            path: Some(cut(target)),
            query: head.query().map(cut),
            protocol: Some(if head.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" }),
            status,
            bytes,
            host: head.host.map(cut),
            user_agent: header("user-agent"),
            referer: header("referer").and_then(without_query),
        }
    }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}..", &text[..end])
}
