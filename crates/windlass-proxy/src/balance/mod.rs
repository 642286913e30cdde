//! Which backend a new connection goes to: one small module for each way of choosing, without time, sockets
//! or randomness of its own.
//!
//! A way of choosing sees [`Candidate`]s, one for each backend of a group in the order of the configuration,
//! and returns the place of one that is open. What makes a backend open (its health, its cap, whether it has
//! been tried already) is decided before, in `pick.rs`.

mod bound;
mod hash;
mod least;
mod maglev;
mod round_robin;
mod source;
#[cfg(test)]
mod tests;
mod two;

pub(crate) use bound::Bound;
pub(crate) use hash::hash;
pub(crate) use least::least;
pub(crate) use maglev::Maglev;
pub(crate) use round_robin::RoundRobin;
pub(crate) use source::source;
pub(crate) use two::two;

/// How the backend of a new connection is chosen. Weights count in all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Balance {
    /// One after the other, each as often as its weight says, as evenly spread as that can be.
    #[default]
    RoundRobin,
    /// The one with the fewest connections for its weight.
    LeastConnections,
    /// The one with fewer connections for its weight of two that are drawn.
    TwoChoices,
    /// By the client's address: of weighted draws, one for each backend, the highest (rendezvous hashing).
    /// Losing a backend moves its clients alone. Costs a draw for each backend.
    SourceHash,
    /// By the client's address, out of a table (Maglev hashing): the same, a little less exactly, at one
    /// look whatever the number of backends.
    Maglev,
}

impl Balance {
    /// All of them.
    pub const ALL: [Balance; 5] = [
        Balance::RoundRobin,
        Balance::LeastConnections,
        Balance::TwoChoices,
        Balance::SourceHash,
        Balance::Maglev,
    ];

    /// A short stable name.
    pub const fn label(self) -> &'static str {
        match self {
            Balance::RoundRobin => "round-robin",
            Balance::LeastConnections => "least-connections",
            Balance::TwoChoices => "two-choices",
            Balance::SourceHash => "source-hash",
            Balance::Maglev => "maglev",
        }
    }

    /// Whether a client's address decides, so that every node of several sends it to the same backend.
    pub const fn is_by_source(self) -> bool {
        matches!(self, Balance::SourceHash | Balance::Maglev)
    }
}

/// A backend, as those who choose see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Candidate {
    /// It may be chosen.
    pub(crate) open: bool,
    /// Its share, relative to the others'; those that are open have at least 1.
    pub(crate) weight: u32,
    /// Its connections now, those being made included.
    pub(crate) connections: usize,
    /// The hash of its key.
    pub(crate) hash: u64,
}

impl Candidate {
    /// Whether this one would be less loaded than `other` with one connection more each, for their weights.
    fn is_less_loaded(&self, other: &Candidate) -> bool {
        let cost = |a: &Candidate, b: &Candidate| (a.connections as u128 + 1) * u128::from(b.weight);
        cost(self, other) < cost(other, self)
    }
}
