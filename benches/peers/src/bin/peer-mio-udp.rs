//! UDP echo on plain mio: one `recv_from` and one `send_to` per datagram, until there is none.

use std::io::ErrorKind;

use anyhow::Result;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use peers::Args;

fn main() {
    if let Err(error) = serve(&Args::from_env()) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn serve(args: &Args) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let mut socket = UdpSocket::bind(args.addr)?;
    peers::announce(socket.local_addr()?);
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
    let mut bytes = vec![0; 65_536];
    loop {
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e.into()),
            _ => {}
        }
        loop {
            match socket.recv_from(&mut bytes) {
                // What the system has no room for is lost, as datagrams are.
                Ok((n, from)) => drop(socket.send_to(&bytes[..n], from)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }
}
