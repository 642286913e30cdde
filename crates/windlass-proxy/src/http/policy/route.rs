//! What a route has to do with HTTP, made ready.

use windlass_proto::http::{HeaderLines, Status};

use super::pages::BODY_MAX;
use super::path::{self, Pattern};
use super::rules::{Of, Rules};
use super::template::{Facts, Leads, PathOnly, Template};
use crate::http::config::{Action, HostHeader, HttpRoute};

/// One route; that of requests which none takes has nothing in it.
#[derive(Debug, Default)]
pub(super) struct Route {
    paths: Vec<Pattern>,
    pub(super) methods: Methods,
    pub(super) act: Act,
    pub(super) strip_prefix: String,
    pub(super) add_prefix: String,
    pub(super) host: HostHeader,
    pub(super) request: Rules,
    pub(super) response: Rules,
}

/// What becomes of its requests.
#[derive(Debug, Default)]
pub(super) enum Act {
    #[default]
    Forward,
    Redirect(Redirect),
    Respond {
        status: Status,
        content_type: String,
        body: Vec<u8>,
    },
}

/// Another address.
#[derive(Debug)]
pub(super) struct Redirect {
    pub(super) status: Status,
    to: Template,
    /// Without a host it would lead nowhere.
    pub(super) wants_host: bool,
}

/// Methods that are let through.
#[derive(Debug, Default)]
pub(super) struct Methods {
    all: Vec<String>,
    list: String,
}

impl Route {
    /// Checks a route; `Err` says what is wrong with it.
    pub(super) fn new(route: &HttpRoute) -> Result<Route, String> {
        let patterns = route.paths.iter().map(|text| Pattern::parse(text));
        let act = match &route.action {
            Action::Forward => Act::Forward,
            Action::Redirect { status, to } => Act::Redirect(Redirect::new(*status, to)?),
            Action::Respond { status, content_type, body } => {
                if !(200..600).contains(&status.code()) || (status.has_no_body() && !body.is_empty()) {
                    return Err(format!("a response with status {} cannot be given", status.code()));
                }
                if *status == Status::UPGRADE_REQUIRED {
                    // RFC 9110 section 15.5.22.
                    return Err("a response with status 426 would have to name a protocol".into());
                }
                if body.len() > BODY_MAX {
                    return Err(format!("its response is longer than {} KiB", BODY_MAX / 1024));
                }
                HeaderLines::new()
                    .push("content-type", content_type)
                    .map_err(|_| format!("`{}` is no content type", content_type.escape_debug()))?;
                Act::Respond { status: *status, content_type: content_type.clone(), body: body.clone() }
            }
        };
        for prefix in [&route.strip_prefix, &route.add_prefix].into_iter().filter(|it| !it.is_empty()) {
            path::check(prefix)?;
        }
        if let HostHeader::Fixed(host) = &route.host
            && (super::tidied_host(super::without_port(host)).is_err() || host.contains('*'))
        {
            return Err(format!("`{host}` is no host"));
        }
        let normal = |prefix: &str| {
            let normal: Vec<u8> = path::Normal::new(prefix.trim_end_matches('/').as_bytes()).collect();
            // What is not ASCII was refused above.
            String::from_utf8(normal).unwrap_or_default()
        };
        Ok(Route {
            paths: patterns.collect::<Result<_, _>>()?,
            methods: Methods::new(&route.methods)?,
            act,
            strip_prefix: normal(&route.strip_prefix),
            add_prefix: route.add_prefix.trim_end_matches('/').into(),
            host: route.host.clone(),
            request: Rules::new(&route.request, Of::Requests)?,
            response: Rules::new(&route.response, Of::Responses)?,
        })
    }

    pub(super) fn wants_id(&self) -> bool {
        let redirect = matches!(&self.act, Act::Redirect(redirect) if redirect.to.wants_id());
        redirect || self.request.wants_id()
    }

    /// How well it fits a path.
    pub(super) fn rank(&self, path: &[u8]) -> Option<(bool, usize)> {
        match &*self.paths {
            [] => Some((false, 0)),
            paths => paths.iter().filter_map(|pattern| pattern.rank(path)).max(),
        }
    }
}

impl Redirect {
    fn new(status: Status, to: &str) -> Result<Redirect, String> {
        if !matches!(status.code(), 301 | 302 | 303 | 307 | 308) {
            return Err(format!(
                "a redirect has status 301, 302, 303, 307 or 308, and not {}",
                status.code()
            ));
        }
        if to.is_empty() {
            return Err("a redirect leads somewhere".into());
        }
        if !to.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("`{to}` holds what no address holds: others than ASCII are written %XX"));
        }
        let to = Template::parse(to)?;
        if to.leads().is_none() {
            return Err(
                "a redirect begins with `https://`, `http://`, `{proto}://`, `/`, `{path}` or `{uri}`".into(),
            );
        }
        Ok(Redirect { status, wants_host: to.wants_host(), to })
    }

    /// The same by TLS.
    pub(super) fn to_https() -> Redirect {
        let to = Template::parse("https://{host}{uri}").unwrap_or_default();
        Redirect { status: Status::PERMANENT_REDIRECT, to, wants_host: true }
    }

    pub(super) fn write(&self, facts: &Facts<'_>, lines: &mut HeaderLines) {
        let _ = lines.push_with("location", |value| match self.to.leads() {
            Some(Leads::Elsewhere) => self.to.write(facts, value),
            _ => self.to.write(facts, &mut PathOnly::to(value)),
        });
    }
}

impl Methods {
    /// Checks methods; `Err` says which is none.
    pub(super) fn new(methods: &[String]) -> Result<Methods, String> {
        for method in methods {
            let is_token = HeaderLines::new().push_with(method, |_| {}).is_ok();
            if !is_token || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                return Err(format!("`{method}` is no method: they are written in capitals"));
            }
            if method == "CONNECT" {
                return Err("`CONNECT` is never let through".into());
            }
        }
        Ok(Methods { all: methods.into(), list: methods.join(", ") })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn allow(&self, method: &str) -> bool {
        match self.is_empty() {
            true => method != "TRACE",
            false => self.all.iter().any(|allowed| allowed == method),
        }
    }

    /// As `Allow` has them.
    pub(super) fn list(&self) -> &str {
        &self.list
    }
}
