//! What `[proxy.http]` may hold, and what a route has to do with HTTP.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use windlass_proxy::HttpConfig;

use crate::config::value::{Count, FilePath, HeaderRule, Network, Secret, Size, Time};

/// How HTTP is served, with `mode = "http"`.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpTable {
    /// The longest head of a request or a response, its first line and its headers together.
    pub(crate) head_max: Size,
    /// The longest first line: method, target and version.
    pub(crate) request_line_max: Size,
    /// The longest header line.
    pub(crate) header_max: Size,
    /// Header lines; 128 at most.
    pub(crate) headers_max: Count,
    /// The longest body of a request; longer ones are refused with 413. 0: of any length, since bodies are
    /// passed on and not kept.
    pub(crate) body_max: Size,
    /// For the head of a request, from its first byte to its last. 0: any time.
    pub(crate) request_timeout: Time,
    /// Between two requests of one connection. 0: any time.
    pub(crate) keep_alive_timeout: Time,
    /// For a backend to begin its response. 0: any time.
    pub(crate) response_timeout: Time,
    /// What has to come of a request's body within `client_timeout`, if it is not all: less is answered with 408.
    /// 0: a byte is enough.
    pub(crate) body_progress_min: Size,
    /// A client that ends its stream has left, although it could still hear: its request is dropped if its response
    /// has not begun, and the connection to the backend is reset.
    pub(crate) abort_on_close: bool,
    /// Requests of one connection. 0: any number.
    pub(crate) requests_max: Count,
    /// Idle connections that each worker keeps to each backend. 0: none is used twice.
    pub(crate) pool_max: Count,
    /// How long such a connection is kept: less than the backend keeps it.
    pub(crate) pool_timeout: Time,
    /// Methods that are let through. None: all but CONNECT and TRACE.
    pub(crate) methods: Vec<String>,
    /// What becomes of header names with an underscore, which many applications take for a hyphen.
    pub(crate) underscores: UnderscoresName,
    /// Refuse paths that name their parent (`/a/../b`, however it is written) with 400.
    pub(crate) refuse_dot_segments: bool,
    /// Redirect whoever did not come by TLS, with 308; but for `/.well-known/acme-challenge/`.
    pub(crate) https_redirect: bool,
    /// The headers in which backends are told who asks. What clients say in them themselves is taken out.
    pub(crate) forwarded: ForwardedName,
    /// Networks, or `unix`, of proxies in front whose own such headers are believed and continued.
    pub(crate) trust_forwarded_from: Vec<Network>,
    /// Give each request a number in `X-Request-Id`.
    pub(crate) request_id: bool,
    /// Changes to the headers of requests: `set NAME: VALUE`, `add NAME: VALUE`, `remove NAME`,
    /// `replace NAME: TEXT -> TEXT`. Values may hold `{client_ip}`, `{host}`, `{method}`, `{path}`, `{query}`,
    /// `{uri}`, `{proto}` and `{request_id}`.
    pub(crate) request_headers: Vec<HeaderRule>,
    /// Changes to the headers of responses, in the same words, without names in braces.
    pub(crate) response_headers: Vec<HeaderRule>,
    /// The same client to the same backend, by a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sticky: Option<StickyTable>,
    /// Pages in place of our own words, where we answer ourselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) error_page: Vec<PageTable>,
}

impl Default for HttpTable {
    fn default() -> HttpTable {
        let config = HttpConfig::default();
        HttpTable {
            head_max: Size(config.limits.head_max),
            request_line_max: Size(config.limits.start_line_max),
            header_max: Size(config.limits.header_line_max),
            headers_max: Count(config.limits.headers_max),
            body_max: Size(0),
            request_timeout: Time(config.request_timeout),
            keep_alive_timeout: Time(config.keep_alive_timeout),
            response_timeout: Time(config.response_timeout),
            body_progress_min: Size(config.body_progress_min as usize),
            abort_on_close: config.abort_on_close,
            requests_max: Count(config.requests_max as usize),
            pool_max: Count(config.pool_max),
            pool_timeout: Time(config.pool_timeout),
            methods: Vec::new(),
            underscores: UnderscoresName::default(),
            refuse_dot_segments: config.refuse_dot_segments,
            https_redirect: config.https_redirect,
            forwarded: ForwardedName::default(),
            trust_forwarded_from: Vec::new(),
            request_id: config.request_id,
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            sticky: None,
            error_page: Vec::new(),
        }
    }
}

/// What becomes of header names with an underscore.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnderscoresName {
    /// Such a header is not passed on.
    #[default]
    Drop,
    /// Such a request is refused with 400.
    Refuse,
    /// They are passed on; but for those that would pass for a header of ours.
    Pass,
}

/// In which headers backends are told who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ForwardedName {
    /// `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
    #[default]
    XForwarded,
    /// `Forwarded`, as RFC 7239 has it.
    Rfc7239,
    /// Both.
    Both,
    /// In none.
    Off,
}

/// A cookie that brings a client to the backend it had.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StickyTable {
    /// What the cookie is called.
    #[schemars(extend("examples" = ["srv"]))]
    pub(crate) cookie: String,
    /// What its values are made with, 16 letters at least; the same for all nodes that share clients. Without
    /// one it is drawn when the process begins, and cookies of the one before mean nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["${STICKY_SECRET}"]))]
    pub(crate) secret: Option<Secret>,
    /// How long clients keep it. 0: until they are closed.
    pub(crate) max_age: Time,
}

impl Default for StickyTable {
    fn default() -> StickyTable {
        StickyTable { cookie: "windlass".into(), secret: None, max_age: Time::default() }
    }
}

/// A page in place of our own words.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageTable {
    /// With which status: 400 to 599.
    #[schemars(extend("examples" = [503]))]
    pub(crate) status: Count,
    /// The page, 64 KiB at most. It is read at the start and on a reload.
    #[schemars(extend("examples" = ["503.html"]))]
    pub(crate) file: FilePath,
    /// What it is.
    #[serde(default = "html")]
    pub(crate) content_type: String,
}

fn html() -> String {
    "text/html; charset=utf-8".into()
}

/// What a route answers itself.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RespondTable {
    /// With which status: 200 to 599.
    pub(crate) status: Count,
    /// What stands in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
    /// The file with what stands in it, 64 KiB at most. It is read at the start and on a reload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<FilePath>,
    /// What that is.
    #[serde(default = "plain")]
    pub(crate) content_type: String,
}

fn plain() -> String {
    "text/plain; charset=utf-8".into()
}
