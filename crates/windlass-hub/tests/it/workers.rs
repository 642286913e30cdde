//! The same tests with several workers: a hub behaves alike whatever their number. What only several can get wrong is
//! here too.
#![allow(clippy::disallowed_methods, reason = "the number comes from whoever runs the tests")]

use std::process::Command;

use windlass::Offload;
use windlass_hub::{HubConfig, QoS};
use windlass_proto::mqtt::{Connect, Packet, Publish, Topic};

use crate::kit::{Desk, V5, number};

/// How many workers the hubs of these tests have.
const VARIABLE: &str = "WINDLASS_TEST_WORKERS";

pub(crate) fn workers() -> usize {
    std::env::var(VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs all other tests of this program with so many workers.
fn all_with(workers: usize) {
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let program = std::env::current_exe().expect("it runs");
    let ran = Command::new(program).env(VARIABLE, workers.to_string()).output().expect("it starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "with {workers} workers:\n{said}");
    assert!(said.contains(" passed"), "{said}");
}

#[test]
fn all_with_two_workers() {
    all_with(2);
}

#[test]
fn all_with_three_workers() {
    all_with(3);
}

/// One identifier, many connections on all workers: one session, and in the end one connection of it.
#[test]
fn many_who_call_themselves_the_same_end_up_as_one() {
    let mut desk = Desk::new(HubConfig::default());
    let mut all: Vec<_> = (0..30).map(|_| desk.stranger(V5)).collect();
    for device in &mut all {
        desk.say(device, &Packet::Connect(Connect::new(V5, "same")));
    }
    let mut served = 0;
    for device in &mut all {
        let heard = desk.hear(device);
        assert_eq!(heard[0], "CONNACK Success");
        match desk.harness.is_ended(device.peer) {
            true => assert_eq!(heard[1..], ["DISCONNECT SessionTakenOver"]),
            false => served += 1,
        }
    }
    let stats = desk.stats();
    assert_eq!((served, stats.clients, stats.sessions, stats.taken_over), (1, 1, 1, 29));
}

/// Whatever worker a publisher and a subscriber are on, messages of one topic come in their order, and each once.
#[test]
fn messages_of_a_publisher_keep_their_order_between_workers() {
    let mut desk = Desk::new(HubConfig::default().queue_max(10_000).in_flight_max(7));
    let mut receivers: Vec<_> = (0..6).map(|n| desk.join(V5, &format!("receiver{n}"))).collect();
    for receiver in &mut receivers {
        desk.subscribe(receiver, "t/+/#", QoS::ExactlyOnce);
    }
    let mut senders: Vec<_> = (0..6).map(|n| desk.join(V5, &format!("sender{n}"))).collect();
    for number in 1..=40 {
        for (n, sender) in senders.iter_mut().enumerate() {
            desk.publish(sender, &format!("t/{n}"), &number.to_string());
        }
    }
    for receiver in &mut receivers {
        let heard = desk.hear(receiver);
        assert_eq!(heard.len(), 6 * 40);
        for n in 0..6 {
            let wanted: Vec<_> = (1..=40).map(|number| format!("PUBLISH t/{n} \"{number}\" q0")).collect();
            let got: Vec<_> =
                heard.iter().filter(|text| text.contains(&format!("t/{n} "))).cloned().collect();
            assert_eq!(got, wanted);
        }
    }
}

/// Limits are the hub's, not a worker's.
#[test]
fn limits_are_of_all_workers_together() {
    let config = HubConfig::default().retained_max(5).sessions_max(8);
    let mut desk = Desk::new(config);
    let mut devices: Vec<_> = (0..8).map(|n| desk.join(V5, &format!("d{n}"))).collect();
    let (_, heard) = desk.connect(&Connect::new(V5, "one more"));
    assert_eq!(heard, "CONNACK QuotaExceeded");
    for (n, device) in devices.iter_mut().enumerate() {
        desk.retain(device, &format!("kept/{n}"), "x");
    }
    let stats = desk.stats();
    assert_eq!((stats.retained, stats.retained_refused), (5, 3));
    // One that takes the place of another is no more than before, whoever it comes from.
    let mut last = devices.pop().unwrap();
    desk.retain(&mut last, "kept/0", "y");
    desk.retain(&mut last, "kept/1", "");
    desk.retain(&mut last, "kept/7", "z");
    let mut first = devices.remove(0);
    let mut heard = desk.subscribe(&mut first, "kept/#", QoS::AtMostOnce);
    heard.sort();
    let kept: Vec<&str> = heard.iter().filter_map(|text| text.split(' ').nth(1)).collect();
    assert_eq!(kept, ["kept/0", "kept/2", "kept/3", "kept/4", "kept/7", "#9"]);
    let stats = desk.stats();
    assert_eq!((stats.retained, stats.retained_refused), (5, 3));
}

/// The packet identifier of what was heard.
fn id_of(text: &str) -> u16 {
    text.rsplit('#').next().and_then(|id| id.parse().ok()).expect("an identifier")
}

/// A member of a group that does not keep up is passed over, wherever it and the others are.
#[test]
fn a_member_of_a_group_that_has_enough_is_passed_over() {
    for names in [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]] {
        let mut desk = Desk::new(HubConfig::default().in_flight_max(1));
        let mut sender = desk.join(V5, "sender");
        let (mut slow, mut keen) = (desk.join(V5, names[0]), desk.join(V5, names[1]));
        for member in [&mut slow, &mut keen] {
            desk.subscribe(member, "$share/g/t", QoS::AtLeastOnce);
        }
        let mut heard = 0;
        for number in 1..=20 {
            desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, number);
            let got = desk.hear(&mut keen);
            heard += got.len();
            for text in got {
                heard += desk.puback(&mut keen, id_of(&text)).len();
            }
        }
        // One is in flight to the other, and one waits: what made it known that it has enough.
        assert_eq!((desk.hear(&mut slow).len(), heard), (1, 18), "{names:?}");
        // It has room again, and its turn.
        let waited = desk.puback(&mut slow, 1);
        assert_eq!(waited.len(), 1);
        assert!(desk.puback(&mut slow, id_of(&waited[0])).is_empty());
        for number in 21..=24 {
            desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, number);
        }
        assert!(!desk.hear(&mut slow).is_empty(), "{names:?}");
    }
}

/// What it counts as waiting is also what is retained and has no room in flight.
#[test]
fn a_member_of_a_group_that_waits_with_retained_messages_is_passed_over() {
    for names in [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]] {
        let mut desk = Desk::new(HubConfig::default().in_flight_max(1));
        let mut sender = desk.join(V5, "sender");
        for n in 0..3 {
            let topic = format!("kept/{n}");
            let publish = Publish::new(Topic::new(&topic).unwrap(), b"x");
            let (qos, id) = (QoS::AtLeastOnce, Some(number(1)));
            desk.say(&mut sender, &Packet::Publish(Publish { retain: true, qos, id, ..publish }));
            desk.hear(&mut sender);
        }
        let (mut slow, mut keen) = (desk.join(V5, names[0]), desk.join(V5, names[1]));
        for member in [&mut slow, &mut keen] {
            desk.subscribe(member, "$share/g/t", QoS::AtLeastOnce);
        }
        let mut waiting = desk.subscribe(&mut slow, "kept/#", QoS::AtLeastOnce);
        assert_eq!(waiting.len(), 2, "the others wait");
        let mut heard = 0;
        for number in 1..=6 {
            desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, number);
            for text in desk.hear(&mut keen) {
                heard += 1;
                desk.puback(&mut keen, id_of(&text));
            }
        }
        assert_eq!(heard, 6, "{names:?}");
        // It has its turn again when it has them all.
        while let Some(text) = waiting.pop().filter(|text| text.starts_with("PUBLISH")) {
            waiting = desk.puback(&mut slow, id_of(&text.replace(" retain", "")));
        }
        for number in 1..=4 {
            desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, number);
        }
        assert!(!desk.hear(&mut slow).is_empty(), "{names:?}");
    }
}

/// Each worker holds the filters of all others to the limit: one that has no room refuses what there was room for where
/// it was asked. Then nobody has the filter, and who asked is told so.
#[test]
fn who_is_refused_by_another_worker_has_no_subscription() {
    for group in ["", "$share/g/"] {
        // Three levels fit twice where they are one's own and once another's, and not where both are others'.
        let nodes_max = if group.is_empty() { 5 } else { 4 };
        let config = HubConfig::default().nodes_max(nodes_max);
        let mut desk = Desk::spread(3, config, &Offload::default(), |hub, _, _| hub);
        let mut devices: Vec<_> = (0..9).map(|n| desk.join(V5, &format!("device{n}"))).collect();
        let mut has = Vec::new();
        for (n, device) in devices.iter_mut().enumerate() {
            let heard = desk.subscribe(device, &format!("{group}{n}/b/c"), QoS::AtMostOnce);
            has.push(heard == ["SUBACK #9 [Success]"]);
            assert!(has[n] || heard == ["SUBACK #9 [QuotaExceeded]"], "{heard:?}");
        }
        let count = has.iter().filter(|has| **has).count();
        assert_eq!(count, 1, "{has:?}");
        let stats = desk.stats();
        assert_eq!((stats.subscriptions, stats.denied_subscribe), (1, 8));
        for n in 0..devices.len() {
            let mut sender = devices.remove(n);
            for topic in 0..9 {
                desk.publish(&mut sender, &format!("{topic}/b/c"), "x");
            }
            devices.insert(n, sender);
        }
        for (n, device) in devices.iter_mut().enumerate() {
            assert_eq!(desk.hear(device).len(), if has[n] { 9 } else { 0 }, "{n} of {has:?}");
        }
        for (n, device) in devices.iter_mut().enumerate() {
            let gone = if has[n] { "Success" } else { "NoSubscriptionExisted" };
            let heard = desk.unsubscribe(device, &format!("{group}{n}/b/c"));
            assert_eq!(heard, [format!("UNSUBACK #8 [{gone}]")], "{n} of {has:?}");
        }
        // And no worker keeps a level of what was refused: one filter has room for all there are.
        let filter = format!("{group}{}", ["x"; 5][..nodes_max].join("/"));
        for device in &mut devices {
            assert_eq!(desk.subscribe(device, &filter, QoS::AtMostOnce), ["SUBACK #9 [Success]"]);
            assert_eq!(desk.unsubscribe(device, &filter), ["UNSUBACK #8 [Success]"]);
        }
    }
}
