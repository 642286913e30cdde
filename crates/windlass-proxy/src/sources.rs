//! Networks, and who is in them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use windlass::Peer;

/// Peers that are believed: networks, and those of Unix sockets if `unix` is among them. Written as
/// `10.0.0.0/8`, `192.0.2.7`, `2001:db8::/32` and `unix`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    networks: Vec<Network>,
    /// The same, as first and last addresses, in order and without overlaps: one search finds the only one
    /// that may hold an address, of thousands.
    ranges: Vec<(u128, u128)>,
    unix: bool,
}

/// One network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    /// Of 128 bits; IPv4 as it is mapped into IPv6, so that one comparison does for both.
    bits: u128,
    prefix: u32,
}

/// What is no network, and no `unix`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceError(String);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no network: write 10.0.0.0/8, 192.0.2.7, 2001:db8::/32 or unix", self.0)
    }
}

impl std::error::Error for SourceError {}

fn mapped(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl FromStr for Network {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Network, SourceError> {
        let error = || SourceError(text.into());
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let ip: IpAddr = ip.parse().map_err(|_| error())?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= longest).ok_or_else(error)?
            }
            Some(_) => return Err(error()),
        };
        let prefix = prefix + 128 - longest;
        let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
        // Bits behind the prefix are a mistake more often than not: 10.0.0.1/8 may be meant as either.
        if mapped(ip) & !mask != 0 {
            return Err(error());
        }
        Ok(Network { bits: mapped(ip), prefix })
    }
}

impl Sources {
    /// Nobody.
    pub fn none() -> Sources {
        Sources::default()
    }

    /// Those that are written out.
    ///
    /// # Errors
    ///
    /// If one is no network: a prefix that is too long, or an address with bits behind its prefix.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Sources, SourceError> {
        let mut sources = Sources::none();
        for text in texts {
            match text.as_ref() {
                "unix" => sources.unix = true,
                text => sources.networks.push(text.parse()?),
            }
        }
        sources.ranges = ranges(&sources.networks);
        Ok(sources)
    }

    /// Whether nobody is among them.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether a peer is among them.
    pub fn contain(&self, peer: Peer) -> bool {
        match peer {
            Peer::Tcp(address) => self.contain_ip(address.ip()),
            _ => self.unix,
        }
    }

    fn contain_ip(&self, ip: IpAddr) -> bool {
        let bits = mapped(ip);
        let at = self.ranges.partition_point(|(first, _)| *first <= bits);
        at.checked_sub(1).is_some_and(|at| bits <= self.ranges[at].1)
    }
}

fn ranges(networks: &[Network]) -> Vec<(u128, u128)> {
    let range = |network: &Network| {
        let host = u128::MAX.checked_shr(network.prefix).unwrap_or(0);
        (network.bits, network.bits | host)
    };
    let mut all: Vec<_> = networks.iter().map(range).collect();
    all.sort_unstable();
    // Networks overlap only by holding each other, and who holds others stands before them.
    let mut ranges: Vec<(u128, u128)> = Vec::new();
    for (first, last) in all {
        match ranges.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => ranges.push((first, last)),
        }
    }
    ranges
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks = self.networks.iter().map(|network| {
            let ip = Ipv6Addr::from_bits(network.bits);
            match ip.to_ipv4_mapped().filter(|_| network.prefix >= 96) {
                Some(ip) => format!("{ip}/{}", network.prefix - 96),
                None => format!("{ip}/{}", network.prefix),
            }
        });
        let all: Vec<String> = networks.chain(self.unix.then(|| "unix".into())).collect();
        f.write_str(&all.join(" "))
    }
}
