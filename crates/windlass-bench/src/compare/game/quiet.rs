//! Players by UDP who have a seat, and do nothing but acknowledge: who does not is gone.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use windlass_proto::Time;
use windlass_proto::enet::{Config, DATAGRAM_MAX, Event, Host, Kind, PeerId};

/// How long one of them may take until they sit.
const PATIENCE: Duration = Duration::from_secs(30);
/// Channels that the server wants.
const CHANNELS: u8 = 3;

/// All of them, behind one socket.
pub(super) struct Quiet {
    socket: UdpSocket,
    host: Host,
    /// Of those who have not been welcomed.
    tickets: HashMap<PeerId, String>,
    begun: Instant,
}

impl Quiet {
    pub(super) fn new() -> Result<Quiet> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let config = Config { accept: false, peers_max: 65_536, ..Config::default() };
        Ok(Quiet { socket, host: Host::new(config, [7; 16]), tickets: HashMap::new(), begun: Instant::now() })
    }

    fn now(&self) -> Time {
        Time::from_nanos(u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Takes a seat that the server keeps.
    pub(super) fn sit(&mut self, seat: &Value) -> Result<()> {
        let udp = &seat["udp"];
        let host: IpAddr = udp["host"].as_str().context("no datagrams are taken")?.parse()?;
        let port = udp["port"].as_u64().and_then(|port| u16::try_from(port).ok()).context("no port")?;
        let ticket = seat["ticket"].as_str().context("no ticket")?.to_owned();
        let peer = self.host.connect(self.now(), SocketAddr::new(host, port), CHANNELS, 0)?;
        self.tickets.insert(peer, ticket);
        let begun = Instant::now();
        while !self.tickets.is_empty() {
            ensure!(begun.elapsed() < PATIENCE, "a player by UDP has not got their seat");
            self.step()?;
        }
        Ok(())
    }

    /// Lets time pass.
    pub(super) fn rest(&mut self, length: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < length {
            self.step()?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        let now = self.now();
        let mut buf = [0; DATAGRAM_MAX];
        loop {
            match self.socket.recv_from(&mut buf) {
                Ok((len, from)) => self.host.receive(now, from, &buf[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        while let Some(event) = self.host.poll_event() {
            match event {
                Event::Connected { peer, .. } => {
                    let ticket = self.tickets.get(&peer).context("a peer that nobody asked for")?;
                    self.host.send(peer, 0, Kind::Reliable, ticket.as_bytes())?;
                }
                Event::Message { peer, kind, bytes, .. } => {
                    // The welcome is the first that must come.
                    if kind == Kind::Reliable {
                        self.tickets.remove(&peer);
                    }
                    self.host.take_back(bytes);
                }
                Event::Disconnected { ended, .. } => bail!("a player by UDP has lost their seat: {ended:?}"),
                _ => {}
            }
        }
        while let Some((to, len)) = self.host.poll_transmit(now, &mut buf) {
            match self.socket.send_to(&buf[..len], to) {
                // What is lost goes again.
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}
