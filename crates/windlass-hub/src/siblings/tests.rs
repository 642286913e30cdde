//! Where sessions live.

use super::home;

#[test]
fn homes_are_spread_and_stay() {
    for workers in [1, 2, 3, 7, 64] {
        let mut counts = vec![0; workers];
        for n in 0..10_000 {
            counts[home(&format!("device-{n}"), workers)] += 1;
        }
        let fair = 10_000 / workers;
        assert!(counts.iter().all(|count| *count > fair / 2 && *count < fair * 3 / 2), "{counts:?}");
    }
    // The journal relies on them: they are the same in every version.
    let homes: Vec<usize> = ["", "a", "b", "device-1", "\u{fc}"].iter().map(|id| home(id, 5)).collect();
    assert_eq!(homes, HOMES);
}

/// As FNV-1a of 64 bits, mixed as MurmurHash3 ends, has it.
const HOMES: [usize; 5] = [2, 0, 4, 1, 0];
