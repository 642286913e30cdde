//! What an access log can tell of a request.

use std::net::SocketAddr;
use std::time::Duration;

use windlass::{ConnId, Peer};
use windlass_proto::http::{Status, Version};

/// A request that is over: what [`HttpProxy::on_exchange`](crate::HttpProxy::on_exchange) hears of. What the client
/// said is in its own words: whoever writes it into a line has to see to it that it stays one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Exchanged<'a> {
    /// The method; empty if the request could not be read, or came too slowly.
    pub method: &'a str,
    /// The target, as it was sent, with its query.
    pub target: &'a str,
    /// The host that was asked for, with its port.
    pub host: &'a str,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// Its `User-Agent`; empty without one.
    pub user_agent: &'a str,
    /// Its `Referer`; empty without one.
    pub referer: &'a str,
    /// What was answered; `None` if the client left before that.
    pub status: Option<Status>,
    /// Bytes of the request's body that were passed on; of a tunnel, all from the client.
    pub request_bytes: u64,
    /// Bytes of the response's body that were passed on; of a tunnel, all for the client.
    pub response_bytes: u64,
    /// The name of the backend that it went to last, if it went to any.
    pub backend: Option<&'a str>,
    /// The name of its group.
    pub group: &'a str,
    /// It went out on a connection that had served before.
    pub reused: bool,
    /// Tries after the first.
    pub retries: u32,
    /// In the queue, for a backend with room.
    pub queued: Duration,
    /// From then on until it was given to a connection: 0 if one was there.
    pub connecting: Duration,
    /// From then on until the head of the response was there.
    pub responding: Duration,
    /// From the head of the request to its end.
    pub total: Duration,
    /// How it ended.
    pub ending: Ending,
    /// Why it was not served, in a word: the label of a [`Refusal`](crate::Refusal), of an
    /// [`HttpError`](windlass_proto::http::HttpError), or of the rule that was in the way (`no_route`, `method`,
    /// `path`, `underscore`, `host`), or `overload`; `half_closed` where the client's end of its stream was taken
    /// for its leave ([`HttpConfig::abort_on_close`](crate::HttpConfig::abort_on_close)).
    pub why: Option<&'static str>,
    /// Who is at the other end of the client's connection.
    pub peer: Peer,
    /// Who the client is, as a proxy before us says it or the connection does.
    pub source: Option<SocketAddr>,
    /// The client's connection.
    pub conn: ConnId,
    /// The listener that it came in by.
    pub listener: Option<usize>,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// Its response is complete, whoever gave it.
    Complete,
    /// We answered, since it could not be read or was not let through.
    Refused,
    /// We answered, since no backend could be reached in time.
    Unavailable,
    /// We answered, since the backend's response was none, or its connection ended before it.
    Broken,
    /// We answered, since the backend was too slow.
    Timeout,
    /// We answered, since the client was too slow.
    Slow,
    /// The response broke off.
    CutShort,
    /// The client left.
    ClientGone,
    /// It was a tunnel, and that has ended.
    Tunnel,
}

impl Ending {
    /// A short stable name, fit for a metric's label.
    pub const fn label(self) -> &'static str {
        match self {
            Ending::Complete => "complete",
            Ending::Refused => "refused",
            Ending::Unavailable => "unavailable",
            Ending::Broken => "broken",
            Ending::Timeout => "timeout",
            Ending::Slow => "slow",
            Ending::CutShort => "cut_short",
            Ending::ClientGone => "client_gone",
            Ending::Tunnel => "tunnel",
        }
    }
}
