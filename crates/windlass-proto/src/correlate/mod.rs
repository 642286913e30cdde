//! Which reply belongs to which request, with a cap and a deadline for each.
//!
//! Two ways to tell are in use, and each has its table: [`Fifo`] where replies come in the order of the
//! requests (RESP, memcached, HTTP/1.1), [`ById`] where each carries an id (MQTT, most RPC). Both hold up to
//! a cap and refuse beyond it, and both give up what has waited past its deadline, the earliest first,
//! without looking at the others: time is an argument, and [`next_deadline`](Fifo::next_deadline) is what
//! to set a timer to. They grow with what waits, and in a steady state allocate nothing.

mod by_id;
mod deadlines;
mod fifo;

use core::error::Error;
use core::fmt;

pub use by_id::ById;
pub use fifo::{Answered, Fifo, Unasked};

/// A request that cannot be waited for, given back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<T> {
    /// As many wait as may.
    Full(T),
    /// Another with this id waits.
    Duplicate(T),
}

impl<T> Refused<T> {
    /// A short stable name, fit for a metric's label.
    pub const fn label(&self) -> &'static str {
        match self {
            Refused::Full(_) => "full",
            Refused::Duplicate(_) => "duplicate",
        }
    }

    /// What was refused.
    pub fn into_inner(self) -> T {
        match self {
            Refused::Full(value) | Refused::Duplicate(value) => value,
        }
    }
}

/// The reason only: what was refused may hold a secret.
impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Full(_) => "too many requests wait for their replies",
            Refused::Duplicate(_) => "a request with this id waits already",
        })
    }
}

impl<T> Error for Refused<T> {}
