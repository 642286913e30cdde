//! A player over rusty_enet: party-enet HOST PORT TICKET

use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rusty_enet::{EventNoRef, Host, HostSettings, Packet};
use windlass_party::{FAREWELL, Player, say, until_told};

/// What the server says when it has heard the farewell.
const HEARD: u32 = 1000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, ticket] = &args[..] else { panic!("HOST PORT TICKET") };
    let to: SocketAddr = format!("{host}:{port}").to_socket_addrs().unwrap().next().unwrap();
    let over = until_told();
    let settings = HostSettings { peer_limit: 1, channel_limit: 3, ..HostSettings::default() };
    let mut host = Host::new(UdpSocket::bind("0.0.0.0:0").unwrap(), settings).unwrap();
    let peer = host.connect(to, 3, 0).unwrap().id();
    let mut player = Player::new();
    let mut leaving = None;
    loop {
        while let Some(event) = host.service().unwrap() {
            match event.no_ref() {
                EventNoRef::Connect { .. } => {
                    host.peer_mut(peer).send(0, &Packet::reliable(ticket.as_bytes())).unwrap();
                }
                EventNoRef::Receive { packet, .. } => {
                    if let Some(said) = player.hear(packet.data()).filter(|_| leaving.is_none()) {
                        host.peer_mut(peer).send(1, &Packet::unreliable(&said[..])).unwrap();
                    }
                }
                EventNoRef::Disconnect { data, .. } => {
                    assert!(leaving.is_some() && data == HEARD, "the server has ended it: {data}");
                    return say("bye");
                }
            }
        }
        if leaving.is_none() && over.load(Ordering::Relaxed) {
            host.peer_mut(peer).send(0, &Packet::reliable(&FAREWELL[..])).unwrap();
            leaving = Some(Instant::now());
        }
        assert!(
            leaving.is_none_or(|since| since.elapsed() < Duration::from_secs(10)),
            "the farewell is not heard"
        );
        thread::sleep(Duration::from_millis(2));
    }
}
