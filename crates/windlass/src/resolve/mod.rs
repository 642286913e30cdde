//! Names to addresses, without ever holding a worker: a cache per worker, and the system's resolver on a
//! pool of its own behind it.
//!
//! `book.rs` is what a worker knows of names; the threads, deadlines and answers are those of
//! [`Offload`](crate::Offload).

mod book;
mod inbox;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::id::ConnId;
use crate::offload::{Offload, OffloadConfig, OffloadStats, Origin, SubmitError};
use crate::scope::{Scope, Sessions};
use crate::service::Service;
use crate::shared::Shared;

use book::{Book, with_port};

/// Addresses kept of one name.
const ADDRESSES_MAX: usize = 64;
/// The longest name there is (RFC 1035, 2.3.4: 255 octets on the wire), its final dot included.
const NAME_MAX: usize = 254;

/// How a resolver behaves. Plain data; start from the default and set what you need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolverConfig {
    /// Names resolved at the same time: threads, each started when first needed. Default 4.
    pub threads: usize,
    /// A lookup that has not been answered for so long fails with [`ResolveError::Timeout`]. Default 5 s.
    pub timeout: Duration,
    /// Different names one worker may be resolving. More fail with [`ResolveError::Busy`]. Default 256.
    pub queries_max: usize,
    /// Lookups of one worker that may wait for an answer. More fail with [`ResolveError::Busy`].
    /// Default 4096.
    pub waiting_max: usize,
    /// How long addresses are kept. The system's resolver does not tell for how long they are good.
    /// Default 30 s; 0 keeps nothing.
    pub positive_ttl: Duration,
    /// How long a failure is kept, a timeout excepted. Default 1 s; 0 keeps none.
    pub negative_ttl: Duration,
    /// Names one worker keeps. For one more, the one that would expire first makes room. Default 1024;
    /// 0 keeps nothing.
    pub cache_max: usize,
    /// Answer `localhost` and what is below it at once, with 127.0.0.1 and ::1 (RFC 6761, 6.3). Default
    /// true; false asks the system.
    pub localhost: bool,
}

impl Default for ResolverConfig {
    fn default() -> ResolverConfig {
        ResolverConfig {
            threads: 4,
            timeout: Duration::from_secs(5),
            queries_max: 256,
            waiting_max: 4096,
            positive_ttl: Duration::from_secs(30),
            negative_ttl: Duration::from_secs(1),
            cache_max: 1024,
            localhost: true,
        }
    }
}

/// Resolves names for a service. Clones are the same resolver.
///
/// Addresses written out, `localhost` and names in the cache are answered at once. Everything else is
/// asked of the system (`getaddrinfo`, so `/etc/hosts` and `nsswitch.conf` count as operators expect) on
/// one of the resolver's own threads, and answered by [`Resolve::resolved`], on the same worker, to the
/// same connection if it is open still. Equal lookups of one worker are one query: a lookup joins a query
/// that has at least half of its time left.
///
/// **A resolver that never answers** holds one thread for each name it was asked for. When it holds all of
/// them, lookups fail with [`ResolveError::Timeout`] at their deadline and then with
/// [`ResolveError::Busy`]; no worker ever notices, and what is in the cache is served on.
///
/// A resolver answers one service of one server. In a simulation give it a lookup of your own
/// ([`Resolver::with_lookup`]), or it asks the real system.
///
/// ```
/// use windlass::{Close, Conn, Input, Lookup, Resolve, Resolved, Resolver, Scope, Service, Sessions, serve};
///
/// /// Tells the addresses of the host it is sent.
/// struct Names {
///     resolver: Resolver,
/// }
///
/// impl Service for Names {
///     type Session = ();
///     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
///         Ok(())
///     }
///     fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
///         let host = String::from_utf8_lossy(input.take_all()).into_owned();
///         match self.resolver.lookup(conn, host.trim(), 80)? {
///             Lookup::Ready(addrs) => conn.write(format!("{addrs:?}\n").as_bytes()),
///             Lookup::Pending(_) => conn.pause(), // until `resolved`
///         }
///         Ok(())
///     }
/// }
///
/// impl Resolve for Names {
///     fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, resolved: Resolved) {
///         if let Some(mut conn) = resolved.conn.and_then(|id| scope.conn(id)) {
///             conn.write(format!("{:?}\n", resolved.result).as_bytes());
///             conn.resume();
///         }
///     }
/// }
///
/// let resolver = Resolver::default();
/// let in_service = resolver.clone();
/// let make = move || Names { resolver: in_service.clone() };
/// let bound = serve(make).resolver(&resolver).tcp("127.0.0.1:0").bind()?;
/// # drop(bound);
/// # Ok::<(), windlass::Error>(())
/// ```
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

type LookupFn = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// What a query came to: addresses, or the system's words.
pub(crate) type Found = Result<Vec<SocketAddr>, String>;

struct Inner {
    config: ResolverConfig,
    lookup: Arc<LookupFn>,
    pool: Offload<Found>,
    /// One for each worker, which alone uses it but for the counters: so its lock is never waited for.
    books: OnceLock<Vec<Mutex<Book>>>,
}

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver::new(ResolverConfig::default())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// Names a lookup that waits for its answer; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LookupId {
    worker: u16,
    number: u64,
}

/// How a lookup began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// It is over: at least one address, best first.
    Ready(Vec<SocketAddr>),
    /// [`Resolve::resolved`] will tell.
    Pending(LookupId),
}

/// The answer to a lookup that had to wait.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Resolved {
    /// Which lookup.
    pub lookup: LookupId,
    /// The connection it was made for, which is open still; `None` if it was made from a [`Scope`].
    pub conn: Option<ConnId>,
    /// The name, in lower case.
    pub host: Arc<str>,
    /// The port that was asked for.
    pub port: u16,
    /// At least one address, at most 64, each once, in the system's order (RFC 6724): best first.
    pub result: Result<Vec<SocketAddr>, ResolveError>,
}

/// Why there is no address.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ResolveError {
    /// This cannot be a name: empty, longer than 253 bytes, or with a space or control character in it.
    BadName,
    /// The system's resolver failed, or knows no such name, in its own words.
    Failed(Arc<str>),
    /// No answer by the deadline.
    Timeout,
    /// Too many lookups wait already: [`ResolverConfig::queries_max`], [`ResolverConfig::waiting_max`].
    Busy,
    /// No server has been bound to the resolver, or it has stopped.
    Closed,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::BadName => f.write_str("this is no host name"),
            ResolveError::Failed(text) => f.write_str(text),
            ResolveError::Timeout => f.write_str("the name was not resolved in time"),
            ResolveError::Busy => f.write_str("too many names are being resolved"),
            ResolveError::Closed => f.write_str("the resolver has no running server"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// A service with a [`Resolver`]: it gets the answers that had to wait.
pub trait Resolve: Service {
    /// The answer to a lookup this service made on this worker.
    fn resolved(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Self::Session>, resolved: Resolved);
}

/// What a resolver has counted on all workers since the start; the last two are what is so now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ResolverStats {
    /// Lookups of names; addresses written out are not counted.
    pub lookups: u64,
    /// Answered from the cache.
    pub hits: u64,
    /// Queries given to the pool.
    pub queries: u64,
    /// Lookups that joined a query under way.
    pub joined: u64,
    /// Lookups refused with [`ResolveError::Busy`].
    pub busy: u64,
    /// Queries that failed, timeouts included.
    pub failed: u64,
    /// Lookups whose connection was gone before the answer.
    pub cancelled: u64,
    /// Names that left the cache before their time, to make room.
    pub evicted: u64,
    /// Gauge: names in the caches, expired ones that nobody asked for since included.
    pub entries: u64,
    /// Gauge: lookups waiting.
    pub waiting: u64,
}

impl ResolverStats {
    /// Names and values of all of them, in the order of their declaration.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("lookups", self.lookups),
            ("hits", self.hits),
            ("queries", self.queries),
            ("joined", self.joined),
            ("busy", self.busy),
            ("failed", self.failed),
            ("cancelled", self.cancelled),
            ("evicted", self.evicted),
            ("entries", self.entries),
            ("waiting", self.waiting),
        ]
        .into_iter()
    }
}

impl Resolver {
    /// Asks the system's resolver.
    pub fn new(config: ResolverConfig) -> Resolver {
        Resolver::with_lookup(config, |host| Ok((host, 0).to_socket_addrs()?.collect()))
    }

    /// Asks `lookup` instead: it is called on one of the resolver's threads with a name in lower case, may
    /// block, and returns its addresses, best first. Their ports do not matter.
    pub fn with_lookup<F>(config: ResolverConfig, lookup: F) -> Resolver
    where
        F: Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    {
        let pool = Offload::new(OffloadConfig {
            threads: config.threads,
            jobs_max: config.queries_max,
            timeout: config.timeout,
            name: "resolver".into(),
        });
        let config = ResolverConfig { timeout: pool.config().timeout, ..config };
        Resolver { inner: Arc::new(Inner { config, lookup: Arc::new(lookup), pool, books: OnceLock::new() }) }
    }

    /// Looks up a host, by name or address (an IPv6 one with or without brackets), for the connection or
    /// the service. The answer has the port given here.
    ///
    /// # Errors
    ///
    /// When it cannot be a name, when a failure is in the cache, when too many wait already, and when no
    /// server runs.
    pub fn lookup(&self, origin: &mut impl Origin, host: &str, port: u16) -> Result<Lookup, ResolveError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Lookup::Ready(vec![SocketAddr::new(ip, port)]));
        }
        let bad = |c: char| c.is_whitespace() || c.is_control();
        if host.is_empty() || host.len() > NAME_MAX || host.contains(bad) || host.contains(['[', ']', ':']) {
            return Err(ResolveError::BadName);
        }
        let host = host.to_ascii_lowercase();
        if self.inner.config.localhost && is_localhost(&host) {
            let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Ok(Lookup::Ready(loopback.map(|ip| SocketAddr::new(ip, port)).to_vec()));
        }
        let (core, conn) = origin.origin();
        let now = core.now;
        let books = self.inner.books.get();
        // Another server may have more workers than the one it was bound to.
        let Some(book) = books.and_then(|books| books.get(usize::from(core.worker))) else {
            return Err(ResolveError::Closed);
        };
        let mut book = lock(book);
        book.count();
        if let Some(known) = book.cached(&host, now) {
            return known.map(|addrs| Lookup::Ready(with_port(&addrs, port)));
        }
        if book.is_full() {
            return Err(ResolveError::Busy);
        }
        if let Some(job) = book.joinable(&host, now) {
            return Ok(Lookup::Pending(book.wait(job, conn, port)));
        }
        let host: Arc<str> = host.into();
        let (lookup, in_job) = (self.inner.lookup.clone(), host.clone());
        let query = move || lookup(&in_job).map_err(|e| e.to_string());
        // The query is the service's: others may join it, and the cache is for all.
        match self.inner.pool.submit_from(core, None, self.inner.config.timeout, query) {
            Ok(job) => {
                book.begin(host, job, now);
                Ok(Lookup::Pending(book.wait(job, conn, port)))
            }
            Err(SubmitError::Full(_)) => {
                book.refused();
                Err(ResolveError::Busy)
            }
            Err(SubmitError::Closed(_)) => Err(ResolveError::Closed),
        }
    }

    /// What it has counted; all zero before it is bound.
    pub fn stats(&self) -> ResolverStats {
        let mut sum = ResolverStats::default();
        for book in self.inner.books.get().into_iter().flatten() {
            let one = lock(book).stats();
            sum.lookups += one.lookups;
            sum.hits += one.hits;
            sum.queries += one.queries;
            sum.joined += one.joined;
            sum.busy += one.busy;
            sum.failed += one.failed;
            sum.cancelled += one.cancelled;
            sum.evicted += one.evicted;
            sum.entries += one.entries;
            sum.waiting += one.waiting;
        }
        sum
    }

    /// What the pool of its queries has counted: threads held, timeouts, the longest wait.
    pub fn pool_stats(&self) -> OffloadStats {
        self.inner.pool.stats()
    }

    /// How it was set up.
    pub fn config(&self) -> &ResolverConfig {
        &self.inner.config
    }

    pub(crate) fn bind(&self, shared: &Arc<Shared>) -> bool {
        let book = |worker| Mutex::new(Book::new(worker, self.inner.config.clone()));
        let books = (0..shared.workers.len()).map(book).collect();
        self.inner.books.set(books).is_ok() && self.inner.pool.bind(shared)
    }

    pub(crate) fn close(&self) {
        self.inner.pool.close();
    }
}

/// A panic elsewhere cannot leave a book half written.
fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

/// Each address once, and not too many.
fn distinct(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut kept: Vec<SocketAddr> = Vec::new();
    for addr in addrs {
        if kept.len() < ADDRESSES_MAX && !kept.iter().any(|other| other.ip() == addr.ip()) {
            kept.push(addr);
        }
    }
    kept
}
