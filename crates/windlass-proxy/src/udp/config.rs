//! What can be set for datagrams: plain data with `Default`.

use std::time::Duration;

use crate::config::{Backend, ProxyConfig};
use crate::plan::{ConfigError, Plan};
use crate::target::Target;
use windlass_proto::proxy_protocol::Version;

/// How datagrams are passed on. A **flow** is what comes from one address and port of a client to one address of
/// ours, and what its backend answers.
///
/// ```
/// use std::time::Duration;
/// use windlass_proxy::{Backend, ProxyConfig, UdpConfig};
///
/// // Names: one answer to each question, and each question to another server.
/// let dns = UdpConfig { requests_max: 1, replies_expected: 1, ..UdpConfig::default() };
/// let config = ProxyConfig::default().backend(Backend::at("10.0.0.1:53".parse()?)).udp(dns);
/// assert_eq!(config.udp.idle, Duration::from_secs(60));
/// # Ok::<(), windlass::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UdpConfig {
    /// Flows of one worker. Each has a socket, which is a descriptor and a port:
    /// [`Limits::sockets_max`](windlass::Limits::sockets_max) has to be higher, by the datagrams of a turn, and
    /// the system has some 28,000 ports for all workers. At least 1. Default 8192.
    pub flows_max: usize,
    /// Flows of one worker from one address (IPv6: from one /64). 0: no limit. Default 1024.
    pub source_flows_max: usize,
    /// What a newcomer finds when there are as many. Default [`WhenFlowsFull::Evict`].
    pub when_full: WhenFlowsFull,
    /// A flow ends after so much silence in both directions. Not 0. Default 60 s.
    pub idle: Duration,
    /// The same while the server shuts down, if it is shorter: what is over need not be waited for. Not 0.
    /// Default 5 s.
    pub drain_idle: Duration,
    /// Datagrams that answer each one of the client: with the last of them the flow ends, and its socket is
    /// free. 0: it is not known how many. Default 0.
    pub replies_expected: u32,
    /// Datagrams of a client that one flow takes. The next one begins another flow, and so goes to another
    /// backend; answers to those before still come. 0: any number. Default 0.
    pub requests_max: u32,
    /// Bytes that a client may be sent for each byte it has sent, for as long as it has not sent anything after
    /// it was answered. That is a sign that it is there, though no proof: who forges an address may guess when it
    /// was answered. What is more is withheld, and counted. QUIC has 3 (RFC 9000, section 8.1). 0: any number.
    /// Default 0.
    pub reply_factor_max: u32,
}

/// What a flow finds that would be one too many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum WhenFlowsFull {
    /// The one that has been silent for longest makes way: of those whose client has not sent anything after it
    /// was answered, and only if there is none of the others. So a flood of forged addresses evicts itself.
    /// Where a source has too many, it is one of its own oldest.
    #[default]
    Evict,
    /// Its datagrams are dropped.
    Refuse,
}

impl WhenFlowsFull {
    /// A short stable name.
    pub const fn label(self) -> &'static str {
        match self {
            WhenFlowsFull::Evict => "evict",
            WhenFlowsFull::Refuse => "refuse",
        }
    }
}

impl Default for UdpConfig {
    fn default() -> UdpConfig {
        UdpConfig {
            flows_max: 8192,
            source_flows_max: 1024,
            when_full: WhenFlowsFull::default(),
            idle: Duration::from_secs(60),
            drain_idle: Duration::from_secs(5),
            replies_expected: 0,
            requests_max: 0,
            reply_factor_max: 0,
        }
    }
}

impl ProxyConfig {
    /// Sets [`ProxyConfig::udp`].
    pub fn udp(mut self, udp: UdpConfig) -> ProxyConfig {
        self.udp = udp;
        self
    }

    /// Whether datagrams can be served by it, as [`Front::serve_udp`](crate::Front::serve_udp) asks.
    ///
    /// # Errors
    ///
    /// What is only for connections: routes, PROXY headers from clients and of version 1, TLS and Unix sockets.
    pub fn check_udp(&self) -> Result<(), ConfigError> {
        if !self.routes.is_empty() {
            return stream("a route by server name");
        }
        if self.accept_proxy.is_some() {
            return stream("a PROXY header from clients");
        }
        self.backends.iter().try_for_each(check_backend)?;
        let udp = &self.udp;
        for (what, is_zero) in [
            ("udp.flows_max", udp.flows_max == 0),
            ("udp.idle", udp.idle.is_zero()),
            ("udp.drain_idle", udp.drain_idle.is_zero()),
        ] {
            if is_zero {
                return Err(ConfigError::Zero { setting: what });
            }
        }
        Ok(())
    }
}

impl Plan {
    /// The same, with the backends that were added since.
    pub(crate) fn check_udp(&self) -> Result<(), ConfigError> {
        self.config.check_udp()?;
        self.upstreams().try_for_each(|(_, upstream)| check_backend(&upstream.config))
    }
}

fn stream(what: &str) -> Result<(), ConfigError> {
    Err(ConfigError::NotForDatagrams { what: what.into() })
}

fn check_backend(backend: &Backend) -> Result<(), ConfigError> {
    if matches!(backend.to, Target::Unix(_)) {
        return stream(&backend.to.to_string());
    }
    if backend.send_proxy == Some(Version::V1) {
        return stream("a PROXY header of version 1");
    }
    #[cfg(feature = "tls")]
    if backend.tls.is_some() {
        return stream("TLS with a backend");
    }
    Ok(())
}
