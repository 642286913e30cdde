//! Limits and habits of a server of pages.

use std::time::Duration;

use windlass_proto::http::{HeaderLines, Limits};

/// How an [`Http`](crate::Http) behaves. Plain data; the defaults are safe on the open network.
///
/// ```
/// use std::time::Duration;
/// use windlass_http::HttpConfig;
///
/// let config = HttpConfig { keep_alive_timeout: Duration::from_secs(15), ..HttpConfig::default() };
/// assert_eq!(config.head_timeout, Duration::from_secs(10));
/// ```
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// How much of everything a request may be. A route can have a limit of its own for bodies.
    pub limits: Limits,
    /// The whole head of a request has to be there so long after its first byte: 10 s. A client that is
    /// slower is answered with 408, however steadily its bytes come. A new connection that says nothing has
    /// as long.
    pub head_timeout: Duration,
    /// Its whole body has to be there so long after its head: 30 s.
    pub body_timeout: Duration,
    /// An answer that was put off with [`Reply::later`](crate::Reply::later) has to come so long after it: 30 s.
    /// Otherwise the request is answered with 504.
    pub answer_timeout: Duration,
    /// A connection without a request under way is closed after so long: 60 s.
    pub keep_alive_timeout: Duration,
    /// Requests on one connection; the response to the last says that it closes. 0: no limit. 1,000.
    pub requests_max: u64,
    /// Bytes of bodies half received that one worker holds for all its connections: 64 MiB. A request whose
    /// body would pass it is answered with 503, and its connection closes.
    pub bodies_max: usize,
    /// Subscribers of one stream of events, on each worker; more are answered with 503. 1,024.
    pub subscribers_max: usize,
    /// A subscriber that has so many bytes waiting when an event comes is slow: 256 KiB.
    pub subscriber_output_max: usize,
    /// What happens to it.
    pub when_slow: WhenSlow,
    /// A stream without events gets a comment this often, so that nobody in between takes it for dead: 15 s.
    pub event_keep_alive: Duration,
    /// The hosts that requests may be for, as `Host` names them, ports left out or in. Others are answered
    /// with 421, which keeps pages of other sites from reaching a server on loopback by a name of their own
    /// (DNS rebinding). Empty: any.
    pub hosts: Vec<String>,
    /// Header lines of every response. The default forbids to guess types, to be framed, to tell other sites
    /// who links to them, and to load anything from elsewhere, inline scripts and styles included.
    pub headers: HeaderLines,
    /// While the worker is overloaded ([`windlass::Limits::overload_lag_max`]) and late, requests are answered
    /// with 503 and `retry-after` with so many seconds, upgrades to WebSocket too: 1. `None`: they are served
    /// all the same, as an admin page wants it.
    pub retry_after: Option<u32>,
    /// What a response with 401 asks for (`www-authenticate`), as RFC 9110 section 15.5.2 wants it, unless the
    /// route says. Empty: nothing.
    pub challenge: String,
    /// The time since 1970, for `date`; asked for once a second. Services read no clock, so without one there
    /// is no `date`, as RFC 9110 section 6.6.1 has it for those without a clock.
    pub clock: Option<fn() -> Duration>,
}

/// What happens to a subscriber that does not keep up with the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenSlow {
    /// Its connection is reset; a browser comes back by itself, and tells the last event it saw.
    #[default]
    Disconnect,
    /// It misses the event.
    Skip,
}

/// What every response says unless something else is configured.
const HEADERS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("content-security-policy", "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
];

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        let mut headers = HeaderLines::new();
        for (name, value) in HEADERS {
            // They are tokens and text, as a test makes sure.
            let _ = headers.push(name, value);
        }
        HttpConfig {
            limits: Limits::default(),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(60),
            requests_max: 1_000,
            bodies_max: 64 * 1024 * 1024,
            subscribers_max: 1_024,
            subscriber_output_max: 256 * 1024,
            when_slow: WhenSlow::Disconnect,
            event_keep_alive: Duration::from_secs(15),
            hosts: Vec::new(),
            retry_after: Some(1),
            headers,
            challenge: String::new(),
            clock: None,
        }
    }
}

impl HttpConfig {
    /// Whether a request for `host` is for us.
    pub(crate) fn is_ours(&self, host: Option<&str>) -> bool {
        let name =
            |host: &str| {
                host.rsplit_once(':').map_or(host.len(), |(name, port)| {
                    if port.contains(']') { host.len() } else { name.len() }
                })
            };
        let same = |ours: &String| {
            host.is_some_and(|host| {
                ours.eq_ignore_ascii_case(host) || ours.eq_ignore_ascii_case(&host[..name(host)])
            })
        };
        self.hosts.is_empty() || self.hosts.iter().any(same)
    }
}
