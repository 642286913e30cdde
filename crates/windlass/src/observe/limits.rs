//! Limits, how much of each is in use, and how often it was reached.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::config::{BYTES, WhenDatagramsFull, WhenFull, WhenOverloaded};
use crate::server::Handle;
use crate::stats::Counters;

/// A limit's value, with its unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LimitValue {
    /// So many of something. 0 turns off what says so.
    Count(u64),
    /// So many bytes.
    Bytes(u64),
    /// So long.
    Time(Duration),
    /// A policy: "wait", "shed", "drop_newest", "drop_oldest".
    Policy(&'static str),
}

impl From<usize> for LimitValue {
    fn from(n: usize) -> LimitValue {
        LimitValue::Count(n as u64)
    }
}

impl From<u32> for LimitValue {
    fn from(n: u32) -> LimitValue {
        LimitValue::Count(n.into())
    }
}

impl From<Duration> for LimitValue {
    fn from(time: Duration) -> LimitValue {
        LimitValue::Time(time)
    }
}

impl From<WhenFull> for LimitValue {
    fn from(policy: WhenFull) -> LimitValue {
        LimitValue::Policy(match policy {
            WhenFull::Wait => "wait",
            WhenFull::Shed => "shed",
        })
    }
}

impl From<WhenOverloaded> for LimitValue {
    fn from(policy: WhenOverloaded) -> LimitValue {
        LimitValue::Policy(match policy {
            WhenOverloaded::Wait => "wait",
            WhenOverloaded::Shed => "shed",
        })
    }
}

impl From<WhenDatagramsFull> for LimitValue {
    fn from(policy: WhenDatagramsFull) -> LimitValue {
        LimitValue::Policy(match policy {
            WhenDatagramsFull::DropNewest => "drop_newest",
            WhenDatagramsFull::DropOldest => "drop_oldest",
        })
    }
}

/// One limit and its use.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LimitUse {
    /// The key, as in [`Limits`](crate::Limits).
    pub name: &'static str,
    /// What it bounds, in words.
    pub about: &'static str,
    /// What is allowed.
    pub value: LimitValue,
    /// How much of it is in use, in the same unit, where that can be said: of a limit that holds for each
    /// worker or listener, on the fullest one; of one that holds for each connection, the most that one has
    /// used since the start.
    pub used: Option<u64>,
    /// How often it was reached since the start, where that is counted.
    pub reached: Option<u64>,
}

impl Handle {
    /// Every limit of the server, in the order of their declaration, with how much of it is used. Services
    /// may have bounds of their own instead of `idle_timeout` and `input_max`.
    pub fn limits_in_use(&self) -> Vec<LimitUse> {
        let stats = self.stats().counters;
        let values = self.shared.limits().values().into_iter();
        let with_use = values.map(|(name, about, value)| LimitUse {
            name,
            about,
            value: match value {
                LimitValue::Count(n) if BYTES.contains(&name) => LimitValue::Bytes(n),
                value => value,
            },
            used: self.used(name, &stats),
            reached: reached(name, &stats),
        });
        with_use.collect()
    }

    fn used(&self, name: &str, stats: &Counters) -> Option<u64> {
        let shared = &self.shared;
        let fullest = |of: fn(&Counters) -> u64| {
            shared.workers.iter().map(|worker| of(&worker.stats.snapshot().counters)).max()
        };
        match name {
            "connections_max" => Some(shared.connections.load(Relaxed) as u64),
            "listener_connections_max" => {
                shared.listeners().iter().map(|listener| listener.connections.load(Relaxed) as u64).max()
            }
            "connecting_max" => fullest(|counters| counters.connecting),
            "tls_handshakes_max" => fullest(|counters| counters.tls_handshakes),
            "buffered_max" => fullest(|counters| counters.buffered_bytes),
            "relay_pipes_max" => fullest(|counters| counters.pipes),
            "sockets_max" => fullest(|counters| counters.sockets),
            "input_max" => Some(stats.input_peak_bytes),
            "output_max" => Some(stats.output_peak_bytes),
            "datagram_output_max" => Some(stats.datagram_output_peak_bytes),
            _ => None,
        }
    }
}

fn reached(name: &str, stats: &Counters) -> Option<u64> {
    Some(match name {
        // One count for both, as accepting stops for the same reason.
        "connections_max" => stats.accept_paused_full + stats.shed_full + stats.connects_over_limit,
        "source_connections_max" => stats.shed_source,
        "accept_rate_max" => stats.accept_paused_rate,
        "connecting_max" => stats.connects_over_limit,
        "connect_timeout" => stats.connects_timed_out,
        "idle_timeout" => stats.closed_by("idle"),
        "write_stall_timeout" => stats.closed_by("slow_consumer"),
        "tls_handshake_timeout" => stats.tls_failed_by("handshake_timeout"),
        "tls_handshakes_max" => stats.tls_failed_by("handshakes_full"),
        "tls_handshakes_per_turn_max" => stats.tls_handshakes_deferred,
        "read_budget_bytes" => stats.budget_spent,
        "input_max" => stats.closed_by("input_full"),
        "output_high" => stats.congestions,
        "output_max" => stats.closed_by("overflow"),
        "buffered_max" => stats.closed_by("memory_full"),
        "overload_lag_max" => stats.overloads,
        "relay_pipes_max" => stats.pipes_refused,
        "stall_timeout" => stats.stalls,
        "sockets_max" => stats.sockets_refused,
        "datagrams_per_turn_max" => stats.datagram_budget_spent,
        "datagrams_queued_max" => stats.datagrams_dropped,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    /// A limit whose unit or use is told under a name that there is not would be told of none.
    #[test]
    fn every_name_here_is_a_limits_name() {
        let known = |name: &str| Limits::NAMES.iter().any(|(known, _)| *known == name);
        for name in BYTES {
            assert!(known(name), "{name}");
        }
        let values = Limits::default().values();
        let sizes = values.iter().filter(|(name, ..)| name.ends_with("_bytes"));
        assert!(sizes.clone().count() > 0);
        for (name, ..) in sizes {
            assert!(BYTES.contains(name), "{name} is in bytes");
        }
        let counted = values.iter().filter(|(name, ..)| reached(name, &Counters::default()).is_some());
        assert_eq!(counted.count(), 21, "as many as `reached` names");
    }
}
