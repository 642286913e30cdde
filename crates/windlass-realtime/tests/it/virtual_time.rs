//! A whole server in virtual time: what a player who stops reading costs the others, counted by the tick; and until when a seat
//! is kept for whoever lost it; and how rooms end when the server stops.

use std::sync::Arc;
use std::time::Duration;

use windlass::testing::{Harness, TestPeer};
use windlass::{Mailbox, serve};
use windlass_http::HttpConfig;
use windlass_http::ws::{Kind, WsConfig};
use windlass_proto::ws::Opening;
use windlass_realtime::wire::{SUBPROTOCOL, Saying, Told, told, widen};
use windlass_realtime::{
    Channel, Field, Frame, Game, GameConfig, GameWatch, Key, Play, Room, RoomKind, Schema, SnapshotReader,
};

use crate::ws_peer::{Client as Talker, Heard};

const HZ: u64 = 50;
const PERIOD: Duration = Duration::from_millis(1_000 / HZ);
/// Bytes that everybody is told with every tick, which may be lost.
const SHOUT: usize = 500;

/// Something to say with every tick.
struct Busy;

fn schema() -> Schema {
    Schema::new([Field::new(0, 1, 20)])
}

impl Room for Busy {
    fn tick(&mut self, play: &mut Play<'_>, n: u64) {
        play.send_all(Channel::Unreliable, &[n as u8; SHOUT]);
    }
    fn schema(&self) -> Option<Schema> {
        Some(schema())
    }
    fn frame(&self, frame: &mut Frame) {
        let tick = frame.tick() as i32;
        frame.put(0, (0, 0), &[tick]);
    }
}

/// The same, with two seconds to say farewell in.
struct Polite;

impl Room for Polite {
    fn stop(&mut self, play: &mut Play<'_>) {
        play.send_all(Channel::Reliable, b"two seconds");
        play.after(2 * HZ, 0);
    }
    fn timer(&mut self, play: &mut Play<'_>, _: u64) {
        play.send_all(Channel::Reliable, b"farewell");
        play.end();
    }
    fn schema(&self) -> Option<Schema> {
        Busy.schema()
    }
    fn frame(&self, frame: &mut Frame) {
        Busy.frame(frame);
    }
}

/// Nobody gets it to end.
struct Stubborn;

impl Room for Stubborn {
    fn stop(&mut self, _: &mut Play<'_>) {}
    fn schema(&self) -> Option<Schema> {
        Busy.schema()
    }
    fn frame(&self, frame: &mut Frame) {
        Busy.frame(frame);
    }
}

struct Rooms {
    harness: Harness,
    watch: GameWatch,
}

/// What a client has heard.
struct Player {
    peer: TestPeer,
    talker: Talker,
    reader: SnapshotReader,
    seat: Option<u16>,
    tick: u64,
    /// Ticks whose snapshot came, and ticks whose shout did.
    snapshots: Vec<u64>,
    shouts: Vec<u64>,
    /// What must come.
    notes: Vec<String>,
    ended: Option<String>,
    closed: Option<u16>,
}

impl Rooms {
    /// With so many bytes of room in each direction of a connection.
    fn start(buffers: usize) -> Rooms {
        let kinds = [
            RoomKind::new("busy", |_| Box::new(Busy)),
            RoomKind::new("polite", |_| Box::new(Polite)),
            RoomKind::new("stubborn", |_| Box::new(Stubborn)),
        ];
        let kinds = kinds.map(|kind| kind.hz(HZ as u32));
        let names = kinds.each_ref().map(|kind| kind.name.clone());
        let config = GameConfig::new(Key::new(&[8; 32]), kinds).empty_timeout(Duration::from_secs(60));
        let (config, mailbox, watch) = (Arc::new(config), Mailbox::new(), GameWatch::new(1, names));
        let (mail, its) = (mailbox.clone(), watch.clone());
        let make = move || Game::http(config.clone(), &mail, &its, HttpConfig::default());
        let service = serve(make).mailbox(&mailbox).movable().tick(Game::TICK);
        Rooms { harness: Harness::with_buffers(service, buffers), watch }
    }

    fn seat(&mut self) -> String {
        self.seat_of("busy")
    }

    fn seat_of(&mut self, kind: &str) -> String {
        let peer = self.harness.connect();
        let body = format!(r#"{{"kind":"{kind}"}}"#);
        let ask = "POST /api/rooms/join-or-create HTTP/1.1\r\nhost: test.example\r\nconnection: close\r\n\
                   content-type: application/json\r\ncontent-length:";
        self.harness.send(peer, format!("{ask} {}\r\n\r\n{body}", body.len()));
        let answer = String::from_utf8(self.harness.receive(peer)).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let kept: serde_json::Value = serde_json::from_str(body).unwrap();
        kept["path"].as_str().unwrap().to_owned()
    }

    fn take(&mut self, path: &str) -> Player {
        let opening = Opening::new([7; 32]).protocol(SUBPROTOCOL);
        let mut player = Player {
            peer: self.harness.connect(),
            talker: Talker::new(opening, path, WsConfig::default()),
            reader: SnapshotReader::new(schema()),
            seat: None,
            tick: 0,
            snapshots: Vec::new(),
            shouts: Vec::new(),
            notes: Vec::new(),
            ended: None,
            closed: None,
        };
        player.hear(&mut self.harness);
        player
    }
}

impl Player {
    /// Says what it has to say, hears what there is, and confirms it.
    fn hear(&mut self, harness: &mut Harness) {
        harness.send(self.peer, std::mem::take(&mut self.talker.out));
        let received = harness.receive(self.peer);
        for heard in self.talker.hear(&received).unwrap() {
            match heard {
                Heard::Binary(message) => self.message(&message),
                Heard::Close(code, _) => self.closed = Some(code),
                _ => {}
            }
        }
        harness.send(self.peer, std::mem::take(&mut self.talker.out));
    }

    fn message(&mut self, message: &[u8]) {
        let (head, pieces) = told(message).unwrap();
        self.tick = widen(self.tick, head.tick);
        for piece in pieces {
            match piece.unwrap() {
                Told::Welcome(welcome) => (self.seat, self.tick) = (Some(welcome.seat.0), welcome.tick),
                Told::Message(Channel::Reliable, bytes) => {
                    self.notes.push(String::from_utf8(bytes.to_vec()).unwrap());
                }
                Told::End(why) => self.ended = Some(why.to_owned()),
                Told::Message(_, bytes) => {
                    assert_eq!((bytes.len(), bytes[0]), (SHOUT, self.tick as u8));
                    self.shouts.push(self.tick);
                }
                Told::Snapshot(bytes) => {
                    let view = self.reader.read(self.tick, bytes).unwrap();
                    assert_eq!(view.field(0, 0), Some(self.tick as i32));
                    self.snapshots.push(self.tick);
                    self.talker.say(Kind::Binary, &Saying::new().confirm(self.tick).into_bytes());
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_player_who_stops_reading_costs_the_others_no_tick_and_no_snapshot() {
    let mut it = Rooms::start(8 << 10);
    let paths: Vec<String> = (0..4).map(|_| it.seat()).collect();
    let mut players: Vec<Player> = paths.iter().map(|path| it.take(path)).collect();
    let (stalled, others) = players.split_first_mut().unwrap();
    let first = it.watch.stats().ticks;
    for player in others.iter_mut() {
        player.hear(&mut it.harness);
        (player.snapshots, player.shouts) = (Vec::new(), Vec::new());
    }
    const TICKS: u64 = 30 * HZ;
    for _ in 0..TICKS {
        it.harness.advance(PERIOD);
        others.iter_mut().for_each(|player| player.hear(&mut it.harness));
    }
    // To the others nothing is different: a message with every tick, and everything in it.
    let last = others[0].tick;
    let all: Vec<u64> = (last + 1 - TICKS..=last).collect();
    for player in others.iter() {
        assert_eq!(player.snapshots, all);
        assert_eq!(player.shouts, all);
    }
    it.harness.advance(Game::TICK);
    let stats = it.watch.stats();
    assert!(stats.ticks - first >= TICKS && stats.ticks_skipped == 0, "{stats:?}");
    assert_eq!((stats.lateness.max(), stats.left_slow, stats.players), (Duration::ZERO, 0, 4));
    // What waits for the one who does not read is bounded, and old snapshots are not in it.
    assert!(stats.snapshots_stale > TICKS * 9 / 10, "{}", stats.snapshots_stale);
    stalled.hear(&mut it.harness);
    let kept = stalled.shouts.len() * SHOUT;
    assert!((4_000..40_000).contains(&kept), "{kept} bytes were kept of {}", TICKS as usize * SHOUT);
    // It reads again, and has the present with the next tick.
    let before = stalled.snapshots.len();
    it.harness.advance(PERIOD);
    stalled.hear(&mut it.harness);
    it.harness.advance(PERIOD);
    stalled.hear(&mut it.harness);
    others[0].hear(&mut it.harness);
    assert_eq!(stalled.tick, others[0].tick);
    assert!(stalled.snapshots.len() > before && stalled.snapshots.last() == Some(&stalled.tick));
}

#[test]
fn a_seat_is_kept_for_thirty_seconds_and_no_longer() {
    let mut it = Rooms::start(1 << 20);
    let (path, other) = (it.seat(), it.seat());
    let (player, mut stays) = (it.take(&path), it.take(&other));
    assert_eq!((player.seat, stays.seat), (Some(0), Some(1)));
    // A tab that is killed: its system resets the connection.
    it.harness.reset(player.peer);
    // Whoever stays answers when it is asked whether it is there.
    let mut pass = |it: &mut Rooms, ms: u64| {
        for part in [ms / 3, ms / 3, ms - ms / 3 * 2] {
            it.harness.advance(Duration::from_millis(part));
            stays.hear(&mut it.harness);
        }
    };
    pass(&mut it, 29_900);
    let again = it.take(&path);
    assert_eq!((again.seat, again.closed), (Some(0), None));
    it.harness.reset(again.peer);
    pass(&mut it, 30_100);
    let mut late = it.take(&path);
    late.hear(&mut it.harness);
    assert_eq!((late.seat, late.closed), (None, Some(4003)));
    let stats = it.watch.stats();
    assert_eq!((stats.lost, stats.returned, stats.left_lost), (2, 1, 1));
    // It is the next one's.
    let path = it.seat();
    assert_eq!(it.take(&path).seat, Some(0));
}

#[test]
fn a_server_that_stops_gives_rooms_their_time_and_is_gone_within_the_deadline() {
    let mut it = Rooms::start(1 << 20);
    let mut players = ["busy", "polite", "stubborn"].map(|kind| {
        let path = it.seat_of(kind);
        it.take(&path)
    });
    it.harness.advance(PERIOD);
    it.harness.shutdown();
    let mut passed = Duration::ZERO;
    let mut until = |it: &mut Rooms, players: &mut [Player; 3], ms: u64| {
        while passed < Duration::from_millis(ms) {
            it.harness.advance(PERIOD);
            passed += PERIOD;
            players.iter_mut().for_each(|player| player.hear(&mut it.harness));
        }
    };
    until(&mut it, &mut players, 100);
    let over = |player: &Player| (player.ended.as_deref() == Some("the server stops"), player.closed);
    assert_eq!(over(&players[0]), (true, Some(4002)), "most rooms end at once");
    assert_eq!(players[1].notes, ["two seconds"]);
    until(&mut it, &mut players, 1_900);
    assert_eq!(over(&players[1]), (false, None), "it ticks on");
    assert_eq!(players[1].snapshots.last(), Some(&players[1].tick));
    until(&mut it, &mut players, 2_200);
    assert_eq!((over(&players[1]), players[1].notes.len()), ((true, Some(4002)), 2));
    until(&mut it, &mut players, 7_400);
    assert_eq!(over(&players[2]), (false, None));
    // Three quarters of the drain: whoever has not ended by then is ended, and told.
    until(&mut it, &mut players, 7_700);
    assert_eq!(over(&players[2]), (true, Some(4002)));
    // Clients close when they are told to.
    for player in &players {
        it.harness.finish(player.peer);
    }
    until(&mut it, &mut players, 8_000);
    assert!(it.harness.is_stopped());
}
