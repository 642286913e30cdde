//! What a check asks: plain data with `Default`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// What a backend is asked when it is [checked](crate::Health::check_every), within
/// [`check_timeout`](crate::Health::check_timeout) from the connection on, over TLS if it speaks that. A check is made by a
/// connection for backends of datagrams too, but for an [exchange](CheckKind::Exchange) with their own port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum CheckKind {
    /// Nothing: that it can be connected to is enough.
    #[default]
    Connect,
    /// An HTTP request.
    Http(HttpCheck),
    /// Bytes, and what it has to say to them. Where datagrams are served, a datagram to the backend's own port and
    /// the one that answers it; to a [`check_address`](crate::Backend::check_address) these are connections too.
    Exchange(ExchangeCheck),
}

/// Where a backend is checked, if not where it is: an agent beside it, or a machine that knows how it is. HAProxy's
/// `port` and `addr`.
///
/// ```
/// use std::net::SocketAddr;
/// use windlass_proxy::{Backend, CheckAddress};
///
/// let agent = SocketAddr::from(([10, 0, 0, 9], 9000));
/// let backend = Backend::at("10.0.0.1:80".parse()?).check_address(agent);
/// assert_eq!(backend.check_address, Some(CheckAddress::Address(agent)));
/// # Ok::<(), windlass::AddressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CheckAddress {
    /// At this port of its host, which a Unix socket has not.
    Port(u16),
    /// At an address of its own.
    Address(SocketAddr),
}

impl From<u16> for CheckAddress {
    fn from(port: u16) -> CheckAddress {
        CheckAddress::Port(port)
    }
}

impl From<SocketAddr> for CheckAddress {
    fn from(address: SocketAddr) -> CheckAddress {
        CheckAddress::Address(address)
    }
}

/// A check by an HTTP/1.1 request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpCheck {
    /// Default `GET`.
    pub method: String,
    /// Its path, with a query if there is one. Default `/`.
    pub path: String,
    /// Its `Host`. Default: the backend's address.
    pub host: Option<String>,
    /// The status has to be in one of these. Default 200 to 399.
    pub status: Vec<RangeInclusive<u16>>,
    /// This text has to be in the first [`HttpCheck::BODY_MAX`] bytes of the body. Default: none.
    pub body: Option<String>,
}

impl HttpCheck {
    /// How much of a body is looked through.
    pub const BODY_MAX: usize = 64 * 1024;
}

impl Default for HttpCheck {
    fn default() -> HttpCheck {
        HttpCheck { method: "GET".into(), path: "/".into(), host: None, status: vec![200..=399], body: None }
    }
}

/// A check by bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExchangeCheck {
    /// What is sent; nothing, to a backend that speaks first.
    pub send: Vec<u8>,
    /// What its answer has to begin with. At most [`ExchangeCheck::EXPECT_MAX`] bytes.
    pub expect: Vec<u8>,
}

impl ExchangeCheck {
    /// How long an expected answer may be.
    pub const EXPECT_MAX: usize = 64 * 1024;
}

impl CheckKind {
    /// What is wrong with it, if something is.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            CheckKind::Connect => None,
            CheckKind::Exchange(exchange) => match exchange.expect.len() {
                0 => Some("an expected answer has at least one byte"),
                len if len > ExchangeCheck::EXPECT_MAX => Some("an expected answer has at most 65,536 bytes"),
                _ => None,
            },
            CheckKind::Http(check) => {
                let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
                if check.method.is_empty() || !check.method.bytes().all(token) || check.method == "CONNECT" {
                    return Some("no method of a request");
                }
                if !check.path.starts_with('/') || !visible(&check.path) || check.path.contains('#') {
                    return Some("a path begins with / and has no spaces");
                }
                if check.host.as_ref().is_some_and(|host| host.is_empty() || !visible(host)) {
                    return Some("no host");
                }
                if check.status.iter().any(|range| *range.start() < 200 || *range.end() > 599)
                    || check.status.iter().all(RangeInclusive::is_empty)
                {
                    return Some("a status is from 200 to 599");
                }
                let too_long = check.body.as_ref().is_some_and(|text| text.len() > HttpCheck::BODY_MAX);
                too_long.then_some("more text than is looked through")
            }
        }
    }
}
