//! What is counted of requests. Each worker counts in cells of its own; whoever looks adds them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Workers beyond so many share cells.
const CELLS: usize = 16;

/// Requests of a proxy. Counts are since its start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct HttpStats {
    /// Requests whose head was read.
    pub requests: u64,
    /// Final responses by their class: 1xx (101 alone), 2xx, 3xx, 4xx, 5xx. Ours are among them.
    pub responses: [u64; 5],
    /// Responses that we gave ourselves, of any class.
    pub answered: u64,
    /// Requests sent on a connection that had served before.
    pub reused: u64,
    /// Connections to backends that came about.
    pub opened: u64,
    /// Requests sent once more.
    pub retries: u64,
    /// Requests sent once more since the idle connection that they got had been closed by its backend meanwhile.
    /// They are no retries. Many: `pool_timeout` is longer than backends keep theirs.
    pub stale: u64,
    /// Connections that have become tunnels.
    pub upgrades: u64,
    /// Clients that left before their response was complete.
    pub clients_gone: u64,
    /// Responses that broke off. Their clients got what had come of them, and the end of the connection behind it.
    pub cut_short: u64,
    /// Messages of backends that were none.
    pub bad_responses: u64,
    /// Bytes to backends, as they go over the wire: heads as we write them, bodies with the framing of their chunks,
    /// requests that are sent once more, tunnels. Without what TLS adds, PROXY headers, and checks. Those of a
    /// request that lasts are counted every now and then. HAProxy's `bin` of a backend.
    pub sent_bytes: u64,
    /// The same from backends, whatever it was: HAProxy's `bout`. What we answer ourselves is in neither.
    pub received_bytes: u64,
}

impl HttpStats {
    /// All of them but the classes of responses, by name, fit for a metric's.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("requests", self.requests),
            ("answered", self.answered),
            ("reused", self.reused),
            ("opened", self.opened),
            ("retries", self.retries),
            ("stale", self.stale),
            ("upgrades", self.upgrades),
            ("clients_gone", self.clients_gone),
            ("cut_short", self.cut_short),
            ("bad_responses", self.bad_responses),
        ]
        .into_iter()
    }

    /// Final responses by their class.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.responses)
    }
}

/// The cells of all workers.
#[derive(Debug, Default)]
pub(crate) struct HttpTotals([HttpCells; CELLS]);

/// Those of one; on cache lines that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct HttpCells {
    pub(super) requests: AtomicU64,
    responses: [AtomicU64; 5],
    pub(super) answered: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) upgrades: AtomicU64,
    pub(super) clients_gone: AtomicU64,
    pub(super) cut_short: AtomicU64,
    pub(super) bad_responses: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl HttpCells {
    pub(super) fn responded(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        one(&self.responses[class]);
    }
}

/// Counts one.
pub(super) fn one(count: &AtomicU64) {
    count.fetch_add(1, Relaxed);
}

impl HttpTotals {
    pub(super) fn of(&self, worker: usize) -> &HttpCells {
        &self.0[worker % CELLS]
    }

    pub(crate) fn all(&self) -> HttpStats {
        let sum = |of: fn(&HttpCells) -> &AtomicU64| self.0.iter().map(|cells| of(cells).load(Relaxed)).sum();
        HttpStats {
            requests: sum(|cells| &cells.requests),
            responses: [
                sum(|cells| &cells.responses[0]),
                sum(|cells| &cells.responses[1]),
                sum(|cells| &cells.responses[2]),
                sum(|cells| &cells.responses[3]),
                sum(|cells| &cells.responses[4]),
            ],
            answered: sum(|cells| &cells.answered),
            reused: sum(|cells| &cells.reused),
            opened: sum(|cells| &cells.opened),
            retries: sum(|cells| &cells.retries),
            stale: sum(|cells| &cells.stale),
            upgrades: sum(|cells| &cells.upgrades),
            clients_gone: sum(|cells| &cells.clients_gone),
            cut_short: sum(|cells| &cells.cut_short),
            bad_responses: sum(|cells| &cells.bad_responses),
            sent_bytes: sum(|cells| &cells.sent),
            received_bytes: sum(|cells| &cells.received),
        }
    }
}
