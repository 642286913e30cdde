//! Ctrl-C and its kin: the first asks the server to drain, the second to stop at once.

use windlass::Bound;

/// Has SIGINT and SIGTERM stop the server, without a thread: the signal writes a byte into a pipe,
/// which is all that may be done in a signal's place, and worker 0 reads it.
#[cfg(unix)]
pub(crate) fn stop_on_signals(bound: Bound) -> std::io::Result<Bound> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGINT, there.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGTERM, there)?;
    Ok(bound.stop_pipe(here))
}

/// Has SIGHUP open the files of access logs anew, as logrotate(8) expects it.
#[cfg(unix)]
pub(crate) fn reopen_on_hangup(access: &crate::access::AccessLogs) -> std::io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGHUP, access.reopen_flag()).map(drop)
}

#[cfg(windows)]
pub(crate) fn reopen_on_hangup(_: &crate::access::AccessLogs) -> std::io::Result<()> {
    Ok(())
}

/// Has Ctrl-C stop the server. Windows has no pipe that a poll could watch, so a thread looks at a
/// flag now and then.
#[cfg(windows)]
pub(crate) fn stop_on_signals(bound: Bound) -> std::io::Result<Bound> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let asked = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, asked.clone())?;
    }
    let handle = bound.handle();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        loop {
            std::thread::sleep(LOOK_EVERY);
            if asked.swap(false, Ordering::AcqRel) {
                handle.shutdown();
            }
        }
    })?;
    Ok(bound)
}

#[cfg(windows)]
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(100);
