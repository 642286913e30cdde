//! How a connection begins, while strangers try what they can.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use windlass_proto::Time;
use windlass_proto::enet::{Config, Event, Host, Kind};
use windlass_proto::testing::Rng;

use crate::net::{MS, Net, Node, Ours, Pair};
use crate::raw::{acknowledge, connect, datagram, flush, join, proof, verify};

fn stranger(number: u32) -> SocketAddr {
    (Ipv4Addr::from(0x0b00_0000 + number), 1000).into()
}

fn start() -> Time {
    Time::ZERO + MS * 5000
}

#[test]
fn a_connect_is_answered_once_with_less_than_it_took() {
    let mut host = Host::new(Config::default(), [1; 16]);
    let asked = connect(77, 5, 4);
    host.receive(start(), stranger(0), &asked);
    let answers = flush(&mut host, start());
    assert_eq!(answers.len(), 1);
    let answer = verify(&answers[0].1).unwrap();
    assert!(answer.len < asked.len());
    assert_eq!((answers[0].0, answer.to_id, answer.connect_id), (stranger(0), 5, 77));
    // Nothing is sent again, whatever time passes.
    for seconds in 1..60 {
        assert_eq!(flush(&mut host, start() + MS * 1000 * seconds), []);
    }
    assert_eq!(host.next_deadline(), None);
    assert_eq!((host.connected(), host.poll_event()), (0, None));
    // What is sent again is answered again, with the same answer.
    host.receive(start() + MS, stranger(0), &asked);
    host.receive(start() + MS, stranger(0), &asked);
    let again = flush(&mut host, start() + MS);
    assert_eq!(again.len(), 1, "one that still waits to be sent is not sent twice");
    assert_eq!(again[0].1, answers[0].1);
}

#[test]
fn only_the_answers_receiver_becomes_a_peer() {
    let mut host = Host::new(Config::default(), [2; 16]);
    let from = stranger(1);
    host.receive(start(), from, &connect(1, 5, 4));
    let answer = verify(&flush(&mut host, start())[0].1).unwrap();

    let wrong_time = datagram(answer.peer, answer.session, 9, &acknowledge(0xff, 1, answer.sent_time ^ 1));
    let wrong_session = datagram(answer.peer, answer.session ^ 1, 9, &acknowledge(0xff, 1, answer.sent_time));
    let wrong_peer = datagram(answer.peer ^ 1, answer.session, 9, &acknowledge(0xff, 1, answer.sent_time));
    let wrong_sequence = datagram(answer.peer, answer.session, 9, &acknowledge(0xff, 2, answer.sent_time));
    let wrong_channel = datagram(answer.peer, answer.session, 9, &acknowledge(0, 1, answer.sent_time));
    for forged in [&wrong_time, &wrong_session, &wrong_peer, &wrong_sequence, &wrong_channel] {
        host.receive(start(), from, forged);
    }
    // Right, but from elsewhere.
    host.receive(start(), stranger(2), &proof(&answer));
    assert_eq!((host.connected(), host.poll_event()), (0, None));
    assert_eq!(flush(&mut host, start()), []);

    host.receive(start(), from, &proof(&answer));
    let Some(Event::Connected { addr, channels: 4, .. }) = host.poll_event() else { panic!() };
    assert_eq!((addr, host.connected()), (from, 1));
    // Once.
    host.receive(start(), from, &proof(&answer));
    host.receive(start(), from, &connect(1, 5, 4));
    assert_eq!((host.connected(), host.poll_event()), (1, None));
    assert_eq!(flush(&mut host, start()), []);
}

#[test]
fn a_proof_that_comes_twice_is_no_measure_of_the_round_trip() {
    // The time in it is none. Whatever it is, the next command that is lost is sent again soon.
    for number in 0..20 {
        let mut host = Host::new(Config::default(), [number; 16]);
        let verify = join(&mut host, start(), stranger(1), 1);
        let peer = host.peers().next().unwrap();
        let before = host.stats(peer).unwrap();
        for _ in 0..10 {
            host.receive(start() + MS * 20, stranger(1), &proof(&verify));
        }
        assert_eq!(host.stats(peer), Some(before));
    }
}

#[test]
fn guesses_are_counted() {
    let mut host = Host::new(Config::default(), [3; 16]);
    let from = stranger(1);
    host.receive(start(), from, &connect(1, 5, 4));
    let answer = verify(&flush(&mut host, start())[0].1).unwrap();
    for guess in 1..=8 {
        let time = answer.sent_time.wrapping_add(guess);
        let forged = datagram(answer.peer, answer.session, 9, &acknowledge(0xff, 1, time));
        host.receive(start(), from, &forged);
    }
    assert_eq!(host.counters().unproven, 8);
    host.receive(start(), from, &proof(&answer));
    assert_eq!(host.connected(), 0, "too late");
}

#[test]
fn nothing_is_answered_that_means_nothing() {
    let mut host = Host::new(Config::default(), [4; 16]);
    let mut rng = Rng::new(4);
    for number in 0..20_000 {
        let mut bytes = connect(number, 5, 4);
        let len = rng.below(80) as usize;
        bytes.resize(len, 0);
        // Some are all noise, most of it has some.
        let much = if rng.chance(1, 2) { 3 } else { 60 };
        for _ in 0..1 + rng.below(much) {
            let at = rng.below(len.max(1) as u64) as usize;
            if at < len && !(at < 8 && rng.chance(3, 4)) {
                bytes[at] = rng.next_u64() as u8;
            }
        }
        let from = stranger(number);
        host.receive(start(), from, &bytes);
        for (to, answer) in flush(&mut host, start()) {
            assert!(to == from && answer.len() <= len, "{bytes:?}");
        }
    }
    assert!(host.counters().answers > 100, "{:?}", host.counters());
    assert_eq!(host.connected(), 0);
}

#[test]
fn compressed_connects_are_not_amplified_either() {
    // They may be shorter than the answer: then it takes a second one.
    for checksum in [false, true] {
        let config = Config { compression: true, checksum, ..Config::default() };
        let mut server = Host::new(config.clone(), [5; 16]);
        let mut joined = 0;
        for number in 0..50_u32 {
            let mut seed = [6; 16];
            seed[..4].copy_from_slice(&number.to_le_bytes());
            let mut client = Host::new(config.clone(), seed);
            let from = stranger(number);
            client.connect(start(), "10.0.0.1:1".parse().unwrap(), 1, 0).unwrap();
            let (mut asked, mut answered) = (0, 0);
            for ms in 0..5000 {
                let now = start() + MS * ms;
                for (_, bytes) in flush(&mut client, now) {
                    asked += bytes.len();
                    server.receive(now, from, &bytes);
                }
                let before = server.connected();
                for (_, bytes) in flush(&mut server, now) {
                    answered += bytes.len();
                    client.receive(now, "10.0.0.1:1".parse().unwrap(), &bytes);
                }
                if server.connected() == joined {
                    assert!(answered <= asked, "{answered} for {asked}");
                }
                if before > joined {
                    break;
                }
            }
            joined += 1;
            assert_eq!(server.connected(), joined, "{:?}", server.counters());
        }
    }
}

#[test]
fn a_proof_that_is_lost_comes_again() {
    // The first datagram behind CONNECT is the proof, and with it the client believes that it is connected.
    for speaks in [false, true] {
        let mut pair_net = Net::new(40);
        let (mut server, mut client) = (Ours::server(Config::default()), Ours::client(Config::default()));
        let peer = client.host.connect(pair_net.now, server.addr(), 1, 0).unwrap();
        while client.connected().is_empty() {
            pair_net.step(&mut [&mut server, &mut client]);
            // Nothing that the client says from here on.
            pair_net.lost = if client.connected().is_empty() { 0 } else { 1000 };
        }
        pair_net.step(&mut [&mut server, &mut client]);
        pair_net.lost = 0;
        if speaks {
            client.host.send(peer, 0, Kind::Reliable, b"hello").unwrap();
        }
        pair_net.run(4000, &mut [&mut server, &mut client]);
        assert_eq!(server.host.connected(), 1, "{:?}", server.host.counters());
        assert_eq!(server.messages(0).len(), usize::from(speaks));
    }
}

#[test]
fn one_address_is_answered_as_often_as_it_may_ask() {
    let config = Config { connects_per_second: 10, connect_burst: 20, ..Config::default() };
    let mut host = Host::new(config, [7; 16]);
    let mut answers = 0;
    for number in 0..10_000_u32 {
        // Ten seconds, from all ports.
        let from = (Ipv4Addr::new(10, 1, 1, 1), 1 + number as u16).into();
        let now = start() + MS * number;
        host.receive(now, from, &connect(number, 1, 1));
        answers += flush(&mut host, now).len();
    }
    assert!((110..=120).contains(&answers), "{answers}");
    assert_eq!(host.counters().refused_rate, 10_000 - answers as u64);
    // Others are not held up.
    host.receive(start() + MS * 10_000, stranger(0), &connect(1, 1, 1));
    assert_eq!(flush(&mut host, start() + MS * 10_000).len(), 1);
}

#[test]
fn a_client_answers_no_connect() {
    let mut host = Host::new(Config { accept: false, ..Config::default() }, [8; 16]);
    host.receive(start(), stranger(0), &connect(1, 1, 1));
    assert_eq!(flush(&mut host, start()), []);
    assert_eq!(host.counters().refused_connect, 1);
}

#[test]
fn impossible_connects_are_refused() {
    let mut host = Host::new(Config::default(), [9; 16]);
    for (number, asked) in
        [connect(1, 1, 0), connect(1, 1, 256), connect(1, 1, u32::MAX), connect(1, 0xfff, 1)]
            .iter()
            .enumerate()
    {
        host.receive(start(), stranger(number as u32), asked);
    }
    assert_eq!(flush(&mut host, start()), []);
    assert_eq!(host.counters().refused_connect, 4);
}

#[test]
fn a_flood_pushes_out_few_of_those_who_join() {
    let mut net = Net { delay: (15, 15), ..Net::new(41) };
    let mut server = Ours::server(Config::default());
    let mut rng = Rng::new(41);
    let mut joined = 0;
    let (mut asked, mut answered) = (HashMap::new(), HashMap::new());
    for round in 0..60 {
        let mut client = Ours::new(&format!("10.0.0.2:{}", 2000 + round), Config::default());
        client.host.connect(net.now, server.addr(), 1, 0).unwrap();
        for _ in 0..100 {
            // 50,000 per second, each from another address.
            for _ in 0..50 {
                let from = stranger(rng.below(1 << 24) as u32);
                let bytes = connect(rng.next_u64() as u32, 1, 1);
                *asked.entry(from).or_insert(0) += bytes.len();
                server.receive(net.now, from, &bytes);
            }
            for (to, bytes) in flush(&mut server.host, net.now) {
                if to == client.addr() {
                    // What the network would have been given.
                    client.receive(net.now, server.addr(), &bytes);
                } else if asked.contains_key(&to) {
                    *answered.entry(to).or_insert(0) += bytes.len();
                }
            }
            net.step(&mut [&mut server, &mut client]);
        }
        joined = server.host.counters().connected;
    }
    // 800 strangers come between its CONNECT and its proof, each of whom pushes out one of 8,192: nine in ten stay.
    assert!(joined >= 48, "{joined} of 60");
    assert!(answered.iter().all(|(to, bytes)| *bytes <= asked[to]));
    assert!(answered.len() > 50_000);
    assert!(server.host.half_open_bytes() < 1 << 20);
}

#[test]
fn sessions_of_a_reconnecting_peer_differ() {
    // What ENet's peers send in their second CONNECT: the sessions they had.
    let mut host = Host::new(Config::default(), [10; 16]);
    let mut asked = connect(1, 1, 1);
    for session in 0..4_u8 {
        (asked[10], asked[11]) = (session, session);
        host.receive(start(), stranger(u32::from(session)), &asked);
        let answer = flush(&mut host, start()).remove(0).1;
        assert_eq!((answer[10], answer[11]), ((session + 1) & 3, (session + 1) & 3));
    }
}

#[test]
fn a_peer_that_comes_back_is_another() {
    let mut pair = Pair::new(Net::new(42), Config::default());
    let server = pair.server.addr();
    pair.client.host.reset(pair.at_client);
    let again = pair.client.host.connect(pair.net.now, server, 2, 1).unwrap();
    assert_ne!(again, pair.at_client);
    pair.run(200);
    assert_eq!(pair.client.connected(), [again]);
    assert_eq!(pair.server.host.connected(), 2, "the old one is not known to be gone yet");
    pair.client.host.send(again, 0, Kind::Reliable, b"new").unwrap();
    pair.run(40_000);
    assert_eq!(pair.server.messages(0).len(), 1);
    assert_eq!(pair.server.host.connected(), 1);
}

#[test]
fn joining_by_hand_works() {
    let mut host = Host::new(Config::default(), [11; 16]);
    let verify = join(&mut host, start(), stranger(3), 2);
    assert!(verify.peer < 0xfff && verify.session < 4);
}
