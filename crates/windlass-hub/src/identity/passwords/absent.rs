//! A build without passwords: there is no value of these types.

use std::sync::Arc;

#[derive(Debug)]
enum Never {}

/// Users and their passwords: there are none in this build.
#[derive(Debug)]
pub struct Passwords(Never);

/// A password that is to be checked.
#[derive(Debug)]
pub struct PasswordCheck(Never);

pub(super) struct Entry {
    pub(super) user: Arc<str>,
    never: Never,
}

impl Entry {
    pub(super) fn is(&self, _: &Entry) -> bool {
        match self.never {}
    }
}

impl Passwords {
    pub(super) fn entry(&self, _: &str) -> Option<&Arc<Entry>> {
        match self.0 {}
    }

    pub(super) fn check(&self, _: &str, _: &[u8]) -> PasswordCheck {
        match self.0 {}
    }
}

impl PasswordCheck {
    pub(super) fn run(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn password(&self) -> &[u8] {
        match self.0 {}
    }

    pub(super) fn entry(&self) -> Option<&Arc<Entry>> {
        match self.0 {}
    }
}
