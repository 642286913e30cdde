//! An ENet server that sends every message back, on the channel and in the way it came:
//! `cargo run -p windlass --example enet_echo`, then any game that speaks ENet to 127.0.0.1:9100.
//!
//! `enet_echo 0.0.0.0:9100 checksum compression` has another address, and the options that both ends must share.

use std::hash::{BuildHasher, RandomState};

use windlass::proto::enet::{Config, DATAGRAM_MAX, Event, Host};
use windlass::{Datagram, DatagramService, Socket, datagrams};

struct Echo {
    host: Host,
}

impl Echo {
    fn new(config: Config) -> Echo {
        // Ids and proofs of addresses are drawn from it, so strangers must not know it.
        let random = || RandomState::new().hash_one(0).to_ne_bytes();
        let mut seed = [0; 16];
        seed[..8].copy_from_slice(&random());
        seed[8..].copy_from_slice(&random());
        Echo { host: Host::new(config, seed) }
    }

    /// What has happened, and what is to be sent for it.
    fn answer(&mut self, socket: &mut Socket<'_>) {
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Message { peer, channel, kind, bytes } => {
                    // Who does not take what it gets back is not sent more.
                    let _ = self.host.send(peer, channel, kind, &bytes);
                }
                other => println!("{other:?}"),
            }
        }
        let mut buf = [0; DATAGRAM_MAX];
        while let Some((to, len)) = self.host.poll_transmit(socket.now(), &mut buf) {
            socket.send_to(to, &buf[..len]);
        }
        match self.host.next_deadline() {
            Some(deadline) => socket.wake_at(deadline),
            None => socket.cancel_wake(),
        }
    }
}

impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.host.receive(socket.now(), datagram.from, datagram.bytes);
        self.answer(socket);
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        self.answer(socket);
    }
}

fn main() -> windlass::Result<()> {
    let mut address = "127.0.0.1:9100".to_owned();
    let mut config = Config::default();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "checksum" => config.checksum = true,
            "compression" => config.compression = true,
            _ => address = argument,
        }
    }
    let bound = datagrams(move || Echo::new(config.clone())).workers(1).udp(address).bind()?;
    for address in bound.addresses() {
        println!("Listening on {address}");
    }
    bound.run()?;
    Ok(())
}
