//! What one seed's world is like: which faults it has, how often, and how wide its pipes are.
//!
//! Each seed draws which faults exist at all before it draws how strong they are ("swarm testing"): a
//! world with every fault at once hides bugs that need a quiet neighbour, such as a burst that goes
//! through in one piece.

use std::ops::Range;

use windlass_proto::testing::Rng;

use super::jobs::JobPlan;

pub(crate) const MICRO: u64 = 1_000;
pub(crate) const MILLI: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A probability in 1,024ths. Zero: this world does not have that fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Odds(u64);

impl Odds {
    pub(crate) const NEVER: Odds = Odds(0);
    #[cfg(test)]
    pub(crate) const ALWAYS: Odds = Odds(1024);

    /// Absent in half of all worlds; elsewhere up to `most`, small values as often as large ones.
    pub(super) fn draw(rng: &mut Rng, most: u64) -> Odds {
        if rng.chance(1, 2) { Odds::NEVER } else { Odds((most >> rng.below(5)).max(1)) }
    }

    pub(crate) fn hit(self, rng: &mut Rng) -> bool {
        self.0 != 0 && rng.below(1024) < self.0
    }

    pub(crate) fn never(self) -> bool {
        self.0 == 0
    }
}

/// When a stream tells that it is ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Edges {
    /// On every arrival of bytes, of the end, of space: what Linux does.
    Arrival,
    /// Only after the worker has seen `WouldBlock` in that direction, and then once: Windows.
    Stingy,
}

/// The character of one world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) edges: Edges,
    /// Unix sockets: write events only once asked for, and no peer addresses.
    pub(crate) unix: bool,

    // The calls.
    pub(crate) short_read: Odds,
    pub(crate) short_write: Odds,
    pub(crate) interrupted: Odds,
    pub(crate) register_fails: Odds,
    pub(crate) accept_fails: Odds,
    /// Out of descriptors is told before "nothing queued", as Linux does.
    pub(crate) emfile_first: bool,
    /// The time one call takes.
    pub(crate) call_cost: u64,

    // The events.
    pub(crate) spurious: Odds,
    pub(crate) stale: Odds,
    pub(crate) split_events: Odds,
    pub(crate) partial_batch: Odds,
    pub(crate) late_event: Odds,
    pub(crate) late_event_max: u64,
    pub(crate) shuffle: bool,
    /// A timer or a poll may end this much late.
    pub(crate) late_wake_max: u64,
    pub(crate) precise_tick: bool,

    // The network.
    pub(crate) delay: Range<u64>,
    pub(crate) segment_max: u64,
    pub(crate) send_buffer: Range<u64>,
    pub(crate) receive_buffer: Range<u64>,
    pub(crate) backlog: usize,
    /// A lost SYN is tried again after this long.
    pub(crate) syn_retry: u64,
    pub(crate) fin_with_data: Odds,
    /// A reset throws away what the receiver has not read yet (it stays readable on Linux).
    pub(crate) reset_discards: bool,
    /// A reset overtakes and discards what is on its way.
    pub(crate) reset_overtakes: Odds,
    /// Who resets while queued is not accepted but reported as aborted.
    pub(crate) aborted_accept: bool,

    // Calls to remotes.
    /// A call fails by itself.
    pub(crate) call_fails: Odds,
    /// A call is through at once.
    pub(crate) made_at_once: Odds,
    /// Events come before a call is through.
    pub(crate) early_event: Odds,

    // Descriptors.
    pub(crate) descriptors_max: usize,
    /// Out of descriptors every so often, for a while.
    pub(crate) emfile_every: Option<Range<u64>>,
    pub(crate) emfile_for: Range<u64>,
    /// Whether there is a spare descriptor for `shed`.
    pub(crate) spare: Odds,

    pub(crate) jobs: JobPlan,
}

impl Plan {
    /// A world without a fault: everything arrives at once, whole, and in order.
    pub(crate) fn calm() -> Plan {
        Plan {
            edges: Edges::Arrival,
            unix: false,
            short_read: Odds::NEVER,
            short_write: Odds::NEVER,
            interrupted: Odds::NEVER,
            register_fails: Odds::NEVER,
            accept_fails: Odds::NEVER,
            emfile_first: false,
            call_cost: 0,
            spurious: Odds::NEVER,
            stale: Odds::NEVER,
            split_events: Odds::NEVER,
            partial_batch: Odds::NEVER,
            late_event: Odds::NEVER,
            late_event_max: 0,
            shuffle: false,
            late_wake_max: 0,
            precise_tick: true,
            delay: 0..1,
            segment_max: 1 << 20,
            send_buffer: 1 << 20..(1 << 20) + 1,
            receive_buffer: 1 << 20..(1 << 20) + 1,
            backlog: 1024,
            syn_retry: SECOND,
            fin_with_data: Odds::NEVER,
            reset_discards: false,
            reset_overtakes: Odds::NEVER,
            aborted_accept: false,
            call_fails: Odds::NEVER,
            made_at_once: Odds::NEVER,
            early_event: Odds::NEVER,
            descriptors_max: usize::MAX,
            emfile_every: None,
            emfile_for: 0..1,
            spare: Odds(1024),
            jobs: JobPlan::calm(),
        }
    }

    /// The world of one seed.
    pub(crate) fn swarm(rng: &mut Rng) -> Plan {
        // Small pipes find partial writes, large ones find budgets and marks; a world has both ends
        // of a connection drawn from one class, so that some are slow everywhere.
        let buffers = match rng.below(6) {
            0 => 16..256,
            1 => 256..4 * 1024,
            2 => 1024..32 * 1024,
            3 => 16 * 1024..256 * 1024,
            4 => 64..256 * 1024,
            _ => 128 * 1024..1024 * 1024,
        };
        let delay = match rng.below(4) {
            0 => 0..20 * MICRO,
            1 => 20 * MICRO..200 * MICRO,
            2 => 100 * MICRO..5 * MILLI,
            _ => 5 * MILLI..120 * MILLI,
        };
        let unix = rng.chance(1, 8);
        let jobs = JobPlan::draw(rng.clone());
        let late = |rng: &mut Rng, most: u64| if rng.chance(1, 2) { 0 } else { 1 + rng.below(most) };
        Plan {
            edges: if !unix && rng.chance(1, 3) { Edges::Stingy } else { Edges::Arrival },
            unix,
            short_read: Odds::draw(rng, 512),
            short_write: Odds::draw(rng, 512),
            interrupted: Odds::draw(rng, 256),
            register_fails: if rng.chance(1, 6) { Odds(16 + rng.below(48)) } else { Odds::NEVER },
            accept_fails: Odds::draw(rng, 256),
            emfile_first: rng.chance(1, 2),
            call_cost: if rng.chance(1, 2) { 0 } else { 100 << rng.below(7) },
            spurious: Odds::draw(rng, 256),
            stale: Odds::draw(rng, 1024),
            split_events: Odds::draw(rng, 512),
            partial_batch: Odds::draw(rng, 512),
            late_event: Odds::draw(rng, 256),
            late_event_max: MILLI << rng.below(6),
            shuffle: rng.chance(1, 2),
            late_wake_max: late(rng, 3 * MILLI),
            precise_tick: rng.chance(1, 2),
            segment_max: 1 << (3 + rng.below(14)),
            send_buffer: buffers.clone(),
            receive_buffer: if rng.chance(1, 4) { 64..buffers.end } else { buffers },
            backlog: 1 << (1 + rng.below(8)),
            syn_retry: 200 * MILLI + rng.below(SECOND),
            fin_with_data: Odds::draw(rng, 1024),
            reset_discards: rng.chance(1, 3),
            reset_overtakes: if delay.end > MILLI { Odds::draw(rng, 1024) } else { Odds::NEVER },
            aborted_accept: rng.chance(1, 4),
            delay,
            call_fails: Odds::draw(rng, 256),
            made_at_once: Odds::draw(rng, 512),
            early_event: Odds::draw(rng, 768),
            descriptors_max: if rng.chance(1, 4) { 6 + rng.below(12) as usize } else { 4096 },
            emfile_every: rng.chance(1, 4).then_some(20 * MILLI..2 * SECOND),
            emfile_for: 5 * MILLI..300 * MILLI,
            spare: if rng.chance(1, 3) { Odds::NEVER } else { Odds(1024 >> rng.below(3)) },
            jobs,
        }
    }

    /// About as many bytes as one direction of a connection can carry in a reasonable number of steps.
    pub(crate) fn volume_max(&self) -> u64 {
        let step = self.segment_max.min(self.send_buffer.start * 2).min(self.receive_buffer.start * 2);
        (step * 128).clamp(512, 512 * 1024)
    }
}

/// A number of the range, small ones as often as large ones.
pub(crate) fn log_draw(rng: &mut Rng, range: &Range<u64>) -> u64 {
    let low = range.start.max(1);
    let octaves = u64::from((range.end.max(low + 1) / low).ilog2()) + 1;
    let base = low << rng.below(octaves);
    (base + rng.below(base)).clamp(range.start, range.end.max(range.start + 1) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_draw_stays_in_its_range() {
        let mut rng = Rng::new(1);
        for range in [0..1, 1..2, 16..256, 5..1_000_000] {
            for _ in 0..1000 {
                assert!(range.contains(&log_draw(&mut rng, &range)), "{range:?}");
            }
        }
    }

    #[test]
    fn a_swarm_has_worlds_with_and_without_each_fault() {
        let plans: Vec<Plan> = (0..200).map(|seed| Plan::swarm(&mut Rng::new(seed))).collect();
        for fault in [
            |p: &Plan| p.short_read,
            |p: &Plan| p.interrupted,
            |p: &Plan| p.register_fails,
            |p: &Plan| p.stale,
            |p: &Plan| p.spare,
        ] {
            assert!(plans.iter().any(|p| fault(p).never()));
            assert!(plans.iter().any(|p| !fault(p).never()));
        }
        assert!(plans.iter().any(|p| p.edges == Edges::Stingy));
    }
}
