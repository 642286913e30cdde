//! The power of two choices: nearly as even as asking all, and workers that know of each other's connections
//! a little late do not all run to the same backend.

use super::Candidate;

/// The less loaded one of two that `random` draws.
pub(crate) fn two(candidates: &[Candidate], random: u64) -> Option<usize> {
    let open = candidates.iter().filter(|candidate| candidate.open).count();
    if open == 0 {
        return None;
    }
    let nth = |n: usize| candidates.iter().enumerate().filter(|(_, candidate)| candidate.open).nth(n);
    let below = |bits: u32, end: usize| ((u64::from(bits) * end as u64) >> 32) as usize;
    let first = below(random as u32, open);
    let (first, one) = nth(first)?;
    if open == 1 {
        return Some(first);
    }
    // Of the others, so that they are two.
    let other = below((random >> 32) as u32, open - 1);
    let mut others = candidates.iter().enumerate().filter(|(n, candidate)| candidate.open && *n != first);
    let (second, other) = others.nth(other)?;
    Some(if other.is_less_loaded(one) { second } else { first })
}
