//! WebSocket echo with tungstenite on plain mio: all that has arrived is read and answered, then flushed once.

use std::collections::HashMap;
use std::io::ErrorKind;

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use peers::Args;
use tungstenite::handshake::server::{NoCallback, ServerHandshake};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::{Error, WebSocket};

const LISTENER: Token = Token(0);

enum Conn {
    Shaking(MidHandshake<ServerHandshake<TcpStream, NoCallback>>),
    Open(WebSocket<TcpStream>),
}

fn main() {
    if let Err(error) = serve(&Args::from_env()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn serve(args: &Args) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut listener = TcpListener::from_std(args.listen()?);
    peers::announce(listener.local_addr()?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut conns = HashMap::new();
    let mut next = 1;
    loop {
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e.into()),
            _ => {}
        }
        for event in &events {
            if event.token() != LISTENER {
                if let Some(conn) = conns.remove(&event.token()).and_then(step) {
                    conns.insert(event.token(), conn);
                }
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                let token = Token(next);
                next += 1;
                poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                if let Some(conn) = shaken(tungstenite::accept(stream)).and_then(step) {
                    conns.insert(token, conn);
                }
            }
        }
    }
}

fn shaken(
    result: Result<WebSocket<TcpStream>, HandshakeError<ServerHandshake<TcpStream, NoCallback>>>,
) -> Option<Conn> {
    match result {
        Ok(socket) => Some(Conn::Open(socket)),
        Err(HandshakeError::Interrupted(shaking)) => Some(Conn::Shaking(shaking)),
        Err(_) => None,
    }
}

/// Goes as far as it can; `None`: it is over.
fn step(conn: Conn) -> Option<Conn> {
    let mut socket = match conn {
        Conn::Open(socket) => socket,
        Conn::Shaking(shaking) => match shaken(shaking.handshake())? {
            Conn::Open(socket) => socket,
            shaking => return Some(shaking),
        },
    };
    let blocked = |error: &Error| matches!(error, Error::Io(e) if e.kind() == ErrorKind::WouldBlock);
    loop {
        match socket.read() {
            Ok(message) if message.is_text() || message.is_binary() => match socket.write(message) {
                Err(error) if !blocked(&error) => return None,
                _ => {}
            },
            Ok(_) => {}
            Err(error) if blocked(&error) => break,
            Err(_) => return None,
        }
    }
    match socket.flush() {
        Err(error) if !blocked(&error) => None,
        _ => Some(Conn::Open(socket)),
    }
}
