//! What bounds a user, whatever number of clients it has on this worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use windlass::Time;
use windlass_proto::mqtt::Reason;

use crate::identity::UserLimits;

/// What bounds are counted in.
const WINDOW: Duration = Duration::from_secs(1);
/// Users that are counted and have no connection are forgotten when there are so many.
const IDLE_MAX: usize = 10_000;

/// What users do, by their names; clients without one are one user. Nobody is in it where nobody has bounds.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    users: HashMap<Arc<str>, Load>,
}

#[derive(Debug)]
struct Load {
    connections: usize,
    /// When the second began that the others are of.
    since: Time,
    connects: u32,
    messages: u32,
    bytes: u64,
}

impl Load {
    /// In a new second nothing has been done.
    fn at(&mut self, now: Time) -> &mut Load {
        if now.since(self.since) >= WINDOW {
            (self.since, self.connects, self.messages, self.bytes) = (now, 0, 0, 0);
        }
        self
    }
}

/// Whether a bound is passed; 0 is none.
fn over(count: u64, max: u64) -> bool {
    max > 0 && count > max
}

impl Quotas {
    /// One more connection of a user, unless that is one too many; `replaced` of them will end by it. What it is
    /// counted by, to be given back by [`Quotas::leave`].
    pub(crate) fn enter(
        &mut self,
        user: Option<&str>,
        limits: &UserLimits,
        replaced: usize,
        now: Time,
    ) -> Result<Option<Arc<str>>, Reason> {
        if *limits == UserLimits::default() {
            return Ok(None);
        }
        if self.users.len() >= IDLE_MAX {
            self.users.retain(|_, load| load.connections > 0);
        }
        let name = user.unwrap_or_default();
        let known = self.users.get_key_value(name).map(|(name, _)| name.clone());
        let name = known.unwrap_or_else(|| name.into());
        let load = self.users.entry(name.clone()).or_insert_with(|| Load {
            connections: 0,
            since: now,
            connects: 0,
            messages: 0,
            bytes: 0,
        });
        let load = load.at(now);
        load.connects = load.connects.saturating_add(1);
        if over(load.connects.into(), limits.connects_per_second_max.into()) {
            return Err(Reason::ConnectionRateExceeded);
        }
        let connections = load.connections.saturating_sub(replaced) + 1;
        if over(connections as u64, limits.connections_max as u64) {
            return Err(Reason::QuotaExceeded);
        }
        load.connections += 1;
        Ok(Some(name))
    }

    /// The connection of a user is gone.
    pub(crate) fn leave(&mut self, name: &str) {
        if let Some(load) = self.users.get_mut(name) {
            load.connections = load.connections.saturating_sub(1);
        }
    }

    /// One message more; whether that is too many.
    pub(crate) fn published(&mut self, name: &str, limits: &UserLimits, bytes: usize, now: Time) -> bool {
        let Some(load) = self.users.get_mut(name) else { return false };
        let load = load.at(now);
        load.messages = load.messages.saturating_add(1);
        load.bytes = load.bytes.saturating_add(bytes as u64);
        over(load.messages.into(), limits.messages_per_second_max.into())
            || over(load.bytes, limits.bytes_per_second_max)
    }
}
