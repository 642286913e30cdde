//! Topics as a tree of their levels: who subscribes to one, and which retained messages a filter is for.
//!
//! Read `levels` first, the tree itself, then [`Subscriptions`], then [`Retained`]; `children` is for people who look around.

mod children;
mod levels;
mod name;
mod own;
mod retained;
mod scan;
mod subscriptions;

pub use children::Child;
pub use retained::Retained;
pub use scan::Scan;
pub use subscriptions::{Group, Matched, Subscriptions};

use core::error::Error;
use core::fmt;

/// What bounds a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeLimits {
    /// Levels of a topic or filter, which is how deep a search goes: at most 1,024. Default 128.
    pub levels_max: usize,
    /// Levels that are kept, in all: about a hundred bytes each. Default 16,777,216.
    pub nodes_max: usize,
}

impl Default for TreeLimits {
    fn default() -> TreeLimits {
        TreeLimits { levels_max: 128, nodes_max: 1 << 24 }
    }
}

/// Why something was not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TreeError {
    /// More levels than [`TreeLimits::levels_max`].
    TooDeep,
    /// [`TreeLimits::nodes_max`] is reached.
    Full,
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TreeError::TooDeep => "more levels than allowed",
            TreeError::Full => "the tree is full",
        })
    }
}

impl Error for TreeError {}
