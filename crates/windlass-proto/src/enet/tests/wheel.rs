//! The wheel beside a list.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::super::wheel::Wheel;
use crate::testing::Rng;

#[test]
fn it_gives_each_in_its_millisecond() {
    let mut rng = Rng::new(1);
    let mut wheel = Wheel::new();
    let mut list: BTreeMap<u32, u64> = BTreeMap::new();
    let mut now = 0_u64;
    for _ in 0..20_000 {
        let peer = rng.below(50) as u32;
        match rng.below(4) {
            0 | 1 => {
                let at = now + rng.below(1000);
                wheel.arm(peer, at);
                list.insert(peer, at);
            }
            2 => {
                wheel.disarm(peer);
                list.remove(&peer);
            }
            _ => {
                now += rng.below(40);
                let mut due = Vec::new();
                while let Some(peer) = wheel.due(now) {
                    due.push((list[&peer], peer));
                }
                assert!(due.is_sorted_by_key(|one| one.0));
                due.sort_unstable();
                let mut expected: Vec<_> =
                    list.iter().filter(|one| *one.1 <= now).map(|(&peer, &at)| (at, peer)).collect();
                expected.sort_unstable();
                assert_eq!(due, expected);
                list.retain(|_, at| *at > now);
            }
        }
        assert_eq!(wheel.next(), list.values().min().copied());
    }
}

#[test]
fn what_is_farther_than_it_reaches_comes_early() {
    let mut wheel = Wheel::new();
    wheel.arm(3, 5000);
    assert_eq!(wheel.next(), Some(1023));
    assert_eq!(wheel.due(1022), None);
    assert_eq!(wheel.due(1023), Some(3));
    wheel.arm(3, 5000);
    assert_eq!(wheel.next(), Some(1023 + 1023));
    // And what is past is due now.
    assert_eq!(wheel.due(1_000_000), Some(3));
    assert_eq!(wheel.due(1_000_000), None);
    wheel.arm(3, 5);
    assert_eq!((wheel.next(), wheel.due(1_000_000)), (Some(1_000_000), Some(3)));
    assert_eq!((wheel.next(), wheel.due(2_000_000)), (None, None));
}
