//! Sorted sets: members in the order of their scores.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::value::PIECE;

/// A score: any number but NaN, and so totally ordered.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Score(f64);

impl Score {
    /// The score of a number; `None` for NaN.
    pub fn new(number: f64) -> Option<Score> {
        // -0 and 0 are one score.
        (!number.is_nan()).then_some(Score(number + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Score) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Score) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A set ordered by score, and by member where scores are equal.
#[derive(Clone, Debug, Default)]
pub struct SortedSet {
    scores: BTreeMap<Rc<[u8]>, Score>,
    order: BTreeSet<(Score, Rc<[u8]>)>,
    weight: usize,
}

impl SortedSet {
    /// What one member adds to the weight beside its bytes.
    pub const MEMBER: usize = 2 * size_of::<(Score, Rc<[u8]>)>() + 3 * PIECE;

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<Score> {
        self.scores.get(member).copied()
    }

    /// Adds a member or changes its score. True if it is new.
    pub fn set(&mut self, member: &[u8], score: Score) -> bool {
        let old = self.scores.get_key_value(member).map(|(member, old)| (member.clone(), *old));
        let (member, new) = match old {
            Some((_, old)) if old == score => return false,
            Some((member, old)) => {
                let place = (old, member);
                self.order.remove(&place);
                (place.1, false)
            }
            None => {
                self.weight += SortedSet::MEMBER + member.len();
                (Rc::from(member), true)
            }
        };
        self.scores.insert(member.clone(), score);
        self.order.insert((score, member));
        new
    }

    /// Removes a member. False if it was none.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let Some((member, score)) = self.scores.remove_entry(member) else { return false };
        self.weight -= SortedSet::MEMBER + member.len();
        self.order.remove(&(score, member))
    }

    /// Removes the member of the least score.
    pub fn pop_first(&mut self) -> Option<(Rc<[u8]>, Score)> {
        let (score, member) = self.order.pop_first()?;
        self.scores.remove(&member);
        self.weight -= SortedSet::MEMBER + member.len();
        Some((member, score))
    }

    /// Removes the member of the greatest score.
    pub fn pop_last(&mut self) -> Option<(Rc<[u8]>, Score)> {
        let (score, member) = self.order.pop_last()?;
        self.scores.remove(&member);
        self.weight -= SortedSet::MEMBER + member.len();
        Some((member, score))
    }

    /// All members, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Score)> + ExactSizeIterator {
        self.order.iter().map(|(score, member)| (&**member, *score))
    }

    /// The members with scores from one to another, both included, in order.
    pub fn range(&self, least: Score, most: Score) -> impl DoubleEndedIterator<Item = (&[u8], Score)> {
        // No member is before the empty one; a positive NaN is behind infinity.
        let to = Score(if most.0 == f64::INFINITY { f64::NAN } else { most.0.next_up() });
        let from = if least > to { to } else { least };
        self.order.range((from, Rc::from([]))..(to, Rc::from([]))).map(|(score, member)| (&**member, *score))
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }
}
