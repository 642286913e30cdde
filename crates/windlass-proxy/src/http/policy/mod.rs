//! What is to become of a request, and which header lines pass: pure functions of a checked configuration.
//!
//! [`Policy`] is made once for a plan and shared by all workers. For one request: [`Policy::decide`] says whether
//! it goes to a group of backends or is answered here; [`Policy::target`], [`Policy::host`] and
//! [`Policy::request_lines`] are what the backend is sent, [`Policy::response_lines`] what the client gets back,
//! [`Policy::answer_lines`] what it gets from us, and [`Policy::page`] what it gets when something went wrong.
//!
//! All of them write at the end of a buffer of the caller's, and allocate nothing once that has grown. None of
//! them can write a header that says where a message ends or what becomes of its connection.

mod forwarded;
mod hosts;
mod pages;
mod path;
mod route;
mod rules;
mod siphash;
mod sticky;
mod template;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use windlass::Peer;
use windlass_proto::http::{Framing, HeaderLines, RequestHead, ResponseHead, Status, Target};

use self::hosts::{Hosts, without_port};
use self::pages::Pages;
use self::route::{Act, Methods, Redirect, Route};
use self::rules::{Both, Of, Rules};
use self::sticky::Cookies;
use self::template::Facts;
use crate::config::ProxyConfig;
use crate::http::config::{Forwarded, ForwardedHeaders, HeaderRule, HostHeader, Underscores};
use crate::plan::{ConfigError, Group};
use crate::target;
use crate::upstream::Upstream;

pub(crate) use self::hosts::tidied as tidied_host;

/// The rules, made ready.
#[derive(Debug)]
pub(crate) struct Policy {
    hosts: Hosts,
    /// By the numbers of their groups: what belongs to no route first.
    routes: Vec<Route>,
    /// There is somebody for what no route takes.
    has_others: bool,
    methods: Methods,
    underscores: Underscores,
    refuse_dot_segments: bool,
    https: Option<Redirect>,
    forwarded: Forwarded,
    request_id: bool,
    wants_id: bool,
    sticky: Option<Cookies>,
    request: Rules,
    response: Rules,
    pages: Pages,
}

/// Where certificates are asked for, which goes without TLS (RFC 8555 section 8.3).
const ACME: &str = "/.well-known/acme-challenge/";

/// Who asks, beside the words of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Where the connection comes from; behind a trusted PROXY header, whom that names.
    pub(crate) source: Peer,
    /// Where it arrived. Looked at if [`Policy::wants_local`] only.
    pub(crate) local: Option<SocketAddr>,
    /// TLS ended here.
    pub(crate) tls: bool,
    /// The request's number, drawn at random. Looked at if [`Policy::wants_id`] only.
    pub(crate) id: u128,
}

/// What is to become of a request.
#[derive(Debug)]
pub(crate) enum Decision<'p> {
    /// It goes to a backend.
    Forward(Forward),
    /// It is answered here. Its body is drained or the connection closed, as for any early answer.
    Answer(Answer<'p>),
}

/// To which backends a request goes, and by which route's rules. Small, to be kept until the response is
/// there. After a change of the plan `group` has to be the group's new number (`Moved::of`), and all else stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forward {
    /// The number of the group, which is the number of its route too. It has backends.
    pub(crate) group: usize,
    /// The backend the client's cookie asks for, by its id. It is to be taken if it takes clients; if not,
    /// whichever has its turn.
    pub(crate) sticky: Option<u32>,
    /// The client came by TLS, to us or to a proxy in front that is believed.
    secure: bool,
}

/// A response of our own.
#[derive(Debug)]
pub(crate) struct Answer<'p> {
    pub(crate) status: Status,
    /// `None`: a redirect or a response that a route gives.
    pub(crate) denied: Option<Denied>,
    pub(crate) body: &'p [u8],
    of: AnswerOf<'p>,
}

impl Answer<'_> {
    /// The number of the group whose route it is about, if there is one.
    pub(crate) fn group(&self) -> Option<usize> {
        match self.of {
            AnswerOf::Route(number) | AnswerOf::Options(number) => Some(number),
            AnswerOf::Redirect(_, number) | AnswerOf::Denied(number) => number,
        }
    }
}

/// Where an answer is from, with the number of its route.
#[derive(Clone, Copy, Debug)]
enum AnswerOf<'p> {
    Route(usize),
    /// Asked what it can do, and no backend is to be.
    Options(usize),
    Redirect(&'p Redirect, Option<usize>),
    Denied(Option<usize>),
}

/// Why the policy let a request not through. Its label is the reason in counts and logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Denied {
    /// No route takes it, and there are no backends for the rest: 404.
    NoRoute,
    /// Its method is not let through: 405, or 501 for `CONNECT`.
    Method,
    /// Its path could be read in two ways: 400.
    Path,
    /// A header's name could be read in two ways: 400.
    Underscore,
    /// It is to be redirected to its host, and names none: 400.
    Host,
}

impl Denied {
    /// A short stable name.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Denied::NoRoute => "no_route",
            Denied::Method => "method",
            Denied::Path => "path",
            Denied::Underscore => "underscore",
            Denied::Host => "host",
        }
    }
}

/// A response to whoever cannot be served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'p> {
    pub(crate) lines: &'p HeaderLines,
    pub(crate) body: &'p [u8],
}

impl Policy {
    /// Checks what is configured for HTTP, and makes it ready. `groups` are those of the plan, in its order.
    pub(crate) fn new(config: &ProxyConfig, groups: &[Group]) -> Result<Policy, ConfigError> {
        let http = &config.http;
        let wrong = |setting: &'static str| move |why: String| ConfigError::Http { setting, why };
        let mut hosts = Hosts::default();
        let mut routes = vec![Route::default()];
        for (n, route) in config.routes.iter().enumerate() {
            let wrong = |why| ConfigError::HttpRoute { route: n, name: route.name.clone(), why };
            routes.push(Route::new(&route.http).map_err(wrong)?);
            // Names by SNI and protocols are no matter of requests.
            let is_for_requests = route.server_names.is_empty() && route.alpn.is_empty();
            if is_for_requests {
                hosts.add(n + 1, &route.http.hosts);
            }
        }
        let request = Rules::new(&http.request, Of::Requests).map_err(wrong("request"))?;
        let response = Rules::new(&http.response, Of::Responses).map_err(wrong("response"))?;
        let sticky = http.sticky.as_ref().map(|sticky| Cookies::new(sticky, groups)).transpose();
        let wants_id = http.request_id || request.wants_id() || routes.iter().any(Route::wants_id);
        Ok(Policy {
            hosts,
            has_others: groups.first().is_some_and(|group| !group.upstreams.is_empty()),
            methods: Methods::new(&http.methods).map_err(wrong("methods"))?,
            underscores: http.underscores,
            refuse_dot_segments: http.refuse_dot_segments,
            https: http.https_redirect.then(Redirect::to_https),
            forwarded: http.forwarded.clone(),
            request_id: http.request_id,
            wants_id,
            sticky: sticky.map_err(wrong("sticky"))?,
            request,
            response,
            pages: Pages::new(&http.pages).map_err(wrong("pages"))?,
            routes,
        })
    }

    /// Whether [`Client::local`] is looked at.
    pub(crate) fn wants_local(&self) -> bool {
        matches!(self.forwarded.headers, ForwardedHeaders::XForwarded | ForwardedHeaders::Both)
    }

    /// Whether [`Client::id`] is looked at.
    pub(crate) fn wants_id(&self) -> bool {
        self.wants_id
    }

    /// What is to become of a request.
    pub(crate) fn decide<'p>(&'p self, head: &RequestHead<'_>, client: &Client) -> Decision<'p> {
        let path = head.path();
        if self.refuse_dot_segments && path::is_misleading(path) {
            return self.deny(Status::BAD_REQUEST, Denied::Path, None);
        }
        if self.underscores == Underscores::Refuse && head.headers.iter().any(|it| it.name.contains('_')) {
            return self.deny(Status::BAD_REQUEST, Denied::Underscore, None);
        }
        if head.method == "CONNECT" {
            return self.deny(Status::NOT_IMPLEMENTED, Denied::Method, None);
        }
        let secure = forwarded::is_secure(&self.forwarded, &head.headers, client);
        if let Some(https) = self.https.as_ref().filter(|_| !secure && !path.starts_with(ACME)) {
            return self.redirect(https, None, head);
        }
        let found = self.hosts.find(head.host.unwrap_or(""), |candidates| self.best(candidates, path));
        let Some(number) = found.or(self.has_others.then_some(0)) else {
            return self.deny(Status::NOT_FOUND, Denied::NoRoute, None);
        };
        let route = &self.routes[number];
        let methods = if route.methods.is_empty() { &self.methods } else { &route.methods };
        if !methods.allow(head.method) {
            let status =
                if methods.is_empty() { Status::NOT_IMPLEMENTED } else { Status::METHOD_NOT_ALLOWED };
            return self.deny(status, Denied::Method, Some(number));
        }
        match &route.act {
            Act::Forward if is_hop_counted(head) && hops_left(head) == Some(0) => {
                // It asks about whoever it has come to, and must go no further.
                if head.method == "TRACE" {
                    return self.deny(Status::NOT_IMPLEMENTED, Denied::Method, Some(number));
                }
                let of = AnswerOf::Options(number);
                Decision::Answer(Answer { status: Status::NO_CONTENT, denied: None, body: b"", of })
            }
            Act::Forward => {
                let cookies = head.headers.all("cookie");
                let sticky = self.sticky.as_ref().and_then(|sticky| sticky.wanted(number, cookies));
                Decision::Forward(Forward { group: number, sticky, secure })
            }
            Act::Redirect(redirect) => self.redirect(redirect, Some(number), head),
            Act::Respond { status, body, .. } => {
                Decision::Answer(Answer { status: *status, denied: None, body, of: AnswerOf::Route(number) })
            }
        }
    }

    /// Of routes for one host the one whose path fits best; of equals the first.
    fn best(&self, candidates: &[usize], path: &str) -> Option<usize> {
        let ranked = candidates.iter().filter_map(|n| Some((self.routes[*n].rank(path.as_bytes())?, *n)));
        ranked.max_by_key(|(rank, n)| (*rank, std::cmp::Reverse(*n))).map(|(_, n)| n)
    }

    fn deny(&self, status: Status, denied: Denied, route: Option<usize>) -> Decision<'_> {
        let body = self.pages.page(status).body;
        Decision::Answer(Answer { status, denied: Some(denied), body, of: AnswerOf::Denied(route) })
    }

    fn redirect<'p>(
        &'p self,
        redirect: &'p Redirect,
        route: Option<usize>,
        head: &RequestHead<'_>,
    ) -> Decision<'p> {
        if redirect.wants_host && without_port(head.host.unwrap_or("")).is_empty() {
            return self.deny(Status::BAD_REQUEST, Denied::Host, route);
        }
        let of = AnswerOf::Redirect(redirect, route);
        Decision::Answer(Answer { status: redirect.status, denied: None, body: b"", of })
    }

    /// The target of the request to the backend: in origin form, or `*`.
    pub(crate) fn target<'t>(
        &self,
        forward: &Forward,
        head: &RequestHead<'_>,
        scratch: &'t mut String,
    ) -> &'t str {
        scratch.clear();
        if head.target == Target::Asterisk {
            return "*";
        }
        let route = self.route(forward.group);
        // What is taken off may have been written in another way, but then it is there.
        let rest = path::behind(head.path(), &route.strip_prefix).unwrap_or(head.path());
        scratch.push_str(&route.add_prefix);
        scratch.push_str(rest);
        if let Some(query) = head.query() {
            scratch.push('?');
            scratch.push_str(query);
        }
        scratch
    }

    /// The `Host` of the request to the backend; `None`: that of the backend itself, [`host_of`].
    pub(crate) fn host<'h>(&'h self, forward: &Forward, head: &RequestHead<'h>) -> Option<&'h str> {
        match &self.route(forward.group).host {
            HostHeader::Client => Some(head.host.unwrap_or("")),
            HostHeader::Backend => None,
            HostHeader::Fixed(host) => Some(host),
        }
    }

    /// The other header lines of the request to the backend.
    pub(crate) fn request_lines(
        &self,
        forward: &Forward,
        head: &RequestHead<'_>,
        client: &Client,
        lines: &mut HeaderLines,
    ) {
        let rules = Both(&self.request, &self.route(forward.group).request);
        let believed = self.forwarded.trusted.contain(client.source);
        // Theirs stays, if there is one and they are believed; else ours takes its place.
        let gives_id =
            self.request_id && !(believed && head.headers.contains(REQUEST_ID)) && !rules.touch(REQUEST_ID);
        let is_counted = is_hop_counted(head) && !rules.touch(MAX_FORWARDS);
        let left = if is_counted { hops_left(head) } else { None };
        for header in head.headers.end_to_end() {
            let name = header.name;
            // Nobody shall wait for a body that does not come (RFC 9110 section 10.1.1), or say so to HTTP/1.0.
            let expects =
                head.expects_continue && !matches!(head.framing, Framing::Empty | Framing::Length(0));
            let is_dropped = name.eq_ignore_ascii_case("host")
                || (!expects && name.eq_ignore_ascii_case("expect"))
                || (left.is_some() && name.eq_ignore_ascii_case(MAX_FORWARDS))
                || (name.contains('_') && !self.passes_underscore(name, &rules))
                || (forwarded::is_protected(name)
                    && (!believed || forwarded::is_written(self.forwarded.headers, name)))
                || (gives_id && rules::is_same(name, REQUEST_ID));
            let is_done = is_dropped
                || self.sticky.as_ref().is_some_and(|sticky| {
                    name.eq_ignore_ascii_case("cookie") && sticky.without_ours(header, lines)
                });
            if !is_done {
                rules.pass(header, lines);
            }
        }
        if let Some(left) = left {
            let _ = lines.push(MAX_FORWARDS, left.saturating_sub(1).to_string());
        }
        forwarded::write(&self.forwarded, head, client, &rules, lines);
        if gives_id {
            let _ = lines.push_with(REQUEST_ID, |value| {
                let _ = std::fmt::Write::write_fmt(value, format_args!("{:032x}", client.id));
            });
        }
        rules.add(Some(&Facts { head, client, secure: forward.secure }), lines);
    }

    fn passes_underscore(&self, name: &str, rules: &Both<'_>) -> bool {
        let is_ours =
            || rules.touch(name) || forwarded::is_protected(name) || rules::is_same(name, REQUEST_ID);
        self.underscores == Underscores::Pass && !rules::is_framing(name) && !is_ours()
    }

    /// The header lines of the response to the client. `served` is the id of the backend that gave it.
    pub(crate) fn response_lines(
        &self,
        forward: &Forward,
        served: u32,
        head: &ResponseHead<'_>,
        lines: &mut HeaderLines,
    ) {
        let rules = Both(&self.response, &self.route(forward.group).response);
        for header in head.headers.end_to_end() {
            rules.pass(header, lines);
        }
        // What comes before the true response is none.
        if !head.status.is_informational() {
            if let Some(sticky) = &self.sticky {
                sticky.set(forward, served, lines);
            }
            rules.add(None, lines);
        }
    }

    /// Whether a trailer of a response may pass: one of a name that a rule changes must not come this way.
    pub(crate) fn passes_response_trailer(&self, forward: &Forward, name: &str) -> bool {
        !Both(&self.response, &self.route(forward.group).response).touch(name)
    }

    /// Whether a trailer of a request may pass.
    pub(crate) fn passes_trailer(&self, forward: &Forward, name: &str) -> bool {
        let rules = Both(&self.request, &self.route(forward.group).request);
        let is_ours = forwarded::is_protected(name) || rules.touch(name) || rules::is_same(name, REQUEST_ID);
        !is_ours && !rules::is_framing(name) && (!name.contains('_') || self.underscores == Underscores::Pass)
    }

    /// The header lines of an answer of ours; its body is in it.
    pub(crate) fn answer_lines(
        &self,
        answer: &Answer<'_>,
        head: &RequestHead<'_>,
        client: &Client,
        lines: &mut HeaderLines,
    ) {
        let route = answer.group().map(|number| &self.routes[number]);
        match answer.of {
            AnswerOf::Route(_) => {
                if let Some(Act::Respond { content_type, .. }) = route.map(|route| &route.act)
                    && !content_type.is_empty()
                {
                    let _ = lines.push("content-type", content_type);
                }
            }
            AnswerOf::Redirect(redirect, _) => {
                let secure = forwarded::is_secure(&self.forwarded, &head.headers, client);
                redirect.write(&Facts { head, client, secure }, lines);
            }
            AnswerOf::Options(_) => {
                let methods = route.map(|route| &route.methods).filter(|methods| !methods.is_empty());
                let methods = methods.unwrap_or(&self.methods);
                if !methods.is_empty() {
                    let _ = lines.push("allow", methods.list());
                }
            }
            AnswerOf::Denied(_) => {
                for header in self.pages.page(answer.status).lines.headers().iter() {
                    let _ = lines.pass(header);
                }
                if answer.status == Status::METHOD_NOT_ALLOWED {
                    let own = route.map(|route| &route.methods).filter(|methods| !methods.is_empty());
                    let _ = lines.push("allow", own.unwrap_or(&self.methods).list());
                }
            }
        }
        let nothing = Rules::default();
        Both(&self.response, route.map_or(&nothing, |route| &route.response)).add(None, lines);
    }

    /// What a client sees when something went wrong.
    pub(crate) fn page(&self, status: Status) -> Page<'_> {
        self.pages.page(status)
    }

    fn route(&self, group: usize) -> &Route {
        // A group that is gone has no rules any more.
        self.routes.get(group).unwrap_or(&self.routes[0])
    }
}

/// Whether a header rule can be one; `Err` says why not.
pub(crate) fn check_rule(rule: &HeaderRule) -> Result<(), String> {
    Rules::new(std::slice::from_ref(rule), Of::Requests).map(drop)
}

/// The `Host` of requests to a backend that is told its own.
pub(crate) fn host_of(upstream: &Upstream) -> &str {
    match upstream.config.to {
        target::Target::Unix(_) => "localhost",
        _ => &upstream.key,
    }
}

const REQUEST_ID: &str = "x-request-id";
const MAX_FORWARDS: &str = "max-forwards";

/// Whether intermediaries count down how far a request may go (RFC 9110 section 7.6.2).
fn is_hop_counted(head: &RequestHead<'_>) -> bool {
    matches!(head.method, "OPTIONS" | "TRACE")
}

/// How many may still pass it on; the least, where it says so twice. None: any number, or nothing that is a number.
fn hops_left(head: &RequestHead<'_>) -> Option<u64> {
    let numbers = head.headers.all(MAX_FORWARDS).filter(|value| value.iter().all(u8::is_ascii_digit));
    // More than fits is not counted down to nothing in anybody's life.
    let read =
        |value: &[u8]| std::str::from_utf8(value).ok().map(|text| text.parse::<u64>().unwrap_or(u64::MAX));
    numbers.filter(|value| !value.is_empty()).filter_map(read).min()
}
