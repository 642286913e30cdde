//! A game server for a while: players come, go, vanish, come back and say nonsense, and its counts agree with the clock.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::clients::*;
use crate::served::*;
use crate::server::*;
use crate::soak::{NEVER_SHED, length};

/// How long, unless `WINDLASS_SOAK` says so.
const USUALLY: Duration = Duration::from_secs(20);
/// What memory may grow by after a fifth of the time, in KiB.
const GROWTH_MAX: usize = 8 * 1024;
const HZ: f64 = 60.0;
/// Who stay: three full rooms.
const STEADY: u64 = 48;
/// What the count of a room's ticks may differ by from the clock. A room that is late when it is looked at catches up by
/// five, so it may be as many behind; and one is due between two readings of the clock.
const TICKS_OFF: f64 = 7.0;
const KINDS: usize = 5;

/// All that a game says of itself at one moment, between two readings of the clock.
struct Look {
    text: String,
    asked: Instant,
    answered: Instant,
}

impl Look {
    fn at(admin: &str) -> Look {
        let asked = Instant::now();
        let mut stream = connect(admin);
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        Look { text, asked, answered: Instant::now() }
    }

    /// The sum of a figure's samples whose labels have `label` in them.
    fn sum(&self, name: &str, label: &str) -> f64 {
        let samples: Vec<f64> = self
            .text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter(|line| line.contains(label))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        assert!(!samples.is_empty(), "no {name} with {label} in:\n{}", self.text);
        samples.iter().sum()
    }

    /// The number of a room's last tick, those skipped included.
    fn tick(&self, room: &str) -> f64 {
        self.sum("windlass_game_room_tick_lateness_seconds_count", room)
            + self.sum("windlass_game_room_skipped_total", room)
    }

    fn seats(&self) -> f64 {
        self.sum("windlass_game_seats", "")
    }

    /// Those who took a seat and have not given it up.
    fn joined_and_not_left(&self) -> f64 {
        self.sum("windlass_game_joined_total", "") - self.sum("windlass_game_left_total", "")
    }
}

/// What is asserted: the ticks of rooms that stay are as many as their time has, those skipped told; who has joined and not
/// left is who is counted, at every moment; in the end nobody is, no descriptor is left, memory is what it was after a
/// fifth of the time, and the process sleeps. Those who stay get every tick of theirs that is made.
#[test]
#[ignore = "20 s of load, or as long as WINDLASS_SOAK says: `.ci/run load`"]
fn a_soak_of_a_game_keeps_time_and_count() {
    allow_descriptors();
    let (at, admin) = (free(), free());
    let text = format!(
        "{LOG}[server]\nworkers = 2\n{NEVER_SHED}source_connections_max = 0\n[admin]\nlisten = \"{admin}\"\n\
         [[game]]\nlisten = \"{at}\"\ntick_hz = {HZ}\naddress_request_rate = 1000000\n\
         reservation_timeout = \"1s\"\nreconnect_timeout = \"1s\"\nempty_timeout = \"2s\"\n"
    );
    let served = Served::start("soak-game", &text);
    let pid = served.pid();
    (0..KINDS).for_each(|kind| visit(kind, &at));
    wait_until(|| Look::at(&admin).seats() == 0.0, || "the first to leave".into());
    wait_until(|| rooms(&at).is_empty(), || "their room to close".into());
    let before = descriptors(pid);

    let mut steady = windlass(&["game", "bots", &STEADY.to_string(), &at, "--hz", "60", "--json"]);
    let steady = steady.stdout(Stdio::piped()).spawn().unwrap();
    wait_until(|| Look::at(&admin).seats() == STEADY as f64, || "all who stay to sit".into());
    let rooms = rooms(&at);
    assert_eq!(rooms.len(), 3);

    let over = Arc::new(AtomicBool::new(false));
    let counts: Arc<[AtomicU64; KINDS]> = Arc::default();
    let players: Vec<_> = (0..KINDS)
        .map(|kind| {
            let (at, over, counts) = (at.clone(), over.clone(), counts.clone());
            thread::spawn(move || {
                while !over.load(Relaxed) {
                    visit(kind, &at);
                    counts[kind].fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    let (first, length) = (least_late(&admin, &rooms), length(USUALLY));
    let (mut warm, mut looks) = (None, 0);
    // On a slow machine some more, until each kind has come often enough.
    let often = || counts.iter().all(|count| count.load(Relaxed) >= 3);
    while first.asked.elapsed() < length || !often() && first.asked.elapsed() < length + 6 * LONG {
        thread::sleep(Duration::from_secs(1));
        // A worker publishes its counts ten times a second, one number after another, and later if it has to wait for a core:
        // somebody may come between two of them. What is lost stays lost, however often it is looked at.
        let agrees = || {
            let look = Look::at(&admin);
            look.joined_and_not_left() == look.seats()
        };
        wait_until(agrees, || format!("joined, left and seats:\n{}", Look::at(&admin).text));
        let keeps = || keeps_time(&first, &Look::at(&admin), &rooms);
        wait_until(|| keeps().is_ok(), || keeps().err().unwrap_or_default());
        looks += 1;
        if warm.is_none() && first.asked.elapsed() >= length / 5 {
            warm = Some(resident(pid));
        }
        assert!(!players.iter().any(|player| player.is_finished()), "somebody has failed:\n{}", served.log());
    }
    let (warm, late) = (warm.expect("a fifth of the time has passed"), resident(pid));
    let last = Look::at(&admin);
    over.store(true, Relaxed);
    players.into_iter().for_each(|player| player.join().expect("nobody failed"));
    kill_process(Pid::from_child(&steady), Signal::TERM).unwrap();
    let output = steady.wait_with_output().unwrap();
    assert!(output.status.success(), "those who stayed could not read what they were sent");
    let seen = String::from_utf8(output.stdout).unwrap();
    let seen: Value = serde_json::from_str(seen.lines().last().unwrap()).unwrap();
    assert_eq!((seen["joined"].as_u64(), seen["lost"].as_u64()), (Some(STEADY), Some(0)), "{seen}");

    let counts: Vec<u64> = counts.iter().map(|count| count.load(Relaxed)).collect();
    println!(
        "{length:?} of a game: visits of each kind {counts:?}; {looks} looks; {} of {} ticks skipped in rooms that stay; \
         of {} messages to those in them {} did not come; {warm} KiB after a fifth of it, {late} in the end",
        rooms.iter().map(|room| last.sum("windlass_game_room_skipped_total", room)).sum::<f64>(),
        rooms.iter().map(|room| last.tick(room)).sum::<f64>(),
        seen["messages"],
        seen["missed"],
    );
    assert!(counts.iter().all(|count| *count >= 3), "{counts:?}");
    assert!(late < warm + GROWTH_MAX, "{warm} KiB after a fifth of the time, {late} in the end");
    let is_empty = |look: &Look| look.seats() == 0.0 && look.joined_and_not_left() == 0.0;
    wait_until(|| is_empty(&Look::at(&admin)), || "the last to leave".into());
    let end = Look::at(&admin);
    assert!(end.sum("windlass_game_seats_expired_total", "") > 0.0, "some never came");
    for why in ["left", "lost", "abuse"] {
        assert!(end.sum("windlass_game_left_total", &format!("reason=\"{why}\"")) > 0.0, "nobody: {why}");
    }
    assert!(end.sum("windlass_game_returned_total", "") > 0.0);
    expect_rest(pid, &admin, before);
    served.stop();
}

/// Of some looks the one whose counts of ticks are the newest: they are as old as a worker has had no time to publish them.
fn least_late(admin: &str, rooms: &[String]) -> Look {
    let begun = Instant::now();
    let ahead = |look: &Look| {
        let ticks: f64 = rooms.iter().map(|room| look.tick(room)).sum();
        ticks - rooms.len() as f64 * HZ * look.answered.duration_since(begun).as_secs_f64()
    };
    let looks = (0..20).map(|_| {
        thread::sleep(Duration::from_millis(30));
        Look::at(admin)
    });
    looks.max_by(|one, other| ahead(one).total_cmp(&ahead(other))).expect("there are some")
}

/// Between two looks, each of these rooms has made or skipped as many ticks as it had time for.
fn keeps_time(first: &Look, last: &Look, rooms: &[String]) -> Result<(), String> {
    let least = last.asked.duration_since(first.answered).as_secs_f64() * HZ;
    let most = last.answered.duration_since(first.asked).as_secs_f64() * HZ;
    for room in rooms {
        let ticks = last.tick(room) - first.tick(room);
        if !(least - TICKS_OFF..=most + TICKS_OFF).contains(&ticks) {
            return Err(format!("room {room} had {ticks} ticks, and time for {least} to {most}"));
        }
    }
    Ok(())
}

fn ask(at: &str, method: &str, path: &str, body: &str) -> Value {
    let mut stream = connect(at);
    stream.set_read_timeout(Some(LONG)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn rooms(at: &str) -> Vec<String> {
    let rooms = ask(at, "GET", "/api/rooms", "");
    rooms.as_array().unwrap().iter().map(|room| room["room"].as_str().unwrap().to_owned()).collect()
}

/// The way to a seat that is kept.
fn seat(at: &str) -> String {
    ask(at, "POST", "/api/rooms/join-or-create", "{}")["path"].as_str().unwrap().to_owned()
}

/// Takes a seat, and hears the first that it is told.
fn sit(at: &str, path: &str) -> TcpStream {
    let mut stream = connect(at);
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: windlass.room.1\r\n\r\n"
    )
    .unwrap();
    let mut heard = Vec::new();
    // The head, and behind it the beginning of the first message: bytes, in one frame.
    while !heard.windows(5).any(|bytes| bytes.starts_with(b"\r\n\r\n\x82")) {
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).expect("it is let in");
        assert!(n > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&bytes[..n]);
    }
    assert!(heard.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// A message of bytes, masked with zeros.
fn say(stream: &mut TcpStream, message: &[u8]) {
    let head = [0x82, 0x80 | message.len() as u8, 0, 0, 0, 0];
    stream.write_all(&[&head[..], message].concat()).unwrap();
}

/// A piece that gives up a seat.
const FAREWELL: [u8; 2] = [6, 0];

/// Until the server has closed it.
fn until_closed(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|n| n > 0) {}
}

/// One who does not stay.
fn visit(kind: usize, at: &str) {
    // So that those who are gone and those who never came are not more than there are rooms for.
    const PAUSE: Duration = Duration::from_millis(20);
    match kind {
        // Some play for two seconds, and leave.
        0 => {
            let output = run(&["game", "bots", "24", at, "--for", "2s", "--hz", "60"]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        // Gone with a reset, and not back in time.
        1 => {
            let stream = sit(at, &seat(at));
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            drop(stream);
            thread::sleep(PAUSE);
        }
        // Never came.
        2 => {
            seat(at);
            thread::sleep(PAUSE);
        }
        // What is no message: the tag of nothing.
        3 => {
            let mut stream = sit(at, &seat(at));
            say(&mut stream, &[99, 0]);
            until_closed(stream);
        }
        // Gone, back with the same ticket, and then a farewell.
        _ => {
            let path = seat(at);
            drop(sit(at, &path));
            let mut stream = sit(at, &path);
            say(&mut stream, &FAREWELL);
            until_closed(stream);
        }
    }
}
