//! The plain server with large replies: each byte it receives asks for one page. Wrong on purpose, and the
//! first to be found out by `write_all`.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
// ANCHOR: page
const PAGE: usize = 16 * 1024 * 1024;
// ANCHOR_END: page

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let mut listener = TcpListener::bind(address.parse().expect("an address"))?;
    println!("Listening on {}", listener.local_addr()?);

    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(128);
    let mut streams: HashMap<Token, TcpStream> = HashMap::new();
    let mut next = 1;
    let page = vec![b'.'; PAGE];

    loop {
        poll.poll(&mut events, None)?;
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
                    poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    streams.insert(token, stream);
                },
                token => {
                    let Some(stream) = streams.get_mut(&token) else { continue };
                    if let Err(e) = serve(stream, &page) {
                        println!("{e}");
                        streams.remove(&token);
                    }
                }
            }
        }
    }
}

// ANCHOR: serve
fn serve(stream: &mut TcpStream, page: &[u8]) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    let n = stream.read(&mut buffer)?;
    if n == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for _ in 0..n {
        stream.write_all(page)?;
    }
    Ok(())
}
// ANCHOR_END: serve
