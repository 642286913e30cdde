//! The client's side of the opening handshake (RFC 6455 section 4.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str;

use sha1_smol::Sha1;

use super::config::WsConfig;
use super::endpoint::Endpoint;
use super::frames::Role;
use super::handshake::{HandshakeError, KEY_BYTES, accept_for, is_token, key_from};
use crate::http::{EncodeError, HeadEncoder, ResponseHead, Status};

/// A client's request for a WebSocket, and the check of its answer.
///
/// ```
/// use windlass_proto::ws::{Opening, WsConfig};
///
/// let opening = Opening::new([7; 32]).protocol("chat").header("authorization", "Bearer ..");
/// let mut out = Vec::new();
/// opening.request("example.com", "/socket", &WsConfig::default(), &mut out)?;
/// assert!(out.starts_with(b"GET /socket HTTP/1.1\r\nhost: example.com\r\n"));
/// # Ok::<(), windlass_proto::http::EncodeError>(())
/// ```
#[derive(Clone)]
pub struct Opening {
    key: [u8; KEY_BYTES],
    seed: [u8; 16],
    protocols: Vec<String>,
    headers: Vec<(String, String)>,
}

impl Opening {
    /// A request whose key, and whose connection's masks ([`MaskKeys`](super::MaskKeys)), are made from
    /// `random`.
    pub fn new(random: [u8; 32]) -> Opening {
        let part = |label: &[u8]| {
            let mut sha1 = Sha1::new();
            sha1.update(label);
            sha1.update(&random);
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&sha1.digest().bytes()[..16]);
            bytes
        };
        // The key is seen by everybody, and must not tell the seed.
        let (key, seed) = (key_from(part(b"key")), part(b"masks"));
        Opening { key, seed, protocols: Vec::new(), headers: Vec::new() }
    }

    /// Offers a subprotocol; those offered first are liked best.
    pub fn protocol(mut self, name: &str) -> Opening {
        self.protocols.push(name.into());
        self
    }

    /// Adds a header: a cookie, an authorization, an origin.
    pub fn header(mut self, name: &str, value: &str) -> Opening {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Appends the request for `target` (path and query) of `host` (with the port, unless it is the scheme's
    /// own) to `out`.
    ///
    /// # Errors
    ///
    /// If one of the texts cannot stand in a request. Nothing is written then.
    pub fn request(
        &self,
        host: &str,
        target: &str,
        config: &WsConfig,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut head = HeadEncoder::request(out, "GET", target)
            .header("host", host)
            .upgrade("websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", self.key);
        if !self.protocols.is_empty() {
            head = head.header("sec-websocket-protocol", self.protocols.join(", "));
        }
        #[cfg(feature = "deflate")]
        if let Some(compression) = &config.compression {
            let mut offer = Vec::new();
            super::permessage::offer(compression, &mut offer);
            head = head.header("sec-websocket-extensions", offer);
        }
        #[cfg(not(feature = "deflate"))]
        let _ = config;
        for (name, value) in &self.headers {
            head = head.header(name, value);
        }
        let bad_name = self.protocols.iter().any(|name| !is_token(name));
        let start_over = if bad_name { head.header("", "") } else { head };
        start_over.end()
    }

    /// Checks the server's answer; `config` as it was for the request. With the endpoint comes the
    /// subprotocol that the server chose. What follows the answer in the input are frames.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`]; the connection is to be ended.
    pub fn answer(
        &self,
        head: &ResponseHead<'_>,
        config: &WsConfig,
    ) -> Result<(Endpoint, Option<&str>), HandshakeError> {
        if head.status != Status::SWITCHING_PROTOCOLS {
            return Err(HandshakeError::Status(head.status));
        }
        let only = |name| {
            let mut values = head.headers.all(name);
            (values.next(), values.next().is_some())
        };
        let upgraded = head.upgrade.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
        let accepted = only("sec-websocket-accept") == (Some(&accept_for(&self.key)[..]), false);
        if !upgraded || !accepted {
            return Err(HandshakeError::Accept);
        }
        let protocol = match only("sec-websocket-protocol") {
            (None, _) => None,
            (Some(name), false) => {
                let offered = self.protocols.iter().find(|offered| offered.as_bytes() == name);
                Some(offered.ok_or(HandshakeError::Protocol)?.as_str())
            }
            (Some(_), true) => return Err(HandshakeError::Protocol),
        };
        let endpoint = Endpoint::new(Role::Client, config, self.seed);
        #[cfg(feature = "deflate")]
        let endpoint =
            endpoint.with_permessage(super::permessage::agree(config.compression.as_ref(), &head.headers)?);
        #[cfg(not(feature = "deflate"))]
        if head.headers.contains("sec-websocket-extensions") {
            return Err(HandshakeError::Extension);
        }
        Ok((endpoint, protocol))
    }
}

/// What is given as a header may be a secret, and the seed is one.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("protocols", &self.protocols).finish_non_exhaustive()
    }
}
