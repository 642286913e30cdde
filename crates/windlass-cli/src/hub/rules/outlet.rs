//! The queue before a sink, and the thread behind it that may wait where a worker may not.
//!
//! What finds no room has the oldest dropped. What waits is lost with the process, but for what goes out in its last
//! second.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use windlass_hub::rules::{Event, Sink};

use super::file::LineFile;
use super::webhook::Webhook;
use crate::config::rule::{Body, RuleTable};

/// How often it is told that messages are lost.
const TELL_PERIOD: Duration = Duration::from_secs(10);
/// Bytes that count for a message that waits, besides its own.
const OVERHEAD: usize = 96;

/// A message that waits.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) topic: Box<str>,
    pub(super) payload: Box<[u8]>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) unix_ms: u64,
}

impl Kept {
    fn weight(&self) -> usize {
        self.topic.len() + self.payload.len() + OVERHEAD
    }
}

/// What an outlet has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    /// Messages that are where they were to go.
    pub(crate) delivered: u64,
    /// Messages dropped: others came while the queue was full.
    pub(crate) queue_full: u64,
    /// Messages dropped: longer than all of the queue.
    pub(crate) too_long: u64,
    /// Messages dropped: nobody took them, however often that was tried.
    pub(crate) failed: u64,
    /// Messages dropped: whoever was asked to take them does not want them.
    pub(crate) refused: u64,
    /// What was tried again.
    pub(crate) retries: u64,
    /// Messages that wait now.
    pub(crate) waiting: u64,
}

/// Why messages did not arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// Another time they may.
    Later(String),
    /// They never will.
    Refused(String),
}

/// Somebody who takes messages, and may take a while.
pub(super) trait Target: Send {
    /// Takes them, all or none.
    fn deliver(&mut self, batch: &[Kept]) -> Result<(), Failure>;
}

/// Where the messages of one rule go.
pub(crate) struct Outlet(Arc<Shared>);

struct Shared {
    hub: String,
    rule: RuleTable,
    queue: Mutex<Queue>,
    /// Something waits, or it is over.
    filled: Condvar,
    /// Nothing waits or is under way any more.
    idle: Condvar,
    delivered: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    retries: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Kept>,
    bytes: usize,
    /// The thread is there. It begins with the first message: what a process gives up at its start it gives up for
    /// threads that are to come.
    has_thread: bool,
    under_way: usize,
    over: bool,
    queue_full: u64,
    too_long: u64,
}

/// The rule only.
impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outlet").field(&self.0.rule.called()).finish()
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.close();
    }
}

impl Sink for Outlet {
    fn offer(&self, event: &Event<'_>) {
        let shared = &self.0;
        let kept = Kept {
            topic: event.topic.into(),
            payload: event.payload.into(),
            qos: event.qos as u8,
            retain: event.retain,
            unix_ms: event.unix_ms,
        };
        let (max, bytes_max) = (shared.rule.queue_max.0, shared.rule.queue_bytes_max.0);
        let weight = kept.weight();
        let mut queue = shared.lock();
        if weight > bytes_max {
            queue.too_long += 1;
            return;
        }
        while queue.waiting.len() >= max || queue.bytes + weight > bytes_max {
            let Some(oldest) = queue.waiting.pop_front() else { break };
            queue.bytes -= oldest.weight();
            queue.queue_full += 1;
        }
        queue.bytes += weight;
        queue.waiting.push_back(kept);
        if !queue.has_thread {
            queue.has_thread = shared.start();
        }
        // The thread counts the others itself, once it is awake.
        let is_awaited = queue.waiting.len() == 1 || queue.waiting.len() == shared.batch_max();
        drop(queue);
        if is_awaited {
            shared.filled.notify_one();
        }
    }
}

impl Outlet {
    pub(super) fn new(hub: &str, rule: &RuleTable) -> Outlet {
        Outlet(Arc::new(Shared {
            hub: hub.into(),
            rule: rule.clone(),
            queue: Mutex::default(),
            filled: Condvar::new(),
            idle: Condvar::new(),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }))
    }

    pub(crate) fn counts(&self) -> Counts {
        let shared = &self.0;
        let queue = shared.lock();
        Counts {
            delivered: shared.delivered.load(Relaxed),
            queue_full: queue.queue_full,
            too_long: queue.too_long,
            failed: shared.failed.load(Relaxed),
            refused: shared.refused.load(Relaxed),
            retries: shared.retries.load(Relaxed),
            waiting: (queue.waiting.len() + queue.under_way) as u64,
        }
    }

    /// Nothing is tried again from here on; what waits is tried once.
    pub(super) fn close(&self) {
        self.0.lock().over = true;
        self.0.filled.notify_all();
    }

    /// Until nothing waits any more, or that time has come.
    pub(super) fn wait(&self, until: Instant) {
        let mut queue = self.0.lock();
        while queue.has_thread && (!queue.waiting.is_empty() || queue.under_way > 0) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.0.idle.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that go at once. A payload as it is goes by itself.
    fn batch_max(&self) -> usize {
        let alone = self.rule.webhook.is_some() && self.rule.body == Body::Payload;
        if alone { 1 } else { self.rule.batch_max.0 }
    }

    /// Starts the thread; whether there is one now.
    fn start(self: &Arc<Shared>) -> bool {
        let shared = self.clone();
        let thread = thread::Builder::new().name("rule".into()).spawn(move || match &shared.rule {
            RuleTable { file: Some(path), .. } => shared.run(&mut LineFile::new(&path.0, &shared.rule)),
            rule => shared.run(&mut Webhook::new(rule)),
        });
        if let Err(error) = &thread {
            tracing::error!(hub = self.hub, rule = self.rule.called(), "no thread for a rule: {error}");
        }
        thread.is_ok()
    }

    fn run(&self, target: &mut dyn Target) {
        let mut told: Option<Instant> = None;
        while let Some(batch) = self.next() {
            let count = batch.len() as u64;
            let outcome = self.deliver(target, &batch);
            let (counter, why) = match outcome {
                Ok(()) => (&self.delivered, None),
                Err(Failure::Refused(why)) => (&self.refused, Some(why)),
                Err(Failure::Later(why)) => (&self.failed, Some(why)),
            };
            counter.fetch_add(count, Relaxed);
            if let Some(why) = why.filter(|_| told.is_none_or(|told| told.elapsed() >= TELL_PERIOD)) {
                told = Some(Instant::now());
                let (hub, rule) = (&self.hub, self.rule.called());
                tracing::warn!(hub, rule, messages = count, "messages of a rule were dropped: {why}");
            }
            self.lock().under_way = 0;
            self.idle.notify_all();
        }
    }

    /// The next messages: when there are enough, or the first of them has waited for others.
    fn next(&self) -> Option<Vec<Kept>> {
        let batch_max = self.batch_max();
        let wait =
            |queue, time| self.filled.wait_timeout(queue, time).unwrap_or_else(PoisonError::into_inner).0;
        let mut queue = self.lock();
        while queue.waiting.is_empty() {
            if queue.over {
                queue.has_thread = false;
                return None;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + self.rule.batch_wait.0;
        while queue.waiting.len() < batch_max && !queue.over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue = wait(queue, left);
        }
        let count = queue.waiting.len().min(batch_max);
        let batch: Vec<Kept> = queue.waiting.drain(..count).collect();
        queue.bytes -= batch.iter().map(Kept::weight).sum::<usize>();
        queue.under_way = count;
        Some(batch)
    }

    fn deliver(&self, target: &mut dyn Target, batch: &[Kept]) -> Result<(), Failure> {
        let mut pause = PAUSE_MIN;
        let mut tries = 0;
        loop {
            let failure = match target.deliver(batch) {
                Err(failure @ Failure::Later(_)) => failure,
                outcome => return outcome,
            };
            if tries >= self.rule.retries_max.0 || !self.pause(pause) {
                return Err(failure);
            }
            tries += 1;
            self.retries.fetch_add(1, Relaxed);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits before another try; false if there is to be none.
    fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut queue = self.lock();
        while !queue.over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            queue = self.filled.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
