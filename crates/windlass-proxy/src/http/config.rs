//! What can be set for HTTP: plain data with `Default`.

use std::time::Duration;

use windlass_proto::http::Limits;

/// How HTTP is served, by [`Front::serve_http`](crate::Front::serve_http). TCP and UDP look at none of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpConfig {
    /// How much of everything a client may send. Its `body_max` is `u64::MAX` by default: bodies are passed on,
    /// and not kept. Responses of backends are held to the same limits, but for `body_max`.
    pub limits: Limits,
    /// For the head of a request, from its first byte to its last, however steadily it comes; the first one's
    /// begins with the connection. Zero: any time. Default 10 s.
    pub request_timeout: Duration,
    /// Between two requests of one connection. Zero: any time. Default 60 s.
    pub keep_alive_timeout: Duration,
    /// For a backend to begin its response once it has the request. Zero: any time. Default 60 s.
    pub response_timeout: Duration,
    /// Requests of one connection; the response to the last says that it is. 0: any number. Default 0.
    pub requests_max: u32,
    /// Idle connections that one worker keeps to one backend. 0: none is used twice. Default 64.
    pub pool_max: usize,
    /// How long such a connection is kept: less than backends keep theirs, or requests meet one that is being
    /// closed. Default 4 s.
    pub pool_timeout: Duration,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            limits: Limits { body_max: u64::MAX, ..Limits::default() },
            request_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(60),
            response_timeout: Duration::from_secs(60),
            requests_max: 0,
            pool_max: 64,
            pool_timeout: Duration::from_secs(4),
        }
    }
}
