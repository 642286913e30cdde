//! What is counted of bytes: all that goes over the wire between us and a backend.

use super::*;

/// Bytes to backends and from them, by what each of them counts and by what the proxy does.
fn counted(case: &Case) -> (u64, u64) {
    let stats = case.front.stats();
    let sent: u64 = stats.backends.iter().map(|backend| backend.sent_bytes).sum();
    let received: u64 = stats.backends.iter().map(|backend| backend.received_bytes).sum();
    assert_eq!((stats.http.sent_bytes, stats.http.received_bytes), (sent, received));
    assert_eq!((stats.sent_bytes, stats.received_bytes), (sent, received));
    (sent, received)
}

fn lengths(sent: &str, received: &str) -> (u64, u64) {
    (sent.len() as u64, received.len() as u64)
}

#[test]
fn heads_count_and_so_does_the_framing_of_bodies() {
    let mut case = Case::new(one());
    let client = case.client(
        "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let backend = case.accept();
    let sent = case.heard(backend);
    let received = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\nhi\r\n0\r\n\r\n";
    // However it is split: a part of a head waits.
    case.harness.send_split(backend, received, 3);
    assert!(case.heard(client).ends_with("0\r\n\r\n"));
    assert_eq!(counted(&case), lengths(&sent, received));
    assert_eq!(case.told()[0].bytes, (4, 2), "a request is told of by its bodies");
    // And each request on the same connection counts for itself.
    case.harness.send(client, GET);
    case.harness.send(backend, OK);
    assert_eq!(counted(&case), lengths(&(sent + GOT), &(received.to_string() + OK)));
}

#[test]
fn what_is_sent_once_more_counts_once_more() {
    let mut case = Case::new(backends(&["10.0.0.1:80", "10.0.0.2:80"]));
    let client = case.client(GET);
    let first = case.accept();
    assert_eq!(case.heard(first), GOT);
    // What waits to be understood has come all the same.
    case.harness.reset(first);
    let second = case.accept();
    case.harness.send(second, OK);
    assert_eq!(case.heard(client), ANSWER);
    let each: Vec<_> =
        case.front.stats().backends.iter().map(|one| (one.sent_bytes, one.received_bytes)).collect();
    assert_eq!(each, [lengths(GOT, ""), lengths(GOT, OK)]);
    assert_eq!(counted(&case), lengths(&GOT.repeat(2), OK));
}

#[test]
fn a_head_that_is_cut_short_has_come_all_the_same_and_answers_of_ours_have_not() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, "HTTP/1.1 20");
    case.harness.finish(backend);
    assert!(case.heard(client).starts_with("HTTP/1.1 502 "));
    assert_eq!(counted(&case), lengths(GOT, "HTTP/1.1 20"));
}

#[test]
fn what_never_left_does_not_count() {
    let mut case = Case::with_buffers(one(), 1 << 10);
    let body = "x".repeat(20_000);
    let client = case.client("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n");
    let backend = case.accept();
    case.harness.send(client, &body);
    case.harness.reset(client);
    let heard = case.heard(backend).len() as u64;
    let (sent, received) = counted(&case);
    assert!(sent >= heard && sent <= heard + (2 << 10) && received == 0, "{heard} {sent}");
}

#[test]
fn a_long_response_counts_while_it_lasts() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    let begin = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nso far";
    case.harness.send(backend, begin);
    case.harness.advance(Duration::from_secs(1));
    assert_eq!(counted(&case), lengths(GOT, begin));
    case.harness.reset(client);
    assert_eq!(counted(&case), lengths(GOT, begin), "and no more when it has ended");
}

#[test]
fn a_tunnel_counts_with_its_heads_and_while_it_lasts() {
    let mut case = Case::new(one());
    let client =
        case.client("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let backend = case.accept();
    let asked = case.heard(backend);
    let switched =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst";
    case.harness.send(backend, switched);
    assert!(case.heard(client).ends_with("first"));
    case.harness.send(client, "hello");
    case.harness.advance(Duration::from_secs(1));
    assert_eq!(counted(&case), lengths(&format!("{asked}hello"), switched));
    case.harness.send(backend, "you");
    case.harness.finish(client);
    case.harness.finish(backend);
    assert_eq!(counted(&case), lengths(&format!("{asked}hello"), &format!("{switched}you")));
    assert_eq!((case.told()[0].bytes, case.told().len(), case.counts()), ((5, 8), 0, (0, 0, 0)));
}
