//! Weighted round robin, smooth: of weights 5, 1 and 1 it makes `a a b a c a a`, and not five times `a` in a
//! row. Each choice costs a walk over the backends.

use super::Candidate;

/// Whose turn it is, for one group on one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundRobin {
    /// What each backend has saved up: its weight is added at every choice, and the sum of all weights taken
    /// from the one that is chosen.
    saved: Vec<i64>,
}

impl RoundRobin {
    /// The next one.
    pub(crate) fn next(&mut self, candidates: &[Candidate]) -> Option<usize> {
        self.saved.resize(candidates.len(), 0);
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (n, candidate) in candidates.iter().enumerate().filter(|(_, candidate)| candidate.open) {
            let weight = i64::from(candidate.weight);
            total += weight;
            self.saved[n] += weight;
            if best.is_none_or(|best| self.saved[n] > self.saved[best]) {
                best = Some(n);
            }
        }
        let best = best?;
        self.saved[best] -= total;
        Some(best)
    }

    /// Forgets whose turn it was: the backends are others now. `skip` choices are made in advance, so that
    /// several workers do not all begin with the same backend.
    pub(crate) fn begin_anew(&mut self, candidates: &[Candidate], skip: usize) {
        self.saved.clear();
        for _ in 0..skip % candidates.len().max(1) {
            self.next(candidates);
        }
    }
}
