//! The same client to the same backend, by a cookie nobody can read or make up.

use std::time::Duration;

use super::super::siphash::siphash;
use super::*;
use crate::http::config::Sticky;

fn sticky() -> Sticky {
    Sticky { cookie: "srv".into(), key: b"0123456789abcdef".to_vec(), max_age: Duration::ZERO }
}

fn two(sticky: Sticky) -> Plan {
    let http = HttpConfig { sticky: Some(sticky), ..HttpConfig::default() };
    plan(config(http).backend(backend(2)).backend(backend(3)))
}

const ASK: &str = "GET / HTTP/1.1\nHost: a.test";

fn wanted(policy: &Policy, more: &str) -> Option<u32> {
    asked(&format!("{ASK}{more}"), |head| forward(policy, head, &stranger()).sticky)
}

/// The cookie that a response of this backend sets.
fn given(policy: &Policy, forward: &Forward, served: u32) -> Option<String> {
    let lines = returned(policy, forward, served, "HTTP/1.1 200 OK\nSet-Cookie: app=1");
    assert_eq!(lines[0], "Set-Cookie: app=1");
    values(&lines[1..], "set-cookie").pop()
}

fn fresh() -> Forward {
    Forward { group: 0, sticky: None, secure: false }
}

fn value(cookie: &str) -> &str {
    cookie.split([';', '=']).nth(1).unwrap()
}

#[test]
fn the_cookie_brings_a_client_back_to_its_backend() {
    let plan = two(sticky());
    let ids: Vec<u32> = plan.upstreams().map(|(_, upstream)| upstream.id()).collect();
    for id in ids {
        let cookie = given(&plan.policy, &fresh(), id).unwrap();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
        let value = value(&cookie);
        assert_eq!(wanted(&plan.policy, &format!("\nCookie: a=b; srv={value}; c=d")), Some(id));
        // Several lines, and one of ours that means nothing before it.
        assert_eq!(
            wanted(&plan.policy, &format!("\nCookie: a=b\nCookie: srv=old\nCookie: srv={value}")),
            Some(id)
        );
        // It has it already.
        let back = Forward { sticky: Some(id), ..fresh() };
        assert_eq!(given(&plan.policy, &back, id), None);
        // Another backend had to take it.
        assert!(given(&plan.policy, &Forward { sticky: Some(id + 1), ..fresh() }, id).is_some());
    }
}

#[test]
fn nobody_makes_up_a_cookie_and_it_names_no_backend() {
    let plan = two(sticky());
    for guess in ["", "1", "10.0.0.1:80", "0000000000000000", "\"", "a,b"] {
        assert_eq!(wanted(&plan.policy, &format!("\nCookie: srv={guess}")), None, "{guess}");
    }
    let cookie = given(&plan.policy, &fresh(), 1).unwrap();
    let good = value(&cookie).to_owned();
    assert!(good.len() == 16 && good.bytes().all(|byte| byte.is_ascii_hexdigit()));
    for close in [
        format!("xsrv={good}"),
        format!("SRV={good}"),
        format!("srvx={good}"),
        format!("srv={good}0"),
        format!("x=srv={good}"),
    ] {
        assert_eq!(wanted(&plan.policy, &format!("\nCookie: {close}")), None, "{close}");
    }
    // Under another key it is another value.
    let other = two(Sticky { key: b"0123456789abcdeX".to_vec(), ..sticky() });
    assert_eq!(wanted(&other.policy, &format!("\nCookie: srv={good}")), None);
    assert!(!format!("{:?}", sticky()).contains("48"), "the key is not shown");
}

#[test]
fn nodes_and_restarts_agree_on_what_a_cookie_means() {
    let cookie = given(&two(sticky()).policy, &fresh(), 2).unwrap();
    let turned = HttpConfig { sticky: Some(sticky()), ..HttpConfig::default() };
    let turned =
        plan(ProxyConfig { http: turned, ..ProxyConfig::default() }.backend(backend(3)).backend(backend(2)));
    // The second backend of the one is the second of the other, by its address alone.
    let id = wanted(&turned.policy, &format!("\nCookie: srv={}", value(&cookie))).unwrap();
    let found = turned.upstreams().find(|(_, upstream)| upstream.id() == id).unwrap().1.key.clone();
    assert_eq!(found, "10.0.0.2:80");
}

#[test]
fn the_backend_does_not_see_our_cookie() {
    let policy = two(sticky()).policy;
    let cookies =
        |line: &str| values(&sent(&policy, &stranger(), &format!("{ASK}\nCookie: {line}")), "cookie");
    assert_eq!(cookies("a=1; srv=x; b=2"), ["a=1; b=2"]);
    assert_eq!(cookies("a=1;srv=x;srv=y"), ["a=1"]);
    assert_eq!(cookies("srv=x"), Vec::<String>::new());
    assert_eq!(cookies("a=1;b=2"), ["a=1;b=2"]);
}

#[test]
fn the_cookie_is_kept_as_long_as_was_said_and_goes_by_tls_alone_where_that_is() {
    let plan = two(Sticky { max_age: Duration::from_secs(3600), ..sticky() });
    let forward = asked(ASK, |head| forward(&plan.policy, head, &Client { tls: true, ..stranger() }));
    let cookie = given(&plan.policy, &forward, 1).unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure"), "{cookie}");
}

#[test]
fn settings_that_keep_nothing_secret_are_refused() {
    let with = |sticky: Sticky| why_not(config(HttpConfig { sticky: Some(sticky), ..HttpConfig::default() }));
    with(Sticky { key: b"short".to_vec(), ..sticky() });
    with(Sticky { cookie: "a=b".into(), ..sticky() });
    with(Sticky { cookie: "a;b".into(), ..sticky() });
    with(Sticky { cookie: String::new(), ..sticky() });
    with(Sticky { max_age: Duration::from_secs(400 * 86_400), ..sticky() });
}

// The vectors of its authors: the key 00..0f, and the first bytes of 00, 01, 02, ...
#[test]
fn the_hash_is_siphash_2_4() {
    let key = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
    let bytes: Vec<u8> = (0..16).collect();
    assert_eq!(siphash(key, &bytes[..0]), 0x726f_db47_dd0e_0e31);
    assert_eq!(siphash(key, &bytes[..1]), 0x74f8_39c5_93dc_67fd);
    assert_eq!(siphash(key, &bytes[..7]), 0xab02_00f5_8b01_d137);
    assert_eq!(siphash(key, &bytes[..8]), 0x93f5_f579_9a93_2462);
    assert_eq!(siphash(key, &bytes[..15]), 0xa129_ca61_49be_45e5);
}
