//! The lists against each other.

use std::collections::BTreeSet;

use super::*;

#[test]
fn nothing_is_listed_twice_or_both_allowed_and_refused() {
    for lists in [[REFUSED, REFUSED_HERE], [ALLOWED, ALLOWED_HERE]] {
        let all: Vec<i64> = lists.concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
    let refused: BTreeSet<i64> = [REFUSED, REFUSED_HERE].concat().into_iter().collect();
    let both: Vec<i64> =
        [ALLOWED, ALLOWED_HERE].concat().into_iter().filter(|n| refused.contains(n)).collect();
    assert_eq!(both, [0_i64; 0]);
}

#[test]
fn the_filters_can_be_written() {
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    assert_eq!(refusing(arch).unwrap().len(), 2);
    assert_eq!(allowing(arch).unwrap().len(), 1);
}
