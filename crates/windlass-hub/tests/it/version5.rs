//! What version 5 adds: aliases, expiry, properties that are passed on, sizes, authentication.

use std::sync::Arc;

use windlass_hub::{Authenticator, Exchange, HubConfig, QoS, Reason, Step};
use windlass_proto::mqtt::{Auth, Connect, Packet, Property, Publish, Secret, SubscribeOptions, Topic};

use crate::kit::{Desk, V3, V5, number, properties};

#[test]
fn aliases_of_clients_stand_for_topics() {
    let mut desk = Desk::new(HubConfig::default());
    let mut one = desk.join(V5, "one");
    desk.subscribe(&mut one, "#", QoS::AtMostOnce);
    let alias = properties(&[Property::TopicAlias(3)]);
    let publish =
        Publish { properties: alias.properties(), ..Publish::new(Topic::new("a/long/topic").unwrap(), b"1") };
    desk.say(&mut one, &Packet::Publish(publish));
    desk.say(&mut one, &Packet::Publish(Publish { topic: None, payload: b"2", ..publish }));
    assert_eq!(
        desk.hear(&mut one),
        ["PUBLISH a/long/topic \"1\" q0", "PUBLISH a/long/topic \"2\" q0"],
        "the number is not passed on"
    );
    // Over the maximum; and one that stands for nothing (section 3.3.4).
    for (wrong, said) in [(11, "TopicAliasInvalid"), (4, "ProtocolError")] {
        let mut two = desk.join(V5, "two");
        let alias = properties(&[Property::TopicAlias(wrong)]);
        desk.say(
            &mut two,
            &Packet::Publish(Publish { topic: None, properties: alias.properties(), ..publish }),
        );
        assert_eq!(desk.hear(&mut two), [format!("DISCONNECT {said}")]);
    }
}

#[test]
fn aliases_are_used_towards_those_who_take_them() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let takes = properties(&[Property::TopicAliasMaximum(1)]);
    let connect = Connect { properties: takes.properties(), ..Connect::new(V5, "one") };
    let mut one = desk.join_with(&connect);
    desk.subscribe(&mut one, "#", QoS::AtLeastOnce);
    for topic in ["long/topic", "long/topic", "other/topic", "long/topic"] {
        desk.publish(&mut sender, topic, "x");
    }
    let heard = desk.hear(&mut one);
    assert_eq!(heard[..2], ["PUBLISH long/topic \"x\" q0 TopicAlias(1)", "PUBLISH - \"x\" q0 TopicAlias(1)"]);
    assert_eq!(heard[2], "PUBLISH other/topic \"x\" q0 TopicAlias(1)");
    // Numbers are a connection's own ([MQTT-3.3.2-7]).
    let mut one = desk.join_with(&connect);
    desk.subscribe(&mut one, "#", QoS::AtLeastOnce);
    desk.publish(&mut sender, "long/topic", "x");
    assert_eq!(desk.hear(&mut one), ["PUBLISH long/topic \"x\" q0 TopicAlias(1)"]);
}

#[test]
fn properties_are_passed_on_as_they_are() {
    let mut desk = Desk::new(HubConfig::default());
    let (mut one, mut old) = (desk.join(V5, "one"), desk.join(V3, "old"));
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.subscribe(&mut old, "t", QoS::AtMostOnce);
    let all = properties(&[
        Property::User("b", "1"),
        Property::PayloadIsUtf8(true),
        Property::ContentType("text/plain"),
        Property::ResponseTopic(Topic::new("answers").unwrap()),
        Property::CorrelationData(b"\x00\x01"),
        Property::User("a", "2"),
        Property::User("b", "3"),
    ]);
    let publish = Publish { properties: all.properties(), ..Publish::new(Topic::new("t").unwrap(), b"x") };
    desk.say(&mut one, &Packet::Publish(publish));
    let wanted = "PUBLISH t \"x\" q0 User(\"b\", \"1\") PayloadIsUtf8(true) ContentType(\"text/plain\") \
        ResponseTopic(\"answers\") CorrelationData([0, 1]) User(\"a\", \"2\") User(\"b\", \"3\")";
    assert_eq!(desk.hear(&mut one), [wanted]);
    assert_eq!(desk.hear(&mut old), ["PUBLISH t \"x\" q0"]);
}

#[test]
fn messages_that_wait_expire() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.lose(&one);
    for (expiry, payload) in [(10, b"short"), (100, b"while")] {
        let expiry = properties(&[Property::MessageExpiry(expiry)]);
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            id: Some(crate::kit::number(1)),
            properties: expiry.properties(),
            ..Publish::new(Topic::new("t").unwrap(), payload)
        };
        desk.say(&mut sender, &Packet::Publish(publish));
        desk.hear(&mut sender);
    }
    desk.wait(11.5);
    let (_, heard) = desk.join_for_good(V5, "one");
    assert_eq!(
        heard, "CONNACK Success present; PUBLISH t \"while\" q1 #1 MessageExpiry(89)",
        "[MQTT-3.3.2-5], [MQTT-3.3.2-6]"
    );
    assert_eq!(desk.stats().dropped_expired, 1);
}

#[test]
fn the_longest_packet_of_a_client_holds() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let small = properties(&[Property::MaximumPacketSize(40)]);
    let mut one = desk.join_with(&Connect { properties: small.properties(), ..Connect::new(V5, "one") });
    desk.subscribe(&mut one, "t", QoS::AtLeastOnce);
    desk.publish(&mut sender, "t", &"x".repeat(40));
    for id in 1..30 {
        desk.publish_at(&mut sender, "t", &"x".repeat(40), QoS::AtLeastOnce, id);
    }
    desk.publish_at(&mut sender, "t", "short", QoS::AtLeastOnce, 30);
    let heard = desk.hear(&mut one);
    assert!(heard.len() == 1 && heard[0].starts_with("PUBLISH t \"short\" q1"), "{heard:?}");
    assert_eq!(desk.stats().dropped_too_long, 30, "they count as sent ([MQTT-3.1.2-25])");
    // Where the payload is sent apart from its head, both count.
    let small = properties(&[Property::MaximumPacketSize(5_000)]);
    let mut two = desk.join_with(&Connect { properties: small.properties(), ..Connect::new(V5, "two") });
    desk.subscribe(&mut two, "t", QoS::AtLeastOnce);
    for (head, qos) in [(7, QoS::AtMostOnce), (9, QoS::AtLeastOnce)] {
        for len in [5_000 - head, 5_001 - head] {
            let payload = "x".repeat(len);
            match qos {
                QoS::AtMostOnce => desk.publish(&mut sender, "t", &payload),
                _ => drop(desk.publish_at(&mut sender, "t", &payload, qos, 31)),
            }
            assert_eq!(desk.hear(&mut two).len(), usize::from(len + head == 5_000), "{len}");
        }
    }
}

/// Payloads that are copied for each receiver, and those that are shared among them: whatever the way.
#[test]
fn payloads_of_any_length_come_whole_in_every_form() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let takes = properties(&[Property::TopicAliasMaximum(1), Property::SessionExpiry(u32::MAX)]);
    let connect =
        Connect { clean_start: false, properties: takes.properties(), ..Connect::new(V5, "aliased") };
    let mut all = Vec::new();
    for (version, id) in [(V3, "old"), (V5, "new")] {
        all.push((desk.join(version, id), 0));
    }
    all.push((desk.join_with(&connect), 0));
    all.push((desk.join(V5, "numbered"), 7));
    let mut number_of = 0;
    for len in [1, 2_047, 2_048, 2_049, 100_000] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            // Anew, so that nothing waits for acknowledgements.
            for (device, id) in &mut all {
                desk.unsubscribe(device, "t/long");
                desk.subscribe_with(device, "t/long", SubscribeOptions::new(qos), *id);
            }
            number_of += 1;
            let payload: String = (0..len).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
            let expires = properties(&[Property::MessageExpiry(60), Property::User("a", "b")]);
            let publish = Publish::new(Topic::new("t/long").unwrap(), payload.as_bytes());
            let id = (qos != QoS::AtMostOnce).then(|| number(number_of));
            let said = Publish { qos, id, properties: expires.properties(), ..publish };
            desk.say(&mut sender, &Packet::Publish(said));
            desk.hear(&mut sender);
            for (at, (device, _)) in all.iter_mut().enumerate() {
                let heard = desk.hear(device);
                assert_eq!(heard.len(), 1, "{at}, {len} bytes, {qos:?}");
                assert!(heard[0].contains(&format!(" \"{payload}\" q{}", qos as u8)), "{at}, {len}, {qos:?}");
                assert_eq!(heard[0].contains("TopicAlias(1)"), at == 2);
                assert_eq!(heard[0].contains("SubscriptionId(7)"), at == 3);
                assert_eq!(heard[0].contains("MessageExpiry(60)"), at != 0);
            }
        }
    }
    // All of it again, behind one another: with one read, and from what is kept.
    let (aliased, _) = all.swap_remove(2);
    desk.lose(&aliased);
    let (mut again, heard) = desk.connect(&connect);
    let mut heard: Vec<String> = heard.split("; ").skip(1).map(str::to_owned).collect();
    heard.extend(desk.hear(&mut again));
    assert_eq!(heard.len(), 10, "what was sent and not acknowledged");
    for (text, len) in heard.iter().zip([1, 1, 2_047, 2_047, 2_048, 2_048, 2_049, 2_049, 100_000, 100_000]) {
        let payload = text.split('"').nth(1).map(str::len);
        assert_eq!((text.contains(" dup"), payload), (true, Some(len)));
    }
}

#[test]
fn the_longest_packet_of_the_hub_holds() {
    let mut desk = Desk::new(HubConfig::default().packet_max(1000));
    let (mut one, heard) = desk.connect(&Connect::new(V5, "one"));
    assert_eq!(heard, "CONNACK Success MaximumPacketSize(1000)");
    desk.publish(&mut one, "t", &"x".repeat(1000));
    assert_eq!(desk.hear(&mut one), ["DISCONNECT PacketTooLarge"]);
    assert_eq!(desk.stats().violations, 1);
}

#[test]
fn the_keep_alive_is_the_hubs_to_say() {
    let mut desk = Desk::new(HubConfig::default().keep_alive_max(60));
    for (asked, said) in [(0, " ServerKeepAlive(60)"), (100, " ServerKeepAlive(60)"), (30, ""), (60, "")] {
        let (_, heard) = desk.connect(&Connect { keep_alive: asked, ..Connect::new(V5, "a") });
        assert_eq!(heard, format!("CONNACK Success{said}"));
    }
}

#[test]
fn reasons_in_words_are_for_those_who_want_them() {
    let mut desk = Desk::new(HubConfig::default());
    for (wants, words) in [(true, 1), (false, 0)] {
        let asks = properties(&[Property::RequestProblemInformation(wants)]);
        let mut one = desk.join_with(&Connect { properties: asks.properties(), ..Connect::new(V5, "a") });
        let publish = Publish {
            qos: QoS::AtLeastOnce,
            id: Some(crate::kit::number(1)),
            ..Publish::new(Topic::new("$SYS/a").unwrap(), b"x")
        };
        desk.say(&mut one, &Packet::Publish(publish));
        let bytes = desk.harness.receive(one.peer);
        let said = bytes.windows(14).filter(|window| *window == b"Not authorized").count();
        assert_eq!(said, words, "[MQTT-3.1.2-29]");
    }
}

#[test]
fn a_hub_may_be_of_few_words() {
    for words in [true, false] {
        let mut desk = Desk::new(HubConfig::default().terse(!words).retain(false).sessions_max(1));
        let one = desk.join(V5, "a");
        let refused = desk.stranger(V5);
        desk.harness.send(refused.peer, b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01b");
        let connack = desk.harness.receive(refused.peer);
        desk.harness
            .send(one.peer, b"\x32\x0b\0\x04$SYS\0\x01\0xx\x82\x07\0\x02\0\0\x01t\0\x31\x04\0\x01t\0");
        let heard = desk.harness.receive(one.peer);
        let said = connack.len() > 5 && heard.windows(3).any(|bytes| bytes == b"ot ");
        assert_eq!(said, words, "{} {}", connack.escape_ascii(), heard.escape_ascii());
        if !words {
            assert_eq!(connack, b"\x20\x03\0\x97\0");
            assert_eq!(heard, b"\x40\x03\0\x01\x87\x90\x04\0\x02\0\0\xe0\x01\x9a");
        }
        let mut desk = Desk::new(HubConfig::default().terse(!words));
        let one = desk.join(V5, "a");
        desk.harness.send(one.peer, b"\x34\x06\0\x01t\0\x01\0\x32\x06\0\x01t\0\x02\0");
        let heard = desk.harness.receive(one.peer);
        let pubrec = if words { &b"\x50\x03\0\x01\x10"[..] } else { b"\x50\x02\0\x01" };
        assert_eq!(heard, [pubrec, b"\x40\x03\0\x02\x10"].concat());
    }
}

#[test]
fn only_as_much_qos_as_there_is() {
    let mut desk = Desk::new(HubConfig::default().qos_max(QoS::AtLeastOnce));
    let (mut one, heard) = desk.connect(&Connect::new(V5, "one"));
    assert_eq!(heard, "CONNACK Success MaximumQoS(1)");
    assert_eq!(desk.subscribe(&mut one, "t", QoS::ExactlyOnce), ["SUBACK #9 [GrantedQos1]"]);
    let heard = desk.publish_at(&mut one, "t", "x", QoS::ExactlyOnce, 1);
    assert_eq!(heard, ["DISCONNECT QosNotSupported"], "[MQTT-3.2.2-11]");
}

/// Asks for the same word as many times as it says.
#[derive(Debug)]
struct Words;

#[derive(Debug)]
struct Word(u32);

impl Authenticator for Words {
    fn begin(&self, method: &str, _: &str) -> Option<Box<dyn Exchange>> {
        (method == "WORDS").then(|| Box::new(Word(2)) as Box<dyn Exchange>)
    }
}

impl Exchange for Word {
    fn step(&mut self, said: &[u8]) -> Step {
        match (said, self.0) {
            (b"no", _) => Step::Refuse(Reason::NotAuthorized),
            (_, 0) => Step::Done { user: Some("known".into()), data: b"welcome".to_vec() },
            _ => {
                self.0 -= 1;
                Step::Continue(b"again".to_vec())
            }
        }
    }
}

fn words(desk: &mut Desk, device: &mut crate::kit::Device, reason: Reason, word: &[u8]) -> Vec<String> {
    let said =
        properties(&[Property::AuthenticationMethod("WORDS"), Property::AuthenticationData(Secret(word))]);
    desk.say(device, &Packet::Auth(Auth { reason, properties: said.properties() }));
    desk.hear(device)
}

#[test]
fn an_authentication_goes_step_by_step() {
    let mut desk = Desk::with(HubConfig::default(), |hub| hub.authenticator(Arc::new(Words)));
    let said = properties(&[Property::AuthenticationMethod("WORDS")]);
    let connect = Connect { properties: said.properties(), ..Connect::new(V5, "a") };
    let (mut one, heard) = desk.connect(&connect);
    let again = "AUTH ContinueAuthentication AuthenticationMethod(\"WORDS\") AuthenticationData(Secret(..))";
    assert_eq!(heard, again);
    assert_eq!(words(&mut desk, &mut one, Reason::ContinueAuthentication, b"yes"), [again]);
    assert_eq!(
        words(&mut desk, &mut one, Reason::ContinueAuthentication, b"yes"),
        ["CONNACK Success AuthenticationMethod(\"WORDS\") AuthenticationData(Secret(..))"]
    );
    // And once more while it is served ([MQTT-4.12.1-1]).
    assert_eq!(words(&mut desk, &mut one, Reason::ReAuthenticate, b"yes"), [again]);
    desk.publish(&mut one, "t", "it goes on meanwhile");
    assert_eq!(words(&mut desk, &mut one, Reason::ContinueAuthentication, b"yes"), [again]);
    let heard = words(&mut desk, &mut one, Reason::ContinueAuthentication, b"yes");
    assert_eq!(heard, ["AUTH Success AuthenticationMethod(\"WORDS\") AuthenticationData(Secret(..))"]);
    assert_eq!(words(&mut desk, &mut one, Reason::ReAuthenticate, b"no"), ["DISCONNECT NotAuthorized"]);
    // Its session is nobody else's.
    let (_, heard) = desk.connect(&Connect::new(V5, "a"));
    assert_eq!(heard, "CONNACK Success", "it ended with its connection");

    let (mut two, _) = desk.connect(&connect);
    let heard = words(&mut desk, &mut two, Reason::ContinueAuthentication, b"no");
    assert_eq!(heard, ["CONNACK NotAuthorized"], "[MQTT-4.12.0-4]");
    let other = properties(&[Property::AuthenticationMethod("OTHER")]);
    let (_, heard) = desk.connect(&Connect { properties: other.properties(), ..Connect::new(V5, "a") });
    assert_eq!(heard, "CONNACK BadAuthenticationMethod", "[MQTT-4.12.0-1]");
}

#[test]
fn a_session_is_of_one_user() {
    let mut desk = Desk::with(HubConfig::default(), |hub| hub.authenticator(Arc::new(Words)));
    let said = properties(&[Property::AuthenticationMethod("WORDS"), Property::SessionExpiry(60)]);
    let connect = Connect { properties: said.properties(), ..Connect::new(V5, "a") };
    let (mut one, _) = desk.connect(&connect);
    for _ in 0..2 {
        words(&mut desk, &mut one, Reason::ContinueAuthentication, b"yes");
    }
    let (_, heard) = desk.connect(&Connect::new(V5, "a"));
    assert_eq!(heard, "CONNACK NotAuthorized");
    desk.say(&mut one, &Packet::Pingreq);
    assert_eq!(desk.hear(&mut one), ["PINGRESP"]);
}
