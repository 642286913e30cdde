//! rusty_enet, which is ENet 1.3.18 transpiled, as the other end: both directions, all kinds, with and without
//! checksum and compression, on a good network and on a bad one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusty_enet::{
    EventNoRef, Host, HostSettings, MTU_MAX, Packet, PacketKind, PacketReceived, PeerID, RangeCoder, Socket,
    crc32,
};
use windlass_proto::Time;
use windlass_proto::enet::{Config, Ended, Event, Kind};

use crate::net::{Net, Node, Ours, noise};

#[derive(Default)]
struct Wires {
    incoming: VecDeque<(SocketAddr, Vec<u8>)>,
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
}

struct Wire(Arc<Mutex<Wires>>);

impl Socket for Wire {
    type Address = SocketAddr;
    type Error = Infallible;

    fn send(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.lock().unwrap().outgoing.push_back((to, bytes.to_vec()));
        Ok(bytes.len())
    }

    fn receive(
        &mut self,
        buffer: &mut [u8; MTU_MAX],
    ) -> Result<Option<(SocketAddr, PacketReceived)>, Infallible> {
        let Some((from, bytes)) = self.0.lock().unwrap().incoming.pop_front() else { return Ok(None) };
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(Some((from, PacketReceived::Complete(bytes.len()))))
    }
}

/// What it has told.
#[derive(Debug, PartialEq)]
enum Told {
    Connected(PeerID, u32),
    Disconnected(PeerID, u32),
    Message(PeerID, u8, Vec<u8>),
}

struct Theirs {
    host: Host<Wire>,
    addr: SocketAddr,
    wires: Arc<Mutex<Wires>>,
    clock: Arc<AtomicU64>,
    told: Vec<Told>,
}

impl Theirs {
    fn new(addr: &str, config: &Config) -> Theirs {
        let wires = Arc::new(Mutex::new(Wires::default()));
        let clock = Arc::new(AtomicU64::new(100_000));
        let time = clock.clone();
        let settings = HostSettings {
            peer_limit: 10,
            compressor: config.compression.then(|| Box::new(RangeCoder::new()) as _),
            checksum: config.checksum.then(|| Box::new(crc32) as _),
            time: Box::new(move || Duration::from_millis(time.load(Ordering::Relaxed))),
            seed: Some(5),
            ..HostSettings::default()
        };
        let host = Host::new(Wire(wires.clone()), settings).unwrap();
        Theirs { host, addr: addr.parse().unwrap(), wires, clock, told: Vec::new() }
    }

    fn messages(&self, on: u8) -> Vec<&[u8]> {
        let message = |told| match told {
            &Told::Message(_, channel, ref bytes) if channel == on => Some(&bytes[..]),
            _ => None,
        };
        self.told.iter().filter_map(message).collect()
    }

    fn send(&mut self, peer: PeerID, channel: u8, kind: PacketKind, bytes: &[u8]) {
        self.host.peer_mut(peer).send(channel, &Packet::new(bytes, kind)).unwrap();
    }
}

impl Node for Theirs {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn receive(&mut self, _: Time, from: SocketAddr, datagram: &[u8]) {
        self.wires.lock().unwrap().incoming.push_back((from, datagram.to_vec()));
    }

    fn transmit(&mut self, now: Time, send: &mut dyn FnMut(SocketAddr, &[u8])) {
        self.clock.store(now.as_nanos() / 1_000_000, Ordering::Relaxed);
        while let Some(event) = self.host.service().unwrap() {
            self.told.push(match event.no_ref() {
                EventNoRef::Connect { peer, data } => Told::Connected(peer, data),
                EventNoRef::Disconnect { peer, data } => Told::Disconnected(peer, data),
                EventNoRef::Receive { peer, channel_id, packet } => {
                    Told::Message(peer, channel_id, packet.data().to_vec())
                }
            });
        }
        self.host.flush();
        for (to, bytes) in self.wires.lock().unwrap().outgoing.drain(..) {
            send(to, &bytes);
        }
    }
}

fn options() -> Vec<Config> {
    [(false, false), (true, false), (false, true), (true, true)]
        .map(|(checksum, compression)| Config { checksum, compression, ..Config::default() })
        .into()
}

/// Text, which shrinks, of any length.
fn text(len: usize) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog; ".iter().copied().cycle().take(len).collect()
}

/// Either end sends everything there is to the other, which sends it back.
fn talk(net: Net, ours: &mut Ours, theirs: &mut Theirs, reliable_only: bool) {
    let mut net = net;
    let peer = ours.connected()[0];
    let Told::Connected(their_peer, _) = theirs.told[0] else { panic!("{:?}", theirs.told) };
    let long = noise(1, 100_000);
    let texts = text(50_000);
    for bytes in [&long[..], b"", b"short", &texts] {
        ours.host.send(peer, 0, Kind::Reliable, bytes).unwrap();
        theirs.send(their_peer, 0, PacketKind::Reliable, bytes);
    }
    if !reliable_only {
        for number in 0..50_u8 {
            ours.host.send(peer, 1, Kind::Unreliable, &[number; 30]).unwrap();
            ours.host.send(peer, 2, Kind::Unsequenced, &[number; 300]).unwrap();
            ours.host.send(peer, 3, Kind::Unreliable, &vec![number; 3000]).unwrap();
            theirs.send(their_peer, 1, PacketKind::Unreliable { sequenced: true }, &[number; 30]);
            theirs.send(their_peer, 2, PacketKind::Unreliable { sequenced: false }, &[number; 300]);
            theirs.send(their_peer, 3, PacketKind::AlwaysUnreliable { sequenced: true }, &vec![number; 3000]);
            net.run(20, &mut [ours, theirs]);
        }
    }
    for _ in 0..60 {
        net.run(1000, &mut [ours, theirs]);
        if ours.messages(0).len() == 4 && theirs.messages(0).len() == 4 {
            break;
        }
    }
    let expected = [&long[..], b"", b"short", &texts];
    assert_eq!(theirs.messages(0), expected);
    assert!(ours.messages(0).iter().map(|message| message.1).eq(expected));
    if !reliable_only {
        for (channel, len) in [(1, 30), (2, 300), (3, 3000)] {
            let all: Vec<Vec<u8>> = (0..50).map(|number| vec![number; len]).collect();
            assert!(theirs.messages(channel).into_iter().eq(&all), "{channel}");
            assert!(ours.messages(channel).iter().map(|message| message.1).eq(&all), "{channel}");
        }
        let kinds = |channel| ours.messages(channel)[0].0;
        assert_eq!([kinds(1), kinds(2), kinds(3)], [Kind::Unreliable, Kind::Unsequenced, Kind::Unreliable]);
    }
    // Nothing is left; it may take a ping that is under way.
    let left = |ours: &Ours| {
        let stats = ours.host.stats(peer).unwrap();
        stats.queued_bytes + stats.waiting_bytes
    };
    for _ in 0..5000 {
        net.run(1, &mut [ours, theirs]);
        if left(ours) == 0 {
            break;
        }
    }
    assert_eq!(left(ours), 0);
    assert_eq!(ours.host.counters().dropped_malformed, 0);
    assert_eq!(ours.host.counters().dropped_commands, 0);

    // And the end, by either.
    if reliable_only {
        ours.host.disconnect(peer, 8);
        net.run(5000, &mut [ours, theirs]);
        assert_eq!(theirs.told.last(), Some(&Told::Disconnected(their_peer, 8)));
        assert_eq!(ours.ended(), [Ended::Local]);
    } else {
        theirs.host.peer_mut(their_peer).disconnect(9);
        net.run(5000, &mut [ours, theirs]);
        assert_eq!(ours.ended(), [Ended::Remote(9)]);
        assert_eq!(theirs.told.last(), Some(&Told::Disconnected(their_peer, 0)));
    }
    assert_eq!(ours.host.connected(), 0);
}

#[test]
fn their_client_at_our_server() {
    for config in options() {
        for bad in [false, true] {
            let mut net = if bad { Net::lossy(50) } else { Net::new(50) };
            let mut ours = Ours::server(config.clone());
            let mut theirs = Theirs::new("10.0.0.2:7000", &config);
            theirs.host.connect(ours.addr(), 4, 4321).unwrap();
            for _ in 0..100 {
                net.run(100, &mut [&mut ours, &mut theirs]);
                if ours.host.connected() == 1 && !theirs.told.is_empty() {
                    break;
                }
            }
            let Event::Connected { code, channels, .. } = ours.events[0] else { panic!() };
            assert_eq!((code, channels), (4321, 4));
            talk(net, &mut ours, &mut theirs, bad);
        }
    }
}

#[test]
fn our_client_at_their_server() {
    for config in options() {
        for bad in [false, true] {
            let mut net = if bad { Net::lossy(51) } else { Net::new(51) };
            let mut ours = Ours::client(config.clone());
            let mut theirs = Theirs::new("10.0.0.1:9000", &config);
            ours.host.connect(net.now, theirs.addr, 4, 1234).unwrap();
            for _ in 0..100 {
                net.run(100, &mut [&mut ours, &mut theirs]);
                if ours.host.connected() == 1 && !theirs.told.is_empty() {
                    break;
                }
            }
            assert!(matches!(theirs.told[0], Told::Connected(_, 1234)));
            talk(net, &mut ours, &mut theirs, bad);
        }
    }
}

#[test]
fn their_clients_reconnect() {
    let mut net = Net::new(52);
    let config = Config::default();
    let mut ours = Ours::server(config.clone());
    let mut theirs = Theirs::new("10.0.0.2:7000", &config);
    for round in 0..6 {
        theirs.told.clear();
        theirs.host.connect(ours.addr(), 1, round).unwrap();
        net.run(200, &mut [&mut ours, &mut theirs]);
        let Told::Connected(peer, _) = theirs.told[0] else { panic!() };
        theirs.send(peer, 0, PacketKind::Reliable, b"again");
        net.run(200, &mut [&mut ours, &mut theirs]);
        theirs.host.peer_mut(peer).disconnect(round);
        net.run(200, &mut [&mut ours, &mut theirs]);
        assert_eq!(theirs.told[1..], [Told::Disconnected(peer, 0)]);
    }
    assert_eq!(ours.messages(0).len(), 6);
    assert_eq!(ours.ended(), (0..6).map(Ended::Remote).collect::<Vec<_>>());
}

#[test]
fn throttle_ping_and_bandwidth_are_understood() {
    let mut net = Net::new(53);
    let config = Config::default();
    let mut ours = Ours::server(config.clone());
    let mut theirs = Theirs::new("10.0.0.2:7000", &config);
    theirs.host.connect(ours.addr(), 1, 0).unwrap();
    net.run(300, &mut [&mut ours, &mut theirs]);
    let peer = ours.connected()[0];
    let Told::Connected(their_peer, _) = theirs.told[0] else { panic!() };
    ours.host.set_throttle(peer, 1000, 3, 4);
    ours.host.ping(peer);
    ours.host.set_bandwidth(70_000, 80_000);
    theirs.host.peer_mut(their_peer).set_throttle(900, 5, 6);
    theirs.host.peer_mut(their_peer).ping();
    theirs.host.set_bandwidth_limit(Some(90_000), Some(60_000)).unwrap();
    net.run(4000, &mut [&mut ours, &mut theirs]);
    assert_eq!(
        theirs.host.peer(their_peer).incoming_bandwidth(),
        60_000,
        "it sends no more than that anyhow"
    );
    assert_eq!(ours.host.counters().dropped_commands, 0);
    assert_eq!((ours.host.connected(), theirs.told.len()), (1, 1));
    assert!(ours.host.stats(peer).unwrap().queued_bytes <= 64, "but for a ping");
}
