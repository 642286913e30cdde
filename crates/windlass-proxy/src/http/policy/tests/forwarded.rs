//! Who asks, as backends are told, and who is believed.

use super::*;
use crate::Sources;
use crate::http::config::{Forwarded, ForwardedHeaders, HeaderRule};

const ASK: &str = "GET / HTTP/1.1\nHost: a.test";

fn policy(headers: ForwardedHeaders) -> Policy {
    let trusted = Sources::parse(["10.0.0.0/8", "unix"]).unwrap();
    let forwarded = Forwarded { headers, trusted };
    plan(config(HttpConfig { forwarded, ..HttpConfig::default() })).policy
}

/// All a backend learns of the client.
fn told(policy: &Policy, client: &Client, more: &str) -> Vec<String> {
    let lines = sent(policy, client, &format!("{ASK}{more}"));
    let mut lines: Vec<String> = lines.into_iter().map(|line| line.to_ascii_lowercase()).collect();
    lines.sort();
    lines
}

const SPOOFED: &str = "\nX-Forwarded-For: 127.0.0.1\nx-forwarded-for: 10.9.9.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.test\nX-Forwarded-Port: 1\nX-Forwarded-Server: s\nX-Forwarded-Prefix: /p\nX-Real-IP: 127.0.0.1\nForwarded: for=127.0.0.1";

#[test]
fn a_stranger_is_not_believed() {
    let told = told(&policy(ForwardedHeaders::XForwarded), &stranger(), SPOOFED);
    assert_eq!(
        told,
        [
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-host: a.test",
            "x-forwarded-port: 8080",
            "x-forwarded-proto: http"
        ]
    );
}

#[test]
fn the_list_of_a_trusted_proxy_is_continued_in_one_line() {
    let told = told(&policy(ForwardedHeaders::XForwarded), &client("10.1.1.1:7"), SPOOFED);
    assert_eq!(
        told,
        [
            "forwarded: for=127.0.0.1",
            "x-forwarded-for: 127.0.0.1, 10.9.9.9, 10.1.1.1",
            "x-forwarded-host: evil.test",
            "x-forwarded-port: 1",
            "x-forwarded-prefix: /p",
            "x-forwarded-proto: https",
            "x-forwarded-server: s",
            "x-real-ip: 127.0.0.1"
        ]
    );
}

#[test]
fn what_a_trusted_proxy_says_twice_or_wrongly_is_not_believed() {
    let odd = "\nX-Forwarded-Proto: gopher\nX-Forwarded-Port: 80x\nX-Forwarded-Host: b.test\nX-Forwarded-Host: c.test";
    let told = told(&policy(ForwardedHeaders::XForwarded), &client("10.1.1.1:7"), odd);
    assert_eq!(
        told,
        [
            "x-forwarded-for: 10.1.1.1",
            "x-forwarded-host: a.test",
            "x-forwarded-port: 8080",
            "x-forwarded-proto: http"
        ]
    );
}

#[test]
fn forwarded_is_written_as_rfc_7239_has_it() {
    let policy = policy(ForwardedHeaders::Rfc7239);
    assert_eq!(
        told(&policy, &stranger(), SPOOFED),
        ["forwarded: for=203.0.113.9;proto=http;host=\"a.test\""]
    );
    let six = Client { tls: true, ..client("[2001:db8::1]:9") };
    assert_eq!(told(&policy, &six, ""), ["forwarded: for=\"[2001:db8::1]\";proto=https;host=\"a.test\""]);
    let front = told(&policy, &client("10.1.1.1:7"), "\nForwarded: for=\"[::1]\"\nForwarded: for=b");
    assert_eq!(front, ["forwarded: for=\"[::1]\", for=b, for=10.1.1.1;proto=http;host=\"a.test\""]);
    let nobody = Client { source: Peer::Unix, ..stranger() };
    assert_eq!(told(&policy, &nobody, ""), ["forwarded: for=unknown;proto=http;host=\"a.test\""]);
    assert!(!policy.wants_local());
}

#[test]
fn both_and_neither() {
    let told_by = |headers| told(&policy(headers), &stranger(), SPOOFED).len();
    assert_eq!(told_by(ForwardedHeaders::Both), 5);
    assert_eq!(told_by(ForwardedHeaders::Off), 0);
    // What a trusted proxy says passes as it is then.
    let front = told(&policy(ForwardedHeaders::Off), &client("10.1.1.1:7"), SPOOFED);
    assert!(front.contains(&"x-forwarded-for: 127.0.0.1".into()) && front.len() == 9);
}

#[test]
fn a_client_without_an_address_adds_none() {
    let local = Client { source: Peer::Unix, local: None, ..stranger() };
    let policy = policy(ForwardedHeaders::XForwarded);
    assert_eq!(told(&policy, &local, ""), ["x-forwarded-host: a.test", "x-forwarded-proto: http"]);
    let told = told(&policy, &local, "\nX-Forwarded-For: 1.2.3.4");
    assert!(told.contains(&"x-forwarded-for: 1.2.3.4".into()));
}

#[test]
fn a_trusted_proxy_cannot_be_made_to_hide_the_client() {
    let more = "\nX-Forwarded-For: 1.2.3.4\nConnection: x-forwarded-for";
    let told = told(&policy(ForwardedHeaders::XForwarded), &client("10.1.1.1:7"), more);
    assert!(told.contains(&"x-forwarded-for: 10.1.1.1".into()), "{told:?}");
}

#[test]
fn a_rule_has_the_last_word() {
    let rules = vec![
        HeaderRule::Remove { name: "X-Forwarded-Host".into() },
        HeaderRule::Set { name: "X-Forwarded-For".into(), value: "{client_ip}".into() },
        HeaderRule::Set { name: "X-Real-IP".into(), value: "{client_ip}".into() },
    ];
    let policy = plan(config(HttpConfig { request: rules, ..HttpConfig::default() })).policy;
    assert_eq!(
        told(&policy, &stranger(), SPOOFED),
        [
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-port: 8080",
            "x-forwarded-proto: http",
            "x-real-ip: 203.0.113.9"
        ]
    );
}
