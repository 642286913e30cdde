//! Bodies and bytes of any size and length, in both directions.

use super::*;

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n";

#[test]
fn upgrade_tunnels_only_after_101() {
    let mut case = Case::new(one());
    let client = case.client(UPGRADE);
    let backend = case.accept();
    let expected = "GET /chat HTTP/1.1\r\nhost: h\r\nSec-WebSocket-Key: k\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    assert_eq!(case.heard(backend), expected);
    case.harness.send(client, "GET /secret HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(case.heard(backend), "", "nothing passes before the backend has agreed");
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(case.heard(client), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno");
    // What came behind it was a request like any other.
    assert_eq!(case.heard(backend), "GET /secret HTTP/1.1\r\nhost: h\r\n\r\n");
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    assert_eq!(case.http().upgrades, 0);
}

#[test]
fn bytes_behind_an_upgrade_are_lost_in_neither_direction() {
    let mut case = Case::new(one());
    let client = case.client(&format!("{UPGRADE}early"));
    let backend = case.accept();
    case.heard(backend);
    case.harness.send(backend, format!("{SWITCHED}greeting"));
    let expected = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\ngreeting";
    assert_eq!(case.heard(client), expected);
    assert_eq!(case.heard(backend), "early");
    case.harness.send(client, "more");
    case.harness.send(backend, "and more");
    assert_eq!((case.heard(backend), case.heard(client)), ("more".into(), "and more".into()));
    assert_eq!((case.http().upgrades, case.counts()), (1, (1, 1, 1)));
    case.harness.finish(client);
    case.harness.send(backend, "last");
    assert_eq!(case.heard(client), "last");
    case.harness.finish(backend);
    assert_eq!(case.counts(), (0, 0, 0));
    let told = case.told();
    assert_eq!((told.len(), told[0].status, told[0].ending), (1, 101, Ending::Tunnel));
    assert_eq!(told[0].bytes, (9, 20));
}

#[test]
fn a_tunnel_has_its_own_deadline() {
    let mut config = one();
    config.timeouts.tunnel = Duration::from_secs(100);
    let mut case = Case::new(config);
    let client = case.client(UPGRADE);
    let backend = case.accept();
    case.harness.send(backend, SWITCHED);
    case.harness.advance(Duration::from_secs(90));
    case.harness.send(backend, "x");
    case.harness.advance(Duration::from_secs(90));
    assert_eq!(case.harness.why(client), None);
    case.harness.advance(Duration::from_secs(11));
    assert_eq!(case.harness.why(client), Some("timeout"));
    assert_eq!(case.counts(), (0, 0, 0));
}

#[test]
fn http2_in_an_upgrade_is_not_asked_for() {
    let mut case = Case::new(one());
    case.client(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    );
    let backend = case.accept();
    assert_eq!(case.heard(backend), "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
}

#[test]
fn responses_end_as_their_requests_and_statuses_have_it() {
    for (request, response, expected) in [
        ("HEAD", "200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK\r\ncontent-length: 5\r\n\r\n"),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK\r\n\r\n"),
        ("GET", "204 No Content\r\n\r\n", "204 No Content\r\n\r\n"),
        (
            "GET",
            "304 Not Modified\r\nContent-Length: 7\r\n\r\n",
            "304 Not Modified\r\ncontent-length: 7\r\n\r\n",
        ),
        ("GET", "304 Not Modified\r\nETag: \"x\"\r\n\r\n", "304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
        ("GET", "299 Odd\r\nContent-Length: 0\r\n\r\n", "299 \r\ncontent-length: 0\r\n\r\n"),
    ] {
        let mut case = Case::new(one());
        let client = case.client(&format!("{request} / HTTP/1.1\r\nHost: h\r\n\r\n{GET}"));
        let backend = case.accept();
        case.harness.send(backend, format!("HTTP/1.1 {response}"));
        assert_eq!(case.heard(client), format!("HTTP/1.1 {expected}"), "{request} {response:?}");
        assert!(case.heard(backend).ends_with(GOT), "the next follows on the same connection");
    }
}

#[test]
fn a_body_that_ends_with_its_connection_ends_so_that_the_client_sees_it() {
    for (version, head, end) in [
        ("1.1", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n", "0\r\n\r\n"),
        ("1.0", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhi", ""),
    ] {
        let mut case = Case::new(one());
        let client = case.client(&format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
        let backend = case.accept();
        case.harness.send(backend, "HTTP/1.0 200 OK\r\n\r\nhi");
        assert_eq!(case.heard(client), head);
        case.harness.finish(backend);
        assert_eq!(case.heard(client), end);
        assert_eq!(case.harness.is_ended(client), version == "1.0");
        assert_eq!(case.counts().0, 0);
        assert_eq!(case.told()[0].ending, Ending::Complete);
    }
}

#[test]
fn http10_clients_get_no_chunks_and_may_keep_their_connection() {
    let mut case = Case::new(one());
    let client = case.client("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    let backend = case.accept();
    assert_eq!(case.heard(backend), "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    case.harness.send(backend, OK);
    let heard = case.heard(client);
    assert!(heard.contains("connection: keep-alive"), "{heard}");
    case.harness.send(client, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(case.heard(backend), "GET / HTTP/1.1\r\nhost: \r\n\r\n");
    case.harness
        .send(backend, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n");
    assert_eq!(case.heard(client), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhi");
    assert_eq!(case.counts().0, 1, "the backend's connection is as good as before");
}

#[test]
fn who_waits_for_100_continue_gets_the_backends() {
    let mut case = Case::new(one());
    let client =
        case.client("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let backend = case.accept();
    assert!(case.heard(backend).contains("Expect: 100-continue\r\n"));
    assert_eq!(case.heard(client), "", "not from us");
    case.harness.send(backend, "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n");
    assert_eq!(case.heard(client), "HTTP/1.1 100 Continue\r\n\r\n");
    case.harness.send(client, "hi");
    assert_eq!(case.heard(backend), "hi");
    case.harness.send(backend, format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{OK}"));
    assert_eq!(case.heard(client), format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{ANSWER}"));
    assert_eq!(case.counts().0, 1);
    // Or what it says instead; then nobody knows whether the body will come.
    case.harness
        .send(client, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    case.harness.send(backend, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let heard = case.heard(client);
    assert!(heard.contains("connection: close"), "{heard}");
    assert_eq!(case.harness.why(client), Some("done"));
}

/// Sends all of it, and takes what comes in small steps; most of it has to wait with its sender.
fn slowly(head: &str, response: bool) {
    const BODY: usize = 4 << 20;
    let mut case = Case::with_buffers(one(), 32 << 10);
    let client = case.client(if response { GET } else { head });
    let backend = case.accept();
    let (from, to) = if response { (backend, client) } else { (client, backend) };
    if response {
        case.heard(backend);
        case.harness.send(backend, head);
    }
    let body: Vec<u8> = (0..BODY).map(|n| (n % 251) as u8).collect();
    case.harness.send(from, &body);
    let mut heard = Vec::new();
    let mut most = 0;
    loop {
        let piece = case.harness.receive_some(to, 10_000);
        if piece.is_empty() {
            break;
        }
        heard.extend_from_slice(&piece);
        most = most.max(case.harness.handle().stats().counters.buffered_bytes as usize);
    }
    let at = heard.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(heard[at..] == body[..], "{} of {BODY} bytes came", heard.len() - at);
    assert!(most > 0 && most < 600 << 10, "{most} bytes were held at once");
    if response {
        assert_eq!(case.counts(), (1, 0, 1));
    } else {
        case.harness.send(backend, OK);
        assert_eq!(case.heard(client), ANSWER);
    }
}

#[test]
fn a_slow_client_holds_its_backend_back() {
    slowly("HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n", true);
}

#[test]
fn a_slow_backend_holds_its_client_back() {
    slowly("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4194304\r\n\r\n", false);
}

#[test]
fn a_backend_that_answers_while_it_listens_is_heard_while_its_request_waits() {
    let mut case = Case::with_buffers(one(), 16 << 10);
    let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4194304\r\n\r\n");
    let backend = case.accept();
    case.harness.send(client, vec![b'x'; 4 << 20]);
    // It takes nothing more before it has said all this.
    let answer = vec![b'y'; 1 << 20];
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    case.harness.send(backend, &answer);
    let mut heard = 0;
    while let n @ 1.. = case.harness.receive(client).len() {
        heard += n;
    }
    assert!(heard > 1 << 20, "{heard}");
}

#[test]
fn a_drain_lets_requests_end_and_idle_clients_go() {
    let mut case = Case::new(one());
    let busy = case.client(GET);
    let backend = case.accept();
    let idle = case.harness.connect();
    case.harness.shutdown();
    assert_eq!(case.harness.why(idle), Some("shutdown"));
    case.harness.send(backend, OK);
    let heard = case.heard(busy);
    assert!(heard.contains("connection: close\r\n") && heard.ends_with("hi"), "{heard}");
    assert_eq!(case.harness.why(busy), Some("done"));
    assert_eq!(case.counts(), (0, 0, 0));
}
