//! What hubs had no memory for, where `memory_max` bounds what they keep.

use std::collections::BTreeMap;

use windlass_hub::HubStats;

use crate::hub::Links;

/// A counter of what was refused or dropped, and what that was.
type Shed = (fn(&HubStats) -> u64, &'static str);

const SHED: [Shed; 6] = [
    (|it| it.memory_sessions_refused, "clients refused: no memory for their sessions or wills"),
    (|it| it.memory_subscriptions_refused, "subscriptions refused: no memory for them"),
    (|it| it.memory_retained_refused, "messages not retained: no memory for them"),
    (|it| it.memory_messages_dropped, "messages dropped: no memory to keep them for who has to wait"),
    (|it| it.memory_clients_ended, "clients disconnected: no memory for what they had begun"),
    (|it| it.memory_requests_refused, "requests refused: no memory for their bodies"),
];

/// What was told of each hub.
#[derive(Default)]
pub(super) struct Hubs(BTreeMap<String, Told>);

#[derive(Default)]
struct Told {
    shed: [u64; SHED.len()],
    /// More is kept than there may be.
    is_over: bool,
}

impl Hubs {
    /// Logs what is new.
    pub(super) fn look(&mut self, links: &Links) {
        let all = links.memory();
        self.0.retain(|name, _| all.iter().any(|(there, ..)| there == name));
        for (name, stats, most) in all {
            let told = self.0.entry(name.clone()).or_default();
            for (message, times) in told.grown(&stats) {
                tracing::warn!(hub = name, limit = "memory_max", times, "{message}");
            }
            let bytes = stats.memory_used;
            if told.exceeds(bytes, most) {
                tracing::warn!(
                    hub = name,
                    limit = "memory_max",
                    bytes,
                    "more is kept than it allows: what the journal holds is not dropped, and what is new is refused"
                );
            }
        }
    }
}

impl Told {
    fn grown(&mut self, stats: &HubStats) -> Vec<(&'static str, u64)> {
        let told = SHED.iter().zip(&mut self.shed).map(|((count, message), told)| {
            let now = count(stats);
            (*message, now.saturating_sub(std::mem::replace(told, now)))
        });
        told.filter(|(_, times)| *times > 0).collect()
    }

    /// Whether it has become too much: by a sixteenth at least, since a message of another worker is taken too.
    fn exceeds(&mut self, bytes: u64, most: usize) -> bool {
        let was = self.is_over;
        self.is_over = bytes > most as u64 + (most / 16) as u64 || was && bytes > most as u64;
        self.is_over && !was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told() {
        let mut told = Told::default();
        let mut stats = HubStats::default();
        assert!(told.grown(&stats).is_empty());
        (stats.memory_retained_refused, stats.memory_clients_ended) = (3, 1);
        let texts: Vec<_> = told.grown(&stats).iter().map(|(text, n)| (&text[..8], *n)).collect();
        assert_eq!(texts, [("messages", 3), ("clients ", 1)]);
        stats.memory_retained_refused = 4;
        assert_eq!(told.grown(&stats).iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn too_much_is_told_once_until_it_is_less() {
        let mut told = Told::default();
        let over: Vec<bool> =
            [100, 105, 107, 120, 101, 107, 99, 107].map(|bytes| told.exceeds(bytes, 100)).into();
        assert_eq!(over, [false, false, true, false, false, false, false, true]);
    }
}
