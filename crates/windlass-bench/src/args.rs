//! What people type: sizes, durations, counts and addresses.
//!
//! Each parser is a plain function from text to value, so that clap and tests use the same one,
//! and each mistake is one sentence that repeats what was typed.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket, written `unix:PATH`.
    Unix(PathBuf),
    /// A UDP address, written `udp:HOST:PORT`.
    Udp(SocketAddr),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("`unix:` needs a path behind it".into());
            }
            return Ok(Target::Unix(path.into()));
        }
        if let Some(text) = text.strip_prefix("udp:") {
            return match text.parse()? {
                Target::Tcp(addr) => Ok(Target::Udp(addr)),
                _ => Err(format!("`{text}` is not HOST:PORT")),
            };
        }
        let mut found =
            text.to_socket_addrs().map_err(|_| format!("`{text}` is neither HOST:PORT nor unix:PATH"))?;
        found.next().map(Target::Tcp).ok_or_else(|| format!("`{text}` has no address"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(addr) => write!(f, "{addr}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Udp(addr) => write!(f, "udp:{addr}"),
        }
    }
}

/// A server as it was typed: where it is, and how it was called, which is what its certificate has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it listens.
    pub target: Target,
    /// Its name or address, without the port; `localhost` for a Unix socket.
    pub host: String,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let target = text.parse()?;
        let host = match &target {
            Target::Unix(_) => "localhost",
            Target::Tcp(_) | Target::Udp(_) => {
                text.trim_start_matches("udp:").rsplit_once(':').map_or("", |(host, _)| host)
            }
        };
        Ok(Place { target, host: host.trim_start_matches('[').trim_end_matches(']').to_owned() })
    }
}

/// The first line of a file, which must not be empty: a password.
///
/// # Errors
/// The file cannot be read, or its first line is empty.
pub(crate) fn first_line(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "the first line of {} is empty", path.display());
    Ok(line.to_owned())
}

/// Splits `16KiB` into `16` and `KiB`.
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    (&text[..at], text[at..].trim())
}

fn number(text: &str, digits: &str) -> Result<f64, String> {
    let plain = digits.replace('_', "");
    plain.parse::<f64>().map_err(|_| format!("`{text}` does not start with a number"))
}

/// Parses a size in bytes: `64`, `64B`, `16KiB`, `1MiB`, `1.5M`. Units are powers of 1,024.
///
/// # Errors
/// No number, an unknown unit, zero, or more than 1 GiB.
pub fn size(text: &str) -> Result<usize, String> {
    let (digits, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{unit}` is not a unit of size; try 64, 16KiB or 1MiB")),
    };
    let bytes = number(text, digits)? * factor;
    if !(1.0..=1024.0 * 1024.0 * 1024.0).contains(&bytes) {
        return Err(format!("`{text}` is not between 1 byte and 1 GiB"));
    }
    Ok(bytes as usize)
}

/// Parses a time: `2`, `2s`, `500ms`, `1.5s`, `1m`. A bare number is seconds.
///
/// # Errors
/// No number, an unknown unit, or more than a day.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_unit(text);
    let factor = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{unit}` is not a unit of time; try 500ms, 10s or 1m")),
    };
    let seconds = number(text, digits)? * factor;
    if seconds > 86_400.0 {
        return Err(format!("`{text}` is more than a day"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Parses a whole number above zero: `1000`, `1,000`, `10_000`, `50k`.
///
/// # Errors
/// Not a number, or zero.
pub fn count(text: &str) -> Result<u64, String> {
    let plain = text.replace([',', '_'], "");
    let (digits, factor) = match plain.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1000),
        None => (plain.as_str(), 1),
    };
    match digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)) {
        Some(0) => Err("zero makes no sense here".into()),
        Some(n) => Ok(n),
        None => Err(format!("`{text}` is not a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("64", 64), ("64B", 64), ("16KiB", 16_384), ("16k", 16_384), ("1MiB", 1 << 20), ("1.5K", 1536)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "KiB", "4 parsecs", "2GiB", "-1", "1e9"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [("2", 2000), ("2s", 2000), ("500ms", 500), ("1.5s", 1500), ("1m", 60_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "5 fortnights", "48h", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts() {
        for (text, n) in [("64", 64), ("1,000", 1000), ("10_000", 10_000), ("50k", 50_000)] {
            assert_eq!(count(text), Ok(n), "{text}");
        }
        for text in ["", "0", "many", "1.5", "-3", "99999999999999999999k"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_keep_the_name() {
        for (text, host) in
            [("localhost:9000", "localhost"), ("[::1]:9000", "::1"), ("unix:/run/x", "localhost")]
        {
            assert_eq!(text.parse::<Place>().unwrap().host, host);
        }
    }

    #[test]
    fn targets() {
        assert_eq!("127.0.0.1:9000".parse(), Ok(Target::Tcp(SocketAddr::from(([127, 0, 0, 1], 9000)))));
        assert_eq!("unix:/run/echo".parse(), Ok(Target::Unix("/run/echo".into())));
        for text in ["unix:", "9000", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(text.parse::<Target>().unwrap_err().contains(text), "{text}");
        }
    }
}
