//! What can be set about backends that are found.

use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "tls")]
use windlass::TlsTarget;
use windlass_proto::proxy_protocol::Version;

use super::list::Found;
use super::source::Source;
use crate::config::Backend;

/// A source of backends, and how those that come from it are spoken with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Discover {
    /// Where they come from.
    pub source: Source,
    /// [`Backend::connections_max`] of each, where the source does not say.
    pub connections_max: usize,
    /// [`Backend::send_proxy`] of each.
    pub send_proxy: Option<Version>,
    /// [`Backend::send_proxy_tlvs`] of each.
    pub send_proxy_tlvs: bool,
    /// [`Backend::tls`] of each: all have a certificate for the same name.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsTarget>,
}

impl Discover {
    /// From this source, with the defaults of [`Backend`].
    pub fn from(source: Source) -> Discover {
        Discover {
            source,
            connections_max: 0,
            send_proxy: None,
            send_proxy_tlvs: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets [`Discover::connections_max`].
    pub fn connections_max(mut self, connections: usize) -> Discover {
        self.connections_max = connections;
        self
    }

    /// Sets [`Discover::send_proxy`].
    pub fn send_proxy(mut self, version: Version) -> Discover {
        self.send_proxy = Some(version);
        self
    }

    /// Sets [`Discover::send_proxy_tlvs`].
    pub fn send_proxy_tlvs(mut self, sends: bool) -> Discover {
        self.send_proxy_tlvs = sends;
        self
    }

    /// Sets [`Discover::tls`].
    #[cfg(feature = "tls")]
    pub fn tls(mut self, target: TlsTarget) -> Discover {
        self.tls = Some(target);
        self
    }

    /// What a find comes to.
    pub(crate) fn backend(&self, found: Found) -> Backend {
        let mut backend = Backend::at(found.to)
            .weight(found.weight.unwrap_or(1))
            .connections_max(found.connections_max.unwrap_or(self.connections_max));
        if let Some(name) = found.name {
            backend.name = name;
        }
        backend.send_proxy = self.send_proxy;
        backend.send_proxy_tlvs = self.send_proxy_tlvs;
        #[cfg(feature = "tls")]
        {
            backend.tls = self.tls.clone();
        }
        backend
    }
}

/// How backends are looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiscoveryConfig {
    /// How often files are looked at. Default 1 s.
    pub file_every: Duration,
    /// Name servers to be asked, one after the other. None: those of `/etc/resolv.conf`, which is read again
    /// now and then.
    pub dns_servers: Vec<SocketAddr>,
    /// How long a name server has for its answer before the next is asked. Default 2 s.
    pub dns_timeout: Duration,
    /// How often a question is asked before it has failed, at all servers together. Default 4.
    pub dns_tries: u32,
    /// An answer counts for at least so long, whatever its time to live. Default 1 s.
    pub ttl_min: Duration,
    /// And for at most so long. Default 5 min.
    pub ttl_max: Duration,
}

impl Default for DiscoveryConfig {
    fn default() -> DiscoveryConfig {
        DiscoveryConfig {
            file_every: Duration::from_secs(1),
            dns_servers: Vec::new(),
            dns_timeout: Duration::from_secs(2),
            dns_tries: 4,
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_find_is_spoken_with_as_its_source_says() {
        let source = Discover::from("dns:web.test:80".parse().unwrap());
        let source = source.connections_max(7).send_proxy(Version::V2).send_proxy_tlvs(true);
        let to = "10.0.0.1:80".parse().unwrap();
        let backend = source.backend(Found { weight: Some(3), connections_max: None, ..Found::at(to) });
        assert_eq!((backend.weight, backend.connections_max), (3, 7));
        assert_eq!((backend.send_proxy, backend.send_proxy_tlvs), (Some(Version::V2), true));
    }
}
