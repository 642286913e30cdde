//! What an operator asks of a hub, and what it is told.

use std::sync::mpsc;

use windlass_hub::inspect::{
    Ask, ClientDetail, ClientQuery, ClientSort, ClientsPage, Level, Question, Told, TopicQuery, TopicsPage,
};
use windlass_hub::{HubConfig, QoS};
use windlass_proto::mqtt::{Connect, Packet, Properties, Publish, Topic, Will};

use crate::durable::{disk, on};
use crate::kit::{Desk, V3, V5};

fn ask(desk: &mut Desk, question: Question) -> Told {
    let (tell, told) = mpsc::channel();
    Ask::send(&desk.mailbox, question, move |answer| tell.send(answer).unwrap()).unwrap();
    desk.harness.settle();
    told.try_recv().expect("it is answered")
}

fn clients(desk: &mut Desk, query: ClientQuery) -> ClientsPage {
    let Told::Clients(page) = ask(desk, Question::Clients(query)) else { panic!() };
    page
}

fn ids(page: &ClientsPage) -> Vec<&str> {
    page.clients.iter().map(|client| &*client.id).collect()
}

fn client(desk: &mut Desk, id: &str) -> Option<Box<ClientDetail>> {
    let Told::Client(detail) = ask(desk, Question::Client(id.into())) else { panic!() };
    detail
}

fn kick(desk: &mut Desk, id: &str, end_session: bool) -> bool {
    let Told::Kicked(was_there) = ask(desk, Question::Kick { client: id.into(), end_session }) else {
        panic!()
    };
    was_there
}

fn topics(desk: &mut Desk, filter: &str) -> TopicsPage {
    let query = TopicQuery { filter: filter.into(), count: 10, ..TopicQuery::default() };
    let Told::Topics(page) = ask(desk, Question::Topics(query)) else { panic!() };
    page
}

fn levels(desk: &mut Desk, open: &[&str]) -> Vec<Level> {
    let open = open.iter().map(|above| (*above).into()).collect();
    let Told::Levels(levels) = ask(desk, Question::Levels(open)) else { panic!() };
    levels
}

#[test]
fn clients_are_listed_sorted_and_in_pages() {
    let mut desk = Desk::new(HubConfig::default());
    let mut devices = Vec::new();
    for n in 0..30 {
        let mut device = desk.join(if n % 2 == 0 { V5 } else { V3 }, &format!("meter-{n:02}"));
        for _ in 0..n {
            desk.publish(&mut device, "t", "x");
        }
        devices.push(device);
    }
    let (mut away, _) = desk.join_for_good(V5, "away");
    desk.subscribe(&mut away, "t", QoS::AtLeastOnce);
    desk.lose(&away);
    desk.publish_at(&mut devices[0], "t", "1", QoS::AtLeastOnce, 1);

    let by = |sort, offset| ClientQuery { sort, offset, count: 3, ..ClientQuery::default() };
    let page = clients(&mut desk, by(ClientSort::Received, 0));
    assert_eq!((page.total, page.matched), (30, 30));
    assert_eq!(ids(&page), ["meter-29", "meter-28", "meter-27"]);
    assert_eq!(page.clients[0].received, 29);
    assert_eq!(page.clients[0].version, "3.1.1");
    assert!(
        page.clients[0].connected && page.clients[0].address.as_deref().unwrap().starts_with("127.0.0.1")
    );
    assert_eq!(ids(&clients(&mut desk, by(ClientSort::Received, 3))), ["meter-26", "meter-25", "meter-24"]);
    assert_eq!(ids(&clients(&mut desk, by(ClientSort::Name, 28))), ["meter-28", "meter-29"]);
    assert_eq!(ids(&clients(&mut desk, by(ClientSort::Name, 30))), [""; 0]);

    // Who has no connection is told of when asked for.
    let query = ClientQuery { offline: true, ..by(ClientSort::Queued, 0) };
    let page = clients(&mut desk, query);
    assert_eq!((page.total, page.matched, page.clients[0].id.as_str()), (31, 31, "away"));
    let away = &page.clients[0];
    assert_eq!((away.queued, away.connected, away.subscriptions, away.expiry_seconds), (1, false, 1, None));
    // By identifier, and by address.
    let query = |filter: &str| ClientQuery { filter: filter.into(), ..by(ClientSort::Sent, 0) };
    assert_eq!(clients(&mut desk, query("meter-1")).matched, 10);
    assert_eq!(clients(&mut desk, query("127.0.0.1")).matched, 30);
    assert_eq!(clients(&mut desk, query("nobody")).matched, 0);
}

/// More sessions than are looked at in one turn, and more than are kept: the page is that of a list that is sorted.
#[test]
fn a_page_of_many_is_the_same() {
    let mut desk = Desk::new(HubConfig::default());
    let mut kept = Vec::new();
    for n in 0..1_500u32 {
        let mut device = desk.join(V3, &format!("c{n:04}"));
        if n % 37 == 0 {
            for filter in 0..n / 37 {
                desk.subscribe(&mut device, &format!("f/{filter}"), QoS::AtMostOnce);
            }
        }
        kept.push(device);
    }
    let sort = ClientSort::Subscriptions;
    let page = clients(&mut desk, ClientQuery { sort, offset: 1, count: 2, ..ClientQuery::default() });
    assert_eq!((page.total, page.matched), (1_500, 1_500));
    assert_eq!(ids(&page), ["c1443", "c1406"]);
    assert_eq!(page.clients[0].subscriptions, 39);
    let sort = ClientSort::Name;
    let page = clients(&mut desk, ClientQuery { sort, offset: 1_400, count: 2, ..ClientQuery::default() });
    assert_eq!(ids(&page), ["c1400", "c1401"]);
}

#[test]
fn all_about_one_client() {
    let mut desk = Desk::new(HubConfig::default());
    let will = Will {
        topic: Topic::new("gone").unwrap(),
        payload: b"bye",
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::NONE,
    };
    let mut device = desk.join_with(&Connect { will: Some(will), keep_alive: 30, ..Connect::new(V5, "one") });
    desk.subscribe(&mut device, "b/#", QoS::ExactlyOnce);
    desk.subscribe(&mut device, "$share/g/a", QoS::AtMostOnce);
    let detail = client(&mut desk, "one").unwrap();
    let filters: Vec<_> = detail.filters.iter().map(|it| (&*it.filter, it.qos)).collect();
    assert_eq!(filters, [("$share/g/a", 0), ("b/#", 2)]);
    let will = detail.will.as_ref().unwrap();
    assert_eq!((&*will.topic, will.qos, will.value.text.as_deref()), ("gone", 1, Some("bye")));
    assert_eq!((detail.keep_alive_seconds, detail.receive_max, detail.queue_max), (30, 20, 1_000));
    assert_eq!(detail.client.id, "one");
    assert!(client(&mut desk, "two").is_none());
}

#[test]
fn a_client_is_kicked_and_its_session_stays_or_ends() {
    let mut desk = Desk::new(HubConfig::default());
    for (version, expected) in [(V5, vec!["DISCONNECT AdministrativeAction"]), (V3, vec![])] {
        let (mut device, _) = desk.join_for_good(version, "it");
        desk.subscribe(&mut device, "t", QoS::AtLeastOnce);
        assert!(kick(&mut desk, "it", false));
        assert_eq!(desk.hear(&mut device), expected);
        assert!(desk.harness.is_ended(device.peer));
        assert!(!kick(&mut desk, "it", false), "it has no connection");
        let (mut device, heard) = desk.join_for_good(version, "it");
        assert_eq!(heard, "CONNACK Success present");
        assert!(kick(&mut desk, "it", true));
        assert_eq!(desk.hear(&mut device), expected);
        assert!(desk.harness.is_ended(device.peer));
        let (device, heard) = desk.join_for_good(version, "it");
        assert_eq!(heard, "CONNACK Success", "nothing was there");
        desk.lose(&device);
        assert!(kick(&mut desk, "it", true), "a session without a connection");
        assert!(!kick(&mut desk, "it", true));
    }
    assert_eq!(desk.stats().clients, 0);
}

#[test]
fn a_session_that_was_ended_is_not_back_after_a_restart() {
    let disk = disk();
    let (mut desk, _) = on(&disk, 0);
    for id in ["ended", "kept"] {
        let (mut device, _) = desk.join_for_good(V5, id);
        desk.subscribe(&mut device, "t", QoS::AtLeastOnce);
        assert!(kick(&mut desk, id, id == "ended"));
    }
    desk.wait(1.0);
    let (mut desk, _) = on(&disk.crash(), 0);
    assert!(client(&mut desk, "kept").is_some());
    assert!(client(&mut desk, "ended").is_none());
}

#[test]
fn topics_are_followed_while_somebody_looks() {
    let mut desk = Desk::new(HubConfig::default());
    let mut device = desk.join(V5, "device");
    desk.publish(&mut device, "before", "x");
    assert_eq!(topics(&mut desk, "").followed, 0, "nobody looked");
    for n in 0..20 {
        desk.publish(&mut device, "fast", &n.to_string());
        if n % 5 == 0 {
            desk.publish(&mut device, "plant/slow", "1");
        }
        desk.wait(0.1);
    }
    let page = topics(&mut desk, "");
    let told: Vec<_> = page.topics.iter().map(|it| (&*it.topic, it.messages)).collect();
    assert_eq!(told, [("fast", 20), ("plant/slow", 4)]);
    assert_eq!(page.topics[0].value.text.as_deref(), Some("19"));
    assert!((8.0..12.0).contains(&page.topics[0].rate), "{}", page.topics[0].rate);
    assert!((1.0..3.0).contains(&page.topics[1].rate), "{}", page.topics[1].rate);
    for (filter, matched) in [("plant/#", 1), ("+", 1), ("slow", 1), ("a", 2), ("none", 0)] {
        assert_eq!(topics(&mut desk, filter).matched, matched, "{filter}");
    }
    // Rates fade when nothing comes; and when nobody looks, nothing is kept.
    desk.wait(10.0);
    assert!(topics(&mut desk, "").topics[0].rate < 2.0);
    desk.wait(16.0);
    assert_eq!(topics(&mut desk, "").followed, 0);
}

/// What is followed is bounded, whoever publishes to whatever.
#[test]
fn a_flood_of_topics_is_left_out() {
    let mut desk = Desk::new(HubConfig::default());
    let mut device = desk.join(V5, "device");
    topics(&mut desk, "");
    let mut publish = |desk: &mut Desk, n: u32| {
        let topic = format!("flood/{n}");
        desk.say(&mut device, &Packet::Publish(Publish::new(Topic::new(&topic).unwrap(), b"x")));
    };
    (0..10_100).for_each(|n| publish(&mut desk, n));
    let page = topics(&mut desk, "");
    assert_eq!((page.followed, page.left_out), (10_000, 100));
    // Those that are silent make way.
    for _ in 0..11 {
        desk.wait(1.0);
        topics(&mut desk, "");
    }
    publish(&mut desk, 20_000);
    let page = topics(&mut desk, "");
    assert_eq!((page.followed, page.left_out), (1, 100));
}

#[test]
fn levels_are_gone_down_one_by_one() {
    let mut desk = Desk::new(HubConfig::default());
    let mut device = desk.join(V5, "device");
    for (topic, value) in [("plant/1/temp", "20"), ("plant/1", "on"), ("/lead", "x"), ("$own/x", "y")] {
        desk.retain(&mut device, topic, value);
    }
    let names = |level: &Level| {
        let name = |it: &windlass_hub::inspect::LevelEntry| {
            let value = it.value.as_ref().and_then(|value| value.text.clone()).unwrap_or_default();
            format!("{}{}={value}", it.name, if it.has_children { "/" } else { "" })
        };
        level.entries.iter().map(name).collect::<Vec<_>>()
    };
    let told = levels(&mut desk, &["plant", "plant/1", "", "nowhere"]);
    assert_eq!(names(&told[0]), ["/=", "$own/=", "plant/="]);
    assert_eq!(names(&told[1]), ["1/=on"]);
    assert_eq!(names(&told[2]), ["temp=20"]);
    assert_eq!(names(&told[3]), ["lead=x"]);
    assert!(told[4].entries.is_empty());
    assert!(told[1].entries[0].retained && told[1].entries[0].ago_seconds.is_none());
    // What is published from here on is there too, and newer.
    desk.publish(&mut device, "plant/1/temp", "21");
    desk.publish(&mut device, "plant/2/temp", "30");
    let told = levels(&mut desk, &["plant", "plant/1", "plant/2"]);
    assert_eq!(names(&told[1]), ["1/=on", "2/="]);
    assert_eq!(names(&told[2]), ["temp=21"]);
    assert_eq!(names(&told[3]), ["temp=30"]);
    assert!(told[2].entries[0].retained && !told[3].entries[0].retained);
    assert_eq!(told[2].entries[0].messages, 1);
    // A level of many names is cut, and says so.
    for n in 0..300 {
        desk.publish(&mut device, &format!("many/{n:03}"), "x");
    }
    let told = levels(&mut desk, &["many"]);
    assert_eq!((told[1].entries.len(), told[1].more), (200, true));
    assert_eq!((&*told[1].entries[0].name, &*told[1].entries[199].name), ("000", "199"));
}
