//! The process as the system sees it: how many descriptors it may open, whose it is, what it may still do
//! once it listens, and that its supervisor hears that its loops turn.
//!
//! The order matters, and [`serving::run`](crate::serving::run) keeps it: `descriptors` before any table is
//! sized by them; `identity` and `sandbox` behind the last listener and certificate, and before the first
//! thread, since what they give up, each thread would have to give up for itself.

#[cfg(unix)]
pub(crate) mod descriptors;
/// Not on Apple's systems, where a process cannot leave the groups of its user.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub(crate) mod identity;
#[cfg(target_os = "linux")]
pub(crate) mod sandbox;
pub(crate) mod watchdog;

use anyhow::Result;

use crate::config::File;
use crate::config::shape::Sandbox;

/// Raises the limit of descriptors, and tells how many there may be. Zero: the system has no such limit.
pub(crate) fn raise_descriptors(file: &File) -> Result<u64> {
    #[cfg(unix)]
    return descriptors::raise(file.server.descriptors.0 as u64);
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(0)
    }
}

/// Where there is no `identity`.
#[cfg(any(not(unix), target_vendor = "apple"))]
pub(crate) const NO_USERS: &str = "`server.user` cannot be had on this system: start windlass as that user";

/// What was given up.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Whose process it is now, if it was another's.
    pub(crate) user: Option<String>,
    /// What the sandbox forbids, in words.
    pub(crate) sandbox: Option<String>,
    /// What it was to forbid, and this system cannot.
    pub(crate) lacking: Vec<String>,
}

/// Gives up what a server that listens does not need. An error means that it must not go on.
pub(crate) fn settle(file: &File) -> Result<Settled> {
    let mut settled = Settled::default();
    let server = &file.server;
    if server.user.is_none() && server.group.is_none() && server.sandbox == Sandbox::Off {
        return Ok(settled);
    }
    #[cfg(unix)]
    alone()?;
    #[cfg(all(unix, not(target_vendor = "apple")))]
    {
        if let Some(identity) = identity::Identity::of(server).map_err(|(_, why)| anyhow::anyhow!(why))? {
            identity::own_sockets(file, &identity);
            identity::own_logs(file, &identity);
            identity.assume()?;
            settled.user = Some(identity.to_string());
        }
    }
    #[cfg(any(not(unix), target_vendor = "apple"))]
    anyhow::ensure!(server.user.is_none() && server.group.is_none(), "{NO_USERS}");
    #[cfg(target_os = "linux")]
    if server.sandbox != Sandbox::Off {
        let kept = sandbox::Kept::of(file);
        let sandbox::Enforced { what, lacking } = sandbox::enforce(server.sandbox, &kept)?;
        settled.sandbox = Some(what.join(", "));
        settled.lacking = lacking;
    }
    #[cfg(not(target_os = "linux"))]
    match server.sandbox {
        Sandbox::Strict => anyhow::bail!("a sandbox needs Linux: set `server.sandbox` to `off` or `on`"),
        Sandbox::On => settled.lacking = vec!["a sandbox needs Linux".into()],
        Sandbox::Off => {}
    }
    Ok(settled)
}

/// What a thread gives up it gives up for itself and for those that it starts.
#[cfg(unix)]
fn alone() -> Result<()> {
    #[cfg(target_os = "linux")]
    if let Ok(tasks) = std::fs::read_dir("/proc/self/task") {
        let threads = tasks.count();
        anyhow::ensure!(threads == 1, "{threads} threads run before privileges are given up");
    }
    Ok(())
}
