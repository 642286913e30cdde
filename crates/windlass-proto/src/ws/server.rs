//! The server's side of the opening handshake (RFC 6455 section 4.2).

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use super::config::WsConfig;
use super::endpoint::Endpoint;
use super::frames::Role;
use super::handshake::{ACCEPT_BYTES, HandshakeError, accept_for, is_key, is_token};
use crate::http::{Framing, HeadEncoder, RequestHead, Status, Version};

/// Which pages may open a WebSocket (RFC 6455 section 10.2).
///
/// Browsers let every page of the world connect to every server, with the user's cookies, and only say whose
/// page it is. So a server that looks at cookies, or that is reachable only from inside some network, has
/// to look at the origin. Clients that are no browsers send none and are always let in: they can say
/// whatever they like anyway.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Origins {
    /// Pages of the host that the request itself asks for (`Host`, as both are written): the default. Behind a
    /// proxy that changes `Host`, list the public origins instead. List them too where a page of the same
    /// host without TLS is not to be trusted, since the scheme is not looked at, and for a server on
    /// loopback, which a page of another site can reach under a name of its own (DNS rebinding).
    #[default]
    SameHost,
    /// Every page.
    Any,
    /// Pages of these, each written as browsers do: `https://example.com`, with the port if it is not the
    /// scheme's own.
    Listed(Vec<String>),
}

impl Origins {
    /// Whether a request of this host and this origin is let in.
    pub fn admit(&self, host: Option<&str>, origin: Option<&[u8]>) -> bool {
        let Some(origin) = origin else { return true };
        match self {
            Origins::Any => true,
            Origins::Listed(listed) => listed.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(origin)),
            Origins::SameHost => {
                // `null`, of a page without a place, has no authority.
                let authority = str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
                authority.zip(host).is_some_and(|((_, theirs), host)| theirs.eq_ignore_ascii_case(host))
            }
        }
    }
}

/// A client's request for a WebSocket, found good: to be accepted or refused.
///
/// ```
/// use windlass_proto::http::RequestHeads;
/// use windlass_proto::ws::{Origins, Upgrade, WsConfig};
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///     Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// let head = RequestHeads::default().decode(&mut Input::new(&mut received))?.unwrap();
///
/// let upgrade = Upgrade::new(&head, &Origins::default())?;
/// let mut out = Vec::new();
/// let protocol = upgrade.protocols().find(|&name| name == "superchat");
/// let endpoint = upgrade.accept(&WsConfig::default(), protocol, &mut out);
/// let answer = String::from_utf8(out)?;
/// assert!(answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Upgrade<'h, 'b> {
    /// The request: its path, query, cookies.
    pub head: &'h RequestHead<'b>,
    key: &'b [u8],
}

impl<'h, 'b> Upgrade<'h, 'b> {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`], whose [`respond`](HandshakeError::respond) is the answer. What is no request for a
    /// WebSocket is [`HandshakeError::NotUpgrade`], and may be answered as any request is.
    pub fn new(head: &'h RequestHead<'b>, origins: &Origins) -> Result<Upgrade<'h, 'b>, HandshakeError> {
        if head.version != Version::Http11 || !head.asks_for("websocket") {
            return Err(HandshakeError::NotUpgrade);
        }
        if head.method != "GET" {
            return Err(HandshakeError::Method);
        }
        // A body would be taken for the first frames.
        if !matches!(head.framing, Framing::Empty | Framing::Length(0)) {
            return Err(HandshakeError::NotUpgrade);
        }
        if only(head, "sec-websocket-version") != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        let key = only(head, "sec-websocket-key").filter(|key| is_key(key)).ok_or(HandshakeError::Key)?;
        let mut said = head.headers.all("origin");
        let origin = said.next();
        if said.next().is_some() || !origins.admit(head.host, origin) {
            return Err(HandshakeError::Origin);
        }
        Ok(Upgrade { head, key })
    }

    /// The subprotocols the client offers, those it likes best first.
    pub fn protocols(&self) -> impl Iterator<Item = &'b str> + use<'b> {
        let elements = self.head.headers.list("sec-websocket-protocol");
        elements.filter_map(|element| str::from_utf8(element).ok()).filter(|name| is_token(name))
    }

    /// The page's origin, if a page asks.
    pub fn origin(&self) -> Option<&'b [u8]> {
        self.head.headers.get("origin")
    }

    /// Accepts it: the answer is appended to `out`, with `protocol` if it is one of those offered. What
    /// follows the request in the input are frames for the endpoint.
    pub fn accept(&self, config: &WsConfig, protocol: Option<&str>, out: &mut Vec<u8>) -> Endpoint {
        let (endpoint, headers) = self.agree(config, protocol);
        let mut head = HeadEncoder::response(out, Status::SWITCHING_PROTOCOLS).upgrade("websocket");
        for (name, value) in headers.iter() {
            head = head.header(name, value);
        }
        // Only what is a token goes into it.
        let written = head.end();
        debug_assert!(written.is_ok());
        endpoint
    }

    /// The same for a server that writes the response itself: 101, the upgrade to `websocket`, and these
    /// headers.
    pub fn agree(&self, config: &WsConfig, protocol: Option<&str>) -> (Endpoint, AcceptHeaders<'b>) {
        let protocol = self.protocols().find(|&offered| Some(offered) == protocol);
        #[cfg_attr(not(feature = "deflate"), expect(unused_mut))]
        let mut headers = AcceptHeaders { accept: accept_for(self.key), protocol, extensions: Vec::new() };
        let endpoint = Endpoint::new(Role::Server, config, [0; 16]);
        #[cfg(feature = "deflate")]
        let endpoint = endpoint.with_permessage(config.compression.as_ref().and_then(|compression| {
            super::permessage::choose(compression, &self.head.headers, &mut headers.extensions)
        }));
        (endpoint, headers)
    }
}

/// The headers of a response that accepts a WebSocket, but for the upgrade itself.
#[derive(Clone, Debug)]
pub struct AcceptHeaders<'b> {
    accept: [u8; ACCEPT_BYTES],
    protocol: Option<&'b str>,
    // Empty: there is none.
    extensions: Vec<u8>,
}

impl AcceptHeaders<'_> {
    /// Each with its value: a token, or a list of some.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
        let extensions = Some(&self.extensions[..]).filter(|list| !list.is_empty()).map(text);
        let all = [
            ("sec-websocket-accept", Some(text(&self.accept))),
            ("sec-websocket-protocol", self.protocol),
            ("sec-websocket-extensions", extensions),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

// The value of a header that must be there once.
fn only<'b>(head: &RequestHead<'b>, name: &str) -> Option<&'b [u8]> {
    let mut values = head.headers.all(name);
    values.next().filter(|_| values.next().is_none())
}
