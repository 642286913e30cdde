//! Publishing by a request of HTTP: what is published, what is refused with which status, and when it is answered.
#![allow(clippy::disallowed_types, reason = "a sink is shared, and remembers what it was offered")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};

use windlass::testing::TestPeer;
use windlass::{Mailbox, Offload};
use windlass_hub::identity::{Algorithm, IdentityConfig, Jwt, JwtConfig, JwtKey, UserLimits, UsersLimits};
use windlass_hub::inspect::{Ask, Question};
use windlass_hub::journal::SimPlan;
use windlass_hub::rules::{Event, Rule, Rules, Sink};
use windlass_hub::{Done, HubConfig, Mail, QoS};
use windlass_proto::mqtt::{Packet, Property};

use crate::durable::{disk, on};
use crate::identity::{TOKEN, config, hub, set, users};
use crate::kit::{Desk, V3, V5};
use crate::workers::workers;

/// `roger:r` and `anna:x`.
const ROGER: &str = "Authorization: Basic cm9nZXI6cg==\r\n";
const WRONG: &str = "authorization: basic YW5uYTp4\r\n";

fn request(target: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: hub\r\n{lines}Content-Length: {length}\r\n\r\n{body}")
}

fn heard(desk: &mut Desk, peer: TestPeer) -> String {
    String::from_utf8(desk.harness.receive(peer)).unwrap()
}

/// The status of the only answer.
fn status(answer: &str) -> &str {
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
    answer.get(9..12).unwrap_or(answer)
}

/// Sends one request on a connection of its own, and returns the status.
fn ask(desk: &mut Desk, target: &str, lines: &str, body: &str) -> String {
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    desk.harness.send(peer, request(target, lines, body));
    let answer = heard(desk, peer);
    status(&answer).to_owned()
}

#[test]
fn a_request_is_a_publish() {
    let mut desk = Desk::new(HubConfig::default());
    let mut all = desk.join(V5, "all");
    desk.subscribe(&mut all, "#", QoS::ExactlyOnce);
    for (target, lines, expected) in [
        ("/publish/room/1", "", "PUBLISH room/1 \"on\" q0"),
        ("/publish/room%2F1", "", "PUBLISH room/1 \"on\" q0"),
        ("/publish/a+b/%C3%A9", "", "PUBLISH a+b/é \"on\" q0"),
        ("/publish?topic=room/1&qos=1", "", "PUBLISH room/1 \"on\" q1"),
        ("/publish/?qos=2&topic=a%20b+c", "", "PUBLISH a b c \"on\" q2"),
        ("/publish/t", "MQTT-QoS: 1\r\nMQTT-Retain: true\r\n", "PUBLISH t \"on\" q1"),
    ] {
        // A leading wildcard in a topic is none.
        if target.contains("a+b") {
            assert_eq!(ask(&mut desk, target, lines, "on"), "400", "{target}");
            continue;
        }
        assert_eq!(ask(&mut desk, target, lines, "on"), "204", "{target}");
        let got = desk.hear(&mut all);
        assert!(got.len() == 1 && got[0].starts_with(expected), "{target} {got:?}");
        // What it owes for QoS 1 and 2 goes with its session.
        all = desk.join(V5, "all");
        desk.subscribe(&mut all, "#", QoS::ExactlyOnce);
    }
    // It was retained, and is no more.
    let mut late = desk.join(V3, "late");
    assert_eq!(desk.subscribe(&mut late, "t", QoS::AtMostOnce).len(), 2);
    assert_eq!(ask(&mut desk, "/publish/t?retain=1", "", ""), "204");
    let mut later = desk.join(V3, "later");
    assert_eq!(desk.subscribe(&mut later, "t", QoS::AtMostOnce).len(), 1);
    let stats = desk.stats();
    assert_eq!((stats.http_published, stats.http_refused), (6, 1));
    assert_eq!((stats.received_qos_0, stats.received_qos_1, stats.received_qos_2), (3, 2, 1));
}

#[test]
fn what_it_says_of_its_payload_goes_along() {
    let mut desk = Desk::new(HubConfig::default());
    let mut all = desk.join(V5, "all");
    desk.subscribe(&mut all, "#", QoS::AtMostOnce);
    ask(&mut desk, "/publish/t?expiry=60", "Content-Type: application/json\r\n", "{}");
    let said = [Property::MessageExpiry(60), Property::ContentType("application/json")];
    let said: String = said.iter().map(|property| format!(" {property:?}")).collect();
    let got = desk.hear(&mut all).concat();
    assert!(said.split(' ').all(|part| got.contains(part)), "{got} {said}");
    // What curl says of all that it sends.
    ask(&mut desk, "/publish/t", "Content-Type: application/x-www-form-urlencoded\r\n", "1");
    assert_eq!(desk.hear(&mut all), ["PUBLISH t \"1\" q0"]);
}

#[test]
fn requests_come_in_any_pieces_one_behind_the_other() {
    let mut desk = Desk::new(HubConfig::default());
    let mut all = desk.join(V5, "all");
    desk.subscribe(&mut all, "#", QoS::AtMostOnce);
    let both = request("/publish/a", "", "one") + &request("/publish/b", "Connection: close\r\n", "two");
    for size in [1, 7, 1_000] {
        let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
        desk.harness.send_split(peer, both.as_bytes(), size);
        let answers = heard(&mut desk, peer);
        assert_eq!(answers.matches("HTTP/1.1 204").count(), 2, "{size} {answers}");
        assert_eq!(desk.hear(&mut all), ["PUBLISH a \"one\" q0", "PUBLISH b \"two\" q0"], "{size}");
        assert_eq!(desk.harness.why(peer), Some("done"));
    }
    // In chunks, and asked before: the body is sent when the head is good.
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    let head =
        "PUT /publish/c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    desk.harness.send(peer, head);
    assert!(heard(&mut desk, peer).starts_with("HTTP/1.1 100"));
    desk.harness.send(peer, "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    assert_eq!(status(&heard(&mut desk, peer)), "204");
    assert_eq!(desk.hear(&mut all), ["PUBLISH c \"abc\" q0"]);
}

#[test]
fn a_mistake_is_told_with_its_status() {
    let mut desk = Desk::new(HubConfig::default().packet_max(1_000).qos_max(QoS::AtLeastOnce).retain(false));
    let long = "x".repeat(1_001);
    for (target, lines, body, expected) in [
        ("/", "", "x", "404"),
        ("/publisher/t", "", "x", "404"),
        ("/publish", "", "x", "400"),
        ("/publish/", "", "x", "400"),
        ("/publish/a/%23", "", "x", "400"),
        ("/publish/a/%00", "", "x", "400"),
        ("/publish/%zz", "", "x", "400"),
        ("/publish/t?qos=3", "", "x", "400"),
        ("/publish/t?qos=2", "", "x", "400"),
        ("/publish/t?retain=perhaps", "", "x", "400"),
        ("/publish/t?retain=1", "", "x", "400"),
        ("/publish/t?expiry=soon", "", "x", "400"),
        ("/publish/$SYS/broker/uptime", "", "x", "403"),
        ("/publish/$share/g/t", "", "x", "403"),
        ("/publish/t", "Origin: https://elsewhere.example\r\n", "x", "403"),
        ("/publish/t", "Sec-Fetch-Site: cross-site\r\n", "x", "403"),
        ("/publish/t", "Authorization: Digest x\r\n", "x", "401"),
        ("/publish/t", "Authorization: Basic !\r\n", "x", "401"),
        ("/publish/t", "", &long, "413"),
    ] {
        assert_eq!(ask(&mut desk, target, lines, body), expected, "{target} {lines}");
    }
    // Bytes of a body of unknown length are counted as they come.
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    desk.harness
        .send(peer, "POST /publish/t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    desk.harness.send(peer, &long);
    assert_eq!(status(&heard(&mut desk, peer)), "413");
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    desk.harness.send(peer, "PATCH /publish/t HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    let answer = heard(&mut desk, peer);
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: POST, PUT"), "{answer}");
    assert_eq!(desk.stats().http_published, 0);

    // Who is elsewhere is nobody here.
    let peer = desk.harness.connect_from(IpAddr::from([192, 0, 2, 7]));
    desk.harness.send(peer, request("/publish/t", "", "x"));
    assert_eq!(status(&heard(&mut desk, peer)), "401");
    // And one that never says its body does not stay.
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    let whole = request("/publish/t", "", "x");
    desk.harness.send(peer, &whole[..whole.len() - 1]);
    desk.wait(10.1);
    assert_eq!(desk.harness.why(peer), Some("timeout"));
    let mut desk = Desk::new(HubConfig::default().http_publish(false));
    assert_eq!(ask(&mut desk, "/publish/t", "", "x"), "");
}

#[test]
fn its_user_has_the_rights_of_mqtt() {
    // On the loop, and off it.
    let pool: Offload<Done> = Offload::default();
    for mut desk in [Desk::new(hub(config(RULES))), Desk::with_pool(hub(config(RULES)), &pool)] {
        for (target, lines, body, expected) in [
            ("/publish/open/x", ROGER, "1", "204"),
            ("/publish/open/x", ROGER, "", "204"),
            ("/publish/open/secret", ROGER, "1", "403"),
            ("/publish/elsewhere", ROGER, "1", "403"),
            ("/publish/own/http/x", ROGER, "1", "403"),
            ("/publish/open/x", "", "1", "401"),
            ("/publish/open/x", WRONG, "1", "401"),
        ] {
            assert_eq!(ask(&mut desk, target, lines, body), expected, "{target} {lines}");
        }
        let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
        desk.harness.send(peer, request("/publish/open/x", WRONG, "1"));
        let answer = heard(&mut desk, peer);
        assert!(answer.contains("www-authenticate: Basic"), "{answer}");
        // The next one on the same connection is for itself.
        desk.harness.send(peer, request("/publish/open/x", ROGER, "1"));
        assert_eq!(status(&heard(&mut desk, peer)), "204");
    }
    assert!(pool.stats().answered >= 3);
}

const RULES: &str =
    "user roger\ntopic readwrite open/#\ntopic deny open/secret\npattern readwrite own/%c/#\n";

#[test]
fn a_token_is_enough() {
    let secret = [7; 32];
    let keys = vec![JwtKey::secret(Algorithm::Hs256, &secret).unwrap()];
    let jwt = Jwt::new(JwtConfig { keys, leeway_ms: 0, ..JwtConfig::default() });
    let identity = IdentityConfig { jwt: Some(Arc::new(jwt)), ..IdentityConfig::default() };
    let mut desk = Desk::new(HubConfig { unix_ms: 1_700_000_000_000, ..hub(identity) });
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    // Its token lets it read, and nothing else.
    assert_eq!(ask(&mut desk, "/publish/a/b", &bearer, "x"), "403");
    assert_eq!(ask(&mut desk, "/publish/a/b", &bearer.replace('.', ","), "x"), "401");
    desk.wait(5.1);
    assert_eq!(ask(&mut desk, "/publish/a/b", &bearer, "x"), "401", "it has ended");
}

/// Whoever was somebody when its head came, and is not when its body has, publishes nothing.
#[test]
fn who_is_revoked_between_head_and_body_publishes_nothing() {
    let before = config(RULES);
    let without_roger = IdentityConfig { passwords: users(&[("anna", "a")]), ..before.clone() };
    let read_only = IdentityConfig { acl: config("user roger\ntopic read open/#\n").acl, ..before.clone() };
    for (then, expected) in [(before.clone(), "204"), (without_roger, "401"), (read_only, "403")] {
        let mut desk = Desk::new(hub(before.clone()));
        let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
        let whole = request("/publish/open/x", ROGER, "12");
        let (head, last) = whole.split_at(whole.len() - 1);
        desk.harness.send(peer, head);
        set(&mut desk, then);
        desk.harness.send(peer, last);
        assert_eq!(status(&heard(&mut desk, peer)), expected);
        assert_eq!(desk.stats().http_published, u64::from(expected == "204"));
    }
}

#[test]
fn a_user_has_bounds() {
    let mut bounds = UserLimits::default();
    bounds.messages_per_second_max = 2;
    bounds.connections_max = 1;
    let limits = UsersLimits { everybody: bounds, ..UsersLimits::default() };
    let mut desk = Desk::new(hub(IdentityConfig { limits, ..config(RULES) }));
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    for expected in ["204", "204", "429"] {
        desk.harness.send(peer, request("/publish/open/x", ROGER, "1"));
        let answer = heard(&mut desk, peer);
        assert_eq!(status(&answer), expected);
        assert_eq!(answer.contains("retry-after: 1"), expected == "429");
    }
    assert_eq!(ask(&mut desk, "/publish/open/x", ROGER, "1"), "429", "it has a connection");
    desk.harness.reset(peer);
    desk.wait(1.1);
    assert_eq!(ask(&mut desk, "/publish/open/x", ROGER, "1"), "204");
}

#[test]
fn it_is_answered_when_it_is_on_the_disk() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
    desk.lose(&away);
    assert_eq!(ask(&mut desk, "/publish/t?qos=1", "", "x"), "204");

    disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    let two = request("/publish/t?qos=1", "", "y") + &request("/publish/t", "Connection: close\r\n", "z");
    desk.harness.send(peer, two);
    assert_eq!(heard(&mut desk, peer), "", "it is not on the disk");
    // What needs the disk is refused from here on, and what does not is not.
    assert_eq!(ask(&mut desk, "/publish/t?qos=1", "", "no"), "503");
    assert_eq!(ask(&mut desk, "/publish/t?retain=1", "", "no"), "503");
    assert_eq!(ask(&mut desk, "/publish/else", "", "yes"), "204");
    disk.set_plan(SimPlan::default());
    desk.wait(2.0);
    let answers = heard(&mut desk, peer);
    assert_eq!(answers.matches("HTTP/1.1 204").count(), 2, "{answers}");
    assert_eq!(desk.harness.why(peer), Some("done"));

    let (mut desk, _) = on(&disk.crash(), 0);
    let (mut away, heard) = desk.join_for_good(V5, "away");
    let heard = format!("{heard} {}", desk.hear(&mut away).join(" "));
    assert!(heard.contains("\"x\"") && heard.contains("\"y\"") && !heard.contains("\"no\""), "{heard}");
    let mut pinger = desk.join(V5, "pinger");
    desk.say(&mut pinger, &Packet::Pingreq);
    assert_eq!(desk.hear(&mut pinger), ["PINGRESP"]);
}

/// The last answer ends its connection though it had to wait.
#[test]
fn an_answer_that_waited_may_be_the_last() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
    desk.lose(&away);
    disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    desk.harness.send(peer, request("/publish/t?qos=1", "Connection: close\r\n", "y"));
    assert_eq!(heard(&mut desk, peer), "");
    disk.set_plan(SimPlan::default());
    desk.wait(2.0);
    assert_eq!(status(&heard(&mut desk, peer)), "204");
    assert!(desk.harness.is_ended(peer));
}

/// Writes down what it is offered, and which turns of the hub pass meanwhile.
#[derive(Debug, Default)]
struct Turns {
    seen: Arc<Mutex<Vec<&'static str>>>,
    mailbox: OnceLock<Mailbox<Mail>>,
}

impl Sink for Turns {
    fn offer(&self, _: &Event<'_>) {
        self.seen.lock().unwrap().push("request");
        let seen = self.seen.clone();
        let told = move |_| seen.lock().unwrap().push("turn");
        Ask::send(self.mailbox.get().unwrap(), Question::Client("nobody".into()), told).unwrap();
    }
}

/// Requests that come at once are published as fast as other workers take them, like packets; none is left over.
#[test]
fn requests_wait_until_other_workers_have_caught_up() {
    let turns = Arc::new(Turns::default());
    let rule = Rule::new("all", "t", turns.clone()).unwrap();
    let config = HubConfig::default().between_workers_max(0).rules(Rules::new(vec![rule]));
    let mut desk = Desk::new(config);
    turns.mailbox.set(desk.mailbox.clone()).unwrap();
    // On every worker is one of them.
    let mut all: Vec<_> = (0..8).map(|n| desk.join(V5, &format!("d{n}"))).collect();
    for device in &mut all {
        desk.subscribe(device, "t", QoS::AtMostOnce);
    }
    // The last has no body: nothing more comes for it when it has waited.
    let many = request("/publish/t", "", "x").repeat(9) + &request("/publish/t", "", "");
    let peer = desk.harness.connect_from(IpAddr::from([127, 0, 0, 1]));
    desk.harness.send(peer, many);
    assert_eq!(heard(&mut desk, peer).matches("HTTP/1.1 204").count(), 10);
    for device in &mut all {
        assert_eq!(desk.hear(device).len(), 10);
    }
    let seen = turns.seen.lock().unwrap().clone();
    let at_once = seen.split(|what| *what == "turn").map(<[_]>::len).max();
    // The question goes from worker to worker, and no request overtakes it by more.
    assert!(if workers() == 1 { at_once == Some(10) } else { at_once <= Some(workers()) }, "{seen:?}");
}
