//! What happens to sessions that have no connection: their wills, and their end.

use std::collections::BTreeMap;

use windlass::Time;

use crate::session::Key;

/// Deadlines in order; one for each session at most.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<(Time, Key), u32>,
}

impl Timers {
    /// Sets the deadline of the session of this generation, in place of `before`.
    pub(crate) fn set(&mut self, at: Time, key: Key, generation: u32) {
        self.due.insert((at, key), generation);
    }

    pub(crate) fn cancel(&mut self, at: Time, key: Key) {
        self.due.remove(&(at, key));
    }

    /// The next session whose time has come, and its generation.
    pub(crate) fn pop(&mut self, now: Time) -> Option<(Key, u32)> {
        let (&(at, key), &generation) = self.due.first_key_value()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some((key, generation))
    }
}

/// A time that something has been set for, or none: in the room of a time.
#[derive(Debug)]
pub(crate) struct Deadline(Time);

impl Default for Deadline {
    fn default() -> Deadline {
        Deadline(Time::MAX)
    }
}

impl Deadline {
    pub(crate) fn set(&mut self, at: Time) {
        self.0 = at;
    }

    pub(crate) fn get(&self) -> Option<Time> {
        Some(self.0).filter(|at| *at != Time::MAX)
    }

    /// It is set no longer.
    pub(crate) fn take(&mut self) -> Option<Time> {
        std::mem::take(self).get()
    }
}
