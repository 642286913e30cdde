//! Clients that end their stream while their request is under way.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const POST: &str = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";

/// Counts are nothing again, and the request is told of as one whose client left.
fn is_dropped(case: &mut Case, client: TestPeer) {
    assert!(case.harness.is_ended(client));
    assert_eq!(case.heard(client), "");
    assert_eq!(case.counts(), (0, 0, 0));
    let told = case.told();
    assert_eq!(
        told.iter().map(|told| (told.status, told.ending)).collect::<Vec<_>>(),
        [(0, Ending::ClientGone)]
    );
}

#[test]
fn a_client_that_ends_its_stream_while_its_backend_hangs_leaves_with_its_request() {
    for request in [GET, POST] {
        let mut case = Case::new(one());
        let client = case.client(request);
        let backend = case.accept();
        case.harness.finish(client);
        assert_eq!(case.harness.why(backend), Some("aborted"), "what it does is for nobody");
        assert_eq!(case.http().clients_gone, 1);
        is_dropped(&mut case, client);
    }
}

#[test]
fn a_client_that_ends_its_stream_while_its_backend_is_called_leaves_with_its_request() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    case.call();
    case.harness.finish(client);
    case.harness.advance(Duration::ZERO);
    assert!(case.harness.calls().is_empty());
    is_dropped(&mut case, client);
}

#[test]
fn a_client_that_ends_its_stream_in_the_queue_leaves_it() {
    let mut config = one();
    config.backends[0].connections_max = 1;
    let mut case = Case::new(config);
    let first = case.client(GET);
    let backend = case.accept();
    let second = case.client(GET);
    case.harness.finish(second);
    assert_eq!((case.front.stats().waiting, case.told()[0].ending), (0, Ending::ClientGone));
    case.harness.send(backend, OK);
    assert_eq!((case.heard(first).as_str(), case.heard(second).as_str()), (ANSWER, ""));
    assert_eq!(case.heard(backend), GOT, "and nobody else's");
}

#[test]
fn a_response_that_has_begun_is_whole_for_a_client_that_has_ended_its_stream() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    let (begin, end) = OK.split_at(OK.len() - 1);
    case.harness.send(backend, begin);
    case.harness.finish(client);
    assert_eq!(case.harness.why(backend), None);
    case.harness.send(backend, end);
    assert_eq!(case.heard(client), ANSWER);
    assert_eq!((case.harness.why(client), case.told()[0].ending), (Some("done"), Ending::Complete));
}

#[test]
fn an_interim_response_is_no_beginning() {
    let mut case = Case::new(one());
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.send(backend, "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert!(case.heard(client).starts_with("HTTP/1.1 103"));
    case.harness.finish(client);
    assert_eq!(case.harness.why(backend), Some("aborted"));
    is_dropped(&mut case, client);
}

/// The deadline of silence comes back to those who wait, in the same turn as their end.
#[test]
fn who_ends_its_stream_early_is_let_be_where_that_is_wanted() {
    let mut config = one();
    config.http.abort_on_close = false;
    let mut case = Case::new(config);
    let client = case.client(GET);
    let backend = case.accept();
    case.harness.finish(client);
    case.harness.advance(59 * SECOND);
    assert_eq!(case.harness.why(backend), None);
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    assert_eq!((case.harness.why(client), case.counts()), (Some("done"), (1, 0, 0)));
}

/// It has said more than it was answered: only its first request is known to be over.
#[test]
fn requests_behind_one_another_are_dropped_when_the_end_behind_them_is_seen() {
    let mut case = Case::new(one());
    let client = case.client(&GET.repeat(2));
    case.harness.finish(client);
    let backend = case.accept();
    case.harness.send(backend, OK);
    assert_eq!(case.heard(client), ANSWER);
    assert_eq!(case.harness.why(backend), Some("aborted"));
    let endings: Vec<_> = case.told().iter().map(|told| told.ending).collect();
    assert_eq!(endings, [Ending::Complete, Ending::ClientGone]);
    assert_eq!(case.counts(), (0, 0, 0));
}
