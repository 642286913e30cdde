//! The plain server of pages, repaired: it reads until there is nothing, keeps what could not be written,
//! and takes no interruption for an end. It loses no byte. Its memory is the next chapter.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
const PAGE: usize = 16 * 1024 * 1024;

// ANCHOR: peer
struct Peer {
    stream: TcpStream,
    output: Vec<u8>,
}
// ANCHOR_END: peer

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mut listener = TcpListener::bind(address.parse().expect("an address"))?;
    println!("Listening on {}", listener.local_addr()?);

    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(128);
    let mut peers: HashMap<Token, Peer> = HashMap::new();
    let mut next = 1;
    let page = vec![b'.'; PAGE];

    loop {
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            done => done?,
        }
        for event in &events {
            match event.token() {
                LISTENER => loop {
                    let (mut stream, _) = match listener.accept() {
                        Ok(accepted) => accepted,
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                        Err(e) => return Err(e),
                    };
                    let token = Token(next);
                    next += 1;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, token, both)?;
                    peers.insert(token, Peer { stream, output: Vec::new() });
                },
                token => {
                    let Some(peer) = peers.get_mut(&token) else { continue };
                    match serve(peer, &page) {
                        Err(e) if e.kind() != io::ErrorKind::WouldBlock => drop(peers.remove(&token)),
                        _ => {}
                    }
                }
            }
        }
    }
}

// ANCHOR: serve
fn serve(peer: &mut Peer, page: &[u8]) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let ended = loop {
        match peer.stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(n) => (0..n).for_each(|_| peer.output.extend_from_slice(page)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break false,
            Err(e) => return Err(e),
        }
    };
    while !peer.output.is_empty() {
        let n = peer.stream.write(&peer.output)?;
        peer.output.drain(..n);
    }
    if ended { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}
// ANCHOR_END: serve
