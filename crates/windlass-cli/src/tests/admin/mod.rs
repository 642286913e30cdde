//! Who may ask, and what is answered.

use windlass::testing::{Harness, TestPeer};

use super::*;

fn admin(token: Option<&str>) -> (Harness, Slot) {
    let slot = Slot::default();
    let (bound, token) = (slot.clone(), token.map(String::from));
    let make = move || {
        let (bound, token) = (bound.clone(), token.clone());
        pages(Admin { bound, messages: Messages::default(), token, started: Instant::now() })
    };
    let harness = Harness::new(serve(make));
    assert!(slot.set(Bound { handle: harness.handle(), workers: 1 }).is_ok());
    (harness, slot)
}

/// Sends a request with these header lines, and returns the status and the body.
fn ask(harness: &mut Harness, first: &str, lines: &str) -> (u16, String) {
    let peer: TestPeer = harness.connect();
    harness.send(peer, format!("{first} HTTP/1.1\r\n{lines}connection: close\r\n\r\n"));
    let response = String::from_utf8(harness.receive(peer)).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.into())
}

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
fn with_a_token_nothing_is_told_without_it() {
    let (mut harness, _) = admin(Some("s3cret"));
    let anywhere = "host: 192.0.2.1:9901\r\n";
    for lines in [
        "",
        "authorization: Bearer s3cre\r\n",
        "authorization: Bearer s3cretx\r\n",
        "authorization: s3cret\r\n",
    ] {
        for first in ["GET /metrics", "GET /api/state", "POST /api/drain"] {
            let (status, body) = ask(&mut harness, first, &format!("{anywhere}{lines}"));
            assert_eq!((status, &*body), (401, "401 Unauthorized\n"), "{first} {lines}");
        }
    }
    let lines = format!("{anywhere}authorization: Bearer s3cret\r\n");
    assert_eq!(ask(&mut harness, "GET /metrics", &lines).0, 200);
    assert_eq!(ask(&mut harness, "GET /healthz", anywhere).0, 200, "a probe has no token");
}

#[test]
fn orders_of_other_sites_are_refused() {
    let (mut harness, slot) = admin(None);
    for lines in [
        "origin: http://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        "origin: http://localhost:1\r\n",
    ] {
        assert_eq!(ask(&mut harness, "POST /api/drain", &format!("{LOCAL}{lines}")).0, 403, "{lines}");
    }
    assert!(!slot.get().unwrap().handle.is_stopping());
    let own = format!("{LOCAL}origin: http://localhost:9901\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(ask(&mut harness, "POST /api/drain", &own).0, 202);
    assert!(slot.get().unwrap().handle.is_stopping());
}
