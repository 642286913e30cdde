//! Everything that is promised, on a network that loses, doubles, delays and overtakes.

use windlass_proto::enet::{Config, Ended, Event, Kind};

use crate::net::{Net, Pair, noise};

const LONG: usize = 100_000;

fn options() -> impl Iterator<Item = Config> {
    [(false, false), (true, false), (false, true), (true, true)]
        .into_iter()
        .map(|(checksum, compression)| Config { checksum, compression, ..Config::default() })
}

#[test]
fn long_reliable_messages_are_exact_and_in_order_both_ways() {
    for (seed, config) in options().enumerate() {
        let mut pair = Pair::new(Net::lossy(seed as u64), config);
        for number in 0..6 {
            let message = noise(number, LONG + number as usize);
            pair.client.host.send(pair.at_client, number as u8 % 2, Kind::Reliable, &message).unwrap();
            pair.server.host.send(pair.at_server, number as u8 % 2, Kind::Reliable, &message).unwrap();
        }
        let all = |pair: &Pair| {
            let arrived = |events: &[Event]| events.len() == 6;
            arrived(&pair.server.events) && arrived(&pair.client.events)
        };
        pair.until(120_000, all);
        for end in [&pair.server, &pair.client] {
            for channel in 0..2 {
                let expected: Vec<Vec<u8>> =
                    (0..3).map(|n| noise(2 * n + channel, LONG + (2 * n + channel) as usize)).collect();
                let messages = end.messages(channel as u8);
                assert!(messages.iter().map(|message| message.1).eq(&expected), "seed {seed}");
                assert!(messages.iter().all(|message| message.0 == Kind::Reliable));
            }
        }
        assert!(pair.client.host.counters().resent > 0);
        // All is acknowledged, and nothing held.
        pair.until(30_000, |pair| {
            let stats = pair.server.host.stats(pair.at_server).unwrap();
            stats.queued_bytes + stats.waiting_bytes == 0
        });
    }
}

#[test]
fn unreliable_messages_never_go_back_and_mostly_arrive() {
    let mut pair = Pair::new(Net::lossy(11), Config::default());
    for number in 0..2000_u32 {
        let kind = if number % 10 == 9 { Kind::Reliable } else { Kind::Unreliable };
        pair.client.host.send(pair.at_client, 0, kind, &number.to_be_bytes()).unwrap();
        // Now and then one that needs fragments.
        let mut long = noise(u64::from(number), 5000);
        long[..4].copy_from_slice(&number.to_be_bytes());
        if number % 50 == 0 {
            pair.client.host.send(pair.at_client, 1, Kind::Unreliable, &long).unwrap();
        }
        pair.run(15);
    }
    pair.run(10_000);
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
    let messages = pair.server.messages(0);
    assert!(messages.windows(2).all(|pair| number(pair[0].1) < number(pair[1].1)), "in order");
    let reliable: Vec<u32> =
        messages.iter().filter(|one| one.0 == Kind::Reliable).map(|one| number(one.1)).collect();
    assert!(reliable.iter().copied().eq((0..200).map(|n| n * 10 + 9)), "reliable ones all");
    assert!(messages.len() > 1000, "{}", messages.len());

    let long = pair.server.messages(1);
    assert!(long.len() > 15, "{}", long.len());
    for (_, bytes) in long {
        let mut expected = noise(u64::from(number(bytes)), 5000);
        expected[..4].copy_from_slice(&bytes[..4]);
        assert_eq!(bytes, expected);
    }
}

#[test]
fn unsequenced_messages_arrive_once() {
    let mut pair = Pair::new(Net { doubled: 500, ..Net::lossy(12) }, Config::default());
    // More than the window of 1,024 has.
    for number in 0..5000_u32 {
        pair.client.host.send(pair.at_client, 2, Kind::Unsequenced, &number.to_be_bytes()).unwrap();
        pair.run(1);
    }
    pair.run(1000);
    let mut messages = pair.server.messages(2);
    let arrived = messages.len();
    assert!(messages.iter().all(|message| message.0 == Kind::Unsequenced));
    messages.sort_by_key(|message| message.1);
    messages.dedup();
    assert_eq!(messages.len(), arrived, "none twice");
    assert!(arrived > 4500, "{arrived}");
}

#[test]
fn what_is_queued_before_leaving_later_arrives() {
    let mut pair = Pair::new(Net::lossy(13), Config::default());
    let message = noise(1, LONG);
    pair.client.host.send(pair.at_client, 0, Kind::Reliable, &message).unwrap();
    pair.client.host.disconnect_later(pair.at_client, 5);
    assert!(pair.client.host.send(pair.at_client, 0, Kind::Reliable, b"too late").is_err());
    pair.until(60_000, |pair| !pair.client.ended().is_empty() && !pair.server.ended().is_empty());
    assert_eq!(pair.server.messages(0), [(Kind::Reliable, &message[..])]);
    assert_eq!((pair.server.ended(), pair.client.ended()), (vec![Ended::Remote(5)], vec![Ended::Local]));
    assert_eq!((pair.server.host.connected(), pair.client.host.connected()), (0, 0));
    assert_eq!(pair.server.host.stats(pair.at_server), None);
}

#[test]
fn every_seed_connects_and_leaves() {
    for seed in 100..160 {
        let mut pair = Pair::new(Net { lost: 150, ..Net::lossy(seed) }, Config::default());
        pair.server.host.disconnect(pair.at_server, 9);
        pair.until(60_000, |pair| !pair.client.ended().is_empty() && !pair.server.ended().is_empty());
        assert_eq!(pair.client.ended(), [Ended::Remote(9)], "seed {seed}");
        assert_eq!(pair.server.ended(), [Ended::Local]);
    }
}

#[test]
fn the_same_seed_gives_the_same_traffic() {
    let run = || {
        let mut pair = Pair::new(Net::lossy(14), Config::default());
        pair.client.host.send(pair.at_client, 0, Kind::Reliable, &noise(1, LONG)).unwrap();
        pair.run(5000);
        pair.net.sent
    };
    assert_eq!(run(), run());
}
