//! Where a backend is.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use windlass::{Address, AddressError};

/// The address of a backend: `10.0.0.1:80`, `[2001:db8::1]:80`, `name.example:80`, which is resolved while the
/// proxy runs, or `unix:/run/app.sock`.
///
/// ```
/// use windlass_proxy::Target;
///
/// assert_eq!("10.0.0.1:80".parse(), Ok(Target::Address(([10, 0, 0, 1], 80).into())));
/// assert_eq!("app.test:80".parse(), Ok(Target::Name { host: "app.test".into(), port: 80 }));
/// assert_eq!("unix:/run/app.sock".parse::<Target>()?.to_string(), "unix:/run/app.sock");
/// # Ok::<(), windlass::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Target {
    /// A TCP address.
    Address(SocketAddr),
    /// A TCP port of a host by its name.
    Name {
        /// In lower case.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The path of a Unix stream socket.
    Unix(PathBuf),
}

impl FromStr for Target {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Target, AddressError> {
        match text.parse()? {
            Address::Unix(path) => Ok(Target::Unix(path)),
            Address::Tcp(_) => {
                if let Ok(address) = text.parse() {
                    return Ok(Target::Address(address));
                }
                let Some((host, port)) = text.rsplit_once(':') else {
                    return Err(AddressError::NoPort(text.into()));
                };
                match port.parse() {
                    Ok(port) if !host.is_empty() && port != 0 => {
                        Ok(Target::Name { host: host.to_ascii_lowercase(), port })
                    }
                    Ok(0) | Err(_) => Err(AddressError::BadPort(port.into())),
                    // For a listener it is every address of the machine; nobody can be called by it.
                    Ok(_) => Err(AddressError::UnknownHost(host.into())),
                }
            }
            _ => Err(AddressError::NoPort(text.into())),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Address(address) => address.fmt(f),
            Target::Name { host, port } => write!(f, "{host}:{port}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
