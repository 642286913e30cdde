//! Who is let in: lists of networks, limits for each source, and a tarpit for those who are not. Every mode of
//! the proxy asks it once for a client, when it is known who that is, and once for each request.

mod config;
mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use windlass::{Peer, Time};

pub use config::GuardConfig;
pub(crate) use table::Seat;
use table::{Allowance, Full, Rate, Table};

use crate::refusal::Refusal;
use crate::stats::GuardStats;

/// What a configuration comes to. What has been counted outlives changes, unless it is how it is counted that
/// changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// While there are limits.
    table: Option<Arc<Table>>,
    ipv6_prefix: u32,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// 0: not drawn yet.
    seed: AtomicU64,
    untracked: AtomicU64,
    tarpit: AtomicUsize,
    tarpitted: AtomicU64,
}

/// What is held for a client while it is connected.
#[derive(Debug)]
pub(crate) enum Held {
    /// Its place among the connections of its source.
    Seat(#[expect(dead_code, reason = "it counts itself out")] Seat),
    /// Its place in the tarpit.
    Stay(#[expect(dead_code, reason = "it counts itself out")] Stay),
}

/// A client in the tarpit.
#[derive(Debug)]
pub(crate) struct Stay(Arc<Counts>);

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.tarpit.fetch_sub(1, Relaxed);
    }
}

impl Guard {
    pub(crate) fn new(config: &GuardConfig, before: Option<&Guard>) -> Guard {
        let counts = before.map(|guard| guard.counts.clone()).unwrap_or_default();
        let size = (config.sources_max as usize).next_power_of_two();
        let known = before.filter(|guard| guard.ipv6_prefix == config.ipv6_prefix);
        let known = known.and_then(|guard| guard.table.clone()).filter(|table| table.len() == size);
        let table =
            config.counts().then(|| known.unwrap_or_else(|| Arc::new(Table::new(config.sources_max))));
        Guard { table, ipv6_prefix: config.ipv6_prefix, counts }
    }

    /// Every worker brings a random number; that of the first counts.
    pub(crate) fn seed(&self, random: u64) {
        // It is no matter whether there is one already.
        let _ = self.counts.seed.compare_exchange(0, random | 1, Relaxed, Relaxed);
    }

    /// A client that is this peer. What is returned is held for as long as it is connected.
    pub(crate) fn admit(&self, config: &GuardConfig, peer: Peer, now: Time) -> Result<Option<Held>, Refusal> {
        self.look_up(config, peer)?;
        match peer {
            Peer::Tcp(address) => self.count(config, address.ip(), now),
            _ => Ok(None),
        }
    }

    /// Whether the lists let a peer in.
    pub(crate) fn look_up(&self, config: &GuardConfig, peer: Peer) -> Result<(), Refusal> {
        let allowed = config.allow.is_empty() || config.allow.contain(peer);
        if allowed && !config.deny.contain(peer) { Ok(()) } else { Err(Refusal::Denied) }
    }

    fn count(&self, config: &GuardConfig, ip: IpAddr, now: Time) -> Result<Option<Held>, Refusal> {
        let limited = config.connection_rate > 0 || config.connections_max > 0;
        let Some(table) = self.table.as_ref().filter(|_| limited) else { return Ok(None) };
        let key = table.key(self.source(ip), self.counts.seed.load(Relaxed));
        if config.connection_rate > 0 {
            let allowance = Allowance { rate: config.connection_rate, burst: config.connection_burst };
            match table.spend(key, Rate::Connections, allowance, now) {
                Some(true) => {}
                Some(false) => return Err(Refusal::Rate),
                None => return Ok(self.pass_untracked()),
            }
        }
        if config.connections_max == 0 || (config.spare_loopback && ip.to_canonical().is_loopback()) {
            return Ok(None);
        }
        match table.sit(key, config.connections_max, now) {
            Some(Ok(seat)) => Ok(Some(Held::Seat(seat))),
            Some(Err(Full)) => Err(Refusal::SourceFull),
            None => Ok(self.pass_untracked()),
        }
    }

    /// Whether one more request of a client may be served now.
    pub(crate) fn admit_request(&self, config: &GuardConfig, ip: IpAddr, now: Time) -> bool {
        let Some(table) = self.table.as_ref().filter(|_| config.request_rate > 0) else { return true };
        let key = table.key(self.source(ip), self.counts.seed.load(Relaxed));
        let allowance = Allowance { rate: config.request_rate, burst: config.request_burst };
        table.spend(key, Rate::Requests, allowance, now).unwrap_or_else(|| {
            self.pass_untracked();
            true
        })
    }

    fn pass_untracked(&self) -> Option<Held> {
        self.counts.untracked.fetch_add(1, Relaxed);
        None
    }

    /// A place in the tarpit, if there is one.
    pub(crate) fn tarpit(&self, config: &GuardConfig) -> Option<Held> {
        if config.tarpit.is_zero() {
            return None;
        }
        // Counted first and given back: of several workers one gets the last place.
        if self.counts.tarpit.fetch_add(1, Relaxed) >= config.tarpit_max {
            self.counts.tarpit.fetch_sub(1, Relaxed);
            return None;
        }
        self.counts.tarpitted.fetch_add(1, Relaxed);
        Some(Held::Stay(Stay(self.counts.clone())))
    }

    /// The bits that a source is known by.
    fn source(&self, ip: IpAddr) -> u128 {
        match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => {
                let host = 128 - self.ipv6_prefix.min(128);
                ip.to_bits() & u128::MAX.checked_shl(host).unwrap_or(0)
            }
        }
    }

    pub(crate) fn stats(&self) -> GuardStats {
        GuardStats {
            tarpit: self.counts.tarpit.load(Relaxed),
            tarpitted: self.counts.tarpitted.load(Relaxed),
            untracked: self.counts.untracked.load(Relaxed),
            evicted: self.table.as_ref().map_or(0, |table| table.evicted.load(Relaxed)),
        }
    }
}
