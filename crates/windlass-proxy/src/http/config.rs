//! What can be set for HTTP: plain data with `Default`. What it comes to, checked, is in `policy/`.

use std::fmt;
use std::time::Duration;

use windlass_proto::http::{Limits, Status};

use crate::sources::Sources;

/// How HTTP is served, by [`Front::serve_http`](crate::Front). TCP and UDP look at none of it.
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
    /// Bytes of a request's body that have to come within [`Timeouts::client`](crate::Timeouts), or all that there are
    /// left, or the request ends with 408: whoever sends a byte now and then would hold a backend as surely as who
    /// sends nothing. 0: a byte is enough, and silence alone counts. Default 1,024.
    pub body_progress_min: u64,
    /// A client that ends its stream (FIN) has left, although it could still hear: its request is dropped, if all
    /// of it is here and its response has not begun, and the connection to its backend is reset. HAProxy's
    /// `abortonclose`, and what nginx does unless `proxy_ignore_client_abort` is on. Most clients that end their
    /// stream have been closed by somebody who waits no more, and a backend that hangs would be kept by them until
    /// `response_timeout`. False: they get their response. An end behind a request that waits for the one under
    /// way is seen when its turn comes. TCP looks at none of it: there the end of a stream is passed on, and
    /// [`Timeouts::server_fin`](crate::Timeouts) bounds what comes of it. Default true.
    pub abort_on_close: bool,
    /// Requests of one connection; the response to the last says that it is. 0: any number. Default 0.
    pub requests_max: u32,
    /// Idle connections that one worker keeps to one backend. 0: none is used twice. Default 64.
    pub pool_max: usize,
    /// How long such a connection is kept: less than backends keep theirs, or requests meet one that is being
    /// closed. Default 4 s.
    pub pool_timeout: Duration,
    /// Methods that are let through. None: all but `CONNECT` and `TRACE`. `CONNECT` never is.
    pub methods: Vec<String>,
    /// What becomes of header names with an underscore, which many applications cannot tell from a hyphen.
    pub underscores: Underscores,
    /// Whether paths that name their parent or themselves are refused with 400, however they write that:
    /// `/a/../b`, `/a/%2e%2e/b`, `/a/..;/b`, `/a/..%2fb`, `/a/..\b`; and paths with `%00`. Where they are not,
    /// routes are found by the path as it is written, and whoever resolves it behind us is elsewhere than a
    /// route meant. Default true.
    pub refuse_dot_segments: bool,
    /// Redirects whoever did not come by TLS to `https://`, with 308; but for `/.well-known/acme-challenge/`.
    pub https_redirect: bool,
    /// Who asks, as backends are told.
    pub forwarded: Forwarded,
    /// Gives each request a number in `X-Request-Id`; one from a client that is believed stays.
    pub request_id: bool,
    /// The same client to the same backend, by a cookie.
    pub sticky: Option<Sticky>,
    /// Changes to the headers of all requests, before those of their route.
    pub request: Vec<HeaderRule>,
    /// Changes to the headers of all responses, before those of their route. What has one of their names does not
    /// pass as a trailer.
    pub response: Vec<HeaderRule>,
    /// What clients see in place of our own words, where we answer ourselves.
    pub pages: Vec<ErrorPage>,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            limits: Limits { body_max: u64::MAX, ..Limits::default() },
            request_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(60),
            response_timeout: Duration::from_secs(60),
            body_progress_min: 1024,
            abort_on_close: true,
            requests_max: 0,
            pool_max: 64,
            pool_timeout: Duration::from_secs(4),
            methods: Vec::new(),
            underscores: Underscores::default(),
            refuse_dot_segments: true,
            https_redirect: false,
            forwarded: Forwarded::default(),
            request_id: false,
            sticky: None,
            request: Vec::new(),
            response: Vec::new(),
            pages: Vec::new(),
        }
    }
}

/// What becomes of header names with an underscore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Underscores {
    /// Such a header is not passed on.
    #[default]
    Drop,
    /// Such a request is refused with 400.
    Refuse,
    /// They are passed on; but for those that would pass for a header we set or take out.
    Pass,
}

/// Who asks, as backends are told. What clients say of it themselves never passes, but for those that are
/// believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forwarded {
    /// In which headers.
    pub headers: ForwardedHeaders,
    /// Proxies in front of us whose own `X-Forwarded-*`, `Forwarded` and `X-Real-IP` are believed: ours is
    /// added to their list. Default: nobody's are.
    pub trusted: Sources,
}

/// In which headers backends are told who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
    /// Both.
    Both,
    /// They are told nothing.
    Off,
}

/// The same client to the same backend, by a cookie that we set. Its value is opaque: without the key nobody
/// can tell which backend it means, or make one up. If its backend is down or takes no new clients, another is
/// chosen, and the cookie set anew.
#[derive(Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The cookie's name, a token.
    pub cookie: String,
    /// The key of its values: at least 16 bytes. Nodes that share clients share it.
    pub key: Vec<u8>,
    /// How long clients keep it, at most a year. Zero: until they are closed. Default 0.
    pub max_age: Duration,
}

impl fmt::Debug for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("Sticky").field("cookie", &self.cookie).field("max_age", &self.max_age).finish()
    }
}

/// One change to the headers of a message. Names are tokens; the headers that say how a message is framed and
/// what becomes of its connection cannot be changed, and `Host` only by [`HttpRoute::host`].
///
/// Values for requests and redirects may hold `{client_ip}`, `{host}` (without a port), `{method}`, `{path}`,
/// `{query}`, `{uri}` (path and query), `{proto}` and `{request_id}`; `{{` and `}}` are braces.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HeaderRule {
    /// Adds a line, whatever there is already.
    Add {
        /// The header.
        name: String,
        /// Its value.
        value: String,
    },
    /// Takes out all lines of this name and adds one.
    Set {
        /// The header.
        name: String,
        /// Its value.
        value: String,
    },
    /// Takes out all lines of this name.
    Remove {
        /// The header.
        name: String,
    },
    /// Puts a text in the place of another, wherever it stands in a value of this name. A value that would
    /// become longer than 16 KiB stays as it is.
    Replace {
        /// The header.
        name: String,
        /// What is looked for, byte by byte; not empty.
        find: String,
        /// What is put there.
        with: String,
    },
}

/// What clients see in place of our own words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorPage {
    /// With which status: 400 to 599.
    pub status: Status,
    /// Its `Content-Type`.
    pub content_type: String,
    /// The page: at most 64 KiB.
    pub body: Vec<u8>,
}

/// What a route has to do with HTTP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HttpRoute {
    /// Names by `Host`: `www.example.com`, `*.example.com` for all below it, `*` for any. Neither case nor port
    /// counts. None: whatever the name, and without one.
    pub hosts: Vec<String>,
    /// Paths: `/api` and what is below it, up to a slash (`/api/` is the same, and `/apis` something else);
    /// `=/api` that path alone. None: any.
    ///
    /// For this comparison alone `%41` is the letter it stands for, `//` is one slash, and `;x` up to the next
    /// slash is not there, as they are to most applications. Case counts.
    pub paths: Vec<String>,
    /// Methods that are let through. None: those of [`HttpConfig::methods`].
    pub methods: Vec<String>,
    /// What becomes of requests that it takes.
    pub action: Action,
    /// This beginning of the path is taken off before the request is passed on: a path, without a slash at its
    /// end. Empty: nothing.
    pub strip_prefix: String,
    /// This is put before the path then. Empty: nothing.
    pub add_prefix: String,
    /// What backends are told in `Host`.
    pub host: HostHeader,
    /// Changes to the headers of requests.
    pub request: Vec<HeaderRule>,
    /// Changes to the headers of responses.
    pub response: Vec<HeaderRule>,
}

/// What backends are told in `Host`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum HostHeader {
    /// What the client said.
    #[default]
    Client,
    /// The address of the backend, as it is configured; `localhost` over a Unix socket.
    Backend,
    /// Always this.
    Fixed(String),
}

/// What becomes of requests that a route takes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Action {
    /// They go to its backends.
    #[default]
    Forward,
    /// They are answered with another address.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: Status,
        /// Where, with the texts that values of [`HeaderRule`] may hold: `https://{host}{uri}`.
        to: String,
    },
    /// They are answered.
    Respond {
        /// With this status: 200 to 599.
        status: Status,
        /// Its `Content-Type`. Empty: none.
        content_type: String,
        /// What stands in it: at most 64 KiB.
        body: Vec<u8>,
    },
}
