//! Telling a supervisor how the server is (sd_notify(3)), where one asks to be told.

/// Says `READY=1`, and which process is the server now. Nobody who listens is no error.
pub(crate) fn ready() {
    say(&format!("READY=1\nMAINPID={}", std::process::id()));
}

/// Says that the configuration is being read again, and when that began.
pub(crate) fn reloading() {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }
}

/// Says that it has been read, or has been found wrong: either way it serves.
pub(crate) fn reloaded() {
    say("READY=1");
}

#[cfg(target_os = "linux")]
fn say(text: &str) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let _ = address.and_then(|at| UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &at));
}

#[cfg(not(target_os = "linux"))]
fn say(_: &str) {}
