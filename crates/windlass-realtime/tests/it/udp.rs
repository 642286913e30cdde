//! Players by ENet: how they come in and are kept out, what goes by which channel, and how they come back.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use windlass_proto::enet::{Config, Kind};
use windlass_realtime::wire::Saying;
use windlass_realtime::{Channel, GameConfig, Key, Rate, UdpConfig, sign_token};

use crate::kit::{Player, Server, config, eventually, seat};
use crate::peer::{Peer, place};

const CHAT: &str = r#"{"kind":"chat"}"#;

fn by_udp() -> GameConfig {
    config().udp(Some(UdpConfig::default()))
}

#[test]
fn messages_come_by_the_channel_and_in_the_way_that_is_theirs() {
    let server = Server::start(by_udp(), 2);
    let mut peer = Peer::join(server.at, "create", CHAT);
    let mut other = Peer::take(&seat(server.at, "join", &format!(r#"{{"room":"{}"}}"#, peer.room)).1);
    other.run_until("the welcome", |other| other.seat.is_some());
    assert_eq!((peer.seat, other.seat, &other.room), (Some(0), Some(1), &peer.room));
    let long = vec![b'x'; 3_000];
    peer.say_reliable(b"must");
    peer.run_until("an answer", |peer| peer.messages.len() == 1);
    peer.say(1, Kind::Unreliable, Saying::new().message(Channel::Sequenced, b"newest"));
    peer.run_until("an answer", |peer| peer.messages.len() == 2);
    // However it was sent: the tag says what it is.
    peer.say(0, Kind::Reliable, Saying::new().message(Channel::Unreliable, b"may"));
    peer.run_until("an answer", |peer| peer.messages.len() == 3);
    peer.say(2, Kind::Reliable, Saying::new().message(Channel::Unreliable, &long));
    peer.run_until("an answer", |peer| peer.messages.len() == 4);
    other.run_until("the same", |other| other.messages.len() == 4);
    for heard in [&peer.messages, &other.messages] {
        let ways: Vec<_> = heard.iter().map(|(channel, kind, of, _)| (*channel, *kind, *of)).collect();
        let expected = [
            (0, Kind::Reliable, Channel::Reliable),
            (1, Kind::Unreliable, Channel::Sequenced),
            (2, Kind::Unsequenced, Channel::Unreliable),
            // It fits into no datagram.
            (2, Kind::Unreliable, Channel::Unreliable),
        ];
        assert_eq!(ways, expected);
        assert_eq!(heard[3].3[1..], long);
    }
    peer.say(0, Kind::Reliable, Saying::new().farewell());
    peer.run_until("sent away", |peer| peer.ended.is_some());
    assert_eq!(peer.code(), Some(1000));
    eventually("counted", || {
        let stats = server.watch.stats();
        stats.left == 1 && stats.udp_joined == 2 && stats.udp_seated == 1 && stats.udp_strangers == 0
    });
}

#[test]
fn a_room_has_players_of_both_ways_and_they_see_each_other() {
    let server = Server::start(by_udp(), 2);
    let mut pages: Vec<Player> = (0..3).map(|_| Player::join(server.at, "join-or-create", "{}")).collect();
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::join(server.at, "join-or-create", "{}")).collect();
    let mut watchers = (
        Player::join(server.at, "join-or-create", r#"{"spectate":true}"#),
        Peer::join(server.at, "join-or-create", r#"{"spectate":true}"#),
    );
    let room = pages[0].room.clone();
    assert!(pages.iter().all(|page| page.room == room) && peers.iter().all(|peer| peer.room == room));
    watchers.0.hear_until("all of them", |watcher| watcher.seen.len() == 6);
    watchers.1.run_until("all of them", |watcher| watcher.seen.len() == 6);
    let before = watchers.1.seen.clone();
    // The first of each kind goes left and right, and not as far back.
    for buttons in [[4; 40].as_slice(), &[8; 20]].concat() {
        pages[0].press(buttons);
        peers[0].press(buttons);
        pages.iter_mut().for_each(|page| _ = page.hear());
        peers.iter_mut().for_each(Peer::step);
        watchers.1.step();
    }
    let moved = |seen: &[(u16, i32)], seat: u16| {
        let x = |of: &[(u16, i32)]| of.iter().find(|it| it.0 == seat).map(|it| it.1);
        x(seen).is_some_and(|now| x(&before) != Some(now))
    };
    let (page, peer) = (pages[0].seat, peers[0].seat.unwrap());
    watchers.0.hear_until("both have moved", |it| moved(&it.seen, page) && moved(&it.seen, peer));
    watchers.1.run_until("both have moved", |it| moved(&it.seen, page) && moved(&it.seen, peer));
    eventually("counted", || server.watch.stats().udp_seated == 4);
}

#[test]
fn who_has_no_ticket_gets_nowhere() {
    let limits = UdpConfig::default().ticket_timeout(Duration::from_secs(5));
    let server = Server::start(config().udp(Some(limits)).reservation_timeout(Duration::from_millis(400)), 2);
    let at = server.at;
    let kept = |wish: &str| seat(at, "create", wish).1;
    let refused = |mut peer: Peer, code: u32, what: &str| {
        peer.run_until(what, |peer| peer.ended.is_some());
        assert_eq!((peer.code(), peer.seat), (Some(code), None), "{what}");
        peer
    };
    let one = kept(CHAT);
    let ticket = one["ticket"].as_str().unwrap();
    let mut forged = ticket.to_owned();
    forged.replace_range(20..21, if &ticket[20..21] == "A" { "B" } else { "A" });
    refused(Peer::at(place(&one), &one, 3, Some(&forged)), 4004, "a forged ticket");
    refused(Peer::at(place(&one), &one, 3, Some("")), 4004, "an empty one");
    refused(Peer::at(place(&one), &one, 2, Some(ticket)), 1002, "two channels");
    std::thread::scope(|both| {
        // What is longer than any ticket is not even put together: it is not acknowledged.
        let long = Peer::at(place(&one), &one, 3, Some(&"x".repeat(9_000)));
        both.spawn(move || _ = refused(long, 4004, "a long one"));
        // Whatever else is said before it is heard by nobody.
        let mut silent = Peer::at(place(&one), &one, 3, None);
        silent.run_until("connected", |peer| peer.connected);
        silent.say(1, Kind::Unreliable, Saying::new().message(Channel::Sequenced, b"hello"));
        silent.say(2, Kind::Unsequenced, Saying::new().message(Channel::Unreliable, b"hello"));
        refused(silent, 4004, "no ticket in time");
    });
    // The seat has expired meanwhile.
    let expired = refused(Peer::take(&one), 4003, "an expired ticket");
    assert_eq!(expired.why.as_deref(), Some("the seat was given away"));
    // Rooms are spread over both workers: the port of the other one is no place for this ticket.
    let two: Vec<_> = (0..2).map(|_| kept(CHAT)).collect();
    let (here, there) = (place(&two[0]), place(&two[1]));
    assert_ne!(here, there);
    refused(Peer::at(there, &two[0], 3, two[0]["ticket"].as_str()), 4004, "the port of another room");
    eventually("counted", || {
        let stats = server.watch.stats();
        let refused = (stats.udp_refused_ticket, stats.udp_refused_late, stats.udp_refused_channels);
        refused == (3, 2, 1) && stats.udp_early == 2
    });
    let stats = server.watch.stats();
    assert_eq!((stats.joined, stats.messages_in, stats.udp_seated), (0, 0, 0));
}

#[test]
fn a_seat_is_taken_over_and_a_join_token_is_good_for_one() {
    let key = Key::new(&[8; 32]);
    let server = Server::start(by_udp().token_key(Some(key.clone())).unix_ms(1_000_000), 2);
    let token = sign_token(r#"{"sub":"ann","exp":2000,"jti":"1"}"#, &key);
    let wish = format!(r#"{{"kind":"chat","token":"{token}"}}"#);
    let mut first = Peer::join(server.at, "create", &wish);
    assert_eq!(seat(server.at, "create", &wish).0, 403, "the same token again");
    assert_eq!(seat(server.at, "create", CHAT).0, 403);
    // The ticket leads to the seat again, and whoever had it is told so.
    let mut second = Peer::take(&first.kept);
    second.run_until("the welcome", |peer| peer.seat.is_some());
    first.run_until("sent away", |peer| peer.ended.is_some());
    assert_eq!((first.code(), second.seat), (Some(4006), Some(0)));
    second.say_reliable(b"me");
    second.run_until("an answer", |peer| peer.texts() == ["me"]);
    eventually("counted", || server.watch.stats().udp_seated == 1 && server.watch.stats().returned == 1);
}

#[test]
fn whoever_comes_back_has_their_seat_by_either_way() {
    let limits = UdpConfig::default().silence_timeout(Duration::from_secs(6));
    let server = Server::start(config().udp(Some(limits)), 2);
    let peer = Peer::join(server.at, "create", CHAT);
    let room = peer.room.clone();
    let mut other = Player::join(server.at, "join", &format!(r#"{{"room":"{room}"}}"#));
    // It falls silent: its machine is gone.
    let kept = peer.kept.clone();
    drop(peer);
    eventually("noticed", || server.watch.stats().lost == 1);
    for n in 0..3 {
        other.say(Saying::new().message(Channel::Reliable, format!("while away {n}").as_bytes()));
    }
    other.hear_until("heard", |player| player.texts().len() == 3);
    let mut page = Player::take(server.at, kept["path"].as_str().unwrap());
    assert_eq!((page.seat, &page.room), (0, &room));
    page.hear_until("what was missed", |player| player.texts().len() == 3);
    // And back: this time before anybody has noticed, and without a word of the page's.
    let mut again = Peer::take(&kept);
    again.run_until("the welcome", |peer| peer.seat.is_some());
    assert_eq!((again.seat, &again.room), (Some(0), &room));
    page.hear_until("told", |player| player.closed.is_some());
    assert_eq!(page.closed, Some(4006));
    // From UDP to a page in the same way: the peer is told.
    let mut page = Player::take(server.at, kept["path"].as_str().unwrap());
    again.run_until("sent away", |peer| peer.ended.is_some());
    assert_eq!(again.code(), Some(4006));
    page.say(Saying::new().message(Channel::Reliable, b"it is me"));
    page.hear_until("heard", |player| player.texts() == ["it is me"]);
    eventually("counted", || server.watch.stats().udp_seated == 0);
    assert_eq!(server.watch.stats().joined, 2);
}

#[test]
fn a_disconnect_keeps_the_seat_and_the_end_of_the_room_is_told() {
    let mut server = Server::start(by_udp(), 2);
    let mut peer = Peer::join(server.at, "create", CHAT);
    let id = peer.peer;
    peer.host.disconnect(id, 0);
    peer.run_until("gone", |peer| peer.ended.is_some());
    eventually("noticed", || server.watch.stats().lost == 1);
    let mut peer = Peer::take(&peer.kept);
    peer.run_until("the welcome", |peer| peer.seat == Some(0));
    peer.say_reliable(b"end");
    peer.run_until("the end", |peer| peer.ended.is_some());
    assert_eq!((peer.code(), peer.why.as_deref()), (Some(4002), Some("the room is over")));
    // The end of the server is one of all rooms, and is told and waited for.
    let mut last = Peer::join(server.at, "create", CHAT);
    let ended = std::thread::spawn(move || {
        last.run_until("the end", |peer| peer.ended.is_some());
        (last.code(), last.why.clone())
    });
    server.stop();
    assert_eq!(ended.join().unwrap(), (Some(4002), Some("the server stops".to_owned())));
}

#[test]
fn a_tick_is_one_datagram_with_all_that_there_is() {
    let server = Server::start(by_udp(), 1);
    let mut peer = Peer::join(server.at, "create", "{}");
    peer.run_until("snapshots", |peer| peer.views.len() > 5);
    let (datagrams, tick) = (peer.datagrams, peer.tick);
    let begun = Instant::now();
    let mut pressed = 0;
    // A bit more than three seconds' worth, however long a busy machine takes for them, and whatever it has to skip.
    let skipped = server.watch.stats().ticks_skipped;
    let made = |peer: &Peer| (peer.tick - tick).saturating_sub(server.watch.stats().ticks_skipped - skipped);
    while made(&peer) < 100 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} ticks", peer.tick - tick);
        if begun.elapsed().as_millis() as u64 / 33 > pressed {
            pressed += 1;
            peer.press(1);
            // What wants an acknowledgement gets it with the next tick.
            peer.say_reliable(b"anything");
        }
        peer.step();
        std::thread::sleep(Duration::from_millis(2));
    }
    let (datagrams, ticks) = (peer.datagrams - datagrams, peer.tick - tick);
    assert!(datagrams <= ticks + ticks / 8 + 5, "{datagrams} datagrams in {ticks} ticks");
    eventually("each of them", || datagrams >= made(&peer) / 2);
}

#[test]
fn a_seat_has_a_bandwidth_and_over_it_snapshots_are_left_out_and_ticks_are_not() {
    // A snapshot of an arena with one player who does not move is about 15 bytes.
    let server = Server::start(by_udp().seat_output(Rate::new(300, 300)), 1);
    let mut peer = Peer::join(server.at, "create", "{}");
    let mut moves = 0;
    let (begun, mut from) = (Instant::now(), None);
    let stats = || server.watch.stats();
    // Three seconds, after the first.
    while from.is_none_or(|(.., since): (u64, u64, [Instant; 2])| since[1].elapsed() < Duration::from_secs(3))
    {
        if begun.elapsed().as_millis() as u64 / 33 > moves {
            moves += 1;
            peer.press([1, 2, 4, 8][moves as usize / 10 % 4]);
        }
        peer.step();
        if from.is_none() && begun.elapsed() > Duration::from_secs(1) {
            let (before, stats) = (Instant::now(), stats());
            from = Some((stats.ticks, stats.udp_bytes_out, [before, Instant::now()]));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    eventually("shown", || stats().snapshots_stale > 20);
    // It was looked between the two moments.
    let (ticks, before, since) = from.unwrap();
    let bytes = stats().udp_bytes_out - before;
    let seconds = since[0].elapsed().as_secs_f64();
    assert!(bytes as f64 <= 300.0 * (seconds + 1.5), "{bytes} bytes in {seconds} s");
    assert!(bytes > 300, "{bytes} bytes in {seconds} s");
    // Those that a busy machine owes come, or are skipped.
    eventually("all ticks", || {
        let seconds = since[1].elapsed().as_secs_f64();
        let stats = stats();
        (stats.ticks - ticks) as f64 >= 30.0 * (seconds - 1.0) - stats.ticks_skipped as f64
    });
    assert_eq!(stats().udp_seated, 1);
}

/// CONNECT as ENet sends it, with an id of its own.
fn connect(id: u32) -> Vec<u8> {
    let mut asked = vec![0x8f, 0xff, 0, 1, 0x82, 0xff, 0, 1, 0, 0, 0xff, 0xff];
    for number in [1392, 65_536, 3, 0, 0, 5000, 2, 2, id, 0_u32] {
        asked.extend(number.to_be_bytes());
    }
    asked
}

#[test]
fn those_who_only_ask_keep_nobody_out_and_get_no_more_than_they_have_sent() {
    let udp = UdpConfig::default().half_open_max(1_024).address_connects(Rate::new(0, 0));
    let server = Server::start(config().udp(Some(udp)), 1);
    let (_, kept) = seat(server.at, "create", CHAT);
    let to = place(&kept);
    // Every address of 127.0.0.0/8 is this machine, so they are strangers to each other.
    let over = Arc::new(AtomicBool::new(false));
    // Rounds of the flood, 200 a second, and how often the peer has looked since it came: no round overtakes it, however
    // seldom a busy machine lets it look.
    let (rounds, looks) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (its_rounds, its_looks) = (rounds.clone(), looks.clone());
    let (sent, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (its_over, its_sent, its_answered) = (over.clone(), sent.clone(), answered.clone());
    let flood = std::thread::spawn(move || {
        let sockets: Vec<UdpSocket> = (0..400u32)
            .map(|n| UdpSocket::bind(format!("127.{}.{}.1:0", 1 + n / 200, 1 + n % 200)).unwrap())
            .collect();
        let mut buf = [0; 2048];
        let mut id = 0u32;
        // To each socket: what it has sent, and been answered.
        let mut bytes = vec![(0u64, 0u64); sockets.len()];
        while !its_over.load(Relaxed) {
            for (socket, bytes) in sockets.iter().zip(&mut bytes) {
                socket.set_nonblocking(true).unwrap();
                id = id.wrapping_add(2_654_435_761);
                let asked = connect(id);
                if socket.send_to(&asked, to).is_ok() {
                    bytes.0 += asked.len() as u64;
                }
                while let Ok(len) = socket.recv(&mut buf) {
                    bytes.1 += len as u64;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
            let (round, looked) = (its_rounds.fetch_add(1, Relaxed), its_looks.load(Relaxed));
            while looked > 0 && its_looks.load(Relaxed) == looked && !its_over.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(round < 100_000, "nobody comes");
        }
        // Nothing comes again to those who do not answer.
        std::thread::sleep(Duration::from_millis(1_500));
        for (socket, bytes) in sockets.iter().zip(&mut bytes) {
            while let Ok(len) = socket.recv(&mut buf) {
                bytes.1 += len as u64;
            }
            assert!(bytes.1 <= bytes.0, "{} bytes answered {}", bytes.1, bytes.0);
            its_sent.fetch_add(bytes.0, Relaxed);
            its_answered.fetch_add(bytes.1, Relaxed);
        }
    });
    eventually("strangers", || server.watch.stats().udp_evicted > 1_000);
    let mut peer = Peer::take(&kept);
    let before = rounds.load(Relaxed);
    peer.run_until("the welcome", |peer| {
        looks.fetch_add(1, Relaxed);
        peer.seat.is_some()
    });
    let took = rounds.load(Relaxed) - before;
    over.store(true, Relaxed);
    flood.join().unwrap();
    println!("{} bytes answered {}; joined in {took} rounds", answered.load(Relaxed), sent.load(Relaxed));
    assert!(answered.load(Relaxed) > 0);
    assert!(took < 200, "{took} rounds, 400 that ask in each");
    let stats = server.watch.stats();
    assert_eq!((stats.udp_seated, stats.udp_connected), (1, 1));
}

#[test]
fn strangers_are_few() {
    let udp = UdpConfig::default().ticket_timeout(Duration::from_secs(60));
    let udp = udp.strangers_max(4).address_peers_max(8);
    let server = Server::start(config().udp(Some(udp)), 1);
    let (_, kept) = seat(server.at, "create", CHAT);
    let mut waiting: Vec<Peer> = (0..6)
        .map(|_| {
            let mut peer = Peer::at(place(&kept), &kept, 3, None);
            peer.run_until("connected", |peer| peer.connected);
            peer
        })
        .collect();
    // The first two have waited longest.
    for (at, peer) in waiting.iter_mut().enumerate() {
        match at {
            0 | 1 => peer.run_until("sent away", |peer| peer.ended.is_some()),
            _ => peer.run(Duration::from_millis(150)),
        }
        assert_eq!(peer.code(), (at < 2).then_some(4004), "{at}");
    }
    eventually("counted", || server.watch.stats().udp_refused_full == 2);
    let mut peer = Peer::take(&kept);
    peer.run_until("the welcome", |peer| peer.seat.is_some());
    assert_eq!(peer.to(), place(&kept));
}

#[test]
fn datagrams_have_a_checksum_and_are_compressed_where_the_game_says_so() {
    let udp = UdpConfig::default().checksum(true).compression(true);
    let server = Server::start(config().udp(Some(udp)), 1);
    let (_, kept) = seat(server.at, "create", r#"{"kind":"chat"}"#);
    let ticket = kept["ticket"].as_str();
    let plain = |checksum, compression| Config { checksum, compression, ..Config::default() };
    // Who does not know of it says nothing that means anything.
    for (checksum, compression) in [(false, false), (false, true)] {
        let config = plain(checksum, compression);
        let mut peer = Peer::speaking(place(&kept), &kept, 3, ticket, config);
        peer.run(Duration::from_millis(200));
        assert!(!peer.connected);
    }
    let mut peer = Peer::speaking(place(&kept), &kept, 3, ticket, plain(true, true));
    peer.run_until("the welcome", |peer| peer.seat.is_some());
    // Of all lengths around a datagram's, and well to compress.
    let lengths = [1, 100, 1_300, 1_340, 1_344, 1_348, 1_352, 1_356, 1_360, 1_364, 1_368, 1_400, 3_000];
    for (n, len) in lengths.into_iter().enumerate() {
        for channel in [Channel::Unreliable, Channel::Reliable] {
            let message = vec![b'a' + n as u8; len];
            peer.say(0, Kind::Reliable, Saying::new().message(channel, &message));
        }
        peer.run_until("both", |peer| peer.messages.len() == 2 * (n + 1));
    }
    assert!(peer.bytes < 6_000, "{} bytes of {} messages", peer.bytes, peer.messages.len());
    assert!(peer.messages.iter().all(|(.., bytes)| lengths.contains(&(bytes.len() - 1))));
}
