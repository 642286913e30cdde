//! Where backends come from, beside those that are configured.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Names backends: a file, or a name in DNS.
///
/// ```
/// use windlass_proxy::Source;
///
/// for text in ["file:/etc/windlass/backends", "dns:web.internal:80", "dns6:web.internal:80", "srv:_http._tcp.web.internal"] {
///     assert_eq!(text.parse::<Source>()?.to_string(), text);
/// }
/// # Ok::<(), windlass_proxy::SourceTextError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Source {
    /// The backends in a file, which is read again when it has changed: one on each line, or JSON.
    File(PathBuf),
    /// Every address of a name is a backend, at this port.
    Addresses {
        /// The name, from the root: no domain is put behind it.
        host: String,
        /// The port of all of them.
        port: u16,
        /// Which addresses.
        family: Family,
    },
    /// The targets of a service, with their ports and weights (RFC 2782).
    Service {
        /// The name, such as `_http._tcp.example.com`.
        name: String,
    },
}

/// Which addresses of a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Family {
    /// Both A and AAAA.
    #[default]
    Any,
    /// A alone.
    V4,
    /// AAAA alone.
    V6,
}

/// A text that names no source.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SourceTextError {
    /// It does not begin with `file:`, `dns:`, `dns4:`, `dns6:` or `srv:`.
    Kind(String),
    /// No path behind `file:`.
    NoPath,
    /// Not `NAME:PORT`.
    NoPort(String),
    /// No name that DNS could know.
    Name(String),
}

impl fmt::Display for SourceTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceTextError::Kind(text) => write!(
                f,
                "`{text}` is no source of backends: write file:PATH, dns:NAME:PORT (dns4: or dns6: for one \
                 family), or srv:NAME"
            ),
            SourceTextError::NoPath => f.write_str("`file:` needs a path"),
            SourceTextError::NoPort(text) => write!(f, "`{text}` has no port: write NAME:PORT"),
            SourceTextError::Name(name) => write!(f, "`{name}` is no name that DNS could know"),
        }
    }
}

impl std::error::Error for SourceTextError {}

impl FromStr for Source {
    type Err = SourceTextError;

    fn from_str(text: &str) -> Result<Source, SourceTextError> {
        let kind = || SourceTextError::Kind(text.into());
        let (scheme, rest) = text.split_once(':').ok_or_else(kind)?;
        let family = match scheme {
            "file" if rest.is_empty() => return Err(SourceTextError::NoPath),
            "file" => return Ok(Source::File(rest.into())),
            "srv" => return Ok(Source::Service { name: name(rest)? }),
            "dns" => Family::Any,
            "dns4" => Family::V4,
            "dns6" => Family::V6,
            _ => return Err(kind()),
        };
        let no_port = || SourceTextError::NoPort(rest.into());
        let (host, port) = rest.rsplit_once(':').ok_or_else(no_port)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(no_port)?;
        Ok(Source::Addresses { host: name(host)?, port, family })
    }
}

/// A name as DNS has it, without the dot at its end and in lower case (RFC 1035, section 2.3.4: at most 63
/// bytes in a label and 255 in all).
pub(crate) fn name(text: &str) -> Result<String, SourceTextError> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=63).contains(&label.len()) && label.bytes().all(fits)
    };
    let is_address = bare.parse::<std::net::IpAddr>().is_ok();
    match bare.len() <= 253 && !is_address && bare.split('.').all(label) {
        true => Ok(bare.to_ascii_lowercase()),
        false => Err(SourceTextError::Name(text.into())),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "file:{}", path.display()),
            Source::Addresses { host, port, family } => {
                let scheme = match family {
                    Family::Any => "dns",
                    Family::V4 => "dns4",
                    Family::V6 => "dns6",
                };
                write!(f, "{scheme}:{host}:{port}")
            }
            Source::Service { name } => write!(f, "srv:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_or_refused_with_a_reason() {
        for (text, why) in [
            ("10.0.0.1:80", "is no source of backends"),
            ("http://x", "is no source of backends"),
            ("file:", "needs a path"),
            ("dns:web.internal", "has no port"),
            ("dns:web.internal:0", "has no port"),
            ("dns:10.0.0.1:80", "is no name"),
            ("dns:we b:80", "is no name"),
            ("srv:_http.._tcp", "is no name"),
            ("srv:", "is no name"),
        ] {
            let said = text.parse::<Source>().unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
        assert_eq!(
            "srv:_HTTP._tcp.Example.com.".parse::<Source>().unwrap().to_string(),
            "srv:_http._tcp.example.com"
        );
    }
}
