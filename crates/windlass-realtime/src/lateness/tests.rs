//! Buckets hold what they say.

use std::time::Duration;

use super::Lateness;

#[test]
fn what_is_counted_is_in_the_right_bucket() {
    let mut lateness = Lateness::default();
    assert_eq!(lateness.quantile(0.5), Duration::ZERO);
    for us in [0, 64, 65, 128, 131_072, 131_073, u64::MAX] {
        lateness.add(Duration::from_micros(us));
    }
    let us = |us| Some(Duration::from_micros(us));
    let filled: Vec<_> = lateness.buckets().filter(|(_, count)| *count > 0).collect();
    assert_eq!(filled, [(us(16), 1), (us(64), 1), (us(80), 1), (us(128), 1), (us(131_072), 1), (None, 2)]);
    let filled: Vec<_> = lateness.octaves().filter(|(_, count)| *count > 0).collect();
    assert_eq!(filled, [(us(64), 2), (us(128), 2), (us(131_072), 1), (None, 2)]);
    assert_eq!(lateness.count(), 7);
    assert_eq!(lateness.max(), Duration::from_micros(u64::MAX));
}

#[test]
fn every_bucket_has_what_is_above_the_one_before_up_to_its_end() {
    let ends: Vec<u64> =
        Lateness::default().buckets().filter_map(|(end, _)| Some(end?.as_micros() as u64)).collect();
    assert_eq!(ends.len(), Lateness::BUCKETS - 1);
    assert_eq!(ends[..9], [16, 32, 48, 64, 80, 96, 112, 128, 160]);
    assert_eq!(ends.last(), Some(&131_072));
    for (at, end) in ends.into_iter().enumerate() {
        for (us, its) in [(end, at), (end + 1, at + 1)] {
            let mut lateness = Lateness::default();
            lateness.add(Duration::from_micros(us));
            assert_eq!(lateness.buckets().position(|(_, count)| count == 1), Some(its), "{us}");
        }
    }
}

#[test]
fn a_quantile_is_never_below_what_it_stands_for() {
    let mut lateness = Lateness::default();
    for us in 1..=1_000 {
        lateness.add(Duration::from_micros(us));
    }
    assert_eq!(lateness.quantile(0.5), Duration::from_micros(512));
    assert_eq!(lateness.quantile(0.999), Duration::from_micros(1_000));
    let mut both = lateness;
    both.merge(&lateness);
    assert_eq!((both.count(), both.sum()), (2_000, lateness.sum() * 2));
}
