//! What is allowed and yet rare.

use super::*;
use crate::ErrorPage;
use windlass_proto::http::Status;

const SECOND: Duration = Duration::from_secs(1);

/// Its response has no body whatever else it asks for (RFC 9110 section 9.3.2).
#[test]
fn a_head_that_asks_for_another_protocol_waits_for_no_body() {
    let mut case = Case::new(one());
    let client =
        case.client("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let backend = case.accept();
    case.heard(backend);
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(case.heard(client), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    assert_eq!((case.counts(), case.told().len()), ((1, 0, 1), 1));
    // The next response is not taken for that body.
    case.harness.send(client, GET);
    assert!(case.heard(backend).ends_with(GOT));
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
}

/// Nothing of the body was lost, but its end was sent: the next backend wants to hear it too.
#[test]
fn an_empty_body_in_chunks_is_whole_when_it_is_sent_again() {
    let mut case = Case::new(backends(&["10.0.0.1:80", "10.0.0.2:80"]));
    let client = case.client("PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let sent = "PUT /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let first = case.accept();
    assert_eq!(case.heard(first), sent);
    case.harness.reset(first);
    let second = case.accept();
    assert_eq!(case.heard(second), sent);
    case.harness.send(second, OK);
    assert_eq!((case.heard(client).as_str(), case.counts()), (ANSWER, (1, 0, 1)));
}

#[test]
fn what_is_left_of_an_answered_body_and_turns_wrong_ends_the_connection_at_once() {
    let mut case = Case::new(one());
    let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    let backend = case.accept();
    case.heard(backend);
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(case.heard(client), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    case.harness.send(client, format!("NO\r\n{GET}"));
    assert!(case.harness.why(client).is_some(), "nobody will ever read on");
    assert_eq!((case.heard(client).as_str(), case.counts()), ("", (0, 0, 0)));
}

#[test]
fn silence_has_its_limits_where_a_response_may_take_any_time() {
    let mut config = one();
    config.http.response_timeout = Duration::ZERO;
    (config.timeouts.client, config.timeouts.server) = (100 * SECOND, 60 * SECOND);
    let mut case = Case::new(config);
    let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart");
    let backend = case.accept();
    case.heard(backend);
    case.harness.advance(101 * SECOND);
    assert!(case.heard(client).starts_with("HTTP/1.1 408"));
    assert_eq!(case.counts(), (0, 0, 0));
    // The response is under way, and goes no further.
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.advance(250 * SECOND);
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
    case.harness.advance(59 * SECOND);
    assert_eq!(case.harness.why(client), None);
    case.harness.advance(61 * SECOND);
    assert_eq!((case.harness.why(client), case.counts()), (Some("done"), (0, 0, 0)));
}

#[test]
fn a_limit_that_is_off_leaves_the_next_one_in_force() {
    let mut config = one();
    config.http.response_timeout = 10 * SECOND;
    (config.timeouts.client, config.timeouts.server) = (Duration::ZERO, 50 * SECOND);
    let mut case = Case::new(config);
    // Answered before its body is whole, and then silent.
    let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart");
    let backend = case.accept();
    case.harness.advance(60 * SECOND);
    assert_eq!(case.heard(client), "", "a body may take any time");
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
    case.harness.advance(51 * SECOND);
    assert_eq!((case.harness.why(client), case.counts()), (Some("done"), (0, 0, 0)));
}

#[test]
fn a_backend_that_was_taken_out_while_it_was_called_is_not_kept() {
    let mut case = Case::new(backends(&["10.0.0.1:80"]));
    let client = case.client(GET);
    let call = case.call();
    case.front.change(backends(&["10.0.0.2:80"])).unwrap();
    case.harness.settle();
    let backend = case.harness.accept(&call);
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    assert_eq!(case.harness.why(backend), Some("done"));
}

/// A backend's bytes and its proxy's are the same bytes.
#[test]
fn what_has_passed_is_counted_however_its_request_ends() {
    let mut case = Case::new(one());
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart";
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nparts";
    let client = case.client(post);
    let backend = case.accept();
    case.harness.send(backend, response);
    case.harness.reset(backend);
    assert_eq!(case.harness.why(client), Some("done"));
    let client = case.client(post);
    let backend = case.accept();
    case.harness.send(backend, response);
    case.harness.reset(client);
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    let posted = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\npart".len();
    let bytes = ((2 * posted + GOT.len()) as u64, (2 * response.len() + OK.len()) as u64);
    let stats = case.front.stats();
    let backend = &stats.backends[0];
    assert_eq!((backend.sent_bytes, backend.received_bytes), bytes);
    assert_eq!((stats.http.sent_bytes, stats.http.received_bytes), bytes);
}

#[test]
fn a_backend_that_answers_nothing_in_time_is_to_blame_and_a_client_that_says_nothing_is_not() {
    let mut config = backends(&["10.0.0.1:80", "10.0.0.2:80"]);
    config.health.failures_max = 2;
    // The client's fault.
    config.timeouts.client = 30 * SECOND;
    let mut case = Case::new(config);
    for _ in 0..4 {
        let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart");
        case.accept();
        case.harness.advance(31 * SECOND);
        assert!(case.heard(client).starts_with("HTTP/1.1 408"));
    }
    let failed = |case: &Case| case.front.stats().backends.iter().map(|one| one.failed).collect::<Vec<_>>();
    assert_eq!(failed(&case), [0, 0]);
    for _ in 0..4 {
        let client = case.client(GET);
        let backend = case.accept();
        // One that is on its way, but slow, is not as good as dead.
        case.harness.send(backend, "HTTP/1.1 103 Early Hints\r\n\r\n");
        case.harness.advance(61 * SECOND);
        assert!(case.heard(client).contains("HTTP/1.1 504"));
    }
    assert_eq!(failed(&case), [0, 0]);
    for _ in 0..3 {
        let client = case.client(GET);
        case.accept();
        case.harness.advance(61 * SECOND);
        assert!(case.heard(client).starts_with("HTTP/1.1 504"));
    }
    assert_eq!(failed(&case), [2, 1]);
    let ejections: u64 = case.front.stats().backends.iter().map(|backend| backend.ejections).sum();
    assert_eq!((ejections, case.counts().0), (1, 0));
}

/// Its head has left, though as many bytes as that has wait still: those of trailers.
#[test]
fn a_request_whose_head_has_left_is_not_repeated_for_the_trailers_that_have_not() {
    let mut case = Case::with_buffers(backends(&["10.0.0.1:80", "10.0.0.2:80"]), 1 << 10);
    let trailers: String = (0..7).map(|n| format!("x-{n}: {}\r\n", "y".repeat(1_000))).collect();
    let client = case.client(&format!(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n"
    ));
    let backend = case.accept();
    case.harness.finish(backend);
    assert!(case.harness.calls().is_empty(), "it may be under way there");
    let heard = case.heard(client);
    assert!(
        heard.starts_with("HTTP/1.1 502"),
        "{heard:?} {:?} {:?}",
        case.told(),
        case.front.stats().retries
    );
}

/// RFC 9110 section 15.5.22: a 426 has to name what is to be asked for.
#[test]
fn a_response_that_requires_another_protocol_names_it() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    let rest = "X-A: b\r\nContent-Length: 2\r\n\r\nhi";
    case.harness.send(
        backend,
        format!("HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.2, HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x/2\r\n{rest}"),
    );
    let expected = "HTTP/1.1 426 Upgrade Required\r\nX-A: b\r\nconnection: Upgrade\r\n\
                    upgrade: TLS/1.2, HTTP/1.1, x/2\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(
        (case.heard(client).as_str(), case.counts()),
        (expected, (1, 0, 1)),
        "and nothing is switched"
    );
    // One that is the last says both.
    case.harness.send(client, GET.replace("Accept: x", "Connection: close"));
    case.harness.send(
        backend,
        format!("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\n{rest}"),
    );
    let heard = case.heard(client);
    let options: Vec<_> = heard.lines().filter(|line| line.starts_with("connection: ")).collect();
    assert_eq!(options, ["connection: Upgrade", "connection: close"], "{heard}");
    assert!(heard.contains("\r\nupgrade: websocket\r\n"), "{heard}");
    // Elsewhere it is between the backend and us.
    let client = case.client(GET);
    case.harness.send(
        backend,
        "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi",
    );
    assert_eq!(case.heard(client), ANSWER);
}

/// Requests that are answered here, behind one another, from a client that takes its time.
#[test]
fn pipelined_requests_that_we_answer_wait_for_their_client() {
    for ends in [false, true] {
        let mut config = one();
        let body = vec![b'x'; 32 << 10];
        let page = ErrorPage { status: Status::NOT_IMPLEMENTED, content_type: "text/plain".into(), body };
        config.http.pages = vec![page];
        let mut case = Case::with_buffers(config, 64 << 10);
        let client = case.client(&"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2_000));
        if ends {
            case.harness.finish(client);
        }
        let (mut bytes, mut most) = (0, 0);
        loop {
            let heard = case.harness.receive_some(client, 100_000);
            if heard.is_empty() {
                break;
            }
            bytes += heard.len();
            most = most.max(case.harness.handle().stats().counters.buffered_bytes);
        }
        assert_eq!(case.told().len(), 2_000);
        assert!(bytes > 2_000 * (32 << 10), "{bytes} bytes came");
        assert!(most < 400 << 10, "{most} bytes were held at once");
        assert_eq!(case.harness.why(client), ends.then_some("eof"));
    }
}

/// Whose turn it is: the backend's until it has said that the body may come, then the client's.
#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_not_to_blame_for_a_backend_that_hangs() {
    for told in [false, true] {
        let mut config = one();
        config.http.response_timeout = 10 * SECOND;
        config.timeouts.client = 20 * SECOND;
        let mut case = Case::new(config);
        let client =
            case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        let backend = case.accept();
        if told {
            case.harness.send(backend, "HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(case.heard(client), "HTTP/1.1 100 Continue\r\n\r\n");
        }
        case.harness.advance(11 * SECOND);
        assert_eq!(case.harness.is_ended(backend), !told);
        case.harness.advance(10 * SECOND);
        let (status, failed) = if told { ("408", 0) } else { ("504", 1) };
        let heard = case.heard(client);
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{heard}");
        assert_eq!((case.front.stats().backends[0].failed, case.counts()), (failed, (0, 0, 0)));
    }
}

/// They are not kept, and it would not be the same request without them.
#[test]
fn a_request_whose_trailers_were_passed_on_is_not_repeated() {
    let mut case = Case::new(backends(&["10.0.0.1:80", "10.0.0.2:80"]));
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let client = case.client(&format!("{put}X-Sum: 9\r\n\r\n"));
    let backend = case.accept();
    assert!(case.heard(backend).ends_with("0\r\nX-Sum: 9\r\n\r\n"));
    case.harness.reset(backend);
    assert!(case.harness.calls().is_empty());
    assert!(case.heard(client).starts_with("HTTP/1.1 502 "));
}

#[test]
fn what_rules_take_out_of_a_response_does_not_come_as_its_trailer() {
    let mut config = one();
    config.http.response = vec!["remove X-Sum".parse().unwrap()];
    let mut case = Case::new(config);
    let client = case.client(GET);
    let backend = case.accept();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n";
    case.harness.send(backend, format!("{chunked}X-Sum: 9\r\nx_sum: 8\r\nX-Else: 7\r\n\r\n"));
    assert_eq!(
        case.heard(client),
        format!("{}X-Else: 7\r\n\r\n", chunked.replace("Transfer-E", "transfer-e"))
    );
}
