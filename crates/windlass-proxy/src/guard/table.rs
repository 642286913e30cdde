//! What is remembered of sources: a table of fixed size that all workers share, without a lock.
//!
//! A source has one of the eight places of its bucket. A place is a word with the source's tag and its
//! connections, so that both change together, and a word for each of its rates. A place with connections is
//! never given to somebody else; so whoever has counted itself in finds its place again.
//!
//! Two workers that see a source for the first time at the same instant may give it two places. Its limits are
//! then too high by what the second holds, until that is empty.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use windlass::Time;

/// Places of a bucket: some cache lines, looked through in order.
const WAYS: usize = 8;
/// Of a word: the connections. The rest is the tag.
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// In nanoseconds, more than the clocks of two workers ever are apart.
const APART: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Table {
    places: Box<[Place]>,
    /// Sources that were forgotten before they had their burst again.
    pub(super) evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Place {
    /// 0: it is free.
    word: AtomicU64,
    rates: [AtomicU64; 2],
}

/// What is limited in its rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rate {
    Connections,
    Requests,
}

/// So many per second, and so many at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) rate: u32,
    pub(super) burst: u32,
}

/// A source has as many connections as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// A source, as it is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    bucket: usize,
    tag: u64,
}

impl Table {
    pub(super) fn new(sources: u32) -> Table {
        let places = (sources as usize).next_power_of_two().max(WAYS);
        Table { places: (0..places).map(|_| Place::default()).collect(), evicted: AtomicU64::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// With a seed that nobody outside knows: who could choose the bucket could push a neighbour out of it.
    pub(super) fn key(&self, source: u128, seed: u64) -> Key {
        let mut hasher = DefaultHasher::new();
        (seed, source).hash(&mut hasher);
        let hash = hasher.finish();
        let buckets = self.places.len() / WAYS;
        // A table has at most 2^20 buckets, so a bucket and a tag have no bit in common. No tag is 0.
        Key { bucket: (hash as usize & (buckets - 1)) * WAYS, tag: hash >> COUNT_BITS | 1 }
    }

    /// The place of a source; a free one, or one whose source can be forgotten, becomes it. It begins with so
    /// many connections then.
    fn place(&self, key: Key, now: Time, connections: u64) -> Option<(usize, bool)> {
        // Again when somebody else was faster: each time somebody has got on.
        for _ in 0..4 * WAYS {
            let bucket = &self.places[key.bucket..key.bucket + WAYS];
            let mut victim: Option<(u64, usize, u64)> = None;
            for (n, place) in bucket.iter().enumerate() {
                let word = place.word.load(Relaxed);
                if word >> COUNT_BITS == key.tag {
                    return Some((key.bucket + n, false));
                }
                let busy = if word == 0 { 0 } else { place.busy_until().max(1) };
                if word & COUNT == 0 && victim.is_none_or(|(least, _, _)| busy < least) {
                    victim = Some((busy, n, word));
                }
            }
            let (busy, n, word) = victim?;
            let fresh = key.tag << COUNT_BITS | connections;
            if bucket[n].word.compare_exchange(word, fresh, Relaxed, Relaxed).is_ok() {
                bucket[n].rates.iter().for_each(|rate| rate.store(0, Relaxed));
                self.evicted.fetch_add(u64::from(busy > now.as_nanos()), Relaxed);
                return Some((key.bucket + n, true));
            }
        }
        None
    }

    /// One more connection, or request, of a source at its rate. `None`: there is no place for it.
    pub(super) fn spend(&self, key: Key, rate: Rate, allowance: Allowance, now: Time) -> Option<bool> {
        let (at, _) = self.place(key, now, 0)?;
        Some(spend(&self.places[at].rates[rate as usize], allowance, now))
    }

    /// One more connection of a source, of at most so many. `None`: there is no place for it.
    pub(super) fn sit(self: &Arc<Table>, key: Key, most: u32, now: Time) -> Option<Result<Seat, Full>> {
        for _ in 0..4 * WAYS {
            let (at, is_new) = self.place(key, now, 1)?;
            let seat = || Seat { table: self.clone(), at: at as u32 };
            if is_new {
                return Some(Ok(seat()));
            }
            let word = &self.places[at].word;
            let mut seen = word.load(Relaxed);
            // As long as it is this source's place.
            while seen >> COUNT_BITS == key.tag {
                if seen & COUNT >= u64::from(most).min(COUNT) {
                    return Some(Err(Full));
                }
                match word.compare_exchange_weak(seen, seen + 1, Relaxed, Relaxed) {
                    Ok(_) => return Some(Ok(seat())),
                    Err(other) => seen = other,
                }
            }
        }
        None
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> u64 {
        self.places.iter().map(|place| place.word.load(Relaxed) & COUNT).sum()
    }
}

impl Place {
    /// When it has all its bursts again.
    fn busy_until(&self) -> u64 {
        self.rates.iter().map(|rate| rate.load(Relaxed)).max().unwrap_or(0)
    }
}

/// The generic cell rate algorithm: what is kept is when the burst will be whole again.
fn spend(whole_at: &AtomicU64, allowance: Allowance, now: Time) -> bool {
    let now = now.as_nanos();
    let each = Duration::from_secs(1).as_nanos() as u64 / u64::from(allowance.rate.max(1));
    let most = each.saturating_mul(u64::from(allowance.burst.max(1)));
    let full = now.saturating_add(most);
    let mut fits = false;
    let _ = whole_at.fetch_update(Relaxed, Relaxed, |at| {
        // No burst of this allowance lasts so long: another one has left it behind, which is over. The clocks of two
        // workers are never that far apart.
        let is_anothers = at > full.saturating_add(APART);
        let known = if is_anothers { full } else { at };
        let next = known.max(now).saturating_add(each);
        fits = next - now <= most;
        if fits { Some(next) } else { is_anothers.then_some(known) }
    });
    fits
}

/// A connection of a source, counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Seat {
    table: Arc<Table>,
    at: u32,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The count is at least 1, and the tag stays.
        self.table.places[self.at as usize].word.fetch_sub(1, Relaxed);
    }
}
