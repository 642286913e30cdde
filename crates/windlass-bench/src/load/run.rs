//! Runs the threads of a generator side by side and looks at the server meanwhile.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::driven::{Load, Tally};
use super::line::Speech;
use super::options::Options;
use super::report::{Report, ServerUse};
use super::steady::Shares;
use super::{Progress, churn, steady};
use crate::clock;
use crate::net::{Dialer, allow_descriptors};
use crate::proc::{Cpu, resident_kib};

/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// What the threads of a run share. Written once at the start and once per pass: the data path
/// of a thread touches nothing of another.
#[derive(Debug)]
pub(crate) struct Shared {
    barrier: Barrier,
    /// A thread could not connect: nobody starts.
    abandoned: AtomicBool,
    start: AtomicU64,
    warmup: u64,
    duration: u64,
    messages: AtomicU64,
    faults: AtomicU64,
}

impl Shared {
    fn new(options: &Options) -> Shared {
        Shared {
            barrier: Barrier::new(options.threads + 1),
            abandoned: AtomicBool::new(false),
            start: AtomicU64::new(0),
            warmup: clock::nanos(options.warmup),
            duration: clock::nanos(options.duration),
            messages: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        }
    }

    /// The start, and when the measured window opens and closes.
    pub(crate) fn window(&self) -> (u64, u64, u64) {
        let start = self.start.load(Ordering::Acquire);
        let open = start + self.warmup;
        (start, open, open + self.duration)
    }

    /// Adds what a thread has done since its last call to the common counters.
    pub(crate) fn publish(&self, tally: &mut Tally) {
        let messages = tally.messages - tally.published;
        if messages > 0 {
            tally.published = tally.messages;
            self.messages.fetch_add(messages, Ordering::Relaxed);
        }
        if tally.faults > tally.published_faults {
            self.faults.fetch_add(tally.faults - tally.published_faults, Ordering::Relaxed);
            tally.published_faults = tally.faults;
        }
    }
}

/// What one thread brings home.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) tally: Tally,
    pub(crate) stalled: u64,
    pub(crate) unanswered: u64,
    /// How much of the window had passed when it ended, in nanoseconds.
    pub(crate) measured: u64,
    /// How the thread spent the window.
    pub(crate) shares: Shares,
}

/// What every thread of a load does, over its share of the connections.
pub(crate) trait Share: Sync {
    /// What a thread prepares before the common start.
    type Ready;

    /// Prepares thread number `thread`.
    fn prepare(&self, options: &Options, dialer: &Dialer, thread: usize) -> Result<Self::Ready>;

    /// Works from the common start to the end.
    fn work(&self, ready: Self::Ready, at: At<'_>) -> Result<Part>;
}

/// Where a thread of a load is.
#[derive(Clone, Copy)]
pub(crate) struct At<'r> {
    pub(crate) options: &'r Options,
    pub(crate) dialer: &'r Dialer,
    pub(crate) shared: &'r Shared,
    pub(crate) thread: usize,
}

/// Connections that each speak for themselves.
struct Speaking<'s, S>(&'s S);

/// What a thread of those prepares before the common start.
enum Ready<L> {
    Steady(Box<Load<L>>),
    Churn,
}

impl<S: Speech> Share for Speaking<'_, S> {
    type Ready = Ready<S::Line>;

    fn prepare(&self, options: &Options, dialer: &Dialer, thread: usize) -> Result<Ready<S::Line>> {
        match options.churn {
            true => Ok(Ready::Churn),
            false => {
                steady::connect(self.0, options, dialer, thread).map(|load| Ready::Steady(Box::new(load)))
            }
        }
    }

    fn work(&self, ready: Ready<S::Line>, at: At<'_>) -> Result<Part> {
        match ready {
            Ready::Steady(load) => Ok(steady::work(*load, at.options, at.shared)),
            Ready::Churn => churn::work(self.0, at.options, at.dialer, at.shared, at.thread),
        }
    }
}

/// Runs a load that keeps its connections, or with [`Options::churn`] one that does not.
pub(crate) fn run<S: Speech>(
    speech: &S,
    options: &Options,
    tell: &mut dyn FnMut(Progress),
) -> Result<Report> {
    run_shares(&Speaking(speech), options, tell)
}

/// Runs a load whose threads do what `share` says.
pub(crate) fn run_shares<S: Share>(
    share: &S,
    options: &Options,
    tell: &mut dyn FnMut(Progress),
) -> Result<Report> {
    // More threads than connections would leave some with nothing to do.
    let options = &Options { threads: options.threads.min(options.connections), ..options.clone() };
    allow_descriptors(options.connections)?;
    let dialer = Dialer::of(options)?;
    // Fails early and clearly when nobody listens, in every mode.
    drop(dialer.connect()?);
    let shared = Shared::new(options);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| {
                let at = At { options, dialer: &dialer, shared: &shared, thread };
                scope.spawn(move || thread_main(share, at))
            })
            .collect();
        shared.barrier.wait();
        let start = clock::now();
        shared.start.store(start, Ordering::Release);
        shared.barrier.wait();

        let mut server = None;
        if !shared.abandoned.load(Ordering::Acquire) {
            server = watch(options, &shared, tell, || threads.iter().all(|thread| thread.is_finished()))?;
        }
        let mut report = Report::new(options);
        for thread in threads {
            let part = thread.join().map_err(|_| anyhow!("a generator thread panicked"))??;
            report.add(part, options.threads);
        }
        report.server = server;
        Ok(report)
    })
}

fn thread_main<S: Share>(share: &S, at: At<'_>) -> Result<Part> {
    let At { options, dialer, shared, thread } = at;
    let ready = share.prepare(options, dialer, thread);
    if ready.is_err() {
        shared.abandoned.store(true, Ordering::Release);
    }
    shared.barrier.wait();
    shared.barrier.wait();
    let ready = ready?;
    if shared.abandoned.load(Ordering::Acquire) {
        return Err(anyhow!("another thread could not connect"));
    }
    share.work(ready, at)
}

/// Tells progress until the threads are done, and takes the server's CPU time at both ends of the
/// window, each together with the number of messages at that moment.
fn watch(
    options: &Options,
    shared: &Shared,
    tell: &mut dyn FnMut(Progress),
    done: impl Fn() -> bool,
) -> Result<Option<ServerUse>> {
    let (start, open, close) = shared.window();
    let sample = || -> Result<Option<(Cpu, u64)>> {
        let cpu = options.pid.map(Cpu::of).transpose()?;
        Ok(cpu.map(|cpu| (cpu, shared.messages.load(Ordering::Relaxed))))
    };
    let mut opened = None;
    let mut server = None;
    let mut last = (start, 0);
    while !done() {
        let now = clock::now();
        if opened.is_none() && now >= open {
            opened = sample()?;
        }
        if server.is_none() && now >= close {
            server = server_use(options, opened, sample()?);
        }
        let messages = shared.messages.load(Ordering::Relaxed);
        let passed = now.saturating_sub(last.0).max(1) as f64 / 1e9;
        tell(Progress {
            elapsed: Duration::from_nanos(now - start),
            total: Duration::from_nanos(close - start),
            messages,
            rate: (messages - last.1) as f64 / passed,
            faults: shared.faults.load(Ordering::Relaxed),
        });
        last = (now, messages);
        let tick = now + clock::nanos(TOLD_EVERY);
        // Wake exactly at the ends of the window, if one of them comes first.
        let next = [open, close].into_iter().filter(|&edge| edge > now).fold(tick, u64::min);
        clock::sleep_until(next);
    }
    if server.is_none() {
        server = server_use(options, opened, sample()?);
    }
    Ok(server)
}

fn server_use(
    options: &Options,
    opened: Option<(Cpu, u64)>,
    closed: Option<(Cpu, u64)>,
) -> Option<ServerUse> {
    let ((before, first), (after, last)) = (opened?, closed?);
    let resident = options.pid.and_then(|pid| resident_kib(pid).ok()).unwrap_or(0);
    Some(ServerUse { cpu: after.since(before), messages: last - first, resident_kib: resident })
}
