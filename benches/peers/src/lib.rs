//! What all peers share: their arguments, their listener and their first line of output.
//!
//! Each server is one file in `src/bin`, complete and readable on its own; nothing that
//! decides its speed lives here.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait for `accept`. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The command line of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Where to listen.
    pub addr: SocketAddr,
    /// Use the cubic congestion control instead of the machine's default.
    pub cubic: bool,
    /// Do not print a line for each event, where a peer would.
    pub quiet: bool,
    /// Size of the read buffer in bytes, where the peer lets one choose.
    pub buffer: Option<usize>,
    /// The I/O driver, for monoio: `uring` or `legacy`.
    pub driver: Option<String>,
}

impl Args {
    /// Reads the process's arguments; on a mistake prints one line and ends with code 1.
    pub fn from_env() -> Args {
        Args::parse(std::env::args().skip(1)).unwrap_or_else(|error| {
            eprintln!("error: {error}");
            eprintln!("usage: ADDR [--cubic] [-q] [--buffer BYTES] [--driver uring|legacy]");
            std::process::exit(1);
        })
    }

    /// Reads arguments from any source.
    ///
    /// # Errors
    /// An unknown option, a missing value, or no address.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Args> {
        let mut words = words.into_iter();
        let mut addr = None;
        let mut args = Args {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            cubic: false,
            quiet: false,
            buffer: None,
            driver: None,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--cubic" => args.cubic = true,
                "-q" | "--quiet" => args.quiet = true,
                "--buffer" => {
                    let value = words.next().context("--buffer needs a number of bytes")?;
                    let bytes = value.parse().ok().filter(|&bytes: &usize| bytes > 0);
                    args.buffer = Some(bytes.with_context(|| format!("bad buffer size `{value}`"))?);
                }
                "--driver" => args.driver = Some(words.next().context("--driver needs a name")?),
                _ if word.starts_with('-') => bail!("unknown option `{word}`"),
                _ if addr.is_none() => {
                    addr = Some(word.parse().with_context(|| format!("bad address `{word}`"))?);
                }
                _ => bail!("unexpected argument `{word}`"),
            }
        }
        args.addr = addr.context("no address to listen on")?;
        Ok(args)
    }

    /// Opens the listener: non-blocking, with `TCP_NODELAY` and the congestion control set on it,
    /// since accepted sockets inherit both and need no system call of their own then.
    ///
    /// # Errors
    /// Whatever the kernel says, for instance that the address is in use.
    pub fn listen(&self) -> Result<TcpListener> {
        let domain = if self.addr.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.cubic {
            socket.set_tcp_congestion(b"cubic").context("cannot choose cubic")?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&self.addr.into()).with_context(|| format!("cannot bind {}", self.addr))?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    }
}

/// Prints the line the comparison waits for before it sends the first byte.
pub fn announce(addr: SocketAddr) {
    let mut out = std::io::stdout().lock();
    // Nobody may be listening to our output; the server runs on regardless.
    let _ = writeln!(out, "Listening on {addr}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_in_any_order() {
        let args = parse("--cubic 127.0.0.1:9000 --buffer 65536 -q").unwrap();
        assert_eq!(args.addr.port(), 9000);
        assert_eq!(args.buffer, Some(65536));
        assert!(args.cubic && args.quiet);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("", "no address"),
            ("nonsense", "nonsense"),
            ("127.0.0.1:1 --buffer", "--buffer"),
            ("127.0.0.1:1 --buffer 0", "`0`"),
            ("127.0.0.1:1 --fast", "--fast"),
        ] {
            assert!(parse(line).unwrap_err().to_string().contains(part), "{line}");
        }
    }
}
