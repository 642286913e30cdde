//! A game that is operated: looked into, told other things while it runs, stopped and replaced; and what becomes of rooms.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;
use tungstenite::{Message, WebSocket};
use windlass_realtime::wire::{SUBPROTOCOL, Saying, Told, told, widen};

use crate::game::udp_of;
use crate::served::*;
use crate::server::*;

/// One request: the status, and the body as JSON, or as text.
fn ask(at: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = connect(at);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head[9..12].parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| Value::from(body)))
}

/// A player of the arena, who only listens.
pub(crate) struct Player {
    socket: WebSocket<TcpStream>,
    pub(crate) room: String,
    pub(crate) seat: u64,
    pub(crate) hz: u64,
    tick: u64,
    /// The tick of the welcome, and when that came.
    begun: (u64, Instant),
}

impl Player {
    pub(crate) fn join(at: &str, how: &str, wish: &str) -> Player {
        let (status, kept) = ask(at, "POST", &format!("/api/rooms/{how}"), wish);
        assert_eq!(status, 200, "{kept}");
        let socket = open(at, kept["path"].as_str().unwrap(), None).unwrap();
        let mut player = Player {
            socket,
            room: kept["room"].as_str().unwrap().into(),
            seat: kept["seat"].as_u64().unwrap(),
            hz: kept["hz"].as_u64().unwrap(),
            tick: 0,
            begun: (0, Instant::now()),
        };
        assert_eq!(player.hear(), None, "the welcome");
        player.begun = (player.tick, Instant::now());
        player
    }

    /// The next message: why it is over, if it is.
    fn hear(&mut self) -> Option<String> {
        loop {
            match self.socket.read().unwrap() {
                Message::Binary(bytes) => {
                    let (head, pieces) = told(&bytes).unwrap();
                    self.tick = widen(self.tick, head.tick);
                    let (mut end, mut seen) = (None, false);
                    for piece in pieces {
                        match piece.unwrap() {
                            Told::End(why) => end = Some(why.to_owned()),
                            Told::Snapshot(_) => seen = true,
                            _ => {}
                        }
                    }
                    if seen {
                        let confirm = Saying::new().confirm(self.tick).into_bytes();
                        // Who is closed meanwhile hears so with the next read.
                        let _ = self.socket.send(Message::binary(confirm));
                    }
                    return end;
                }
                Message::Close(_) => panic!("closed without a word"),
                _ => {}
            }
        }
    }

    /// Hears of all ticks up to this moment, and of some more.
    pub(crate) fn plays_on(&mut self) {
        let (first, begun) = self.begun;
        let now = first + begun.elapsed().as_millis() as u64 * self.hz / 1_000;
        while self.tick < now + 5 {
            assert_eq!(self.hear(), None, "at tick {} of {now}", self.tick);
        }
    }

    /// Until it is over: why, and the code it is closed with.
    pub(crate) fn end(mut self) -> (String, u16) {
        let why = loop {
            if let Some(why) = self.hear() {
                break why;
            }
        };
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return (why, frame.unwrap().code.into()),
                Ok(_) => {}
                Err(error) => panic!("{why}: {error}"),
            }
        }
    }

    pub(crate) fn leave(mut self) {
        self.socket.send(Message::binary(vec![6, 0])).unwrap();
        while self.socket.read().is_ok() {}
    }
}

/// The WebSocket at a path, or the status it is refused with.
fn open(at: &str, path: &str, origin: Option<&str>) -> Result<WebSocket<TcpStream>, u16> {
    let mut request = tungstenite::http::Request::builder()
        .uri(format!("ws://{at}{path}"))
        .header("host", at)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", SUBPROTOCOL);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    match tungstenite::client(request.body(()).unwrap(), connect(at)) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
            Err(answer.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_reload_says_what_of_udp_has_to_wait() {
    let (at, port) = (free(), free());
    let number: u64 = port.rsplit_once(':').unwrap().1.parse().unwrap();
    let file = |udp: &str| format!("{LOG}[server]\nworkers = 1\n[[game]]\nlisten = \"{at}\"\n{udp}");
    let udp = format!("[game.udp]\nlisten = \"{port}\"\nhost = \"a.example\"\n");
    let served = Served::start("game-reload-udp", &file(&udp));
    assert_eq!(udp_of(&at), ("a.example".into(), number));
    // What players are told is told anew, for it is only said.
    assert!(served.reload(&file(&udp.replace("a.example", "b.example"))));
    assert_eq!(udp_of(&at), ("b.example".into(), number));
    assert_eq!((served.count("settings of game"), served.count("restart needed")), (1, 0));
    // All else waits, and that is said; what is said beside it counts.
    let other = free();
    let told = [
        udp.replace("a.example", "b.example") + "peers_max = 7\n",
        udp.replace("a.example", "b.example").replace(&port, &other),
        String::new(),
    ];
    for (n, table) in told.iter().enumerate() {
        assert!(served.reload(&file(table)));
        assert_eq!(served.count("udp of the game game"), n + 1, "{}", served.log());
        assert_eq!(udp_of(&at), ("b.example".into(), number));
    }
    assert_eq!(served.count("settings of game"), 1, "nothing is said to be done: {}", served.log());
    let both = udp.replace("a.example", "c.example") + "silence_timeout = \"9s\"\n";
    assert!(served.reload(&file(&both)));
    assert_eq!(udp_of(&at), ("c.example".into(), number));
    assert_eq!((served.count("settings of game"), served.count("udp of the game game")), (2, 4));
    served.stop();
}

#[test]
fn a_reload_leaves_rooms_alone_and_says_what_it_could_not_do() {
    let (at, other, echo) = (free(), free(), free());
    let folder = Folder::new("game-reload-files");
    let game = |more: &str| format!("{LOG}[[game]]\nlisten = [{more}\nempty_timeout = \"1h\"\n");
    let served = Served::start("game-reload", &game(&format!("\"{at}\"]")));
    let mut player = Player::join(&at, "create", r#"{"name":"ann"}"#);
    assert_eq!(player.hz, 30);
    // Something else, another address, another log level: nothing to the game.
    let more = format!("{}[[echo]]\nlisten = \"{echo}\"\n", game(&format!("\"{at}\", \"{other}\"]")));
    assert!(served.reload(&more.replace(LOG, "[log]\nformat = \"json\"\nlevel = \"debug\"\n")));
    player.plays_on();
    assert!(!served.log().contains("settings of game"), "{}", served.log());
    // Its own settings: those who play, play on.
    let key = folder.file("join.key", "a secret that is long enough\n");
    let records = folder.path("records");
    let set = format!(
        "\"{at}\", \"{other}\"]\ntick_hz = 60\nplayers_max = 3\nspectators_max = 0\nrooms_max = 2\n\
         origins = [\"https://play.example\"]\nrecord = \"{records}\"\nmessage_max = \"1KiB\""
    );
    assert!(served.reload(&game(&set)));
    player.plays_on();
    served.wait_for("settings of game; its rooms stay", 1);
    assert!(!served.log().contains("restart needed"), "{}", served.log());
    let (_, rooms) = ask(&at, "GET", "/api/rooms", "");
    assert_eq!(rooms[0]["room"], player.room);
    assert_eq!((&rooms[0]["players_max"], &rooms[0]["spectators_max"]), (&16.into(), &16.into()));
    // Rooms that are opened now are as it says now.
    let newer = Player::join(&other, "create", "{}");
    assert_eq!(newer.hz, 60);
    let (_, rooms) = ask(&at, "GET", "/api/rooms", "");
    let its = rooms.as_array().unwrap().iter().find(|it| it["room"] == newer.room).unwrap();
    assert_eq!((&its["players_max"], &its["spectators_max"]), (&3.into(), &0.into()));
    assert_eq!(ask(&at, "POST", "/api/rooms/create", "{}").1["error"], "too_many_rooms");
    let (_, kept) = ask(&at, "POST", "/api/rooms/join-or-create", "{}");
    let path = kept["path"].as_str().unwrap();
    assert_eq!(open(&at, path, Some("https://elsewhere.example")).err(), Some(403));
    assert!(open(&at, path, Some("https://play.example")).is_ok());
    // A login from now on, and what cannot be told is said.
    let access = folder.path("access.log");
    let set = format!(
        "{}\ntoken_key_file = \"{key}\"\nmessage_max = \"512KiB\"\naccess_log = {{ path = \"{access}\" }}",
        set.replace("\nmessage_max = \"1KiB\"", "")
    );
    assert!(served.reload(&game(&set)));
    for key in ["access_log of the game game", "message_max of the game game"] {
        served.wait_for(key, 1);
    }
    assert_eq!(served.count("restart needed"), 2);
    assert_eq!(ask(&at, "POST", "/api/rooms/join-or-create", "{}").1["error"], "token");
    player.plays_on();
    // What is wrong changes nothing.
    assert!(!served.reload(&game(&set.replace(&key, "/nowhere/join.key"))));
    assert!(!served.reload(&game(&set.replace("tick_hz = 60", "tick_hz = 0"))));
    player.plays_on();
    // And a game that is not there any more tells its players.
    assert!(served.reload(&format!("{LOG}[[echo]]\nlisten = \"{echo}\"\n")));
    assert_eq!(player.end(), ("the server stops".into(), 4002));
    assert_eq!(newer.end(), ("the server stops".into(), 4002));
    served.stop();
    let matches: Vec<_> = std::fs::read_dir(&records).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(matches.len(), 1, "of the rooms that were opened since");
    let output = run(&["game", "replay", matches[0].to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_stop_tells_every_room_and_waits_for_nobody() {
    let server = Server::command(&["game", "127.0.0.1:0", "--workers", "2", "--log", "text"]);
    let players: Vec<Player> = (0..6).map(|_| Player::join(&server.address, "create", "{}")).collect();
    server.signal(Signal::TERM);
    for player in players {
        assert_eq!(player.end(), ("the server stops".into(), 4002));
    }
    let (status, _, log) = server.ended();
    assert!(status.success(), "{log}");
}

#[test]
fn an_upgrade_leaves_rooms_with_the_process_they_are_in_and_says_so() {
    let (at, admin) = (free(), free());
    let folder = Folder::new("game-upgrade-control");
    let text = format!(
        "{LOG}[server]\nworkers = 2\ncontrol = \"{}\"\n[admin]\nlisten = \"{admin}\"\n[[game]]\nlisten = \"{at}\"\n",
        folder.path("control")
    );
    let mut served = Served::start("game-upgrade", &text);
    let mut player = Player::join(&at, "join-or-create", "{}");
    let output = served.upgrade(&[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", served.log());
    let pid = said.strip_prefix("Process ").and_then(|rest| rest.split(' ').next()).unwrap();
    served.pids.insert(pid.parse().unwrap());
    let note = "Rooms of games stay with it until their players have left, for 10m at most; new ones are in the new process\n";
    assert!(said.ends_with(note), "{said}");
    player.plays_on();
    // Newcomers are elsewhere, and neither knows of the other's rooms.
    let newcomer = Player::join(&at, "join-or-create", "{}");
    assert_ne!(newcomer.room, player.room);
    assert_eq!(ask(&at, "GET", "/api/rooms", "").1.as_array().unwrap().len(), 1);
    let lost = format!(r#"{{"room":"{}"}}"#, player.room);
    assert_eq!(ask(&at, "POST", "/api/rooms/join", &lost).0, 404);
    player.plays_on();
    player.leave();
    let child = &mut served.child;
    wait_until(|| child.try_wait().unwrap().is_some(), || "the end of the one before".into());
    newcomer.leave();
}

#[test]
fn rooms_are_looked_into_and_ended_at_the_admin_address() {
    let (at, admin) = (free(), free());
    let text = format!(
        "{LOG}[server]\nworkers = 2\n[admin]\nlisten = \"{admin}\"\n[[game]]\nname = \"arena\"\nlisten = \"{at}\"\n"
    );
    let served = Served::start("game-admin", &text);
    let ann = Player::join(&at, "create", r#"{"name":"ann"}"#);
    let bob = Player::join(&at, "create", r#"{"name":"bob"}"#);
    let watcher =
        Player::join(&at, "join", &format!(r#"{{"room":"{}","spectate":true,"name":"cay"}}"#, bob.room));
    let get = |path: &str| ask(&admin, "GET", path, "");
    // Workers show what they count some times a second, the one a little before the other.
    wait_until(
        || {
            let (games, rooms) = (get("/api/games").1, get("/api/games/rooms?sort=players").1);
            let counters = &games[0]["counters"];
            (counters["joined"] == 3 && counters["here_websocket"] == 3 && games[0]["rooms_shown"] == 2)
                && (rooms["rooms"][0]["here"] == 2 && rooms["rooms"][1]["here"] == 1)
        },
        || format!("three who have joined: {:?} {:?}", get("/api/games"), get("/api/games/rooms")),
    );
    let (_, games) = get("/api/games");
    assert_eq!((&games[0]["name"], &games[0]["rooms_shown"]), (&"arena".into(), &2.into()));
    assert_eq!(games[0]["counters"]["here_websocket"], 3);
    assert_eq!(get("/api/state").1["games"][0]["name"], "arena");
    let (_, rooms) = get("/api/games/rooms?sort=players");
    assert_eq!((&rooms["total"], &rooms["matched"]), (&2.into(), &2.into()));
    assert_eq!(rooms["rooms"][0]["room"], bob.room, "with somebody who watches");
    let first = &rooms["rooms"][0];
    assert_eq!(
        (&first["players"], &first["players_max"], &first["spectators"]),
        (&1.into(), &16.into(), &1.into())
    );
    assert_eq!((&first["here"], &first["hz"], &first["kind"]), (&2.into(), &30.into(), &"arena".into()));
    let (_, found) = get(&format!("/api/games/rooms?game=arena&filter={}&per_page=1", ann.room));
    assert_eq!((&found["matched"], &found["rooms"][0]["room"]), (&1.into(), &Value::from(ann.room.as_str())));
    // Whichever worker a room is on.
    for (player, names) in [(&ann, vec!["ann"]), (&bob, vec!["bob", "cay"])] {
        let (status, room) = get(&format!("/api/games/room?room={}", player.room));
        let seats = room["seats"].as_array().unwrap();
        let seen: Vec<_> = seats.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!((status, seen), (200, names));
        assert_eq!((&seats[0]["state"], &seats[0]["gateway"]), (&"here".into(), &"websocket".into()));
        assert!(seats[0]["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{room}");
        assert!(room["ticks"].as_u64().unwrap() > 0 && room["bytes_out"].as_u64().unwrap() > 0);
    }
    for (path, status) in [
        ("/api/games/rooms?game=other", 404),
        ("/api/games/rooms?sort=luck", 400),
        ("/api/games/rooms?page=x", 400),
        ("/api/games/room?room=0000000000000", 404),
        ("/api/games/room?room=nonsense", 404),
        ("/api/games/room?game=other&room=0000000000000", 404),
    ] {
        assert_eq!(get(path).0, status, "{path}");
    }
    let post = |path: &str, body: String| ask(&admin, "POST", path, &body);
    let seat =
        |seat: u64| format!(r#"{{"game":"arena","room":"{}","seat":{seat},"why":"be kind"}}"#, bob.room);
    assert_eq!(post("/api/games/kick", seat(5)).0, 404);
    assert_eq!(post("/api/games/kick", seat(watcher.seat)), (200, "kicked\n".into()));
    assert_eq!(watcher.end(), ("be kind".into(), 4000));
    let end = |room: &str| format!(r#"{{"room":"{room}"}}"#);
    assert_eq!(post("/api/games/end", end("0000000000000")).0, 404);
    assert_eq!(post("/api/games/end", "{}".into()).0, 400);
    let room = ann.room.clone();
    assert_eq!(post("/api/games/end", end(&room)), (200, "ended\n".into()));
    assert_eq!(ann.end(), ("the operator has ended it".into(), 4002));
    let gone = || get(&format!("/api/games/room?room={room}"));
    wait_until(|| gone().0 == 404, || format!("the end of a room: {:?}", gone()));
    let mut bob = bob;
    bob.plays_on();
    // The log has who did what, and Prometheus is told how each room is.
    served.wait_for("the operator ends a room", 2);
    assert_eq!(served.count("the operator ends a room"), 2);
    let metrics = || ask(&admin, "GET", "/metrics", "").1;
    let alone = "windlass_game_here{game=\"arena\",gateway=\"websocket\"} 1\n";
    wait_until(|| metrics().as_str().unwrap().contains(alone), || format!("{alone}: {}", metrics()));
    let metrics = metrics();
    let room = format!("{{game=\"arena\",room=\"{}\"}} ", bob.room);
    for name in ["ticks_total", "sent_bytes_total", "received_bytes_total", "spectators", "players"] {
        let line = format!("windlass_game_room_{name}{room}");
        assert!(metrics.as_str().unwrap().contains(&line), "{line}: {metrics}");
    }
    bob.leave();
    served.stop();
}
