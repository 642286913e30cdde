//! How many descriptors the process may open: each connection takes one.

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More are not asked for unless a number is: tables are sized by it, and some systems allow a thousand
/// times as many as any machine can serve.
const MOST: u64 = 1 << 20;

/// Raises the soft limit to `wanted`, or for 0 as far as the hard one allows, and tells what it is now.
pub(crate) fn raise(wanted: u64) -> Result<u64> {
    let now = getrlimit(Resource::Nofile);
    let Some(next) = next(&now, wanted) else {
        return Ok(now.current.unwrap_or(MOST));
    };
    match setrlimit(Resource::Nofile, next) {
        Ok(()) => {}
        // Some systems have a lower bound of their own below an infinite limit: what there was is kept.
        Err(_) if wanted == 0 => return Ok(now.current.unwrap_or(MOST)),
        Err(rustix::io::Errno::PERM) => bail!("{}", beyond(wanted, now.maximum)),
        Err(error) => return Err(error).context(format!("cannot have {wanted} descriptors")),
    }
    Ok(next.current.unwrap_or(MOST))
}

/// Why `wanted` descriptors cannot be had, if they cannot.
pub(crate) fn refused(wanted: u64) -> Option<String> {
    let now = getrlimit(Resource::Nofile);
    let beyond_hard = now.maximum.is_some_and(|hard| wanted > hard);
    // Root may raise the hard limit too.
    (beyond_hard && !rustix::process::geteuid().is_root()).then(|| beyond(wanted, now.maximum))
}

/// How many there will be, and how many there are before anything is raised.
pub(crate) fn foreseen(wanted: u64) -> (u64, u64) {
    let now = getrlimit(Resource::Nofile);
    let before = now.current.unwrap_or(MOST);
    (next(&now, wanted).map_or(before, |next| next.current.unwrap_or(MOST)), before)
}

fn beyond(wanted: u64, hard: Option<u64>) -> String {
    let hard = hard.map_or("none".into(), |hard| hard.to_string());
    format!("{wanted} descriptors are more than this process may ask for (hard limit {hard})")
}

/// The limit to set, if there is one to set.
fn next(now: &Rlimit, wanted: u64) -> Option<Rlimit> {
    let most = now.maximum.unwrap_or(MOST);
    let wanted = if wanted == 0 { most.min(MOST).max(now.current.unwrap_or(MOST)) } else { wanted };
    if now.current == Some(wanted) || (now.current.is_none() && wanted >= MOST) {
        return None;
    }
    let maximum = now.maximum.map(|hard| hard.max(wanted));
    Some(Rlimit { current: Some(wanted), maximum })
}

#[cfg(test)]
#[path = "../tests/process/descriptors.rs"]
mod tests;
