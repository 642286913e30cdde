//! Anything that clients may say, in any order, with limits that are soon reached: the hub goes on, and when all are
//! gone nothing of them is left.

use windlass::proto::testing::Rng;
use windlass_hub::{HubConfig, Mail, QoS, Reason, WhenExceeded, WhenQueueFull};
use windlass_proto::Encode;
use windlass_proto::mqtt::{
    Ack, Auth, Connect, Disconnect, Filter, Filters, Limits, Mqtt, Names, Packet, Property, Publish,
    RetainHandling, Subscribe, SubscribeOptions, Subscription, Topic, Unsubscribe, Version, Will,
};

use crate::kit::{Desk, V3, V5, number, properties};

const TOPICS: [&str; 8] = ["a", "a/b", "a/b/c", "/", "$x/a", "$SYS/a", "long/topic/of/some/levels", "b"];
const FILTERS: [&str; 9] =
    ["a", "a/+", "a/#", "#", "+/b", "$x/#", "$share/g/a/#", "$share/h/+", "long/topic/of/some/levels"];

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.below(of.len() as u64) as usize]
}

fn qos(rng: &mut Rng) -> QoS {
    [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][rng.below(3) as usize]
}

fn config(rng: &mut Rng) -> HubConfig {
    HubConfig {
        receive_max: 1 + rng.below(5) as u16,
        in_flight_max: 1 + rng.below(4) as u16,
        queue_max: rng.below(6) as usize,
        queue_bytes_max: 200 + rng.below(1_000) as usize,
        sessions_max: 3 + rng.below(5) as usize,
        subscriptions_max: 1 + rng.below(6) as usize,
        retained_max: rng.below(5) as usize,
        retained_bytes_max: 50 + rng.below(300) as usize,
        packet_max: 200 + rng.below(400) as usize,
        topic_alias_max: rng.below(3) as u16,
        topic_alias_out_max: rng.below(3) as u16,
        session_expiry_max: 1 + rng.below(100) as u32,
        output_max: rng.below(2_000) as usize,
        between_workers_max: rng.below(2_000) as usize,
        when_queue_full: [WhenQueueFull::DropNewest, WhenQueueFull::DropOldest, WhenQueueFull::Disconnect]
            [rng.below(3) as usize],
        when_receive_exceeded: [WhenExceeded::Disconnect, WhenExceeded::Warn][rng.below(2) as usize],
        queue_qos_0: rng.chance(1, 2),
        retain: !rng.chance(1, 8),
        shared: !rng.chance(1, 8),
        memory_max: [0, 15_000, 60_000][rng.below(3) as usize],
        // Nothing is retained but by clients.
        sys_interval: std::time::Duration::ZERO,
        ..HubConfig::default()
    }
}

/// Bytes of one packet, or of none.
fn said(rng: &mut Rng, version: Version) -> Vec<u8> {
    let mut codec = Mqtt::client(version, Limits::default()).connected(version, true);
    let mut out = Vec::new();
    let id = number(1 + rng.below(6) as u16);
    let five = version == V5;
    let payload = vec![b'p'; rng.below(120) as usize];
    let reason = [Reason::Success, Reason::QuotaExceeded][rng.below(2) as usize];
    let ack = if five { Ack::with(id, reason) } else { Ack::new(id) };
    let mut list = Vec::new();
    if five && rng.chance(1, 3) {
        list.push(Property::MessageExpiry(rng.below(4) as u32));
    }
    if five && rng.chance(1, 3) {
        list.push(Property::TopicAlias(1 + rng.below(3) as u16));
    }
    if five && rng.chance(1, 3) {
        list.push(Property::User("k", "v"));
    }
    let of_message = properties(&list);
    let numbered = properties(&[Property::SubscriptionId(1 + rng.below(3) as u32)]);
    let expiry = properties(&[Property::SessionExpiry(rng.below(3) as u32)]);
    let filter = Filter::new(one(rng, &FILTERS)).unwrap();
    let subscriptions: Vec<Subscription<'_>> = (0..1 + rng.below(3))
        .map(|_| {
            let filter = Filter::new(one(rng, &FILTERS)).unwrap();
            let options = SubscribeOptions {
                qos: qos(rng),
                no_local: five && filter.group().is_none() && rng.chance(1, 3),
                retain_as_published: five && rng.chance(1, 2),
                retain_handling: match rng.below(3) {
                    0 if five => RetainHandling::SendIfNew,
                    1 if five => RetainHandling::DoNotSend,
                    _ => RetainHandling::Send,
                },
            };
            Subscription { filter, options }
        })
        .collect();
    let none = windlass_proto::mqtt::Properties::NONE;
    let filters = [filter];
    let packet = match rng.below(12) {
        0..4 => {
            let qos = qos(rng);
            let topic = Topic::new(one(rng, &TOPICS)).unwrap();
            let stands_for = list.iter().any(|it| matches!(it, Property::TopicAlias(_))) && rng.chance(1, 3);
            Packet::Publish(Publish {
                topic: (!stands_for).then_some(topic),
                qos,
                dup: qos != QoS::AtMostOnce && rng.chance(1, 4),
                retain: rng.chance(1, 3),
                id: (qos != QoS::AtMostOnce).then_some(id),
                properties: of_message.properties(),
                payload: &payload,
            })
        }
        4 => Packet::Puback(ack),
        5 => Packet::Pubrec(ack),
        6 => Packet::Pubrel(Ack::new(id)),
        7 => Packet::Pubcomp(Ack::new(id)),
        8 => {
            let properties = if five && rng.chance(1, 2) { numbered.properties() } else { none };
            Packet::Subscribe(Subscribe { id, properties, filters: Filters::new(&subscriptions) })
        }
        9 => Packet::Unsubscribe(Unsubscribe { id, properties: none, filters: Names::new(&filters) }),
        10 => Packet::Pingreq,
        _ if five && rng.chance(1, 3) => {
            let method = properties(&[Property::AuthenticationMethod("none")]);
            let auth = Auth { reason: Reason::ReAuthenticate, properties: method.properties() };
            codec.encode(&Packet::Auth(auth), &mut out).unwrap();
            return out;
        }
        _ => {
            let (reason, properties) = match five {
                true => (
                    [Reason::Success, Reason::DisconnectWithWill][rng.below(2) as usize],
                    if rng.chance(1, 2) { expiry.properties() } else { none },
                ),
                false => (Reason::Success, none),
            };
            Packet::Disconnect(Disconnect { reason, properties })
        }
    };
    codec.encode(&packet, &mut out).unwrap();
    if rng.chance(1, 200) {
        // Or something like it.
        let at = rng.below(out.len() as u64) as usize;
        out[at] ^= 1 << rng.below(8);
    }
    out
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let config_first = config(&mut rng);
    // With a bound each worker has five packets of a 64th of its part.
    let (bound, workers) = (config_first.memory_max, crate::workers::workers());
    let mut between = config_first.between_workers_max;
    let bounded = bound > 0;
    let packet = config_first.packet_max.min(config_first.memory_max / 64 / workers);
    let mut desk = Desk::new(config_first);
    let mut peers = Vec::new();
    for _ in 0..400 {
        match rng.below(20) {
            0..3 => {
                let version = if rng.chance(1, 2) { V3 } else { V5 };
                let id = ["", "a", "b", "c", "d", "e", "f"][rng.below(7) as usize];
                let clean_start = id.is_empty() || rng.chance(1, 2);
                let own = properties(&[
                    Property::SessionExpiry(rng.below(3) as u32 * 10),
                    Property::ReceiveMaximum(1 + rng.below(3) as u16),
                    Property::TopicAliasMaximum(rng.below(3) as u16),
                    Property::MaximumPacketSize(60 + rng.below(400) as u32),
                ]);
                let of_will = properties(&[Property::WillDelay(rng.below(3) as u32 * 4)]);
                let five = version == V5;
                let none = windlass_proto::mqtt::Properties::NONE;
                let will = rng.chance(1, 2).then(|| Will {
                    topic: Topic::new(one(&mut rng, &TOPICS)).unwrap(),
                    payload: b"will",
                    qos: qos(&mut rng),
                    retain: rng.chance(1, 3),
                    properties: if five { of_will.properties() } else { none },
                });
                let connect = Connect {
                    clean_start,
                    keep_alive: rng.below(3) as u16 * 5,
                    will,
                    properties: if five { own.properties() } else { none },
                    ..Connect::new(version, id)
                };
                let mut bytes = Vec::new();
                Mqtt::client(version, Limits::default())
                    .encode(&Packet::Connect(connect), &mut bytes)
                    .unwrap();
                let peer = desk.stranger(version).peer;
                desk.harness.send(peer, bytes);
                peers.push((peer, version));
            }
            3 if !peers.is_empty() => {
                let (peer, _) = peers.swap_remove(rng.below(peers.len() as u64) as usize);
                if rng.chance(1, 2) { desk.harness.reset(peer) } else { desk.harness.finish(peer) }
            }
            4 => desk.wait(rng.below(4_000) as f64 / 1_000.0),
            5 if rng.chance(1, 10) => {
                if rng.chance(1, 2) {
                    desk.mailbox.send(0, Mail::Kick("a".into())).unwrap();
                    desk.harness.settle();
                } else {
                    let config = config(&mut rng);
                    between = config.between_workers_max;
                    desk.tell(|| Mail::Set(Box::new(config.clone())));
                }
            }
            _ if !peers.is_empty() => {
                let (peer, version) = peers[rng.below(peers.len() as u64) as usize];
                if !desk.harness.is_ended(peer) {
                    let bytes = said(&mut rng, version);
                    desk.harness.send(peer, bytes);
                }
                if rng.chance(1, 3) {
                    desk.harness.receive(peer);
                }
            }
            _ => {}
        }
    }
    for (peer, _) in peers {
        desk.harness.reset(peer);
    }
    let stats = desk.stats();
    assert_eq!(stats.clients, 0, "seed {seed}");
    // Longer than any session, and any message that expires.
    desk.wait(101.0);
    let stats = desk.stats();
    let left = (stats.sessions, stats.subscriptions, stats.queued, stats.queued_bytes);
    assert_eq!(left, (0, 0, 0, 0), "seed {seed}");
    // What is left is for packets, and of what is retained.
    // Where there are several workers, an eighth is for what they tell one another, or twice what they may, and each has all
    // topics.
    let ways = workers * (workers - 1);
    let passing = ((bound - bound / 32) / 8).checked_div(ways).unwrap_or(0).min(2 * between) * ways;
    let least = (5 * packet * workers + passing) as u64;
    let most = least + if bounded { stats.retained * (500 + 1_000 * workers as u64) } else { 0 };
    assert!((least..=most).contains(&stats.memory_used), "seed {seed}: {}", stats.memory_used);
    let mut last = desk.join(V5, "last");
    assert_eq!(desk.subscribe(&mut last, "a", QoS::AtMostOnce)[0], "SUBACK #9 [Success]", "seed {seed}");
}

// The seed that is to be repeated comes from whoever looks into it.
#[allow(clippy::disallowed_methods)]
#[test]
fn whatever_clients_say_nothing_is_left_of_them() {
    let seeds = if cfg!(debug_assertions) { 150 } else { 3_000 };
    (0..seeds).for_each(run);
}
