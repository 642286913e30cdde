//! No tick is early, none drifts, and what is not made is counted.

use std::time::Duration;

use windlass::Time;

use super::Pace;
use crate::Random;

const SECOND: u64 = 1_000_000_000;

#[test]
fn no_rate_drifts_in_a_day() {
    let epoch = Time::from_nanos(987_654_321);
    for hz in 1..=240 {
        let pace = Pace::new(epoch, hz);
        let day = 24 * 3_600;
        assert_eq!(pace.due(u64::from(hz) * day).since(epoch), Duration::from_secs(day), "{hz} Hz");
    }
}

#[test]
fn a_tick_on_time_is_made_once() {
    let mut pace = Pace::new(Time::ZERO, 30);
    for n in 1..=300 {
        let at = pace.next();
        assert!(pace.beat(Time::from_nanos(at.as_nanos() - 1)).is_none());
        let beat = pace.beat(at).unwrap();
        assert_eq!((beat.n, beat.late, beat.skipped), (n, Duration::ZERO, 0));
    }
    assert_eq!(pace.next().as_nanos(), 301 * SECOND / 30 + 1);
}

#[test]
fn five_are_made_up_for_and_the_others_skipped() {
    let mut pace = Pace::new(Time::ZERO, 10);
    let now = Time::from_nanos(2 * SECOND);
    let beats: Vec<_> = std::iter::from_fn(|| pace.beat(now)).map(|beat| (beat.n, beat.skipped)).collect();
    assert_eq!(beats, [(16, 15), (17, 0), (18, 0), (19, 0), (20, 0)]);
    assert_eq!((pace.skipped(), pace.done()), (15, 20));
}

#[test]
fn whoever_gives_up_goes_on_with_the_next() {
    let mut pace = Pace::new(Time::ZERO, 10);
    let now = Time::from_nanos(SECOND + SECOND / 20);
    assert_eq!(pace.beat(now).unwrap().n, 6);
    assert_eq!(pace.give_up(now), 4);
    assert!(pace.beat(now).is_none());
    assert_eq!(pace.beat(Time::from_nanos(SECOND * 11 / 10)).unwrap().n, 11);
    assert_eq!(pace.skipped(), 9);
}

#[test]
fn made_and_skipped_are_all_there_is() {
    let mut random = Random::new(3);
    for hz in [1, 7, 30, 60, 128, 144, 240] {
        let mut pace = Pace::new(Time::from_nanos(5), hz);
        let (mut now, mut made, mut skipped) = (Time::from_nanos(5), 0, 0);
        for _ in 0..5_000 {
            now += Duration::from_nanos(random.below(300_000_000));
            while let Some(beat) = pace.beat(now) {
                made += 1;
                skipped += beat.skipped;
            }
        }
        let elapsed = u128::from(now.as_nanos() - 5);
        assert_eq!(u128::from(made + skipped), elapsed * u128::from(hz) / u128::from(SECOND), "{hz} Hz");
    }
}

#[test]
fn a_rate_beyond_the_bounds_is_made_one_within() {
    assert_eq!(Pace::new(Time::ZERO, 0).hz(), 1);
    assert_eq!(Pace::new(Time::ZERO, 1_000).hz(), 240);
}
