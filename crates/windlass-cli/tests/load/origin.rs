//! A server of HTTP that can be killed: what a proxy of requests stands before.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::server::LONG;

/// Answers `GET` with a word, and sends back the body of a `POST`. A thread for each connection.
pub(crate) struct Origin {
    pub(crate) address: String,
    is_dead: Arc<AtomicBool>,
    streams: Arc<Mutex<HashMap<u64, TcpStream>>>,
    accepts: Option<thread::JoinHandle<()>>,
}

/// What is answered to a `GET`.
pub(crate) const WORD: &[u8] = b"hello";

impl Origin {
    pub(crate) fn start(address: &str) -> Origin {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (is_dead, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(HashMap::new())));
        let (dead, all): (_, Arc<Mutex<HashMap<u64, TcpStream>>>) = (is_dead.clone(), streams.clone());
        let accepts = thread::spawn(move || {
            let mut number = 0;
            for stream in listener.incoming().map_while(Result::ok) {
                if dead.load(Relaxed) {
                    return;
                }
                number += 1;
                let (all, key) = (all.clone(), number);
                all.lock().unwrap().insert(key, stream.try_clone().unwrap());
                // Whoever goes, or is killed, is no loss here. Both descriptors have to go: the other end waits for
                // ours.
                thread::spawn(move || {
                    serve(stream);
                    all.lock().unwrap().remove(&key);
                });
            }
        });
        Origin { address, is_dead, streams, accepts: Some(accepts) }
    }
}

/// All its connections end in the middle of what they do, and nobody listens any more.
impl Drop for Origin {
    fn drop(&mut self) {
        self.is_dead.store(true, Relaxed);
        let _ = TcpStream::connect(&self.address);
        let _ = self.accepts.take().map(thread::JoinHandle::join);
        for (_, stream) in self.streams.lock().unwrap().drain() {
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reads = BufReader::new(stream.try_clone().ok()?);
    let mut writes = stream;
    loop {
        let (head, body) = read_message(&mut reads)?;
        let body = if head.starts_with("POST ") { &body } else { WORD };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        writes.write_all(&[head.as_bytes(), body].concat()).ok()?;
    }
}

/// A head and a body with its length in it. `None`: it ended before that.
fn read_message(reads: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let from = head.len();
        if reads.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if &head[from..] == "\r\n" {
            break;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reads.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// A client that keeps its connection.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    /// Status line and body of the answer; `None`: the connection ended without one.
    pub(crate) fn ask(&mut self, method: &str, body: &[u8]) -> Option<(String, Vec<u8>)> {
        let head = format!("{method} /x HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len());
        let head = if method == "GET" { "GET /x HTTP/1.1\r\nhost: h\r\n\r\n".into() } else { head };
        self.0.get_mut().write_all(&[head.as_bytes(), body].concat()).ok()?;
        self.hear()
    }

    /// What is answered to what was said before.
    pub(crate) fn hear(&mut self) -> Option<(String, Vec<u8>)> {
        let (head, body) = read_message(&mut self.0)?;
        Some((head.lines().next()?.to_owned(), body))
    }

    /// Asks for the word, and has it.
    pub(crate) fn expect_word(&mut self) {
        let (status, body) = self.ask("GET", b"").expect("an answer");
        assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", WORD));
    }

    /// Asks for the word, and has it: whether the connection goes on. If not, that was said, and it ends behind the
    /// answer as it should.
    pub(crate) fn goes_on_after_word(&mut self) -> bool {
        self.say(b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n");
        let (head, body) = read_message(&mut self.0).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == WORD, "{head}");
        if !head.to_ascii_lowercase().contains("\r\nconnection: close\r\n") {
            return true;
        }
        assert_eq!(self.0.read(&mut [0]).expect("nobody is reset"), 0, "it said that it ends");
        false
    }

    /// Says some bytes as they are.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// Hears so many bytes, all of them the same.
    pub(crate) fn expect_bytes(&mut self, count: usize, byte: u8) {
        let mut heard = vec![0; count];
        self.0.read_exact(&mut heard).unwrap();
        assert!(heard.iter().all(|one| *one == byte));
    }
}
