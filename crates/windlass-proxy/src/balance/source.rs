//! Weighted rendezvous hashing: every backend draws a number for the client, and the best one wins. In whole
//! numbers, so that no two machines can disagree.

use super::hash::both;
use super::{Bound, Candidate};

/// The best backend for `key` that is open and within its bound.
pub(crate) fn source(candidates: &[Candidate], key: u64, bound: &Bound) -> Option<usize> {
    let fits = |candidate: &Candidate| candidate.open && bound.has_room(candidate);
    let mut best: Option<(u128, u64, usize)> = None;
    for (n, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| fits(candidate)) {
        let draw = both(key, candidate.hash);
        // An exponential draw: the smallest of cost / weight wins with a probability of its weight's share.
        let cost = (u128::from(cost(draw)) << 32) / u128::from(candidate.weight.max(1));
        if best.is_none_or(|(least, of, _)| (cost, candidate.hash) < (least, of)) {
            best = Some((cost, candidate.hash, n));
        }
    }
    best.map(|(_, _, n)| n)
}

/// `-log2` of a 64-bit fraction, with 32 bits behind the point, by repeated squaring.
fn cost(draw: u64) -> u64 {
    let draw = draw | 1;
    let whole = draw.leading_zeros();
    // 1.63 fixed point: from 1 to just below 2.
    let mut x = draw << whole;
    let mut fraction: u64 = 0;
    for _ in 0..32 {
        let squared = (u128::from(x) * u128::from(x)) >> 63;
        fraction <<= 1;
        if squared >> 64 != 0 {
            fraction |= 1;
            x = (squared >> 1) as u64;
        } else {
            x = squared as u64;
        }
    }
    // log2 is 63 - whole + fraction; the fraction of 64 bits is 64 less.
    (u64::from(whole + 1) << 32) - fraction
}
