//! What ENet's peers and strangers cost. In a process of its own and without a test harness, whose thread would
//! allocate meanwhile: all that is allocated is counted.

use std::alloc::System;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use windlass_proto::Time;
use windlass_proto::enet::{Config, DATAGRAM_MAX, Event, Host, Kind};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MS: Duration = Duration::from_millis(1);

fn main() {
    idle_peers();
    a_message_with_every_tick();
    a_million_strangers();
}

fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}

/// Everything that `from` wants to send, to `to`.
fn pass(now: Time, from: &mut Host, from_addr: impl Fn(SocketAddr) -> SocketAddr, to: &mut Host) {
    let mut buf = [0; DATAGRAM_MAX];
    while let Some((addr, len)) = from.poll_transmit(now, &mut buf) {
        to.receive(now, from_addr(addr), &buf[..len]);
    }
}

/// Peers that have joined, spoken on three channels in every way, and fallen silent: a small part of the 4 KiB that a player may cost.
fn idle_peers() {
    const PEERS: usize = 2000;
    let config = Config { connects_per_second: 0, ..Config::default() };
    let here: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let there: SocketAddr = "10.0.0.2:2".parse().unwrap();
    let mut client = Host::new(Config { accept: false, ..config.clone() }, [1; 16]);
    let mut server = Host::new(config, [2; 16]);
    let mut now = Time::ZERO + MS * 1000;
    for _ in 0..PEERS {
        client.connect(now, here, 3, 0).unwrap();
    }
    let mut exchange = |client: &mut Host, server: &mut Host, rounds: u32| {
        for _ in 0..rounds {
            now += MS * 20;
            pass(now, client, |_| there, server);
            while server.poll_event().is_some() {}
            pass(now, server, |_| here, client);
            while client.poll_event().is_some() {}
        }
    };
    let region = Region::new(ALLOCATOR);
    let clients_before = held(&region);
    exchange(&mut client, &mut server, 200);
    assert_eq!(server.connected(), PEERS, "{:?}", server.counters());
    let clients_took = held(&region) - clients_before;

    let (clients, servers) = (client.peers().collect::<Vec<_>>(), server.peers().collect::<Vec<_>>());
    for (&one, &other) in clients.iter().zip(&servers) {
        for (channel, kind) in [(0, Kind::Reliable), (1, Kind::Unreliable), (2, Kind::Unsequenced)] {
            client.send(one, channel, kind, &[1; 100]).unwrap();
            server.send(other, channel, kind, &[2; 100]).unwrap();
        }
        client.send(one, 0, Kind::Reliable, &[3; 10_000]).unwrap();
        server.send(other, 0, Kind::Reliable, &[3; 10_000]).unwrap();
    }
    exchange(&mut client, &mut server, 200);
    // Both ends are in this process: half of it is a peer's. The table of strangers is not a peer's.
    let took = held(&region) - server.half_open_bytes();
    let each = took.max(clients_took) / (2 * PEERS);
    println!("an idle peer takes {each} bytes");
    assert!(each <= 1_200, "{each}");
    assert!(each >= 500, "{each}: something is not counted");
    drop((client, server));
}

/// Two ends that tell each other something that may be lost with every tick allocate nothing for it.
fn a_message_with_every_tick() {
    let here: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let there: SocketAddr = "10.0.0.2:2".parse().unwrap();
    let mut client = Host::new(Config { accept: false, ..Config::default() }, [5; 16]);
    let mut server = Host::new(Config { linger_ms: 40, ..Config::default() }, [6; 16]);
    let mut now = Time::ZERO + MS * 1000;
    let ours = client.connect(now, here, 3, 0).unwrap();
    for _ in 0..3 {
        now += MS;
        pass(now, &mut client, |_| there, &mut server);
        now += MS * 50;
        pass(now, &mut server, |_| here, &mut client);
    }
    let theirs = server.peers().next().unwrap();
    let mut buf = [0; DATAGRAM_MAX];
    let (mut datagrams, mut heard) = (0, 0);
    let mut region = Region::new(ALLOCATOR);
    for tick in 0..2000 {
        if tick == 100 {
            // Tables have the size that they need.
            region = Region::new(ALLOCATOR);
            (datagrams, heard) = (0, 0);
        }
        now += MS * 33;
        let message = Some((1, Kind::Unreliable, &[7; 100][..]));
        if let Some((_, len)) = client.transmit_to(now, ours, message, &mut buf).unwrap() {
            server.receive(now, there, &buf[..len]);
        }
        pass(now, &mut client, |_| there, &mut server);
        if let Some((_, len)) = server.transmit_to(now, theirs, message, &mut buf).unwrap() {
            datagrams += 1;
            client.receive(now, here, &buf[..len]);
        }
        while let Some((_, len)) = server.poll_transmit(now, &mut buf) {
            datagrams += 1;
            client.receive(now, here, &buf[..len]);
        }
        for host in [&mut client, &mut server] {
            while let Some(event) = host.poll_event() {
                if let Event::Message { bytes, .. } = event {
                    heard += 1;
                    host.take_back(bytes);
                }
            }
        }
    }
    let change = region.change();
    println!("{heard} messages in {datagrams} datagrams one way took {} allocations", change.allocations);
    assert_eq!((heard, datagrams), (3800, 1900), "acknowledgements go along");
    assert_eq!(change.allocations, 0);
}

/// Distinct CONNECTs cost at most 1 MiB, draw no more bytes than they are, and nobody who is real is kept out.
fn a_million_strangers() {
    let mut host = Host::new(Config::default(), [3; 16]);
    let mut client = Host::new(Config { accept: false, ..Config::default() }, [4; 16]);
    let here: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let there: SocketAddr = "10.0.0.2:2".parse().unwrap();
    let mut asked = vec![0x8f, 0xff, 0, 1, 0x82, 0xff, 0, 1, 0, 0, 0xff, 0xff];
    for number in [1392, 65_536, 2, 0, 0, 5000, 2, 2, 0, 0_u32] {
        asked.extend(number.to_be_bytes());
    }
    let mut now = Time::ZERO + MS * 1000;
    let mut buf = [0; DATAGRAM_MAX];
    let region = Region::new(ALLOCATOR);
    let (mut bytes_in, mut bytes_out, mut most) = (0, 0, 0);
    let mut joined_at = None;
    for number in 0..1_000_000_u32 {
        asked[44..48].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        let from = (Ipv4Addr::from(0x0b00_0000 + number), 1 + number as u16 % 1000);
        host.receive(now, from.into(), &asked);
        bytes_in += asked.len();
        // 200,000 per second.
        if number % 200 == 199 {
            now += MS;
            while let Some((to, len)) = host.poll_transmit(now, &mut buf) {
                if to == there {
                    client.receive(now, here, &buf[..len]);
                } else {
                    bytes_out += len;
                }
            }
            if number == 499_999 {
                client.connect(now, here, 1, 0).unwrap();
            }
            while let Some((_, len)) = client.poll_transmit(now, &mut buf) {
                host.receive(now, there, &buf[..len]);
            }
            if host.connected() == 1 && joined_at.is_none() {
                joined_at = Some(number);
            }
            most = most.max(held(&region));
        }
    }
    println!("a million strangers took {most} bytes at most; {bytes_out} bytes answered {bytes_in}");
    assert!(most <= 1 << 20, "{most}");
    assert!(bytes_out <= bytes_in && host.counters().answers > 900_000);
    assert!(joined_at.is_some_and(|at| at - 499_999 <= 200_000), "within a second");
}
