//! Connections to backends that have served and wait for the next request: those of one worker, for all its
//! clients. The one that came last goes first, so that the others grow old and are closed.

use std::time::Duration;

use windlass::Time;

/// Idle connections, by the numbers of their backends.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The one that has waited longest first.
    idle: Vec<Vec<Idle>>,
}

#[derive(Clone, Copy, Debug)]
struct Idle {
    link: u32,
    since: Time,
}

impl Pool {
    /// Keeps a connection. False: there are as many as may be.
    pub(super) fn put(&mut self, backend: u32, link: u32, now: Time, most: usize) -> bool {
        let backend = backend as usize;
        if self.idle.len() <= backend {
            self.idle.resize_with(backend + 1, Vec::new);
        }
        let idle = &mut self.idle[backend];
        if idle.len() >= most {
            return false;
        }
        idle.push(Idle { link, since: now });
        true
    }

    /// Takes the one that came last.
    pub(super) fn take(&mut self, backend: u32) -> Option<u32> {
        self.idle.get_mut(backend as usize)?.pop().map(|idle| idle.link)
    }

    pub(super) fn has(&self, backend: u32) -> bool {
        self.idle.get(backend as usize).is_some_and(|idle| !idle.is_empty())
    }

    /// Takes out one that has ended.
    pub(super) fn remove(&mut self, backend: u32, link: u32) {
        if let Some(idle) = self.idle.get_mut(backend as usize) {
            idle.retain(|idle| idle.link != link);
        }
    }

    /// Takes out those that have waited for as long as they may.
    pub(super) fn expire(&mut self, now: Time, timeout: Duration, mut expired: impl FnMut(u32)) {
        for idle in &mut self.idle {
            let old = idle.iter().take_while(|idle| now.since(idle.since) >= timeout).count();
            idle.drain(..old).for_each(|idle| expired(idle.link));
        }
    }

    /// Takes out those that are not to be kept.
    pub(super) fn keep_only(&mut self, keeps: impl Fn(u32, u32) -> bool, mut taken: impl FnMut(u32)) {
        for (backend, idle) in self.idle.iter_mut().enumerate() {
            idle.retain(|idle| {
                let kept = keeps(backend as u32, idle.link);
                if !kept {
                    taken(idle.link);
                }
                kept
            });
        }
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
