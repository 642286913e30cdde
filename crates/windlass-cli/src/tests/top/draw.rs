//! Frames as a terminal would show them, and what keys do.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::{Value, json};

use super::*;
use crate::client::Trouble;
use crate::top::app::Order;
use crate::top::sample::{Sample, connections};

const LOOK: Look = Look { color: false, unicode: false };

fn state(uptime: f64, messages: u64) -> Value {
    let worker = |busy: f64, slow: u64| {
        json!({
            "connections": 512, "busy_seconds": busy, "received_bytes": messages * 40, "sent_bytes": messages * 80,
            "buffered_bytes": 4096, "run_queue": 2, "lag_seconds": 0.0012, "overloaded": slow > 0,
            "turns": { "count": messages, "p50_seconds": 0.0, "p99_seconds": 0.0, "p999_seconds": 0.0, "max_seconds": 0.0 },
            "turn_buckets": [[24e-6, messages], [0.0103, slow]],
        })
    };
    json!({
        "version": "0.1.0", "pid": 4242, "uptime_seconds": uptime, "phase": "serving", "messages": messages,
        "connections": 1024,
        "workers": [worker(uptime * 0.5, 0), worker(uptime * 0.9, messages / 10)],
        "services": [
            { "name": "echo", "kind": "echo", "connections": 1000, "opened": 2000, "messages": messages },
            { "name": "cache", "kind": "memcached", "connections": 24, "opened": 30, "received_bytes": 5 },
        ],
        "listeners": [{ "address": "127.0.0.1:9000", "service": "echo", "tls": true, "connections": 1000 }],
        "closes": { "eof": 990, "idle timeout": 10 },
        "limits": [
            { "name": "connections_max", "used": 900, "max": 1000, "unit": "count", "reached": 3, "about": "connections" },
            { "name": "idle_timeout", "used": null, "max": 30.0, "unit": "seconds", "reached": 0, "about": "silence" },
            { "name": "when_full", "used": null, "max": "shed", "unit": "text", "reached": 0, "about": "policy" },
        ],
        "stalls": [{ "worker": 1, "callback": "data", "where": "echo", "conn": "1.7.3", "took_seconds": 0.25, "at_seconds": uptime - 5.0 }],
    })
}

fn conn(n: usize) -> Value {
    json!({
        "id": format!("0.{n}.1"), "worker": 0, "service": "echo", "listener": "127.0.0.1:9000",
        "peer": format!("10.0.0.{n}:5000"), "age_seconds": 65.0, "idle_seconds": 0.5, "received_bytes": 2048,
        "sent_bytes": 1 << 20, "received_rate": 1024.0, "sent_rate": 2048.0, "output_bytes": 0, "input_bytes": 10,
        "state": ["tls", "paused"],
    })
}

fn found(n: usize) -> Value {
    let conns: Vec<Value> = (1..=n).map(conn).collect();
    json!({ "total": 2000, "matched": 120, "page": 1, "per_page": 50, "connections": conns })
}

fn app(at: Instant) -> App {
    let mut app = App::new("127.0.0.1:9090".into());
    app.take(Sample::read(state(100.0, 5000).to_string().as_bytes()).unwrap(), at);
    app.take(Sample::read(state(101.0, 6000).to_string().as_bytes()).unwrap(), at);
    app.take_connections(connections(found(30).to_string().as_bytes()).unwrap());
    app
}

fn frame(app: &mut App, (width, height): (u16, u16), at: Instant) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, LOOK, at)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells: Vec<String> = buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect();
    cells.chunks(width.into()).map(|row| row.concat().trim_end().to_owned()).collect()
}

fn press(app: &mut App, keys: &str) -> Order {
    let mut order = Order::Nothing;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        order = app.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    order
}

#[test]
fn the_overview_at_80_by_24() {
    let at = Instant::now();
    let shown = frame(&mut app(at), (80, 24), at);
    let wanted = "\
windlass 0.1.0  serving  up 1 min 41 s  pid 4242  127.0.0.1:9090
[1Overview] 2Connections  3Closes  4Stalls !1  5Limits !1
messages/s          1,000  #
received       78.1 KiB/s  #
sent            156 KiB/s  #
connections         1,024  +0/s -0/s  #

worker  busy             conns  turns/s  turn p50      p99    p99.9       lag
     0  #####.....  50%    512    1,000   24.0 us  24.0 us  24.0 us   1.20 ms
     1  #########.  90%    512    1,000   24.0 us  10.3 ms  10.3 ms  1.20 ms!

service  kind       conns  messages/s  opened/s     in    out
echo     echo       1,000       1,000         0  0 B/s  0 B/s
cache    memcached     24           0         0  0 B/s  0 B/s

listener        service       conns  opened/s     in    out
127.0.0.1:9000  echo     tls  1,000         0  0 B/s  0 B/s

most traffic
   peer           service          in         out        age    idle  queued
   10.0.0.1:5000  echo     1.00 KiB/s  2.00 KiB/s  1 min 5 s  500 ms    10 B
   10.0.0.2:5000  echo     1.00 KiB/s  2.00 KiB/s  1 min 5 s  500 ms    10 B
   10.0.0.3:5000  echo     1.00 KiB/s  2.00 KiB/s  1 min 5 s  500 ms    10 B
q quit  Tab view  jk move  / filter  p pause  ? keys";
    assert_eq!(shown.join("\n"), wanted);
}

#[test]
fn every_view_fits_into_40_columns_and_less() {
    let at = Instant::now();
    for (width, height) in [(80, 24), (40, 24), (40, 8), (20, 5), (3, 2), (200, 60)] {
        for view in '1'..='5' {
            let mut app = app(at);
            press(&mut app, &view.to_string());
            app.take_connections(connections(found(30).to_string().as_bytes()).unwrap());
            let shown = frame(&mut app, (width, height), at);
            assert_eq!(shown.len(), height as usize);
            if width >= 40 {
                assert!(shown[0].starts_with("windlass 0.1.0  serving"), "{shown:?}");
                assert!(shown.last().unwrap().starts_with("q quit"), "{shown:?}");
                assert!(shown.iter().any(|line| line.contains(&format!("[{view}"))), "{shown:?}");
            }
        }
    }
    let narrow = frame(&mut app(at), (40, 24), at).join("\n");
    for part in ["messages/s", "1,000", "#########.  90%", "cache", "127.0.0.1:9000", "10.0.0.2:5000"] {
        assert!(narrow.contains(part), "{part}: {narrow}");
    }
}

#[test]
fn connections_are_chosen_sorted_filtered_and_closed() {
    let at = Instant::now();
    let mut app = app(at);
    assert_eq!(press(&mut app, "2"), Order::Ask);
    let wanted = |app: &App| app.wanted().unwrap();
    assert_eq!(wanted(&app), "/api/connections?sort=traffic&filter=&page=1&per_page=50");
    app.take_connections(connections(found(30).to_string().as_bytes()).unwrap());
    // The 25th is below the end of the screen, which follows.
    press(&mut app, &"j".repeat(24));
    let shown = frame(&mut app, (80, 24), at).join("\n");
    assert!(shown.contains(">  10.0.0.25:5000") && !shown.contains("10.0.0.1:5000"), "{shown}");
    assert!(shown.contains("by traffic  120 of 2,000  page 1 of 3"), "{shown}");

    assert_eq!(press(&mut app, "x"), Order::Nothing);
    let shown = frame(&mut app, (80, 24), at).join("\n");
    assert!(shown.contains("close the connection of 10.0.0.25:5000? y closes it"), "{shown}");
    assert_eq!(press(&mut app, "n"), Order::Nothing);
    assert_eq!(press(&mut app, "y"), Order::Nothing, "it is not meant any more");
    press(&mut app, "x");
    assert_eq!(press(&mut app, "y"), Order::Close("0.25.1".into()));

    assert_eq!(press(&mut app, "s"), Order::Ask);
    assert_eq!(press(&mut app, "/10.0 q"), Order::Nothing, "q is a letter here");
    assert!(frame(&mut app, (80, 24), at)[23].starts_with("filter: 10.0 q_"));
    assert_eq!(press(&mut app, "\n"), Order::Ask);
    assert_eq!(wanted(&app), "/api/connections?sort=received&filter=10.0%20q&page=1&per_page=50");
    press(&mut app, "l");
    assert_eq!(app.page, 2);
    press(&mut app, "llll");
    assert_eq!(app.page, 3, "there are three");
    press(&mut app, "hhhh");
    assert_eq!(app.page, 1);
    assert_eq!(app.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)), Order::Ask);
    assert!(app.filter.is_empty());
}

#[test]
fn keys_end_pause_and_help() {
    let at = Instant::now();
    let mut app = app(at);
    assert_eq!(press(&mut app, "q"), Order::Quit);
    assert_eq!(app.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Order::Quit);
    press(&mut app, "p");
    assert!(frame(&mut app, (80, 24), at)[0].contains("PAUSED"));
    assert_eq!(press(&mut app, "p"), Order::Ask);
    press(&mut app, "?");
    assert!(frame(&mut app, (80, 24), at).join("\n").contains("close a connection"));
    assert_eq!(press(&mut app, "q"), Order::Nothing, "it only ends the help");
    press(&mut app, "\t\t\t\t\t");
    assert!(frame(&mut app, (80, 24), at)[1].starts_with("[1Overview]"), "all the way round");
}

#[test]
fn a_server_that_goes_and_comes_is_told_of() {
    let at = Instant::now();
    let mut app = app(at);
    app.lose(Trouble::Gone("connection refused".into()), at);
    let later = at + Duration::from_secs(3);
    app.lose(Trouble::Gone("connection refused".into()), later);
    let shown = frame(&mut app, (80, 24), later).join("\n");
    assert!(shown.contains("NO ANSWER for 3 s: connection refused"), "{shown}");
    let mut other = state(1.0, 0);
    other["pid"] = 4343.into();
    app.take(Sample::read(other.to_string().as_bytes()).unwrap(), later);
    let shown = frame(&mut app, (80, 24), later).join("\n");
    assert!(
        shown.contains("another server answers: process 4343") && !shown.contains("NO ANSWER"),
        "{shown}"
    );
    let shown = frame(&mut app, (80, 24), later + Duration::from_secs(10)).join("\n");
    assert!(!shown.contains("another server"), "not for ever: {shown}");
}

#[test]
fn closes_stalls_and_limits() {
    let at = Instant::now();
    let mut app = app(at);
    press(&mut app, "3");
    let shown = frame(&mut app, (80, 24), at).join("\n");
    assert!(shown.contains("eof              990           0  99.0%  ####################"), "{shown}");
    press(&mut app, "4");
    let shown = frame(&mut app, (80, 24), at).join("\n");
    assert!(shown.contains("5.00 s  250 ms       1  data      echo   1.7.3"), "{shown}");
    press(&mut app, "5");
    let shown = frame(&mut app, (80, 24), at).join("\n");
    assert!(shown.contains("connections_max  !900   1,000  #########.        3  connections"), "{shown}");
    assert!(shown.contains("when_full           -    shed"), "{shown}");
    assert_eq!(press(&mut app, "ss"), Order::Ask);
    assert!(frame(&mut app, (80, 24), at)[23].contains("sort:reached"));
}

#[test]
fn colours_are_two_and_can_be_none() {
    let at = Instant::now();
    let colors = |color: bool| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let look = Look { color, unicode: true };
        terminal.draw(|frame| draw(frame, &mut app(at), look, at)).unwrap();
        let cells = terminal.backend().buffer().content();
        let mut colors: Vec<Color> = cells.iter().flat_map(|cell| [cell.fg, cell.bg]).collect();
        colors.retain(|color| *color != Color::Reset);
        colors.dedup();
        colors
    };
    assert!(colors(false).is_empty());
    assert!(colors(true).iter().all(|color| matches!(color, Color::Blue | Color::Yellow)));
    let of = |variables: &'static [(&str, &str)]| {
        Look::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    };
    assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), Look { color: true, unicode: true });
    assert_eq!(of(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C"), ("NO_COLOR", "1")]), LOOK);
}

/// The same server, with a proxy on it.
fn with_a_proxy(at: Instant) -> App {
    let mut app = app(at);
    let backend = |name: &str, state: &str| {
        json!({
            "route": "backends", "name": name, "address": "10.0.0.1:80", "state": state, "weight": 2,
            "connections": 12, "connections_peak": 40, "opened": 5000, "failed": 3, "sent_bytes": 2048,
            "received_bytes": 1 << 20, "changed": state == "draining",
            "last_check": { "passed": state != "down", "ago_seconds": 1.0, "took_seconds": 0.0012 },
        })
    };
    let mut state = state(102.0, 7000);
    state["proxies"] = json!([{
        "name": "web", "clients": 24, "waiting": 1, "refused": { "queue_full": 2 }, "retries": 7,
        "backends": [backend("red", "up"), backend("blue", "draining"), backend("green", "down")],
    }]);
    app.take(Sample::read(state.to_string().as_bytes()).unwrap(), at);
    app
}

#[test]
fn backends_have_a_view_where_there_are_any() {
    let at = Instant::now();
    let mut app = app(at);
    press(&mut app, "6");
    assert!(frame(&mut app, (80, 24), at)[1].starts_with("[1Overview]"), "there is no sixth");
    let mut app = with_a_proxy(at);
    press(&mut app, "6");
    let shown = frame(&mut app, (80, 8), at);
    let wanted = "\
windlass 0.1.0  serving  up 1 min 42 s  pid 4242  127.0.0.1:9090
 1Overview  2Connections  3Closes  4Stalls !1  5Limits !1 [6Backends]!1
web  24 clients, 1 waiting  2 refused  7 retries
backend  state      weight  now  opened  failed        to      from
red      up              2   12   5,000       3  2.00 KiB  1.00 MiB
blue     draining*       2   12   5,000       3  2.00 KiB  1.00 MiB
green    down            2   12   5,000       3  2.00 KiB  1.00 MiB
q quit  Tab view  jk move  s sort:file  / filter  p pause  ? keys";
    assert_eq!(shown.join("\n"), wanted);
    press(&mut app, "s");
    let shown = frame(&mut app, (80, 8), at);
    assert!(shown[4].starts_with("green"), "those that are not well come first: {shown:?}");
    for width in [40, 20, 3, 200] {
        frame(&mut app, (width, 8), at);
    }
    assert!(frame(&mut app, (40, 8), at)[1].contains("[6Ba]"));
}
