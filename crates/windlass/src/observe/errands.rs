//! Errands: what somebody outside asks of a worker, taken beside the mailboxes and answered by a call.
//!
//! Their number is bounded, so that who asks without end is refused and no worker is kept from its work.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::id::ConnId;
use crate::parts;
use crate::server::Handle;
use crate::shared::Shared;

use super::inspect::Part;
use super::trace::TurnTrace;

/// Errands waiting for one worker.
const WAITING_MAX: usize = 64;
/// Those who wait for a turn of one worker.
const TRACING_MAX: usize = 64;
/// The longest that a turn is waited for.
const TRACE_WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) type CloseAnswer = Box<dyn FnOnce(bool) + Send>;
pub(crate) type TraceAnswer = Box<dyn FnOnce(Option<TurnTrace>) + Send>;

pub(crate) enum Errand {
    Inspect(Part),
    Close { id: ConnId, how: CloseHow, answer: CloseAnswer },
    Trace { wait: Duration, answer: TraceAnswer },
}

/// How a connection is ended from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum CloseHow {
    /// In good order: what is queued is sent, then FIN ([`Close::Requested`](crate::Close::Requested)).
    #[default]
    Orderly,
    /// At once, by a reset ([`Close::Aborted`](crate::Close::Aborted)).
    Abort,
}

/// Why a question was not taken. Nothing is called for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ObserveError {
    /// Too many questions wait for an answer already.
    Busy,
    /// The page reaches further than the 10,000 first entries.
    TooFar,
    /// There is no such worker, or the server has stopped.
    Stopped,
    /// A build without the feature `observe`, in which nobody would answer.
    Unsupported,
}

impl fmt::Display for ObserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ObserveError::Busy => "too many questions wait for an answer",
            ObserveError::TooFar => "the page is beyond the first 10,000 entries",
            ObserveError::Stopped => "the server has stopped",
            ObserveError::Unsupported => "this build cannot be asked (feature `observe`)",
        })
    }
}

impl std::error::Error for ObserveError {}

/// What waits for one worker.
pub(crate) struct Errands {
    queue: Mutex<Option<VecDeque<Errand>>>,
    /// How many wait, so that who finds none takes no lock.
    waiting: AtomicUsize,
    /// How many wait for a turn, taken by the worker or not.
    tracing: Arc<AtomicUsize>,
}

/// One of those who wait for a turn.
struct Tracing(Arc<AtomicUsize>);

impl Drop for Tracing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Default for Errands {
    fn default() -> Errands {
        Errands {
            queue: Mutex::new(Some(VecDeque::new())),
            waiting: AtomicUsize::new(0),
            tracing: Arc::default(),
        }
    }
}

impl Errands {
    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Errand>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, errand: Errand) -> Result<(), (ObserveError, Errand)> {
        let mut queue = self.lock();
        match &mut *queue {
            None => Err((ObserveError::Stopped, errand)),
            Some(queue) if queue.len() >= WAITING_MAX => Err((ObserveError::Busy, errand)),
            Some(queue) => {
                queue.push_back(errand);
                self.waiting.store(queue.len(), Ordering::Release);
                Ok(())
            }
        }
    }

    /// A place among those who wait for a turn.
    fn trace(&self) -> Result<Tracing, ObserveError> {
        let before = self.tracing.fetch_add(1, Ordering::AcqRel);
        let place = Tracing(self.tracing.clone());
        if before < TRACING_MAX { Ok(place) } else { Err(ObserveError::Busy) }
    }

    pub(crate) fn take(&self) -> Option<Errand> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut queue = self.lock();
        let queue = queue.as_mut()?;
        let errand = queue.pop_front();
        self.waiting.store(queue.len(), Ordering::Release);
        errand
    }

    /// Nobody runs them any more.
    pub(crate) fn close(&self) {
        let left = self.lock().take();
        // Outside the lock: an answer may be called when its errand is dropped.
        drop(left);
    }

    fn is_open(&self) -> bool {
        self.lock().is_some()
    }
}

impl Shared {
    /// Gives a worker something to do besides.
    pub(crate) fn send_errand(&self, worker: usize, errand: Errand) -> Result<(), ObserveError> {
        if !parts::OBSERVE {
            return Err(ObserveError::Unsupported);
        }
        let of_worker = self.workers.get(worker).ok_or(ObserveError::Stopped)?;
        match of_worker.errands.push(errand) {
            Ok(()) => {
                self.wake(worker);
                Ok(())
            }
            // Dropped here, outside the lock.
            Err((why, _errand)) => Err(why),
        }
    }

    pub(crate) fn has_workers(&self) -> bool {
        self.workers.iter().any(|worker| worker.errands.is_open())
    }
}

impl Handle {
    /// Ends a connection from outside, and calls `answer` on its worker's thread with whether it was there:
    /// open, and not ending already. Its service is told as of any other end.
    ///
    /// # Errors
    ///
    /// [`ObserveError::Busy`], [`ObserveError::Stopped`] and, without the feature `observe`,
    /// [`ObserveError::Unsupported`]; `answer` is not called then. Nor is it when
    /// the worker stops before it comes to it.
    pub fn close_connection(
        &self,
        id: ConnId,
        how: CloseHow,
        answer: impl FnOnce(bool) + Send + 'static,
    ) -> Result<(), ObserveError> {
        self.shared.send_errand(id.worker(), Errand::Close { id, how, answer: Box::new(answer) })
    }

    /// Writes down the next turn of a worker that has something to do: its steps, what was called, read and
    /// sent in it, with times. `answer` is called on that worker's thread; with `None` when nothing happened
    /// within `wait` (at most a minute). The clock is read more often in that turn, and it allocates; no
    /// other is slowed down.
    ///
    /// # Errors
    ///
    /// [`ObserveError::Stopped`], [`ObserveError::Busy`] when too many ask, and without the feature `observe`
    /// [`ObserveError::Unsupported`]; `answer` is not called then.
    /// Who asks while another waits is told of the same turn. When the worker stops first, nobody is.
    pub fn trace_turn(
        &self,
        worker: usize,
        wait: Duration,
        answer: impl FnOnce(Option<TurnTrace>) + Send + 'static,
    ) -> Result<(), ObserveError> {
        if !parts::OBSERVE {
            return Err(ObserveError::Unsupported);
        }
        let wait = wait.min(TRACE_WAIT_MAX);
        let place = self.shared.workers.get(worker).ok_or(ObserveError::Stopped)?.errands.trace()?;
        let answer = move |turn| {
            drop(place);
            answer(turn);
        };
        self.shared.send_errand(worker, Errand::Trace { wait, answer: Box::new(answer) })
    }
}

/// A worker's end of its errands: when it is gone, they are refused.
pub(crate) struct Taking {
    shared: Arc<Shared>,
    worker: usize,
}

impl Taking {
    pub(crate) fn new(shared: Arc<Shared>, worker: usize) -> Taking {
        Taking { shared, worker }
    }

    pub(crate) fn next(&self) -> Option<Errand> {
        self.shared.workers[self.worker].errands.take()
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.shared.workers[self.worker].errands.close();
    }
}

#[cfg(all(test, not(feature = "observe")))]
mod tests {
    use super::*;
    use crate::{Close, Conn, Input, Query, Server, Service, serve};

    struct Deaf;

    impl Service for Deaf {
        type Session = ();
        fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
            Ok(())
        }
        fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
            Ok(())
        }
    }

    #[test]
    fn who_would_not_be_answered_is_told() {
        let server =
            Server::new(crate::Config::default().workers(1)).add(serve(|| Deaf).listen("127.0.0.1:0"));
        let bound = server.bind().unwrap();
        let handle = bound.handle();
        let id = ConnId { worker: 0, index: 0, generation: 0 };
        let close = handle.close_connection(id, CloseHow::Orderly, |_| {});
        assert_eq!(close, Err(ObserveError::Unsupported));
        assert_eq!(handle.trace_turn(0, TRACE_WAIT_MAX, |_| {}), Err(ObserveError::Unsupported));
        assert_eq!(handle.inspect(Query::default(), |_| {}), Err(ObserveError::Unsupported));
    }
}
