//! One request and its response, while they are under way: what has to be remembered to send the request
//! again, to answer it, and to tell of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use windlass::Time;
use windlass_proto::http::{EncodeError, Framing, HeadEncoder, HeaderLines, RequestHead, Status, Version};

use crate::budget::{Retry, Underway};
use crate::http::policy::Forward;
use crate::upstream::Upstream;

/// A request under way. Kept by the worker when it is over, for its memory.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The head that backends get, written anew; and where in it the value of `Host` is, if each gets its own.
    pub(super) head: Vec<u8>,
    pub(super) own_host: bool,
    host_at: Range<usize>,
    /// What the policy has decided.
    pub(super) forward: Option<Forward>,
    /// The method, the target, the host, the user agent and the referer as the client said them, one behind the
    /// other, where somebody wants to hear of it.
    pub(super) said: String,
    /// Where in it all but the first begin.
    pub(super) said_at: [usize; 4],
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// Whether sending it twice is the same as sending it once (RFC 9110 section 9.2.2).
    pub(super) idempotent: bool,
    pub(super) framing: Framing,
    /// It asks for another protocol.
    pub(super) upgrade: bool,
    /// Among which backends.
    pub(super) group: usize,
    /// Numbers of backends that have failed it.
    pub(super) tried: Vec<u32>,
    pub(super) failures: u32,
    /// Counts it in among the requests under way with this group.
    pub(super) underway: Option<Underway>,
    /// Counts its retry, from the call to what comes of it.
    pub(super) retry: Option<Retry>,
    /// A connection that was kept idle has failed it: not another one of those.
    pub(super) wants_new: bool,
    /// Until when it may wait in a queue, the times it has waited before included.
    pub(super) waits_until: Option<Time>,
    /// Bytes of its body that were passed on. What is gone cannot be sent again.
    pub(super) body_bytes: u64,
    /// Trailers of its were passed on, which are not kept.
    pub(super) has_trailers: bool,
    /// When its progress was looked at last, and how much there was.
    body_seen: (Time, u64),
    /// All of it was passed on.
    pub(super) is_sent: bool,
    /// When it was: from then on the backend has its time.
    pub(super) sent_at: Time,
    /// Why it was not served, in a word fit for a label.
    pub(super) why: Option<&'static str>,
    /// Whom it went to last.
    pub(super) upstream: Option<Arc<Upstream>>,
    /// On a connection that had served before.
    pub(super) reused: bool,
    /// Of its response, if that has begun.
    pub(super) status: Option<Status>,
    pub(super) response_bytes: u64,
    /// When its head was there; when it left the queue, or was never in it; when it was given to a backend; when
    /// the head of the response came.
    pub(super) begun: Time,
    pub(super) placed: Time,
    pub(super) linked: Time,
    pub(super) answered: Time,
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange {
            head: Vec::new(),
            own_host: false,
            host_at: 0..0,
            forward: None,
            said: String::new(),
            said_at: [0; 4],
            version: Version::Http11,
            is_head: false,
            idempotent: false,
            framing: Framing::Empty,
            upgrade: false,
            group: 0,
            tried: Vec::new(),
            failures: 0,
            underway: None,
            retry: None,
            wants_new: false,
            waits_until: None,
            body_bytes: 0,
            has_trailers: false,
            body_seen: (Time::ZERO, 0),
            is_sent: false,
            sent_at: Time::ZERO,
            why: None,
            upstream: None,
            reused: false,
            status: None,
            response_bytes: 0,
            begun: Time::ZERO,
            placed: Time::ZERO,
            linked: Time::ZERO,
            answered: Time::ZERO,
        }
    }
}

impl Exchange {
    /// Begins with this request, and nothing of the one before.
    pub(super) fn begin(&mut self, head: &RequestHead<'_>, now: Time, is_heard: bool) {
        let (mut buffer, mut said, mut tried) =
            (std::mem::take(&mut self.head), std::mem::take(&mut self.said), std::mem::take(&mut self.tried));
        buffer.clear();
        said.clear();
        tried.clear();
        let framing = match head.framing {
            // There is nothing to wait for.
            Framing::Length(0) => Framing::Empty,
            framing => framing,
        };
        *self = Exchange {
            head: buffer,
            tried,
            is_head: head.method == "HEAD",
            idempotent: is_idempotent(head.method),
            framing,
            // With a body it is an ordinary request: what follows the body would be two things at once. And what
            // is only asked about is not begun.
            upgrade: head.upgrade.is_some_and(may_be_asked_for)
                && framing == Framing::Empty
                && head.method != "HEAD",
            is_sent: framing == Framing::Empty,
            begun: now,
            placed: now,
            linked: now,
            answered: now,
            ..Exchange::default()
        };
        if is_heard {
            self.version = head.version;
            let header = |name| head.headers.get_str(name).unwrap_or_default();
            let all = [
                head.method,
                head.target_as_sent(),
                head.host.unwrap_or_default(),
                header("user-agent"),
                header("referer"),
            ];
            for (n, text) in all.into_iter().enumerate() {
                if let Some(at) = n.checked_sub(1) {
                    self.said_at[at] = said.len();
                }
                said.push_str(text);
            }
        }
        self.said = said;
    }

    /// Writes the head anew.
    pub(super) fn write_head(
        &mut self,
        head: &RequestHead<'_>,
        target: &str,
        host: &str,
        lines: &HeaderLines,
    ) -> Result<(), EncodeError> {
        let mut encoder = HeadEncoder::request(&mut self.head, head.method, target);
        encoder = encoder.header("host", host).lines(lines);
        encoder = match head.framing {
            Framing::Length(length) => encoder.length(length),
            Framing::Chunked => encoder.chunked(),
            // Methods for which a body means something say that there is none (RFC 9110 section 8.6).
            _ if matches!(head.method, "POST" | "PUT" | "PATCH") => encoder.length(0),
            _ => encoder,
        };
        let upgrade = head.upgrade.filter(|_| self.upgrade);
        if let Some(protocol) = upgrade.and_then(|protocol| std::str::from_utf8(protocol).ok()) {
            encoder = encoder.upgrade(protocol);
        }
        encoder.end()?;
        let host_begins = head.method.len() + target.len() + " ".len() + " HTTP/1.1\r\nhost: ".len();
        self.host_at = host_begins..host_begins + host.len();
        Ok(())
    }

    /// Names another host in it: the backend's own.
    pub(super) fn set_host(&mut self, host: &str) {
        // An address as it was configured: still, nothing but what may stand there gets in.
        if host.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.head.splice(self.host_at.clone(), host.bytes());
            self.host_at.end = self.host_at.start + host.len();
        }
    }

    /// One that could not be read, or came too slowly.
    pub(super) fn unread(begun: Time) -> Box<Exchange> {
        Box::new(Exchange { begun, placed: begun, linked: begun, answered: begun, ..Exchange::default() })
    }

    /// The method, the target, the host, the user agent and the referer.
    pub(super) fn said(&self) -> [&str; 5] {
        let [target, host, user_agent, referer] = self.said_at;
        let bounds = [(0, target), (target, host), (host, user_agent), (user_agent, referer)];
        let [method, target, host, user_agent] = bounds.map(|(from, to)| &self.said[from..to]);
        [method, target, host, user_agent, &self.said[referer..]]
    }

    /// How long its body has made no progress worth the name, which is `least` bytes. Asked for now and then, at
    /// `limit` at the latest.
    pub(super) fn body_idle(&mut self, now: Time, limit: Duration, least: u64) -> Duration {
        let (since, bytes) = self.body_seen;
        let since = since.max(self.linked);
        if self.body_bytes - bytes >= least {
            self.body_seen = (now, self.body_bytes);
            return Duration::ZERO;
        }
        // Whoever sends too little for ever holds a backend as surely as whoever sends nothing.
        if limit.is_zero() { Duration::ZERO } else { now.since(since) }
    }

    /// Whether it can be sent once more, after a connection that has brought nothing of a response ended; the
    /// request may have reached the backend, unless it is known that nothing was sent.
    pub(super) fn can_be_repeated(&self, nothing_sent: bool) -> bool {
        let is_kept = self.body_bytes == 0 && !self.has_trailers;
        self.status.is_none() && is_kept && (self.idempotent || nothing_sent)
    }

    /// How long it has waited in a queue, for a connection, and for the head of the response.
    pub(super) fn times(&self) -> [Duration; 3] {
        [self.placed.since(self.begun), self.linked.since(self.placed), self.answered.since(self.linked)]
    }
}

/// HTTP/2 begun in this way would be a tunnel past all rules for requests (RFC 9113 has given it up).
fn may_be_asked_for(protocols: &[u8]) -> bool {
    let mut each = protocols.split(|byte| *byte == b',').map(|protocol| protocol.trim_ascii());
    std::str::from_utf8(protocols).is_ok()
        && !each.any(|protocol| protocol.get(..3).is_some_and(|begins| begins.eq_ignore_ascii_case(b"h2c")))
}

fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
