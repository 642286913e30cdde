//! A network namespace of its own for a comparison, where cubic is the congestion control of every route.
//!
//! Proxies have no setting for it, and BBR paces by timers, which halves streaming over loopback.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// What must be done in a fresh network namespace before anything can run in it.
const NAMESPACE: &str = "ip link set lo up && for to in 127.0.0.0/8 127.0.0.1; do \
    ip route replace local $to dev lo proto kernel scope host src 127.0.0.1 table local congctl cubic || exit 1; \
    done";
/// The option of a run that has been put into one.
const INSIDE: &str = "--in-namespace";

/// Runs this program again in a network namespace of its own; false if there can be none.
pub(super) fn in_namespace() -> Result<bool> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]);
        command
    };
    let tried = unshare(NAMESPACE).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        eprintln!("NOT ISOLATED: no network namespace to be had; the system's congestion control stays");
        return Ok(false);
    }
    let ourselves = std::env::current_exe().context("cannot find this program")?;
    let mut command = unshare(&format!("{NAMESPACE} && exec \"$0\" \"$@\""));
    let status = command.arg(ourselves).args(std::env::args_os().skip(1)).arg(INSIDE).status()?;
    ensure!(status.success(), "the run in its namespace failed");
    Ok(true)
}
