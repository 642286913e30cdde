//! Addresses as people write them.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use crate::parts;

/// Where to listen: `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for every address of the machine (IPv4 and
/// IPv6), the same behind `udp:` for datagrams, or `unix:PATH`.
///
/// ```
/// use windlass::Address;
///
/// assert_eq!("127.0.0.1:9000".parse::<Address>()?.to_string(), "127.0.0.1:9000");
/// assert_eq!("unix:/run/echo.sock".parse::<Address>()?.to_string(), "unix:/run/echo.sock");
/// assert!("127.0.0.1".parse::<Address>().unwrap_err().to_string().contains("port"));
/// # Ok::<(), windlass::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Address {
    /// A host, by address or name, and a port; port 0 lets the system choose.
    Tcp(String),
    /// A path of the file system.
    Unix(PathBuf),
    /// A host and a port for datagrams.
    Udp(String),
}

/// An address that cannot be understood, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no `:PORT` at the end.
    NoPort(String),
    /// The port is not a number from 0 to 65535.
    BadPort(String),
    /// `unix:` without a path.
    NoPath,
    /// The host is no address, and no name that can be resolved.
    UnknownHost(String),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::NoPort(text) => {
                write!(f, "`{text}` has no port: write it as HOST:PORT, for example 127.0.0.1:9000")
            }
            AddressError::BadPort(port) => write!(f, "`{port}` is no port: it must be from 0 to 65535"),
            AddressError::NoPath => f.write_str("`unix:` needs a path, for example unix:/tmp/echo.sock"),
            AddressError::UnknownHost(host) => write!(f, "`{host}` is no address and no known host name"),
        }
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(AddressError::NoPath) } else { Ok(Address::Unix(path.into())) };
        }
        if let Some(text) = text.strip_prefix("udp:") {
            return match text.parse()? {
                Address::Tcp(text) => Ok(Address::Udp(text)),
                // Two prefixes make no address.
                _ => Err(AddressError::NoPort(text.into())),
            };
        }
        let bare_ipv6 = text.parse::<std::net::Ipv6Addr>().is_ok();
        let Some((_, port)) = text.rsplit_once(':').filter(|_| !bare_ipv6) else {
            return Err(AddressError::NoPort(text.into()));
        };
        if port.parse::<u16>().is_err() {
            return Err(AddressError::BadPort(port.into()));
        }
        Ok(Address::Tcp(text.into()))
    }
}

impl Address {
    /// The socket addresses it stands for, best first.
    pub(crate) fn resolve(host_port: &str) -> Result<Vec<SocketAddr>, AddressError> {
        if let Some(port) = host_port.strip_prefix(':') {
            let port = port.parse().map_err(|_| AddressError::BadPort(port.into()))?;
            return Ok(vec![(std::net::Ipv6Addr::UNSPECIFIED, port).into()]);
        }
        let found = if parts::NAMES {
            host_port.to_socket_addrs().map(|addrs| addrs.collect::<Vec<_>>()).unwrap_or_default()
        } else {
            literal(host_port).into_iter().collect()
        };
        if found.is_empty() {
            let host = host_port.rsplit_once(':').map_or(host_port, |(host, _)| host);
            return Err(AddressError::UnknownHost(host.into()));
        }
        Ok(found)
    }
}

/// An address as it is, or `localhost`.
fn literal(host_port: &str) -> Option<SocketAddr> {
    let local = || host_port.strip_prefix("localhost:")?.parse().ok();
    host_port.parse().ok().or_else(|| Some((std::net::Ipv4Addr::LOCALHOST, local()?).into()))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(text) => f.write_str(text),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Udp(text) => write!(f, "udp:{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for good in ["127.0.0.1:9000", "[::1]:80", ":8080", "localhost:0", "example.test:65535"] {
            assert_eq!(good.parse(), Ok(Address::Tcp(good.into())));
        }
        assert_eq!("udp::53".parse(), Ok(Address::Udp(":53".into())));
        for (bad, error) in [
            ("udp:127.0.0.1", AddressError::NoPort("127.0.0.1".into())),
            ("udp:unix:/x", AddressError::NoPort("unix:/x".into())),
            ("127.0.0.1", AddressError::NoPort("127.0.0.1".into())),
            ("::1", AddressError::NoPort("::1".into())),
            ("", AddressError::NoPort("".into())),
            ("host:http", AddressError::BadPort("http".into())),
            ("1.2.3.4:65536", AddressError::BadPort("65536".into())),
            ("unix:", AddressError::NoPath),
        ] {
            assert_eq!(bad.parse::<Address>(), Err(error));
        }
        assert_eq!(Address::resolve(":7"), Ok(vec!["[::]:7".parse().unwrap()]));
        assert_eq!(literal("localhost:7"), "127.0.0.1:7".parse().ok());
        assert_eq!(
            (literal("[::1]:7"), literal("localhost"), literal("name:7")),
            ("[::1]:7".parse().ok(), None, None)
        );
        assert!(Address::resolve("no.such.host.invalid:7").is_err());
    }
}
