//! The service: matchmaking over HTTP, rooms that tick, and the connections and datagrams that lead to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use windlass::{Datagram, Mailbox, Peer, Placement, Socket, Tick, Time};
use windlass_http::ws::{WsConfig, WsServerConfig, WsStats, WsWorker};
use windlass_http::{App, DatagramApp, Http, HttpConfig, Later, Push, ReceiveApp, Replied, Reply, Request};
use windlass_proto::http::Status;
use windlass_proto::ws::HandshakeError;

use crate::began::Began;
use crate::bucket::Addresses;
use crate::config::GameConfig;
use crate::directory::{Asked, Directory};
use crate::gate::{ELSEWHERE, Gate, accept, code_of};
use crate::hall::{Hall, Reach, Way};
use crate::inspect::{self, Question, Told};
use crate::mail::{Answer, Ask, How, Inner, Mail, Notice, Refused, SeatKept, UdpPlace, Wish};
use crate::outbox::Free;
use crate::room::Leave;
use crate::stats::{GameStats, GameWatch, RoomBoard};
use crate::ticket::Ticket;
use crate::udp::Udp;

/// A game server on one worker: the app behind the pages of an [`Http`]. Each worker has its rooms; the first has the
/// directory of all.
///
/// | request | what it does |
/// | --- | --- |
/// | `GET /api/rooms` | the lobby; `?kind=`, `?free=true`, `?tags=key:value,..` |
/// | `POST /api/rooms/join-or-create` | a seat in the fullest room that suits, or in a new one |
/// | `POST /api/rooms/join` | a seat in the room that `room` names |
/// | `POST /api/rooms/create` | a seat in a new room |
/// | `GET /play?ticket=` | a WebSocket to the seat, with the subprotocol [`SUBPROTOCOL`](crate::wire::SUBPROTOCOL) |
///
/// The body of a `POST` is JSON: `kind`, `room`, `name`, `spectate`, `private`, `players_max`, `tags`, `token`, all of
/// them optional. The answer has `room`, `kind`, `seat`, `spectator`, `hz`, the `ticket`, the `path` of the WebSocket with the
/// ticket in it, and for how long the seat is kept (`expires_ms`); or `error`, one word.
///
/// Players may come by ENet too, where [`GameConfig::udp`] says so and each worker has a socket
/// ([`Serve::udp_on`](windlass::Serve::udp_on)): the answer has the `host` and `port` of that of the room's worker in `udp`
/// then. They connect with three channels, and show the ticket in the first reliable message on channel 0; what goes by which
/// channel is in [`wire`](crate::wire).
///
/// ```no_run
/// use std::sync::Arc;
/// use windlass::{Mailbox, serve};
/// use windlass_realtime::{Game, GameConfig, GameWatch, Key, Room, RoomKind};
///
/// struct Quiet;
/// impl Room for Quiet {}
///
/// let config = GameConfig::new(Key::new(&[0; 32]), [RoomKind::new("quiet", |_| Box::new(Quiet))]);
/// let (config, mailbox, watch) = (Arc::new(config), Mailbox::new(), GameWatch::new(2, ["quiet".to_string()]));
/// let its = mailbox.clone();
/// serve(move || Game::http(config.clone(), &its, &watch, Default::default()))
///     .mailbox(&mailbox)
///     .movable()
///     .tick(Game::TICK)
///     .workers(2)
///     .tcp("127.0.0.1:7777")
///     .run()?;
/// # Ok::<(), windlass::Error>(())
/// ```
pub struct Game {
    pub(crate) config: Arc<GameConfig>,
    pub(crate) hall: Hall,
    pub(crate) ws: WsWorker,
    ws_stats: WsStats,
    /// Connections whose seat another one has.
    pub(crate) superseded: Vec<Way>,
    /// The gateway of datagrams, if this worker may have some.
    udp: Option<Udp>,
    /// Messages of players so far, by WebSocket.
    pub(crate) messages: u64,
    watch: GameWatch,
    mailbox: Mailbox<Mail>,
    worker: Option<usize>,
    directory: Option<Directory>,
    addresses: Addresses,
    began: Began,
    /// Answers that could not be sent to where they are due.
    stuck: Vec<(Later, Answer)>,
}

/// The worker that has the directory.
const DIRECTORY: usize = 0;
/// Times that a seat is asked for again, since its room was gone when it came there.
const TRIES_MAX: u8 = 3;

impl Game {
    /// The period to give to [`Serve::tick`](windlass::Serve::tick). Rooms do not tick with it, they have deadlines of their
    /// own: it is how often what was counted is shown, and how long what could not be done at once waits at most.
    pub const TICK: Duration = Duration::from_millis(100);

    /// The service of one worker: matchmaking and gateway, to which pages may be added. `mailbox` and `watch` are those of
    /// all workers.
    pub fn http(
        config: Arc<GameConfig>,
        mailbox: &Mailbox<Mail>,
        watch: &GameWatch,
        http: HttpConfig,
    ) -> Http<Game> {
        let ws_stats = WsStats::new();
        let ws = ws_config(&config);
        // Until it is known which worker it is, nothing is shown.
        let board = RoomBoard::new(watch.clone(), usize::MAX);
        let game = Game {
            hall: Hall::new(config.clone(), board),
            config,
            ws: WsWorker::new(ws, ws_stats.clone()),
            ws_stats,
            superseded: Vec::new(),
            udp: None,
            messages: 0,
            watch: watch.clone(),
            mailbox: mailbox.clone(),
            worker: None,
            directory: None,
            addresses: Addresses::default(),
            began: Began::default(),
            stuck: Vec::new(),
        };
        Http::new(game)
            .config(http)
            .get("/api/rooms", Game::list)
            .post("/api/rooms/join-or-create", |game, request, reply| {
                game.seat(How::JoinOrCreate, request, reply)
            })
            .body_max(BODY_MAX)
            .post("/api/rooms/join", |game, request, reply| game.seat(How::Join, request, reply))
            .body_max(BODY_MAX)
            .post("/api/rooms/create", |game, request, reply| game.seat(How::Create, request, reply))
            .body_max(BODY_MAX)
            .upgrade("/play", "websocket", accept)
    }

    /// Messages that players of this worker have sent.
    pub fn messages(&self) -> u64 {
        self.messages + self.hall.stats.udp_messages_in
    }

    /// What the WebSockets of this worker have counted.
    pub fn ws_stats(&self) -> &WsStats {
        &self.ws_stats
    }

    /// Other settings for a game that runs, on all its workers; its rooms stay, and so does everybody in them. The kinds of
    /// rooms have to be the same, by their names: else only they stay what they are. Their rates and seats are those of
    /// rooms opened from now on, as where records go is. The key, the home, the clock and the time stay what they are, and
    /// connections that are open keep their [`message_max`](GameConfig::message_max).
    ///
    /// False: some worker has too much mail, or the game is not there any more.
    pub fn set(mailbox: &Mailbox<Mail>, config: GameConfig) -> bool {
        let config = Arc::new(config);
        (0..mailbox.workers()).all(|worker| mailbox.send(worker, Mail(Inner::Set(config.clone()))).is_ok())
    }

    fn apply(&mut self, config: &GameConfig) {
        let old = &self.config;
        let names =
            |config: &GameConfig| config.kinds.iter().map(|kind| kind.name.clone()).collect::<Vec<_>>();
        let kinds = if names(old) == names(config) { &config.kinds } else { &old.kinds };
        let config = Arc::new(GameConfig {
            key: old.key.clone(),
            kinds: kinds.clone(),
            unix_ms: old.unix_ms,
            home: old.home,
            clock: old.clock,
            ..config.clone()
        });
        self.ws.set_config(ws_config(&config));
        self.hall.set(config.clone());
        if let Some(udp) = &mut self.udp {
            udp.set(&config);
        }
        if let Some(directory) = &mut self.directory {
            directory.set(config.clone());
        }
        self.config = config;
    }

    /// Somebody outside asks, or wants something ended.
    fn outside(&mut self, push: &mut Push<'_, '_, Game>, ask: inspect::Ask, now: Time) {
        if !self.hall.has(ask.question.room()) {
            return ask.pass_on(&self.mailbox);
        }
        let Game { hall, ws, udp, .. } = &mut *self;
        let reach = &mut Reached { push, ws, udp };
        let told = match &ask.question {
            Question::Room(room) => Told::Room(hall.detail(*room, now, reach).map(Box::new)),
            Question::End { room, why } => Told::Ended(hall.end_room(*room, why, reach)),
            Question::Kick { room, seat, why } => Told::Kicked(hall.kick(*room, *seat, why, reach)),
        };
        if let Some(udp) = udp {
            settle_up(udp, push);
        }
        ask.answer(told);
        self.tell();
    }

    pub(crate) fn ws_refused(&mut self, _: &HandshakeError) {
        self.hall.stats.refused += 1;
    }

    /// Which worker this is.
    pub(crate) fn settle(&mut self, worker: usize, now: Time) {
        if self.worker.is_none() {
            self.worker = Some(worker);
            self.hall.board = RoomBoard::new(self.watch.clone(), worker);
            let limits = self.config.udp.clone();
            self.udp = limits.map(|limits| Udp::new(self.config.clone(), limits, worker));
            if worker == DIRECTORY {
                self.directory = Some(Directory::new(self.config.clone(), self.mailbox.workers(), now));
            }
        }
    }

    fn list(&mut self, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
        let tags = request.param("tags").unwrap_or_default();
        let tags: BTreeMap<String, String> = tags
            .split(',')
            .filter_map(|tag| tag.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let filter = Wish { kind: request.param("kind"), tags, ..Wish::default() };
        let free = request.param("free").is_some_and(|free| matches!(free.as_str(), "1" | "true" | ""));
        self.ask(Ask::List { filter, free }, request, reply)
    }

    fn seat(&mut self, how: How, request: &Request<'_>, reply: Reply<'_, '_>) -> Replied {
        match request.json::<Wish>() {
            Ok(wish) => {
                let host = request.header("host").and_then(host_of).map(Box::from);
                self.ask(Ask::Seat { how, wish, host }, request, reply)
            }
            Err(refusal) => reply.refuse(refusal),
        }
    }

    /// Asks the directory, on whatever worker this is.
    fn ask(&mut self, ask: Ask, request: &Request<'_>, mut reply: Reply<'_, '_>) -> Replied {
        let now = reply.conn().now();
        self.settle(reply.conn().id().worker(), now);
        let rate = self.config.address_requests;
        if let Some(addr) = request.peer.addr()
            && !self.addresses.take(addr.ip(), rate, now)
        {
            self.hall.stats.refused_rate += 1;
            return refuse(reply.header("retry-after", "1"), Status::TOO_MANY_REQUESTS, "too_many_requests");
        }
        if reply.conn().is_draining() {
            return refuse(reply, Status::SERVICE_UNAVAILABLE, "stopping");
        }
        let (replied, later) = reply.later();
        if self.mailbox.send(DIRECTORY, Mail(Inner::Ask { ask, later, tries: 0 })).is_err() {
            self.stuck.push((later, Answer::Refused(Refused::Busy)));
        }
        replied
    }

    /// Tells the directory what has become of rooms. What it has no room for waits: no seat is forgotten.
    pub(crate) fn tell(&mut self) {
        let mut sent = 0;
        for notice in &self.hall.notices {
            if self.mailbox.send(DIRECTORY, Mail(Inner::Notice(notice.clone()))).is_err() {
                break;
            }
            sent += 1;
        }
        self.hall.notices.drain(..sent);
    }

    /// The directory is asked.
    fn asked(&mut self, ask: Ask, later: Later, tries: u8, now: Time) {
        let Some(directory) = &mut self.directory else { return };
        let answer = match directory.ask(&ask, now) {
            Ok(Asked::List(rooms)) => Answer::List(rooms),
            Ok(Asked::Promise(promise)) => {
                let (ticket, worker) = (promise.ticket, usize::from(promise.ticket.worker));
                let opened = match promise.open {
                    None => true,
                    Some(open) => {
                        let (kind, options, spec) = (open.kind, open.options, open.spec);
                        let open = Mail(Inner::Open { room: ticket.room, kind, options, spec });
                        self.mailbox.send(worker, open).is_ok()
                    }
                };
                let expect = Inner::Expect { ticket, guest: promise.guest, again: ask, later, tries };
                if opened && self.mailbox.send(worker, Mail(expect)).is_ok() {
                    return;
                }
                // Nobody there knows of it.
                directory.notice(match opened {
                    true => Notice::Freed { room: ticket.room, seat: ticket.seat, serial: ticket.serial },
                    false => Notice::Closed { room: ticket.room },
                });
                Answer::Refused(Refused::Busy)
            }
            Err(refused) => Answer::Refused(refused),
        };
        self.answer(later, answer);
    }

    fn answer(&mut self, later: Later, answer: Answer) {
        if matches!(answer, Answer::Refused(_)) {
            self.hall.stats.refused += 1;
        }
        // Who is not reached so gets a 504 in time.
        let _ = self.mailbox.send(later.worker(), Mail(Inner::Answer { later, answer }));
    }

    /// A seat of a room here is to be kept.
    fn expect(&mut self, expected: Expected, now: Time) {
        let Expected { ticket, guest, again, later, tries } = expected;
        if !self.hall.expect(ticket, guest, now) {
            // It closes, or has closed: nobody else is to be sent there.
            let (room, seat, serial) = (ticket.room, ticket.seat, ticket.serial);
            self.hall.notices.push(Notice::Freed { room, seat, serial });
            self.hall.notices.push(Notice::Locked { room, locked: true });
            self.tell();
            let again = Inner::Ask { ask: again, later, tries: tries + 1 };
            if tries >= TRIES_MAX || self.mailbox.send(DIRECTORY, Mail(again)).is_err() {
                self.answer(later, Answer::Refused(Refused::Busy));
            }
            return;
        }
        let udp = self.udp.as_ref().and_then(Udp::place).map(|(ip, port)| {
            let told = self.config.udp.as_ref().and_then(|udp| udp.host.clone());
            let asked = match again {
                Ask::Seat { host, .. } => host.map(String::from),
                Ask::List { .. } => None,
            };
            UdpPlace { host: told.or(ip.map(|ip| ip.to_string())).or(asked), port }
        });
        let text = ticket.write(&self.config.key);
        let (kind, hz) =
            self.hall.describe(ticket.room).map_or((String::new(), 0), |(kind, hz)| (kind.into(), hz));
        let kept = SeatKept {
            room: ticket.room.to_string(),
            kind,
            seat: ticket.seat.0,
            spectator: self.hall.is_spectator(ticket),
            hz,
            path: format!("/play?ticket={text}"),
            ticket: text,
            udp,
            expires_ms: self.config.reservation_timeout.as_millis() as u64,
        };
        self.answer(later, Answer::Seat(kept));
    }

    /// What could not be done in the callback it came from.
    fn relieve(&mut self, push: &mut Push<'_, '_, Game>) {
        for way in std::mem::take(&mut self.superseded) {
            match way {
                Way::WebSocket(conn) => {
                    if let Some((mut conn, gate)) = push.upgraded(conn) {
                        gate.elsewhere(&mut self.ws, &mut conn);
                    }
                }
                Way::Udp(peer) => {
                    if let Some(udp) = &mut self.udp {
                        udp.end(peer, ELSEWHERE.0);
                        settle_up(udp, push);
                    }
                }
            }
        }
        for (later, answer) in std::mem::take(&mut self.stuck) {
            answered(push, later, answer);
        }
        self.tell();
    }
}

fn ws_config(config: &GameConfig) -> WsServerConfig {
    WsServerConfig::default()
        .endpoint(WsConfig::default().message_max(config.message_max))
        .origins(config.origins.clone())
}

/// What is due by datagrams is done in time.
fn settle_up(udp: &mut Udp, push: &mut Push<'_, '_, Game>) {
    let Some(id) = udp.socket() else { return };
    if let Some(mut socket) = push.scope().socket(id) {
        udp.settle_up(&mut socket);
    }
}

/// The host of a `Host` header, if it looks like one: it is told to whoever sent it, and nobody else.
fn host_of(header: &str) -> Option<&str> {
    const LEN_MAX: usize = 253;
    let host = match header.strip_prefix('[') {
        Some(six) => six.split_once(']')?.0,
        None => header.rsplit_once(':').map_or(header, |(host, _)| host),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    ((1..=LEN_MAX).contains(&host.len()) && host.bytes().all(is_plain)).then_some(host)
}

struct Expected {
    ticket: Ticket,
    guest: crate::Guest,
    again: Ask,
    later: Later,
    tries: u8,
}

/// Bytes of a request to matchmaking.
const BODY_MAX: u64 = 8 * 1024;

#[derive(Serialize)]
struct Error<'a> {
    error: &'a str,
}

fn refuse(reply: Reply<'_, '_>, status: Status, error: &str) -> Replied {
    reply.status(status).header("cache-control", "no-store").json(&Error { error })
}

fn answered(push: &mut Push<'_, '_, Game>, later: Later, answer: Answer) {
    push.answer(later, |reply| match &answer {
        Answer::Seat(kept) => reply.header("cache-control", "no-store").json(kept),
        Answer::List(rooms) => reply.header("cache-control", "no-store").json(rooms),
        Answer::Refused(refused) => {
            let status = match refused {
                Refused::NoKind | Refused::NoRoom => Status::NOT_FOUND,
                Refused::Full | Refused::Locked => Status::CONFLICT,
                Refused::Token => Status::FORBIDDEN,
                Refused::Tags => Status::BAD_REQUEST,
                Refused::TooManyRooms | Refused::Busy => Status::SERVICE_UNAVAILABLE,
            };
            refuse(reply, status, refused.label())
        }
    });
}

/// Players of this worker, by their connections.
struct Reached<'x, 'p, 's> {
    push: &'x mut Push<'p, 's, Game>,
    ws: &'x mut WsWorker,
    udp: &'x mut Option<Udp>,
}

impl Reach for Reached<'_, '_, '_> {
    fn free(&mut self, way: Way) -> Option<Free> {
        match way {
            Way::WebSocket(conn) => {
                let (conn, _) = self.push.upgraded(conn)?;
                Some(Free { congested: conn.output_len() > 0, ..Free::ALL })
            }
            Way::Udp(peer) => self.udp.as_ref()?.free(peer),
        }
    }

    fn send(&mut self, way: Way, message: &[u8], stats: &mut GameStats) {
        match way {
            Way::WebSocket(conn) => {
                if let Some((mut conn, gate)) = self.push.upgraded(conn) {
                    gate.send(self.ws, &mut conn, message);
                }
            }
            Way::Udp(peer) => {
                let Some(udp) = self.udp.as_mut() else { return };
                let Some(id) = udp.socket() else { return };
                if let Some(mut socket) = self.push.scope().socket(id) {
                    udp.send(&mut socket, peer, message, stats);
                }
            }
        }
    }

    fn end(&mut self, way: Way, why: Leave, text: &str) {
        match way {
            Way::WebSocket(conn) => {
                if let Some((mut conn, gate)) = self.push.upgraded(conn) {
                    gate.end(self.ws, &mut conn, why, text);
                }
            }
            Way::Udp(peer) => {
                if let Some(udp) = self.udp.as_mut() {
                    udp.end(peer, code_of(why).0);
                }
            }
        }
    }

    fn shown(&mut self, way: Way) -> (Option<String>, usize) {
        match way {
            Way::WebSocket(conn) => {
                let Some((conn, _)) = self.push.upgraded(conn) else { return (None, 0) };
                (Some(conn.peer().to_string()), conn.output_len())
            }
            Way::Udp(peer) => {
                let Some(stats) = self.udp.as_ref().and_then(|udp| udp.stats(peer)) else { return (None, 0) };
                (Some(stats.addr.to_string()), stats.queued_bytes)
            }
        }
    }
}

impl App for Game {
    type Upgraded = Gate;

    fn place(&mut self, _: Peer, _: usize) -> Placement {
        self.config.home.map_or(Placement::Balanced, Placement::Worker)
    }

    fn tick(&mut self, push: &mut Push<'_, '_, Game>, _: Tick) {
        let now = push.scope().now();
        self.settle(push.scope().worker(), now);
        self.relieve(push);
        if let Some(udp) = &mut self.udp {
            udp.find_socket(push.scope());
            udp.count(&mut self.hall.stats);
        }
        if let Some(worker) = self.worker {
            self.watch.publish(worker, &self.hall.stats);
        }
    }

    fn deadline(&mut self) -> Option<Time> {
        self.hall.next()
    }

    fn due(&mut self, push: &mut Push<'_, '_, Game>) {
        let now = push.scope().now();
        self.settle(push.scope().worker(), now);
        let begun = self.hall.clock().map(|clock| self.began.at(now, clock));
        let Game { hall, ws, udp, .. } = &mut *self;
        // One tick of each room for which it is time. Who is late still is due again in the next turn: nobody makes up for
        // two ticks while others wait for one, and connections are served in between.
        hall.due(now, begun, &mut Reached { push, ws, udp });
        if let Some(udp) = udp {
            settle_up(udp, push);
        }
        self.tell();
    }

    fn shutdown(&mut self, push: &mut Push<'_, '_, Game>) {
        let now = push.scope().now();
        let Game { hall, ws, udp, .. } = &mut *self;
        hall.stop(now, &mut Reached { push, ws, udp });
        if let Some(udp) = udp {
            udp.close();
        }
        self.tell();
    }
}

impl ReceiveApp for Game {
    type Message = Mail;

    fn receive(&mut self, push: &mut Push<'_, '_, Game>, mail: Mail) {
        let now = push.scope().now();
        self.settle(push.scope().worker(), now);
        match mail.0 {
            Inner::Ask { ask, later, tries } => self.asked(ask, later, tries, now),
            Inner::Answer { later, answer } => answered(push, later, answer),
            Inner::Open { room, kind, options, spec } => self.hall.open(room, kind, &options, spec, now),
            Inner::Expect { ticket, guest, again, later, tries } => {
                if let Some(udp) = &mut self.udp {
                    udp.find_socket(push.scope());
                }
                self.expect(Expected { ticket, guest, again, later, tries }, now);
            }
            Inner::Outside(ask) => self.outside(push, ask, now),
            Inner::Set(config) => self.apply(&config),
            Inner::Notice(notice) => {
                if let Some(directory) = &mut self.directory {
                    directory.notice(notice);
                }
            }
        }
    }
}

impl Game {
    /// Does what datagrams and time have brought, and sees to it that what is owed for it leaves in time.
    fn after(&mut self, socket: &mut Socket<'_>) {
        let Game { hall, udp, superseded, .. } = &mut *self;
        let Some(udp) = udp else { return };
        udp.happened(socket, hall, superseded);
        udp.flush(socket);
        // To send is to notice who has not answered for too long.
        udp.happened(socket, hall, superseded);
        udp.settle_up(socket);
        self.tell();
    }
}

impl DatagramApp for Game {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        self.settle(socket.id().worker(), socket.now());
        if let Some(udp) = &mut self.udp {
            udp.receive(socket, &datagram);
            self.after(socket);
        }
    }

    fn datagrams_drained(&mut self, socket: &mut Socket<'_>) {
        self.after(socket);
    }

    fn datagrams_timeout(&mut self, socket: &mut Socket<'_>) {
        let Game { hall, udp, .. } = &mut *self;
        if let Some(udp) = udp {
            udp.pass(socket, &mut hall.stats);
        }
        self.after(socket);
    }

    fn datagrams_draining(&mut self, socket: &mut Socket<'_>) {
        if self.udp.is_none() {
            return socket.close();
        }
        self.after(socket);
    }
}
