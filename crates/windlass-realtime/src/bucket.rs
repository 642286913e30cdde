//! Rates, bounded: a token bucket in two words, and a table of them for addresses.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use windlass::Time;

/// What may be taken at once and by the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Each second; 0: no limit.
    pub per_second: u32,
    /// At once, if nothing was taken for a while.
    pub burst: u32,
}

impl Rate {
    /// So many a second, and so many at once.
    pub const fn new(per_second: u32, burst: u32) -> Rate {
        Rate { per_second, burst }
    }
}

const SECOND: u64 = 1_000_000_000;

/// One bucket: when it will be full again. It may go below empty by what was taken last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bucket {
    full_at: Time,
}

impl Bucket {
    fn missing(&self, now: Time) -> u64 {
        self.full_at.as_nanos().saturating_sub(now.as_nanos())
    }

    /// How much is in it.
    pub(crate) fn level(&self, rate: Rate, now: Time) -> u64 {
        if rate.per_second == 0 {
            return u64::MAX;
        }
        let (burst, missing) = (u64::from(rate.burst), self.missing(now));
        if missing == 0 {
            return burst;
        }
        let per_second = u64::from(rate.per_second);
        let missing = match missing.checked_mul(per_second) {
            Some(missing) => missing.div_ceil(SECOND),
            None => (u128::from(missing) * u128::from(per_second)).div_ceil(SECOND.into()) as u64,
        };
        burst.saturating_sub(missing)
    }

    /// Takes `amount` if anything is in it; whether there was.
    pub(crate) fn take(&mut self, rate: Rate, amount: u32, now: Time) -> bool {
        let any = self.level(rate, now) > 0;
        if any {
            self.spend(rate, amount, now);
        }
        any
    }

    /// Takes `amount`, whatever is in it.
    pub(crate) fn spend(&mut self, rate: Rate, amount: u32, now: Time) {
        if rate.per_second > 0 {
            let nanos = u64::from(amount) * SECOND / u64::from(rate.per_second);
            self.full_at = self.full_at.max(now) + Duration::from_nanos(nanos);
        }
    }

    fn is_full(&self, now: Time) -> bool {
        self.full_at <= now
    }
}

/// Buckets of addresses: of IPv6 those of a network of 64 bits, since one client has all of that. At most
/// [`Addresses::MAX`]; when there are so many whose buckets are not full, newcomers share one.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    buckets: HashMap<IpAddr, Bucket>,
    others: Bucket,
    swept: Time,
}

impl Addresses {
    pub(crate) const MAX: usize = 4_096;

    /// Takes one from the bucket of an address; whether there was one.
    pub(crate) fn take(&mut self, ip: IpAddr, rate: Rate, now: Time) -> bool {
        let ip = whose(ip);
        if let Some(bucket) = self.buckets.get_mut(&ip) {
            return bucket.take(rate, 1, now);
        }
        if self.buckets.len() >= Addresses::MAX && now.since(self.swept) >= Duration::from_secs(1) {
            // What is full is as good as none. Once a second, so that a flood does not make it costly.
            self.swept = now;
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.buckets.len() >= Addresses::MAX {
            return self.others.take(rate, 1, now);
        }
        self.buckets.entry(ip).or_default().take(rate, 1, now)
    }
}

fn whose(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let mut octets = v6.octets();
                octets[8..].fill(0);
                IpAddr::from(octets)
            }
        },
    }
}

#[cfg(test)]
mod tests;
