//! Bounded load: where an address decides, none of the backends is to have much more than its share.

use super::Candidate;

/// How many connections each backend may have. By "Consistent Hashing with Bounded Loads" (Mirrokni, Thorup
/// and Zadimoghaddam, 2016): the factor, times the average that there is with one connection more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Percent of the share; 0: without bounds.
    factor: u128,
    connections: u128,
    weights: u128,
}

impl Bound {
    /// The bound for these.
    pub(crate) fn new(candidates: &[Candidate], factor_percent: u32) -> Bound {
        let open = || candidates.iter().filter(|candidate| candidate.open);
        Bound {
            factor: factor_percent.into(),
            connections: open().map(|candidate| candidate.connections as u128).sum::<u128>() + 1,
            weights: open().map(|candidate| u128::from(candidate.weight)).sum(),
        }
    }

    /// Whether one connection more is within it. It always is for somebody: the least loaded one.
    pub(crate) fn has_room(&self, candidate: &Candidate) -> bool {
        if self.factor == 0 {
            return true;
        }
        let share = self.factor * self.connections * u128::from(candidate.weight);
        candidate.connections as u128 * 100 * self.weights < share.max(100 * self.weights)
    }
}
