//! Counters: one set per worker, written by that worker alone and readable from any thread.
//!
//! The worker counts in plain integers and publishes them once a turn as relaxed atomic stores, so
//! the hot path takes no lock and no locked instruction, and a reader never stops it.

use std::sync::atomic::{AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence};
use std::time::Duration;

use crate::atomic::AtomicU64;
use crate::close::{KINDS, LABELS};
use crate::tls_error::{TLS_KINDS, TLS_LABELS};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one worker, or the sum of all, has counted since the start.
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
            /// Connections ended, by reason, in the order of [`Counters::closes`].
            pub(crate) closed_by: [u64; KINDS],
            /// The same for TLS, in the order of [`Counters::tls_failures`].
            pub(crate) tls_failed_by: [u64; TLS_KINDS],
        }

        const COUNTERS: usize = [$(stringify!($name)),*].len();

        impl Counters {
            /// Names and values of all plain counters, in a fixed order.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            fn values(&self) -> [u64; COUNTERS] {
                [$(self.$name),*]
            }

            fn from_values(
                values: [u64; COUNTERS],
                closed_by: [u64; KINDS],
                tls_failed_by: [u64; TLS_KINDS],
            ) -> Counters {
                let [$($name),*] = values;
                Counters { $($name,)* closed_by, tls_failed_by }
            }
        }
    };
}

counters! {
    /// Turns of the worker's loop.
    turns,
    /// Calls to poll (`epoll_wait`).
    polls,
    /// Readiness events.
    events,
    /// Calls that read from a connection.
    reads,
    /// Reads that found nothing (`EAGAIN`).
    reads_would_block,
    /// Calls that wrote to a connection.
    writes,
    /// Writes that found no room (`EAGAIN`).
    writes_would_block,
    /// Calls that took a connection from an accept queue.
    accepts,
    /// Accepts that found nothing (`EAGAIN`).
    accepts_would_block,
    /// Registrations with the poll (`epoll_ctl` ADD).
    registers,
    /// Changes of a registration (`epoll_ctl` MOD): none on TCP.
    modifies,
    /// Half-closes sent (`shutdown`).
    finishes,
    /// Descriptors closed, each deregistered first (`epoll_ctl` DEL).
    closes_done,
    /// Bytes received.
    bytes_in,
    /// Bytes sent.
    bytes_out,
    /// Connections opened, accepted and outbound ones.
    opened,
    /// Connections ended: `closed` was called.
    ended,
    /// Outbound connections asked for.
    connects,
    /// Those that came about.
    connects_done,
    /// Those that did not.
    connects_failed,
    /// Of these: refused.
    connects_refused,
    /// Of these: without a route.
    connects_unreachable,
    /// Of these: without an answer in time.
    connects_timed_out,
    /// Of these: without a descriptor, memory or local port.
    connects_out_of_resources,
    /// Of these: made, and lost in the TLS handshake.
    connects_tls_failed,
    /// Of these: taken back by the service, or by the shutdown.
    connects_cancelled,
    /// Outbound connections not begun, because `connecting_max` or `connections_max` was reached.
    connects_over_limit,
    /// Accepted connections handed to a less loaded worker, or to the one they were placed on.
    handed_over,
    /// Open connections that left for another worker (`Conn::move_to`).
    moved_out,
    /// Open connections that came from another worker.
    moved_in,
    /// Newcomers reset because `connections_max` was reached or descriptors ran out.
    shed_full,
    /// Newcomers reset because of `source_connections_max`.
    shed_source,
    /// Newcomers reset because the worker was overloaded, or short of memory.
    shed_overload,
    /// Times accepting paused because the worker was overloaded, or short of memory.
    accept_paused_overload,
    /// Times a service was told to refuse work because the worker was overloaded.
    refused_overload,
    /// Times the worker became overloaded.
    overloads,
    /// Nanoseconds it was overloaded.
    overloaded_nanos,
    /// Times 80 % of `buffered_max` were queued, and idle and stalled connections began to end sooner.
    memory_low,
    /// Times 90 % were queued, and accepting stopped.
    memory_short,
    /// Times 95 % were queued, and those who held most began to be ended.
    memory_critical,
    /// Connections ended because of the last two.
    shed_memory,
    /// Times output or input found no block free in the region of a memory budget; its connection was ended
    /// (`memory_full`).
    blocks_refused,
    /// Times accepting paused because `connections_max` was reached.
    accept_paused_full,
    /// Times accepting paused because of `accept_rate_max`.
    accept_paused_rate,
    /// Times accepting paused because descriptors or memory ran out (`EMFILE` and kin).
    accept_paused_resources,
    /// Connections that ended before they were accepted (`ECONNABORTED` and kin).
    accept_aborted,
    /// Times a connection's read budget ran out.
    budget_spent,
    /// Times output passed its high-water mark and reading paused.
    congestions,
    /// Deadlines that came due.
    deadlines,
    /// Ticks delivered, and deadlines of whole services that came due.
    ticks,
    /// Ticks skipped because their time had passed before the worker came to them.
    ticks_missed,
    /// Mailbox messages delivered.
    messages,
    /// Callbacks that held the worker longer than `stall_timeout`.
    stalls,
    /// Calls that received datagrams (`recvmmsg`).
    receives,
    /// Receives that found nothing (`EAGAIN`).
    receives_would_block,
    /// Calls that sent datagrams; one may send several (GSO).
    sends,
    /// Sends that found no room (`EAGAIN`).
    sends_would_block,
    /// Datagrams delivered to services.
    datagrams_in,
    /// Datagrams handed to the system.
    datagrams_out,
    /// Datagrams that services have sent: `datagrams_out`, those that wait, and the next two.
    datagrams_queued,
    /// Datagrams dropped because a queue was full, or its socket closed before there was room.
    datagrams_dropped,
    /// Datagrams that the system refused to send.
    datagrams_unsent,
    /// Datagrams received behind one whose callback closed the socket.
    datagrams_undelivered,
    /// Errors of UDP sockets: refused by the peer (ICMP), unreachable, too long.
    datagram_errors,
    /// Times a socket's budget of datagrams ran out.
    datagram_budget_spent,
    /// Sockets that turned out not to be able to send several datagrams in one call.
    gso_stopped,
    /// UDP sockets that services could not open, for `sockets_max` or for the system.
    sockets_refused,
    /// Pairs of connections coupled.
    relays,
    /// Bytes taken from one end of a relay for the other.
    relayed_bytes,
    /// Reads of relays, among the others, into a pipe; those that brought nothing too.
    splices,
    /// Times a relay wanted a pipe and copied: `relay_pipes_max`, descriptors, `buffered_max`, or a
    /// process that does not ignore SIGPIPE.
    pipes_refused,
    /// Successors that were offered the server's sockets.
    handovers_offered,
    /// Connections to the control socket refused: of another user or version, garbage, or too many.
    handovers_refused,
    /// Successors that ended, or took too long, before they were ready.
    handovers_lost,
    /// Nanoseconds not spent waiting in poll.
    busy_nanos,
    /// TLS handshakes begun: first bytes came on a TLS listener, or a connection of ours was made.
    tls_handshakes_started,
    /// TLS handshakes done; `open` or `connected` was called.
    tls_handshakes_done,
    /// Those of them that resumed an earlier session.
    tls_handshakes_resumed,
    /// Connections, to TLS listeners and of ours, that ended before their handshake was done.
    tls_handshakes_failed,
    /// Times a handshake waited for the next turn, because of `tls_handshakes_per_turn_max`.
    tls_handshakes_deferred,
    /// Gauge: TLS handshakes in progress now.
    tls_handshakes,
    /// Gauge: connections open now, those still connecting or closing included.
    connections,
    /// Gauge: outbound connections being made now.
    connecting,
    /// Gauge: bytes of input and output queued now.
    buffered_bytes,
    /// Gauge: connections waiting for the next turn, their budget spent.
    run_queue,
    /// Gauge: workers overloaded now.
    overloaded,
    /// Gauge: how many nanoseconds the latest that became ready may have waited for its turn, at most. Of
    /// all workers the most.
    lag_nanos,
    /// Gauge: the least of it in the last whole `overload_interval`. Of all workers the most.
    lag_min_nanos,
    /// Gauge: 1 where 80 % of `buffered_max` are queued, 2 with 90 %, 3 with 95 %. Of all workers the most.
    memory_step,
    /// Gauge: pipes open for relays, in use and waiting for it.
    pipes,
    /// Gauge: most bytes of output one connection has had queued.
    output_peak_bytes,
    /// Gauge: most bytes of input one connection has had untaken.
    input_peak_bytes,
    /// Gauge: UDP sockets open now.
    sockets,
    /// Gauge: most bytes of datagrams one socket has had queued.
    datagram_output_peak_bytes,
}

impl Counters {
    /// Ended connections by reason: the label of each [`Close`](crate::Close) and how many.
    pub fn closes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LABELS.into_iter().zip(self.closed_by)
    }

    /// Connections that ended for the reason with this label.
    pub fn closed_by(&self, label: &str) -> u64 {
        self.closes().find(|(l, _)| *l == label).map_or(0, |(_, n)| n)
    }

    /// TLS failures by reason: the label of each [`TlsError`](crate::TlsError) and how many connections it
    /// ended, in the handshake or after it.
    pub fn tls_failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TLS_LABELS.into_iter().zip(self.tls_failed_by)
    }

    /// Connections that TLS ended for the reason with this label.
    pub fn tls_failed_by(&self, label: &str) -> u64 {
        self.tls_failures().find(|(l, _)| *l == label).map_or(0, |(_, n)| n)
    }

    fn add(&mut self, other: &Counters) {
        let (mut values, others) = (self.values(), other.values());
        for (value, other) in values.iter_mut().zip(others) {
            *value += other;
        }
        let mut closed_by = self.closed_by;
        for (value, other) in closed_by.iter_mut().zip(other.closed_by) {
            *value += other;
        }
        let mut tls_failed_by = self.tls_failed_by;
        for (value, other) in tls_failed_by.iter_mut().zip(other.tls_failed_by) {
            *value += other;
        }
        let peaks = [
            self.output_peak_bytes.max(other.output_peak_bytes),
            self.input_peak_bytes.max(other.input_peak_bytes),
            self.datagram_output_peak_bytes.max(other.datagram_output_peak_bytes),
            self.lag_nanos.max(other.lag_nanos),
            self.lag_min_nanos.max(other.lag_min_nanos),
            self.memory_step.max(other.memory_step),
        ];
        *self = Counters::from_values(values, closed_by, tls_failed_by);
        [
            self.output_peak_bytes,
            self.input_peak_bytes,
            self.datagram_output_peak_bytes,
            self.lag_nanos,
            self.lag_min_nanos,
            self.memory_step,
        ] = peaks;
    }
}

/// Buckets of the turn-time histogram: four to each doubling, from 1 us to about 4 s.
const BUCKETS: usize = 4 * 22;

/// How long turns took. Values are known to about 19 %.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnTimes {
    buckets: [u64; BUCKETS],
}

impl Default for TurnTimes {
    fn default() -> TurnTimes {
        TurnTimes { buckets: [0; BUCKETS] }
    }
}

impl TurnTimes {
    fn bucket(nanos: u64) -> usize {
        // From 1,024 ns on: the leading bit tells the doubling, the two below it the quarter.
        let nanos = nanos.max(1 << 10);
        let doubling = nanos.ilog2() as usize - 10;
        let quarter = (nanos >> (doubling + 8)) as usize & 3;
        (doubling * 4 + quarter).min(BUCKETS - 1)
    }

    /// The upper edge of a bucket.
    fn edge(bucket: usize) -> Duration {
        let (doubling, quarter) = (bucket / 4, bucket % 4);
        Duration::from_nanos((5 + quarter as u64) << (doubling + 8))
    }

    pub(crate) fn record(&mut self, nanos: u64) -> usize {
        let bucket = Self::bucket(nanos);
        self.buckets[bucket] += 1;
        bucket
    }

    /// The buckets of the histogram: the upper edge of each, and how many turns it holds.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.buckets.iter().enumerate().map(|(bucket, n)| (Self::edge(bucket), *n))
    }

    /// Turns counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The time that `quantile` (0.0..=1.0) of all turns stayed below. Zero if there were none.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let total = self.count();
        if total == 0 {
            return Duration::ZERO;
        }
        let rank = ((total as f64 * quantile).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        for (bucket, n) in self.buckets.iter().enumerate() {
            seen += n;
            if seen >= rank {
                return Self::edge(bucket);
            }
        }
        Self::edge(BUCKETS - 1)
    }

    /// What was counted since `earlier` was taken.
    pub fn since(&self, earlier: &TurnTimes) -> TurnTimes {
        let mut buckets = self.buckets;
        for (bucket, earlier) in buckets.iter_mut().zip(&earlier.buckets) {
            *bucket = bucket.saturating_sub(*earlier);
        }
        TurnTimes { buckets }
    }

    fn add(&mut self, other: &TurnTimes) {
        for (bucket, other) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += other;
        }
    }
}

/// A snapshot of one worker's counters, or of all workers' together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The counters.
    pub counters: Counters,
    /// How long turns took.
    pub turn_times: TurnTimes,
}

impl Stats {
    pub(crate) fn add(&mut self, other: &Stats) {
        self.counters.add(&other.counters);
        self.turn_times.add(&other.turn_times);
    }
}

/// Looks at a worker that publishes again and again, before what is seen is taken as it is.
const LOOKS: u32 = 1_000;

/// The published side: what other threads read. A worker writes the copy that is not read, and never waits for
/// those who read; nor do they for a worker that the system holds in the middle of it.
pub(crate) struct Published {
    /// How often it was published: the lowest bit says which copy is the latest.
    edition: AtomicU64,
    copies: [Copied; 2],
    /// The bucket that the latest turn was counted in. Only the worker looks at it.
    last_bucket: AtomicUsize,
}

struct Copied {
    counters: [AtomicU64; COUNTERS],
    closed_by: [AtomicU64; KINDS],
    tls_failed_by: [AtomicU64; TLS_KINDS],
    turn_times: [AtomicU64; BUCKETS],
}

impl Default for Published {
    fn default() -> Published {
        let copies = [const { Copied::new() }; 2];
        Published { edition: AtomicU64::new(0), copies, last_bucket: AtomicUsize::new(0) }
    }
}

impl Published {
    /// Publishes after a turn that took the bucket-th time. Called by one thread alone.
    pub(crate) fn store(&self, counters: &Counters, turn_times: &TurnTimes, bucket: usize) {
        let edition = self.edition.load(Relaxed).wrapping_add(1);
        // Whoever sees anything of what follows in the older copy sees that it is the older one.
        fence(Release);
        let copy = &self.copies[(edition & 1) as usize];
        copy.store(counters);
        // The turn before was counted in the other copy alone.
        for bucket in [self.last_bucket.load(Relaxed), bucket] {
            copy.turn_times[bucket].store(turn_times.buckets[bucket], Relaxed);
        }
        self.last_bucket.store(bucket, Relaxed);
        self.edition.store(edition, Release);
    }

    /// What the latest turn published, whole: a connection that has ended is counted with its reason. Should a
    /// worker publish each time while it is read, the counts are of several turns.
    pub(crate) fn snapshot(&self) -> Stats {
        let mut edition = self.edition.load(Acquire);
        for _ in 0..LOOKS {
            let stats = self.copies[(edition & 1) as usize].load();
            fence(Acquire);
            let now = self.edition.load(Acquire);
            if now == edition {
                return stats;
            }
            edition = now;
        }
        self.copies[(edition & 1) as usize].load()
    }
}

impl Copied {
    const fn new() -> Copied {
        Copied {
            counters: [const { AtomicU64::new(0) }; COUNTERS],
            closed_by: [const { AtomicU64::new(0) }; KINDS],
            tls_failed_by: [const { AtomicU64::new(0) }; TLS_KINDS],
            turn_times: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }

    fn store(&self, counters: &Counters) {
        for (published, value) in self.counters.iter().zip(counters.values()) {
            published.store(value, Relaxed);
        }
        for (published, value) in self.closed_by.iter().zip(counters.closed_by) {
            published.store(value, Relaxed);
        }
        // A worker without TLS has nothing to say about it.
        if counters.tls_handshakes_started + counters.tls_handshakes_failed > 0 {
            for (published, value) in self.tls_failed_by.iter().zip(counters.tls_failed_by) {
                published.store(value, Relaxed);
            }
        }
    }

    fn load(&self) -> Stats {
        let mut values = [0; COUNTERS];
        for (value, published) in values.iter_mut().zip(&self.counters) {
            *value = published.load(Relaxed);
        }
        let mut closed_by = [0; KINDS];
        for (value, published) in closed_by.iter_mut().zip(&self.closed_by) {
            *value = published.load(Relaxed);
        }
        let mut tls_failed_by = [0; TLS_KINDS];
        for (value, published) in tls_failed_by.iter_mut().zip(&self.tls_failed_by) {
            *value = published.load(Relaxed);
        }
        let mut turn_times = TurnTimes::default();
        for (value, published) in turn_times.buckets.iter_mut().zip(&self.turn_times) {
            *value = published.load(Relaxed);
        }
        Stats { counters: Counters::from_values(values, closed_by, tls_failed_by), turn_times }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_they_say() {
        let mut last = Duration::ZERO;
        for bucket in 0..BUCKETS {
            let edge = TurnTimes::edge(bucket);
            assert!(edge >= last, "edges do not fall");
            last = edge;
        }
        for nanos in [0, 999, 1_000, 1_999, 2_048, 5_000, 123_456, 10_000_000, 3_000_000_000] {
            let edge = TurnTimes::edge(TurnTimes::bucket(nanos)).as_nanos() as u64;
            assert!(edge >= nanos, "{nanos} is counted below its value: {edge}");
            assert!(edge <= nanos.max(1_024) * 5 / 4 + 1, "{nanos} is counted far above its value: {edge}");
        }
    }

    /// A reader that meets a turn half published would see a connection that is gone, and no reason for it.
    #[test]
    fn what_is_read_is_of_one_turn() {
        let published = Published::default();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut counters, mut times) = (Counters::default(), TurnTimes::default());
                while !over.load(Relaxed) {
                    counters.turns += 1;
                    counters.ended += 1;
                    counters.closed_by[KINDS - 1] += 1;
                    let bucket = times.record(counters.turns * 777 % 1_000_000);
                    published.store(&counters, &times, bucket);
                    // The rest of a turn.
                    (0..500).for_each(|_| std::hint::spin_loop());
                }
            });
            let torn = (0..20_000).find_map(|_| {
                let stats = published.snapshot();
                let counters = &stats.counters;
                let seen = (counters.turns, counters.ended, counters.closed_by[KINDS - 1]);
                let counted: u64 = stats.turn_times.buckets.iter().sum();
                (seen.0 != seen.1 || seen.1 != seen.2 || counted != seen.0).then_some((seen, counted))
            });
            over.store(true, Relaxed);
            assert_eq!(torn, None);
        });
    }

    #[test]
    fn quantiles_and_sums() {
        let mut times = TurnTimes::default();
        for _ in 0..99 {
            times.record(10_000);
        }
        times.record(1_000_000);
        assert!(times.quantile(0.5) < Duration::from_micros(14));
        assert!(times.quantile(0.999) >= Duration::from_millis(1));
        let mut stats = Stats::default();
        stats.counters.reads = 1;
        stats.counters.output_peak_bytes = 5;
        let mut other = Stats::default();
        other.counters.reads = 2;
        other.counters.output_peak_bytes = 3;
        stats.add(&other);
        assert_eq!((stats.counters.reads, stats.counters.output_peak_bytes), (3, 5));
    }
}
