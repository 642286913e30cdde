//! Who may ask, and what is answered.

use windlass::testing::{Harness, TestPeer};

use super::shape::{Connections, State, Turn};
use super::*;

fn admin(token: Option<&str>) -> (Harness, Slot) {
    let told = Told::default();
    let slot = told.bound.clone();
    let service = serving(&told, token.map(String::from), hosts(&AdminTable::default()), None).name("admin");
    let harness = Harness::new(service);
    assert!(slot.set(Bound { handle: harness.handle(), workers: 1 }).is_ok());
    (harness, slot)
}

/// Sends a request with these header lines, and returns the status and the body.
fn ask(harness: &mut Harness, first: &str, lines: &str) -> (u16, String) {
    let (head, body) = response(harness, first, lines, "");
    (status(&head), body)
}

/// The same with a body of JSON, and with the head of the response.
fn response(harness: &mut Harness, first: &str, lines: &str, json: &str) -> (String, String) {
    let peer: TestPeer = harness.connect();
    let length = json.len();
    let lines = match length {
        0 => lines.to_owned(),
        _ => format!("{lines}content-type: application/json\r\ncontent-length: {length}\r\n"),
    };
    harness.send(peer, format!("{first} HTTP/1.1\r\n{lines}connection: close\r\n\r\n{json}"));
    let response = String::from_utf8(harness.receive(peer)).unwrap();
    harness.finish(peer);
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.into(), body.into())
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Everything that tells or orders something.
const GUARDED: [&str; 19] = [
    "GET /metrics",
    "GET /api/state",
    "HEAD /api/state",
    "GET /api/live",
    "GET /api/connections",
    "GET /api/turn",
    "POST /api/close",
    "POST /api/log",
    "POST /api/reload",
    "POST /api/drain",
    "GET /api/proxies",
    "POST /api/proxies/drain",
    "GET /api/hubs",
    "GET /api/hubs/clients",
    "GET /api/hubs/client?id=a",
    "GET /api/hubs/topics",
    "GET /api/hubs/levels",
    "GET /api/hubs/live",
    "POST /api/hubs/kick",
];

const LOCAL: &str = "host: localhost:9901\r\n";

#[test]
fn health_metrics_and_state() {
    let (mut harness, _) = admin(None);
    assert_eq!(ask(&mut harness, "GET /healthz", LOCAL), (200, "ok\n".into()));
    assert_eq!(ask(&mut harness, "GET /readyz", LOCAL), (200, "ready\n".into()));
    let (status, text) = ask(&mut harness, "GET /metrics", LOCAL);
    assert_eq!(status, 200);
    assert!(text.contains("\nwindlass_connections_opened_total 3\n"), "{text}");
    assert!(!text.contains("# EOF"));
    let (_, text) =
        ask(&mut harness, "GET /metrics", &format!("{LOCAL}accept: application/openmetrics-text\r\n"));
    assert!(
        text.ends_with("# EOF\n") && text.contains("# TYPE windlass_connections_opened counter\n"),
        "{text}"
    );
    let (_, json) = ask(&mut harness, "GET /api/state", LOCAL);
    let state: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&state["phase"], &state["counters"]["opened"]), (&"serving".into(), &5.into()), "{json}");
    assert_eq!(state["workers"].as_array().unwrap().len(), 1);
    assert_eq!(ask(&mut harness, "GET /nothing", LOCAL).0, 404);
}

#[test]
fn only_requests_for_this_machine_are_answered() {
    let (mut harness, _) = admin(None);
    for host in ["host: 127.0.0.1:9901\r\n", "host: [::1]:9901\r\n", "host: LOCALHOST\r\n"] {
        assert_eq!(ask(&mut harness, "GET /metrics", host).0, 200, "{host}");
    }
    for host in ["host: evil.example\r\n", "host: localhost.evil.example:9901\r\n", "host: \r\n"] {
        assert_eq!(ask(&mut harness, "GET /metrics", host).0, 421, "{host}");
    }
}

#[test]
#[cfg(all(feature = "proxy", feature = "hub", feature = "realtime"))]
fn with_a_token_nothing_is_told_without_it() {
    let (mut harness, _) = admin(Some("s3cret"));
    let anywhere = "host: 192.0.2.1:9901\r\n";
    for lines in [
        "",
        "authorization: Bearer s3cre\r\n",
        "authorization: Bearer s3cretx\r\n",
        "authorization: s3cret\r\n",
    ] {
        for first in GUARDED {
            let (status, body) = ask(&mut harness, first, &format!("{anywhere}{lines}"));
            let told = if first.starts_with("HEAD") { "" } else { "401 Unauthorized\n" };
            assert_eq!((status, &*body), (401, told), "{first} {lines}");
        }
    }
    let lines = format!("{anywhere}authorization: Bearer s3cret\r\n");
    assert_eq!(ask(&mut harness, "GET /metrics", &lines).0, 200);
    assert_eq!(ask(&mut harness, "GET /healthz", anywhere).0, 200, "a probe has no token");
}

#[test]
#[cfg(all(feature = "proxy", feature = "hub", feature = "realtime"))]
fn orders_of_other_sites_are_refused() {
    let (mut harness, slot) = admin(None);
    for lines in [
        "origin: http://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        "origin: http://localhost:1\r\n",
    ] {
        for first in GUARDED {
            assert_eq!(ask(&mut harness, first, &format!("{LOCAL}{lines}")).0, 403, "{first} {lines}");
        }
    }
    assert!(!slot.get().unwrap().handle.is_stopping());
    let own = format!("{LOCAL}origin: http://localhost:9901\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(ask(&mut harness, "POST /api/drain", &own).0, 202);
    assert!(slot.get().unwrap().handle.is_stopping());
}

#[test]
fn the_state_can_be_read_back_and_says_what_there_is() {
    let (mut harness, _) = admin(None);
    let (head, json) = response(&mut harness, "GET /api/state", LOCAL, "");
    assert!(
        head.contains("cache-control: no-store")
            && head.contains("content-security-policy: default-src 'self'")
    );
    assert!(!head.contains("access-control"), "{head}");
    let state: State = serde_json::from_str(&json).unwrap();
    assert_eq!((state.pid, &*state.phase), (std::process::id(), "serving"));
    let services: Vec<_> = state.services.iter().map(|it| (&*it.name, &*it.kind, it.connections)).collect();
    assert_eq!(services, [("admin", "admin", 1)]);
    assert_eq!(state.listeners[0].service, "admin");
    assert_eq!((state.reloads.succeeded, state.reloads.failed), (0, 0));
    assert_eq!(ask(&mut harness, "POST /api/reload", LOCAL).0, 409, "there is no file");
    let limit = state.limits.iter().find(|limit| limit.name == "connections_max").unwrap();
    assert!(limit.used == Some(1) && limit.unit == "count" && !limit.about.is_empty(), "{limit:?}");
    let turns: u64 = state.workers[0].turn_buckets.iter().map(|(_, n)| n).sum();
    assert_eq!(turns, state.workers[0].turns.count);
    assert_eq!(
        serde_json::to_value(&state).unwrap(),
        serde_json::from_str::<serde_json::Value>(&json).unwrap()
    );
}

#[test]
fn a_browser_logs_in_once_and_shows_its_cookie() {
    let (mut harness, _) = admin(Some("s3cret"));
    let host = "host: 192.0.2.1:9901\r\n";
    let mut login =
        |lines: &str, json: &str| response(&mut harness, "POST /api/login", &format!("{host}{lines}"), json);
    assert_eq!(status(&login("", "{\"token\":\"wrong!\"}").0), 401);
    assert_eq!(status(&login("", "{\"token\":\"s3cret\",\"more\":1}").0), 400);
    let right = "{\"token\":\"s3cret\"}";
    assert_eq!(status(&login("origin: http://evil.example\r\n", right).0), 403);
    let (head, body) = login("origin: http://192.0.2.1:9901\r\nsec-fetch-site: same-origin\r\n", right);
    assert_eq!((status(&head), &*body), (204, ""));
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains("s3cret"), "the token stays out of it");
    let second = login("", right).0;
    assert!(!second.contains(&*cookie), "each login is another");

    let pair = cookie.split(';').next().unwrap();
    let shown = format!("{host}cookie: theme=dark; {pair}\r\n");
    assert_eq!(ask(&mut harness, "GET /api/state", &shown).0, 200);
    let forged = format!("{shown}sec-fetch-site: cross-site\r\n");
    assert_eq!(ask(&mut harness, "POST /api/drain", &forged).0, 403, "not from another site, cookie or not");
    for wrong in
        [format!("{pair}0"), "windlass_login=".into(), format!("x{pair}"), "windlass_login=s3cret".into()]
    {
        assert_eq!(
            ask(&mut harness, "GET /api/state", &format!("{host}cookie: {wrong}\r\n")).0,
            401,
            "{wrong}"
        );
    }
    let (head, _) = response(&mut harness, "POST /api/logout", &shown, "");
    assert!(
        status(&head) == 204 && head.contains("set-cookie: windlass_login=; Path=/; Max-Age=0"),
        "{head}"
    );
    assert_eq!(ask(&mut harness, "GET /api/state", &shown).0, 401);

    let (mut open, _) = admin(None);
    assert_eq!(
        status(&response(&mut open, "POST /api/login", LOCAL, right).0),
        409,
        "there is nothing to log in to"
    );
}

#[test]
fn connections_are_told_page_by_page() {
    let (mut harness, _) = admin(None);
    let peers: Vec<TestPeer> = (0..5).map(|_| harness.connect()).collect();
    let mut page = |query: &str| {
        let (status, json) = ask(&mut harness, &format!("GET /api/connections{query}"), LOCAL);
        assert_eq!(status, 200, "{query}: {json}");
        serde_json::from_str::<Connections>(&json).unwrap()
    };
    let all = page("");
    assert_eq!((all.total, all.matched, all.page, all.per_page), (6, 6, 1, 50));
    assert!(all.connections.iter().all(|conn| conn.service == "admin" && conn.worker == 0));
    let mut seen: Vec<_> =
        (1..=3).flat_map(|n| page(&format!("?sort=age&per_page=2&page={n}")).connections).collect();
    assert_eq!(seen.len(), 6);
    seen.dedup_by(|a, b| a.id == b.id);
    assert_eq!(seen.len(), 6, "those that stay are on one page each, and the last is the one that asks");
    assert_eq!(page("?page=4&per_page=2").connections, []);
    let one = page(&format!("?filter={}", all.connections[2].peer.replace(':', "%3A")));
    assert!(one.connections.iter().any(|conn| conn.id == all.connections[2].id), "{one:?}");
    assert_eq!((one.total, page("?filter=nobody+here").matched), (6, 0));
    for wrong in ["?sort=name", "?page=x", "?per_page=-1"] {
        assert_eq!(ask(&mut harness, &format!("GET /api/connections{wrong}"), LOCAL).0, 400, "{wrong}");
    }
    assert_eq!(ask(&mut harness, "GET /api/connections?page=99999&per_page=1000", LOCAL).0, 400, "too far");
    let (status, body) = ask(&mut harness, "HEAD /api/connections", LOCAL);
    assert_eq!((status, &*body), (200, ""));
    drop(peers);
}

#[test]
fn the_operator_closes_a_connection() {
    let (mut harness, _) = admin(None);
    let peer = harness.connect();
    let (_, json) = ask(&mut harness, "GET /api/connections?sort=age&per_page=1", LOCAL);
    let found: Connections = serde_json::from_str(&json).unwrap();
    let id = &found.connections[0].id;
    let mut close = |json: &str| status(&response(&mut harness, "POST /api/close", LOCAL, json).0);
    assert_eq!(close("{\"conn\":\"0:77.7\"}"), 404);
    assert_eq!(close("{\"conn\":\"9:0.0\"}"), 404, "there is no such worker");
    assert_eq!(close("{\"conn\":\"here\"}"), 400);
    assert_eq!(close("{}"), 400);
    assert_eq!(close(&format!("{{\"conn\":\"{id}\"}}")), 200);
    assert_eq!(close(&format!("{{\"conn\":\"{id}\"}}")), 404, "it is ending");
    assert_eq!(harness.why(peer), Some("requested"));
    harness.finish(peer);
    let reset = harness.connect();
    let (_, json) = ask(&mut harness, "GET /api/connections?sort=age&per_page=1", LOCAL);
    let found: Connections = serde_json::from_str(&json).unwrap();
    let order = format!("{{\"conn\":\"{}\",\"abort\":true}}", found.connections[0].id);
    assert_eq!(status(&response(&mut harness, "POST /api/close", LOCAL, &order).0), 200);
    assert_eq!(harness.why(reset), Some("aborted"));
}

#[test]
fn a_turn_is_told_or_that_there_was_none() {
    let (mut harness, _) = admin(None);
    let asks = harness.connect();
    let request = format!("GET /api/turn?worker=0 HTTP/1.1\r\n{LOCAL}connection: close\r\n\r\n");
    harness.send(asks, &request);
    assert_eq!(harness.receive(asks), b"", "it waits for a turn with something in it");
    assert_eq!(ask(&mut harness, "GET /healthz", LOCAL).0, 200);
    let answer = String::from_utf8(harness.receive(asks)).unwrap();
    let (head, json) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(status(head), 200);
    let turn: Turn = serde_json::from_str(json).unwrap();
    assert_eq!((turn.worker, &*turn.steps[0].step), (0, "poll"));
    assert!(turn.steps.iter().any(|step| !step.entries.is_empty()), "{json}");
    assert_eq!(ask(&mut harness, "GET /api/turn?worker=1", LOCAL).0, 404);
    assert_eq!(ask(&mut harness, "GET /api/turn?worker=x", LOCAL).0, 400);
}

#[test]
fn the_state_is_live() {
    let (mut harness, _) = admin(None);
    let watcher = harness.connect();
    harness.send(watcher, format!("GET /api/live HTTP/1.1\r\n{LOCAL}\r\n"));
    let events = |harness: &mut Harness| {
        let text = String::from_utf8(harness.receive(watcher)).unwrap();
        let data = text.split("event: state\ndata: ").skip(1).map(|event| event.trim_end().to_owned());
        data.map(|json| serde_json::from_str::<State>(&json).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(events(&mut harness).len(), 1, "what is now comes at once");
    harness.advance(Duration::from_secs(3));
    let later = events(&mut harness);
    assert_eq!(later.len(), 3, "once a second");
    assert!(later[2].counters["turns"] > later[0].counters["turns"]);
}

#[test]
fn messages_are_counted_by_service_and_outlive_it() {
    let messages = Messages::default();
    let told = |name, kind, n: u64| {
        let count = messages.of(name, kind);
        count.count().set(n);
    };
    let kept = messages.of("a", "echo").count();
    kept.set(5);
    for n in 1..=10 {
        told("a", "echo", n);
        told("b", "resp", 1);
    }
    assert_eq!(messages.total(), 5 + 55 + 10);
    let by_service = messages.by_service();
    assert_eq!((by_service["a"], by_service["b"]), (("echo", 60), ("resp", 10)));
    assert!(messages.len() <= 5, "not one for each that ever was: {}", messages.len());
}
