//! Ctrl-C and its kin: the first asks the server to drain, the second to stop at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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

/// Has SIGHUP set `flag`: files of logs are opened anew then, as logrotate(8) expects it.
#[cfg(unix)]
pub(crate) fn set_on_hangup(flag: Arc<AtomicBool>) -> std::io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGHUP, flag).map(drop)
}

#[cfg(windows)]
pub(crate) fn set_on_hangup(_: Arc<AtomicBool>) -> std::io::Result<()> {
    Ok(())
}

/// Has Ctrl-C stop the server. Windows has no pipe that a poll could watch, so a thread looks at a
/// flag now and then.
#[cfg(windows)]
pub(crate) fn stop_on_signals(bound: Bound) -> std::io::Result<Bound> {
    use std::sync::atomic::Ordering;

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

/// What a server of a file hears besides: SIGHUP has it read the file again, SIGUSR2 has another process
/// take its place.
#[cfg(unix)]
pub(crate) struct Signals {
    reload: std::os::unix::net::UnixStream,
    upgrade: std::os::unix::net::UnixStream,
}

#[cfg(unix)]
impl Signals {
    /// Hears them from now on; nothing comes of it before [`Signals::forward`].
    pub(crate) fn watch() -> std::io::Result<Signals> {
        let watch = |signal| {
            let (here, there) = std::os::unix::net::UnixStream::pair()?;
            signal_hook::low_level::pipe::register(signal, there)?;
            std::io::Result::Ok(here)
        };
        let (reload, upgrade) = (watch(signal_hook::consts::SIGHUP)?, watch(signal_hook::consts::SIGUSR2)?);
        Ok(Signals { reload, upgrade })
    }

    /// Calls one or the other for each, on a thread for each, as long as they return true. Several that
    /// came at once are one.
    pub(crate) fn forward(
        self,
        reload: impl Fn() -> bool + Send + 'static,
        upgrade: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        forward("sighup", self.reload, reload)?;
        forward("sigusr2", self.upgrade, upgrade)
    }
}

#[cfg(unix)]
fn forward(
    name: &str,
    mut pipe: std::os::unix::net::UnixStream,
    call: impl Fn() -> bool + Send + 'static,
) -> std::io::Result<()> {
    use std::io::{ErrorKind, Read};
    let hear = move || {
        loop {
            match pipe.read(&mut [0; 64]) {
                Ok(1..) if call() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(hear).map(drop)
}

/// There are no such signals.
#[cfg(windows)]
pub(crate) struct Signals;

#[cfg(windows)]
impl Signals {
    pub(crate) fn watch() -> std::io::Result<Signals> {
        Ok(Signals)
    }

    pub(crate) fn forward(
        self,
        _: impl Fn() -> bool + Send + 'static,
        _: impl Fn() -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        Ok(())
    }
}
