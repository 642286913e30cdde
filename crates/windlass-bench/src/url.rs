//! Where a page or a WebSocket is: an URL, or an address with or without a path.

use std::str::FromStr;

use crate::args::{Place, Target};

/// Where a page or a WebSocket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The server.
    pub place: Place,
    /// Whether the scheme asks for TLS.
    pub secure: bool,
    /// What stands in the header `host`.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        if text.starts_with("unix:") {
            let place = text.parse()?;
            return Ok(Url { place, secure: false, authority: "localhost".into(), path: "/".into() });
        }
        let (secure, scheme, rest) = match text.split_once("://") {
            None => (false, false, text),
            Some(("http" | "ws", rest)) => (false, true, rest),
            Some(("https" | "wss", rest)) => (true, true, rest),
            Some((other, _)) => return Err(format!("`{other}` is no scheme that is known here")),
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place: Place = match (has_port, scheme) {
            (false, true) => format!("{authority}:{}", if secure { 443 } else { 80 }).parse()?,
            _ => authority.parse()?,
        };
        if matches!(place.target, Target::Udp(_)) {
            return Err(format!("`{text}` takes datagrams"));
        }
        Ok(Url { place, secure, authority: authority.to_owned(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, secure, authority, path, target) in [
            ("127.0.0.1:8080", false, "127.0.0.1:8080", "/", "127.0.0.1:8080"),
            ("127.0.0.1:8080/a?b", false, "127.0.0.1:8080", "/a?b", "127.0.0.1:8080"),
            ("http://127.0.0.1", false, "127.0.0.1", "/", "127.0.0.1:80"),
            ("https://127.0.0.1/x", true, "127.0.0.1", "/x", "127.0.0.1:443"),
            ("wss://[::1]:9443?q", true, "[::1]:9443", "/?q", "[::1]:9443"),
            ("unix:/run/x", false, "localhost", "/", "unix:/run/x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.secure, &*url.authority, &*url.path), (secure, authority, path), "{text}");
            assert_eq!(url.place.target.to_string(), target);
        }
        for text in ["", "127.0.0.1", "ftp://127.0.0.1", "http://", "udp:127.0.0.1:1"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
