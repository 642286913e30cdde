//! What a supervisor hears while the server runs (sd_notify(3)): that every loop turns, how many connections
//! there are, and that it stops.
//!
//! It is one more service, without listeners, whose tick comes on every worker. A round is complete when
//! every worker has had one; then `WATCHDOG=1` is sent, by whichever came last. So a callback that hangs on
//! any worker, and not just a process that has died, lets the supervisor's patience run out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use windlass::{Close, Conn, Input, Scope, Serve, Service, Sessions, Tick, serve};

use crate::{admin, notify};

/// How often workers report where no watchdog says how often it wants to hear of us. A successor is not
/// told, since its supervisor did not start it; to hear of it too often does the supervisor no harm.
const PERIOD: Duration = Duration::from_secs(2);

/// The workers that have still to report in this round.
#[derive(Debug, Default)]
struct Round {
    reported: BTreeSet<usize>,
    ended: BTreeSet<usize>,
    stopping_told: bool,
}

impl Round {
    /// `worker` turns. True if it was the last of `workers` to say so, and a new round has begun.
    fn report(&mut self, worker: usize, workers: usize) -> bool {
        self.reported.insert(worker);
        let complete = (0..workers).all(|n| self.reported.contains(&n) || self.ended.contains(&n));
        if complete {
            self.reported.clear();
        }
        complete
    }

    /// `worker` has come to its end, and is waited for no more: a drain ends one after the other.
    fn end(&mut self, worker: usize) {
        self.ended.insert(worker);
    }
}

/// One worker's part.
struct Watchdog {
    round: Arc<Mutex<Round>>,
    bound: admin::Slot,
    worker: Option<usize>,
}

/// The service, if a supervisor asks to be told.
pub(crate) fn service(bound: &admin::Slot) -> Option<Serve<impl Service>> {
    if !notify::is_asked() {
        return None;
    }
    let variable = |name: &str| std::env::var(name).ok();
    let period = period(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
    let (round, bound) = (Arc::<Mutex<Round>>::default(), bound.clone());
    let make = move || Watchdog { round: round.clone(), bound: bound.clone(), worker: None };
    Some(serve(make).name("watchdog").tick(period))
}

/// Four ticks within the time the supervisor waits: a round takes two at most.
fn period(usec: Option<String>, pid: Option<String>, me: u32) -> Duration {
    let mine = pid.is_none_or(|pid| pid.parse() == Ok(me));
    let usec = usec.filter(|_| mine).and_then(|usec| usec.parse::<u64>().ok()).filter(|usec| *usec > 0);
    usec.map_or(PERIOD, |usec| Duration::from_micros(usec / 4).clamp(Duration::from_millis(1), PERIOD))
}

impl Watchdog {
    fn round(&self) -> std::sync::MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Watchdog {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        self.worker = Some(scope.worker());
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, _: Tick) {
        let Some(admin::Bound { handle, workers, .. }) = self.bound.get() else { return };
        // A successor speaks for the unit now.
        if self.round().report(scope.worker(), *workers) && !handle.is_superseded() {
            notify::tell(&said(handle.connections(), handle.is_stopping()));
        }
    }

    fn shutdown(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>) {
        let first = !std::mem::replace(&mut self.round().stopping_told, true);
        if let Some(admin::Bound { handle, .. }) = self.bound.get()
            && first
            && !handle.is_superseded()
        {
            notify::tell(&format!("STOPPING=1\n{}", said(handle.connections(), true)));
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(worker) = self.worker {
            self.round().end(worker);
        }
    }
}

fn said(connections: usize, stopping: bool) -> String {
    let s = if connections == 1 { "" } else { "s" };
    let what = if stopping { "draining" } else { "serving" };
    format!("WATCHDOG=1\nSTATUS={what} {connections} connection{s}")
}

#[cfg(test)]
#[path = "../tests/process/watchdog.rs"]
mod tests;
