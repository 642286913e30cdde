//! Answers of ours: redirects, pages, what a route says itself.

use windlass_proto::http::Status;

use super::*;
use crate::Sources;
use crate::http::config::{Action, ErrorPage, Forwarded, HeaderRule};

fn status(code: u16) -> Status {
    Status::new(code).unwrap()
}

fn redirecting(code: u16, to: &str) -> ProxyConfig {
    let action = Action::Redirect { status: status(code), to: to.into() };
    let http = HttpRoute { action, ..HttpRoute::default() };
    // Whoever is sent elsewhere needs no backend here.
    ProxyConfig::default().route(Route { name: "r".into(), http, ..Route::default() })
}

fn location(policy: &Policy, lines: &str) -> (u16, String) {
    let (status, lines, body) = answered(policy, &stranger(), lines);
    assert!(body.is_empty());
    (status, values(&lines, "location").pop().unwrap_or_default())
}

/// RFC 9110 section 15.5.22: it has to name a protocol, and there is none to be asked for here.
#[test]
fn a_426_of_our_own_is_refused() {
    let action = Action::Respond { status: status(426), content_type: String::new(), body: Vec::new() };
    let http = HttpRoute { action, ..HttpRoute::default() };
    let why = why_not(ProxyConfig::default().route(Route { name: "r".into(), http, ..Route::default() }));
    assert!(why.contains("426"), "{why}");
}

/// RFC 9110 section 7.6.2.
#[test]
fn a_request_that_may_go_no_further_is_answered_here() {
    let policy = plan(config(HttpConfig::default())).policy;
    let ask = |more: &str| format!("OPTIONS * HTTP/1.1\nHost: a.test{more}");
    assert_eq!(decided(&policy, &ask("\nMax-Forwards: 0")), Err(204));
    assert_eq!(decided(&policy, &ask("\nMax-Forwards: 3\nMax-Forwards: 00")), Err(204));
    let (_, lines, body) = answered(&policy, &stranger(), &ask("\nMax-Forwards: 0"));
    assert_eq!((values(&lines, "allow").len(), body.len()), (0, 0), "all but two are");
    for further in ["", "\nMax-Forwards: 1", "\nMax-Forwards: -0", "\nMax-Forwards: 0x", "\nMax-Forwards:"] {
        assert_eq!(decided(&policy, &ask(further)), Ok(0), "{further}");
    }
    // Of other methods it means nothing.
    assert_eq!(decided(&policy, "GET / HTTP/1.1\nHost: a.test\nMax-Forwards: 0"), Ok(0));
    let named =
        HttpConfig { methods: vec!["GET".into(), "OPTIONS".into(), "TRACE".into()], ..HttpConfig::default() };
    let policy = plan(config(named)).policy;
    let (status, lines, _) = answered(&policy, &stranger(), &ask("\nMax-Forwards: 0"));
    assert_eq!((status, values(&lines, "allow")), (204, vec!["GET, OPTIONS, TRACE".to_owned()]));
    assert_eq!(decided(&policy, "TRACE / HTTP/1.1\nHost: a.test\nMax-Forwards: 0"), Err(501));
}

#[test]
fn a_redirect_keeps_the_path_and_the_query() {
    for code in [301, 302, 303, 307, 308] {
        let policy = plan(redirecting(code, "https://new.test{uri}")).policy;
        let asked = location(&policy, "GET /a%20b?c=d HTTP/1.1\nHost: old.test");
        assert_eq!(asked, (code, "https://new.test/a%20b?c=d".into()));
    }
    let policy = plan(redirecting(302, "{proto}://www.{host}/x{path}")).policy;
    assert_eq!(location(&policy, "GET /p?q HTTP/1.1\nHost: a.test:81").1, "http://www.a.test/x/p");
}

// Traefik CVE-2020-15129 and its kin: `//evil.test` in a path is a host where it is taken for a reference.
#[test]
fn a_redirect_within_a_host_does_not_lead_out_of_it() {
    for to in ["{path}", "{uri}", "/{path}", "/"] {
        let policy = plan(redirecting(302, to)).policy;
        for path in ["//evil.test", "///evil.test", "/\\evil.test", "/\\/evil.test", "//\\evil.test/x"] {
            let (_, to) = location(&policy, &format!("GET {path} HTTP/1.1\nHost: a.test"));
            assert!(to.starts_with('/') && !to[1..].starts_with(['/', '\\']), "{path}: {to}");
        }
    }
    let policy = plan(redirecting(302, "{uri}")).policy;
    assert_eq!(location(&policy, "GET /a//b?c HTTP/1.1\nHost: a.test").1, "/a//b?c");
    for wrong in ["", "{query}", "{host}/x", "x", "ftp://a", "https://a b", "/ü", "{method}"] {
        why_not(redirecting(302, wrong));
    }
    why_not(redirecting(304, "/"));
    why_not(redirecting(200, "/"));
}

#[test]
fn whoever_came_without_tls_is_sent_to_it() {
    let trusted = Sources::parse(["10.0.0.0/8"]).unwrap();
    let http = HttpConfig {
        https_redirect: true,
        forwarded: Forwarded { trusted, ..Forwarded::default() },
        ..HttpConfig::default()
    };
    let policy = plan(config(http)).policy;
    let ask = "GET /a?b HTTP/1.1\nHost: a.test:8080";
    assert_eq!(location(&policy, ask), (308, "https://a.test/a?b".into()));
    // A stranger's word for it is none.
    assert_eq!(decided(&policy, &format!("{ask}\nX-Forwarded-Proto: https")), Err(308));
    let forwards = |client: &Client, lines: &str| {
        asked(lines, |head| matches!(policy.decide(head, client), Decision::Forward(_)))
    };
    assert!(forwards(&Client { tls: true, ..stranger() }, ask));
    assert!(forwards(&client("10.1.1.1:1"), &format!("{ask}\nX-Forwarded-Proto: https")));
    assert!(!forwards(&client("10.1.1.1:1"), ask));
    assert!(forwards(&stranger(), "GET /.well-known/acme-challenge/x HTTP/1.1\nHost: a.test"));
    // Nobody can be sent to a host that has no name.
    assert_eq!(decided(&policy, "GET / HTTP/1.0"), Err(400));
    assert_eq!(decided(&policy, "GET / HTTP/1.1\nHost:"), Err(400));
}

#[test]
fn a_route_may_answer_itself() {
    let action =
        Action::Respond { status: status(403), content_type: "text/html".into(), body: b"<p>no".to_vec() };
    let http = HttpRoute {
        paths: vec!["/private".into()],
        action,
        response: vec![HeaderRule::Set { name: "X-R".into(), value: "1".into() }],
        ..HttpRoute::default()
    };
    let policy =
        plan(config(HttpConfig::default()).route(Route { name: "r".into(), http, ..Route::default() }))
            .policy;
    let answer = answered(&policy, &stranger(), "GET /private/x HTTP/1.1\nHost: a");
    assert_eq!(answer, (403, vec!["content-type: text/html".into(), "X-R: 1".into()], b"<p>no".to_vec()));
    let respond = |code, body: &[u8]| {
        let action =
            Action::Respond { status: status(code), content_type: String::new(), body: body.to_vec() };
        let http = HttpRoute { action, ..HttpRoute::default() };
        config(HttpConfig::default()).route(Route { name: "r".into(), http, ..Route::default() })
    };
    assert_eq!(answered(&plan(respond(204, b"")).policy, &stranger(), "GET / HTTP/1.1\nHost: a").0, 204);
    for (code, body) in [(101, &b""[..]), (204, b"x"), (304, b"x"), (600, b"x"), (200, &[0; 70_000])] {
        why_not(respond(code, body));
    }
}

#[test]
fn pages_take_the_place_of_our_own_words() {
    let page =
        ErrorPage { status: status(503), content_type: "text/html".into(), body: b"<p>later".to_vec() };
    let with = |pages: Vec<ErrorPage>| config(HttpConfig { pages, ..HttpConfig::default() });
    let policy = plan(with(vec![page.clone()])).policy;
    let shown = policy.page(status(503));
    assert_eq!((shown.body, texts(shown.lines)[0].as_str()), (&b"<p>later"[..], "content-type: text/html"));
    let plain = policy.page(status(404));
    assert_eq!(plain.body, b"404 Not Found\n");
    assert_eq!(texts(plain.lines), ["content-type: text/plain; charset=utf-8", "cache-control: no-store"]);
    assert_eq!(policy.page(status(599)).body, b"");
    // Where we say no ourselves, too.
    let not_found = ErrorPage { status: status(400), ..page.clone() };
    let policy = plan(with(vec![not_found])).policy;
    assert_eq!(answered(&policy, &stranger(), "GET /../x HTTP/1.1\nHost: a").2, b"<p>later");

    why_not(with(vec![page.clone(), page.clone()]));
    why_not(with(vec![ErrorPage { status: status(302), ..page.clone() }]));
    why_not(with(vec![ErrorPage { body: vec![0; 70_000], ..page.clone() }]));
    why_not(with(vec![ErrorPage { content_type: "a\r\nb: c".into(), ..page }]));
}
