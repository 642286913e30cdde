//! Tests of [`crate::Time`].

use alloc::format;
use core::time::Duration;

use crate::Time;

#[test]
fn adds_and_subtracts_durations() {
    let mut time = Time::from_nanos(1_500_000_000);
    assert_eq!((time + Duration::from_millis(500)).as_nanos(), 2_000_000_000);
    assert_eq!((time - Duration::from_millis(500)).as_nanos(), 1_000_000_000);
    time += Duration::from_secs(1);
    time -= Duration::from_nanos(1);
    assert_eq!(time.as_nanos(), 2_499_999_999);
}

#[test]
fn saturates_at_both_ends() {
    assert_eq!(Time::from_nanos(7) - Duration::from_nanos(8), Time::ZERO);
    assert_eq!(Time::from_nanos(7) + Duration::MAX, Time::MAX);
    assert_eq!(Time::MAX + Duration::from_nanos(1), Time::MAX);
    assert_eq!(Time::MAX - Duration::MAX, Time::ZERO);
}

#[test]
fn differences_never_go_below_zero() {
    let (early, late) = (Time::from_nanos(10), Time::from_nanos(25));
    assert_eq!(late.since(early), Duration::from_nanos(15));
    assert_eq!(late - early, Duration::from_nanos(15));
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!(early - late, Duration::ZERO);
}

#[test]
fn checked_add_tells_the_end() {
    assert_eq!(Time::ZERO.checked_add(Duration::from_nanos(u64::MAX)), Some(Time::MAX));
    assert_eq!(Time::from_nanos(1).checked_add(Duration::from_nanos(u64::MAX)), None);
    assert_eq!(Time::ZERO.checked_add(Duration::MAX), None);
    assert_eq!(Time::ZERO.checked_add(Duration::from_secs(u64::MAX / 1_000_000_000 + 1)), None);
}

#[test]
fn debug_is_the_distance_from_the_origin() {
    assert_eq!(format!("{:?}", Time::from_nanos(1_500_000_000)), "Time(1.5s)");
}
