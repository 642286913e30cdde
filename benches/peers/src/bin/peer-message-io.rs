//! Echo on message-io, with its plain TCP transport.

use std::os::fd::BorrowedFd;

use anyhow::{Context as _, Result, bail};
use message_io::network::{NetEvent, Transport};
use message_io::node::{self, NodeEvent};
use peers::Args;

fn main() {
    let args = Args::from_env();
    if let Err(error) = serve(&args) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn serve(args: &Args) -> Result<()> {
    let (handler, listener) = node::split::<()>();
    let (_, addr) = handler.network().listen(Transport::Tcp, args.addr)?;
    tune_listener(args.cubic)?;
    peers::announce(addr);
    listener.for_each(move |event| {
        if let NodeEvent::Network(NetEvent::Message(endpoint, bytes)) = event {
            handler.network().send(endpoint, bytes);
        }
    });
    Ok(())
}

/// Sets `TCP_NODELAY` and, if asked, cubic on the listener, which message-io opens itself and does
/// not show: it is the one descriptor of this process that accepts connections.
#[allow(unsafe_code)]
fn tune_listener(cubic: bool) -> Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok()).context("odd descriptor name")?;
        // SAFETY: a descriptor that the directory's own iteration has closed meanwhile fails with
        // EBADF below; nothing else in this process opens or closes descriptors at this point.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        if rustix::net::sockopt::socket_acceptconn(fd) == Ok(true) {
            rustix::net::sockopt::set_tcp_nodelay(fd, true)?;
            if cubic {
                rustix::net::sockopt::set_tcp_congestion(fd, "cubic")?;
            }
            return Ok(());
        }
    }
    bail!("message-io opened no listener")
}
