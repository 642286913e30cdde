//! Any datagrams to a server and a client of ENet that are connected: `cargo +nightly fuzz run enet`. The input is a
//! script: commands under the right header, whole datagrams of strangers, honest messages on their way with a fault in
//! them, and time that passes. Neither end may panic, or hold more than it may.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use windlass::Time;
use windlass::proto::enet::{Config, DATAGRAM_MAX, Event, Host, Kind, PeerId};

const MESSAGE_MAX: usize = 20_000;
const WAITING_MAX: usize = 50_000;

struct Pair {
    hosts: [Host; 2],
    addrs: [SocketAddr; 2],
    /// What each end writes in front of its commands: id, session and "the time is behind this".
    heads: [[u8; 2]; 2],
    now: Time,
}

impl Pair {
    fn new(options: u8) -> Pair {
        let config = Config {
            message_max: MESSAGE_MAX,
            waiting_max: WAITING_MAX,
            output_max: 100_000,
            peers_max: 4,
            half_open_max: 16,
            checksum: options & 1 != 0,
            compression: options & 2 != 0,
            incoming_bandwidth: if options & 4 != 0 { 10_000 } else { 0 },
            outgoing_bandwidth: if options & 8 != 0 { 10_000 } else { 0 },
            ..Config::default()
        };
        let addrs = ["10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()];
        let hosts = [Host::new(config.clone(), [1; 16]), Host::new(config, [2; 16])];
        let now = Time::ZERO + Duration::from_millis(60_000);
        let mut pair = Pair { hosts, addrs, heads: [[0; 2]; 2], now };
        pair.hosts[1].connect(now, addrs[0], 3, 0).unwrap();
        for _ in 0..8 {
            pair.pass(0, None);
            pair.pass(1, None);
            pair.now += Duration::from_millis(600);
        }
        assert_eq!(pair.hosts.each_ref().map(Host::connected), [1, 1]);
        pair
    }

    /// Everything that one end wants to send arrives at the other, with a bit of it turned around.
    fn pass(&mut self, from: usize, fault: Option<u16>) {
        let mut buf = [0; DATAGRAM_MAX];
        for _ in 0..64 {
            let Some((to, len)) = self.hosts[from].poll_transmit(self.now, &mut buf) else { break };
            if to != self.addrs[1 - from] {
                continue;
            }
            self.heads[from] = [buf[0] & 0x3f | 0x80, buf[1]];
            if let Some(fault) = fault {
                buf[usize::from(fault / 8) % len] ^= 1 << (fault % 8);
            }
            self.hosts[1 - from].receive(self.now, self.addrs[from], &buf[..len]);
        }
    }

    fn peer(&self, of: usize) -> Option<PeerId> {
        self.hosts[of].peers().next()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&options, mut script)) = bytes.split_first() else { return };
    let mut pair = Pair::new(options);
    while let Some((&[step, low, high], rest)) = script.split_first_chunk::<3>() {
        script = rest;
        let number = u16::from_le_bytes([low, high]);
        let to = usize::from(step >> 7);
        match step % 8 {
            0 | 1 => {
                let len = usize::from(number % 256).min(script.len());
                let (commands, rest) = script.split_at(len);
                script = rest;
                let mut datagram = pair.heads[1 - to].to_vec();
                datagram.extend([0xea, 0x60]);
                datagram.extend(commands);
                pair.hosts[to].receive(pair.now, pair.addrs[1 - to], &datagram);
            }
            2 => {
                let len = usize::from(number % 256).min(script.len());
                let (datagram, rest) = script.split_at(len);
                script = rest;
                let from = (std::net::Ipv4Addr::from(u32::from(high)), 9).into();
                pair.hosts[to].receive(pair.now, from, datagram);
            }
            3 => {
                let kind = [Kind::Reliable, Kind::Unreliable, Kind::Unsequenced][usize::from(step >> 3) % 3];
                if let Some(peer) = pair.peer(to) {
                    let message = vec![low; usize::from(number) % (MESSAGE_MAX + 10)];
                    let _ = pair.hosts[to].send(peer, (step >> 5) & 3, kind, &message);
                }
            }
            4 => pair.pass(to, None),
            5 => pair.pass(to, Some(number)),
            6 => pair.now += Duration::from_millis(u64::from(number) * if step & 8 == 0 { 1 } else { 1 << 20 }),
            _ => {
                let Some(peer) = pair.peer(to) else { continue };
                match (step >> 3) % 4 {
                    0 => pair.hosts[to].ping(peer),
                    1 => pair.hosts[to].set_bandwidth(u32::from(number), u32::from(number) << 8),
                    2 => pair.hosts[to].disconnect_later(peer, u32::from(number)),
                    _ => pair.hosts[to].set_throttle(peer, u32::from(low), u32::from(high), u32::from(number)),
                }
            }
        }
        for host in &mut pair.hosts {
            let peers: Vec<PeerId> = host.peers().collect();
            for peer in peers {
                let stats = host.stats(peer).expect("it is a peer");
                // One message beyond each of the two limits, with what it is counted beside its bytes.
                assert!(stats.waiting_bytes <= 2 * WAITING_MAX + 2 * MESSAGE_MAX + 4096, "{stats:?}");
                assert!(stats.queued_bytes <= 200_000, "{stats:?}");
            }
            if step & 0x40 != 0 {
                while let Some(event) = host.poll_event() {
                    if let Event::Message { bytes, .. } = event {
                        assert!(bytes.len() <= MESSAGE_MAX);
                    }
                }
            }
        }
    }
});
