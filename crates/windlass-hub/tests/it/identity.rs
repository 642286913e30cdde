//! Who is served, and what they may do: at every way that a message takes.

use std::net::IpAddr;
use std::sync::{Arc, mpsc};

use windlass::{Mailbox, Offload};
use windlass_hub::identity::{
    Acl, Algorithm, Anonymous, Hashing, Identity, IdentityConfig, Jwt, JwtConfig, JwtKey, Passwords,
    UserLimits, UsersLimits, passwords,
};
use windlass_hub::inspect::{Ask, Question, Told};
use windlass_hub::{Done, HubConfig, Mail, QoS};
use windlass_proto::mqtt::{Connect, Packet, Property, Secret, SubscribeOptions, Topic, Will};

use crate::kit::{Desk, Device, V3, V5, properties};
use crate::workers::workers;

const USERS: [(&str, &str); 3] = [("roger", "r"), ("anna", "a"), ("boss", "b")];
const RULES: &str = "user roger\ntopic readwrite open/#\ntopic deny open/secret\ntopic write drop/#\n\
                     user anna\ntopic readwrite open/#\n\
                     user boss\ntopic #\n\
                     pattern readwrite own/%c/#\n";

pub(crate) fn users(users: &[(&str, &str)]) -> Option<Arc<Passwords>> {
    let cheap = Hashing::Pbkdf2 { rounds: 1 };
    let text = users.iter().fold(String::new(), |text, (user, password)| {
        passwords::set(&text, user, password.as_bytes(), cheap).unwrap()
    });
    Some(Arc::new(Passwords::parse(&text).unwrap()))
}

pub(crate) fn config(rules: &str) -> IdentityConfig {
    let acl = Some(Arc::new(Acl::parse(rules).unwrap()));
    IdentityConfig { passwords: users(&USERS), acl, ..IdentityConfig::default() }
}

pub(crate) fn hub(config: IdentityConfig) -> HubConfig {
    HubConfig::default().identity(Identity::new(config))
}

fn of<'c>(
    version: windlass_proto::mqtt::Version,
    id: &'c str,
    user: &'c str,
    password: &'c str,
) -> Connect<'c> {
    Connect {
        user_name: Some(user),
        password: Some(Secret(password.as_bytes())),
        ..Connect::new(version, id)
    }
}

/// A client of a user whose password is the first letter of its name.
fn join(desk: &mut Desk, id: &str, user: &str) -> Device {
    desk.join_with(&of(V5, id, user, &user[..1]))
}

/// The same, whose session stays.
fn stay(desk: &mut Desk, id: &str, user: &str) -> (Device, String) {
    let forever = properties(&[Property::SessionExpiry(u32::MAX)]);
    desk.connect(&Connect {
        clean_start: false,
        properties: forever.properties(),
        ..of(V5, id, user, &user[..1])
    })
}

pub(crate) fn set(desk: &mut Desk, config: IdentityConfig) {
    desk.tell(|| Mail::Set(Box::new(hub(config.clone()).sys_interval(std::time::Duration::ZERO))));
}

#[test]
fn who_is_elsewhere_is_not_served_unless_said() {
    let mut desk = Desk::new(HubConfig::default());
    let connect = |desk: &mut Desk, ip: IpAddr| {
        let mut device = desk.stranger_from(V5, ip);
        desk.say(&mut device, &Packet::Connect(Connect::new(V5, "a")));
        desk.hear(&mut device)
    };
    let elsewhere = IpAddr::from([192, 0, 2, 7]);
    assert_eq!(connect(&mut desk, elsewhere), ["CONNACK NotAuthorized"]);
    for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(connect(&mut desk, here.parse().unwrap()), ["CONNACK Success"], "{here}");
    }
    let anonymous = Some(Anonymous::Everybody);
    let mut desk = Desk::new(hub(IdentityConfig { anonymous, ..IdentityConfig::default() }));
    assert_eq!(connect(&mut desk, elsewhere), ["CONNACK Success"]);
}

#[test]
fn names_are_proven_by_passwords() {
    let mut desk = Desk::new(hub(config("")));
    for version in [V3, V5] {
        assert_eq!(desk.connect(&of(version, "a", "roger", "r")).1, "CONNACK Success");
        for (user, password) in [("roger", "x"), ("nobody", "r"), ("", "")] {
            assert_eq!(desk.connect(&of(version, "a", user, password)).1, "CONNACK NotAuthorized", "{user}");
        }
        assert_eq!(desk.connect(&Connect::new(version, "a")).1, "CONNACK NotAuthorized");
    }
    assert_eq!(desk.stats().refused, 8);
}

/// What comes behind CONNECT waits until it is known who says so, and is then served.
#[test]
fn passwords_are_checked_off_the_loop() {
    let pool: Offload<Done> = Offload::default();
    let mut desk = Desk::with_pool(hub(config(RULES)), &pool);
    let mut device = desk.stranger(V5);
    desk.say_all(
        &mut device,
        &[Packet::Connect(of(V5, "a", "roger", "r")), Packet::Pingreq, Packet::Pingreq],
    );
    assert_eq!(desk.hear(&mut device), ["CONNACK Success", "PINGRESP", "PINGRESP"]);
    let mut device = desk.stranger(V5);
    desk.say_all(&mut device, &[Packet::Connect(of(V5, "b", "roger", "x")), Packet::Pingreq]);
    assert_eq!(desk.hear(&mut device), ["CONNACK NotAuthorized"]);
    assert!(desk.harness.is_ended(device.peer));
    assert_eq!(pool.stats().answered, 2);
    // Who was right a moment ago is known, to each worker that has asked.
    for _ in 0..10 {
        assert_eq!(desk.connect(&of(V5, "c", "roger", "r")).1, "CONNACK Success");
    }
    let submitted = pool.stats().submitted as usize;
    assert!(submitted <= 1 + workers(), "{submitted}");
}

/// Every way to a reader: as it is published, retained, queued while it was away, and by a shared subscription.
#[test]
fn what_may_not_be_read_comes_by_no_way() {
    let mut desk = Desk::new(hub(config(RULES)));
    let mut boss = join(&mut desk, "boss", "boss");
    let (mut roger, _) = stay(&mut desk, "r", "roger");
    assert_eq!(desk.subscribe(&mut roger, "#", QoS::AtLeastOnce), ["SUBACK #9 [GrantedQos1]"]);
    assert_eq!(desk.subscribe(&mut roger, "open/secret", QoS::AtLeastOnce), ["SUBACK #9 [NotAuthorized]"]);
    assert_eq!(desk.subscribe(&mut roger, "drop/#", QoS::AtLeastOnce), ["SUBACK #9 [NotAuthorized]"]);
    for topic in ["open/x", "open/secret", "other", "own/r/x", "own/q/x"] {
        desk.publish(&mut boss, topic, "1");
    }
    assert_eq!(desk.hear(&mut roger), ["PUBLISH open/x \"1\" q0", "PUBLISH own/r/x \"1\" q0"]);
    // Retained.
    for topic in ["open/kept", "open/secret", "other"] {
        desk.retain(&mut boss, topic, "2");
    }
    desk.hear(&mut roger);
    assert_eq!(
        desk.subscribe(&mut roger, "+/+", QoS::AtMostOnce),
        ["SUBACK #9 [Success]", "PUBLISH open/kept \"2\" q0 retain"]
    );
    // Away.
    desk.lose(&roger);
    for topic in ["open/later", "open/secret", "other"] {
        desk.publish_at(&mut boss, topic, "3", QoS::AtLeastOnce, 1);
    }
    let (_, heard) = stay(&mut desk, "r", "roger");
    assert_eq!(heard, "CONNACK Success present; PUBLISH open/later \"3\" q1 #1");
    assert!(desk.stats().denied_read > 4);
}

/// The member of a group that is chosen is one that may read it (NATS: queue subscriptions slipped by what was denied).
#[test]
fn a_group_gives_to_those_who_may_read() {
    let mut desk = Desk::new(hub(config(RULES)));
    let mut boss = join(&mut desk, "boss", "boss");
    let mut roger = join(&mut desk, "r", "roger");
    let mut anna = join(&mut desk, "a", "anna");
    for device in [&mut roger, &mut anna] {
        assert_eq!(desk.subscribe(device, "$share/g/open/#", QoS::AtMostOnce), ["SUBACK #9 [Success]"]);
    }
    assert_eq!(
        desk.subscribe(&mut roger, "$share/g/open/secret", QoS::AtMostOnce),
        ["SUBACK #9 [NotAuthorized]"]
    );
    for _ in 0..6 {
        desk.publish(&mut boss, "open/secret", "s");
    }
    assert!(desk.hear(&mut roger).is_empty());
    assert_eq!(desk.hear(&mut anna).len(), 6);
    for _ in 0..6 {
        desk.publish(&mut boss, "open/x", "s");
    }
    assert_eq!((desk.hear(&mut roger).len(), desk.hear(&mut anna).len()), (3, 3));
}

#[test]
fn what_may_not_be_written_goes_nowhere() {
    let mut desk = Desk::new(hub(config(RULES)));
    let mut boss = join(&mut desk, "boss", "boss");
    desk.subscribe_with(&mut boss, "#", SubscribeOptions::new(QoS::AtMostOnce), 0);
    let mut roger = join(&mut desk, "r", "roger");
    assert_eq!(desk.publish_at(&mut roger, "other", "x", QoS::AtLeastOnce, 1), ["PUBACK #1 NotAuthorized"]);
    assert_eq!(
        desk.publish_at(&mut roger, "open/secret", "x", QoS::ExactlyOnce, 2),
        ["PUBREC #2 NotAuthorized"]
    );
    assert_eq!(desk.publish_at(&mut roger, "drop/x", "x", QoS::AtLeastOnce, 3), ["PUBACK #3 Success"]);
    desk.publish(&mut roger, "own/other/x", "x");
    desk.retain(&mut roger, "other", "kept");
    assert_eq!(desk.hear(&mut boss), ["PUBLISH drop/x \"x\" q0"]);
    assert_eq!(desk.stats().retained, 0);
    // 3.1.1 cannot be told.
    let mut old = desk.join_with(&of(V3, "o", "roger", "r"));
    assert_eq!(desk.publish_at(&mut old, "other", "x", QoS::AtLeastOnce, 1), ["PUBACK #1 Success"]);
    assert!(desk.hear(&mut boss).is_empty());
}

/// When it is said, and when it is published: rules may have changed.
#[test]
fn a_will_is_a_publish() {
    let mut desk = Desk::new(hub(config(RULES)));
    let mut boss = join(&mut desk, "boss", "boss");
    desk.subscribe(&mut boss, "#", QoS::AtMostOnce);
    let none = properties(&[]);
    let will = |topic| Will {
        topic: Topic::new(topic).unwrap(),
        payload: b"gone",
        qos: QoS::AtMostOnce,
        retain: true,
        properties: none.properties(),
    };
    let with = |topic| Connect { will: Some(will(topic)), ..of(V5, "r", "roger", "r") };
    assert_eq!(desk.connect(&with("other")).1, "CONNACK NotAuthorized");
    let device = desk.join_with(&with("open/will"));
    desk.lose(&device);
    assert_eq!(desk.hear(&mut boss), ["PUBLISH open/will \"gone\" q0"]);
    let device = desk.join_with(&with("open/will"));
    set(&mut desk, config(&RULES.replace("user roger\n", "user roger\ntopic deny open/will\n")));
    desk.lose(&device);
    assert!(desk.hear(&mut boss).is_empty());
}

#[test]
fn a_client_id_is_its_users_alone() {
    let mut desk = Desk::new(hub(config(RULES)));
    let (mut roger, _) = stay(&mut desk, "same", "roger");
    desk.subscribe(&mut roger, "open/#", QoS::AtLeastOnce);
    assert_eq!(stay(&mut desk, "same", "anna").1, "CONNACK NotAuthorized");
    assert_eq!(desk.connect(&of(V3, "same", "anna", "a")).1, "CONNACK NotAuthorized");
    // Nobody has lost a connection by that.
    desk.publish(&mut roger, "open/x", "1");
    assert_eq!(desk.hear(&mut roger), ["PUBLISH open/x \"1\" q0"]);
    desk.lose(&roger);
    assert_eq!(stay(&mut desk, "same", "anna").1, "CONNACK NotAuthorized");
    assert_eq!(stay(&mut desk, "same", "roger").1, "CONNACK Success present");
}

#[test]
fn rules_change_for_those_who_are_here() {
    let mut desk = Desk::new(hub(config(RULES)));
    let mut boss = join(&mut desk, "boss", "boss");
    let mut roger = join(&mut desk, "r", "roger");
    desk.subscribe(&mut roger, "open/#", QoS::AtMostOnce);
    let (mut away, _) = stay(&mut desk, "away", "anna");
    desk.subscribe(&mut away, "open/#", QoS::AtLeastOnce);
    desk.lose(&away);
    desk.publish_at(&mut boss, "open/old", "queued", QoS::AtLeastOnce, 1);
    desk.hear(&mut roger);
    set(
        &mut desk,
        config("user boss\ntopic #\nuser roger\ntopic read open/new\nuser anna\ntopic read open/new\n"),
    );
    for topic in ["open/old", "open/new"] {
        desk.publish_at(&mut boss, topic, "2", QoS::AtLeastOnce, 2);
    }
    assert_eq!(desk.hear(&mut roger), ["PUBLISH open/new \"2\" q0"]);
    assert_eq!(
        desk.publish_at(&mut roger, "open/new", "x", QoS::AtLeastOnce, 1),
        ["PUBACK #1 NotAuthorized"]
    );
    // What was queued before is held against the rules of now.
    assert_eq!(stay(&mut desk, "away", "anna").1, "CONNACK Success present; PUBLISH open/new \"2\" q1 #1");
}

#[test]
fn who_would_not_be_let_in_any_more_is_disconnected() {
    let text = USERS.iter().fold(String::new(), |text, (user, password)| {
        passwords::set(&text, user, password.as_bytes(), Hashing::Pbkdf2 { rounds: 1 }).unwrap()
    });
    let with = |text: &str| IdentityConfig {
        passwords: Some(Arc::new(Passwords::parse(text).unwrap())),
        ..config(RULES)
    };
    let mut desk = Desk::new(hub(with(&text)));
    let mut roger = join(&mut desk, "r", "roger");
    let mut old = desk.join_with(&of(V3, "o", "roger", "r"));
    let mut anna = join(&mut desk, "a", "anna");
    // The same file again changes nothing.
    set(&mut desk, with(&text));
    desk.wait(0.2);
    assert!(desk.hear(&mut roger).is_empty() && !desk.harness.is_ended(old.peer));
    // Without their line, they are gone; the others notice nothing.
    set(&mut desk, with(&passwords::remove(&text, "roger").unwrap()));
    desk.wait(0.2);
    assert_eq!(desk.hear(&mut roger), ["DISCONNECT NotAuthorized"]);
    assert!(desk.hear(&mut old).is_empty() && desk.harness.is_ended(old.peer));
    assert!(desk.hear(&mut anna).is_empty() && !desk.harness.is_ended(anna.peer));
    assert_eq!(desk.stats().revoked, 2);
}

/// The expiry of a token ends its connection, and not before.
#[test]
fn a_token_ends_its_connection() {
    let secret = [7; 32];
    let keys = vec![JwtKey::secret(Algorithm::Hs256, &secret).unwrap()];
    let jwt = Jwt::new(JwtConfig { keys, leeway_ms: 0, ..JwtConfig::default() });
    let identity = IdentityConfig { jwt: Some(Arc::new(jwt)), ..IdentityConfig::default() };
    let mut desk = Desk::new(HubConfig { unix_ms: 1_700_000_000_000, ..hub(identity) });
    // {"alg":"HS256"} and {"sub":"roger","exp":1700000005,"acl":{"read":["a/#"]}}, by Python's `hmac`.
    let token = TOKEN;
    let (mut device, heard) = desk.connect(&of(V5, "r", "", token));
    assert_eq!(heard, "CONNACK Success");
    assert_eq!(desk.subscribe(&mut device, "a/b", QoS::AtMostOnce), ["SUBACK #9 [Success]"]);
    assert_eq!(desk.subscribe(&mut device, "b", QoS::AtMostOnce), ["SUBACK #9 [NotAuthorized]"]);
    desk.wait(4.5);
    assert!(desk.hear(&mut device).is_empty() && !desk.harness.is_ended(device.peer));
    desk.wait(0.6);
    assert_eq!(desk.hear(&mut device), ["DISCONNECT NotAuthorized"]);
    assert!(desk.harness.is_ended(device.peer));
    assert_eq!(desk.connect(&of(V5, "r", "", token)).1, "CONNACK NotAuthorized");
}

#[test]
fn a_user_has_bounds() {
    let mut limits = UsersLimits::default();
    let mut bounded = UserLimits::default();
    bounded.connections_max = 2;
    bounded.messages_per_second_max = 3;
    bounded.subscriptions_max = 1;
    limits.users.insert("roger".into(), bounded);
    let mut desk = Desk::new(hub(IdentityConfig { limits, ..config(RULES) }));
    let mut one = join(&mut desk, "one", "roger");
    let mut two = join(&mut desk, "two", "roger");
    assert_eq!(desk.connect(&of(V5, "three", "roger", "r")).1, "CONNACK QuotaExceeded");
    // One that takes the place of another is none more; others are not bounded.
    let mut one_again = join(&mut desk, "one", "roger");
    desk.hear(&mut one);
    (0..5).for_each(|n| drop(join(&mut desk, &format!("anna{n}"), "anna")));
    // One that is gone makes room.
    desk.lose(&two);
    two = join(&mut desk, "two", "roger");
    assert_eq!(desk.subscribe(&mut two, "open/1", QoS::AtMostOnce), ["SUBACK #9 [Success]"]);
    assert_eq!(desk.subscribe(&mut two, "open/2", QoS::AtMostOnce), ["SUBACK #9 [QuotaExceeded]"]);
    // All clients together publish three messages in a second.
    desk.wait(1.1);
    for n in 1..=3 {
        let device = if n == 2 { &mut two } else { &mut one_again };
        assert_eq!(
            desk.publish_at(device, "drop/x", "x", QoS::AtLeastOnce, n),
            [format!("PUBACK #{n} NoMatchingSubscribers")]
        );
    }
    desk.wait(1.1);
    for n in 4..=6 {
        desk.publish_at(&mut one_again, "drop/x", "x", QoS::AtLeastOnce, n);
    }
    assert_eq!(
        desk.publish_at(&mut two, "drop/x", "x", QoS::AtLeastOnce, 7),
        ["DISCONNECT MessageRateTooHigh"]
    );
    assert_eq!(desk.stats().over_quota, 2);
}

pub(crate) const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyb2dlciIsImV4cCI6MTcwMDAwMDAwNSwiYWNsIjp7InJlYWQiOlsiYS8jIl19fQ.WxDeDED-BnjC_5m76F_HQZLuRSGHq8POyIFo9Cn3OM4";

impl Desk {
    /// One whose hashes are computed by a pool.
    pub(crate) fn with_pool(config: HubConfig, pool: &Offload<Done>) -> Desk {
        let checks = pool.clone();
        Desk::offloading(config, pool, move |hub, _, _| hub.checks(&checks))
    }
}

/// Does something so many turns of the hub from now.
fn turns_from_now(mailbox: Mailbox<Mail>, turns: usize, then: impl FnOnce() + Send + 'static) {
    let then: Box<dyn FnOnce() + Send> = Box::new(then);
    fn go_on(mailbox: Mailbox<Mail>, turns: usize, then: Box<dyn FnOnce() + Send>) {
        if turns == 0 {
            return then();
        }
        let again = mailbox.clone();
        let told = move |_| go_on(again, turns - 1, then);
        Ask::send(&mailbox, Question::Client("nobody".into()), told).unwrap();
    }
    go_on(mailbox, turns, then);
}

/// Whoever was right when it was asked for, and is not when it gets to its session, is not let in.
#[test]
fn who_is_revoked_on_the_way_in_is_refused() {
    let text = USERS.iter().fold(String::new(), |text, (user, password)| {
        passwords::set(&text, user, password.as_bytes(), Hashing::Pbkdf2 { rounds: 1 }).unwrap()
    });
    let with = |text: &str| IdentityConfig {
        passwords: Some(Arc::new(Passwords::parse(text).unwrap())),
        ..config(RULES)
    };
    let without_roger = passwords::remove(&text, "roger").unwrap();
    let mut refused = 0;
    for turns in 0..12 {
        let pool: Offload<Done> = Offload::default();
        let mut desk = Desk::with_pool(hub(with(&text)), &pool);
        let mut device = desk.stranger(V5);
        let (tell, was_there) = mpsc::channel();
        let (mailbox, next) = (desk.mailbox.clone(), hub(with(&without_roger)));
        turns_from_now(desk.mailbox.clone(), turns, move || {
            for worker in 0..workers() {
                let next = next.clone().sys_interval(std::time::Duration::ZERO);
                mailbox.send(worker, Mail::Set(Box::new(next))).unwrap();
            }
            // Right behind it: whether there is a session already.
            let told = move |told| tell.send(matches!(told, Told::Client(Some(_)))).unwrap();
            Ask::send(&mailbox, Question::Client("r".into()), told).unwrap();
        });
        desk.say(&mut device, &Packet::Connect(of(V5, "r", "roger", "r")));
        let heard = desk.hear(&mut device);
        if !was_there.try_recv().unwrap() {
            assert_eq!(heard, ["CONNACK NotAuthorized"], "{turns}");
            refused += pool.stats().answered;
        }
    }
    // How many turns that takes is by the number of workers, and with many none may hit it.
    assert!(refused > 0 || workers() > 2, "none was on its way");
}
