//! What `[proxy.http]` and its routes come to.

use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use windlass::proto::http::{Limits, Status};
use windlass_proxy::{
    Action, ErrorPage, Forwarded, ForwardedHeaders, HeaderRule, HostHeader, HttpConfig, HttpRoute, Sources,
    Sticky, Underscores,
};

use super::{Files, count};
use crate::config::proxy::RouteTable;
use crate::config::proxy::http::{ForwardedName, HttpTable, RespondTable, StickyTable, UnderscoresName};
use crate::config::value::{self, Count, Network};

/// The longest page or answer.
const PAGE_MAX: u64 = 64 << 10;

/// What a table comes to. Errors: a page that cannot be read.
pub(super) fn config(table: &HttpTable, files: Files) -> Result<HttpConfig> {
    let networks = table.trust_forwarded_from.iter().map(|Network(text)| text);
    let mut pages = Vec::new();
    for page in &table.error_page {
        let body = page_body(&page.file.0, files)?;
        pages.push(ErrorPage { status: status(page.status)?, content_type: page.content_type.clone(), body });
    }
    Ok(HttpConfig {
        limits: Limits {
            start_line_max: table.request_line_max.0,
            header_line_max: table.header_max.0,
            head_max: table.head_max.0,
            headers_max: table.headers_max.0,
            body_max: if table.body_max.0 == 0 { u64::MAX } else { table.body_max.0 as u64 },
            ..Limits::default()
        },
        request_timeout: table.request_timeout.0,
        keep_alive_timeout: table.keep_alive_timeout.0,
        response_timeout: table.response_timeout.0,
        body_progress_min: table.body_progress_min.0 as u64,
        abort_on_close: table.abort_on_close,
        requests_max: count(table.requests_max),
        pool_max: table.pool_max.0,
        pool_timeout: table.pool_timeout.0,
        methods: table.methods.clone(),
        underscores: match table.underscores {
            UnderscoresName::Drop => Underscores::Drop,
            UnderscoresName::Refuse => Underscores::Refuse,
            UnderscoresName::Pass => Underscores::Pass,
        },
        refuse_dot_segments: table.refuse_dot_segments,
        https_redirect: table.https_redirect,
        forwarded: Forwarded {
            headers: match table.forwarded {
                ForwardedName::XForwarded => ForwardedHeaders::XForwarded,
                ForwardedName::Rfc7239 => ForwardedHeaders::Rfc7239,
                ForwardedName::Both => ForwardedHeaders::Both,
                ForwardedName::Off => ForwardedHeaders::Off,
            },
            trusted: Sources::parse(networks)?,
        },
        request_id: table.request_id,
        sticky: table.sticky.as_ref().map(sticky),
        request: rules(&table.request_headers),
        response: rules(&table.response_headers),
        pages,
    })
}

/// What a route has to do with HTTP. Errors: its answer cannot be read.
pub(super) fn route(table: &RouteTable, files: Files) -> Result<HttpRoute> {
    let action = match (&table.redirect, &table.respond) {
        (Some(_), Some(_)) => {
            bail!("a route answers with a `redirect` or with a `respond`, and not with both")
        }
        (Some(to), None) => {
            Action::Redirect { status: status(table.redirect_status.unwrap_or(Count(302)))?, to: to.clone() }
        }
        (None, Some(respond)) => answer(respond, files)?,
        (None, None) => Action::Forward,
    };
    Ok(HttpRoute {
        hosts: table.hosts.clone(),
        paths: table.paths.clone(),
        methods: table.methods.clone(),
        action,
        strip_prefix: table.strip_prefix.clone().unwrap_or_default(),
        add_prefix: table.add_prefix.clone().unwrap_or_default(),
        host: match table.host_header.as_deref() {
            None => HostHeader::Client,
            Some("{backend}") => HostHeader::Backend,
            Some(host) => HostHeader::Fixed(host.into()),
        },
        request: rules(&table.request_headers),
        response: rules(&table.response_headers),
    })
}

fn answer(table: &RespondTable, files: Files) -> Result<Action> {
    let body = match (&table.body, &table.file) {
        (Some(_), Some(_)) => bail!("a response is its `body` or its `file`, and not both"),
        (Some(body), None) => body.clone().into_bytes(),
        (None, Some(file)) => page_body(&file.0, files)?,
        (None, None) => Vec::new(),
    };
    let content_type = if body.is_empty() { String::new() } else { table.content_type.clone() };
    Ok(Action::Respond { status: status(table.status)?, content_type, body })
}

fn rules(rules: &[value::HeaderRule]) -> Vec<HeaderRule> {
    rules.iter().map(|value::HeaderRule(rule)| rule.clone()).collect()
}

fn status(Count(code): Count) -> Result<Status> {
    let status = u16::try_from(code).ok().and_then(Status::new);
    status.with_context(|| format!("{code} is no status: they are from 100 to 999"))
}

fn sticky(table: &StickyTable) -> Sticky {
    let key = match &table.secret {
        Some(secret) => secret.0.clone().into_bytes(),
        None => drawn().to_vec(),
    };
    Sticky { cookie: table.cookie.clone(), key, max_age: table.max_age.0 }
}

/// A key of this process, so that a reload does not change it.
fn drawn() -> &'static [u8; 16] {
    static KEY: OnceLock<[u8; 16]> = OnceLock::new();
    KEY.get_or_init(|| {
        // Its own key is of the system's randomness.
        let state = RandomState::new();
        let mut key = [0; 16];
        for (n, half) in key.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            *half = state.hash_one(n).to_le_bytes();
        }
        key
    })
}

fn page_body(path: &Path, files: Files) -> Result<Vec<u8>> {
    match files {
        Files::Read => page(path),
        Files::Leave => Ok(Vec::new()),
    }
}

/// A page, or an answer. Errors: it cannot be read, or is too long.
pub(crate) fn page(path: &Path) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let file = std::fs::File::open(path).and_then(|file| match file.metadata()?.is_file() {
        true => Ok(file),
        // Reading a pipe would wait for its other end.
        false => Err(std::io::Error::other("it is no file")),
    });
    let read = file.and_then(|file| file.take(PAGE_MAX + 1).read_to_end(&mut body));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(body.len() as u64 <= PAGE_MAX, "{} is longer than {} KiB", path.display(), PAGE_MAX >> 10);
    Ok(body)
}
