//! A server whose listeners are open, and the life of its workers.

use std::cell::Cell;
use std::sync::atomic::Ordering::Release;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::budget::MemoryPlan;
use crate::error::{Error, Result};
use crate::parts;
use crate::serve::ServiceSpec;
use crate::shared::Shared;
use crate::sys::MioSys;
#[cfg(target_os = "linux")]
use crate::sys::Signals;
use crate::worker::{Handoffs, HostedService, Setup, Turn, Worker};

use super::changing::Ending;
use super::estate::Estate;
use super::handle::{Handle, Summary};
use super::inherit::Legacy;
use super::listening::BoundAddress;
use super::paths::AdoptedPath;
use super::start::Start;
use super::{WorkerListeners, WorkerSockets};

thread_local! {
    /// This thread is a worker's.
    static WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is a worker's.
pub(super) fn is_worker() -> bool {
    WORKER.get()
}

fn cannot_take_signals(error: std::io::Error) -> Error {
    Error::system("cannot take signals", error)
}

#[cfg(not(target_os = "linux"))]
fn no_signals() -> Result<Bound> {
    Err(cannot_take_signals(std::io::ErrorKind::Unsupported.into()))
}

/// A server whose listeners are open.
pub struct Bound {
    /// When the server is gone, or never ran, mailboxes say so, and files of sockets go.
    pub(super) ending: Ending,
    pub(super) shared: Arc<Shared>,
    pub(super) addresses: Vec<BoundAddress>,
    pub(super) per_worker: Vec<WorkerListeners>,
    pub(super) udp: Vec<WorkerSockets>,
    /// Files of sockets that are ours only once their predecessor is told so.
    pub(super) adopted_paths: Vec<AdoptedPath>,
    pub(super) estate: Estate,
    pub(super) legacy: Legacy,
    pub(super) on_ready: Option<Box<dyn FnOnce() + Send>>,
    #[cfg(unix)]
    pub(super) stop_pipe: Option<std::os::unix::net::UnixStream>,
    #[cfg(target_os = "linux")]
    pub(super) signals: Option<Signals>,
}

impl Bound {
    /// Where it listens, in the order in which it was told to.
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.shared.workers.len()
    }

    /// How its memory is divided, where [`Config::memory`](crate::Config::memory) says how much there is.
    pub fn memory_plan(&self) -> Option<&MemoryPlan> {
        self.shared.budget.as_ref().map(|budget| &budget.plan)
    }

    /// Inherited sockets that no address asked for, in words. They are closed here; those who wait in
    /// their queues are seen to by whoever passed them.
    pub fn left_over(&self) -> &[String] {
        &self.legacy.left
    }

    /// Whether it takes over from a predecessor, which still serves.
    pub fn has_predecessor(&self) -> bool {
        self.legacy.predecessor.is_some()
    }

    /// Has `told` called once, when every worker listens and a predecessor, if there is one, has given
    /// way: the moment to print where it listens, or to tell a supervisor.
    pub fn on_ready(mut self, told: impl FnOnce() + Send + 'static) -> Bound {
        self.on_ready = Some(Box::new(told));
        self
    }

    /// A handle to stop and watch it from anywhere.
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    /// Takes every byte that arrives on `pipe` for a request to shut down: the first drains, the
    /// second stops at once. Meant for signals, whose handler may write to a pipe and do little else,
    /// so that a server on one worker needs no thread to wait for them.
    #[cfg(unix)]
    pub fn stop_pipe(mut self, pipe: std::os::unix::net::UnixStream) -> Bound {
        self.stop_pipe = Some(pipe);
        self
    }

    /// Takes SIGTERM and SIGINT for requests to shut down, as [`Bound::stop_pipe`] takes bytes: they come to worker 0
    /// through its poll, without a handler and without a thread. From here on they are blocked in this thread and in those
    /// that it starts; a thread that was there before would be killed by them. They are what they were once worker 0 has
    /// ended: who asks again while other workers drain ends the process.
    ///
    /// # Errors
    ///
    /// The system's. `Unsupported` elsewhere than on Linux.
    pub fn stop_on_signals(self) -> Result<Bound> {
        #[cfg(target_os = "linux")]
        return self.with_signals(|signals| signals.take_stop());
        #[cfg(not(target_os = "linux"))]
        no_signals()
    }

    /// Has `heard` called for SIGHUP, which ends the process otherwise: by worker 0 between its turns, so it should be
    /// short. Several that come at once are one. All else is as with [`Bound::stop_on_signals`].
    ///
    /// # Errors
    ///
    /// The system's. `Unsupported` elsewhere than on Linux.
    pub fn on_hangup(self, heard: impl FnMut() + Send + 'static) -> Result<Bound> {
        #[cfg(target_os = "linux")]
        return self.with_signals(|signals| signals.take_hangup(Box::new(heard)));
        #[cfg(not(target_os = "linux"))]
        {
            drop(heard);
            no_signals()
        }
    }

    #[cfg(target_os = "linux")]
    fn with_signals(mut self, take: impl FnOnce(&mut Signals) -> std::io::Result<()>) -> Result<Bound> {
        let signals = self.signals.take().map_or_else(Signals::none, Ok);
        let taken = signals.and_then(|mut signals| take(&mut signals).map(|()| signals));
        self.signals = Some(taken.map_err(cannot_take_signals)?);
        Ok(self)
    }

    /// Serves until the server is shut down. Worker 0 runs on the calling thread, every other on one
    /// of its own.
    pub fn run(self) -> Result<Summary> {
        let handle = self.handle();
        self.serve()?;
        Ok(Summary { stats: handle.stats() })
    }

    /// As [`Bound::run`], and sums nothing up at the end: some kilobytes of code, for small programs.
    pub fn serve(self) -> Result<()> {
        let Bound { ending, shared, mut per_worker, mut udp, adopted_paths, .. } = self;
        let services = ending.0.services();
        let Estate { mut control, mut twins } = self.estate;
        let (predecessor, taken, on_ready) = (self.legacy.predecessor, self.legacy.taken, self.on_ready);
        // Held to the end of the last worker.
        let line = Arc::new(Mutex::new(None));
        let holds = line.clone();
        let changer = ending.0.clone();
        let opening = move || {
            if parts::HANDOVER
                && let Some((predecessor, path)) = predecessor
            {
                let failed =
                    |e| Error::system(format!("cannot take over from the server at {}", path.display()), e);
                let held = predecessor.ready(taken).map_err(failed)?;
                *holds.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
                changer.adopt(adopted_paths);
            }
            if let Some(told) = on_ready {
                told();
            }
            Ok(())
        };
        let start = Arc::new(Start::new(per_worker.len(), Box::new(opening)));
        let handoffs = ending.0.handoffs.clone();
        #[cfg(unix)]
        let mut stop_pipe = self.stop_pipe;
        #[cfg(target_os = "linux")]
        let mut signals = self.signals;
        #[cfg(unix)]
        let later_requests = stop_pipe.as_ref().and_then(|pipe| pipe.try_clone().ok());
        let (mut threads, mut failed) = (Vec::new(), None);
        let workers = if parts::THREADS { per_worker.len() } else { 1 };
        for index in (1..workers).rev() {
            let listeners = (per_worker.pop().unwrap_or_default(), udp.pop().unwrap_or_default());
            let twins = twins.pop().unwrap_or_default();
            let (services, handoffs) = (services.clone(), handoffs.clone());
            let (in_thread, start) = (shared.clone(), start.clone());
            let thread = thread::Builder::new().name(format!("windlass-{index}")).spawn(move || {
                let prepare = |sys: &mut MioSys| sys.keep_for_successor(twins, None);
                work(index, listeners, &services, in_thread, handoffs, &start, prepare)
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(e) => {
                    failed = Some(Error::system("cannot start a worker", e));
                    break;
                }
            }
        }
        if let Some(e) = failed {
            // Those that were started wait for the others, or would.
            start.fail();
            for thread in threads {
                let _ = thread.join();
            }
            return Err(e);
        }
        let listeners = (per_worker.pop().unwrap_or_default(), udp.pop().unwrap_or_default());
        let mut result = work(0, listeners, &services, shared.clone(), handoffs, &start, |sys| {
            #[cfg(unix)]
            if let Some(pipe) = stop_pipe.take() {
                sys.watch_stop_pipe(pipe)?;
            }
            #[cfg(target_os = "linux")]
            if let Some(signals) = signals.take() {
                sys.watch_signals(signals)?;
            }
            sys.keep_for_successor(twins.pop().unwrap_or_default(), control.take())
        });
        #[cfg(unix)]
        if let Some(pipe) = later_requests.filter(|_| parts::THREADS) {
            hear_requests(pipe, &threads, &shared);
        }
        for thread in threads {
            match thread.join() {
                Ok(worker) => result = result.and(worker),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        drop(line);
        drop(ending);
        result
    }
}

/// Takes requests to stop while other workers still drain: worker 0, which watched the pipe, is gone.
#[cfg(unix)]
fn hear_requests(
    mut pipe: std::os::unix::net::UnixStream,
    threads: &[thread::JoinHandle<Result<()>>],
    shared: &Shared,
) {
    use std::io::Read;
    use std::time::Duration;

    /// How long the end of the last worker may go unnoticed.
    const LOOK_EVERY: Duration = Duration::from_millis(10);

    if pipe.set_nonblocking(false).and_then(|()| pipe.set_read_timeout(Some(LOOK_EVERY))).is_err() {
        return;
    }
    while threads.iter().any(|thread| !thread.is_finished()) {
        match pipe.read(&mut [0; 16]) {
            Ok(0) => return,
            Ok(n) => (0..n).for_each(|_| shared.request_stop(false)),
            // Nothing yet, or a signal.
            Err(_) => {}
        }
    }
}

/// Stops the other workers when this one is gone for a reason that is none of theirs: a panic in a
/// callback, or a poll that failed. Half a server would be worse than none.
struct StopOthers<'a>(&'a Shared, &'a Start, bool);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        WORKER.set(false);
        if !self.2 {
            self.0.request_stop(true);
            self.1.fail();
        }
    }
}

/// A worker's whole life.
fn work(
    index: usize,
    (listeners, sockets): (WorkerListeners, WorkerSockets),
    services: &[Arc<dyn ServiceSpec>],
    shared: Arc<Shared>,
    handoffs: Arc<Handoffs<MioSys>>,
    start: &Start,
    prepare: impl FnOnce(&mut MioSys) -> std::io::Result<()>,
) -> Result<()> {
    let mut guard = StopOthers(&shared, start, false);
    let failed = |e| Error::system(format!("worker {index} failed"), e);
    let mut worker =
        made(index, (listeners, sockets), services, shared.clone(), handoffs, prepare).map_err(failed)?;
    // Otherwise it never accepts anybody, and closes its listeners as they are.
    if start.wait()? {
        shared.begun.store(true, Release);
        while worker.turn().map_err(failed)? == Turn::Running {}
    }
    guard.2 = true;
    Ok(())
}

/// A worker that has not begun. On its own, so that what it takes of the stack is given back before the first turn.
#[inline(never)]
fn made(
    index: usize,
    (listeners, sockets): (WorkerListeners, WorkerSockets),
    services: &[Arc<dyn ServiceSpec>],
    shared: Arc<Shared>,
    handoffs: Arc<Handoffs<MioSys>>,
    prepare: impl FnOnce(&mut MioSys) -> std::io::Result<()>,
) -> std::io::Result<Box<Worker<MioSys>>> {
    let mut sys = MioSys::new()?;
    prepare(&mut sys)?;
    WORKER.set(true);
    let services = services.iter().map(|spec| HostedService::new(&**spec, index)).collect();
    let hosts = Box::new(HostedService::new);
    Worker::new(Setup { index, sys, listeners, sockets, services, shared, handoffs, hosts })
}
