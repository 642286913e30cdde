//! When a new room begins: so that its ticks fall where those of others do not.
//!
//! Rooms open when somebody comes, and the times of two ticks may be as near as chance has it. They stay as near for as long
//! as both are there: one of them is late every time. So a room waits for a part of its first period.

use std::time::Duration;

use windlass::Time;

/// A second, in nanoseconds; and a period of `hz`, in parts of which `hz` make a nanosecond.
const SECOND: u64 = 1_000_000_000;
/// With more rooms there is hardly a gap to be found, and it would take long.
const ROOMS_MAX: usize = 512;

/// The time, from `now` to a period later, whose ticks are furthest from those of the others: rooms of the same rate, by
/// their epochs. Without any, or with too many, it is `now`.
pub(super) fn apart(now: Time, hz: u32, others: impl Iterator<Item = Time>) -> Time {
    // In parts of a nanosecond, so that a period is a whole number of them.
    let phase = |at: Time| (u128::from(at.as_nanos()) * u128::from(hz) % u128::from(SECOND)) as u64;
    let mut phases: Vec<u64> = others.take(ROOMS_MAX + 1).map(phase).collect();
    phases.sort_unstable();
    let (Some(first), Some(last)) = (phases.first(), phases.last()) else { return now };
    if phases.len() > ROOMS_MAX {
        // Not among some of them: which those are would differ from run to run.
        return now;
    }
    // The one around the end of a period, and then those within.
    let (mut from, mut widest) = (*last, first + SECOND - last);
    for pair in phases.windows(2) {
        if pair[1] - pair[0] > widest {
            (from, widest) = (pair[0], pair[1] - pair[0]);
        }
    }
    let wanted = from + widest / 2;
    let wait = (wanted + SECOND - phase(now)) % SECOND;
    now + Duration::from_nanos(wait / u64::from(hz.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_as_far_apart_as_there_is_place() {
        let start = Time::from_nanos(123_456_789_123);
        for hz in [1, 7, 60, 128, 240] {
            let period = SECOND / u64::from(hz);
            let mut epochs: Vec<Time> = Vec::new();
            for nth in 0..64 {
                let now = start + Duration::from_millis(nth * nth * 13);
                let epoch = apart(now, hz, epochs.iter().copied());
                assert!(epoch >= now && epoch.since(now) <= Duration::from_nanos(period), "{hz}");
                epochs.push(epoch);
            }
            assert_eq!(epochs[0], start);
            // 64 of them, halved six times: each has its 64th.
            let mut phases: Vec<u64> = epochs
                .iter()
                .map(|at| (u128::from(at.as_nanos()) * u128::from(hz) % u128::from(SECOND)) as u64)
                .collect();
            phases.sort_unstable();
            let gaps = phases.windows(2).map(|pair| pair[1] - pair[0]);
            let least = gaps.min().unwrap();
            assert!(least > SECOND / 64 - SECOND / 1_000, "{hz}: {least}");
        }
    }
}
