//! What is known about a connection or a request when its line is due.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use windlass::proto::http::{Target, Version};
use windlass::{Close, ConnId, Fault, Peer};
use windlass_http::Answered;

/// The longest text of a peer's that is kept; what is longer is cut.
const TEXT_MAX: usize = 1024;

/// What one line is about. Small and without a copy of anything as long as it is about a connection.
pub(crate) struct Record {
    pub(super) at: SystemTime,
    /// None of what is no connection's.
    pub(super) conn: Option<ConnId>,
    pub(super) peer: Peer,
    pub(super) listener: Option<usize>,
    pub(super) took: Duration,
    pub(super) about: About,
}

pub(super) enum About {
    Connection(Ended),
    Request(Box<Asked>),
    #[cfg(feature = "proxy")]
    Flow(Box<Flow>),
}

/// A flow of datagrams that is over.
#[cfg(feature = "proxy")]
pub(super) struct Flow {
    /// The address of ours that it came to.
    pub(super) to: Option<SocketAddr>,
    pub(super) backend: String,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) requests: u64,
    pub(super) replies: u64,
    pub(super) ending: &'static str,
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
    /// What became of it, if it was to be passed on.
    pub(super) passed: Option<Passed>,
}

/// A request that was to be passed on.
pub(super) struct Passed {
    /// Who asks, in the words of a proxy before us if there is one.
    pub(super) client: Option<SocketAddr>,
    pub(super) route: String,
    pub(super) backend: Option<String>,
    pub(super) request_bytes: u64,
    pub(super) queued: Duration,
    pub(super) connecting: Duration,
    pub(super) responding: Duration,
    pub(super) retries: u32,
    pub(super) reused: bool,
    pub(super) ending: &'static str,
    pub(super) why: Option<&'static str>,
}

/// The status of a request whose client left before its response began: there is none, and whoever counts
/// lines by it knows this one from nginx.
#[cfg(feature = "proxy")]
const CLIENT_LEFT: u16 = 499;

impl Record {
    /// A connection has ended that was open for so long.
    pub(crate) fn ended(conn: &windlass::Conn<'_>, took: Duration, ended: Ended) -> Record {
        Record {
            at: SystemTime::now(),
            conn: Some(conn.id()),
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
            conn: Some(answered.conn),
            peer: answered.peer,
            listener: answered.listener,
            took: answered.took,
            about: About::Request(Box::new(Asked::of(answered))),
        }
    }

    /// A request is over that was to be passed on.
    #[cfg(feature = "proxy")]
    pub(crate) fn exchanged(exchanged: &windlass_proxy::Exchanged<'_>) -> Record {
        let is_said = !exchanged.method.is_empty();
        let said = |text: &str| is_said.then(|| cut(text));
        let (path, query) = match exchanged.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (exchanged.target, None),
        };
        let asked = Asked {
            method: said(exchanged.method),
            path: said(path),
            query: query.map(cut),
            protocol: is_said.then_some(match exchanged.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
            }),
            status: exchanged.status.map_or(CLIENT_LEFT, |status| status.code()),
            bytes: exchanged.response_bytes,
            host: said(exchanged.host).filter(|host| !host.is_empty()),
            user_agent: Some(cut(exchanged.user_agent)).filter(|text| !text.is_empty()),
            referer: without_query(exchanged.referer.into()).map(|text| cut(&text)),
            passed: Some(Passed {
                client: exchanged.source,
                route: exchanged.group.into(),
                backend: exchanged.backend.map(str::to_owned),
                request_bytes: exchanged.request_bytes,
                queued: exchanged.queued,
                connecting: exchanged.connecting,
                responding: exchanged.responding,
                retries: exchanged.retries,
                reused: exchanged.reused,
                ending: exchanged.ending.label(),
                why: exchanged.why,
            }),
        };
        Record {
            at: SystemTime::now(),
            conn: Some(exchanged.conn),
            peer: exchanged.peer,
            listener: exchanged.listener,
            took: exchanged.total,
            about: About::Request(Box::new(asked)),
        }
    }

    /// A flow is over.
    #[cfg(feature = "proxy")]
    pub(crate) fn flow(ended: &windlass_proxy::FlowEnded<'_>) -> Record {
        let flow = Flow {
            to: ended.to,
            backend: ended.backend.into(),
            received: ended.request_bytes,
            sent: ended.reply_bytes,
            requests: ended.requests,
            replies: ended.replies,
            ending: ended.ending.label(),
        };
        Record {
            at: SystemTime::now(),
            conn: None,
            peer: Peer::Tcp(ended.client),
            listener: None,
            took: ended.lasted,
            about: About::Flow(Box::new(flow)),
        }
    }

    /// About how many bytes it holds.
    pub(super) fn weight(&self) -> usize {
        let texts = match &self.about {
            About::Connection(_) => 0,
            #[cfg(feature = "proxy")]
            About::Flow(flow) => flow.backend.len() + size_of::<Flow>(),
            About::Request(asked) => {
                let texts = [&asked.method, &asked.path, &asked.query, &asked.host];
                let more = [&asked.user_agent, &asked.referer];
                let passed = asked.passed.iter();
                let passed = passed.flat_map(|it| [Some(&it.route), it.backend.as_ref()]).flatten();
                let all = texts.into_iter().chain(more).flatten().chain(passed);
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
            passed: None,
        }
    }
}

/// Other sites put secrets there as well.
fn without_query(url: String) -> Option<String> {
    url.split(['?', '#']).next().map(str::to_owned)
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    format!("{}..", &text[..end])
}
