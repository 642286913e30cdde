//! A hub with a journal: what it has acknowledged is there after the power went, and what is not on the disk it does not
//! acknowledge.
#![allow(clippy::disallowed_types, reason = "a log is handed to the service that is made later")]

use std::sync::{Arc, Mutex, PoisonError};

use windlass_hub::identity::{Acl, Identity, IdentityConfig};
use windlass_hub::journal::{Log, LogConfig, LogStatus, SimDisk, SimPlan};
use windlass_hub::{HubConfig, QoS, TakeLog};
use windlass_proto::mqtt::{Ack, Connect, Packet, Property, Publish, Topic, Will};

use crate::kit::{Desk, V3, V5, number, properties};

/// A hub that goes on with what a disk holds, at this time in Unix milliseconds.
pub(crate) fn on(disk: &SimDisk, unix_ms: u64) -> (Desk, LogStatus) {
    with(disk, unix_ms, LogConfig::default())
}

fn with(disk: &SimDisk, unix_ms: u64, log: LogConfig) -> (Desk, LogStatus) {
    serving(disk, HubConfig::default().unix_ms(unix_ms), log)
}

pub(crate) fn serving(disk: &SimDisk, config: HubConfig, log: LogConfig) -> (Desk, LogStatus) {
    let unix_ms = config.unix_ms;
    let (log, recovered) = Log::open(disk.clone(), log, unix_ms).expect("it opens");
    assert_eq!(recovered.report.problems, Vec::<String>::new());
    let status = log.status();
    let kept = Mutex::new(Some((log, recovered)));
    let take: TakeLog = Arc::new(move || kept.lock().unwrap_or_else(PoisonError::into_inner).take());
    let desk = Desk::keeping(config, move |hub, mailbox, pool| hub.journal(take.clone(), mailbox, pool));
    (desk, status)
}

pub(crate) fn disk() -> SimDisk {
    SimDisk::new(11, SimPlan::default())
}

#[test]
fn what_was_acknowledged_is_there_after_the_power_went() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 1_000_000);
    for version in [V3, V5] {
        let id = format!("{version:?}");
        let (mut away, heard) = desk.join_for_good(version, &id);
        assert_eq!(heard, "CONNACK Success");
        assert_eq!(desk.subscribe(&mut away, "t/#", QoS::ExactlyOnce), ["SUBACK #9 [GrantedQos2]"]);
        assert_eq!(desk.subscribe(&mut away, "gone", QoS::ExactlyOnce), ["SUBACK #9 [GrantedQos2]"]);
        assert_eq!(desk.unsubscribe(&mut away, "gone").len(), 1);
        desk.say(
            &mut away,
            &Packet::Disconnect(windlass_proto::mqtt::Disconnect::new(windlass_hub::Reason::Success)),
        );
        desk.hear(&mut away);
    }
    let mut sender = desk.join(V5, "sender");
    assert_eq!(desk.publish_at(&mut sender, "t/1", "one", QoS::AtLeastOnce, 1), ["PUBACK #1 Success"]);
    assert_eq!(desk.publish_at(&mut sender, "t/2", "two", QoS::ExactlyOnce, 2), ["PUBREC #2 Success"]);
    desk.publish_at(&mut sender, "gone", "nobody's", QoS::AtLeastOnce, 3);
    let retained = Publish { retain: true, ..Publish::new(Topic::new("kept").unwrap(), b"for later") };
    for (topic, payload, id) in [("kept", &b"for later"[..], 4), ("kept/not", b"x", 5), ("kept/not", b"", 6)]
    {
        let topic = Some(Topic::new(topic).unwrap());
        let (qos, id) = (QoS::AtLeastOnce, Some(number(id)));
        desk.say(&mut sender, &Packet::Publish(Publish { topic, payload, qos, id, ..retained }));
        assert_eq!(desk.hear(&mut sender).len(), 1);
    }

    // Twice: what one start has found, the next one does too.
    let disk = disk.crash();
    drop(on(&disk, 1_000_500));
    let disk = disk.crash();
    let (mut desk, _) = on(&disk, 1_001_000);
    for version in [V3, V5] {
        let (mut back, heard) = desk.join_for_good(version, &format!("{version:?}"));
        let mut heard: Vec<String> = heard.split("; ").map(str::to_owned).collect();
        heard.extend(desk.hear(&mut back));
        let expected = ["CONNACK Success present", "PUBLISH t/1 \"one\" q1 #1", "PUBLISH t/2 \"two\" q2 #2"];
        assert_eq!(heard, expected, "{version:?}");
    }
    let mut asks = desk.join(V5, "asks");
    let heard = desk.subscribe(&mut asks, "kept/#", QoS::AtMostOnce);
    assert_eq!(heard, ["SUBACK #9 [Success]", "PUBLISH kept \"for later\" q0 retain"]);
}

/// A message of QoS 1 waits for the disk on its way to a session that is kept: whole, however long it is.
#[test]
fn what_waits_for_the_disk_is_sent_whole() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut receiver, _) = desk.join_for_good(V5, "receiver");
    desk.subscribe(&mut receiver, "t", QoS::ExactlyOnce);
    let mut sender = desk.join(V5, "sender");
    for (id, len) in (1..).zip([10, 2_047, 2_048, 50_000]) {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let payload: String = (0..len).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
            desk.publish_at(&mut sender, "t", &payload, qos, id + 10 * qos as u16);
            let heard = desk.hear(&mut receiver);
            let expected = format!("PUBLISH t \"{payload}\" q{} #", qos as u8);
            assert!(heard.len() == 1 && heard[0].starts_with(&expected), "{len} {qos:?}");
        }
    }
}

/// Who was told that it has subscribed has, under a lower limit too, wherever its messages are published: workers hold
/// the filters of all others, and what one of them has no room for is no less somebody's.
#[test]
fn subscriptions_outlive_a_lower_limit_on_all_workers() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let filter = |n: usize| match n {
        0 => "$share/g/0/b/c".to_owned(),
        n => format!("{n}/b/c"),
    };
    for n in 0..9 {
        let (mut device, _) = desk.join_for_good(V5, &format!("device{n}"));
        let heard = desk.subscribe(&mut device, &filter(n), QoS::AtLeastOnce);
        assert_eq!(heard, ["SUBACK #9 [GrantedQos1]"]);
    }
    let config = HubConfig::default().nodes_max(5).unix_ms(1_000);
    let (mut desk, _) = serving(&disk.crash(), config, LogConfig::default());
    let mut devices: Vec<_> = (0..9).map(|n| desk.join_for_good(V5, &format!("device{n}")).0).collect();
    assert_eq!(desk.stats().subscriptions, 9);
    for n in 0..9 {
        let mut sender = desk.join(V5, &format!("sender{n}"));
        for topic in 0..9 {
            desk.publish(&mut sender, &format!("{topic}/b/c"), "x");
        }
    }
    for (n, device) in devices.iter_mut().enumerate() {
        assert_eq!(desk.hear(device).len(), 9, "{n}");
    }
    // What is new is held to the limit, and what is there can be asked for again, and goes.
    assert_eq!(desk.subscribe(&mut devices[1], "new", QoS::AtLeastOnce), ["SUBACK #9 [QuotaExceeded]"]);
    assert_eq!(desk.subscribe(&mut devices[1], "1/b/c", QoS::AtMostOnce), ["SUBACK #9 [Success]"]);
    for (n, device) in devices.iter_mut().enumerate() {
        assert_eq!(desk.unsubscribe(device, &filter(n)), ["UNSUBACK #8 [Success]"]);
    }
    assert_eq!(desk.subscribe(&mut devices[1], "new", QoS::AtLeastOnce), ["SUBACK #9 [GrantedQos1]"]);
}

#[test]
fn what_was_retained_before_a_start_waits_for_sessions_after_it() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let mut sender = desk.join(V5, "sender");
    let publish = Publish::new(Topic::new("kept").unwrap(), b"once");
    let publish = Publish { retain: true, qos: QoS::AtLeastOnce, id: Some(number(1)), ..publish };
    desk.say(&mut sender, &Packet::Publish(publish));
    assert_eq!(desk.hear(&mut sender).len(), 1);
    // Found at one start, given to a session, and found in flight at the next.
    let disk = disk.crash();
    let (mut desk, _) = on(&disk, 0);
    let (mut receiver, _) = desk.join_for_good(V5, "receiver");
    let mut heard = desk.subscribe(&mut receiver, "kept", QoS::AtLeastOnce);
    // SUBACK waits for the disk, and messages need not wait for it (section 3.8.4).
    heard.sort();
    assert_eq!(heard, ["PUBLISH kept \"once\" q1 #1 retain", "SUBACK #9 [GrantedQos1]"]);
    desk.wait(1.0);
    let (mut desk, _) = on(&disk.crash(), 0);
    let (mut receiver, heard) = desk.join_for_good(V5, "receiver");
    let heard = heard + "; " + &desk.hear(&mut receiver).join("; ");
    assert!(heard.starts_with("CONNACK Success present; PUBLISH kept \"once\" q1 #1 dup retain"), "{heard}");
}

/// Who was told that it has subscribed gets what is retained, whatever comes between: what was sent may come again.
#[test]
fn what_is_retained_comes_though_the_power_goes_in_between() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let mut sender = desk.join(V5, "sender");
    for n in 1..=100 {
        let topic = format!("kept/{n}");
        let publish = Publish::new(Topic::new(&topic).unwrap(), b"x");
        let publish = Publish { retain: true, qos: QoS::AtLeastOnce, id: Some(number(n)), ..publish };
        desk.say(&mut sender, &Packet::Publish(publish));
        assert_eq!(desk.hear(&mut sender).len(), 1);
    }
    let (mut receiver, _) = desk.join_for_good(V5, "receiver");
    let heard = desk.subscribe(&mut receiver, "kept/+", QoS::AtLeastOnce);
    assert_eq!(heard.len(), 1 + 20, "as many as may be in flight");
    // Also when a checkpoint has written it down anew, and when it has been found once already.
    let mut disk = disk.crash();
    for _ in 0..2 {
        let (mut desk, status) =
            with(&disk, 0, LogConfig::default().segment_bytes(4_000).checkpoint_bytes(1));
        let mut sender = desk.join(V5, "sender");
        for n in 0..1_000 {
            let publish = Publish::new(Topic::new("other").unwrap(), &[b'x'; 100]);
            let publish = Publish { retain: true, qos: QoS::AtLeastOnce, id: Some(number(1)), ..publish };
            desk.say(&mut sender, &Packet::Publish(publish));
            assert_eq!(desk.hear(&mut sender).len(), 1);
            if n % 10 == 0 {
                desk.wait(0.2);
            }
            if status.checkpoints() > 0 {
                break;
            }
        }
        assert!(status.checkpoints() > 0);
        disk = disk.crash();
    }
    let (mut desk, _) = on(&disk, 0);
    let (mut receiver, heard) = desk.join_for_good(V5, "receiver");
    let mut heard: Vec<String> = heard.split("; ").map(str::to_owned).collect();
    heard.extend(desk.hear(&mut receiver));
    let mut topics = std::collections::BTreeSet::new();
    while !heard.is_empty() {
        for text in std::mem::take(&mut heard) {
            let Some(rest) = text.strip_prefix("PUBLISH ") else { continue };
            let words: Vec<&str> = rest.split(' ').collect();
            topics.insert(words[0].to_owned());
            let id = words.iter().find_map(|word| word.strip_prefix('#')).expect("QoS 1");
            heard.extend(desk.puback(&mut receiver, id.parse().unwrap()));
        }
    }
    assert_eq!(topics.len(), 100);
    // It is over, and does not begin again.
    desk.wait(1.0);
    let (mut desk, _) = on(&disk.crash(), 0);
    let (_, heard) = desk.join_for_good(V5, "receiver");
    assert_eq!(heard, "CONNACK Success present");
}

#[test]
fn exchanges_go_on_where_they_were() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut receiver, _) = desk.join_for_good(V5, "receiver");
    desk.subscribe(&mut receiver, "t", QoS::ExactlyOnce);
    let (mut sender, _) = desk.join_for_good(V5, "sender");
    for id in 1..=4 {
        let heard = desk.publish_at(&mut sender, "t", &id.to_string(), QoS::ExactlyOnce, id);
        assert_eq!(heard, [format!("PUBREC #{id} Success")]);
    }
    // To the sender: 1 is over, the others wait for PUBREL.
    desk.say(&mut sender, &Packet::Pubrel(Ack::new(number(1))));
    assert_eq!(desk.hear(&mut sender), ["PUBCOMP #1 Success"]);
    // To the receiver: 1 is over, 2 is released, 3 and 4 wait for PUBREC.
    assert_eq!(desk.hear(&mut receiver).len(), 4);
    for id in [1, 2] {
        desk.say(&mut receiver, &Packet::Pubrec(Ack::new(number(id))));
        assert_eq!(desk.hear(&mut receiver), [format!("PUBREL #{id} Success")]);
    }
    desk.say(&mut receiver, &Packet::Pubcomp(Ack::new(number(1))));
    desk.wait(1.0);

    let disk = disk.crash();
    let (mut desk, _) = on(&disk, 1_000);
    let (mut receiver, heard) = desk.join_for_good(V5, "receiver");
    let mut heard: Vec<String> = heard.split("; ").map(str::to_owned).collect();
    heard.extend(desk.hear(&mut receiver));
    let expected = [
        "CONNACK Success present",
        "PUBREL #2 Success",
        "PUBLISH t \"3\" q2 #3 dup",
        "PUBLISH t \"4\" q2 #4 dup",
    ];
    assert_eq!(heard, expected);
    let (mut sender, heard) = desk.join_for_good(V5, "sender");
    assert_eq!(heard, "CONNACK Success present");
    // 2 was taken over: nothing new. 1 is another message.
    let again = |id| Publish {
        qos: QoS::ExactlyOnce,
        id: Some(number(id)),
        dup: true,
        ..Publish::new(Topic::new("t").unwrap(), b"again")
    };
    desk.say(&mut sender, &Packet::Publish(again(2)));
    assert_eq!(desk.hear(&mut sender), ["PUBREC #2 Success"]);
    assert!(desk.hear(&mut receiver).is_empty());
    desk.say(&mut sender, &Packet::Publish(again(1)));
    assert_eq!(desk.hear(&mut sender), ["PUBREC #1 Success"]);
    assert_eq!(desk.hear(&mut receiver), ["PUBLISH t \"again\" q2 #5"]);
}

#[test]
fn nothing_is_acknowledged_that_is_not_on_the_disk() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "t", QoS::ExactlyOnce);
    let (mut sender, _) = desk.join_for_good(V5, "sender");
    let mut other = desk.join(V5, "other");
    desk.hear(&mut away);

    disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
    let publish = Publish::new(Topic::new("t").unwrap(), b"x");
    let publish = Publish { qos: QoS::ExactlyOnce, id: Some(number(1)), ..publish };
    // Who waits is not left in silence, in the same breath and later.
    desk.say_all(&mut sender, &[Packet::Publish(publish), Packet::Pingreq]);
    assert_eq!(desk.hear(&mut sender), ["PINGRESP"]);
    desk.say(&mut sender, &Packet::Pingreq);
    assert_eq!(desk.hear(&mut sender), ["PINGRESP"]);
    assert!(
        desk.hear(&mut away).is_empty(),
        "QoS 2 is not sent under an identifier that is not written down"
    );
    // From here on it refuses, and says so; what needs no disk goes on.
    let heard = desk.publish_at(&mut other, "t", "y", QoS::AtLeastOnce, 1);
    assert_eq!(heard, ["PUBACK #1 QuotaExceeded"]);
    desk.publish(&mut other, "t", "z");
    assert_eq!(desk.hear(&mut away), ["PUBLISH t \"z\" q0"]);
    assert_eq!(desk.join_for_good(V5, "late").1, "CONNACK ServerUnavailable");
    assert_eq!(desk.connect(&Connect::new(V3, "clean")).1, "CONNACK Success");

    disk.set_plan(SimPlan::default());
    desk.wait(2.0);
    assert_eq!(desk.hear(&mut sender), ["PUBREC #1 Success"]);
    assert_eq!(desk.hear(&mut away), ["PUBLISH t \"x\" q2 #1"]);
    assert_eq!(desk.publish_at(&mut other, "t", "y", QoS::AtLeastOnce, 2), ["PUBACK #2 Success"]);
}

#[test]
fn a_full_disk_refuses_and_serves_again_when_there_is_room() {
    let disk = SimDisk::new(5, SimPlan { capacity: 4_000, ..SimPlan::default() });
    let (mut desk, _) = on(&disk, 0);
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
    desk.lose(&away);
    let mut sender = desk.join(V5, "sender");
    let mut acknowledged = 0;
    let refused = loop {
        let heard = desk.publish_at(&mut sender, "t", &"x".repeat(200), QoS::AtLeastOnce, 1 + acknowledged);
        match heard.first() {
            Some(heard) if heard.ends_with("Success") => acknowledged += 1,
            other => break other.cloned(),
        }
        assert!(acknowledged < 100);
    };
    assert!(acknowledged > 5 && refused.is_none(), "{acknowledged} {refused:?}");
    disk.set_plan(SimPlan::default());
    desk.wait(2.0);
    assert_eq!(desk.hear(&mut sender), [format!("PUBACK #{} Success", acknowledged + 1)]);
    let (mut desk, _) = on(&disk.crash(), 0);
    let (mut away, heard) = desk.join_for_good(V5, "away");
    let heard = heard.matches("PUBLISH").count() + desk.hear(&mut away).len();
    assert_eq!(heard, usize::from(acknowledged) + 1);
}

#[test]
fn what_ends_with_its_connection_is_not_written_down() {
    let disk = disk();
    let (mut desk, status) = on(&disk, 0);
    let mut receiver = desk.join(V5, "receiver");
    desk.subscribe(&mut receiver, "t", QoS::AtLeastOnce);
    let mut sender = desk.join(V3, "sender");
    assert_eq!(desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, 1), ["PUBACK #1 Success"]);
    desk.wait(1.0);
    assert_eq!((status.bytes(), status.syncs()), (0, 0));
}

#[test]
fn wills_and_expiries_outlive_the_process() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 1_000_000);
    let will = |topic, delay| {
        let said = properties(&[Property::WillDelay(delay)]);
        (Topic::new(topic).unwrap(), said)
    };
    for (id, expiry, delay) in [("soon", 100, 0), ("later", 100, 50), ("over", 20, 90)] {
        let (topic, said) = will("wills", delay);
        let stay = properties(&[Property::SessionExpiry(expiry)]);
        let will = Will {
            topic,
            payload: id.as_bytes(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: said.properties(),
        };
        let connect = Connect { will: Some(will), properties: stay.properties(), ..Connect::new(V5, id) };
        desk.join_with(&connect);
    }
    let (mut hears, _) = desk.join_for_good(V5, "hears");
    desk.subscribe(&mut hears, "wills", QoS::AtMostOnce);
    // The power goes, and comes back ten seconds later: that of `soon` is published at the start, to nobody.
    let (mut desk, _) = on(&disk.crash(), 1_010_000);
    let (mut hears, heard) = desk.join_for_good(V5, "hears");
    assert_eq!(heard, "CONNACK Success present");
    desk.wait(19.0);
    assert!(desk.hear(&mut hears).is_empty());
    desk.wait(2.0);
    assert_eq!(desk.hear(&mut hears), ["PUBLISH wills \"over\" q0"], "its session ends, and the will is due");
    desk.wait(30.0);
    assert_eq!(desk.hear(&mut hears), ["PUBLISH wills \"later\" q0"]);
    assert_eq!(desk.join_for_good(V5, "over").1, "CONNACK Success");
    assert_eq!(desk.join_for_good(V5, "later").1, "CONNACK Success present");
}

/// Sessions with wills, which have expired when the next hub begins, and one that is to hear of them.
fn wills_of_the_expired(disk: &SimDisk) {
    let (mut desk, _) = on(disk, 1_000_000);
    let (mut hears, _) = desk.join_for_good(V5, "hears");
    desk.subscribe(&mut hears, "wills", QoS::AtLeastOnce);
    desk.lose(&hears);
    let delay = properties(&[Property::WillDelay(20)]);
    let stay = properties(&[Property::SessionExpiry(20)]);
    for n in 0..4 {
        let will = Will {
            topic: Topic::new("wills").unwrap(),
            payload: b"gone",
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: delay.properties(),
        };
        let (id, properties) = (format!("expired{n}"), stay.properties());
        let device = desk.join_with(&Connect { will: Some(will), properties, ..Connect::new(V5, &id) });
        desk.lose(&device);
    }
    desk.wait(1.0);
}

fn wills_heard(desk: &mut Desk) -> usize {
    let (mut hears, heard) = desk.join_for_good(V5, "hears");
    heard.matches("PUBLISH wills").count() + desk.hear(&mut hears).len()
}

#[test]
fn a_will_that_fell_due_while_nobody_served_is_published_once() {
    let mut disk = disk();
    wills_of_the_expired(&disk);
    for start in 1..=3 {
        disk = disk.crash();
        let (mut desk, _) = on(&disk, 1_100_000 * start);
        desk.wait(1.0);
        assert_eq!(desk.stats().wills, if start == 1 { 4 } else { 0 }, "start {start}");
        assert_eq!(wills_heard(&mut desk), 4, "start {start}");
    }
}

#[test]
fn a_will_that_fell_due_while_nobody_served_is_held_against_the_rules_of_now() {
    let disk = disk();
    wills_of_the_expired(&disk);
    let acl = Some(Arc::new(Acl::parse("topic read wills\n").unwrap()));
    let identity = Identity::new(IdentityConfig { acl, ..IdentityConfig::default() });
    let config = HubConfig::default().unix_ms(1_100_000).identity(identity);
    let (mut desk, _) = serving(&disk.crash(), config, LogConfig::default());
    assert_eq!(wills_heard(&mut desk), 0);
    let stats = desk.stats();
    assert_eq!((stats.wills, stats.denied_publish), (0, 4));
}

#[test]
fn time_goes_on_while_nobody_serves() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 1_000_000);
    for (id, expiry) in [("short", 30), ("long", 60)] {
        let stay = properties(&[Property::SessionExpiry(expiry)]);
        let device = desk.join_with(&Connect { properties: stay.properties(), ..Connect::new(V5, id) });
        desk.lose(&device);
    }
    desk.wait(1.0);
    let disk = disk.crash();
    let (mut desk, _) = on(&disk, 1_041_000);
    assert_eq!(desk.join_for_good(V5, "short").1, "CONNACK Success");
    desk.wait(10.0);
    let disk = disk.crash();
    let (mut desk, _) = on(&disk, 1_056_000);
    desk.wait(6.0);
    assert_eq!(desk.join_for_good(V5, "long").1, "CONNACK Success", "60 seconds are over");
}

#[test]
fn checkpoints_keep_the_log_short_and_what_is_in_it() {
    let disk = disk();
    let log = || LogConfig::default().segment_bytes(4_000).checkpoint_bytes(20_000);
    let (mut desk, status) = with(&disk, 0, log());
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "kept", QoS::AtLeastOnce);
    desk.subscribe(&mut away, "drops", QoS::AtLeastOnce);
    desk.lose(&away);
    let mut sender = desk.join(V5, "sender");
    desk.publish_at(&mut sender, "kept", "early", QoS::AtLeastOnce, 1);
    let publish = Publish::new(Topic::new("$x/retained").unwrap(), b"at a strange topic");
    let publish = Publish { retain: true, qos: QoS::AtLeastOnce, id: Some(number(2)), ..publish };
    desk.say(&mut sender, &Packet::Publish(publish));
    assert_eq!(desk.hear(&mut sender).len(), 1);
    for n in 0..1_000 {
        let topic = format!("changes/{}", n % 3);
        let payload = format!("{n} {}", "x".repeat(60));
        let publish = Publish::new(Topic::new(&topic).unwrap(), payload.as_bytes());
        let publish = Publish { retain: true, qos: QoS::AtLeastOnce, id: Some(number(3)), ..publish };
        desk.say(&mut sender, &Packet::Publish(publish));
        assert_eq!(desk.hear(&mut sender).len(), 1);
        if n % 10 == 0 {
            desk.wait(0.2);
        }
    }
    assert!(status.checkpoints() >= 3, "{}", status.checkpoints());
    assert!(status.bytes() < 40_000, "{}", status.bytes());
    let (mut desk, _) = with(&disk.crash(), 0, log());
    let (mut away, heard) = desk.join_for_good(V5, "away");
    let heard = heard + "; " + &desk.hear(&mut away).join("; ");
    assert!(heard.starts_with("CONNACK Success present; PUBLISH kept \"early\" q1 #1"), "{heard}");
    let mut asks = desk.join(V5, "asks");
    let heard = desk.subscribe(&mut asks, "$x/retained", QoS::AtMostOnce).join("; ");
    assert!(heard.contains("at a strange topic"), "{heard}");
    let heard = desk.subscribe(&mut asks, "changes/+", QoS::AtMostOnce).join("; ");
    assert!(["999 ", "998 ", "997 "].iter().all(|last| heard.contains(last)), "{heard}");
}

#[test]
fn a_successor_waits_for_the_log_and_its_clients_with_it() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
    desk.lose(&away);
    let mut sender = desk.join(V5, "sender");
    desk.publish_at(&mut sender, "t", "x", QoS::AtLeastOnce, 1);

    let its = disk.clone();
    let open = Arc::new(move || Log::open(its.clone(), LogConfig::default(), 0));
    let mut next = Desk::keeping(HubConfig::default(), move |hub, mailbox, pool| {
        hub.journal_later(open.clone(), mailbox, pool)
    });
    let (mut back, heard) = next.join_for_good(V5, "away");
    assert_eq!(heard, "");
    next.wait(30.0);
    assert!(next.hear(&mut back).is_empty(), "it waits, and longer than a client may take for its CONNECT");
    drop(desk);
    next.wait(1.0);
    assert_eq!(next.hear(&mut back), ["CONNACK Success present", "PUBLISH t \"x\" q1 #1"]);
}

/// What ends one connection without a word says nothing about what the next one is told.
#[test]
fn who_is_ended_without_a_word_takes_no_answer_along() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    let stranger = desk.stranger(V5);
    desk.harness.send(stranger.peer, b"\xc0\0");
    assert_eq!(desk.harness.receive(stranger.peer), b"");
    let (_, heard) = desk.join_for_good(V5, "next");
    assert!(heard.starts_with("CONNACK Success"), "{heard}");
}

/// Clients that are not read, since a disk or another worker is behind, are not silent.
#[test]
fn who_is_not_read_is_not_disconnected_for_its_silence() {
    let disk = disk();
    let config = HubConfig::default().between_workers_max(50_000);
    let (mut desk, _) = serving(&disk, config, LogConfig::default());
    let stay = properties(&[Property::SessionExpiry(u32::MAX)]);
    let joins = |desk: &mut Desk, id: &str| {
        let connect = Connect {
            clean_start: false,
            keep_alive: 10,
            properties: stay.properties(),
            ..Connect::new(V5, id)
        };
        desk.join_with(&connect)
    };
    for n in 0..6 {
        let (mut away, _) = desk.join_for_good(V5, &format!("away{n}"));
        desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
        desk.lose(&away);
    }
    let mut pingers: Vec<_> = (0..6).map(|n| joins(&mut desk, &format!("pinger{n}"))).collect();
    let mut senders: Vec<_> = (0..6).map(|n| joins(&mut desk, &format!("sender{n}"))).collect();
    // Each answer leaves for itself.
    for sender in &mut senders {
        desk.subscribe(sender, "own", QoS::AtMostOnce);
    }
    disk.set_plan(SimPlan { sync_fails: 1, ..SimPlan::default() });
    for sender in &mut senders {
        let publish = |id| {
            let publish = Publish::new(Topic::new("t").unwrap(), b"x");
            Packet::Publish(Publish { qos: QoS::AtLeastOnce, id: Some(number(id)), ..publish })
        };
        let all: Vec<_> = (1..=2_000).map(publish).collect();
        desk.say_all(sender, &all);
    }
    for _ in 0..10 {
        for device in pingers.iter_mut().chain(&mut senders) {
            if !desk.harness.is_ended(device.peer) {
                desk.say(device, &Packet::Pingreq);
            }
        }
        desk.wait(5.0);
    }
    let stats = desk.stats();
    assert_eq!((stats.keep_alive_timeouts, stats.clients), (0, 12));
    disk.set_plan(SimPlan::default());
    desk.wait(5.0);
    for pinger in &mut pingers {
        assert_eq!(desk.hear(pinger).len(), 10);
    }
    // And then they may be: they are read again.
    desk.wait(20.0);
    assert_eq!(desk.stats().clients, 0);
}
