//! What went wrong, in one line, and what to do about it in another.

use std::io::{ErrorKind, Write};

/// Prints an error to stderr.
pub(crate) fn report(error: &anyhow::Error) {
    let mut text = format!("error: {}\n", one_line(error));
    if let Some(hint) = hint(error) {
        text += &format!("hint: {hint}\n");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// An error and its causes.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut parts = Vec::new();
    for cause in error.chain() {
        parts.push(cause.to_string());
        // The engine's errors tell their cause themselves.
        if cause.is::<windlass::Error>() {
            break;
        }
    }
    parts.join(": ")
}

fn hint(error: &anyhow::Error) -> Option<&'static str> {
    let message = error.to_string();
    let on = message.strip_prefix("cannot listen on ")?;
    let system = error.downcast_ref::<windlass::Error>()?.io()?;
    let path = on.starts_with("unix:");
    // `127.0.0.1:80: permission denied`: the number behind the last colon of the address.
    let port = on.split(": ").next().and_then(|address| address.rsplit(':').next()?.parse::<u16>().ok());
    match system.kind() {
        ErrorKind::AddrInUse if path => {
            Some("another program listens on that path; stop it or choose another path")
        }
        ErrorKind::AddrInUse => {
            Some("stop the other program, or choose another port; port 0 lets the system choose")
        }
        ErrorKind::PermissionDenied if path => {
            Some("the folder must be writable for you, and so must a socket that is there already")
        }
        ErrorKind::PermissionDenied if port.is_some_and(|port| (1..1024).contains(&port)) => Some(
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; choose a higher one, for example 9000",
        ),
        ErrorKind::AddrNotAvailable => {
            Some("use 127.0.0.1 for this machine only, or :PORT for every address of it")
        }
        ErrorKind::AlreadyExists => Some("windlass replaces a socket nobody listens on, and nothing else"),
        _ => None,
    }
}
