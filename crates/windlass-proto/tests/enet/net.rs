//! The network: hosts, and what is between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use windlass_proto::Time;
use windlass_proto::enet::{Config, DATAGRAM_MAX, Ended, Event, Host, Kind, PeerId};
use windlass_proto::testing::Rng;

/// Something with an address.
pub(crate) trait Node {
    fn addr(&self) -> SocketAddr;
    fn receive(&mut self, now: Time, from: SocketAddr, datagram: &[u8]);
    fn transmit(&mut self, now: Time, send: &mut dyn FnMut(SocketAddr, &[u8]));
}

/// What is under way, and what becomes of it.
pub(crate) struct Net {
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    /// Out of a thousand.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Milliseconds, at least and at most: what is later may be faster.
    pub(crate) delay: (u64, u64),
    pub(crate) flying: BTreeMap<(Time, u64), Flying>,
    pub(crate) number: u64,
    /// Datagrams and their bytes, by sender.
    pub(crate) sent: BTreeMap<SocketAddr, (u64, u64)>,
}

pub(crate) struct Flying {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub(crate) const MS: Duration = Duration::from_millis(1);

impl Net {
    /// One that loses nothing and takes 10 ms.
    pub(crate) fn new(seed: u64) -> Net {
        Net {
            now: Time::ZERO + Duration::from_secs(100),
            rng: Rng::new(seed),
            lost: 0,
            doubled: 0,
            delay: (10, 10),
            flying: BTreeMap::new(),
            number: 0,
            sent: BTreeMap::new(),
        }
    }

    /// One that loses 5 %, doubles 2 %, and takes 5 to 60 ms.
    pub(crate) fn lossy(seed: u64) -> Net {
        Net { lost: 50, doubled: 20, delay: (5, 60), ..Net::new(seed) }
    }

    /// One millisecond.
    pub(crate) fn step(&mut self, nodes: &mut [&mut dyn Node]) {
        while let Some(first) = self.flying.first_entry()
            && first.key().0 <= self.now
        {
            let Flying { from, to, bytes } = first.remove();
            if let Some(node) = nodes.iter_mut().find(|node| node.addr() == to) {
                node.receive(self.now, from, &bytes);
            }
        }
        for node in nodes {
            let from = node.addr();
            node.transmit(self.now, &mut |to, bytes| {
                let sent = self.sent.entry(from).or_default();
                *sent = (sent.0 + 1, sent.1 + bytes.len() as u64);
                if self.rng.chance(self.lost, 1000) {
                    return;
                }
                for _ in 0..1 + u32::from(self.rng.chance(self.doubled, 1000)) {
                    let delay = self.delay.0 + self.rng.below(self.delay.1 - self.delay.0 + 1);
                    self.number += 1;
                    let key = (self.now + MS * delay as u32, self.number);
                    self.flying.insert(key, Flying { from, to, bytes: bytes.to_vec() });
                }
            });
        }
        self.now += MS;
    }

    pub(crate) fn run(&mut self, ms: u64, nodes: &mut [&mut dyn Node]) {
        for _ in 0..ms {
            self.step(nodes);
        }
    }
}

/// A host of ours. It is called only when something came or it asked to be.
pub(crate) struct Ours {
    pub(crate) host: Host,
    addr: SocketAddr,
    pub(crate) events: Vec<Event>,
}

impl Ours {
    pub(crate) fn new(addr: &str, config: Config) -> Ours {
        let addr: SocketAddr = addr.parse().unwrap();
        let mut seed = [7; 16];
        seed[..2].copy_from_slice(&addr.port().to_le_bytes());
        Ours { host: Host::new(config, seed), addr, events: Vec::new() }
    }

    pub(crate) fn server(config: Config) -> Ours {
        Ours::new("10.0.0.1:9000", config)
    }

    pub(crate) fn client(config: Config) -> Ours {
        Ours::new("10.0.0.2:7000", Config { accept: false, ..config })
    }

    fn take_events(&mut self) {
        while let Some(event) = self.host.poll_event() {
            self.events.push(event);
        }
    }

    /// The peers that have connected, in order.
    pub(crate) fn connected(&self) -> Vec<PeerId> {
        let peer = |event: &Event| match event {
            Event::Connected { peer, .. } => Some(*peer),
            _ => None,
        };
        self.events.iter().filter_map(peer).collect()
    }

    pub(crate) fn ended(&self) -> Vec<Ended> {
        let ended = |event: &Event| match event {
            Event::Disconnected { ended, .. } => Some(*ended),
            _ => None,
        };
        self.events.iter().filter_map(ended).collect()
    }

    /// The messages that have come on a channel.
    pub(crate) fn messages(&self, on: u8) -> Vec<(Kind, &[u8])> {
        let message = |event| match event {
            &Event::Message { channel, kind, ref bytes, .. } if channel == on => Some((kind, &bytes[..])),
            _ => None,
        };
        self.events.iter().filter_map(message).collect()
    }
}

impl Node for Ours {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn receive(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        self.host.receive(now, from, datagram);
        self.take_events();
    }

    fn transmit(&mut self, now: Time, send: &mut dyn FnMut(SocketAddr, &[u8])) {
        if self.host.next_deadline().is_some_and(|deadline| deadline <= now) {
            let mut buf = [0; DATAGRAM_MAX];
            while let Some((to, len)) = self.host.poll_transmit(now, &mut buf) {
                send(to, &buf[..len]);
            }
            self.take_events();
        }
    }
}

/// A server and a client that are connected, with four channels.
pub(crate) struct Pair {
    pub(crate) net: Net,
    pub(crate) server: Ours,
    pub(crate) client: Ours,
    /// The client, as the server calls it; and the reverse.
    pub(crate) at_server: PeerId,
    pub(crate) at_client: PeerId,
}

impl Pair {
    pub(crate) fn new(net: Net, config: Config) -> Pair {
        let (server, client) = (Ours::server(config.clone()), Ours::client(config));
        Pair::of(net, server, client)
    }

    pub(crate) fn of(mut net: Net, mut server: Ours, mut client: Ours) -> Pair {
        let at_client = client.host.connect(net.now, server.addr, 4, 77).unwrap();
        for _ in 0..20_000 {
            net.step(&mut [&mut server, &mut client]);
            if server.connected().len() == 1 && client.connected().len() == 1 {
                break;
            }
        }
        assert_eq!(client.connected(), [at_client], "{:?}", server.host.counters());
        let at_server = server.connected()[0];
        assert!(
            matches!(server.events[0], Event::Connected { code: 77, channels: 4, addr, .. } if addr == client.addr)
        );
        server.events.clear();
        client.events.clear();
        Pair { net, server, client, at_server, at_client }
    }

    pub(crate) fn run(&mut self, ms: u64) {
        self.net.run(ms, &mut [&mut self.server, &mut self.client]);
    }

    /// Until it is so, for so many milliseconds at most. How many it took.
    #[track_caller]
    pub(crate) fn until(&mut self, ms: u64, is_so: impl Fn(&Pair) -> bool) -> u64 {
        for passed in 0..ms {
            if is_so(self) {
                return passed;
            }
            self.run(1);
        }
        panic!(
            "not after {ms} ms: {:?} {:?}\n{:?}\n{:?}",
            self.server.host.stats(self.at_server),
            self.client.host.stats(self.at_client),
            self.server.host.counters(),
            self.client.host.counters()
        );
    }
}

/// Bytes that no shift of them equals.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::new(seed).fill(&mut bytes);
    bytes
}
