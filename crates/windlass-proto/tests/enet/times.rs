//! What time does: pings, giving up, numbers and clocks that wrap.

use std::time::Duration;

use windlass_proto::Time;
use windlass_proto::enet::{Config, Ended, Event, Kind};

use crate::net::{Net, Node, Ours, Pair};

#[test]
fn sequence_numbers_wrap() {
    let mut pair = Pair::new(Net { delay: (1, 4), ..Net::lossy(20) }, Config::default());
    // Through all sixteen bits, and the window behind them.
    let (mut sent, mut seen) = (0_u32, 0_u32);
    while seen < 75_000 {
        while sent < 75_000
            && pair.client.host.send(pair.at_client, 0, Kind::Reliable, &sent.to_be_bytes()).is_ok()
        {
            sent += 1;
        }
        pair.run(5);
        assert_eq!(
            pair.client.ended(),
            [],
            "{seen} {:?} {:?}",
            pair.client.host.counters(),
            pair.server.host.counters()
        );
        for event in std::mem::take(&mut pair.server.events) {
            let Event::Message { bytes, .. } = event else { panic!("{event:?}") };
            assert_eq!(bytes, seen.to_be_bytes());
            seen += 1;
        }
    }
}

#[test]
fn unreliable_and_unsequenced_numbers_run_out_and_begin_again() {
    let mut pair = Pair::new(Net { delay: (1, 1), ..Net::new(21) }, Config::default());
    for number in 0..70_000_u32 {
        pair.client.host.send(pair.at_client, 0, Kind::Unreliable, &number.to_be_bytes()).unwrap();
        pair.client.host.send(pair.at_client, 1, Kind::Unsequenced, &number.to_be_bytes()).unwrap();
        if number % 16 == 0 {
            pair.run(1);
        }
    }
    pair.run(100);
    for channel in [0, 1] {
        let messages = pair.server.messages(channel);
        assert!(
            messages.iter().map(|one| one.1.to_vec()).eq((0..70_000_u32).map(|n| n.to_be_bytes().to_vec()))
        );
    }
    let reliable = pair.server.messages(0).iter().filter(|message| message.0 == Kind::Reliable).count();
    assert_eq!(reliable, 1, "the one that begins the numbers anew");
}

#[test]
fn clocks_wrap() {
    // Sixteen bits of milliseconds are on the wire; ENet's clock has thirty-two.
    for start in [(1 << 16) - 700, (1 << 32) - 700, (1 << 32) + (1 << 16) - 700_u64] {
        let mut net = Net::lossy(22);
        net.now = Time::ZERO + Duration::from_millis(start);
        let mut pair = Pair::new(net, Config::default());
        for number in 0..100_u32 {
            pair.client.host.send(pair.at_client, 0, Kind::Reliable, &number.to_be_bytes()).unwrap();
            pair.run(50);
        }
        pair.run(3000);
        assert_eq!(pair.server.messages(0).len(), 100);
        let rtt = pair.client.host.stats(pair.at_client).unwrap().rtt_ms;
        assert!((10..200).contains(&rtt), "{rtt}");
    }
}

#[test]
fn the_round_trip_is_measured() {
    let mut pair = Pair::new(Net { delay: (25, 25), ..Net::new(23) }, Config::default());
    // By the handshake at the server, by pings at the client.
    let rtt = pair.server.host.stats(pair.at_server).unwrap().rtt_ms;
    assert!((50..=52).contains(&rtt), "{rtt}");
    pair.run(2000);
    let rtt = pair.client.host.stats(pair.at_client).unwrap().rtt_ms;
    assert!((50..=52).contains(&rtt), "{rtt}");
}

#[test]
fn who_is_idle_is_pinged_twice_a_second_and_stays() {
    let mut pair = Pair::new(Net::new(24), Config::default());
    pair.net.sent.clear();
    pair.run(60_000);
    assert_eq!((pair.server.ended(), pair.client.ended()), (vec![], vec![]));
    for (addr, (datagrams, bytes)) in &pair.net.sent {
        // A ping each 500 ms and a round trip, and as many acknowledgements; some of them in one datagram.
        assert!((110..=245).contains(datagrams), "{addr}: {datagrams}");
        assert!(bytes / datagrams <= 16, "{addr}: {bytes}");
    }
}

#[test]
fn who_falls_silent_is_given_up() {
    let config = Config::default();
    let mut pair = Pair::new(Net::new(25), config);
    pair.run(2000);
    pair.net.lost = 1000;
    let after = pair.until(60_000, |pair| !pair.server.ended().is_empty() && !pair.client.ended().is_empty());
    assert_eq!((pair.server.ended(), pair.client.ended()), (vec![Ended::TimedOut], vec![Ended::TimedOut]));
    assert!((5000..31_000).contains(&after), "{after}");

    // Sooner, if told so.
    let mut pair = Pair::new(Net::new(26), Config::default());
    pair.server.host.set_timeouts(pair.at_server, 4, 500, 1000);
    pair.run(2000);
    pair.net.lost = 1000;
    let after = pair.until(5_000, |pair| !pair.server.ended().is_empty());
    assert!((500..2000).contains(&after), "{after}");
    assert_eq!(pair.client.ended(), []);
}

#[test]
fn nobody_there_is_found_out() {
    let mut net = Net::new(27);
    let mut client = Ours::client(Config::default());
    client.host.connect(net.now, "10.0.0.9:1".parse().unwrap(), 1, 0).unwrap();
    net.run(40_000, &mut [&mut client]);
    assert_eq!(client.ended(), [Ended::TimedOut]);
    let (datagrams, _) = net.sent[&client.addr()];
    assert!((5..=7).contains(&datagrams), "{datagrams}");
    assert_eq!(client.host.next_deadline(), None, "nothing is left to do");
}

#[test]
fn one_datagram_per_peer_and_flush() {
    let mut pair = Pair::new(Net::new(28), Config::default());
    pair.run(700);
    // One of each side of everything: the peer's message is to be acknowledged too.
    pair.client.host.send(pair.at_client, 3, Kind::Reliable, b"one").unwrap();
    pair.until(100, |pair| !pair.server.messages(3).is_empty());
    pair.net.sent.clear();
    for channel in 0..4 {
        for kind in [Kind::Reliable, Kind::Unreliable, Kind::Unsequenced] {
            pair.server.host.send(pair.at_server, channel, kind, b"many").unwrap();
        }
    }
    pair.run(1);
    let sent = pair.net.sent[&pair.server.addr()];
    assert_eq!(sent.0, 1);
    pair.run(30);
    assert_eq!(pair.client.events.len(), 12);
}

#[test]
fn a_peer_without_end_does_not_keep_others_waiting() {
    let mut net = Net::new(29);
    let mut server = Ours::server(Config { output_max: 64 << 20, ..Config::default() });
    let mut clients: Vec<Ours> =
        (0..3).map(|n| Ours::new(&format!("10.0.0.2:{}", 7001 + n), Config::default())).collect();
    for client in &mut clients {
        client.host.connect(net.now, server.addr(), 1, 0).unwrap();
    }
    {
        let mut nodes: Vec<&mut dyn Node> = vec![&mut server];
        nodes.extend(clients.iter_mut().map(|client| client as &mut dyn Node));
        net.run(100, &mut nodes);
    }
    let peers = server.connected();
    assert_eq!(peers.len(), 3);
    for _ in 0..100 {
        server.host.send(peers[0], 0, Kind::Unreliable, &[0; 1000]).unwrap();
    }
    server.host.send(peers[1], 0, Kind::Unreliable, b"one").unwrap();
    server.host.send(peers[2], 0, Kind::Unreliable, b"one").unwrap();
    let mut turns = Vec::new();
    let mut buf = [0; 4096];
    while let Some((to, _)) = server.host.poll_transmit(net.now, &mut buf) {
        turns.push(to);
    }
    let of = |client: &Ours| turns.iter().position(|&to| to == client.addr()).unwrap();
    assert!(of(&clients[1]) <= 2 && of(&clients[2]) <= 2, "{:?}", &turns[..5]);
}
