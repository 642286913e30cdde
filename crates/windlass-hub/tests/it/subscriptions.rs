//! Subscriptions: whose messages come, once, and to whom.

use std::collections::BTreeMap;

use windlass_hub::{HubConfig, QoS};
use windlass_proto::mqtt::{Filter, Filters, Packet, Properties, Subscribe, SubscribeOptions, Subscription};

use crate::kit::{Desk, V3, V5, number};

#[test]
fn overlapping_subscriptions_are_one_message_with_all_identifiers() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let mut one = desk.join(V5, "one");
    desk.subscribe_with(&mut one, "a/+", SubscribeOptions::new(QoS::AtMostOnce), 1);
    desk.subscribe_with(&mut one, "a/#", SubscribeOptions::new(QoS::ExactlyOnce), 2);
    desk.subscribe_with(&mut one, "a/b", SubscribeOptions::new(QoS::AtLeastOnce), 0);
    desk.subscribe_with(&mut one, "#", SubscribeOptions::new(QoS::AtLeastOnce), 300);
    desk.publish_at(&mut sender, "a/b", "x", QoS::ExactlyOnce, 1);
    let heard = desk.hear(&mut one);
    assert_eq!(heard.len(), 1);
    let (start, ids) = heard[0].split_once(" #1 ").unwrap();
    let mut ids: Vec<&str> = ids.split(' ').collect();
    ids.sort_unstable();
    assert_eq!(start, "PUBLISH a/b \"x\" q2", "with the highest of them");
    assert_eq!(ids, ["SubscriptionId(1)", "SubscriptionId(2)", "SubscriptionId(300)"]);
    let mut old = desk.join(V3, "old");
    desk.subscribe(&mut old, "a/+", QoS::AtMostOnce);
    desk.subscribe(&mut old, "a/b", QoS::AtLeastOnce);
    desk.publish_at(&mut sender, "a/b", "y", QoS::ExactlyOnce, 2);
    assert_eq!(desk.hear(&mut old), ["PUBLISH a/b \"y\" q1 #1"], "and in 3.1.1");
}

#[test]
fn one_in_the_place_of_another() {
    let mut desk = Desk::new(HubConfig::default());
    let mut one = desk.join(V5, "one");
    desk.subscribe_with(&mut one, "t", SubscribeOptions::new(QoS::AtLeastOnce), 1);
    desk.subscribe_with(&mut one, "t", SubscribeOptions::new(QoS::AtMostOnce), 2);
    assert_eq!(desk.publish_at(&mut one, "t", "x", QoS::AtLeastOnce, 1).len(), 2);
    desk.publish(&mut one, "t", "y");
    assert_eq!(desk.hear(&mut one), ["PUBLISH t \"y\" q0 SubscriptionId(2)"]);
    assert_eq!(desk.stats().subscriptions, 1);
    assert_eq!(desk.unsubscribe(&mut one, "t"), ["UNSUBACK #8 [Success]"]);
    assert_eq!(desk.unsubscribe(&mut one, "t"), ["UNSUBACK #8 [NoSubscriptionExisted]"]);
    desk.publish(&mut one, "t", "z");
    assert!(desk.hear(&mut one).is_empty(), "[MQTT-3.10.4-2]");
    let mut old = desk.join(V3, "old");
    assert_eq!(desk.unsubscribe(&mut old, "t"), ["UNSUBACK #8 []"]);
}

#[test]
fn several_filters_are_answered_each_for_itself() {
    let mut desk = Desk::new(HubConfig::default().subscriptions_max(2).shared(false));
    for (version, wanted) in [
        (V5, "SUBACK #1 [SharedSubscriptionsNotSupported, GrantedQos1, GrantedQos2, QuotaExceeded]"),
        (V3, "SUBACK #1 [UnspecifiedError, GrantedQos1, GrantedQos2, UnspecifiedError]"),
    ] {
        let mut one = desk.join(version, "one");
        let subscription = |filter, qos| Subscription {
            filter: Filter::new(filter).unwrap(),
            options: SubscribeOptions::new(qos),
        };
        let filters = [
            subscription("$share/g/t", QoS::AtLeastOnce),
            subscription("a", QoS::AtLeastOnce),
            subscription("b", QoS::ExactlyOnce),
            subscription("c", QoS::ExactlyOnce),
        ];
        let (properties, filters) = (Properties::NONE, Filters::new(&filters));
        desk.say(&mut one, &Packet::Subscribe(Subscribe { id: number(1), properties, filters }));
        assert_eq!(desk.hear(&mut one), [wanted]);
    }
}

#[test]
fn own_messages_stay_away_if_they_shall() {
    let mut desk = Desk::new(HubConfig::default());
    let (mut one, mut two) = (desk.join(V5, "one"), desk.join(V5, "two"));
    let away = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    desk.subscribe_with(&mut one, "t", away, 0);
    desk.publish(&mut one, "t", "own");
    desk.publish(&mut two, "t", "other");
    assert_eq!(desk.hear(&mut one), ["PUBLISH t \"other\" q0"]);
    // Somebody subscribes all the same: nothing is said of nobody.
    assert_eq!(desk.publish_at(&mut one, "t", "own", QoS::AtLeastOnce, 1), ["PUBACK #1 Success"]);
    assert_eq!(
        desk.publish_at(&mut one, "u", "own", QoS::AtLeastOnce, 1),
        ["PUBACK #1 NoMatchingSubscribers"]
    );
}

#[test]
fn one_of_a_group_gets_each_message() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let mut members: Vec<_> =
        (0..4).map(|n| desk.join(if n % 2 == 0 { V5 } else { V3 }, &format!("m{n}"))).collect();
    for member in &mut members {
        desk.subscribe(member, "$share/g/t/#", QoS::AtMostOnce);
    }
    let mut other = desk.join(V5, "other");
    desk.subscribe(&mut other, "$share/h/t/+", QoS::AtMostOnce);
    let mut own = desk.join(V5, "own");
    desk.subscribe(&mut own, "t/1", QoS::AtMostOnce);
    for n in 0..40 {
        desk.publish(&mut sender, "t/1", &n.to_string());
    }
    let mut seen = BTreeMap::new();
    for member in &mut members {
        let heard = desk.hear(member);
        assert_eq!(heard.len(), 10, "in turn");
        for text in heard {
            *seen.entry(text).or_insert(0) += 1;
        }
    }
    assert!(seen.len() == 40 && seen.values().all(|times| *times == 1));
    assert_eq!((desk.hear(&mut other).len(), desk.hear(&mut own).len()), (40, 40));
    // Who is gone gets none, and nothing is lost.
    desk.lose(&members.pop().unwrap());
    for n in 0..30 {
        desk.publish(&mut sender, "t/1", &n.to_string());
    }
    let heard: usize = members.iter_mut().map(|member| desk.hear(member).len()).sum();
    assert_eq!(heard, 30);
}

#[test]
fn a_group_of_those_who_are_away_keeps_its_messages() {
    let mut desk = Desk::new(HubConfig::default());
    let mut sender = desk.join(V5, "sender");
    let (mut one, _) = desk.join_for_good(V5, "one");
    desk.subscribe(&mut one, "$share/g/t", QoS::AtLeastOnce);
    desk.lose(&one);
    desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, 1);
    let (_, heard) = desk.join_for_good(V5, "one");
    assert_eq!(heard, "CONNACK Success present; PUBLISH t \"x\" q1 #1");
}

#[test]
fn topics_of_the_hubs_own() {
    let mut desk = Desk::new(HubConfig::default());
    let mut one = desk.join(V5, "one");
    desk.subscribe(&mut one, "#", QoS::AtMostOnce);
    desk.subscribe(&mut one, "+/x", QoS::AtMostOnce);
    let heard = desk.publish_at(&mut one, "$SYS/x", "x", QoS::AtLeastOnce, 1);
    assert_eq!(heard, ["PUBACK #1 NotAuthorized"]);
    // Others that begin with `$` are nobody's, and wildcards do not find them ([MQTT-4.7.2-1]).
    desk.publish(&mut one, "$other/x", "x");
    assert!(desk.hear(&mut one).is_empty());
    desk.subscribe(&mut one, "$other/#", QoS::AtMostOnce);
    desk.publish(&mut one, "$other/x", "x");
    assert_eq!(desk.hear(&mut one), ["PUBLISH $other/x \"x\" q0"]);
    assert_eq!(desk.stats().denied_publish, 1);
}

#[test]
fn wildcards_can_be_forbidden() {
    let mut desk = Desk::new(HubConfig::default().wildcards(false));
    let (mut one, heard) = desk.connect(&windlass_proto::mqtt::Connect::new(V5, "one"));
    assert_eq!(heard, "CONNACK Success WildcardSubscriptionAvailable(false)");
    let heard = desk.subscribe(&mut one, "a/+", QoS::AtMostOnce);
    assert_eq!(heard, ["SUBACK #9 [WildcardSubscriptionsNotSupported]"]);
}
