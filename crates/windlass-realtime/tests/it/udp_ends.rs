//! Players by ENet that are sent away: from which address they hear it, what they cost until then, and how long the server
//! waits for them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;
use windlass::Limits;
use windlass_proto::enet::Kind;
use windlass_realtime::inspect::{Ask, Question};
use windlass_realtime::wire::Saying;
use windlass_realtime::{Channel, Game, GameConfig, Rate, UdpConfig};

use crate::kit::{Player, Server, config, eventually, seat};
use crate::peer::{Peer, place};

const CHAT: &str = r#"{"kind":"chat"}"#;

fn by_udp() -> GameConfig {
    config().udp(Some(UdpConfig::default()))
}

/// A server whose socket has all addresses, the address by which it is asked, and that by which it would answer if it did not
/// care: by which a client does not know it.
fn wildcard(udp: UdpConfig) -> (Server, Value, SocketAddr) {
    let server = Server::start_at(config().udp(Some(udp)), 1, "0.0.0.0:0");
    let (_, kept) = seat(server.at, "create", r#"{"kind":"arena"}"#);
    let mut to = place(&kept);
    to.set_ip(Ipv4Addr::new(127, 0, 0, 2).into());
    (server, kept, to)
}

#[test]
fn who_takes_their_seat_over_from_the_same_address_is_spoken_to_from_where_they_asked() {
    let (_server, kept, to) = wildcard(UdpConfig::default());
    let mut peer = Peer::at(to, &kept, 3, kept["ticket"].as_str());
    peer.run_until("snapshots", |peer| peer.views.len() > 5);
    peer.again();
    peer.run_until("the welcome again", |peer| peer.seat.is_some());
    peer.run(Duration::from_millis(300));
    let before = peer.views.len();
    peer.run_until("snapshots again", |peer| peer.views.len() > before + 20);
}

#[test]
fn whoever_is_sent_away_hears_it_from_where_they_asked() {
    let (server, kept, to) = wildcard(UdpConfig::default().ticket_timeout(Duration::from_secs(5)));
    let ended = |mut peer: Peer, code: u32, what: &str| {
        peer.run_until(what, |peer| peer.ended.is_some());
        assert_eq!(peer.code(), Some(code), "{what}");
    };
    ended(Peer::at(to, &kept, 2, None), 1002, "two channels");
    ended(Peer::at(to, &kept, 3, None), 4004, "no ticket in time");
    ended(Peer::at(to, &kept, 3, Some("none")), 4004, "a forged ticket");
    let mut peer = Peer::at(to, &kept, 3, kept["ticket"].as_str());
    peer.run_until("the welcome", |peer| peer.seat.is_some());
    peer.say(0, Kind::Reliable, Saying::new().farewell());
    ended(peer, 1000, "a farewell");
    let (_, kept) = seat(server.at, "create", CHAT);
    let to = SocketAddr::new(to.ip(), place(&kept).port());
    let mut peer = Peer::at(to, &kept, 3, kept["ticket"].as_str());
    peer.run_until("the welcome", |peer| peer.seat.is_some());
    peer.say_reliable(b"end");
    ended(peer, 4002, "the end of the room");
}

/// Peers that connect one after the other, and that nobody hears of again.
struct PassersBy {
    over: Arc<AtomicBool>,
    /// How many have been connected.
    connected: Arc<AtomicU64>,
    /// How often a player has looked since it came: no two of them overtake it, however seldom a busy machine lets it look.
    looks: Arc<AtomicU64>,
    passing: std::thread::JoinHandle<()>,
}

impl PassersBy {
    fn start(kept: &Value, ticket: Option<&'static str>) -> PassersBy {
        let over = Arc::new(AtomicBool::new(false));
        let (connected, looks) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (its_over, its_connected, its_looks) = (over.clone(), connected.clone(), looks.clone());
        let kept = kept.clone();
        let passing = std::thread::spawn(move || {
            while !its_over.load(Relaxed) {
                let looked = its_looks.load(Relaxed);
                let mut peer = Peer::at(place(&kept), &kept, 3, ticket);
                let begun = Instant::now();
                while !peer.connected && begun.elapsed() < Duration::from_millis(500) {
                    peer.step();
                    std::thread::sleep(Duration::from_millis(1));
                }
                // The ticket leaves.
                peer.step();
                its_connected.fetch_add(u64::from(peer.connected), Relaxed);
                while looked > 0 && its_looks.load(Relaxed) == looked && !its_over.load(Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        PassersBy { over, connected, looks, passing }
    }

    fn end(self) {
        self.over.store(true, Relaxed);
        self.passing.join().unwrap();
    }
}

#[test]
fn strangers_keep_no_place_of_a_player_whether_they_say_nothing_or_show_what_is_no_ticket() {
    for ticket in [None, Some("none of ours")] {
        let udp = UdpConfig::default().strangers_max(4).peers_max(16).address_connects(Rate::new(0, 0));
        let server = Server::start(config().udp(Some(udp)), 1);
        let (_, kept) = seat(server.at, "create", CHAT);
        let passers_by = PassersBy::start(&kept, ticket);
        let refused = || {
            let stats = server.watch.stats();
            stats.udp_refused_full + stats.udp_refused_ticket
        };
        eventually("many of them", || refused() > 64 && passers_by.connected.load(Relaxed) > 64);
        let mut peer = Peer::take(&kept);
        peer.run_until("the welcome", |peer| {
            passers_by.looks.fetch_add(1, Relaxed);
            peer.seat.is_some()
        });
        passers_by.end();
        // As many places as are allowed were never taken at once.
        assert_eq!(server.watch.stats().udp_refused_peers, 0, "{ticket:?}");
    }
}

#[test]
fn a_stop_waits_for_nobody_who_only_comes_now() {
    // Whoever is waited for until the end is so for minutes.
    let drain = Duration::from_secs(240);
    let limits = Limits { source_connections_max: 0, drain_timeout: drain, ..Limits::default() };
    let config = by_udp().stop_timeout(drain - Duration::from_secs(10));
    let mut server = Server::start_with(config, 1, "127.0.0.1:0", limits);
    let (_, kept) = seat(server.at, "create", CHAT);
    let floods: Vec<_> = (0..4).map(|_| PassersBy::start(&kept, None)).collect();
    eventually("some of them", || server.watch.stats().udp_connected > 20);
    let begun = Instant::now();
    server.stop();
    let took = begun.elapsed();
    floods.into_iter().for_each(PassersBy::end);
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn the_end_is_told_behind_all_that_waits_however_long_both_are() {
    for why in ["short".to_owned(), "w".repeat(120), "long ".repeat(1_000)] {
        let server = Server::start(by_udp().reliable_max(1_024).message_max(600), 1);
        let mut peer = Peer::join(server.at, "create", r#"{"kind":"slow"}"#);
        let room = peer.room.parse().unwrap();
        // Right behind a tick, so that it waits for the next one.
        let tick = server.watch.stats().ticks;
        eventually("a tick", || server.watch.stats().ticks > tick);
        (0..4u8).for_each(|n| peer.say_reliable(&[n; 248]));
        peer.run(Duration::from_millis(300));
        Ask::send(&server.mailbox, Question::End { room, why: why.clone() }, |_| {}).unwrap();
        peer.run_until("the end", |peer| peer.ended.is_some());
        assert_eq!((peer.code(), peer.messages.len()), (Some(4002), 4), "{} bytes", why.len());
        // What is too long is cut.
        assert_eq!(peer.why.as_deref(), Some(&why[..why.len().min(120)]));
    }
}

#[test]
fn what_may_wait_from_now_on_may_leave_too() {
    let server = Server::start(by_udp().reliable_max(2_000).message_max(1_000), 1);
    let peer = Peer::join(server.at, "create", CHAT);
    let wish = format!(r#"{{"room":"{}"}}"#, peer.room);
    drop(peer);
    assert!(Game::set(&server.mailbox, by_udp().reliable_max(100_000).message_max(50_000)));
    std::thread::sleep(Duration::from_millis(300));
    let mut peer = Peer::join(server.at, "join", &wish);
    let mut page = Player::join(server.at, "join", &wish);
    page.say(Saying::new().message(Channel::Reliable, &[7; 10_000]));
    peer.run_until("the message", |peer| !peer.messages.is_empty() || peer.ended.is_some());
    assert_eq!((peer.messages.len(), peer.code()), (1, None));
}
