//! Tests of [`crate::correlate`]: against a plain list, and what happens at the cap.

use alloc::vec::Vec;

use crate::Time;
use crate::correlate::{Answered, ById, Fifo, Refused, Unasked};
use crate::testing::Rng;

const MAX: usize = 20;

fn time(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

#[test]
fn fifo_agrees_with_a_list() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut fifo = Fifo::max(MAX);
        // Value, deadline, given up.
        let mut list: Vec<(u64, Time, bool)> = Vec::new();
        for value in 0..200 {
            let now = time(value);
            match rng.below(5) {
                0..=2 => {
                    let deadline = time(value + rng.below(60));
                    let pushed = fifo.push(value, deadline);
                    assert_eq!(pushed, if list.len() < MAX { Ok(()) } else { Err(Refused::Full(value)) });
                    if pushed.is_ok() {
                        list.push((value, deadline, false));
                    }
                }
                3 => {
                    let answered = fifo.answered();
                    let expected = if list.is_empty() { None } else { Some(list.remove(0)) };
                    assert_eq!(
                        answered,
                        match expected {
                            Some((value, _, false)) => Ok(Answered::InTime(value)),
                            Some((value, _, true)) => Ok(Answered::Late(value)),
                            None => Err(Unasked),
                        },
                        "seed {seed}"
                    );
                }
                _ => {
                    let mut due: Vec<_> =
                        list.iter_mut().filter(|entry| !entry.2 && entry.1 <= now).collect();
                    due.sort_by_key(|entry| (entry.1, entry.0));
                    for entry in due {
                        entry.2 = true;
                        assert_eq!(fifo.expire(now), Some(&mut entry.0), "seed {seed}");
                    }
                    assert_eq!(fifo.expire(now), None, "seed {seed}");
                }
            }
            let next = list.iter().filter(|entry| !entry.2).map(|entry| entry.1).min();
            assert_eq!((fifo.next_deadline(), fifo.len()), (next, list.len()), "seed {seed}");
            assert_eq!(fifo.front(), list.first().map(|entry| &entry.0), "seed {seed}");
        }
    }
}

#[test]
fn by_id_agrees_with_a_list() {
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let mut by_id = ById::max(MAX);
        // Id, value, deadline.
        let mut list: Vec<(u64, u64, Time)> = Vec::new();
        for value in 0..200 {
            let (now, id) = (time(value), rng.below(30));
            let at = list.iter().position(|entry| entry.0 == id);
            match rng.below(5) {
                0..=2 => {
                    let deadline = time(value + rng.below(60));
                    let expected = match at {
                        Some(_) => Err(Refused::Duplicate(value)),
                        None if list.len() == MAX => Err(Refused::Full(value)),
                        None => {
                            list.push((id, value, deadline));
                            Ok(())
                        }
                    };
                    assert_eq!(by_id.insert(id, value, deadline), expected, "seed {seed}");
                }
                3 => {
                    let expected = at.map(|at| list.remove(at).1);
                    assert_eq!(by_id.get(&id).copied(), expected, "seed {seed}");
                    assert_eq!(by_id.answered(&id), expected, "seed {seed}");
                }
                _ => {
                    let mut due: Vec<_> = list.iter().filter(|entry| entry.2 <= now).copied().collect();
                    due.sort_by_key(|entry| (entry.2, entry.1));
                    list.retain(|entry| entry.2 > now);
                    for (id, value, _) in due {
                        assert_eq!(by_id.expire(now), Some((id, value)), "seed {seed}");
                    }
                    assert_eq!(by_id.expire(now), None, "seed {seed}");
                }
            }
            let next = list.iter().map(|entry| entry.2).min();
            assert_eq!((by_id.next_deadline(), by_id.len()), (next, list.len()), "seed {seed}");
            assert_eq!(by_id.contains(&id), list.iter().any(|entry| entry.0 == id), "seed {seed}");
        }
        // The connection is lost.
        let all: Vec<_> = core::iter::from_fn(|| by_id.expire(Time::MAX)).collect();
        assert_eq!((all.len(), by_id.is_empty()), (list.len(), true));
    }
}

#[test]
fn what_is_given_up_counts_until_its_reply_is_there() {
    let mut fifo = Fifo::max(1);
    fifo.push('a', time(5)).unwrap();
    assert_eq!(fifo.expire(time(4)), None);
    assert_eq!(fifo.expire(time(5)), Some(&mut 'a'));
    assert_eq!(fifo.push('b', time(9)), Err(Refused::Full('b')));
    assert_eq!(fifo.answered(), Ok(Answered::Late('a')));
    assert_eq!(fifo.push('b', time(9)), Ok(()));

    let mut by_id = ById::max(1);
    by_id.insert(1, 'a', time(5)).unwrap();
    assert_eq!(by_id.insert(2, 'b', time(9)).unwrap_err().into_inner(), 'b');
    assert_eq!(by_id.expire(time(5)), Some((1, 'a')));
    by_id.insert(2, 'b', time(9)).unwrap();
    *by_id.get_mut(&2).unwrap() = 'c';
    assert_eq!(by_id.answered(&2), Some('c'));
}

#[test]
fn nothing_that_was_refused_is_shown() {
    assert_eq!(alloc::format!("{:?}", Refused::Full("a secret")), "full");
    let mut by_id = ById::max(9);
    by_id.insert("a secret", "another", time(1)).unwrap();
    assert_eq!(alloc::format!("{by_id:?}"), "ById { len: 1, max: 9, .. }");
}
