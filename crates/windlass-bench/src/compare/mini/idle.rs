//! What an idle connection costs a server: memory of it and of all that it began, before and with so many open.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use windlass_proto::Encode as _;
use windlass_proto::mqtt::{Connect, Limits, Mqtt, Packet, Version};

use crate::net::allow_descriptors;
use crate::proc::{Memory, family};

/// Connections that are opened and closed first, so that what every server touches once is not counted against the
/// connections.
const REHEARSAL: usize = 8;
/// Time for the server to accept, or to give memory back, before it is looked at.
const SETTLE: Duration = Duration::from_millis(300);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client says when it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hello {
    /// Nothing.
    Silent,
    /// That it is a client of MQTT, and waits to be let in.
    Mqtt,
}

/// Connections that were held, and bytes of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) connections: usize,
    pub(super) bytes_each: f64,
    /// Whether it began a process for each.
    pub(super) forks: bool,
}

/// Opens `n` connections to the server of process `pid` on `port`, and looks how its memory grows.
pub(super) fn hold(pid: u32, port: u16, hello: Hello, n: usize) -> Result<Held> {
    allow_descriptors(n)?;
    drop(open(port, hello, REHEARSAL.min(n), 0)?);
    std::thread::sleep(SETTLE);
    let (before, few) = (anonymous(pid), family(pid).len());
    let mut clients = open(port, hello, n, REHEARSAL)?;
    std::thread::sleep(SETTLE);
    let (after, many) = (anonymous(pid), family(pid).len());
    // Whoever was thrown out costs nothing now.
    clients.retain_mut(is_open);
    ensure!(!clients.is_empty(), "it keeps nobody");
    let bytes_each = (after as f64 - before as f64) * 1024.0 / clients.len() as f64;
    Ok(Held { connections: clients.len(), bytes_each, forks: many > few })
}

/// KiB of a process and of those that it began, which share what they have not written to.
fn anonymous(pid: u32) -> u64 {
    // One that has just ended has none.
    family(pid).into_iter().filter_map(|pid| Memory::of(pid).ok()).map(|it| it.anonymous).sum()
}

fn open(port: u16, hello: Hello, n: usize, first: usize) -> Result<Vec<TcpStream>> {
    (first..first + n)
        .map(|at| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).context("it takes nobody")?;
            stream.set_read_timeout(Some(PATIENCE))?;
            if hello == Hello::Mqtt {
                let id = format!("idle-{at}");
                // Not none: there are brokers that refuse that.
                let connect = Connect { keep_alive: u16::MAX, ..Connect::new(Version::V311, &id) };
                let mut bytes = Vec::new();
                Mqtt::client(Version::V311, Limits::default())
                    .encode(&Packet::Connect(connect), &mut bytes)
                    .map_err(|error| anyhow::anyhow!("cannot say CONNECT: {error}"))?;
                stream.write_all(&bytes)?;
                // CONNACK of MQTT 3.1.1, section 3.2: no session before, and accepted.
                let mut answer = [0; 4];
                stream.read_exact(&mut answer).context("no CONNACK")?;
                if answer != [0x20, 2, 0, 0] {
                    bail!("it does not take a client: {answer:?}");
                }
            }
            Ok(stream)
        })
        .collect()
}

/// Whether the other end has not closed it. What it sent meanwhile, a greeting, is taken.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut greeting = [0; 1024];
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    loop {
        match stream.read(&mut greeting) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_was_thrown_out_is_not_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut clients = open(listener.local_addr().unwrap().port(), Hello::Silent, 2, 0).unwrap();
        let kept = listener.accept().unwrap().0;
        let mut gone = listener.accept().unwrap().0;
        gone.write_all(b"too many\n").unwrap();
        drop(gone);
        let begun = std::time::Instant::now();
        while is_open(&mut clients[1]) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!((is_open(&mut clients[0]), is_open(&mut clients[1])), (true, false));
        drop(kept);
    }

    #[test]
    fn a_broker_that_does_not_answer_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = std::thread::spawn(move || {
            let mut client = listener.accept().unwrap().0;
            let mut connect = [0; 20];
            client.read_exact(&mut connect).unwrap();
            client.write_all(&[0x20, 2, 0, 5]).unwrap();
            connect
        });
        let refused = open(port, Hello::Mqtt, 1, 0).unwrap_err().to_string();
        assert!(refused.contains("does not take"), "{refused}");
        // MQTT 3.1.1, section 3.1: the name of the protocol and its level, and the name of the client.
        let said = broker.join().unwrap();
        assert_eq!((&said[..9], &said[14..]), (&b"\x10\x12\0\x04MQTT\x04"[..], &b"idle-0"[..]));
    }
}
