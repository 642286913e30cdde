//! What a request asks for, in its four forms (RFC 9112 section 3.2), and whom it asks.

use core::str;

use memchr::memchr;

use crate::http::{HttpError, Version};

/// The target of a request. Which form is allowed follows from the method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Target<'b> {
    /// `/path?query`: what nearly every request has.
    Origin {
        /// From the first slash up to the query, still percent-encoded, as it came: nothing is resolved
        /// in it, `..` neither.
        path: &'b str,
        /// Behind the `?`, if there is one.
        query: Option<&'b str>,
    },
    /// `http://host/path?query`: to a proxy, but servers must take it too.
    Absolute {
        /// `http` or `https`, in any case.
        scheme: &'b str,
        /// The host, and the port if there is one; the request's `Host` says the same.
        authority: &'b str,
        /// As above; `/` if it is empty.
        path: &'b str,
        /// As above.
        query: Option<&'b str>,
    },
    /// `host:port`: of `CONNECT` alone.
    Authority(&'b str),
    /// `*`: of `OPTIONS` alone.
    Asterisk,
}

impl<'b> Target<'b> {
    /// The path, of the forms that have one.
    pub fn path(&self) -> Option<&'b str> {
        match *self {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => Some(path),
            Target::Authority(_) | Target::Asterisk => None,
        }
    }

    /// The query, without its `?`.
    pub fn query(&self) -> Option<&'b str> {
        match *self {
            Target::Origin { query, .. } | Target::Absolute { query, .. } => query,
            Target::Authority(_) | Target::Asterisk => None,
        }
    }

    pub(crate) fn parse(method: &str, target: &'b str) -> Result<Target<'b>, HttpError> {
        // A fragment is never sent, and what is not ASCII is percent-encoded (RFC 3986 section 2). Some of
        // what else that forbids, `|` and `{`, browsers do send.
        if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(HttpError::Target);
        }
        if method == "CONNECT" {
            let port = target.rsplit_once(':').map_or("", |(_, port)| port);
            let valid = is_authority(target.as_bytes()) && !port.is_empty() && !target.starts_with(':');
            return if valid { Ok(Target::Authority(target)) } else { Err(HttpError::Target) };
        }
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Ok(Target::Origin { path, query });
        }
        if target == "*" && method == "OPTIONS" {
            return Ok(Target::Asterisk);
        }
        let Some((scheme, rest)) = target.split_once("://") else { return Err(HttpError::Target) };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(HttpError::Target);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if authority.is_empty() || authority.starts_with(':') || !is_authority(authority.as_bytes()) {
            return Err(HttpError::Target);
        }
        let (path, query) = split_query(rest);
        Ok(Target::Absolute { scheme, authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

fn split_query(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// The host a request is for: its one `Host`, which has to agree with an absolute target.
pub(crate) fn host<'b>(
    version: Version,
    target: &Target<'b>,
    mut fields: impl Iterator<Item = &'b [u8]>,
) -> Result<Option<&'b str>, HttpError> {
    let Some(field) = fields.next() else {
        // HTTP/1.0 knew no Host; whom an absolute target names is known there too.
        return match (version, target) {
            (Version::Http11, _) => Err(HttpError::Host),
            (_, Target::Absolute { authority, .. } | Target::Authority(authority)) => Ok(Some(authority)),
            _ => Ok(None),
        };
    };
    // Empty is allowed, where nobody in particular is asked (RFC 9110 section 7.2).
    if fields.next().is_some() || !is_authority(field) {
        return Err(HttpError::Host);
    }
    let field = str::from_utf8(field).map_err(|_| HttpError::Host)?;
    let agrees = match target {
        Target::Absolute { scheme, authority, .. } => {
            let port = if scheme.eq_ignore_ascii_case("http") { "80" } else { "443" };
            same_authority(authority, field, port)
        }
        // Clients leave the port out of Host, or do not.
        Target::Authority(authority) => {
            let name = |a: &'b str| split_port(a).0;
            name(authority).eq_ignore_ascii_case(name(field))
        }
        _ => true,
    };
    if agrees { Ok(Some(field)) } else { Err(HttpError::Host) }
}

fn same_authority(a: &str, b: &str, default_port: &str) -> bool {
    let ((a, a_port), (b, b_port)) = (split_port(a), split_port(b));
    let same_port = a_port == b_port
        || (a_port.is_empty() && b_port == default_port)
        || (b_port.is_empty() && a_port == default_port);
    a.eq_ignore_ascii_case(b) && same_port
}

/// The name, and the port or nothing.
fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (authority, ""),
    }
}

/// A host, and perhaps a port (RFC 3986 section 3.2), without user names: a name, an IPv4 address, or an IPv6
/// address in brackets. A port is up to five digits.
fn is_authority(bytes: &[u8]) -> bool {
    let (name, port) = if let [b'[', rest @ ..] = bytes {
        let Some(end) = memchr(b']', rest) else { return false };
        let (address, behind) = rest.split_at(end);
        if address.is_empty() || !address.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')) {
            return false;
        }
        (&[][..], &behind[1..])
    } else {
        let end = memchr(b':', bytes).unwrap_or(bytes.len());
        bytes.split_at(end)
    };
    // `%` belongs to names that are percent-encoded; the rest are RFC 3986's unreserved and sub-delims
    // but for those that somebody takes for the end of the name.
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(b);
    let port_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name.iter().all(in_name) && port_valid
}
