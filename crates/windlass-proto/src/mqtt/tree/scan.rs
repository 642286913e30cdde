//! A search through retained messages in steps, since one may find millions.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::levels::{At, NONE, ROOT};
use super::retained::Retained;
use crate::mqtt::Filter;

/// A search that goes on where it stopped: [`Retained::scan`].
///
/// It knows places in the tree, so the tree keeps all of them until the scan is handed back.
#[derive(Debug)]
#[must_use = "hand it back with `Retained::end`"]
pub struct Scan {
    pattern: Box<str>,
    /// From the root down: children that are still to be looked at, and what they are held against, as a place in the
    /// pattern (`None` behind its end). As many as a topic has levels at most.
    frames: Vec<(At, Option<usize>)>,
    begun: bool,
    /// A wildcard at the first level is for topics that begin with `$` too.
    dollar: bool,
}

impl Scan {
    /// The filter, without its group.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl<V> Retained<V> {
    /// Begins a search that is made in steps, each by [`proceed`](Retained::proceed). Between them messages may come and
    /// go: what is there all the time is found once; what comes or goes meanwhile may be found or not.
    ///
    /// Until it is handed back to [`end`](Retained::end), levels that nothing is kept for any more stay.
    pub fn scan(&mut self, filter: Filter<'_>) -> Scan {
        self.hold();
        Scan { pattern: filter.pattern().into(), frames: Vec::new(), begun: false, dollar: false }
    }

    /// The same for all messages: also those whose topics begin with `$`, which no wildcard is for.
    pub fn scan_all(&mut self) -> Scan {
        self.hold();
        Scan { pattern: "#".into(), frames: Vec::new(), begun: false, dollar: true }
    }

    /// Looks at `nodes` levels at most, and calls `found` for each message. Whether that was the last of them.
    pub fn proceed(&self, scan: &mut Scan, nodes: usize, mut found: impl FnMut(&V)) -> bool {
        let Scan { pattern, frames, begun, dollar } = scan;
        let dollar = *dollar;
        for _ in 0..nodes {
            let (at, rest) = match frames.last_mut() {
                None if *begun => return true,
                None => {
                    *begun = true;
                    (ROOT, Some(0))
                }
                Some((NONE, _)) => {
                    frames.pop();
                    continue;
                }
                Some((child, rest)) => {
                    let at = *child;
                    *child = if dollar { self.any_next_child(at) } else { self.next_child(at) };
                    (at, *rest)
                }
            };
            self.visit((pattern, dollar), frames, at, rest, &mut found);
        }
        frames.is_empty() && *begun
    }

    fn visit(
        &self,
        (pattern, dollar): (&str, bool),
        frames: &mut Vec<(At, Option<usize>)>,
        mut at: At,
        mut rest: Option<usize>,
        found: &mut impl FnMut(&V),
    ) {
        let first_child = |at| if dollar { self.any_first_child(at) } else { self.first_child(at) };
        while let Some(from) = rest {
            let level = &pattern[from..];
            let end = level.find('/');
            let level = &level[..end.unwrap_or(level.len())];
            let behind = end.map(|end| from + end + 1);
            match level {
                "+" => return frames.push((first_child(at), behind)),
                // Each of them is held against `#` again, and so is everything below it.
                "#" => {
                    frames.push((first_child(at), rest));
                    break;
                }
                name => match self.child(at, name) {
                    NONE => return,
                    child => (at, rest) = (child, behind),
                },
            }
        }
        if let Some(value) = self.value(at) {
            found(value);
        }
    }

    /// The search is over, whether it has come to its end or not.
    pub fn end(&mut self, scan: Scan) {
        drop(scan);
        self.release();
    }
}
