//! What a hub counts: plain numbers on each worker, added up when somebody asks.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::atomic::AtomicU64;
use crate::journal::Latency;
use crate::totals::Totals;

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// What a hub has counted since its start; gauges say so.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[non_exhaustive]
        pub struct HubStats {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        struct Cell {
            $($name: AtomicU64,)*
            commits: [AtomicU64; Latency::BUCKETS],
        }

        impl HubStats {
            /// Names and values of all of them, in the order of their declaration.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            fn add(&mut self, cell: &Cell) {
                $(self.$name += cell.$name.load(Relaxed);)*
            }

            fn store(&self, cell: &Cell) {
                $(cell.$name.store(self.$name, Relaxed);)*
            }
        }
    };
}

counts! {
    /// Gauge: clients connected now.
    clients,
    /// Gauge: sessions, with and without a connection.
    sessions,
    /// Gauge: subscriptions.
    subscriptions,
    /// Gauge: retained messages, those below `$SYS` not counted where they are published.
    retained,
    /// Gauge: bytes of retained messages.
    retained_bytes,
    /// Gauge: messages that wait in queues, as of a moment ago.
    queued,
    /// Gauge: bytes of them.
    queued_bytes,
    /// Clients that were served.
    connected,
    /// Clients that were not: CONNACK said why.
    refused,
    /// Connections that ended before a CONNECT was whole, those in time and those not.
    strangers,
    /// Sessions that were taken over by another connection.
    taken_over,
    /// Sessions that were there when their client came back.
    resumed,
    /// Sessions that have ended because nobody came back in time.
    sessions_expired,
    /// Connections that ended since nothing was heard of the client for one and a half times its keep-alive.
    keep_alive_timeouts,
    /// Connections that ended with a mistake of the client's, or over a limit of a packet.
    violations,
    /// Packets received.
    packets_received,
    /// Messages received of QoS 0.
    received_qos_0,
    /// Messages received of QoS 1, those that were sent again not counted.
    received_qos_1,
    /// The same of QoS 2.
    received_qos_2,
    /// Bytes of payloads received.
    received_bytes,
    /// Messages sent of QoS 0.
    sent_qos_0,
    /// Messages sent of QoS 1, those that were sent again counted.
    sent_qos_1,
    /// The same of QoS 2.
    sent_qos_2,
    /// Bytes of payloads sent.
    sent_bytes,
    /// Messages sent again.
    resent,
    /// Messages nobody subscribed to.
    unheard,
    /// Messages dropped: the queue of the receiver was full.
    dropped_queue_full,
    /// Messages dropped: expired before they were sent.
    dropped_expired,
    /// Messages dropped: longer than the receiver takes ([MQTT-3.1.2-25]).
    dropped_too_long,
    /// Messages of QoS 0 dropped: the receiver had no connection.
    dropped_offline,
    /// Messages not taken from a client: it may not publish there.
    denied_publish,
    /// Messages not given to a client: it may not read them.
    denied_read,
    /// Subscriptions refused.
    denied_subscribe,
    /// Clients refused or disconnected: their user has more connections, messages or bytes than it may.
    over_quota,
    /// Clients disconnected: their token has ended, or they would not be let in any more.
    revoked,
    /// Messages not retained: the limits of retained messages were reached.
    retained_refused,
    /// Gauge: bytes that are counted against `memory_max`.
    memory_used,
    /// Clients refused: there was no memory for a session.
    memory_sessions_refused,
    /// Subscriptions refused for want of memory; they are among those refused.
    memory_subscriptions_refused,
    /// Messages not retained for want of memory; they are among those not retained.
    memory_retained_refused,
    /// Messages dropped since there was no memory to keep them; they are among those for which a queue was full.
    memory_messages_dropped,
    /// Clients disconnected: there was no memory for their topic aliases, for what is in flight from them, or for a message
    /// of which a part had come.
    memory_clients_ended,
    /// Requests of HTTP refused: there was no memory for their bodies. They are among those refused.
    memory_requests_refused,
    /// Messages received over the receive maximum, from clients that are only counted.
    receive_exceeded,
    /// Clients disconnected since their queue was full.
    slow_consumers,
    /// Messages published by requests of HTTP; they are among those received.
    http_published,
    /// Requests to do so that were refused.
    http_refused,
    /// Messages given to a sink, once for each rule.
    rules_matched,
    /// Messages that a rule was to look into and that were no JSON, or longer than [`READ_MAX`](crate::rules::READ_MAX).
    rules_unread,
    /// Wills published.
    wills,
    /// Batches of records that the journal has committed.
    journal_commits,
    /// Records in them.
    journal_records,
    /// Bytes of those.
    journal_bytes,
    /// Microseconds that all those commits took, from the worker and back to it. [`HubWatch::commits`] has how many took
    /// how long.
    journal_commit_us,
    /// Commits that failed, each of which is tried again.
    journal_failed,
    /// Durable work that was refused: the journal could not be written, or the disk did not keep up.
    journal_refused,
    /// Gauge: workers whose last commit failed, so that durable work is refused.
    journal_failing,
    /// Gauge: bytes of records that wait for their commit.
    journal_waiting_bytes,
}

/// The numbers of all workers of a hub, to be looked at from anywhere.
///
/// They are those of some 50 ms ago: each worker passes its own on with every tick.
///
/// It is also where the workers of one hub find what bounds all of them together.
#[derive(Clone, Debug)]
pub struct HubWatch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    cells: Vec<Cell>,
    totals: Totals,
}

impl HubWatch {
    /// For a hub of so many workers at most.
    pub fn new(workers: usize) -> HubWatch {
        let cells = (0..workers.max(1)).map(|_| Cell::default()).collect();
        HubWatch(Arc::new(Watched { cells, totals: Totals::default() }))
    }

    /// How many workers there may be.
    pub(crate) fn workers(&self) -> usize {
        self.0.cells.len()
    }

    /// What all workers have counted.
    pub fn stats(&self) -> HubStats {
        let mut stats = HubStats::default();
        for cell in &self.0.cells {
            stats.add(cell);
        }
        stats
    }

    /// How long the commits of the journal took.
    pub fn commits(&self) -> Latency {
        let mut all = Latency::default();
        for cell in &self.0.cells {
            let buckets = std::array::from_fn(|at| cell.commits[at].load(Relaxed));
            all.merge(&Latency::of(buckets, cell.journal_commit_us.load(Relaxed)));
        }
        all
    }

    /// What is counted over all workers.
    pub(crate) fn totals(&self) -> &Totals {
        &self.0.totals
    }

    pub(crate) fn publish(&self, worker: usize, stats: &HubStats, commits: &Latency) {
        if let Some(cell) = self.0.cells.get(worker) {
            stats.store(cell);
            for (bucket, (_, count)) in cell.commits.iter().zip(commits.buckets()) {
                bucket.store(count, Relaxed);
            }
        }
    }
}

impl HubStats {
    #[inline]
    pub(crate) fn sent(&mut self, qos: windlass_proto::mqtt::QoS, bytes: usize) {
        use windlass_proto::mqtt::QoS;
        match qos {
            QoS::AtMostOnce => self.sent_qos_0 += 1,
            QoS::AtLeastOnce => self.sent_qos_1 += 1,
            QoS::ExactlyOnce => self.sent_qos_2 += 1,
        }
        self.sent_bytes += bytes as u64;
    }
}

impl HubStats {
    #[inline]
    pub(crate) fn received(&mut self, qos: windlass_proto::mqtt::QoS, bytes: usize) {
        use windlass_proto::mqtt::QoS;
        match qos {
            QoS::AtMostOnce => self.received_qos_0 += 1,
            QoS::AtLeastOnce => self.received_qos_1 += 1,
            QoS::ExactlyOnce => self.received_qos_2 += 1,
        }
        self.received_bytes += bytes as u64;
    }
}
