//! Where a broker is, by flags or by an URL, and how it is spoken to there.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use windlass::{Connect, Remote};

use crate::args::BrokerArgs;

/// A broker as an URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    secure: bool,
    host: String,
    port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Of mqtt and mqtts.
    pub(super) topic: Option<String>,
    /// The path of ws and wss.
    web: Option<String>,
}

/// Without the password.
impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Url").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let wrong = || "mqtt, mqtts, ws or wss, as in mqtt://USER:PASSWORD@HOST:PORT/TOPIC".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (secure, web) = match scheme {
            "mqtt" => (false, false),
            "mqtts" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            _ => return Err(wrong()),
        };
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (who, place) = match authority.rsplit_once('@') {
            Some((who, place)) => (Some(who), place),
            None => (None, authority),
        };
        let (user, password) = match who.map(|who| who.split_once(':').unwrap_or((who, ""))) {
            None => (None, None),
            Some((user, "")) => (Some(decoded(user)?), None),
            Some((user, password)) => (Some(decoded(user)?), Some(decoded(password)?)),
        };
        // The colons of an IPv6 address stand in brackets.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| format!("`{port}` is no port"))?))
            }
            _ => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        let topic = path.strip_prefix('/').filter(|topic| !web && !topic.is_empty()).map(decoded);
        let web = web.then(|| match path {
            "" | "/" => super::WEB_PATH.to_owned(),
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        });
        Ok(Url { secure, host, port, user, password, topic: topic.transpose()?, web })
    }
}

/// `%41` is `A`.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| (byte as char).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("two hexadecimal digits stand behind %".into());
        };
        bytes.push((high << 4 | low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".into())
}

/// Where to connect, and what to do there.
pub(super) struct Place {
    /// As people say it.
    pub(super) name: String,
    /// Addresses, one as good as the other.
    remotes: Vec<Remote>,
    source: Option<IpAddr>,
    /// Host and path of the WebSocket.
    pub(super) web: Option<(String, String)>,
    #[cfg(feature = "tls")]
    tls: Option<windlass::TlsTarget>,
}

impl Place {
    /// Finds out where that is.
    pub(super) fn of(args: &BrokerArgs) -> Result<Place> {
        let url = args.url.as_ref();
        let secure = is_secure(args);
        let host = url.map_or(&args.host, |url| &url.host);
        let web = url.map_or(&args.ws, |url| if url.web.is_some() { &url.web } else { &args.ws });
        let usual = match (web.is_some(), secure) {
            (false, false) => 1883,
            (false, true) => 8883,
            (true, false) => 80,
            (true, true) => 443,
        };
        let port = url.map_or(args.port, |url| url.port).unwrap_or(usual);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let shown = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
        let (remotes, name) = match &args.unix {
            Some(path) => (vec![Remote::Unix(path.clone())], format!("unix:{}", path.display())),
            None => {
                let name = format!("{shown}:{port}");
                let found: Vec<SocketAddr> = (bare, port)
                    .to_socket_addrs()
                    .with_context(|| format!("cannot find {bare}"))?
                    .filter(|found| args.bind.is_none_or(|bind| bind.is_ipv4() == found.is_ipv4()))
                    .collect();
                ensure!(!found.is_empty(), "{bare} has no address that fits");
                (found.into_iter().map(Remote::Tcp).collect(), name)
            }
        };
        let authority = if port == usual { shown } else { format!("{shown}:{port}") };
        let web = web.as_ref().map(|path| (authority, path.clone()));
        #[cfg(not(feature = "tls"))]
        ensure!(!secure, "this was built without TLS");
        Ok(Place {
            name,
            remotes,
            source: args.bind,
            web,
            #[cfg(feature = "tls")]
            tls: secure.then(|| super::tls::target(&args.tls, bare)).transpose()?,
        })
    }

    /// How many addresses there are.
    pub(super) fn addresses(&self) -> usize {
        self.remotes.len()
    }

    /// The way to one of them, counted round and round.
    pub(super) fn connect(&self, nth: usize) -> Connect {
        let mut connect = Connect::to(Remote::clone(&self.remotes[nth % self.remotes.len()]));
        connect.source = self.source.map(|ip| SocketAddr::new(ip, 0)).filter(|_| !self.is_unix());
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return connect.tls(tls.clone());
        }
        connect
    }

    fn is_unix(&self) -> bool {
        matches!(self.remotes[..], [Remote::Unix(_)])
    }
}

#[cfg(feature = "tls")]
fn is_secure(args: &BrokerArgs) -> bool {
    let tls = &args.tls;
    let asked = tls.cafile.is_some() || tls.capath.is_some() || tls.tls_use_os_certs || tls.cert.is_some();
    asked || args.url.as_ref().is_some_and(|url| url.secure)
}

#[cfg(not(feature = "tls"))]
fn is_secure(args: &BrokerArgs) -> bool {
    args.url.as_ref().is_some_and(|url| url.secure)
}

#[cfg(test)]
#[path = "../tests/mqtt/place.rs"]
mod tests;
