//! The whole game server on a simulated network that does its worst, from seeds: whoever gets a seat hears everything that
//! must come, once and in order, whatever moves and breaks; and no seat is given away twice.
//!
//! `WINDLASS_SIM_SEEDS=10000` runs more, `WINDLASS_SIM_SEED=7` only one.

#[path = "../../../windlass-http/tests/ws_peer/mod.rs"]
mod ws_peer;

mod peers;

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use windlass::sim::{self, Client, Ending, Line, Sim, Status, Step};
use windlass::{Mailbox, serve};
use windlass_http::HttpConfig;
use windlass_http::ws::{Kind, WsConfig};
use windlass_proto::http::{ClientConn, ResponsePart};
use windlass_proto::testing::Rng;
use windlass_proto::ws::Opening;
use windlass_proto::{Decode, Input};
use windlass_realtime::wire::{SUBPROTOCOL, Saying, Told, told};
use windlass_realtime::{
    Channel, Field, Frame, Game, GameConfig, GameWatch, Key, Play, Rate, Room, RoomKind, Schema, Seat,
    SnapshotReader,
};

use ws_peer::{Client as Talker, Heard};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 30 } else { 1_500 };

/// Says back what is said to it, and counts in a snapshot.
#[derive(Default)]
struct Echo {
    said: i32,
}

impl Room for Echo {
    fn message(&mut self, play: &mut Play<'_>, seat: Seat, channel: Channel, message: &[u8]) {
        self.said += 1;
        play.send(seat, channel, message);
    }
    fn schema(&self) -> Option<Schema> {
        Some(Schema::new([Field::new(0, 1, 20)]))
    }
    fn frame(&self, frame: &mut Frame) {
        frame.put(0, (0, 0), &[self.said]);
    }
}

/// Seats that somebody has at the moment.
type Taken = Rc<RefCell<HashSet<(String, u16)>>>;

enum Stage {
    Asking(Box<ClientConn>),
    Playing(Box<Talker>),
    Over,
}

/// Asks for a seat, says so many things that must come back, and leaves.
struct Player {
    stage: Stage,
    unsent: Vec<u8>,
    pending: Vec<u8>,
    body: Vec<u8>,
    ticket: String,
    taken: Taken,
    own: Option<(String, u16)>,
    left: u32,
    said: u32,
    heard: u32,
    tick: u64,
    /// The newest snapshot that it has and has not said so of.
    seen: Option<u64>,
    reader: SnapshotReader,
    seed: [u8; 32],
    leaves: bool,
    /// Rooms and connections are all on one worker.
    has_home: bool,
}

impl Player {
    fn new(rng: &mut Rng, taken: Taken, has_home: bool) -> Player {
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        let (mut http, mut unsent) = (ClientConn::default(), Vec::new());
        let asked = http
            .request(&mut unsent, "POST", "/api/rooms/join-or-create", "test.example")
            .header("content-type", "application/json")
            .body(b"{}");
        asked.unwrap();
        Player {
            stage: Stage::Asking(Box::new(http)),
            unsent,
            pending: Vec::new(),
            body: Vec::new(),
            ticket: String::new(),
            taken,
            own: None,
            left: rng.below(20) as u32,
            said: 0,
            heard: 0,
            tick: 0,
            seen: None,
            reader: SnapshotReader::new(Echo::default().schema().unwrap()),
            seed,
            leaves: false,
            has_home,
        }
    }

    fn receive(&mut self, received: Vec<u8>) -> Result<(), String> {
        if let Stage::Asking(http) = &mut self.stage {
            self.pending.extend(received);
            let mut pending = std::mem::take(&mut self.pending);
            let mut input = Input::new(&mut pending);
            let mut whole = false;
            while let Some(part) = http.decode(&mut input).map_err(|error| error.to_string())? {
                match part {
                    ResponsePart::Head(head) if head.status.code() != 200 => {
                        return Err(format!("no seat: {}", head.status.code()));
                    }
                    ResponsePart::Body(bytes) => self.body.extend_from_slice(bytes),
                    ResponsePart::End => {
                        whole = true;
                        break;
                    }
                    _ => {}
                }
            }
            let left = input.len();
            self.pending = pending.split_off(pending.len() - left);
            if whole {
                let seat: Value = serde_json::from_slice(&self.body).map_err(|error| error.to_string())?;
                self.ticket = seat["path"].as_str().unwrap_or_default().to_owned();
                let opening = Opening::new(self.seed).protocol(SUBPROTOCOL);
                self.stage =
                    Stage::Playing(Box::new(Talker::new(opening, &self.ticket, WsConfig::default())));
            }
            return Ok(());
        }
        let Stage::Playing(talker) = &mut self.stage else { return Ok(()) };
        for heard in talker.hear(&received)? {
            match heard {
                Heard::Binary(message) => self.message(&message)?,
                Heard::Close(1000, _) if self.leaves => self.stage = Stage::Over,
                Heard::Close(code, why) => return Err(format!("closed with {code}: {why}")),
                Heard::Open(protocol) if protocol.as_deref() != Some(SUBPROTOCOL) => {
                    return Err("no subprotocol".into());
                }
                _ => {}
            }
            if matches!(self.stage, Stage::Over) {
                break;
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &[u8]) -> Result<(), String> {
        let (head, pieces) = told(message).map_err(|error| error.to_string())?;
        self.tick = windlass_realtime::wire::widen(self.tick, head.tick);
        for piece in pieces {
            match piece.map_err(|error| error.to_string())? {
                Told::Welcome(welcome) => {
                    let own = (welcome.room.to_owned(), welcome.seat.0);
                    if !self.taken.borrow_mut().insert(own.clone()) {
                        return Err(format!("seat {own:?} is somebody else's"));
                    }
                    self.own = Some(own);
                    self.tick = welcome.tick;
                }
                Told::Message(Channel::Reliable, bytes) => {
                    if bytes != self.heard.to_le_bytes() {
                        return Err(format!("heard {bytes:?} instead of {}", self.heard));
                    }
                    self.heard += 1;
                }
                Told::Snapshot(bytes) => {
                    self.reader.read(self.tick, bytes).map_err(|error| error.to_string())?;
                    self.seen = Some(self.tick);
                }
                other => return Err(format!("told {other:?}")),
            }
        }
        Ok(())
    }

    fn say(&mut self, saying: Saying) {
        if let Stage::Playing(talker) = &mut self.stage {
            talker.say(Kind::Binary, &saying.into_bytes());
        }
    }

    fn act(&mut self) {
        if self.own.is_none() || self.leaves {
            return;
        }
        // Not while something waits: there are networks here that carry less than a confirmation of every snapshot, and what
        // is said behind those would come later each time.
        if self.unsent.is_empty()
            && let Some(tick) = self.seen.take()
        {
            self.say(Saying::new().confirm(tick));
        }
        if self.said < self.left && self.said - self.heard < 3 {
            self.say(Saying::new().message(Channel::Reliable, &self.said.to_le_bytes()));
            self.said += 1;
        } else if self.said == self.left && self.heard == self.said {
            // Before it says so: from then on the seat is anybody's.
            self.taken.borrow_mut().remove(self.own.as_ref().expect("it has one"));
            self.say(Saying::new().farewell());
            self.leaves = true;
        }
    }

    fn gone(&mut self) {
        if let Some(own) = self.own.take().filter(|_| !self.leaves) {
            self.taken.borrow_mut().remove(&own);
        }
    }
}

impl Client for Player {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            line.connect();
        }
        if line.status() == Status::Connecting {
            return Step::Wait;
        }
        let mut received = Vec::new();
        line.receive(&mut received, usize::MAX);
        if let Err(error) = self.receive(received) {
            self.gone();
            return if line.excused() { Step::Done } else { line.fail(error) };
        }
        self.act();
        if let Stage::Playing(talker) = &mut self.stage {
            self.unsent.append(&mut talker.out);
        }
        let sent = line.send(&self.unsent);
        self.unsent.drain(..sent);
        match line.status() {
            _ if matches!(self.stage, Stage::Over) => Step::Done,
            Status::Ended(_) if line.excused() => {
                self.gone();
                Step::Done
            }
            Status::Ended(Ending::Fin) if self.leaves => Step::Done,
            // Some of these systems cannot move a connection, as Windows cannot, and this one's room is elsewhere: that is
            // what a home is for.
            Status::Ended(Ending::Fin) if !self.has_home && self.own.is_none() => Step::Done,
            Status::Ended(how) => {
                line.fail(format!("ended by {how:?}, {} of {} heard", self.heard, self.left))
            }
            _ => Step::Wait,
        }
    }
}

#[test]
fn whoever_has_a_seat_hears_everything_in_order() {
    sim::check("game", 0..SEEDS, |sim: &mut Sim| {
        let players = 1 + sim.rng().below(20) as usize;
        let rude = sim.rng().below(3) as usize;
        let workers = 1 + sim.rng().below(4) as usize;
        let kind = RoomKind::new("echo", |_| Box::new(Echo::default()))
            .hz(1 + sim.rng().below(60) as u32)
            .players_max(1 + sim.rng().below(6) as u16);
        let has_home = sim.rng().chance(1, 2);
        let config = GameConfig::new(Key::new(&[4; 32]), [kind])
            .home(has_home.then_some(0))
            // Networks here may take a minute for what takes a second elsewhere.
            .reservation_timeout(Duration::from_secs(600))
            .address_requests(Rate::new(0, 0));
        let (config, mailbox) = (Arc::new(config), Mailbox::new());
        let (mail, watch) = (mailbox.clone(), GameWatch::new(workers, ["echo".to_string()]));
        let make = move || {
            let http = HttpConfig {
                head_timeout: Duration::from_secs(600),
                body_timeout: Duration::from_secs(600),
                answer_timeout: Duration::from_secs(600),
                keep_alive_timeout: Duration::from_secs(600),
                ..HttpConfig::default()
            };
            Game::http(config.clone(), &mail, &watch, http)
        };
        let taken = Taken::default();
        sim.serve(serve(make).mailbox(&mailbox).movable().tick(Game::TICK))
            .workers(workers)
            .room_for_all()
            .clients(players, move |rng| Player::new(rng, taken.clone(), has_home))
            .clients(rude, sim::rude_client)
            .limits(|limits| {
                limits.idle_timeout = Duration::from_secs(3_600);
                limits.input_max = limits.input_max.max(16 << 10);
                limits.output_max = limits.output_max.max(64 << 10);
            });
    });
}
