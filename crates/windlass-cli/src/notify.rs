//! Telling a supervisor that the server serves (sd_notify(3)), where one asks to be told.

/// Says `READY=1`, and which process is the server now. Nobody who listens is no error.
#[cfg(target_os = "linux")]
pub(crate) fn ready() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let text = format!("READY=1\nMAINPID={}", std::process::id());
    let _ = address.and_then(|at| UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &at));
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn ready() {}
