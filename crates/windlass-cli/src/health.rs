//! `windlass health`: asks a running server how it is, for those who have no HTTP client at hand: a
//! container's health check, a supervisor, a script.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use windlass::Address;

use crate::args::HealthArgs;
use crate::config::value::Listen;
use crate::{configured, print};

/// Where the admin listener is, when nobody says otherwise: as for `windlass top`.
const USUAL: &str = "127.0.0.1:9900";
const USUAL_FILE: &str = "windlass.toml";
/// More than the head and the word of an answer.
const ANSWER_MAX: u64 = 16 << 10;

/// Succeeds if the server says that it is well.
pub(crate) fn run(args: &HealthArgs) -> Result<()> {
    let address = match &args.admin {
        Some(address) => address.clone(),
        // Without the usual file there is the usual address; one that was named must be there.
        None if args.config == Path::new(USUAL_FILE) && !args.config.exists() => USUAL.parse()?,
        None => {
            let loaded = configured::load(&args.config, crate::args::ReportFormat::Text)?;
            let Some(Listen(address)) = loaded.file.admin.listen.into_iter().next() else {
                bail!("{} has no `admin.listen` that could be asked", args.config.display());
            };
            address
        }
    };
    let path = if args.live { "/healthz" } else { "/readyz" };
    let (status, said) =
        ask(&address, path, args.timeout).with_context(|| format!("{address}: no answer"))?;
    ensure!(status == 200, "{address}: {} ({status})", said.trim());
    print(format!("{address}: {}\n", said.trim()).as_bytes());
    Ok(())
}

/// The status of the answer, and what it says.
fn ask(address: &Address, path: &str, timeout: Duration) -> Result<(u16, String)> {
    let deadline = Instant::now() + timeout;
    match address {
        Address::Tcp(text) => {
            let text = reachable(text);
            let mut failed = None;
            for at in text.to_socket_addrs()? {
                match TcpStream::connect_timeout(&at, timeout) {
                    Ok(stream) => {
                        stream.set_write_timeout(Some(timeout))?;
                        let patience = |stream: &TcpStream, left| stream.set_read_timeout(Some(left));
                        return exchange(stream, patience, path, deadline);
                    }
                    Err(error) => failed = Some(error),
                }
            }
            Err(failed.map_or_else(|| anyhow::anyhow!("it has no address"), Into::into))
        }
        #[cfg(unix)]
        Address::Unix(path_of_socket) => {
            use std::os::unix::net::UnixStream;
            let stream = UnixStream::connect(path_of_socket)?;
            stream.set_write_timeout(Some(timeout))?;
            exchange(stream, |stream: &UnixStream, left| stream.set_read_timeout(Some(left)), path, deadline)
        }
        other => bail!("{other}: an admin listener is on TCP or on unix:PATH"),
    }
}

/// A server that is reached by every address is reached by the loopback's.
fn reachable(text: &str) -> String {
    match text.rsplit_once(':') {
        Some(("" | "0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => text.into(),
    }
}

fn exchange<S: Read + Write>(
    mut stream: S,
    patience: impl Fn(&S, Duration) -> std::io::Result<()>,
    path: &str,
    deadline: Instant,
) -> Result<(u16, String)> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "it took too long");
        patience(&stream, left)?;
        let n = match stream.read(&mut piece) {
            Ok(n) => n,
            // Systems differ in what they call a time that is over. The loop tells of it.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error.into()),
        };
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..n]);
        ensure!(answer.len() as u64 <= ANSWER_MAX, "that is no health page");
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").context("that is no answer in HTTP")?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    Ok((status.context("that is no answer in HTTP")?, body.into()))
}

#[cfg(test)]
#[path = "tests/health.rs"]
mod tests;
