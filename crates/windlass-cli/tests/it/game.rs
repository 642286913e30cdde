//! `windlass game` and `[[game]]`: bots, records, metrics, and two tabs of a browser in one room.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::dashboard::browser::Browser;
use crate::served::*;
use crate::server::*;

fn get(at: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn json(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn matches(folder: &str) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Has bots play until it is enough by what they say once a second, however long a busy machine takes for it. Then they are
/// asked to leave. Their last line is in the output.
fn bots(args: &[&str], mut is_enough: impl FnMut(&str) -> bool) -> Output {
    let mut command = windlass(&[&["game", "bots"], args].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let (mut said, begun) = (String::new(), Instant::now());
    loop {
        let at = said.len();
        if stdout.read_line(&mut said).unwrap() == 0 || is_enough(&said[at..]) {
            break;
        }
        if begun.elapsed() > 6 * LONG {
            let _ = child.kill();
            panic!("not enough in time: {said}");
        }
    }
    // Unless they have ended by themselves.
    let _ = kill_process(Pid::from_child(&child), Signal::TERM);
    stdout.read_to_string(&mut said).unwrap();
    Output { stdout: said.into_bytes(), ..child.wait_with_output().unwrap() }
}

/// So many of them sit, and have been shown so many snapshots.
fn have_played(seated: u64, snapshots: u64) -> impl FnMut(&str) -> bool {
    move |line| {
        let seen: Value = serde_json::from_str(line).unwrap();
        seen["seated"] == seated && seen["snapshots"].as_u64().unwrap() >= snapshots
    }
}

/// Metrics, once they have all of these lines.
fn metrics_with(admin: &str, lines: &[&str]) -> String {
    let begun = Instant::now();
    loop {
        let metrics = get(admin, "/metrics");
        let missing = lines.iter().find(|line| !metrics.contains(&format!("{line}\n")));
        let Some(missing) = missing else { return metrics };
        assert!(begun.elapsed() < LONG, "{missing} in\n{metrics}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn bots_play_and_their_matches_replay() {
    let folder = Folder::new("matches");
    let records = folder.path("records");
    let server =
        Server::command(&["game", "127.0.0.1:0", "--workers", "2", "--record", &records, "--log", "text"]);
    // Four seconds' worth for each.
    let output = bots(&["20", &server.address, "--json"], have_played(20, 20 * 120));
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}{errors}");
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let counts = ["joined", "lost", "refused", "bad"].map(|name| last[name].as_u64().unwrap());
    assert_eq!(counts, [20, 0, 0, 0], "{said}");
    assert!(get(&server.address, "/").contains("<title>Arena</title>"));
    let (status, summary, log) = server.stop();
    assert!(status.success(), "{summary}{log}");
    let files = matches(&records);
    assert_eq!(files.len(), 2, "twenty in rooms of sixteen");
    let mut joins = 0;
    for file in &files {
        let output = run(&["game", "replay", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && said.contains("hashes are the same") && !said.contains("breaks off"),
            "{said}"
        );
        let output = run(&["game", "replay", "--ticks", file.to_str().unwrap()]);
        let lines = String::from_utf8(output.stdout).unwrap();
        let (ticks, rest) = lines.split_at(lines.len() - said.len());
        assert!(rest == said && ticks.lines().count() > 60, "{lines}");
        let hashes: std::collections::HashSet<&str> =
            ticks.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
        assert!(hashes.len() > 40, "something moves in most ticks: {}", hashes.len());
        let players = said.lines().nth(1).unwrap().split(", ").nth(1).unwrap();
        joins += players.split(' ').next().unwrap().parse::<u32>().unwrap();
    }
    assert_eq!(joins, 20);
    // What is not as it was is told, and where.
    let mut bytes = std::fs::read(&files[0]).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    let changed = folder.path("changed.match");
    std::fs::write(&changed, bytes).unwrap();
    let output = run(&["game", "replay", &changed]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && errors.contains("the room is another"), "{errors}");
    let output = run(&["game", "replay", &folder.file("nothing", "no match")]);
    assert!(!output.status.success());
}

#[test]
fn a_file_says_what_a_game_is_and_metrics_tell_of_it() {
    let (at, admin) = (free(), free());
    let text = format!(
        "{LOG}[admin]\nlisten = \"{admin}\"\n[server]\nworkers = 2\n\
         [[game]]\nlisten = \"{at}\"\ntick_hz = 60\nplayers_max = 2\nempty_timeout = \"1h\"\n"
    );
    let served = Served::start("game", &text);
    let output = bots(&["3", &at, "--json"], have_played(3, 3 * 60));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let rooms = json(&get(&at, "/api/rooms"));
    assert_eq!(rooms.as_array().unwrap().len(), 2);
    assert_eq!(rooms[0]["players_max"], 2);
    let metrics = metrics_with(
        &admin,
        &[
            "windlass_game_rooms{game=\"game\"} 2",
            "windlass_game_joined_total{game=\"game\"} 3",
            "windlass_game_left_total{game=\"game\",reason=\"left\"} 3",
            "windlass_game_seats{game=\"game\",kind=\"player\"} 0",
            "# TYPE windlass_game_tick_lateness_seconds histogram",
        ],
    );
    let room = rooms[0]["room"].as_str().unwrap();
    let count = format!("windlass_game_room_tick_lateness_seconds_count{{game=\"game\",room=\"{room}\"}} ");
    let ticks: f64 = metrics.lines().find_map(|line| line.strip_prefix(&count)).unwrap().parse().unwrap();
    assert!(ticks > 30.0, "{ticks}");
    let wrong = text.replace("tick_hz = 60", "tick_hz = 300");
    assert!(!served.reload(&wrong), "and what is wrong changes nothing");
    assert_eq!(json(&get(&at, "/api/rooms")).as_array().unwrap().len(), 2);
}

#[test]
fn two_tabs_in_one_room_see_each_other_move() {
    let Some(mut one) = Browser::start("arena-one") else { return };
    let Some(mut two) = Browser::start("arena-two") else { return };
    let server = Server::command(&["game", "127.0.0.1:0", "--workers", "2", "-q"]);
    let url = format!("http://{}/", server.address);
    for (browser, name) in [(&mut one, "ann"), (&mut two, "bob")] {
        browser.open(&url);
        // It is ready then, and has put the name of last time into its field.
        browser.until("!document.querySelector('#play').disabled");
        browser.eval(&format!("document.querySelector('#name').value = {name:?}"));
        browser.click("#play");
        browser.until("document.querySelector('#door').hidden");
    }
    for browser in [&mut one, &mut two] {
        browser.until("document.querySelectorAll('#scores li').length === 2");
        browser.until("document.querySelector('#scores').textContent.includes('ann')");
        browser.until("document.querySelector('#scores').textContent.includes('bob')");
        browser.until("/\\d+ ms/.test(document.querySelector('#link').textContent)");
    }
    // Workers show their rooms some times a second.
    let rooms = || json(&get(&server.address, "/api/rooms"));
    wait_until(|| rooms()[0]["players"] == 2, || format!("two who play: {}", rooms()));
    // The second leaves, and watches: it sees everything then. The first goes right, and if there is no way, left.
    two.key("Escape");
    two.until("!document.querySelector('#door').hidden");
    two.click("#watch");
    two.until("document.querySelector('#world').dataset.players.includes('0:')");
    let seen =
        "document.querySelector('#world').dataset.players.split(' ').find((it) => it.startsWith('0:'))";
    let before = two.eval(seen).as_str().unwrap().to_owned();
    let mut has_moved = false;
    for key in ["ArrowRight", "ArrowLeft"] {
        let press = |kind| serde_json::json!({ "type": kind, "key": key, "code": key });
        one.call("Input.dispatchKeyEvent", press("rawKeyDown"));
        let begun = Instant::now();
        // Not there and back again.
        while !has_moved && begun.elapsed() < LONG / 2 {
            std::thread::sleep(Duration::from_millis(50));
            let now = two.eval(seen);
            has_moved = now.is_string() && now != before;
        }
        one.call("Input.dispatchKeyEvent", press("keyUp"));
    }
    assert!(has_moved, "{before}");
    // A tab that is loaded anew has the same seat: nobody else came.
    one.open(&url);
    one.until("document.querySelector('#door').hidden");
    one.until("document.querySelectorAll('#scores li').length === 1");
    wait_until(
        || (&rooms()[0]["players"], &rooms()[0]["spectators"]) == (&Value::from(1), &Value::from(1)),
        || format!("one who plays and one who watches: {}", rooms()),
    );
    one.shot("arena");
    for browser in [&one, &two] {
        assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
        let elsewhere: Vec<String> =
            browser.requested().into_iter().filter(|asked| !asked.contains(&server.address)).collect();
        assert!(elsewhere.iter().all(|asked| asked.starts_with("about:")), "{elsewhere:?}");
    }
}

/// The host and port of a seat's datagrams.
pub(crate) fn udp_of(at: &str) -> (Value, u64) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head =
        format!("host: {at}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2");
    write!(stream, "POST /api/rooms/create HTTP/1.1\r\n{head}\r\n\r\n{{}}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let kept = json(&answer);
    (kept["udp"]["host"].clone(), kept["udp"]["port"].as_u64().unwrap_or_default())
}

#[test]
fn bots_come_by_udp_too_and_each_worker_has_a_port() {
    let server =
        Server::command(&["game", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--workers", "2", "--log", "text"]);
    let all_sit = |line: &str| line.starts_with("20 of 20 seated, 10 by UDP, ");
    let output = bots(&["20", &server.address, "--udp=50"], all_sit);
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}{errors}");
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("20 seats taken, 0 lost, 0 refusals; ") && last.contains(", 0 unreadable, "),
        "{said}"
    );
    // Rooms are spread over workers, and so are their ports.
    let places: Vec<(Value, u64)> = (0..2).map(|_| udp_of(&server.address)).collect();
    assert!(places.iter().all(|(host, port)| host == "127.0.0.1" && *port > 0), "{places:?}");
    assert_ne!(places[0].1, places[1].1);
    let (status, summary, log) = server.stop();
    assert!(status.success() && summary.contains("  datagrams "), "{summary}{log}");
    // Without the flag there is no UDP, and whoever wants it is told.
    let server = Server::command(&["game", "127.0.0.1:0", "-q"]);
    assert_eq!(udp_of(&server.address), (Value::Null, 0));
    let output = run(&["game", "bots", "1", &server.address, "--udp", "--for", "1s"]);
    assert!(!output.status.success());
}

#[test]
fn a_file_says_where_players_come_by_udp() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/listings/game.toml");
    let (at, admin, udp) = (free(), free(), free());
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\":7777\"") && text.contains("\":7801\""), "{text}");
    let text = text.replace(":7777", &at).replace(":7801", &udp);
    let text = format!("{LOG}[admin]\nlisten = \"{admin}\"\n[server]\nworkers = 1\n{text}");
    let served = Served::start("game-udp", &text);
    let port: u64 = udp.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!(udp_of(&at), (Value::from("play.example.com"), port));
    // The name leads nowhere, and bots come to where they have asked.
    let output = bots(&["3", &at, "--udp", "--json"], have_played(3, 3));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let lines = [
        "windlass_game_gateway_joined_total{game=\"game\",gateway=\"udp\"} 3",
        "windlass_game_gateway_joined_total{game=\"game\",gateway=\"websocket\"} 0",
        "windlass_game_udp_peers{game=\"game\",kind=\"seated\"} 0",
        "windlass_game_udp_refused_total{game=\"game\",reason=\"ticket\"} 0",
        "windlass_game_left_total{game=\"game\",reason=\"left\"} 3",
    ];
    metrics_with(&admin, &lines);
    let wrong = text.replace("[game.udp]", "[game.udp]\npeers_max = 0");
    assert!(!served.reload(&wrong), "and what is wrong changes nothing");
}
