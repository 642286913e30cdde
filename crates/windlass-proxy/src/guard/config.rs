//! What can be set of the guard: plain data with `Default`.

use std::time::Duration;

use crate::sources::Sources;

/// Who is let in at all, and how much of one source. A source is a client's address, as a believed PROXY header
/// says it or as it connects; of IPv6 the network that one customer has. Clients of Unix sockets, and proxies
/// that speak for themselves, have no limits; lists hold for them too.
///
/// What is counted of a source is counted for all workers together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardConfig {
    /// If there is one, nobody else is let in. Default: none, everybody is.
    pub allow: Sources,
    /// They are not let in, though `allow` names them too. Default: none.
    pub deny: Sources,
    /// Connections of one source at the same time. 0: no limit of its own. At most
    /// [`GuardConfig::CONNECTIONS_MAX`]. Default 0.
    pub connections_max: u32,
    /// Clients on loopback may have any number of connections all the same. Default false.
    pub spare_loopback: bool,
    /// New connections of one source per second. 0: any number. Default 0.
    pub connection_rate: u32,
    /// So many may come at once, after a while without any. At least 1. Default 20.
    pub connection_burst: u32,
    /// Requests of one source per second, where there are requests. 0: any number. Default 0.
    pub request_rate: u32,
    /// So many may come at once, after a while without any. At least 1. Default 100.
    pub request_burst: u32,
    /// IPv6 addresses with so many leading bits in common are one source. From 1 to 128. Default 64.
    pub ipv6_prefix: u32,
    /// Sources that are remembered, while there are limits, at 24 bytes each. With more, whoever is nearest to
    /// having its whole burst again is forgotten; nobody who is connected is. If there is nobody to be
    /// forgotten, the newcomer is let in without being counted ([`GuardStats::untracked`](crate::GuardStats)).
    /// Rounded up to a power of two. From 8 to 8,388,608. Default 65,536.
    pub sources_max: u32,
    /// Whoever is refused for one of these reasons is kept for so long without a word, instead of being closed at
    /// once. Default 0.
    pub tarpit: Duration,
    /// Clients that are kept like this at the same time; more are closed at once. Default 1,000.
    pub tarpit_max: usize,
}

impl Default for GuardConfig {
    fn default() -> GuardConfig {
        GuardConfig {
            allow: Sources::none(),
            deny: Sources::none(),
            connections_max: 0,
            spare_loopback: false,
            connection_rate: 0,
            connection_burst: 20,
            request_rate: 0,
            request_burst: 100,
            ipv6_prefix: 64,
            sources_max: 65_536,
            tarpit: Duration::ZERO,
            tarpit_max: 1_000,
        }
    }
}

impl GuardConfig {
    /// The highest that [`GuardConfig::connections_max`] may be.
    pub const CONNECTIONS_MAX: u32 = 1_000_000;

    /// Whether something has to be remembered of sources.
    pub(super) fn counts(&self) -> bool {
        self.connections_max > 0 || self.connection_rate > 0 || self.request_rate > 0
    }

    /// Numbers with what they may be.
    pub(crate) fn ranges(&self) -> [(&'static str, u32, u32, u32); 6] {
        [
            ("guard.connections_max", self.connections_max, 0, GuardConfig::CONNECTIONS_MAX),
            ("guard.connection_rate", self.connection_rate, 0, 1_000_000),
            ("guard.connection_burst", self.connection_burst, 1, 1_000_000),
            ("guard.request_burst", self.request_burst, 1, 1_000_000),
            ("guard.ipv6_prefix", self.ipv6_prefix, 1, 128),
            ("guard.sources_max", self.sources_max, 8, 1 << 23),
        ]
    }
}
