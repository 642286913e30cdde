//! A build without passwords has none to remember.

use std::sync::Arc;

use super::judge::Checked;
use super::passwords::Entry;

#[derive(Debug)]
enum Never {}

/// Users whose passwords were right a moment ago: there are none in this build.
#[derive(Debug)]
pub struct Recent(());

#[derive(Debug)]
pub(super) struct Remember(Never);

pub(super) struct Keeper;

impl Keeper {
    pub(super) fn remember(&self, _: &Arc<Entry>, _: &[u8]) -> Option<Remember> {
        None
    }
}

impl Recent {
    /// Nothing is remembered, whatever the number.
    pub fn new(_: usize) -> Recent {
        Recent(())
    }

    pub(super) fn keeper(&self) -> Keeper {
        Keeper
    }

    /// Keeps nothing.
    pub fn note(&mut self, _: &mut Checked) {}

    pub(crate) fn set_max(&mut self, _: usize) {}

    /// How many users are remembered: none.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        true
    }

    pub(super) fn knows(&self, _: &Entry, _: &[u8]) -> bool {
        false
    }
}
