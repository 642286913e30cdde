//! What the hub says of itself, below `$SYS`.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass_hub::{HubConfig, Mail, QoS};

use crate::kit::{Desk, V3, V5};

/// What was said last of each topic; how often anything was.
fn said(heard: &[String]) -> (BTreeMap<&str, &str>, usize) {
    let all = heard.iter().filter_map(|text| {
        let text = text.strip_prefix("PUBLISH $SYS/broker/")?;
        let mut parts = text.split('"');
        Some((parts.next()?.trim_end(), parts.next()?))
    });
    let all: Vec<_> = all.collect();
    (all.iter().copied().collect(), all.len())
}

#[test]
fn its_numbers_are_published_as_they_change_and_are_retained() {
    let mut desk = Desk::new(HubConfig::default());
    let every = |seconds| {
        move || Mail::Set(Box::new(HubConfig::default().sys_interval(Duration::from_secs(seconds))))
    };
    let (mut looks, mut others) = (desk.join(V5, "looks"), desk.join(V3, "others"));
    desk.subscribe(&mut looks, "$SYS/#", QoS::AtLeastOnce);
    desk.subscribe(&mut others, "#", QoS::AtMostOnce);
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
    desk.lose(&away);
    desk.publish_at(&mut others, "t", "12345", QoS::AtLeastOnce, 1);
    desk.retain(&mut others, "kept", "1");
    desk.hear(&mut looks);
    desk.hear(&mut others);

    desk.tell(every(2));
    // Workers pass their numbers on with their ticks, so the second time has all of them.
    desk.wait(4.5);
    let heard = desk.hear(&mut looks);
    let (all, _) = said(&heard);
    let expected = [
        ("version", concat!("windlass ", env!("CARGO_PKG_VERSION"))),
        ("clients/total", "3"),
        ("clients/connected", "2"),
        ("clients/disconnected", "1"),
        ("clients/expired", "0"),
        ("subscriptions/count", "3"),
        ("store/messages/count", "1"),
        ("publish/messages/received", "2"),
        ("publish/bytes/received", "6"),
        ("publish/messages/dropped", "0"),
    ];
    for (topic, value) in expected {
        assert_eq!(all.get(topic), Some(&value), "{topic}: {heard:?}");
    }
    // With what each message that waits is counted besides.
    assert_eq!(all["store/messages/bytes"], desk.watch.stats().queued_bytes.to_string());
    assert!(all["uptime"].ends_with(" seconds"), "{all:?}");
    assert!(heard.iter().all(|text| text.contains(" q0") && !text.contains(" retain")), "{heard:?}");
    // A wildcard at the beginning is not for them ([MQTT-4.7.2-1]).
    assert!(desk.hear(&mut others).is_empty());

    // Only what has changed comes again: its uptime, and what saying so has come to.
    desk.wait(2.0);
    let heard = desk.hear(&mut looks);
    let (all, count) = said(&heard);
    let changed: Vec<_> = all.keys().copied().collect();
    assert_eq!((changed, count), (vec!["publish/bytes/sent", "publish/messages/sent", "uptime"], 3));

    // Who comes later finds all of it, and nothing of it comes any more when it is switched off.
    desk.tell(every(0));
    let mut later = desk.join(V3, "later");
    let heard = desk.subscribe(&mut later, "$SYS/broker/clients/+", QoS::AtMostOnce);
    let (all, _) = said(&heard);
    let found: Vec<_> = all.keys().copied().collect();
    assert_eq!(found, ["clients/connected", "clients/disconnected", "clients/expired", "clients/total"]);
    assert!(heard[1..].iter().all(|text| text.ends_with(" retain")), "{heard:?}");
    desk.wait(10.0);
    assert!(desk.hear(&mut looks).is_empty());
}
