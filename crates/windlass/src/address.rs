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

/// Systems that let nobody listen on an address of the machine beside one who listens on all of them.
const ALL_ARE_ONE: bool = cfg!(any(target_os = "linux", target_os = "android"));

impl Address {
    /// Whether a system that listens on one of them refuses the other: they are the same, or one is every address of the
    /// machine (`:PORT`, `0.0.0.0:PORT`, of IPv6 alone `[::]:PORT`) and the other one of those. Port 0 is another port
    /// each time. A name is the same as itself only, since it is resolved when it is listened on; in a build without the
    /// feature `names`, `localhost` is 127.0.0.1.
    ///
    /// ```
    /// use windlass::Address;
    ///
    /// let [http, same, other] = ["127.0.0.1:80", "127.0.0.1:80", "udp:127.0.0.1:80"].map(str::parse::<Address>);
    /// assert!(http.clone()?.conflicts_with(&same?));
    /// assert!(!http?.conflicts_with(&other?));
    /// # Ok::<(), windlass::AddressError>(())
    /// ```
    pub fn conflicts_with(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Unix(one), Address::Unix(other)) => one == other,
            (Address::Tcp(one), Address::Tcp(other)) | (Address::Udp(one), Address::Udp(other)) => {
                match (Claim::of(one), Claim::of(other)) {
                    (Some(one), Some(other)) => one.conflicts_with(other),
                    _ => one == other && !one.ends_with(":0"),
                }
            }
            _ => false,
        }
    }
}

/// What a listener takes of the machine.
#[derive(Clone, Copy)]
struct Claim {
    addr: SocketAddr,
    /// IPv4 too, on an address of IPv6.
    both: bool,
}

impl Claim {
    /// `None` of a name.
    fn of(host_port: &str) -> Option<Claim> {
        if let Some(port) = host_port.strip_prefix(':') {
            let addr = (std::net::Ipv6Addr::UNSPECIFIED, port.parse().ok()?).into();
            return Some(Claim { addr, both: true });
        }
        let addr = if parts::NAMES { host_port.parse().ok() } else { literal(host_port) };
        Some(Claim { addr: addr?, both: false })
    }

    /// Whether all that the other could listen on is in it.
    fn has(self, other: Claim) -> bool {
        let of_its_kind = self.both || self.addr.is_ipv4() == other.addr.is_ipv4();
        self.addr.ip().is_unspecified() && of_its_kind
    }

    fn conflicts_with(self, other: Claim) -> bool {
        let port = self.addr.port();
        port != 0
            && port == other.addr.port()
            && (self.addr == other.addr || ALL_ARE_ONE && (self.has(other) || other.has(self)))
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

    #[test]
    fn a_name_is_the_same_as_itself() {
        let conflict =
            |one: &str, other: &str| one.parse::<Address>().unwrap().conflicts_with(&other.parse().unwrap());
        assert!(
            conflict("name:7", "name:7") && !conflict("name:7", "name:8") && !conflict("name:0", "name:0")
        );
        assert!(!conflict("name:7", "other:7") && !conflict("name:7", "127.0.0.1:7"));
        assert!(conflict("unix:/a", "unix:/a") && !conflict("unix:/a", "unix:/b"));
        assert_eq!(conflict("localhost:7", "127.0.0.1:7"), !parts::NAMES);
        assert!(conflict("[0::1]:7", "[::1]:7"));
    }
}
