//! What passes, and how it is written.

use super::*;

#[test]
fn a_request_goes_to_a_backend_and_its_response_comes_back() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    assert_eq!(case.heard(backend), GOT);
    case.harness.advance(Duration::from_millis(5));
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    let told = Told {
        line: "GET /a?b h".into(),
        status: 200,
        bytes: (0, 2),
        reused: false,
        retries: 0,
        total: Duration::from_millis(5),
        ending: Ending::Complete,
    };
    assert_eq!(case.told(), [told]);
    assert_eq!(case.counts(), (1, 0, 1), "the connection is kept");
    case.harness.finish(client);
    case.harness.advance(Duration::from_secs(5));
    assert_eq!(case.counts(), (0, 0, 0), "and not for ever");
}

#[test]
fn pool_is_shared_by_the_worker_and_200_clients_need_one_connection() {
    let mut case = Case::new(one());
    let mut backend = None;
    for n in 0..200 {
        let client = case.client(GET);
        let backend = *backend.get_or_insert_with(|| case.accept());
        assert!(case.harness.calls().is_empty(), "client {n}");
        assert_eq!(case.heard(backend), GOT, "client {n}");
        case.harness.send(backend, OK);
        assert_eq!(case.heard(client), ANSWER, "client {n}");
        case.harness.finish(client);
    }
    let (stats, http) = (case.front.stats(), case.http());
    assert_eq!((stats.backends[0].opened, stats.backends[0].requests), (1, 200));
    assert_eq!((http.requests, http.responses, http.reused, http.opened), (200, [0, 200, 0, 0, 0], 199, 1));
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let mut case = Case::new(one());
    let client = case.client(&GET.repeat(3));
    let backend = case.accept();
    for _ in 0..3 {
        assert_eq!(case.heard(backend), GOT, "one at a time");
        case.harness.send(backend, OK);
    }
    assert_eq!(case.heard(client), ANSWER.repeat(3));
    assert_eq!(case.http().opened, 1);
}

#[test]
fn headers_of_one_hop_stay_on_it() {
    let mut case = Case::new(one());
    let client = case.client(
        "GET http://h/x HTTP/1.1\r\nHost: h\r\nConnection: x-secret, host, close\r\nX-Secret: 1\r\nTE: trailers\r\n\
         Keep-Alive: 5\r\nProxy-Authorization: a\r\nX-Stays: 2\r\n\r\n",
    );
    let backend = case.accept();
    assert_eq!(case.heard(backend), "GET /x HTTP/1.1\r\nhost: h\r\nX-Stays: 2\r\n\r\n");
    case.harness.send(
        backend,
        "HTTP/1.1 200 OK\r\nConnection: x-own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\nX: y\r\nContent-Length: 0\r\n\r\n",
    );
    let expected = "HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(case.heard(client), expected);
    assert_eq!(case.harness.why(client), Some("done"));
    assert_eq!(case.counts().0, 1, "the client's wish to close is not the backend's");
}

#[test]
fn bodies_pass_in_pieces_both_ways() {
    let mut case = Case::new(one());
    let client = case.client("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello");
    let backend = case.accept();
    assert_eq!(case.heard(backend), "POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello");
    case.harness.send(client, "world");
    assert_eq!(case.heard(backend), "world");
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(case.heard(client), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    case.harness.send(backend, "2;x=y\r\nde\r\n0\r\nX-Sum: 9\r\nConnection: z\r\n\r\n");
    // A trailer that would end somebody's connection is refused by the decoder; one that stays is passed on.
    assert_eq!(case.harness.why(client), Some("done"));
    let told = case.told();
    assert_eq!((told[0].bytes, told[0].ending), ((10, 5), Ending::CutShort));
}

#[test]
fn trailers_pass_both_ways() {
    let mut case = Case::new(one());
    let client = case.client(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let backend = case.accept();
    let expected =
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(case.heard(backend), expected);
    case.harness.send(
        backend,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\nX-Sum: 2\r\n\r\n",
    );
    let expected = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\ny\r\n0\r\nX-Sum: 2\r\n\r\n";
    assert_eq!(case.heard(client), expected);
    assert_eq!(case.counts(), (1, 0, 1));
}
