//! What the process may do once it listens: less, so that whoever takes it over finds little.
//!
//! `files` forbids every path that is not needed and calls to others, and strictly every port that is not
//! configured (Landlock); `calls` forbids system calls a server has no use for, programs and processes above all
//! (seccomp). What is open already stays open. Nothing of it can be undone by the process, so a reload works
//! within it: a certificate in a new folder needs a restart, and strictly so does another port.

mod calls;
mod files;

use anyhow::Result;

pub(crate) use files::Kept;

use crate::config::shape::Sandbox;

/// What is enforced now, and what could not be.
#[derive(Debug)]
pub(crate) struct Enforced {
    pub(crate) what: Vec<String>,
    pub(crate) lacking: Vec<String>,
}

/// Forbids this thread, and all that it starts, what is not `kept`. An error of [`Sandbox::Strict`] says what
/// the system lacks; one of any other means that something has gone wrong halfway.
pub(crate) fn enforce(sandbox: Sandbox, kept: &Kept) -> Result<Enforced> {
    let mut enforced = Enforced { what: Vec::new(), lacking: Vec::new() };
    files::enforce(sandbox == Sandbox::Strict, kept, &mut enforced)?;
    calls::enforce(sandbox == Sandbox::Strict, &mut enforced)?;
    Ok(enforced)
}

/// What `windlass check` can tell before anything is forbidden.
pub(crate) fn foreseen() -> String {
    let mut can_forbid = files::foreseen();
    can_forbid.extend(calls::is_known().then_some("system calls"));
    match can_forbid.is_empty() {
        true => "nothing".into(),
        false => can_forbid.join(", "),
    }
}

#[cfg(test)]
#[path = "../../tests/process/sandbox.rs"]
mod tests;
