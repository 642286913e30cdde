//! Backends and clients that do not do what they should.

use super::*;
use crate::RetryBudget;

const SECOND: Duration = Duration::from_secs(1);

const POST: &str = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";

fn three() -> ProxyConfig {
    backends(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"])
}

/// The status line of what a client has heard.
fn status(heard: &str) -> &str {
    heard.split("\r\n").next().unwrap_or_default()
}

#[test]
fn a_backend_that_refuses_is_passed_over_and_the_client_never_knows() {
    let mut case = Case::new(three());
    let client = case.client(POST);
    let call = case.call();
    case.harness.refuse(&call);
    let call = case.call();
    assert_eq!(call.remote.to_string(), "10.0.0.2:80");
    case.harness.unreachable(&call);
    let backend = case.accept();
    assert!(case.heard(backend).ends_with("\r\n\r\nbody"), "nothing of the body was lost meanwhile");
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    assert_eq!((case.http().retries, case.told()[0].retries), (2, 2));
}

#[test]
fn nobody_there_is_503_and_the_connection_goes_on() {
    let mut case = Case::new(one().retries_max(0));
    let client = case.client(GET);
    let call = case.call();
    case.harness.refuse(&call);
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 503 Service Unavailable");
    assert_eq!(case.front.stats().refused("unreachable"), 1);
    let told = case.told();
    assert_eq!((told[0].status, told[0].ending), (503, Ending::Unavailable));
    case.harness.send(client, GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
}

#[test]
fn a_body_that_was_refused_a_backend_is_read_over() {
    let mut case = Case::new(one().retries_max(0));
    let client = case.client(&format!("{POST}{GET}"));
    let call = case.call();
    case.harness.refuse(&call);
    let backend = case.accept();
    assert_eq!(case.heard(backend), GOT, "and the body was not taken for a request");
    case.harness.send(backend, OK);
    let heard = case.heard(client);
    assert!(heard.starts_with("HTTP/1.1 503") && heard.ends_with(ANSWER), "{heard}");
}

#[test]
fn garbage_is_502() {
    for garbage in [
        "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n bad: 1\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let mut case = Case::new(one());
        let client = case.client(GET);
        let backend = case.accept();
        case.harness.send(backend, garbage);
        assert_eq!(status(&case.heard(client)), "HTTP/1.1 502 Bad Gateway", "{garbage:?}");
        assert_eq!(case.http().bad_responses, 1);
        assert_eq!(case.told()[0].ending, Ending::Broken);
        assert_eq!(case.counts(), (0, 0, 1), "{garbage:?}");
    }
}

#[test]
fn a_response_that_was_not_asked_for_ends_the_connection_and_reaches_nobody() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, format!("{OK}{OK}"));
    assert_eq!(case.heard(client), ANSWER, "one response to one request");
    assert_eq!(case.counts(), (0, 0, 1), "who says more than it was asked is asked no more");
    case.harness.send(client, GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    case.heard(client);
    assert_eq!(case.counts(), (1, 0, 1));
    case.harness.send(backend, OK);
    assert_eq!(case.counts(), (0, 0, 1), "nor is one that speaks while it is idle");
    assert_eq!(case.heard(client), "");
}

#[test]
fn an_idle_connection_that_the_backend_has_closed_is_replaced_without_the_client_knowing() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    case.heard(client);
    // The request and the end of the connection cross.
    case.harness.send(client, GET);
    case.heard(backend);
    case.harness.finish(backend);
    let backend = case.accept();
    assert_eq!(case.heard(backend), GOT);
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    let stats = case.front.stats();
    assert_eq!(
        (stats.retries, stats.http.stale, stats.backends[0].failed),
        (0, 1, 0),
        "which is nobody's fault"
    );
}

#[test]
fn what_may_have_been_done_is_not_done_again() {
    let mut case = Case::new(three());
    let client = case.client(POST);
    let backend = case.accept();
    assert!(case.heard(backend).starts_with("POST"));
    case.harness.reset(backend);
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 502 Bad Gateway");
    assert!(case.harness.calls().is_empty());
    // A GET is, at another one.
    case.harness.send(client, GET);
    let first = case.call();
    let backend = case.harness.accept(&first);
    case.harness.reset(backend);
    let second = case.call();
    assert_ne!(first.remote, second.remote);
    let backend = case.harness.accept(&second);
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    // Unless something of its response was there.
    case.harness.send(client, GET);
    case.harness.send(backend, "HTTP/1.1 20");
    case.harness.reset(backend);
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 502 Bad Gateway");
    assert_eq!(case.counts(), (0, 0, 1));
}

#[test]
fn retries_stay_within_their_budget_and_wait_for_it() {
    let mut config = three().retries_max(2);
    config.retry_budget = RetryBudget { percent: 0, concurrent_min: 1 };
    let mut case = Case::new(config);
    let clients: Vec<_> = (0..3).map(|_| case.client(GET)).collect();
    for call in case.harness.calls() {
        case.harness.refuse(&call);
    }
    let mut answered = 0;
    while let Some(call) = case.harness.calls().first().cloned() {
        assert_eq!(case.harness.calls().len(), 1, "one retry at a time");
        let backend = case.harness.accept(&call);
        case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        answered += 1;
    }
    assert_eq!(answered, 3);
    for client in clients {
        assert_eq!(status(&case.heard(client)), "HTTP/1.1 200 OK");
    }
    assert_eq!(case.front.stats().waiting, 0);
}

#[test]
fn a_response_that_breaks_off_does_not_look_whole() {
    type End = fn(&mut Harness, TestPeer);
    let broken: [(&str, End); 4] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", Harness::finish),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", Harness::reset),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", Harness::finish),
        ("HTTP/1.1 200 OK\r\n\r\npart", Harness::reset),
    ];
    for (response, end) in broken {
        for http10 in [false, true] {
            let mut case = Case::new(one());
            let client = case.client(if http10 { "GET / HTTP/1.0\r\n\r\n" } else { GET });
            let backend = case.accept();
            case.harness.send(backend, response);
            end(&mut case.harness, backend);
            // Where the end of the connection would be that of the response, it is a reset.
            let by_reset = http10 && !response.contains("Length");
            assert_eq!(
                case.harness.why(client),
                Some(if by_reset { "aborted" } else { "done" }),
                "{response:?}"
            );
            let heard = case.heard(client);
            assert!(heard.contains("part") && !heard.contains("\r\n0\r\n"), "{heard:?}");
            let told = case.told();
            assert_eq!((told[0].ending, told[0].bytes), (Ending::CutShort, (0, 4)));
            assert_eq!((case.http().cut_short, case.counts()), (1, (0, 0, 0)));
        }
    }
}

/// The client is slow, and so the end of the stream comes with the last that there is.
#[test]
fn what_has_come_of_a_response_that_breaks_off_is_passed_on() {
    let mut case = Case::with_buffers(one(), 64 << 10);
    let client = case.client(GET);
    let backend = case.accept();
    let body = "x".repeat(400_000);
    case.harness.send(backend, format!("HTTP/1.1 200 OK\r\nContent-Length: 400001\r\n\r\n{body}"));
    case.harness.finish(backend);
    assert_eq!(case.harness.why(client), None, "most of it waits");
    let heard = case.heard(client);
    assert!(heard.ends_with(&format!("\r\n\r\n{body}")), "{} bytes of {}", heard.len(), body.len());
    assert_eq!((case.harness.why(client), case.told()[0].ending), (Some("done"), Ending::CutShort));
    assert_eq!(case.counts(), (0, 0, 0));
}

#[test]
fn a_backend_that_says_nothing_is_504() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.advance(59 * SECOND);
    assert_eq!(case.heard(client), "");
    case.harness.advance(2 * SECOND);
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 504 Gateway Timeout");
    assert!(case.harness.is_ended(backend));
    assert_eq!((case.told()[0].ending, case.counts()), (Ending::Timeout, (0, 0, 1)));
}

#[test]
fn a_head_that_comes_byte_by_byte_has_its_time_in_total() {
    let mut case = Case::new(one());
    let slow = case.harness.connect();
    for byte in GET.bytes().cycle().take(11) {
        case.harness.send(slow, [byte.max(b'a')]);
        case.harness.advance(SECOND);
    }
    assert_eq!(status(&case.heard(slow)), "HTTP/1.1 408 Request Timeout");
    assert_eq!(case.harness.why(slow), Some("timeout"));
    assert_eq!((case.told()[0].ending, case.told().len()), (Ending::Slow, 0));
    // Who says nothing at all is told nothing.
    let silent = case.harness.connect();
    case.harness.advance(11 * SECOND);
    assert_eq!((case.heard(silent), case.harness.why(silent)), (String::new(), Some("timeout")));
    // The second head has its own time, and silence before it another.
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    case.harness.advance(50 * SECOND);
    case.harness.send(client, "GET ");
    case.harness.advance(9 * SECOND);
    assert_eq!(case.harness.why(client), None);
    case.harness.advance(2 * SECOND);
    assert_eq!(case.harness.why(client), Some("timeout"));
}

#[test]
fn a_client_that_is_idle_between_requests_is_closed_in_its_time() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    case.harness.advance(59 * SECOND);
    assert_eq!(case.harness.why(client), None);
    case.harness.advance(2 * SECOND);
    assert_eq!((case.heard(client).as_str(), case.harness.why(client)), (ANSWER, Some("timeout")));
}

#[test]
fn a_client_that_stops_in_its_body_is_408() {
    let mut config = one();
    config.timeouts.client = 100 * SECOND;
    let mut case = Case::new(config);
    let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart");
    let backend = case.accept();
    case.heard(backend);
    case.harness.advance(101 * SECOND);
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 408 Request Timeout");
    assert_eq!((case.harness.why(backend), case.counts()), (Some("aborted"), (0, 0, 0)));
}

#[test]
fn a_body_that_comes_byte_by_byte_is_408_too() {
    let mut config = one();
    config.timeouts.client = 100 * SECOND;
    let mut case = Case::new(config);
    let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n");
    let backend = case.accept();
    // Enough in the first while, and then not.
    case.harness.send(client, vec![b'x'; 2_000]);
    for _ in 0..14 {
        case.harness.advance(10 * SECOND);
        case.harness.send(client, b"x");
    }
    assert_eq!(case.harness.why(client), None);
    for _ in 0..10 {
        case.harness.advance(10 * SECOND);
        case.harness.send(client, b"x");
    }
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 408 Request Timeout");
    assert_eq!((case.harness.why(backend), case.counts()), (Some("aborted"), (0, 0, 0)));
}

/// What has to come within the client's timeout: so much and not a byte less.
#[test]
fn a_body_makes_the_progress_that_is_asked_for_or_is_408() {
    for (least, bytes, goes_on) in
        [(1024, 1024, true), (1024, 1023, false), (10, 10, true), (10, 9, false), (0, 2, true)]
    {
        let mut config = one();
        config.timeouts.client = 100 * SECOND;
        assert_eq!(config.http.body_progress_min, 1024, "unless something else is said");
        config.http.body_progress_min = least;
        let mut case = Case::new(config);
        let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n");
        let backend = case.accept();
        case.harness.send(client, vec![b'x'; bytes - 1]);
        // It is not silent.
        case.harness.advance(55 * SECOND);
        case.harness.send(client, b"x");
        case.harness.advance(46 * SECOND);
        assert_eq!(case.harness.why(client), (!goes_on).then_some("timeout"), "{bytes} of {least}");
        assert_eq!(case.harness.is_ended(backend), !goes_on);
        let heard = case.heard(client);
        assert_eq!(status(&heard), if goes_on { "" } else { "HTTP/1.1 408 Request Timeout" });
    }
}

#[test]
fn an_overloaded_worker_refuses_requests_before_any_work() {
    let mut case = Case::new(one());
    let client = case.harness.connect();
    case.harness.pretend_overload(true);
    case.harness.send(client, GET);
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 503 Service Unavailable");
    case.harness.pretend_overload(false);
    case.harness.send(client, GET);
    let backend = case.accept();
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
}

#[test]
fn a_client_that_vanishes_takes_its_request_with_it() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.reset(client);
    assert_eq!((case.harness.why(backend), case.counts()), (Some("aborted"), (0, 0, 0)));
    assert_eq!((case.told()[0].ending, case.http().clients_gone), (Ending::ClientGone, 1));
    // While it is called for, and while it waits.
    let client = case.client(GET);
    case.harness.reset(client);
    case.harness.advance(Duration::ZERO);
    assert!(case.harness.calls().is_empty());
    assert_eq!(case.counts(), (0, 0, 0));
}

#[test]
fn a_client_that_has_only_ended_its_half_gets_its_response() {
    let mut config = one();
    config.http.abort_on_close = false;
    let mut case = Case::new(config);
    let client = case.client(&GET.repeat(2));
    case.harness.finish(client);
    let backend = case.accept();
    case.harness.send(backend, OK);
    assert_eq!(case.heard(backend), GOT.repeat(2));
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER.repeat(2));
    assert_eq!((case.harness.why(client), case.counts()), (Some("done"), (1, 0, 0)));
}

#[test]
fn requests_wait_for_room_in_the_order_they_came_and_take_connections_that_are_free() {
    let mut config = one().queue_max(2);
    config.backends[0].connections_max = 1;
    let mut case = Case::new(config);
    let first = case.client(GET);
    let backend = case.accept();
    let (second, third, fourth) = (case.client(GET), case.client(GET), case.client(GET));
    assert_eq!(status(&case.heard(fourth)), "HTTP/1.1 503 Service Unavailable");
    assert_eq!(case.front.stats().refused("queue_full"), 1);
    for client in [first, second, third] {
        assert_eq!(case.heard(backend), GOT);
        case.harness.send(backend, OK);
        assert_eq!(case.heard(client), ANSWER);
    }
    assert_eq!((case.http().opened, case.front.stats().queued), (1, 2));
    // And not for ever.
    case.harness.send(first, GET);
    case.harness.send(second, GET);
    case.harness.advance(11 * SECOND);
    assert_eq!(status(&case.heard(second)), "HTTP/1.1 503 Service Unavailable");
    assert_eq!((case.front.stats().refused("queue_timeout"), case.front.stats().waiting), (1, 0));
}

#[test]
fn an_answer_before_the_request_is_whole_ends_both_connections_or_drains() {
    let mut case = Case::new(one());
    let client = case.client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\npart");
    let backend = case.accept();
    case.heard(backend);
    case.harness.send(backend, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 413 Content Too Large");
    assert_eq!(case.counts(), (0, 0, 1), "the backend's connection cannot be used again");
    // What is left of the body is no request.
    case.harness.send(client, format!("12345{GET}"));
    let backend = case.accept();
    assert_eq!(case.heard(backend), GOT);
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    // More than is read over is not waited for.
    case.harness.send(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\npart");
    let heard = case.heard(backend);
    assert!(heard.starts_with("POST"), "{heard}");
    case.harness.send(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(case.heard(client), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_eq!(case.harness.why(client), Some("done"));
}

#[test]
fn what_is_no_request_reaches_no_backend() {
    for (wrong, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", "400"),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "501"),
        ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "501"),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", "505"),
    ] {
        let mut case = Case::new(one());
        let client = case.client(wrong);
        let heard = case.heard(client);
        assert!(heard.starts_with(&format!("HTTP/1.1 {expected} ")), "{wrong:?}: {heard}");
        assert!(case.harness.calls().is_empty(), "{wrong:?}");
        assert_eq!(case.told()[0].ending, Ending::Refused);
    }
}

#[test]
fn a_body_that_turns_wrong_takes_its_request_back() {
    let mut case = Case::new(one());
    let client =
        case.client("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nNO\r\n");
    assert_eq!(case.heard(client), "");
    let backend = case.accept();
    assert_eq!(status(&case.heard(client)), "HTTP/1.1 400 Bad Request");
    assert_eq!(case.harness.why(client), Some("protocol"));
    assert_eq!((case.harness.why(backend), case.counts()), (Some("aborted"), (0, 0, 0)));
}
