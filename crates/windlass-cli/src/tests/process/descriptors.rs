//! What is asked for, by what there is.

use super::*;

fn limit(current: impl Into<Option<u64>>, maximum: impl Into<Option<u64>>) -> Rlimit {
    Rlimit { current: current.into(), maximum: maximum.into() }
}

#[test]
fn the_hard_limit_is_what_is_asked_for() {
    assert_eq!(next(&limit(1_024, 20_000), 0), Some(limit(20_000, 20_000)));
    assert_eq!(next(&limit(20_000, 20_000), 0), None, "there is nothing to raise");
    assert_eq!(next(&limit(1_024, 1 << 30), 0), Some(limit(MOST, 1 << 30)), "no more than can be served");
    assert_eq!(next(&limit(1 << 30, 1 << 30), 0), None, "and nothing is taken away");
    assert_eq!(next(&limit(256, None), 0), Some(limit(MOST, None)));
    assert_eq!(next(&limit(None, None), 0), None);
}

#[test]
fn a_number_is_taken_at_its_word() {
    assert_eq!(next(&limit(1_024, 20_000), 4_096), Some(limit(4_096, 20_000)));
    assert_eq!(next(&limit(20_000, 20_000), 512), Some(limit(512, 20_000)), "fewer too");
    assert_eq!(next(&limit(1_024, 20_000), 30_000), Some(limit(30_000, 30_000)), "root may");
}
