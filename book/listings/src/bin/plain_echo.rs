//! The echo server everyone starts with. Each of its mistakes has a chapter.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);

// ANCHOR: main
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mut listener = TcpListener::bind(address.parse().expect("an address"))?;
    println!("Listening on {}", listener.local_addr()?);

    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(128);
    let mut streams: HashMap<Token, TcpStream> = HashMap::new();
    let mut next = 1;

    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            match event.token() {
                LISTENER => loop {
                    // ANCHOR: accept
                    let (mut stream, peer) = match listener.accept() {
                        Ok(accepted) => accepted,
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                        Err(e) => return Err(e),
                    };
                    // ANCHOR_END: accept
                    println!("{peer} connected");
                    let token = Token(next);
                    next += 1;
                    poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    streams.insert(token, stream);
                },
                token => {
                    let Some(stream) = streams.get_mut(&token) else { continue };
                    if let Err(e) = serve(stream) {
                        println!("{token:?}: {e}");
                        streams.remove(&token);
                    }
                }
            }
        }
    }
}
// ANCHOR_END: main

// ANCHOR: serve
fn serve(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    let n = stream.read(&mut buffer)?;
    if n == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    println!("{n} bytes");
    stream.write_all(&buffer[..n])
}
// ANCHOR_END: serve
