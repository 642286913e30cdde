//! How often an address may ask for a connection: a token bucket for each of the last addresses that did.
//!
//! The table is small and of fixed size. When it is full of others, a random one of four makes room, so a flood
//! from very many addresses is not held up here (what it may cost is bounded by the half-open table) and one from
//! few addresses is.

use alloc::vec;
use alloc::vec::Vec;

const WAYS: usize = 4;
const SETS: usize = 256;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which network, as a keyed hash; zero is an empty place.
    network: u64,
    /// Thousandths of a token.
    tokens: u32,
    /// The millisecond they are of, in 32 bits that may wrap: then it is refilled too little, once.
    at: u32,
}

#[derive(Debug)]
pub(super) struct Buckets {
    per_second: u32,
    burst: u32,
    table: Vec<Bucket>,
}

impl Buckets {
    /// A rate of zero is no limit.
    pub(super) fn new(per_second: u32, burst: u32) -> Buckets {
        Buckets { per_second, burst: burst.clamp(1, u32::MAX / 1000), table: Vec::new() }
    }

    /// Whether `network` may ask once more. `random` chooses who makes room.
    pub(super) fn take(&mut self, now: u64, network: u64, random: u64) -> bool {
        if self.per_second == 0 {
            return true;
        }
        if self.table.is_empty() {
            self.table = vec![Bucket::default(); WAYS * SETS];
        }
        let network = network.max(1);
        let first = network as usize % SETS * WAYS;
        let set = &mut self.table[first..first + WAYS];
        let full = self.burst * 1000;
        let bucket = match set.iter().position(|bucket| bucket.network == network) {
            Some(place) => &mut set[place],
            None => {
                let empty = set.iter().position(|bucket| bucket.network == 0);
                let place = empty.unwrap_or(random as usize % WAYS);
                set[place] = Bucket { network, tokens: full, at: now as u32 };
                &mut set[place]
            }
        };
        let passed = u64::from((now as u32).wrapping_sub(bucket.at));
        let filled =
            passed.saturating_mul(u64::from(self.per_second)).saturating_add(u64::from(bucket.tokens));
        bucket.tokens = filled.min(u64::from(full)) as u32;
        bucket.at = now as u32;
        if bucket.tokens < 1000 {
            return false;
        }
        bucket.tokens -= 1000;
        true
    }
}
