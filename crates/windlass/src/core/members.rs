//! Who is connected to one service.

use std::time::Duration;

use super::NONE;
use crate::config::Limits;
use crate::serve::OwnLimits;

/// The connections of one service on this worker: positions are stable while a connection lives.
#[derive(Clone, Default)]
pub(crate) struct Members {
    pub(super) slots: Vec<u32>,
    pub(super) free: Vec<u32>,
    /// They can move to another worker.
    pub(crate) movable: bool,
    /// They are not told of a drain, and its listeners stay open.
    pub(crate) stays: bool,
    /// The service is being removed, or drains.
    pub(crate) leaving: bool,
    /// Its time to leave is over: whoever is still on the way to it is aborted, and it connects no more.
    pub(crate) aborted: bool,
    /// What the service bounds for itself.
    pub(super) own: OwnLimits,
    /// The service's own bounds, or the server's.
    pub(crate) idle_timeout: Duration,
    pub(crate) input_max: usize,
}

impl Members {
    pub(super) fn add(&mut self, index: u32) -> u32 {
        match self.free.pop() {
            Some(key) => {
                self.slots[key as usize] = index;
                key
            }
            None => {
                self.slots.push(index);
                self.slots.len() as u32 - 1
            }
        }
    }

    pub(super) fn remove(&mut self, key: u32) {
        self.slots[key as usize] = NONE;
        self.free.push(key);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// Takes over what the service bounds for itself, and for the rest what the server does.
    pub(super) fn bound(&mut self, own: OwnLimits, limits: &Limits, input_cap: usize) {
        self.own = own;
        self.idle_timeout = own.idle_timeout.unwrap_or(limits.idle_timeout);
        self.input_max = own.input_max.unwrap_or(limits.input_max).min(input_cap);
    }

    /// Room for so many connections.
    pub(super) fn reserve(&mut self, connections: usize) {
        self.slots.reserve_exact(connections);
        self.free.reserve_exact(connections);
    }

    pub(crate) fn positions(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn at(&self, key: usize) -> Option<u32> {
        self.slots.get(key).copied().filter(|index| *index != NONE)
    }
}
