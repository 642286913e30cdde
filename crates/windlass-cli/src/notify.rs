//! Telling a supervisor how the server fares (sd_notify(3)), where one asks to be told.

/// Whether one asks.
pub(crate) fn is_asked() -> bool {
    cfg!(target_os = "linux") && std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says `READY=1`, and which process is the server now.
pub(crate) fn ready() {
    send(&format!("READY=1\nMAINPID={}", std::process::id()), true);
}

/// Says that the configuration is being read again, and when that began.
pub(crate) fn reloading() {
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"), true);
    }
}

/// Says that it has been read, or has been found wrong: either way it serves.
pub(crate) fn reloaded() {
    send("READY=1", true);
}

/// Says this, unless that would mean to wait.
pub(crate) fn tell(text: &str) {
    send(text, false);
}

/// Nobody who listens is no error.
#[cfg(target_os = "linux")]
fn send(text: &str, waits: bool) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let _ = address.and_then(|at| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(!waits)?;
        socket.send_to_addr(text.as_bytes(), &at)
    });
}

#[cfg(not(target_os = "linux"))]
fn send(_: &str, _: bool) {}
