//! What one worker knows of names: the cache, the queries under way, and who waits for them.
//!
//! A plain machine like the pool's: it takes the time as an argument and neither locks nor asks anybody.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use windlass_proto::Time;

use super::{LookupId, ResolveError, Resolved, ResolverConfig, ResolverStats};
use crate::id::ConnId;
use crate::offload::JobId;

/// What is known of a name. The ports are not.
pub(super) type Known = Result<Arc<[SocketAddr]>, ResolveError>;

struct Entry {
    known: Known,
    expires: Time,
}

struct Waiter {
    lookup: LookupId,
    conn: Option<ConnId>,
    port: u16,
}

struct Query {
    host: Arc<str>,
    waiters: Vec<Waiter>,
}

pub(super) struct Book {
    config: ResolverConfig,
    worker: usize,
    cache: HashMap<Arc<str>, Entry>,
    by_expiry: BTreeSet<(Time, Arc<str>)>,
    /// The newest query for a name, and until when another lookup may join it.
    under_way: HashMap<Arc<str>, (JobId, Time)>,
    queries: BTreeMap<JobId, Query>,
    by_conn: BTreeSet<(ConnId, JobId)>,
    pub(super) ready: VecDeque<Resolved>,
    last: u64,
    stats: ResolverStats,
}

impl Book {
    pub(super) fn new(worker: usize, config: ResolverConfig) -> Book {
        Book {
            config,
            worker,
            cache: HashMap::new(),
            by_expiry: BTreeSet::new(),
            under_way: HashMap::new(),
            queries: BTreeMap::new(),
            by_conn: BTreeSet::new(),
            ready: VecDeque::new(),
            last: 0,
            stats: ResolverStats::default(),
        }
    }

    pub(super) fn stats(&self) -> ResolverStats {
        let entries = self.cache.len() as u64;
        ResolverStats { entries, ..self.stats }
    }

    /// A lookup begins.
    pub(super) fn count(&mut self) {
        self.stats.lookups += 1;
    }

    /// What is known of a name now.
    pub(super) fn cached(&mut self, host: &str, now: Time) -> Option<Known> {
        let entry = self.cache.get(host)?;
        if entry.expires <= now {
            return None;
        }
        self.stats.hits += 1;
        Some(entry.known.clone())
    }

    pub(super) fn is_full(&mut self) -> bool {
        let full = self.stats.waiting >= self.config.waiting_max as u64;
        self.stats.busy += u64::from(full);
        full
    }

    /// The pool was full.
    pub(super) fn refused(&mut self) {
        self.stats.busy += 1;
    }

    /// The query for this name that one more lookup may wait for.
    pub(super) fn joinable(&self, host: &str, now: Time) -> Option<JobId> {
        self.under_way.get(host).filter(|(_, until)| now < *until).map(|(job, _)| *job)
    }

    pub(super) fn begin(&mut self, host: Arc<str>, job: JobId, now: Time) {
        self.stats.queries += 1;
        self.under_way.insert(host.clone(), (job, now + self.config.timeout / 2));
        self.queries.insert(job, Query { host, waiters: Vec::new() });
    }

    pub(super) fn wait(&mut self, job: JobId, conn: Option<ConnId>, port: u16) -> LookupId {
        self.last += 1;
        let lookup = LookupId { worker: self.worker as u16, number: self.last };
        if let Some(query) = self.queries.get_mut(&job) {
            self.stats.joined += u64::from(!query.waiters.is_empty());
            query.waiters.push(Waiter { lookup, conn, port });
            self.by_conn.extend(conn.map(|conn| (conn, job)));
            self.stats.waiting += 1;
        }
        lookup
    }

    /// A query has been answered: so are all who wait for it.
    pub(super) fn settle(&mut self, job: JobId, known: Known, now: Time) {
        let Some(Query { host, waiters }) = self.queries.remove(&job) else { return };
        self.no_longer_under_way(&host, job);
        self.stats.failed += u64::from(known.is_err());
        match &known {
            // Nothing was learned.
            Err(ResolveError::Timeout | ResolveError::Closed) => {}
            _ => self.remember(host.clone(), known.clone(), now),
        }
        for Waiter { lookup, conn, port } in waiters {
            if let Some(conn) = conn {
                self.by_conn.remove(&(conn, job));
            }
            self.stats.waiting -= 1;
            let result = known.clone().map(|addrs| with_port(&addrs, port));
            self.ready.push_back(Resolved { lookup, conn, host: host.clone(), port, result });
        }
    }

    fn no_longer_under_way(&mut self, host: &str, job: JobId) {
        if self.under_way.get(host).is_some_and(|(newest, _)| *newest == job) {
            self.under_way.remove(host);
        }
    }

    fn remember(&mut self, host: Arc<str>, known: Known, now: Time) {
        let ttl = if known.is_ok() { self.config.positive_ttl } else { self.config.negative_ttl };
        let expires = now + ttl;
        if let Some(old) = self.cache.remove(&host) {
            self.by_expiry.remove(&(old.expires, host.clone()));
        }
        if ttl.is_zero() || self.config.cache_max == 0 {
            return;
        }
        while self.cache.len() >= self.config.cache_max
            && let Some((at, first)) = self.by_expiry.pop_first()
        {
            self.cache.remove(&first);
            self.stats.evicted += u64::from(at > now);
        }
        self.by_expiry.insert((expires, host.clone()));
        self.cache.insert(host, Entry { known, expires });
    }

    /// The connection is gone: it waits no more. The queries nobody waits for now.
    pub(super) fn gone(&mut self, conn: ConnId) -> Vec<JobId> {
        let mut alone = Vec::new();
        let range = (conn, JobId::FIRST)..=(conn, JobId::LAST);
        while let Some(&(_, job)) = self.by_conn.range(range.clone()).next() {
            self.by_conn.remove(&(conn, job));
            let Some(query) = self.queries.get_mut(&job) else { continue };
            let before = query.waiters.len();
            query.waiters.retain(|waiter| waiter.conn != Some(conn));
            let left = (before - query.waiters.len()) as u64;
            self.stats.waiting -= left;
            self.stats.cancelled += left;
            if query.waiters.is_empty() {
                alone.push(job);
            }
        }
        let before = self.ready.len();
        self.ready.retain(|resolved| resolved.conn != Some(conn));
        self.stats.cancelled += (before - self.ready.len()) as u64;
        alone
    }

    /// An answer found its connection about to end.
    pub(super) fn undelivered(&mut self) {
        self.stats.cancelled += 1;
    }

    /// A query that had not begun, and that nobody waits for, was cancelled.
    pub(super) fn forget(&mut self, job: JobId) {
        if let Some(query) = self.queries.remove(&job) {
            self.no_longer_under_way(&query.host, job);
        }
    }
}

/// A port belongs to a lookup, not to a name.
pub(super) fn with_port(addrs: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    let with = |addr: &SocketAddr| {
        let mut addr = *addr;
        addr.set_port(port);
        addr
    };
    addrs.iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn book(cache_max: usize) -> Book {
        let config = ResolverConfig {
            positive_ttl: 10 * SECOND,
            negative_ttl: SECOND,
            cache_max,
            ..ResolverConfig::default()
        };
        Book::new(0, config)
    }

    fn learn(book: &mut Book, host: &str, known: Known, now: Time) {
        let job = JobId::numbered(book.stats.queries + 1);
        book.begin(host.into(), job, now);
        book.settle(job, known, now);
    }

    fn found() -> Known {
        Ok(Arc::new(["192.0.2.1:0".parse().unwrap()]))
    }

    #[test]
    fn what_is_known_expires() {
        let mut book = book(100);
        let now = Time::from_nanos(5_000_000_000);
        learn(&mut book, "good", found(), now);
        learn(&mut book, "bad", Err(ResolveError::Failed("no".into())), now);
        learn(&mut book, "slow", Err(ResolveError::Timeout), now);
        assert_eq!(book.cached("slow", now), None, "nothing was learned");
        let just_before = |at: Time| Time::from_nanos(at.as_nanos() - 1);
        assert!(book.cached("bad", just_before(now + SECOND)).is_some_and(|known| known.is_err()));
        assert_eq!(book.cached("bad", now + SECOND), None);
        assert!(book.cached("good", just_before(now + 10 * SECOND)).is_some_and(|known| known.is_ok()));
        assert_eq!(book.cached("good", now + 10 * SECOND), None);
    }

    #[test]
    fn the_first_to_expire_makes_room() {
        let mut book = book(3);
        let now = Time::from_nanos(1);
        learn(&mut book, "a", found(), now);
        learn(&mut book, "b", Err(ResolveError::Failed("no".into())), now);
        learn(&mut book, "c", found(), now + SECOND / 2);
        learn(&mut book, "d", found(), now + SECOND / 2);
        let now = now + SECOND / 2;
        assert_eq!(book.cached("b", now), None, "it would have expired first");
        assert!(["a", "c", "d"].iter().all(|host| book.cached(host, now).is_some()));
        learn(&mut book, "e", found(), now);
        assert_eq!(book.cached("a", now), None);
        assert_eq!((book.stats().evicted, book.stats().entries), (2, 3));
        // Learned anew, it counts once.
        learn(&mut book, "c", found(), now + SECOND);
        assert_eq!((book.cache.len(), book.by_expiry.len()), (3, 3));
    }

    #[test]
    fn who_comes_in_the_first_half_joins() {
        let mut book = book(3);
        let now = Time::from_nanos(1);
        let (first, second) = (JobId::numbered(1), JobId::numbered(2));
        let half = book.config.timeout / 2;
        book.begin("x".into(), first, now);
        book.wait(first, None, 1);
        assert_eq!(book.joinable("x", now), Some(first));
        assert_eq!(book.joinable("x", now + half), None);
        book.begin("x".into(), second, now + half);
        book.wait(second, None, 2);
        assert_eq!(book.joinable("x", now + half), Some(second));
        book.settle(first, Err(ResolveError::Timeout), now + 2 * half);
        assert_eq!(book.joinable("x", now + half), Some(second), "the newer is not forgotten with the older");
        book.settle(second, found(), now + 2 * half);
        assert_eq!(book.joinable("x", now + half), None);
        let ports: Vec<_> = book.ready.iter().map(|resolved| resolved.port).collect();
        assert_eq!((ports, book.stats().waiting), (vec![1, 2], 0));
        assert_eq!(book.ready[1].result.as_ref().unwrap()[0].port(), 2);
    }
}
