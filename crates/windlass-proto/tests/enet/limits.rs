//! Limits, and what happens at each.

use windlass_proto::enet::{Config, ConnectError, Event, Kind, SendError};

use crate::net::{Net, Node, Ours, Pair, noise};

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut pair = Pair::new(Net::new(30), Config::default());
    let (peer, config) = (pair.at_client, Config::default());
    let host = &mut pair.client.host;
    let long = vec![0; config.message_max + 1];
    assert_eq!(host.send(peer, 4, Kind::Reliable, b""), Err(SendError::Channel));
    assert_eq!(host.send(peer, 0, Kind::Reliable, &long), Err(SendError::TooLong));
    assert_eq!(host.send(peer, 0, Kind::Unsequenced, &[0; 1365]), Err(SendError::TooLong));
    assert_eq!(host.send(peer, 0, Kind::Unsequenced, &[0; 1364]), Ok(()));
    assert_eq!(host.send(peer, 0, Kind::Reliable, &long[1..]), Ok(()));
    let mut queued = 1;
    while host.send(peer, 0, Kind::Reliable, &long[1..]).is_ok() {
        queued += 1;
    }
    assert_eq!(queued, 3, "of 256 KiB each, with 64 bytes per fragment, in 1 MiB");
    assert_eq!(host.send(peer, 0, Kind::Reliable, &long[1..]), Err(SendError::Full));
    assert!(host.stats(peer).unwrap().queued_bytes <= config.output_max);
    pair.until(60_000, |pair| pair.server.messages(0).len() == 4);
    assert_eq!(pair.client.host.send(peer, 0, Kind::Reliable, &long[1..]), Ok(()), "there is room again");
    pair.client.host.reset(peer);
    assert_eq!(pair.client.host.send(peer, 0, Kind::Reliable, b""), Err(SendError::NotConnected));
}

#[test]
fn an_empty_message_is_one() {
    let mut pair = Pair::new(Net::new(31), Config::default());
    for kind in [Kind::Reliable, Kind::Unreliable, Kind::Unsequenced] {
        pair.client.host.send(pair.at_client, 0, kind, b"").unwrap();
    }
    pair.run(50);
    let kinds: Vec<_> = pair.server.messages(0).iter().map(|message| message.0).collect();
    assert_eq!(kinds.len(), 3);
}

#[test]
fn mtu_and_channels_are_agreed_on() {
    let server = Ours::server(Config { mtu: 1200, channels_max: 3, ..Config::default() });
    let mut client = Ours::client(Config { mtu: 600, ..Config::default() });
    let mut server = server;
    let mut net = Net::new(32);
    let at_client = client.host.connect(net.now, server.addr(), 8, 0).unwrap();
    net.run(100, &mut [&mut server, &mut client]);
    let at_server = server.connected()[0];
    for stats in [client.host.stats(at_client).unwrap(), server.host.stats(at_server).unwrap()] {
        assert_eq!((stats.mtu, stats.channels), (600, 3));
    }
    server.host.send(at_server, 2, Kind::Reliable, &noise(1, 5000)).unwrap();
    let mut buf = [0; 4096];
    let mut longest = 0;
    while let Some((_, len)) = server.host.poll_transmit(net.now, &mut buf) {
        longest = longest.max(len);
        client.host.receive(net.now, server.addr(), &buf[..len]);
    }
    assert_eq!(longest, 600);
    let Some(Event::Message { bytes, .. }) = client.host.poll_event() else { panic!() };
    assert_eq!(bytes, noise(1, 5000));
}

#[test]
fn who_does_not_take_messages_is_not_sent_more_than_waits() {
    let config = Config { waiting_max: 20_000, message_max: 10_000, ..Config::default() };
    let mut pair = Pair::new(Net::new(33), config);
    // Delivered to the host, but never taken from it.
    let mut buf = [0; 4096];
    let mut step = |pair: &mut Pair| {
        let now = pair.net.now;
        while let Some((_, len)) = pair.client.host.poll_transmit(now, &mut buf) {
            pair.server.host.receive(now, pair.client.addr(), &buf[..len]);
        }
        while let Some((_, len)) = pair.server.host.poll_transmit(now, &mut buf) {
            pair.client.host.receive(now, pair.server.addr(), &buf[..len]);
        }
        pair.net.now += crate::net::MS * 20;
    };
    for number in 0..60_u8 {
        pair.client.host.send(pair.at_client, 0, Kind::Reliable, &[number; 1000]).unwrap();
        pair.client.host.send(pair.at_client, 1, Kind::Unreliable, &[number; 1000]).unwrap();
        step(&mut pair);
    }
    let waiting = pair.server.host.stats(pair.at_server).unwrap().waiting_bytes;
    assert!((20_000..22_200).contains(&waiting), "{waiting}");
    assert!(pair.server.host.counters().dropped_full > 0);
    // What is taken makes room, and the reliable ones come again.
    let mut reliable = Vec::new();
    for _ in 0..2000 {
        while let Some(event) = pair.server.host.poll_event() {
            if let Event::Message { channel: 0, bytes, .. } = event {
                reliable.push(bytes[0]);
            }
        }
        step(&mut pair);
    }
    assert!(reliable.iter().copied().eq(0..60), "{reliable:?}");
    assert_eq!(pair.server.host.stats(pair.at_server).unwrap().waiting_bytes, 0);
}

#[test]
fn small_rooms_still_take_the_longest_messages_through_loss() {
    // Four channels with messages of the longest kind, and room for two.
    let config = Config { waiting_max: 80_000, message_max: 40_000, ..Config::default() };
    let mut pair = Pair::new(Net::lossy(34), config);
    for number in 0..12_u64 {
        let message = noise(number, 40_000);
        pair.client.host.send(pair.at_client, number as u8 % 4, Kind::Reliable, &message).unwrap();
    }
    pair.until(300_000, |pair| pair.server.events.len() == 12);
    for channel in 0..4 {
        let expected: Vec<_> = (0..3).map(|n| noise(n * 4 + channel, 40_000)).collect();
        assert!(pair.server.messages(channel as u8).iter().map(|one| one.1).eq(&expected));
    }
}

#[test]
fn a_slow_line_gets_what_it_takes() {
    // 20 kB/s are allowed to the client; unreliable messages of 200 kB/s are thinned out, reliable ones arrive.
    let server = Ours::server(Config::default());
    let client = Ours::client(Config { incoming_bandwidth: 20_000, ..Config::default() });
    let mut pair = Pair::of(Net::new(35), server, client);
    for number in 0..10_000_u32 {
        pair.server.host.send(pair.at_server, 0, Kind::Unreliable, &[0; 200]).unwrap();
        if number % 100 == 0 {
            pair.server.host.send(pair.at_server, 1, Kind::Reliable, &number.to_be_bytes()).unwrap();
        }
        pair.run(1);
    }
    pair.run(2000);
    let bytes: usize = pair.client.messages(0).iter().map(|message| message.1.len()).sum();
    assert!((100_000..600_000).contains(&bytes), "{bytes} of 2,000,000 in ten seconds");
    assert_eq!(pair.client.messages(1).len(), 100);
    assert!(pair.server.host.counters().throttled > 1000);
}

#[test]
fn limits_that_change_are_told() {
    let mut pair = Pair::new(Net::new(36), Config::default());
    pair.run(3000);
    pair.net.sent.clear();
    pair.server.host.set_bandwidth(50_000, 0);
    pair.run(2000);
    for _ in 0..5000 {
        pair.client.host.send(pair.at_client, 0, Kind::Unreliable, &[0; 200]).unwrap();
        pair.run(1);
    }
    let bytes: usize = pair.server.messages(0).iter().map(|message| message.1.len()).sum();
    assert!((150_000..500_000).contains(&bytes), "{bytes} of 1,000,000 in five seconds");
}

#[test]
fn there_are_as_many_peers_as_there_may_be() {
    let mut net = Net::new(37);
    let config = Config { peers_max: 2, ..Config::default() };
    let mut server = Ours::server(config.clone());
    let mut client = Ours::client(Config { peers_max: 3, ..config });
    for _ in 0..3 {
        client.host.connect(net.now, server.addr(), 1, 0).unwrap();
    }
    assert_eq!(client.host.connect(net.now, server.addr(), 1, 0), Err(ConnectError::Full));
    net.run(1000, &mut [&mut server, &mut client]);
    assert_eq!(server.host.connected(), 2);
    // The third heard that there is no room, or hears nothing and gives up.
    assert!(client.host.connected() <= 3);
    net.run(40_000, &mut [&mut server, &mut client]);
    assert_eq!((server.host.connected(), client.host.connected()), (2, 2));
    assert!(server.host.counters().refused_full > 0);
}

#[test]
fn there_are_as_many_of_an_address_as_there_may_be() {
    let mut net = Net::new(38);
    let mut server = Ours::server(Config { peers_per_address_max: 2, ..Config::default() });
    let mut here = Ours::new("10.0.0.2:1", Config::default());
    let mut there = Ours::new("10.0.0.3:1", Config::default());
    for _ in 0..3 {
        here.host.connect(net.now, server.addr(), 1, 0).unwrap();
        net.run(100, &mut [&mut server, &mut here, &mut there]);
    }
    there.host.connect(net.now, server.addr(), 1, 0).unwrap();
    net.run(1000, &mut [&mut server, &mut here, &mut there]);
    assert_eq!((here.host.connected(), there.host.connected()), (2, 1));
    // Who leaves makes room.
    let peer = here.connected()[0];
    here.host.disconnect_now(peer, 3);
    net.run(20_000, &mut [&mut server, &mut here, &mut there]);
    assert_eq!(server.ended(), [windlass_proto::enet::Ended::Remote(3)]);
    assert_eq!(here.host.connected(), 2, "the third's CONNECT was sent again meanwhile");
}

#[test]
fn there_may_be_more_peers_than_ids() {
    let mut net = Net { delay: (1, 1), ..Net::new(39) };
    let config = Config { peers_max: 5000, connects_per_second: 0, ..Config::default() };
    let mut server = Ours::server(config.clone());
    let mut one = Ours::new("10.0.0.2:1", config.clone());
    let mut other = Ours::new("10.0.0.3:1", config);
    for _ in 0..2500 {
        one.host.connect(net.now, server.addr(), 1, 0).unwrap();
        other.host.connect(net.now, server.addr(), 1, 0).unwrap();
        net.run(1, &mut [&mut server, &mut one, &mut other]);
    }
    net.run(3000, &mut [&mut server, &mut one, &mut other]);
    assert_eq!(server.host.connected(), 5000, "{:?}", server.host.counters());
}

#[test]
fn what_may_be_sent_and_who_may_come_is_set_later_too() {
    let mut pair = Pair::new(Net::new(35), Config { message_max: 1_000, ..Config::default() });
    let (peer, host) = (pair.at_client, &mut pair.client.host);
    assert_eq!(host.send(peer, 0, Kind::Reliable, &[0; 1_001]), Err(SendError::TooLong));
    host.set_outgoing_max(2_000, 2_500);
    assert_eq!(host.send(peer, 0, Kind::Reliable, &[0; 2_001]), Err(SendError::TooLong));
    assert_eq!(host.send(peer, 0, Kind::Unreliable, &[0; 2_000]), Ok(()));
    assert_eq!(host.send(peer, 0, Kind::Unreliable, &[0; 1_000]), Err(SendError::Full));
    // What may come is as it was: the longer one is not put together.
    pair.run(100);
    assert_eq!(pair.server.messages(0).len(), 0);
    pair.server.host.set_accept(false);
    let refused = pair.server.host.counters().refused_connect;
    pair.client.host.connect(pair.net.now, pair.server.addr(), 1, 0).unwrap();
    pair.run(100);
    assert!(pair.server.host.counters().refused_connect > refused);
    assert_eq!((pair.server.host.live(), pair.client.host.connected()), (1, 1));
}

#[test]
fn whose_datagram_it_was_is_known_to_the_last() {
    let mut buf = [0; 4096];
    for now in [false, true] {
        let mut pair = Pair::new(Net::new(36), Config::default());
        let (at, peer) = (pair.net.now, pair.at_server);
        let host = &mut pair.server.host;
        while host.poll_transmit(at, &mut buf).is_some() {}
        if now {
            host.disconnect_now(peer, 9);
        } else {
            host.disconnect(peer, 9);
        }
        // Also of one who is no peer any more, and only told so.
        assert!(host.poll_transmit(at, &mut buf).is_some());
        assert_eq!((host.addressee(), host.live()), (Some(peer), usize::from(!now)));
        // An answer is nobody's yet.
        let mut other = Ours::new("10.0.0.3:7000", Config { accept: false, ..Config::default() });
        other.host.connect(at, pair.server.addr(), 1, 0).unwrap();
        let (_, len) = other.host.poll_transmit(at, &mut buf).unwrap();
        let asked = buf[..len].to_vec();
        let host = &mut pair.server.host;
        host.receive(at, other.addr(), &asked);
        let (to, _) = host.poll_transmit(at, &mut buf).unwrap();
        assert_eq!((to, host.addressee()), (other.addr(), None));
    }
}
