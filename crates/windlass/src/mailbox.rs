//! Mailboxes: the only way into a worker from another thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::conn::Conn;
use crate::id::ConnId;
use crate::scope::{Scope, Sessions};
use crate::service::Receive;
use crate::shared::Shared;

/// Sends typed messages to a service, from any thread. Clones send to the same mailbox.
///
/// Every worker has its own queue. Queues are bounded
/// ([`Limits::mailbox_max`](crate::Limits::mailbox_max)); a full one hands the message back. A burst
/// of messages wakes its worker once. Messages of one sender to one worker arrive in order, at the
/// latest in the turn after they were sent, and always after the turn's input.
///
/// ```
/// use windlass::{Close, Conn, Input, Mailbox, Receive, Scope, Service, Sessions, serve};
///
/// struct News;
/// impl Service for News {
///     type Session = ();
///     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
///         Ok(())
///     }
///     fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
///         input.take_all();
///         Ok(())
///     }
/// }
/// impl Receive for News {
///     type Message = String;
///     fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, headline: String) {
///         scope.broadcast(headline.as_bytes());
///     }
/// }
///
/// let mailbox = Mailbox::new();
/// let bound = serve(|| News).mailbox(&mailbox).tcp("127.0.0.1:0").bind()?;
/// mailbox.send_to_all("windlass turns\n".to_string())?; // from this or any other thread
/// # drop(bound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mailbox<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    bound: OnceLock<Bound<M>>,
}

struct Bound<M> {
    queues: Vec<Mutex<Queue<M>>>,
    /// Messages each worker has taken out of its queue and not delivered yet.
    taken: Vec<AtomicUsize>,
    shared: Arc<Shared>,
}

struct Queue<M> {
    messages: VecDeque<M>,
    open: bool,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Mailbox { inner: self.inner.clone() }
    }
}

impl<M: Send + 'static> Default for Mailbox<M> {
    fn default() -> Self {
        Mailbox::new()
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("bound", &self.inner.bound.get().is_some()).finish()
    }
}

/// Why a message was not sent; it is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<M> {
    /// The queue of that worker is full.
    Full(M),
    /// No server has been bound to the mailbox, that worker does not exist, or it has stopped.
    Closed(M),
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "the mailbox is full",
            SendError::Closed(_) => "the mailbox has no running worker behind it",
        })
    }
}

// Without the message, which need not be `Debug` and may be private.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "Full(..)",
            SendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<M> std::error::Error for SendError<M> {}

/// A panic elsewhere cannot leave a queue half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<M: Send + 'static> Mailbox<M> {
    /// A mailbox without a server; [`Serve::mailbox`](crate::Serve::mailbox) binds it to one.
    pub fn new() -> Mailbox<M> {
        Mailbox { inner: Arc::new(Inner { bound: OnceLock::new() }) }
    }

    /// Workers it reaches: 0 until it is bound.
    pub fn workers(&self) -> usize {
        self.inner.bound.get().map_or(0, |bound| bound.queues.len())
    }

    /// Sends to the service on one worker, counted from 0.
    pub fn send(&self, worker: usize, message: M) -> Result<(), SendError<M>> {
        let Some(bound) = self.inner.bound.get() else { return Err(SendError::Closed(message)) };
        let Some(queue) = bound.queues.get(worker) else { return Err(SendError::Closed(message)) };
        {
            let mut queue = lock(queue);
            if !queue.open {
                return Err(SendError::Closed(message));
            }
            if queue.messages.len() + bound.taken[worker].load(Relaxed) >= bound.shared.mailbox_max() {
                return Err(SendError::Full(message));
            }
            queue.messages.push_back(message);
        }
        bound.shared.wake(worker);
        Ok(())
    }

    /// Sends to the service on the worker of a connection: to do something to a connection from anywhere,
    /// send its id in a message, and have [`Receive::receive`] look it up with
    /// [`Scope::conn`](crate::Scope::conn) or [`Sessions::get`](crate::Sessions::get). If it is gone by
    /// then, they find nobody.
    pub fn send_to(&self, conn: ConnId, message: M) -> Result<(), SendError<M>> {
        self.send(conn.worker(), message)
    }

    /// Sends a clone to the service on every worker but one: for what that one has seen to itself. Goes
    /// on past a worker that does not take it, and returns the last such error.
    pub fn send_to_others(&self, worker: usize, message: M) -> Result<(), SendError<M>>
    where
        M: Clone,
    {
        let mut result = Ok(());
        for other in (0..self.workers()).filter(|&other| other != worker) {
            if let Err(e) = self.send(other, message.clone()) {
                result = Err(e);
            }
        }
        result
    }

    /// Sends a clone to the service on every worker. Goes on past a worker that does not take it,
    /// and returns the last such error.
    pub fn send_to_all(&self, message: M) -> Result<(), SendError<M>>
    where
        M: Clone,
    {
        let workers = self.workers();
        if workers == 0 {
            return Err(SendError::Closed(message));
        }
        let mut result = Ok(());
        for worker in 1..workers {
            if let Err(e) = self.send(worker, message.clone()) {
                result = Err(e);
            }
        }
        self.send(0, message).and(result)
    }

    /// Makes the queues; false if the mailbox has some already.
    pub(crate) fn bind(&self, shared: &Arc<Shared>) -> bool {
        let room = shared.budget.as_ref().map_or(0, |budget| budget.mailbox);
        let queue = || Mutex::new(Queue { messages: VecDeque::with_capacity(room), open: true });
        let queues = (0..shared.workers.len()).map(|_| queue()).collect();
        let taken = (0..shared.workers.len()).map(|_| AtomicUsize::new(0)).collect();
        self.inner.bound.set(Bound { queues, taken, shared: shared.clone() }).is_ok()
    }

    /// Refuses messages from now on: nobody will take them.
    pub(crate) fn close(&self) {
        for queue in self.inner.bound.get().into_iter().flat_map(|bound| &bound.queues) {
            let mut queue = lock(queue);
            queue.open = false;
            let left = std::mem::take(&mut queue.messages);
            drop(queue);
            // Outside the lock, since a message may do anything when it is dropped.
            drop(left);
        }
    }

    /// The receiving end on one worker.
    pub(crate) fn inbox<S: Receive<Message = M>>(&self, worker: usize) -> Box<dyn Inbox<S>> {
        let budget = self.inner.bound.get().and_then(|bound| bound.shared.budget.as_ref());
        // The two change places.
        let taken = VecDeque::with_capacity(budget.map_or(0, |budget| budget.mailbox));
        Box::new(Receiving { mailbox: self.clone(), worker, taken })
    }
}

/// The receiving end, with the message type erased from the service's host.
pub(crate) trait Inbox<S: crate::Service> {
    /// Delivers one message; false when there is none.
    fn deliver(
        &mut self,
        service: &mut S,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<S::Session>,
    ) -> bool;

    /// A connection of the service is gone from this worker.
    fn gone(&mut self, _conn: &mut Conn<'_>) {}

    /// Refuses messages from now on, unless something is still to come.
    fn close_if_empty(&mut self) -> Shut;
}

/// Whether a way into a service could be closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Shut {
    Closed,
    /// Not yet: work is under way, and wakes the worker when it is done.
    Work,
    /// Not yet: something waits to be delivered.
    Mail,
}

struct Receiving<M> {
    mailbox: Mailbox<M>,
    worker: usize,
    /// Taken out of the queue as a whole, so that the lock is taken once for many.
    taken: VecDeque<M>,
}

impl<S: Receive> Inbox<S> for Receiving<S::Message> {
    fn deliver(
        &mut self,
        service: &mut S,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<S::Session>,
    ) -> bool {
        let Some(bound) = self.mailbox.inner.bound.get() else { return false };
        if self.taken.is_empty() {
            std::mem::swap(&mut self.taken, &mut lock(&bound.queues[self.worker]).messages);
        }
        let Some(message) = self.taken.pop_front() else { return false };
        bound.taken[self.worker].store(self.taken.len(), Relaxed);
        service.receive(scope, sessions, message);
        true
    }

    fn close_if_empty(&mut self) -> Shut {
        let Some(bound) = self.mailbox.inner.bound.get() else { return Shut::Closed };
        let mut queue = lock(&bound.queues[self.worker]);
        queue.open &= !(self.taken.is_empty() && queue.messages.is_empty());
        if queue.open { Shut::Mail } else { Shut::Closed }
    }
}

impl<M> Drop for Receiving<M> {
    /// The worker has stopped: later messages are refused instead of lost.
    fn drop(&mut self) {
        if let Some(bound) = self.mailbox.inner.bound.get() {
            let mut queue = lock(&bound.queues[self.worker]);
            queue.open = false;
            let left = std::mem::take(&mut queue.messages);
            drop(queue);
            // Outside the lock, since a message may do anything when it is dropped.
            drop(left);
        }
    }
}
