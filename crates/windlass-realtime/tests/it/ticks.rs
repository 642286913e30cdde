//! When rooms tick, in virtual time: at `epoch + n / rate`, never before, and nobody is woken for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use windlass::testing::Harness;
use windlass::{Mailbox, Time, serve};
use windlass_http::HttpConfig;
use windlass_realtime::{Game, GameConfig, GameWatch, Key, Play, Room, RoomKind};

const RATES: [u32; 7] = [1, 7, 30, 60, 64, 128, 240];
const SECOND: u64 = 1_000_000_000;

/// Counts its ticks, and looks whether their numbers are those of the time.
struct Metronome(Arc<AtomicU64>);

impl Room for Metronome {
    fn tick(&mut self, _: &mut Play<'_>, n: u64) {
        assert_eq!(self.0.fetch_add(1, Relaxed) + 1, n, "none is left out, and none made twice");
    }
}

struct Rooms {
    harness: Harness,
    watch: GameWatch,
    /// Ticks of the room of each rate, and when it was opened.
    ticks: Vec<Arc<AtomicU64>>,
    epochs: Vec<Time>,
}

fn rooms() -> Rooms {
    let ticks: Vec<Arc<AtomicU64>> = RATES.iter().map(|_| Arc::default()).collect();
    let kinds = RATES.iter().zip(&ticks).map(|(rate, ticks)| {
        let ticks = ticks.clone();
        RoomKind::new(rate.to_string(), move |_| Box::new(Metronome(ticks.clone()))).hz(*rate)
    });
    let config = GameConfig::new(Key::new(&[8; 32]), kinds.collect::<Vec<_>>())
        .empty_timeout(Duration::from_secs(3_600))
        .reservation_timeout(Duration::from_secs(3_600));
    let watch = GameWatch::new(1, RATES.iter().map(u32::to_string));
    let (config, mailbox) = (Arc::new(config), Mailbox::new());
    let (mail, its) = (mailbox.clone(), watch.clone());
    let make = move || Game::http(config.clone(), &mail, &its, HttpConfig::default());
    let harness = Harness::new(serve(make).mailbox(&mailbox).movable().tick(Game::TICK));
    Rooms { harness, watch, ticks, epochs: Vec::new() }
}

impl Rooms {
    fn open(&mut self, rate: u32) {
        let peer = self.harness.connect();
        let wish = format!(r#"{{"kind":"{rate}"}}"#);
        let length = wish.len();
        let head = "POST /api/rooms/create HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n\
                    connection: close\r\ncontent-length:";
        self.epochs.push(self.harness.now());
        self.harness.send(peer, format!("{head} {length}\r\n\r\n{wish}"));
        let answer = String::from_utf8(self.harness.receive(peer)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        self.harness.finish(peer);
    }

    fn until(&mut self, at: Time) {
        self.harness.advance(at.since(self.harness.now()));
        assert_eq!(self.harness.now(), at);
    }

    fn done(&self) -> Vec<u64> {
        self.ticks.iter().map(|ticks| ticks.load(Relaxed)).collect()
    }
}

#[test]
fn rooms_tick_to_the_nanosecond_and_never_before() {
    let mut it = rooms();
    for rate in RATES {
        // At odd times, so that their ticks lie between those of the server and of each other.
        it.harness.advance(Duration::from_nanos(1_234_567));
        it.open(rate);
    }
    let mut expected = it.done();
    let begun = it.harness.now();
    let mut due: Vec<(Time, usize)> = Vec::new();
    for (room, (&rate, &epoch)) in RATES.iter().zip(&it.epochs).enumerate() {
        let at = |n: u64| epoch + Duration::from_nanos((n * SECOND).div_ceil(rate.into()));
        due.extend((expected[room] + 1..=u64::from(rate) * 3).map(|n| (at(n), room)));
    }
    due.sort_unstable();
    assert!(due[0].0 > begun && due.len() > 1_500);
    for (at, room) in due {
        it.until(Time::from_nanos(at.as_nanos() - 1));
        assert_eq!(it.done(), expected, "a nanosecond before the tick of the room of {} Hz", RATES[room]);
        it.until(at);
        expected[room] += 1;
        assert_eq!(it.done(), expected, "the tick of the room of {} Hz", RATES[room]);
    }
    it.harness.advance(Game::TICK);
    let stats = it.watch.stats();
    assert!(stats.ticks > 1_500);
    assert_eq!((stats.lateness.max(), stats.ticks_skipped), (Duration::ZERO, 0));
}

#[test]
fn nobody_is_woken_but_for_a_tick() {
    let mut it = rooms();
    let called = |it: &Rooms| {
        let counters = it.harness.handle().stats().counters;
        (counters.ticks, counters.turns)
    };
    // No room: only what is shown ten times a second.
    let before = called(&it);
    it.harness.advance(Duration::from_secs(10));
    let after = called(&it);
    assert_eq!((after.0 - before.0, after.1 - before.1), (100, 100));
    // One of 30 Hz, at another time than those: its ticks too.
    it.harness.advance(Duration::from_nanos(1_234_567));
    it.open(30);
    let before = called(&it);
    it.harness.advance(Duration::from_millis(10_001));
    assert_eq!(it.done()[2], 300);
    let after = called(&it);
    assert_eq!((after.0 - before.0, after.1 - before.1), (400, 400));
}
