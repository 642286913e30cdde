//! The fewest connections.

use super::Candidate;

/// The least loaded one. Equals take turns: `from` is a number that goes up with every choice.
pub(crate) fn least(candidates: &[Candidate], from: usize) -> Option<usize> {
    let len = candidates.len();
    let turn = (0..len).map(|n| (from + n) % len).filter(|n| candidates[*n].open);
    turn.reduce(|best, n| if candidates[n].is_less_loaded(&candidates[best]) { n } else { best })
}
