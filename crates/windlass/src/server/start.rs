//! The moment from which a server accepts: when every worker stands ready, and not before.
//!
//! A successor must not take a newcomer as long as it may still fail, since its predecessor would not
//! know of that connection. So all workers wait for the last one, which opens the doors.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Result;

/// What the last worker does before all begin.
pub(super) type Opening = Box<dyn FnOnce() -> Result<()> + Send>;

pub(super) struct Start {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    missing: usize,
    opening: Option<Opening>,
    begun: Option<bool>,
}

impl Start {
    pub(super) fn new(workers: usize, opening: Opening) -> Start {
        let state = State { missing: workers, opening: Some(opening), begun: None };
        Start { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by each worker once, when it stands ready. Waits for the others, and tells whether the
    /// server begins; the error is told to one of them.
    pub(super) fn wait(&self) -> Result<bool> {
        let mut state = self.lock();
        state.missing -= 1;
        if state.missing == 0
            && state.begun.is_none()
            && let Some(opening) = state.opening.take()
        {
            // What it does may take a while, or wait for somebody who asks how we are.
            drop(state);
            opening()?;
            self.decide(true);
            return Ok(true);
        }
        while state.begun.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state.begun == Some(true))
    }

    /// One of them is gone: nobody begins who has not yet.
    pub(super) fn fail(&self) {
        self.decide(false);
    }

    fn decide(&self, begun: bool) {
        self.lock().begun.get_or_insert(begun);
        self.changed.notify_all();
    }
}
