//! The wheel against a plain map, at random and across the wrap of the clock.

use std::collections::BTreeMap;

use windlass_proto::testing::Rng;

use super::*;

/// Advances to `now` and returns what fired, sorted.
fn fire(wheel: &mut Wheel, now: Tick, due: &BTreeMap<u32, Tick>) -> Vec<u32> {
    let mut fired = Vec::new();
    wheel.advance(now, &mut fired, |id| due.get(&id).copied());
    fired.sort_unstable();
    fired
}

#[test]
fn fires_at_its_tick_and_not_before() {
    for ahead in [0u32, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 0xFF_0000, 0x100_0000, 80_000_000] {
        for start in [0u32, 7, 255, 256, 0xFFFF, u32::MAX - 3, u32::MAX] {
            let mut wheel = Wheel::new(start);
            let at = start.wrapping_add(ahead);
            let due = BTreeMap::from([(3, at)]);
            wheel.arm(3, at);
            if ahead > 0 {
                assert_eq!(fire(&mut wheel, at.wrapping_sub(1), &due), [0u32; 0], "{start} +{ahead}");
            }
            assert_eq!(fire(&mut wheel, at, &due), [3], "{start} +{ahead}");
            assert_eq!(wheel.next(), None);
        }
    }
}

#[test]
fn next_is_never_late_and_always_ends() {
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let start = rng.next_u64() as u32;
        let mut wheel = Wheel::new(start);
        let ahead = (rng.next_u64() as u32) >> (rng.next_u64() % 24 + 5);
        let at = start.wrapping_add(ahead);
        let due = BTreeMap::from([(0, at)]);
        wheel.arm(0, at);
        let mut steps = 0;
        loop {
            let next = wheel.next().expect("still armed");
            assert!(reached(next, at), "next {next} is later than {at}");
            steps += 1;
            if fire(&mut wheel, next, &due) == [0] {
                assert_eq!(next, at);
                break;
            }
            assert!(steps < 1000);
        }
    }
}

#[test]
fn a_later_deadline_is_found_when_the_armed_one_comes() {
    let mut wheel = Wheel::new(0);
    wheel.arm(0, 100);
    let mut due = BTreeMap::from([(0, 5_000)]);
    assert_eq!(fire(&mut wheel, 100, &due), [0u32; 0]);
    assert_eq!(fire(&mut wheel, 4_999, &due), [0u32; 0]);
    assert_eq!(fire(&mut wheel, 5_000, &due), [0]);
    // An earlier one moves the timer forward, a later one does not touch it.
    due.insert(0, 5_010);
    wheel.arm(0, 9_000);
    wheel.arm(0, 5_010);
    wheel.arm(0, 20_000);
    assert_eq!(fire(&mut wheel, 5_010, &due), [0]);
}

#[test]
fn agrees_with_a_map() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut now = (rng.next_u64() as u32) | 0xFFFF_0000;
        let mut wheel = Wheel::new(now);
        let mut due: BTreeMap<u32, Tick> = BTreeMap::new();
        for _ in 0..2_000 {
            let id = (rng.next_u64() % 64) as u32;
            match rng.next_u64() % 4 {
                0 => {
                    due.remove(&id);
                    wheel.disarm(id);
                }
                1 | 2 => {
                    let at = now.wrapping_add(1 + ((rng.next_u64() as u32) >> (8 + rng.next_u64() % 22)));
                    due.insert(id, at);
                    wheel.arm(id, at);
                }
                _ => {
                    now = now.wrapping_add((rng.next_u64() as u32) >> (12 + rng.next_u64() % 18));
                    let mut expected: Vec<u32> =
                        due.iter().filter(|(_, at)| reached(**at, now)).map(|(id, _)| *id).collect();
                    expected.sort_unstable();
                    assert_eq!(fire(&mut wheel, now, &due), expected, "seed {seed}");
                    for id in expected {
                        due.remove(&id);
                    }
                    assert_eq!(wheel.armed, due.len(), "seed {seed}");
                }
            }
        }
    }
}
