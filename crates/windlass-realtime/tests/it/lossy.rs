//! Players by ENet over a network that loses, delays, doubles and reorders, from a seed.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use windlass_proto::enet::Kind;
use windlass_proto::testing::Rng;
use windlass_realtime::wire::Saying;
use windlass_realtime::{Arena, Channel, Rate, RecordSink, replay};

use crate::kit::{Player, Server, config, eventually, seat};
use crate::peer::{Peer, place};

const NONE: Rate = Rate::new(0, 0);

/// What stands between one player and the server: 5 % are lost, 2 % come twice, and each takes 2 to 40 ms, so that what is
/// later may be faster.
struct Relay {
    at: SocketAddr,
    over: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    running: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(to: SocketAddr, seed: u64) -> Relay {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        back.connect(to).unwrap();
        for socket in [&front, &back] {
            socket.set_nonblocking(true).unwrap();
        }
        let at = front.local_addr().unwrap();
        let (over, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (its_over, its_lost) = (over.clone(), lost.clone());
        let running = std::thread::spawn(move || {
            let mut rng = Rng::new(seed);
            let mut flying: BTreeMap<(Instant, u64), (bool, Vec<u8>)> = BTreeMap::new();
            let (mut client, mut number, mut buf) = (None, 0, [0; 65_536]);
            while !its_over.load(Relaxed) {
                let now = Instant::now();
                for up in [true, false] {
                    loop {
                        let len = if up {
                            let Ok((len, from)) = front.recv_from(&mut buf) else { break };
                            client = Some(from);
                            len
                        } else {
                            let Ok(len) = back.recv(&mut buf) else { break };
                            len
                        };
                        if rng.chance(5, 100) {
                            its_lost.fetch_add(1, Relaxed);
                            continue;
                        }
                        for _ in 0..1 + u32::from(rng.chance(2, 100)) {
                            let late = Duration::from_millis(2 + rng.below(39));
                            number += 1;
                            flying.insert((now + late, number), (up, buf[..len].to_vec()));
                        }
                    }
                }
                while let Some(first) = flying.first_entry().filter(|first| first.key().0 <= now) {
                    let (up, bytes) = first.remove();
                    match (up, client) {
                        (true, _) => drop(back.send(&bytes)),
                        (false, Some(client)) => drop(front.send_to(&bytes, client)),
                        (false, None) => {}
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Relay { at, over, lost, running: Some(running) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

fn through(kept: &Value, seed: u64) -> (Relay, Peer) {
    let relay = Relay::start(place(kept), seed);
    let mut peer = Peer::at(relay.at, kept, 3, kept["ticket"].as_str());
    peer.run_until("the welcome", |peer| peer.seat.is_some());
    (relay, peer)
}

#[test]
fn long_messages_are_exact_and_in_order_on_a_network_that_loses() {
    let udp = windlass_realtime::UdpConfig::default();
    let open = config().udp(Some(udp)).message_max(256 * 1024).reliable_max(512 * 1024);
    let server = Server::start(open.seat_input(NONE).seat_output(NONE).seat_messages(NONE), 2);
    for seed in [1, 2, 3] {
        let (_, kept) = seat(server.at, "create", r#"{"kind":"chat"}"#);
        let (relay, mut peer) = through(&kept, seed);
        let long = |n: u8| (0..100_000u32).map(|at| (at % 251) as u8 ^ n).collect::<Vec<u8>>();
        for n in 0..4 {
            peer.say_reliable(&long(n));
            peer.say(2, Kind::Unsequenced, Saying::new().message(Channel::Unreliable, &[n]));
        }
        let reliable = |peer: &Peer| {
            let all = peer.messages.iter().filter(|it| it.2 == Channel::Reliable);
            all.map(|(.., bytes)| bytes[1..].to_vec()).collect::<Vec<_>>()
        };
        peer.run_until("all of them", |peer| reliable(peer).len() == 4);
        assert!((0..4).all(|n| reliable(&peer)[usize::from(n)] == long(n)), "seed {seed}");
        assert!(peer.messages.iter().filter(|it| it.2 == Channel::Unreliable).count() <= 4);
        assert!(relay.lost.load(Relaxed) > 0);
    }
    let stats = server.watch.stats();
    eventually("counted", || server.watch.stats().udp_resent > 0);
    // Those of the seeds before are lost meanwhile: nobody speaks for them any more.
    assert_eq!(stats.left_slow + stats.left_abuse + stats.messages_dropped, 0, "{stats:?}");
}

#[test]
fn all_agree_on_what_has_become_of_a_match_whatever_way_they_see_it() {
    let record = Arc::new(Mutex::new(Vec::new()));
    let its = record.clone();
    let sink = RecordSink::new(move |piece| {
        its.lock().unwrap().extend_from_slice(&piece.bytes);
        true
    });
    let udp = windlass_realtime::UdpConfig::default();
    let mut server = Server::start(config().udp(Some(udp)).record(Some(sink)), 1);
    let kept = |wish: &str| seat(server.at, "join-or-create", wish).1;
    let mut links: Vec<(Relay, Peer)> = (0..3).map(|seed| through(&kept("{}"), 10 + seed)).collect();
    let (relay, mut watcher) = through(&kept(r#"{"spectate":true}"#), 20);
    let mut page = Player::join(server.at, "join-or-create", r#"{"spectate":true}"#);
    assert_eq!(page.room, watcher.room);
    let begun = Instant::now();
    let (mut pressed, mut presses) = (0, 0);
    // As many inputs as four seconds have, however long a busy machine takes for them.
    while presses < 110 && begun.elapsed() < Duration::from_secs(60) {
        presses += u32::from(begun.elapsed().as_millis() as u64 / 33 > pressed);
        for (at, (_, player)) in links.iter_mut().enumerate() {
            if begun.elapsed().as_millis() as u64 / 33 > pressed {
                player.press([1, 10, 36][at] | if pressed.is_multiple_of(20) { 16 } else { 0 });
            }
            player.step();
        }
        pressed = begun.elapsed().as_millis() as u64 / 33;
        watcher.step();
        std::thread::sleep(Duration::from_millis(3));
        while page.views.last().is_none_or(|last| last.0 + 5 < watcher.tick) {
            page.hear();
        }
    }
    // At the end nobody presses anything, and both have seen the last.
    let last = watcher.tick;
    page.hear_until("the same", |page| page.tick > last + 10);
    watcher.run_until("the same", |watcher| watcher.tick > last + 10);
    let of_page: BTreeMap<u64, u64> = page.views.iter().copied().collect();
    let both: Vec<_> = watcher.views.iter().filter(|(tick, _)| of_page.contains_key(tick)).collect();
    assert!(both.len() > 30, "{} of {} and {}", both.len(), watcher.views.len(), page.views.len());
    assert!(both.iter().all(|(tick, number)| of_page[tick] == *number), "they see different worlds");
    assert!(both.windows(2).filter(|two| two[0].1 != two[1].1).count() > 10, "nothing has moved");
    assert!(relay.lost.load(Relaxed) > 0);
    server.stop();
    let record = record.lock().unwrap();
    let replayed = replay(&record, |kind, _| (kind == "arena").then(|| Arena::kind().make(b"{}"))).unwrap();
    // Inputs are sent three times each: hardly one is missing.
    assert!(replayed.whole && replayed.joins == 3 && replayed.inputs > 200, "{replayed:?}");
}
