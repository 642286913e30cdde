//! The server behind HTTP proxies: it answers `GET /N` with N bytes, and costs as little as that can.
//!
//! One thread, one edge-triggered epoll, responses that are made once. It is no HTTP server: it takes what
//! proxies pass on of the generator's requests, which have no bodies, and nothing else.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

use anyhow::{Context as _, Result};
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::io::Errno;

const EVENTS: usize = 256;
/// The longest head that is waited for, in bytes.
const HEAD_MAX: usize = 16 * 1024;
/// The largest body that is made, in bytes.
const BODY_MAX: usize = 16 << 20;
/// What epoll tells of the listener.
const LISTENER: u64 = u64::MAX;
const END: &[u8] = b"\r\n\r\n";

/// Options of the hidden command.
#[derive(Debug, Clone, clap::Args)]
pub struct OriginArgs {
    /// Where to listen
    #[arg(default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Serves until it is killed.
///
/// # Errors
/// It cannot listen, or epoll fails.
pub fn main(args: OriginArgs) -> Result<()> {
    let listener =
        TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    // The backlog of the standard library is 128, which a burst of connections overruns.
    rustix::net::listen(&listener, 4096)?;
    println!("Listening on {}", listener.local_addr()?);
    let mut origin = Origin {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        listener,
        clients: Vec::new(),
        free: Vec::new(),
        responses: HashMap::new(),
        scratch: vec![0; 64 * 1024],
    };
    origin.listener.set_nonblocking(true)?;
    epoll::add(&origin.epoll, &origin.listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    loop {
        origin.pass()?;
    }
}

/// One connection.
struct Client {
    stream: TcpStream,
    /// The beginning of a head.
    left: Vec<u8>,
    /// What is not sent yet: the responses, and where in the first of them.
    out: Vec<Rc<[u8]>>,
    at: usize,
}

struct Origin {
    epoll: std::os::fd::OwnedFd,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    responses: HashMap<usize, Rc<[u8]>>,
    scratch: Vec<u8>,
}

impl Origin {
    fn pass(&mut self) -> Result<()> {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let ready = match epoll::wait(&self.epoll, &mut events, None) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in ready.iter() {
            // Copied out, because the kernel's structure is packed.
            let data = event.data;
            match data.u64() {
                LISTENER => self.accept(),
                at => self.serve(at as usize),
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        // Whoever is gone again is no loss, and what else fails will be tried again: epoll tells of it once more.
        while let Ok((stream, _)) = self.listener.accept() {
            let at = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let ready = stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok();
            if ready && epoll::add(&self.epoll, &stream, EventData::new_u64(at as u64), flags).is_ok() {
                self.clients[at] = Some(Client { stream, left: Vec::new(), out: Vec::new(), at: 0 });
            } else {
                self.free.push(at);
            }
        }
    }

    fn serve(&mut self, at: usize) {
        let Some(client) = &mut self.clients[at] else { return };
        if !client.serve(&mut self.scratch, &mut self.responses) {
            // Closes the socket, which takes it out of epoll.
            self.clients[at] = None;
            self.free.push(at);
        }
    }
}

impl Client {
    /// False: it is over.
    fn serve(&mut self, scratch: &mut [u8], responses: &mut HashMap<usize, Rc<[u8]>>) -> bool {
        loop {
            if !self.flush() {
                return false;
            }
            match self.stream.read(scratch) {
                Ok(0) => return false,
                Ok(n) => {
                    if !self.hear(&scratch[..n], responses) || !self.flush() {
                        return false;
                    }
                    // A short read has emptied the socket. An end behind it comes with an event of its own.
                    if n < scratch.len() {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Takes the heads that are complete. False: this is nothing that is answered here.
    fn hear(&mut self, bytes: &[u8], responses: &mut HashMap<usize, Rc<[u8]>>) -> bool {
        self.left.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(length) = self.left[from..].windows(END.len()).position(|four| four == END) {
            let Some(body) = asked_for(&self.left[from..from + length]) else { return false };
            let response = responses.entry(body).or_insert_with(|| response(body));
            self.out.push(response.clone());
            from += length + END.len();
        }
        self.left.drain(..from);
        self.left.len() <= HEAD_MAX
    }

    /// Sends what waits. False: the connection is broken.
    fn flush(&mut self) -> bool {
        while let Some(first) = self.out.first() {
            match self.stream.write(&first[self.at..]) {
                Ok(n) => self.at += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
            if self.at == first.len() {
                self.out.remove(0);
                self.at = 0;
            }
        }
        true
    }
}

/// The bytes that `GET /N HTTP/1.1` asks for.
fn asked_for(head: &[u8]) -> Option<usize> {
    let path = head.strip_prefix(b"GET /")?;
    let end = path.iter().position(|&byte| byte == b' ')?;
    let body = std::str::from_utf8(&path[..end]).ok()?.parse().ok()?;
    (body <= BODY_MAX).then_some(body)
}

fn response(body: usize) -> Rc<[u8]> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nserver: origin\r\ncontent-type: application/octet-stream\r\ncontent-length: {body}\r\n\r\n"
    );
    // No two lines alike, so that a piece that is lost or sent twice is noticed.
    let filling = (0..body).map(|n| b'a' + ((n + n / 251) % 26) as u8);
    head.into_bytes().into_iter().chain(filling).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        assert_eq!(asked_for(b"GET /128 HTTP/1.1\r\nhost: x"), Some(128));
        assert_eq!(asked_for(b"GET /0 HTTP/1.1"), Some(0));
        for head in
            ["POST /1 HTTP/1.1", "GET / HTTP/1.1", "GET /-1 HTTP/1.1", "GET /99999999999 HTTP/1.1", "GET /1"]
        {
            assert_eq!(asked_for(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn a_response_says_how_long_it_is() {
        let response = response(1000);
        let head = response.len() - 1000;
        assert!(response[..head].ends_with(END));
        assert!(String::from_utf8_lossy(&response[..head]).contains("content-length: 1000\r\n"));
    }
}
