//! Header rules, and what no rule and no client can touch.

use super::*;
use crate::http::config::{HeaderRule, HostHeader, Underscores};

fn add(name: &str, value: &str) -> HeaderRule {
    HeaderRule::Add { name: name.into(), value: value.into() }
}

fn set(name: &str, value: &str) -> HeaderRule {
    HeaderRule::Set { name: name.into(), value: value.into() }
}

fn remove(name: &str) -> HeaderRule {
    HeaderRule::Remove { name: name.into() }
}

fn replace(name: &str, find: &str, with: &str) -> HeaderRule {
    HeaderRule::Replace { name: name.into(), find: find.into(), with: with.into() }
}

fn requests(rules: Vec<HeaderRule>) -> Policy {
    plan(config(HttpConfig { request: rules, ..HttpConfig::default() })).policy
}

const ASK: &str = "GET /p?q HTTP/1.1\nHost: a.test:8080";

/// Without what we say of the client.
fn own(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| !line.starts_with("x-forwarded-")).collect()
}

/// RFC 9110 section 7.6.2.
#[test]
fn how_far_a_request_may_go_is_counted_down() {
    let of = |policy: &Policy, method: &str, lines: &str| {
        let lines = sent(policy, &stranger(), &format!("{method} / HTTP/1.1\nHost: a.test\n{lines}"));
        values(&lines, "max-forwards")
    };
    let policy = requests(Vec::new());
    assert_eq!(of(&policy, "OPTIONS", "Max-Forwards: 7"), ["6"]);
    assert_eq!(of(&policy, "OPTIONS", "Max-Forwards: 9\nMax-Forwards: 1"), ["0"], "one line, of the least");
    assert_eq!(of(&policy, "OPTIONS", "Max-Forwards: 99999999999999999999"), ["18446744073709551614"]);
    assert_eq!(of(&policy, "OPTIONS", "Max-Forwards: many"), ["many"]);
    assert_eq!(of(&policy, "GET", "Max-Forwards: 7"), ["7"]);
    let own = requests(vec![set("Max-Forwards", "2")]);
    assert_eq!(of(&own, "OPTIONS", "Max-Forwards: 7"), ["2"]);
}

#[test]
fn what_is_meant_for_the_other_end_passes_and_nothing_else() {
    let policy = requests(Vec::new());
    let lines = sent(
        &policy,
        &stranger(),
        &format!(
            "{ASK}\nAccept: */*\nConnection: keep-alive, X-Hop\nX-Hop: 1\nTE: trailers\nKeep-Alive: 5\nUpgrade: h2c\nProxy-Authorization: x\nCookie: a=b"
        ),
    );
    assert_eq!(own(lines), ["Accept: */*", "Cookie: a=b"]);
}

#[test]
fn rules_add_set_remove_and_replace() {
    let policy = requests(vec![
        add("X-Added", "{method} {uri} from {client_ip} by {proto} for {host}"),
        set("X-Set", "ours"),
        remove("X-Secret"),
        replace("Referer", "http://", "https://"),
    ]);
    let lines = sent(
        &policy,
        &stranger(),
        &format!("{ASK}\nX-Set: theirs\nx-set: again\nX-SECRET: 1\nReferer: http://a/?u=http://b"),
    );
    assert_eq!(
        own(lines),
        [
            "Referer: https://a/?u=https://b",
            "X-Added: GET /p?q from 203.0.113.9 by http for a.test",
            "X-Set: ours"
        ]
    );
}

#[test]
fn later_rules_and_those_of_a_route_have_the_last_word() {
    let http = HttpRoute {
        hosts: vec!["a.test".into()],
        request: vec![set("X-A", "route"), remove("X-B")],
        ..HttpRoute::default()
    };
    let rules = vec![add("X-A", "1"), add("X-B", "1"), set("X-C", "1"), add("X-C", "2")];
    let all = HttpConfig { request: rules, ..HttpConfig::default() };
    let policy = plan(config(all).route(route("r", http))).policy;
    assert_eq!(own(sent(&policy, &stranger(), ASK)), ["X-C: 1", "X-C: 2", "X-A: route"]);
}

#[test]
fn a_rule_cannot_touch_how_a_message_is_framed() {
    for name in [
        "Content-Length",
        "content_length",
        "Transfer-Encoding",
        "TRANSFER_ENCODING",
        "Connection",
        "Host",
        "Upgrade",
        "Keep-Alive",
        "Trailer",
        "TE",
        "Expect",
        "Proxy-Connection",
    ] {
        for rule in [set(name, "1"), add(name, "1"), remove(name), replace(name, "1", "2")] {
            why_not(config(HttpConfig { request: vec![rule.clone()], ..HttpConfig::default() }));
            why_not(config(HttpConfig { response: vec![rule], ..HttpConfig::default() }));
        }
    }
}

#[test]
fn a_rule_cannot_split_a_message() {
    for rule in [
        set("X-A", "1\r\nX-B: 2"),
        add("X-A", "1\n"),
        set("X A", "1"),
        set("X-A:", "1"),
        set("", "1"),
        replace("X-A", "a", "\r\n"),
        replace("X-A", "", "b"),
        set("X-A", "{nothing}"),
        set("X-A", "{host"),
    ] {
        why_not(config(HttpConfig { request: vec![rule], ..HttpConfig::default() }));
    }
}

#[test]
fn replacing_does_not_grow_without_an_end() {
    let policy = requests(vec![replace("X-A", "a", &"b".repeat(1000))]);
    let lines = sent(&policy, &stranger(), &format!("{ASK}\nX-A: {}", "a".repeat(100)));
    assert_eq!(values(&lines, "x-a"), ["a".repeat(100)]);
}

// oauth2-proxy CVE-2025-64484, and WSGI and CGI applications everywhere.
#[test]
fn an_underscore_does_not_pass_for_a_hyphen() {
    let ask = format!("{ASK}\nX_Forwarded_For: 1.2.3.4\nX_User: root\nX-Forwarded_Proto: https\nx_other: 1");
    let rules = vec![set("X-User", "nobody")];
    let with = |underscores| {
        plan(config(HttpConfig { underscores, request: rules.clone(), ..HttpConfig::default() })).policy
    };
    assert_eq!(own(sent(&with(Underscores::Drop), &stranger(), &ask)), ["X-User: nobody"]);
    assert_eq!(decided(&with(Underscores::Refuse), &ask), Err(400));
    // Those that would pass for one of ours do not pass even then.
    assert_eq!(own(sent(&with(Underscores::Pass), &stranger(), &ask)), ["x_other: 1", "X-User: nobody"]);
    let framing = format!("{ASK}\nTransfer_Encoding: chunked\nContent_Length: 5");
    assert_eq!(own(sent(&with(Underscores::Pass), &stranger(), &framing)), ["X-User: nobody"]);
}

// Traefik CVE-2024-45410: a client makes the proxy take out what the proxy itself says.
#[test]
fn connection_cannot_name_what_we_add() {
    let policy = requests(vec![set("X-User", "nobody")]);
    let names = "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-User, Host";
    let lines = sent(&policy, &stranger(), &format!("{ASK}\nConnection: {names}\nX-User: root"));
    assert_eq!(values(&lines, "x-user"), ["nobody"]);
    assert_eq!(values(&lines, "x-forwarded-for"), ["203.0.113.9"]);
    assert_eq!(values(&lines, "x-forwarded-host"), ["a.test:8080"]);
    assert_eq!(values(&lines, "x-forwarded-proto"), ["http"]);
}

// Whoever reads the first of two lines and whoever reads the last see the same.
#[test]
fn a_header_that_is_set_is_there_once_however_often_it_came() {
    let policy = requests(vec![set("X-User", "nobody")]);
    let lines = sent(
        &policy,
        &stranger(),
        &format!("X-User: a\n{ASK}\nx-user: b\nX-USER: c").replacen("X-User: a\n", "", 1),
    );
    assert_eq!(values(&lines, "x-user"), ["nobody"]);
}

#[test]
fn the_number_of_a_request_is_ours_unless_the_client_is_believed() {
    use crate::http::config::Forwarded;
    let trusted = crate::Sources::parse(["10.0.0.0/8"]).unwrap();
    let http = HttpConfig {
        request_id: true,
        forwarded: Forwarded { trusted, ..Forwarded::default() },
        ..HttpConfig::default()
    };
    let policy = plan(config(http)).policy;
    assert!(policy.wants_id() && !requests(Vec::new()).wants_id());
    assert!(requests(vec![set("X-Trace", "{request_id}")]).wants_id());
    let ours = format!("{:032x}", 0xabc);
    let theirs = format!("{ASK}\nX-Request-Id: theirs");
    assert_eq!(values(&sent(&policy, &stranger(), &theirs), "x-request-id"), std::slice::from_ref(&ours));
    let front = client("10.1.1.1:1");
    assert_eq!(values(&sent(&policy, &front, &theirs), "x-request-id"), ["theirs"]);
    assert_eq!(values(&sent(&policy, &front, ASK), "x-request-id"), [ours]);
}

#[test]
fn a_backend_is_told_the_host_that_is_wanted() {
    let host = |host: HostHeader, client: &str| {
        let http = HttpRoute { host, ..HttpRoute::default() };
        let plan = plan(config(HttpConfig::default()).route(route("r", http)));
        let lines = if client.is_empty() {
            "GET / HTTP/1.0".into()
        } else {
            format!("GET / HTTP/1.1\nHost: {client}")
        };
        asked(&lines, |head| {
            let forward = forward(&plan.policy, head, &stranger());
            let own = || crate::http::policy::host_of(&plan.groups[forward.group].upstreams[0]);
            plan.policy.host(&forward, head).unwrap_or_else(own).to_owned()
        })
    };
    assert_eq!(host(HostHeader::Client, "A.test:8080"), "A.test:8080");
    assert_eq!(host(HostHeader::Client, ""), "");
    assert_eq!(host(HostHeader::Backend, "a.test"), "10.0.0.2:80");
    assert_eq!(host(HostHeader::Fixed("b.test:81".into()), "a.test"), "b.test:81");
    for wrong in ["b test", "*.b.test", "b\r\n", ""] {
        let http = HttpRoute { host: HostHeader::Fixed(wrong.into()), ..HttpRoute::default() };
        why_not(config(HttpConfig::default()).route(route("r", http)));
    }
}

#[test]
fn responses_have_rules_of_their_own() {
    let http = HttpConfig {
        response: vec![
            remove("Server"),
            set("Strict-Transport-Security", "max-age=63072000"),
            replace("Location", "http://inner.test/", "https://a.test/"),
        ],
        ..HttpConfig::default()
    };
    let policy = plan(config(http)).policy;
    let forward = asked(ASK, |head| forward(&policy, head, &stranger()));
    let response = "HTTP/1.1 302 Found\nServer: x/1\nLocation: http://inner.test/x\nConnection: close, X-Hop\nX-Hop: 1\nX_Odd: 1";
    let wanted = ["Location: https://a.test/x", "X_Odd: 1", "Strict-Transport-Security: max-age=63072000"];
    assert_eq!(returned(&policy, &forward, 1, response), wanted);
    // Interim ones pass, and are given nothing.
    let interim = "HTTP/1.1 103 Early Hints\nLink: </a>\nServer: x";
    assert_eq!(returned(&policy, &forward, 1, interim), ["Link: </a>"]);
    why_not(config(HttpConfig { response: vec![set("X-Host", "{host}")], ..HttpConfig::default() }));
}

#[test]
fn a_trailer_is_no_way_around_what_headers_may_not_say() {
    let policy = requests(vec![set("X-User", "nobody")]);
    let forward = asked(ASK, |head| forward(&policy, head, &stranger()));
    for name in [
        "X-Forwarded-For",
        "x_forwarded_for",
        "Forwarded",
        "X-User",
        "x_user",
        "X-Request-Id",
        "content_length",
        "x_y",
    ] {
        assert!(!policy.passes_trailer(&forward, name), "{name}");
    }
    assert!(policy.passes_trailer(&forward, "Grpc-Status"));
}

#[test]
fn rules_are_read_as_they_are_written() {
    for rule in [
        add("X-A", "1: 2"),
        set("X-A", ""),
        remove("X-A"),
        replace("X-A", "http://a", "https://b"),
        replace("X-A", "a", ""),
    ] {
        assert_eq!(rule.to_string().parse(), Ok(rule));
    }
    for wrong in [
        "",
        "set",
        "set X-A",
        "put X-A: 1",
        "remove X A",
        "remove Content-Length",
        "replace X-A: 1",
        "replace X-A: -> b",
        "set X-A: {nobody}",
        "set X-A: a\nb",
    ] {
        assert!(wrong.parse::<HeaderRule>().is_err(), "{wrong}");
    }
}

// waitress waits for ever for the body of a GET that expects 100 and has none.
#[test]
fn an_expectation_without_a_body_is_not_passed_on() {
    let policy = requests(Vec::new());
    let expected = |lines: &str| values(&sent(&policy, &stranger(), lines), "expect");
    let post = "POST / HTTP/1.1\nHost: a\nExpect: 100-continue";
    assert_eq!(expected(&format!("{post}\nContent-Length: 5")), ["100-continue"]);
    assert_eq!(expected(&format!("{post}\nTransfer-Encoding: chunked")), ["100-continue"]);
    for lines in [
        post,
        &format!("{post}\nContent-Length: 0"),
        "GET / HTTP/1.1\nHost: a\nExpect: 100-continue",
        "POST / HTTP/1.0\nHost: a\nExpect: 100-continue\nContent-Length: 5",
    ] {
        assert!(expected(lines).is_empty(), "{lines}");
    }
}
