//! Looking at connections: the question, the page that answers it, and how workers' parts become one.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::conn::Peer;
use crate::core::slot::flag;
use crate::id::ConnId;
use crate::parts;
use crate::server::Handle;

use super::errands::{Errand, ObserveError};

/// How far a page may reach: so many entries each worker copies out at most.
pub(crate) const REACH_MAX: usize = 10_000;
/// Questions of this kind that are under way in one server.
const INSPECTIONS_MAX: usize = 4;
/// The longest filter.
const FILTER_MAX: usize = 256;

/// What connections are sorted by, the largest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Sort {
    /// Bytes a second of late, in both directions.
    #[default]
    Traffic,
    /// Bytes received.
    Received,
    /// Bytes sent.
    Sent,
    /// How long it has been open.
    Age,
    /// How long nothing was received or sent.
    Idle,
    /// Bytes queued: output not sent and input not taken.
    Queued,
}

/// Which connections to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// The order. Default [`Sort::Traffic`].
    pub sort: Sort,
    /// Only those in whose peer, service, listener or id this text is found; all if it is empty. Its first
    /// 256 bytes count, and capital letters are not told from small ones.
    pub filter: String,
    /// Entries left out at the front. Default 0.
    pub offset: usize,
    /// Entries shown at most. With `offset` at most 10,000. Default 50.
    pub count: usize,
}

impl Default for Query {
    fn default() -> Query {
        Query { sort: Sort::Traffic, filter: String::new(), offset: 0, count: 50 }
    }
}

impl Query {
    /// Sets [`Query::sort`].
    pub fn sort(mut self, sort: Sort) -> Query {
        self.sort = sort;
        self
    }

    /// Sets [`Query::filter`].
    pub fn filter(mut self, filter: impl Into<String>) -> Query {
        self.filter = filter.into();
        self
    }

    /// Sets [`Query::offset`].
    pub fn offset(mut self, offset: usize) -> Query {
        self.offset = offset;
        self
    }

    /// Sets [`Query::count`].
    pub fn count(mut self, count: usize) -> Query {
        self.count = count;
        self
    }
}

/// Connections, as a [`Query`] asked for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// Connections there are, those being made and those closing included.
    pub total: u64,
    /// Of these: those the filter lets through.
    pub matched: u64,
    /// The part asked for, in order.
    pub entries: Vec<ConnEntry>,
}

/// One connection, as it was when its worker looked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnEntry {
    /// Its name: [`Handle::close_connection`] takes it.
    pub id: ConnId,
    /// Its service's name.
    pub service: Arc<str>,
    /// Where it was accepted; `None` for one of our own making.
    pub listener: Option<Arc<str>>,
    /// Who is at the other end.
    pub peer: Peer,
    /// How long it has been there.
    pub age: Duration,
    /// How long nothing was received or sent.
    pub idle: Duration,
    /// Bytes received: since it was opened with [`Config::traffic`](crate::Config::traffic), otherwise since
    /// somebody looks.
    pub received: u64,
    /// Bytes sent, of the same time.
    pub sent: u64,
    /// Bytes received a second, of late.
    pub received_rate: f32,
    /// Bytes sent a second, of late.
    pub sent_rate: f32,
    /// Bytes queued and not sent.
    pub output_bytes: usize,
    /// Bytes received that its service has left.
    pub input_bytes: usize,
    /// What state it is in.
    pub state: ConnState,
    /// What it was sorted by.
    pub(crate) key: u64,
}

/// The states a connection is in; several at once.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnState(pub(crate) u32);

/// Bits of a slot and what they are called.
const STATES: [(u32, &str); 10] = [
    (flag::TLS, "tls"),
    (flag::HANDSHAKE, "handshake"),
    (flag::CONNECTING, "connecting"),
    (flag::PAUSED, "paused"),
    (flag::CONGESTED, "congested"),
    (flag::CLOSING | flag::ENDED, "closing"),
    (flag::FINISH | flag::FINISHED, "half_closed"),
    (flag::EOF, "peer_finished"),
    (flag::RELAYED, "relayed"),
    (flag::MOVING, "moving"),
];

impl ConnState {
    /// The names of the states it is in: "tls", "handshake", "connecting", "paused" (its service reads
    /// nothing), "congested" (output over its mark), "closing", "half_closed" (by us), "peer_finished",
    /// "relayed", "moving".
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        STATES.iter().filter(move |(bits, _)| self.0 & bits != 0).map(|(_, name)| *name)
    }

    /// Whether it is in the state of this name.
    pub fn is(self, name: &str) -> bool {
        self.names().any(|other| other == name)
    }
}

impl fmt::Debug for ConnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

type PageAnswer = Box<dyn FnOnce(Page) + Send>;

/// One question under way.
pub(crate) struct Inspection {
    pub(crate) query: Query,
    page: Mutex<Page>,
    /// Workers that have not answered.
    left: AtomicUsize,
    answer: Mutex<Option<PageAnswer>>,
    /// Questions under way in the whole server.
    under_way: Arc<AtomicUsize>,
}

/// One worker's part in it. Whoever drops the last one answers, so a worker that has stopped is one that has
/// no connections.
pub(crate) struct Part(Arc<Inspection>);

impl Part {
    pub(crate) fn query(&self) -> &Query {
        &self.0.query
    }

    /// What this worker has found.
    pub(crate) fn give(self, total: u64, matched: u64, entries: Vec<ConnEntry>) {
        let mut page = self.0.page.lock().unwrap_or_else(PoisonError::into_inner);
        page.total += total;
        page.matched += matched;
        page.entries.extend(entries);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let inspection = &*self.0;
        if inspection.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        inspection.under_way.fetch_sub(1, Ordering::AcqRel);
        let lock =
            |page: &Mutex<Page>| std::mem::take(&mut *page.lock().unwrap_or_else(PoisonError::into_inner));
        let mut page = lock(&inspection.page);
        let Query { offset, count, .. } = inspection.query;
        page.entries.sort_unstable_by(|a, b| b.key.cmp(&a.key).then(a.id.cmp(&b.id)));
        page.entries.truncate(offset + count);
        page.entries.drain(..offset.min(page.entries.len()));
        let answer = inspection.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            answer(page);
        }
    }
}

impl Handle {
    /// Looks at the connections of all workers. Each looks at its own in passing, a thousand a turn, and
    /// the last calls `answer`, on its thread: which must not take long, as if it were a callback.
    ///
    /// The first question has workers count each connection's bytes; 15 s after the last they stop
    /// (but see [`Config::traffic`](crate::Config::traffic)). So the first page knows of no traffic, and
    /// rates are those between two pages at least half a second apart.
    ///
    /// # Errors
    ///
    /// [`ObserveError::TooFar`] for a page beyond the first 10,000 entries; [`ObserveError::Busy`] while four
    /// others are under way; [`ObserveError::Stopped`]; without the feature `observe`
    /// [`ObserveError::Unsupported`]. `answer` is not called then.
    pub fn inspect(
        &self,
        mut query: Query,
        answer: impl FnOnce(Page) + Send + 'static,
    ) -> Result<(), ObserveError> {
        if !parts::OBSERVE {
            return Err(ObserveError::Unsupported);
        }
        if query.offset.saturating_add(query.count) > REACH_MAX {
            return Err(ObserveError::TooFar);
        }
        if !self.shared.has_workers() {
            return Err(ObserveError::Stopped);
        }
        if self.shared.inspections.fetch_add(1, Ordering::AcqRel) >= INSPECTIONS_MAX {
            self.shared.inspections.fetch_sub(1, Ordering::AcqRel);
            return Err(ObserveError::Busy);
        }
        query.filter.truncate(query.filter.floor_char_boundary(FILTER_MAX));
        query.filter.make_ascii_lowercase();
        let workers = self.shared.workers.len();
        let inspection = Arc::new(Inspection {
            query,
            page: Mutex::default(),
            left: AtomicUsize::new(workers + 1),
            answer: Mutex::new(Some(Box::new(answer))),
            under_way: self.shared.inspections.clone(),
        });
        // Ours: as long as it is there, nobody answers.
        let _part = Part(inspection.clone());
        let mut result = Ok(());
        for worker in 0..workers {
            match self.shared.send_errand(worker, Errand::Inspect(Part(inspection.clone()))) {
                Ok(()) | Err(ObserveError::Stopped) => {}
                Err(why) => {
                    // Half an answer is none.
                    inspection.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                    result = Err(why);
                }
            }
        }
        result
    }
}
