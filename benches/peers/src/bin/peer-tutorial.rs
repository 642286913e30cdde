//! The server everyone starts from: mio's tutorial, one 4 KiB read per event and `write_all`.
//!
//! It is kept as people write it, faults included: it stalls when more than a buffer arrives in
//! one edge, and loses bytes when the socket refuses a write. It is here to show what that costs.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use peers::Args;

const SERVER: Token = Token(0);

fn main() {
    let args = Args::from_env();
    if let Err(error) = serve(&args) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn serve(args: &Args) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::from_std(args.listen()?);
    poll.registry().register(&mut listener, SERVER, Interest::READABLE)?;
    peers::announce(listener.local_addr()?);

    let mut clients: HashMap<Token, TcpStream> = HashMap::new();
    let mut next = 1;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == SERVER {
                loop {
                    match listener.accept() {
                        Ok((mut stream, _)) => {
                            let token = Token(next);
                            next += 1;
                            poll.registry().register(&mut stream, token, Interest::READABLE)?;
                            clients.insert(token, stream);
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error.into()),
                    }
                }
            } else if let Some(client) = clients.get_mut(&event.token()) {
                let mut buffer = vec![0; 4096];
                match client.read(&mut buffer) {
                    Ok(0) => {
                        clients.remove(&event.token());
                    }
                    Ok(read) => {
                        if !args.quiet {
                            println!("received {read} bytes");
                        }
                        if let Err(error) = client.write_all(&buffer[..read]) {
                            eprintln!("write failed: {error}");
                            clients.remove(&event.token());
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => {
                        clients.remove(&event.token());
                    }
                }
            }
        }
    }
}
