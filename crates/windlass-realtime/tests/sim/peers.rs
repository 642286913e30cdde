//! The same by datagrams: players by ENet on networks that lose, double, delay and reorder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;
use windlass::sim::{self, Client, Line, Sim, Status, Step};
use windlass::{Mailbox, Time, serve};
use windlass_http::HttpConfig;
use windlass_proto::enet::{Config, DATAGRAM_MAX, Ended, Event, Host, Kind, PeerId};
use windlass_proto::http::{ClientConn, ResponsePart};
use windlass_proto::testing::Rng;
use windlass_proto::{Decode, Input};
use windlass_realtime::wire::{Saying, Told, told, widen};
use windlass_realtime::{
    Channel, Game, GameConfig, GameWatch, Key, Rate, Room, RoomKind, SnapshotReader, UdpConfig,
};

use super::{Echo, SEEDS, Taken};

/// How long a player tries: there are networks here that carry next to nothing.
const PATIENCE: Duration = Duration::from_secs(120);
const EVERY: Duration = Duration::from_millis(20);

struct Peer {
    http: ClientConn,
    unsent: Vec<u8>,
    pending: Vec<u8>,
    body: Vec<u8>,
    ticket: Option<String>,
    host: Host,
    peer: Option<PeerId>,
    taken: Taken,
    own: Option<(String, u16)>,
    left: u32,
    said: u32,
    heard: u32,
    tick: u64,
    reader: SnapshotReader,
    until: Option<Time>,
    over: bool,
    finished: Arc<AtomicU64>,
}

impl Peer {
    fn new(rng: &mut Rng, taken: Taken, finished: Arc<AtomicU64>) -> Peer {
        let mut seed = [0; 16];
        rng.fill(&mut seed);
        let (mut http, mut unsent) = (ClientConn::default(), Vec::new());
        let asked = http
            .request(&mut unsent, "POST", "/api/rooms/join-or-create", "test.example")
            .header("content-type", "application/json")
            .body(b"{}");
        asked.unwrap();
        Peer {
            http,
            unsent,
            pending: Vec::new(),
            body: Vec::new(),
            ticket: None,
            host: Host::new(Config { accept: false, ..Config::default() }, seed),
            peer: None,
            taken,
            own: None,
            left: rng.below(20) as u32,
            said: 0,
            heard: 0,
            tick: 0,
            reader: SnapshotReader::new(Echo::default().schema().unwrap()),
            until: None,
            over: false,
            finished,
        }
    }

    /// The answer to the request for a seat, when it is whole.
    fn answered(&mut self, received: &[u8]) -> Result<bool, String> {
        self.pending.extend_from_slice(received);
        let mut pending = std::mem::take(&mut self.pending);
        let mut input = Input::new(&mut pending);
        while let Some(part) = self.http.decode(&mut input).map_err(|error| error.to_string())? {
            match part {
                ResponsePart::Head(head) if head.status.code() != 200 => {
                    return Err(format!("no seat: {}", head.status.code()));
                }
                ResponsePart::Body(bytes) => self.body.extend_from_slice(bytes),
                ResponsePart::End => {
                    let kept: Value =
                        serde_json::from_slice(&self.body).map_err(|error| error.to_string())?;
                    // The address that is told is one of many here.
                    if !kept["udp"]["port"].is_u64() {
                        return Err(format!("no UDP in {kept}"));
                    }
                    self.ticket = kept["ticket"].as_str().map(str::to_owned);
                    return Ok(true);
                }
                _ => {}
            }
        }
        let left = input.len();
        self.pending = pending.split_off(pending.len() - left);
        Ok(false)
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Connected { peer, .. } => {
                let ticket = self.ticket.as_deref().unwrap_or_default();
                self.host
                    .send(peer, 0, Kind::Reliable, ticket.as_bytes())
                    .map_err(|error| error.to_string())?;
            }
            Event::Message { channel, bytes, .. } => self.message(channel, &bytes)?,
            Event::Disconnected { ended, .. } => {
                self.over = true;
                self.gone();
                if ended == Ended::Remote(1000) {
                    self.finished.fetch_add(1, Relaxed);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn message(&mut self, channel: u8, message: &[u8]) -> Result<(), String> {
        let (head, pieces) = told(message).map_err(|error| error.to_string())?;
        let tick = widen(self.tick, head.tick);
        self.tick = self.tick.max(tick);
        for piece in pieces {
            match (channel, piece.map_err(|error| error.to_string())?) {
                (0, Told::Welcome(welcome)) => {
                    let own = (welcome.room.to_owned(), welcome.seat.0);
                    if self.own.is_some() || !self.taken.borrow_mut().insert(own.clone()) {
                        return Err(format!("seat {own:?} is somebody's"));
                    }
                    (self.own, self.tick) = (Some(own), welcome.tick);
                }
                (0, Told::Message(Channel::Reliable, bytes)) => {
                    if bytes != self.heard.to_le_bytes() {
                        return Err(format!("heard {bytes:?} instead of {}", self.heard));
                    }
                    self.heard += 1;
                }
                (1, Told::Snapshot(bytes)) => {
                    self.reader.read(tick, bytes).map_err(|error| error.to_string())?;
                    if let Some(peer) = self.peer {
                        let saying = Saying::new().confirm(tick).into_bytes();
                        let _ = self.host.send(peer, 1, Kind::Unreliable, &saying);
                    }
                }
                (0, Told::End(_)) => {}
                (channel, other) => return Err(format!("told {other:?} on channel {channel}")),
            }
        }
        Ok(())
    }

    fn act(&mut self) {
        let (Some(peer), Some(own)) = (self.peer, &self.own) else { return };
        let say = |host: &mut Host, saying: Saying| {
            host.send(peer, 0, Kind::Reliable, &saying.into_bytes()).is_ok()
        };
        if self.said < self.left && self.said - self.heard < 3 {
            let saying = Saying::new().message(Channel::Reliable, &self.said.to_le_bytes());
            self.said += u32::from(say(&mut self.host, saying));
        } else if self.said == self.left && self.heard == self.said {
            // Before it says so: from then on the seat is anybody's.
            self.taken.borrow_mut().remove(own);
            self.said += 1;
            say(&mut self.host, Saying::new().farewell());
        }
    }

    fn gone(&mut self) {
        if let Some(own) = self.own.take().filter(|_| self.said <= self.left) {
            self.taken.borrow_mut().remove(&own);
        }
    }
}

impl Client for Peer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        let now = line.now();
        let until = *self.until.get_or_insert(now + PATIENCE);
        if self.ticket.is_none() {
            if line.status() == Status::Idle {
                line.connect();
            }
            let mut received = Vec::new();
            line.receive(&mut received, usize::MAX);
            match self.answered(&received) {
                Ok(true) => line.close(),
                Ok(false) => {
                    if line.status() == Status::Open {
                        let sent = line.send(&self.unsent);
                        self.unsent.drain(..sent);
                    }
                    return match line.status() {
                        Status::Ended(_) if line.excused() => Step::Done,
                        Status::Ended(how) => line.fail(format!("no answer: {how:?}")),
                        _ => Step::Wait,
                    };
                }
                Err(_) if line.excused() => return Step::Done,
                Err(error) => return line.fail(error),
            }
            let to = line.datagram_server();
            self.peer = self.host.connect(now, to, 3, 0).ok();
        }
        let to = line.datagram_server();
        while let Some((_, bytes)) = line.receive_datagram() {
            self.host.receive(now, to, &bytes);
        }
        let mut buf = [0; DATAGRAM_MAX];
        for _ in 0..2 {
            while let Some(event) = self.host.poll_event() {
                if let Err(error) = self.event(event) {
                    return line.fail(error);
                }
            }
            self.act();
            while let Some((to, len)) = self.host.poll_transmit(now, &mut buf) {
                line.send_datagram_to(to, &buf[..len]);
            }
        }
        if self.over || now >= until {
            self.gone();
            return Step::Done;
        }
        Step::Until(now + EVERY)
    }
}

#[test]
fn whoever_has_a_seat_by_udp_hears_everything_in_order() {
    let (played, finished) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    sim::check("game_udp", 0..SEEDS, |sim: &mut Sim| {
        let players = 1 + sim.rng().below(6) as usize;
        played.fetch_add(players as u64, Relaxed);
        let kind = RoomKind::new("echo", |_| Box::new(Echo::default()))
            .hz(1 + sim.rng().below(60) as u32)
            .players_max(1 + sim.rng().below(6) as u16);
        // All sockets of a service have one port here.
        let workers = 1;
        let limits = UdpConfig::default()
            .ticket_timeout(Duration::from_secs(60))
            .silence_timeout(Duration::from_secs(30));
        let config = GameConfig::new(Key::new(&[4; 32]), [kind])
            .udp(Some(limits))
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
        let (taken, done) = (Taken::default(), finished.clone());
        sim.serve(serve(make).mailbox(&mailbox).movable().datagrams().tick(Game::TICK))
            .workers(workers)
            .room_for_all()
            .clients(players, move |rng| Peer::new(rng, taken.clone(), done.clone()))
            .limits(|limits| {
                limits.idle_timeout = Duration::from_secs(3_600);
                limits.input_max = limits.input_max.max(16 << 10);
                limits.output_max = limits.output_max.max(64 << 10);
            });
    });
    // Servers end in the middle here, and some networks carry no ticket; most do.
    let (played, finished) = (played.into_inner(), finished.load(Relaxed));
    println!("{finished} of {played} heard all and left");
    if std::env::var_os("WINDLASS_SIM_SEED").is_none() {
        assert!(finished * 3 > played, "{finished} of {played} heard all and left");
    }
}
