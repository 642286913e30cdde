//! How many users are known, and what it costs to know them.

use std::sync::PoisonError;
use std::time::Duration;

use windlass::Time;

use super::{IDLE_MAX, Users};
use crate::identity::UserLimits;

fn limits() -> UserLimits {
    UserLimits { connects_per_second_max: 1, ..UserLimits::default() }
}

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

#[test]
fn users_that_are_there_are_not_all_looked_at_for_each_that_comes() {
    let users = Users::default();
    let all = 2 * IDLE_MAX;
    for n in 0..all {
        users.enter(Some(&format!("user-{n}")), &limits(), 0, at(0)).expect("it comes in");
    }
    let known = users.by_name.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(known.users.len(), all);
    assert!(known.looked_at <= 2 * all as u64, "{}", known.looked_at);
}

#[test]
fn users_that_have_left_are_forgotten_but_not_within_their_second() {
    let users = Users::default();
    let come = |n: usize, ms: u64| users.enter(Some(&format!("user-{n}")), &limits(), 0, at(ms));
    for n in 0..IDLE_MAX - 1 {
        come(n, 0).expect("it comes in").expect("it is counted").leave();
    }
    come(IDLE_MAX, 1_500).expect("it comes in").expect("it is counted").leave();
    come(IDLE_MAX + 1, 2_000).expect("it comes in");
    let known = |users: &Users| users.by_name.lock().unwrap_or_else(PoisonError::into_inner).users.len();
    assert_eq!(known(&users), 2);
    assert!(come(IDLE_MAX, 2_100).is_err(), "what it has done in this second counts");
}
