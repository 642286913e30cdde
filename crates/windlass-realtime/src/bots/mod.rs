//! Players of the arena who are no people: a load for a server, and a check of what it says.
//!
//! Each asks for a seat, takes it over a WebSocket or by ENet, sends an input for every tick, and reads and confirms every
//! snapshot. A service without listeners, which acts with its tick.

mod brain;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Deserialize;
use windlass::{
    Close, Conn, ConnId, Connect, ConnectError, Datagram, DatagramService, Input, Scope, Service, Sessions,
    Socket, Tick, Time,
};
use windlass_http::ws::{Message, WsConfig, WsServerConfig, WsSession, WsStats, WsWorker};
use windlass_proto::Decode;
use windlass_proto::http::{ClientConn, ResponseHeads, ResponsePart, Status};
use windlass_proto::ws::{HandshakeError, Opening};

use crate::arena::Arena;
use crate::snapshot::SnapshotReader;
use crate::wire::{SUBPROTOCOL, Saying, Told, told, widen};
use brain::Brain;
use udp::ByUdp;

/// What bots do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BotsConfig {
    /// The server.
    pub server: SocketAddr,
    /// As the server is called in requests, with its port.
    pub host: String,
    /// How many there are, on all workers together.
    pub count: usize,
    /// Workers they are spread over.
    pub workers: usize,
    /// How many begin in one tick of a worker.
    pub begin_max: usize,
    /// Of a hundred, so many come by UDP; the others by WebSocket. The [`Bots`] take datagrams then: they are served with
    /// [`Serve::datagrams`](windlass::Serve::datagrams).
    pub udp_percent: usize,
    /// Inputs of each in a second: ticks of the server's rooms, of which they know nothing before they are in one.
    pub hz: u32,
}

impl BotsConfig {
    /// So many players of a server.
    pub fn new(server: SocketAddr, count: usize) -> BotsConfig {
        BotsConfig {
            server,
            host: server.to_string(),
            count,
            workers: 1,
            begin_max: 8,
            udp_percent: 0,
            hz: 30,
        }
    }

    /// The period to give to [`Serve::tick`](windlass::Serve::tick). Players are not in step, so neither are bots: in each
    /// of these ticks some of them act, and all of them within [`BotsConfig::hz`].
    pub fn tick(&self) -> Duration {
        Duration::from_secs(1) / self.hz.max(1) / PHASES as u32
    }
}

/// What bots have seen, all of them together. Clones count together.
#[derive(Clone, Default, Debug)]
pub struct BotsWatch(Arc<Counts>);

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        #[derive(Default, Debug)]
        struct Counts { $($name: AtomicU64,)* }

        /// Numbers of a [`BotsWatch`].
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        #[non_exhaustive]
        pub struct BotsSeen { $($(#[doc = $doc])+ pub $name: u64,)* }

        impl BotsSeen {
            /// Names and values of all of them, in the order of their declaration.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        impl BotsWatch {
            /// What they have seen so far.
            pub fn seen(&self) -> BotsSeen {
                BotsSeen { $($name: self.0.$name.load(Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Seats they have now.
    seated,
    /// Seats they got.
    joined,
    /// Times that they got none: refused, or no connection.
    refused,
    /// Seats that ended before they were told to leave.
    lost,
    /// Inputs sent.
    inputs,
    /// Of the seats they have now, those by UDP.
    seated_udp,
    /// Messages received: one with a tick.
    messages,
    /// Bytes of them.
    bytes,
    /// Snapshots read.
    snapshots,
    /// Ticks between the first and the last of which nothing came: left out for a seat that does not keep up, or skipped
    /// by their room.
    missed,
    /// Snapshots that could not be read, or messages that are none.
    bad,
    /// Milliseconds from inputs to the snapshots that have them, all together.
    answered_ms,
    /// How many those were.
    answered,
}

/// The bots of one worker.
pub struct Bots {
    config: BotsConfig,
    watch: BotsWatch,
    ws: WsWorker,
    begun: usize,
    own: usize,
    nth: u64,
    /// Of those that have begun, so many come by UDP.
    begun_udp: usize,
    udp: ByUdp,
}

/// One bot, by its connection.
pub struct Bot(Stage);

enum Stage {
    Asking(Box<Asking>),
    Opening(Box<(Opening, ResponseHeads)>),
    Playing(Box<Playing>),
    /// It has gone on by UDP.
    Gone,
}

/// It has asked for a seat.
struct Asking {
    by_udp: bool,
    http: ClientConn,
    status: Option<Status>,
    body: Vec<u8>,
}

/// It has a seat by WebSocket, or is about to.
struct Playing {
    ws: WsSession,
    player: Player,
}

/// What a bot knows and wants, whatever way it came.
struct Player {
    reader: SnapshotReader,
    brain: Brain,
    seat: Option<u16>,
    /// In which ticks of ours it acts.
    phase: u64,
    tick: u64,
    confirm: Option<u64>,
    newest: u32,
    /// The last inputs, the newest first, and when each was sent.
    sent: Vec<([u8; 4], Time)>,
}

#[derive(Deserialize)]
struct Seat {
    path: String,
    ticket: String,
    udp: Option<udp::Place>,
}

/// Longest answer to a request for a seat.
const BODY_MAX: usize = 8 * 1024;
/// How long after a refusal a bot asks again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a seat and its WebSocket may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Inputs remembered to measure how long they took.
const SENT_MAX: usize = 60;
/// Into how many parts the time between two inputs is divided, each with bots of its own.
const PHASES: u64 = 8;

impl Bots {
    /// Those of worker `worker`, which is given its share of them.
    pub fn new(config: BotsConfig, watch: BotsWatch) -> Bots {
        let ws = WsWorker::new(WsServerConfig::default(), WsStats::new());
        Bots { config, watch, ws, begun: 0, own: 0, nth: 0, begun_udp: 0, udp: ByUdp::default() }
    }

    fn add(&self, which: impl FnOnce(&Counts) -> &AtomicU64, n: u64) {
        which(&self.watch.0).fetch_add(n, Relaxed);
    }

    fn begin(&mut self, scope: &mut Scope<'_>) {
        // What is refused here is tried again with the next tick.
        for _ in self.begun..self.own.min(self.begun + self.config.begin_max) {
            // As many of those that have begun come by UDP as there are to be, at any time.
            let by_udp = (self.begun + 1) * self.config.udp_percent > self.begun_udp * 100;
            let tag = u64::from(by_udp);
            if scope.connect(Connect::to(self.config.server).tag(tag)).is_err() {
                break;
            }
            self.begun += 1;
            self.begun_udp += usize::from(by_udp);
        }
    }

    /// A bot got no seat: it asks again in a while.
    fn again(&mut self, by_udp: bool, connect: impl FnOnce(Connect) -> Result<ConnId, ConnectError>) {
        self.add(|counts| &counts.refused, 1);
        if connect(Connect::to(self.config.server).tag(by_udp.into()).after(AGAIN)).is_err() {
            self.begun -= 1;
            self.begun_udp -= usize::from(by_udp);
        }
    }

    fn asked(
        &mut self,
        conn: &mut Conn<'_>,
        asking: &mut Asking,
        input: &mut Input<'_>,
    ) -> Result<Option<Stage>, Close> {
        while let Some(part) = asking.http.decode(input)? {
            match part {
                ResponsePart::Head(head) => asking.status = Some(head.status),
                ResponsePart::Body(bytes) if asking.body.len() + bytes.len() <= BODY_MAX => {
                    asking.body.extend_from_slice(bytes);
                }
                ResponsePart::Body(_) => {
                    return Err(Close::Protocol("a seat that takes so many words".into()));
                }
                ResponsePart::End => break,
                _ => {}
            }
        }
        if asking.http.pending() > 0 {
            return Ok(None);
        }
        let seat = match asking.status {
            Some(Status::OK) => serde_json::from_slice::<Seat>(&asking.body)?,
            _ => return Err(Close::Done),
        };
        if asking.by_udp {
            return self.by_udp(conn, &seat);
        }
        let mut random = [0; 32];
        for bytes in random.chunks_mut(8) {
            bytes.copy_from_slice(&conn.random().to_ne_bytes());
        }
        let opening = Opening::new(random).protocol(SUBPROTOCOL);
        let mut out = Vec::new();
        opening.request(&self.config.host, &seat.path, &WsConfig::default(), &mut out)?;
        conn.write(&out);
        Ok(Some(Stage::Opening(Box::new((opening, ResponseHeads::default())))))
    }
}

impl Player {
    fn new(seed: u64) -> Player {
        Player {
            reader: SnapshotReader::new(Arena::schema()),
            brain: Brain::new(seed),
            seat: None,
            phase: seed % PHASES,
            tick: 0,
            confirm: None,
            newest: 0,
            sent: Vec::new(),
        }
    }

    fn hear(&mut self, message: &[u8], now: Time, watch: &BotsWatch) {
        let counts = &watch.0;
        let add = |counter: &AtomicU64, n: u64| _ = counter.fetch_add(n, Relaxed);
        add(&counts.messages, 1);
        add(&counts.bytes, message.len() as u64);
        let Ok((head, pieces)) = told(message) else { return add(&counts.bad, 1) };
        // Datagrams overtake each other: nothing is as it was before.
        let (before, tick) = (self.tick, widen(self.tick, head.tick));
        self.tick = before.max(tick);
        if self.seat.is_some() {
            add(&counts.missed, tick.saturating_sub(before + 1));
        }
        let done = widen(self.newest.into(), head.input);
        let age = u64::from(self.newest).checked_sub(done).map(|age| age as usize);
        if let Some((_, sent)) = age.and_then(|age| self.sent.get(age)).filter(|_| head.age_ms < 255) {
            add(&counts.answered_ms, now.since(*sent).as_millis() as u64);
            add(&counts.answered, 1);
        }
        for piece in pieces {
            match piece {
                Ok(Told::Welcome(welcome)) => {
                    (self.seat, self.tick) = (Some(welcome.seat.0), welcome.tick);
                    add(&counts.seated, 1);
                    add(&counts.joined, 1);
                }
                Ok(Told::Snapshot(bytes)) => match self.reader.read(tick, bytes) {
                    Ok(view) => {
                        self.confirm = Some(tick);
                        self.brain.see(view, self.seat.unwrap_or(u16::MAX));
                        add(&counts.snapshots, 1);
                    }
                    Err(_) => add(&counts.bad, 1),
                },
                Ok(_) => {}
                Err(_) => add(&counts.bad, 1),
            }
        }
    }

    /// What it says with one tick: its input, and which snapshot has come.
    fn act(&mut self, now: Time, watch: &BotsWatch) -> Option<Vec<u8>> {
        self.seat?;
        let (buttons, aim) = self.brain.act();
        let [low, high] = (self.tick as u16).to_le_bytes();
        self.newest += 1;
        self.sent.insert(0, ([buttons, aim, low, high], now));
        self.sent.truncate(SENT_MAX);
        let inputs = self.sent.iter().take(3).map(|(input, _)| &input[..]);
        let mut saying = Saying::new().inputs(self.newest, inputs);
        if let Some(tick) = self.confirm.take() {
            saying = saying.confirm(tick);
        }
        watch.0.inputs.fetch_add(1, Relaxed);
        Some(saying.into_bytes())
    }
}

impl Service for Bots {
    type Session = Bot;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Bot>) {
        let (worker, workers) = (scope.worker(), self.config.workers.max(1));
        // The server may have more workers than they are spread over.
        let share = self.config.count / workers + usize::from(worker < self.config.count % workers);
        self.own = if worker < workers { share } else { 0 };
        self.begin(scope);
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Bot, Close> {
        Err(Close::Refused)
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<Bot, Close> {
        conn.wake_at(conn.now() + PATIENCE);
        self.nth += 1;
        let name = format!("bot {}-{}", conn.id().worker(), self.nth);
        let body = serde_json::json!({ "kind": "arena", "name": name }).to_string();
        let (mut http, mut out) = (ClientConn::default(), Vec::new());
        http.request(&mut out, "POST", "/api/rooms/join-or-create", &self.config.host)
            .header("content-type", "application/json")
            .body(body.as_bytes())?;
        conn.write(&out);
        Ok(Bot(Stage::Asking(Box::new(Asking { by_udp: tag != 0, http, status: None, body: Vec::new() }))))
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<Bot>,
        _: ConnId,
        tag: u64,
        _: ConnectError,
    ) {
        self.again(tag != 0, |connect| scope.connect(connect));
    }

    fn data(&mut self, conn: &mut Conn<'_>, Bot(bot): &mut Bot, input: &mut Input<'_>) -> Result<(), Close> {
        if let Stage::Asking(asking) = bot {
            match self.asked(conn, asking, input)? {
                Some(next) => *bot = next,
                None => return Ok(()),
            }
        }
        if let Stage::Opening(opening) = bot {
            let (opening, heads) = &mut **opening;
            let Some(head) = heads.decode(input)? else { return Ok(()) };
            let (endpoint, protocol) = opening.answer(&head, &WsConfig::default())?;
            if protocol != Some(SUBPROTOCOL) {
                return Err(HandshakeError::Protocol.into());
            }
            *bot = Stage::Playing(Box::new(Playing {
                ws: WsSession::new(endpoint, &mut self.ws, conn),
                player: Player::new(conn.random()),
            }));
        }
        let Stage::Playing(playing) = bot else { return Ok(()) };
        let now = conn.now();
        let mut heard = Vec::new();
        let outcome = playing.ws.data(&mut self.ws, conn, input, |_, message| {
            if let Message::Binary(bytes) = message {
                heard.push(bytes.to_vec());
            }
            Ok(())
        });
        heard.iter().for_each(|message| playing.player.hear(message, now, &self.watch));
        outcome
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, Bot(bot): &mut Bot) -> Result<(), Close> {
        match bot {
            Stage::Playing(playing) => playing.ws.timeout(&mut self.ws, conn).map(drop),
            _ => Err(Close::Timeout),
        }
    }

    fn draining(&mut self, conn: &mut Conn<'_>, Bot(bot): &mut Bot) -> Result<(), Close> {
        // Seats are given up, so that nobody waits for those who will not come back.
        let Stage::Playing(playing) = bot else { return Err(Close::Shutdown) };
        playing.ws.ws(&mut self.ws, conn).binary(&Saying::new().farewell().into_bytes());
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, Bot(bot): Bot, _: Close) {
        let playing = match bot {
            Stage::Playing(playing) => playing,
            // It plays on by UDP.
            Stage::Gone => return,
            Stage::Asking(_) | Stage::Opening(_) => {
                let by_udp = matches!(&bot, Stage::Asking(asking) if asking.by_udp);
                if !conn.is_draining() {
                    self.again(by_udp, |connect| conn.connect(connect));
                }
                return;
            }
        };
        playing.ws.closed(&mut self.ws);
        if playing.player.seat.is_some() {
            self.watch.0.seated.fetch_sub(1, Relaxed);
        }
        if !conn.is_draining() {
            self.add(|counts| &counts.lost, 1);
            self.again(false, |connect| conn.connect(connect));
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Bot>, tick: Tick) {
        // Those whose tick was missed act too, so that each has its inputs in a second.
        let phases = tick.missed.saturating_add(1).min(PHASES);
        let is_due = |phase: u64| tick.number.wrapping_sub(phase) % PHASES < phases;
        if !scope.is_draining() {
            if is_due(0) {
                self.begin(scope);
            }
            let Bots { ws, watch, .. } = self;
            sessions.each(scope, |conn, Bot(bot)| {
                if let Stage::Playing(playing) = bot
                    && is_due(playing.player.phase)
                    && let Some(saying) = playing.player.act(conn.now(), watch)
                {
                    playing.ws.ws(ws, conn).binary(&saying);
                }
            });
        }
        self.tick_udp(scope, is_due);
    }
}

impl DatagramService for Bots {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.udp.receive(socket, datagram.bytes, &self.watch);
    }

    fn draining(&mut self, socket: &mut Socket<'_>) {
        self.udp.leave(socket);
    }
}
