//! One step down in the tree of retained messages, for somebody who looks around in it.

use core::fmt;

use super::Retained;
use super::levels::{At, NONE, ROOT};

/// A level below another: its name, and what is kept there.
pub struct Child<'r, V> {
    /// The level's own name, which may be empty.
    pub name: &'r str,
    /// The message of the topic that ends here, if there is one.
    pub value: Option<&'r V>,
    /// Whether there are levels below.
    pub has_children: bool,
}

/// The name only.
impl<V> fmt::Debug for Child<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<V> Retained<V> {
    /// Calls `found` with the levels right below those of `above`, all levels of a name down to there; of `None`
    /// with the first levels of all topics. At most `max` of them, in no order that means anything; whether those
    /// were all. Topics that begin with `$` are among them.
    ///
    /// It allocates nothing, and costs nothing for what is deeper.
    pub fn children<'r>(
        &'r self,
        above: Option<&str>,
        max: usize,
        mut found: impl FnMut(Child<'r, V>),
    ) -> bool {
        let Some(at) = self.place(above) else { return true };
        let mut child = self.any_first_child(at);
        let mut left = max;
        while child != NONE {
            if left == 0 {
                return false;
            }
            left -= 1;
            let has_children = self.any_first_child(child) != NONE;
            // One that nothing is kept of waits for a search to end.
            if has_children || self.value(child).is_some() {
                found(Child { name: self.name(child), value: self.value(child), has_children });
            }
            child = self.any_next_child(child);
        }
        true
    }

    fn place(&self, above: Option<&str>) -> Option<At> {
        let Some(above) = above else { return Some(ROOT) };
        let mut at = ROOT;
        for name in above.split('/') {
            at = self.child(at, name);
            if at == NONE {
                return None;
            }
        }
        Some(at)
    }
}
