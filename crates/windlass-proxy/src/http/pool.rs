//! Connections to backends that have served and wait for the next request: those of one worker, for all its
//! clients. The one that came last goes first, so that the others grow old and are closed.

use std::time::Duration;

use windlass::Time;

/// Idle connections, by the numbers of their backends.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Sorted by those numbers, which are never given again: there is a place for each backend that may be kept
    /// connections to, and what was there for others goes with them ([`Pool::forget`]).
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    backend: u32,
    /// The one that has waited longest first. Kept while it is empty, for its memory.
    idle: Vec<Idle>,
}

#[derive(Clone, Copy, Debug)]
struct Idle {
    link: u32,
    since: Time,
}

impl Pool {
    fn find(&self, backend: u32) -> Result<usize, usize> {
        self.places.binary_search_by_key(&backend, |place| place.backend)
    }

    fn idle(&mut self, backend: u32) -> Option<&mut Vec<Idle>> {
        let at = self.find(backend).ok()?;
        Some(&mut self.places[at].idle)
    }

    /// Keeps a connection. False: there are as many as may be.
    pub(super) fn put(&mut self, backend: u32, link: u32, now: Time, most: usize) -> bool {
        let at = self.find(backend).unwrap_or_else(|at| {
            self.places.insert(at, Place { backend, idle: Vec::new() });
            at
        });
        let idle = &mut self.places[at].idle;
        if idle.len() >= most {
            return false;
        }
        idle.push(Idle { link, since: now });
        true
    }

    /// Takes the one that came last.
    pub(super) fn take(&mut self, backend: u32) -> Option<u32> {
        self.idle(backend)?.pop().map(|idle| idle.link)
    }

    pub(super) fn has(&self, backend: u32) -> bool {
        self.find(backend).is_ok_and(|at| !self.places[at].idle.is_empty())
    }

    /// Takes out one that has ended.
    pub(super) fn remove(&mut self, backend: u32, link: u32) {
        if let Some(idle) = self.idle(backend) {
            idle.retain(|idle| idle.link != link);
        }
    }

    /// Takes out those that have waited for as long as they may.
    pub(super) fn expire(&mut self, now: Time, timeout: Duration, mut expired: impl FnMut(u32)) {
        for Place { idle, .. } in &mut self.places {
            let old = idle.iter().take_while(|idle| now.since(idle.since) >= timeout).count();
            idle.drain(..old).for_each(|idle| expired(idle.link));
        }
    }

    /// Takes out those that are not to be kept.
    pub(super) fn keep_only(&mut self, keeps: impl Fn(u32, u32) -> bool, mut taken: impl FnMut(u32)) {
        for Place { backend, idle } in &mut self.places {
            idle.retain(|idle| {
                let kept = keeps(*backend, idle.link);
                if !kept {
                    taken(idle.link);
                }
                kept
            });
        }
    }

    /// Gives up the places of backends that are known no more and have no idle connection.
    pub(super) fn forget(&mut self, is_known: impl Fn(u32) -> bool) {
        self.places.retain(|place| !place.idle.is_empty() || is_known(place.backend));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_goes_first_and_the_old_go_by_themselves() {
        let mut pool = Pool::default();
        let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
        assert!(pool.put(3, 10, at(1), 2) && pool.put(3, 11, at(2), 2));
        assert!(!pool.put(3, 12, at(2), 2), "no more than two");
        assert!(pool.has(3) && !pool.has(2) && !pool.has(4));
        let mut expired = Vec::new();
        pool.expire(at(5), Duration::from_secs(4), |link| expired.push(link));
        assert_eq!((expired, pool.take(3), pool.take(3)), (vec![10], Some(11), None));
    }

    /// Discovery gives every address that comes a number of its own.
    #[test]
    fn backends_that_come_and_go_leave_nothing() {
        let mut pool = Pool::default();
        for backend in 0..10_000 {
            assert!(pool.put(backend, backend, Time::ZERO, 9));
            let keeps = |one| one + 3 > backend;
            pool.keep_only(|one, _| keeps(one), |_| {});
            pool.forget(keeps);
            assert!(pool.places.len() <= 3 && pool.places.capacity() <= 8, "{}", pool.places.len());
            assert!((backend.saturating_sub(2)..=backend).all(|one| pool.has(one)));
        }
        // One that is used still has its place until it is not.
        pool.forget(|_| false);
        assert_eq!((pool.places.len(), pool.take(9_998)), (3, Some(9_998)));
        pool.forget(|_| false);
        assert_eq!((pool.places.len(), pool.take(9_999)), (2, Some(9_999)));
    }

    #[test]
    fn one_that_has_ended_is_not_handed_out() {
        let mut pool = Pool::default();
        pool.put(0, 1, Time::ZERO, 9);
        pool.put(0, 2, Time::ZERO, 9);
        pool.put(1, 3, Time::ZERO, 9);
        pool.remove(0, 2);
        assert_eq!((pool.take(0), pool.take(0)), (Some(1), None));
        let mut taken = Vec::new();
        pool.keep_only(|backend, _| backend != 1, |link| taken.push(link));
        assert_eq!(taken, [3]);
    }
}
