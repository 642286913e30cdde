//! Who asks, as backends are told: `X-Forwarded-*` and `Forwarded` (RFC 7239).

use std::fmt::Write as _;
use std::net::IpAddr;

use windlass_proto::http::{HeaderLines, Headers, RequestHead, ValueWriter};

use super::Client;
use super::rules::{Both, is_same};
use crate::http::config::{Forwarded, ForwardedHeaders};

/// Names by which applications learn who asks: a client's own are kept from them.
pub(super) fn is_protected(name: &str) -> bool {
    const X: &str = "x-forwarded";
    let begins = name.get(..X.len()).is_some_and(|start| is_same(start, X));
    begins || is_same(name, "forwarded") || is_same(name, "x-real-ip")
}

/// Whether the client came by TLS: to us, or to a proxy that is believed and says so.
pub(super) fn is_secure(forwarded: &Forwarded, headers: &Headers<'_>, client: &Client) -> bool {
    if client.tls || !forwarded.trusted.contain(client.source) {
        return client.tls;
    }
    proto(headers).is_some_and(|proto| matches!(proto, b"https" | b"wss"))
}

/// What a proxy in front says the client speaks, if it says so once, and something that is known.
fn proto<'b>(headers: &Headers<'b>) -> Option<&'b [u8]> {
    const KNOWN: [&[u8]; 4] = [b"http", b"https", b"ws", b"wss"];
    only(headers, "x-forwarded-proto").filter(|value| KNOWN.contains(value))
}

fn only<'b>(headers: &Headers<'b>, name: &str) -> Option<&'b [u8]> {
    let mut values = headers.all(name);
    let value = values.next()?;
    (values.next().is_none() && !value.is_empty()).then_some(value)
}

/// Names that we write ourselves; everything else that is protected passes from who is believed.
pub(super) fn is_written(how: ForwardedHeaders, name: &str) -> bool {
    const X: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"];
    let (x, rfc) = which(how);
    (x && X.iter().any(|written| is_same(written, name))) || (rfc && is_same("forwarded", name))
}

fn which(how: ForwardedHeaders) -> (bool, bool) {
    match how {
        ForwardedHeaders::XForwarded => (true, false),
        ForwardedHeaders::Rfc7239 => (false, true),
        ForwardedHeaders::Both => (true, true),
        ForwardedHeaders::Off => (false, false),
    }
}

/// Writes them. What a believed client says of it is continued.
pub(super) fn write(
    forwarded: &Forwarded,
    head: &RequestHead<'_>,
    client: &Client,
    rules: &Both<'_>,
    lines: &mut HeaderLines,
) {
    let (x, rfc) = which(forwarded.headers);
    let theirs = match forwarded.trusted.contain(client.source) {
        true => head.headers,
        false => Headers::default(),
    };
    // `Connection: x-forwarded-for` takes out what came, and not what we write.
    let theirs =
        |name: &str| if head.headers.list_has("connection", name) { Headers::default() } else { theirs };
    let ip = client.source.addr().map(|addr| addr.ip());
    let secure = if client.tls { b"https".as_slice() } else { b"http" };
    let host = head.host.filter(|host| !host.is_empty()).map(str::as_bytes);
    let mut put = |name: &str, write: &dyn Fn(&mut ValueWriter<'_>) -> bool| {
        if rules.take_out(name) {
            return;
        }
        // What is said consists of what was checked.
        let _ = lines.push_with(name, |value| match write(value) {
            true => {}
            false => value.leave_out(),
        });
    };
    if x {
        put("x-forwarded-for", &|value| {
            let before = list(&theirs("x-forwarded-for"), "x-forwarded-for", value);
            let Some(ip) = ip else { return before };
            value.put(if before { b", " } else { b"" });
            write!(value, "{ip}").is_ok()
        });
        put("x-forwarded-proto", &|value| {
            value.put(proto(&theirs("x-forwarded-proto")).unwrap_or(secure));
            true
        });
        put("x-forwarded-host", &|value| {
            let name = only(&theirs("x-forwarded-host"), "x-forwarded-host").or(host);
            value.put(name.unwrap_or_default());
            name.is_some()
        });
        put("x-forwarded-port", &|value| {
            let is_port = |port: &&[u8]| port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
            match only(&theirs("x-forwarded-port"), "x-forwarded-port").filter(is_port) {
                Some(port) => value.put(port),
                None => match client.local {
                    Some(local) => return write!(value, "{}", local.port()).is_ok(),
                    None => return false,
                },
            }
            true
        });
    }
    if rfc {
        put("forwarded", &|value| {
            if list(&theirs("forwarded"), "forwarded", value) {
                value.put(b", ");
            }
            let _ = match ip {
                Some(IpAddr::V4(ip)) => write!(value, "for={ip}"),
                // Section 6: in brackets, and so in quotes.
                Some(IpAddr::V6(ip)) => write!(value, "for=\"[{ip}]\""),
                None => write!(value, "for=unknown"),
            };
            value.put(b";proto=");
            value.put(secure);
            if let Some(host) = host {
                // Nothing in a host ends a quoted string.
                value.put(b";host=\"");
                value.put(host);
                value.put(b"\"");
            }
            true
        });
    }
}

/// The elements of a list in however many lines it came, as one. False: there is none.
fn list(headers: &Headers<'_>, name: &str, value: &mut ValueWriter<'_>) -> bool {
    let mut any = false;
    for line in headers.all(name).filter(|line| !line.is_empty()) {
        value.put(if any { b", " } else { b"" });
        value.put(line);
        any = true;
    }
    any
}
