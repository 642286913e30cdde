//! What the engine counts but does not say: limits that were reached, callbacks that stalled.

use windlass::{Counters, Stall, Stats};

/// Compares the counters with what they were.
pub(super) struct Watch {
    last: Counters,
}

/// A counter that tells of a limit, the limit's name, and what happened.
type Reached = (fn(&Counters) -> u64, &'static str, &'static str);

const REACHED: [Reached; 13] = [
    (|c| c.accept_paused_full, "connections_max", "accepting paused: as many connections as there may be"),
    (
        |c| c.accept_paused_rate,
        "accept_rate_max",
        "accepting paused: new connections come faster than they may",
    ),
    (|c| c.accept_paused_resources, "descriptors", "accepting paused: out of descriptors or memory"),
    (|c| c.shed_full, "connections_max", "newcomers reset: as many connections as there may be"),
    (|c| c.handovers_refused, "control", "a hand-over refused: a stranger, or one too many"),
    (|c| c.handovers_lost, "handover_ready_timeout", "a successor was never ready: this server goes on"),
    (|c| c.shed_source, "source_connections_max", "newcomers reset: too many connections from one address"),
    (|c| c.overloads, "overload_lag_max", "a worker cannot keep up: newcomers and requests are refused"),
    (|c| c.memory_low, "buffered_max", "80 % of it are queued: idle and stalled connections end sooner"),
    (
        |c| c.memory_short,
        "buffered_max",
        "90 % of it are queued: nobody is let in, and connections are ended",
    ),
    (
        |c| c.blocks_refused,
        "memory",
        "connections ended: what they had to keep found no room in the budget of memory",
    ),
    (
        |c| c.datagrams_dropped,
        "datagram_output_max",
        "datagrams dropped: more were waiting for room than may (or datagrams_queued_max)",
    ),
    (|c| c.sockets_refused, "sockets_max", "UDP sockets refused: as many as there may be, or the system's"),
];

impl Watch {
    pub(super) fn new(stats: &Stats) -> Watch {
        Watch { last: stats.counters.clone() }
    }

    /// Logs what is new.
    pub(super) fn look(&mut self, stats: &Stats, stalls: Vec<Stall>) {
        for (limit, message, times) in self.reached(&stats.counters) {
            tracing::warn!(limit, times, "{message}");
        }
        // On an overloaded machine there are many: one line a second will do.
        let new = stats.counters.stalls.saturating_sub(self.last.stalls).max(stalls.len() as u64);
        if let Some(stall) = stalls.into_iter().max_by_key(|stall| stall.took) {
            tracing::warn!(
                stalls = new,
                worker = stall.worker,
                callback = stall.callback,
                listener = stall.listener,
                conn = stall.conn.map(tracing::field::display),
                took_ms = stall.took.as_millis() as u64,
                "callbacks held their worker for too long; the longest:"
            );
        }
        self.last = stats.counters.clone();
    }

    fn reached(&self, now: &Counters) -> Vec<(&'static str, &'static str, u64)> {
        let new = |count: fn(&Counters) -> u64| count(now).saturating_sub(count(&self.last));
        let all = REACHED.into_iter().map(|(count, limit, message)| (limit, message, new(count)));
        all.filter(|(_, _, times)| *times > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let mut stats = Stats::default();
        stats.counters.shed_full = 3;
        let watch = Watch::new(&stats);
        assert!(watch.reached(&stats.counters).is_empty());
        stats.counters.shed_full = 5;
        stats.counters.accept_paused_resources = 1;
        let told: Vec<_> = watch.reached(&stats.counters).iter().map(|(limit, _, n)| (*limit, *n)).collect();
        assert_eq!(told, [("descriptors", 1), ("connections_max", 2)]);
    }
}
