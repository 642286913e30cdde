//! What bounds a user, whatever number of clients it has, and on whichever workers.

use std::collections::HashMap;
use std::sync::Arc;
#[allow(clippy::disallowed_types, reason = "taken when a client comes, never for a message")]
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use windlass::Time;
use windlass_proto::mqtt::Reason;

use crate::atomic::AtomicU64;
use crate::identity::UserLimits;

/// What bounds are counted in.
const WINDOW: Duration = Duration::from_secs(1);
/// Users that are counted and have no connection are forgotten when there are so many, and twice as many as were left
/// the last time.
const IDLE_MAX: usize = 10_000;

/// What users do, by their names; clients without one are one user. Nobody is in it where nobody has bounds.
///
/// All workers of a hub have the same one, since a user's clients are on any of them. A client finds its user once, and
/// counts its messages without a lock from then on.
#[derive(Debug, Default)]
pub(crate) struct Users {
    #[allow(clippy::disallowed_types, reason = "taken when a client comes, never for a message")]
    by_name: Mutex<Known>,
}

/// Those that are counted.
#[derive(Debug, Default)]
struct Known {
    users: HashMap<Arc<str>, Arc<Load>>,
    /// How many there were when it was last looked which of them have left.
    stayed: usize,
    /// How often one was looked at to see whether it is still there.
    #[cfg(test)]
    looked_at: u64,
}

impl Known {
    /// Forgets those who have left, if there are many by now. It is not looked again before there are twice as many as
    /// have stayed: so where all of them are connected, what it costs is shared by those that came meanwhile.
    fn make_room(&mut self, now: Time) {
        if self.users.len() < IDLE_MAX.max(2 * self.stayed) {
            return;
        }
        #[cfg(test)]
        {
            self.looked_at += self.users.len() as u64;
        }
        self.users.retain(|_, load| load.counts(now));
        self.stayed = self.users.len();
    }
}

/// What one user does.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) name: Arc<str>,
    connections: AtomicUsize,
    /// When the second began that the others are of, in nanoseconds.
    since: AtomicU64,
    connects: AtomicU32,
    messages: AtomicU32,
    bytes: AtomicU64,
}

impl Load {
    fn new(name: Arc<str>, now: Time) -> Load {
        Load {
            name,
            connections: AtomicUsize::new(0),
            since: AtomicU64::new(now.as_nanos()),
            connects: AtomicU32::new(0),
            messages: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Whether it would be another matter without it: it is connected, or has done something in this second.
    fn counts(&self, now: Time) -> bool {
        let since = Time::from_nanos(self.since.load(Relaxed));
        self.connections.load(Relaxed) > 0 || now.since(since) < WINDOW
    }

    /// In a new second nothing has been done.
    fn at(&self, now: Time) -> &Load {
        let since = self.since.load(Relaxed);
        let is_new = now.since(Time::from_nanos(since)) >= WINDOW;
        // One worker begins it.
        if is_new && self.since.compare_exchange(since, now.as_nanos(), Relaxed, Relaxed).is_ok() {
            self.connects.store(0, Relaxed);
            self.messages.store(0, Relaxed);
            self.bytes.store(0, Relaxed);
        }
        self
    }

    /// One message more; whether that is too many.
    pub(crate) fn published(&self, limits: &UserLimits, bytes: usize, now: Time) -> bool {
        let load = self.at(now);
        let messages = u64::from(load.messages.fetch_add(1, Relaxed)) + 1;
        let bytes = load.bytes.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        over(messages, limits.messages_per_second_max.into()) || over(bytes, limits.bytes_per_second_max)
    }

    /// A connection of the user is gone.
    pub(crate) fn leave(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }
}

/// Whether a bound is passed; 0 is none.
fn over(count: u64, max: u64) -> bool {
    max > 0 && count > max
}

impl Users {
    /// One more connection of a user, unless that is one too many; `replaced` of them will end by it. What it is
    /// counted by, to be given back by [`Load::leave`].
    pub(crate) fn enter(
        &self,
        user: Option<&str>,
        limits: &UserLimits,
        replaced: usize,
        now: Time,
    ) -> Result<Option<Arc<Load>>, Reason> {
        if *limits == UserLimits::default() {
            return Ok(None);
        }
        let mut known = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        known.make_room(now);
        let users = &mut known.users;
        let name = user.unwrap_or_default();
        let load = match users.get(name) {
            Some(load) => load.clone(),
            None => {
                let name: Arc<str> = name.into();
                let load = Arc::new(Load::new(name.clone(), now));
                users.insert(name, load.clone());
                load
            }
        };
        // Others that come wait for the lock.
        let connects = load.at(now).connects.fetch_add(1, Relaxed) + 1;
        if over(connects.into(), limits.connects_per_second_max.into()) {
            return Err(Reason::ConnectionRateExceeded);
        }
        let connections = load.connections.load(Relaxed).saturating_sub(replaced) + 1;
        if over(connections as u64, limits.connections_max as u64) {
            return Err(Reason::QuotaExceeded);
        }
        load.connections.fetch_add(1, Relaxed);
        Ok(Some(load))
    }
}

#[cfg(test)]
mod tests;
