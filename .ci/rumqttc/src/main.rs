//! rumqttc against `windlass hub`: rumqttc-against-hub PORT
//!
//! Both versions over TCP: every QoS, retained, wills, shared subscriptions, sessions that go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(10);

/// A message that came.
#[derive(PartialEq, Eq, Debug)]
struct Message {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
}

/// What a connection says.
enum Said {
    Connected { present: bool },
    Subscribed,
    Message(Message),
}

/// What is asked of a client.
#[derive(Clone, Default)]
struct Wish {
    stays: bool,
    will: Option<String>,
}

/// What both versions' checks are made of: their types are others, and their names are the same.
macro_rules! version {
    ($module:ident, $($from:ident)::+, $($packets:ident)::+, $($qos:ident)::+, $prepare:expr, $will:expr) => {
        mod $module {
            use super::*;
            use $($from)::+::{Client, Event, MqttOptions};
            use $($packets)::+::{LastWill, Packet};
            use $($qos)::+::QoS;

            /// One client, whose connection is driven by a thread.
            struct Device {
                client: Client,
                said: Receiver<Said>,
                heard: std::collections::VecDeque<Message>,
                ends: Arc<AtomicBool>,
                thread: JoinHandle<()>,
                present: bool,
            }

            fn qos(qos: u8) -> QoS {
                [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)]
            }

            impl Device {
                fn new(name: &str, port: u16, wish: Wish) -> Device {
                    let mut options = MqttOptions::new(name, "127.0.0.1", port);
                    options.set_keep_alive(Duration::from_secs(60));
                    let prepare: fn(&mut MqttOptions, bool) = $prepare;
                    prepare(&mut options, wish.stays);
                    let will: fn(String) -> LastWill = $will;
                    if let Some(topic) = wish.will {
                        options.set_last_will(will(topic));
                    }
                    let (client, mut connection) = Client::new(options, 100);
                    let (say, said) = channel();
                    let ends = Arc::new(AtomicBool::new(false));
                    let it_ends = ends.clone();
                    let thread = std::thread::spawn(move || {
                        while !it_ends.load(Ordering::Relaxed) {
                            let event = match connection.recv_timeout(Duration::from_millis(20)) {
                                Ok(Ok(event)) => event,
                                // Its end, or what ended it; it would be begun again.
                                Ok(Err(_)) => break,
                                Err(_) => continue,
                            };
                            let Event::Incoming(packet) = event else { continue };
                            let said = match packet {
                                Packet::ConnAck(it) => Said::Connected { present: it.session_present },
                                Packet::SubAck(_) => Said::Subscribed,
                                Packet::Publish(it) => Said::Message(Message {
                                    topic: String::from_utf8_lossy(it.topic.as_ref()).into_owned(),
                                    payload: it.payload.to_vec(),
                                    qos: it.qos as u8,
                                    retain: it.retain,
                                }),
                                _ => continue,
                            };
                            if say.send(said).is_err() {
                                break;
                            }
                        }
                    });
                    let heard = Default::default();
                    let mut device = Device { client, said, heard, ends, thread, present: false };
                    match device.said.recv_timeout(WAIT) {
                        Ok(Said::Connected { present }) => device.present = present,
                        _ => panic!("{name}: no CONNACK"),
                    }
                    device
                }

                fn subscribe(&mut self, filter: &str, level: u8) {
                    self.client.subscribe(filter, qos(level)).expect("SUBSCRIBE");
                    loop {
                        match self.said.recv_timeout(WAIT).expect("SUBACK") {
                            Said::Subscribed => return,
                            Said::Message(message) => self.heard.push_back(message),
                            Said::Connected { .. } => panic!("another CONNACK"),
                        }
                    }
                }

                fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>, level: u8, retain: bool) {
                    self.client.publish(topic, qos(level), retain, payload.into()).expect("PUBLISH");
                }

                fn next(&mut self) -> Message {
                    if let Some(message) = self.heard.pop_front() {
                        return message;
                    }
                    match self.said.recv_timeout(WAIT) {
                        Ok(Said::Message(message)) => message,
                        Err(RecvTimeoutError::Timeout) => panic!("nothing came"),
                        _ => panic!("the connection ended"),
                    }
                }

                fn leave(self) {
                    self.client.disconnect().expect("DISCONNECT");
                    self.thread.join().expect("its thread");
                }

                /// Without a word.
                fn vanish(self) {
                    self.ends.store(true, Ordering::Relaxed);
                    self.thread.join().expect("its thread");
                }
            }

            pub(super) fn check(port: u16) {
                let tag = concat!("rumqttc-", stringify!($module));
                let device = |name: &str| Device::new(&format!("{name}-{tag}"), port, Wish::default());
                let (sender, mut receiver) = (device("sender"), device("receiver"));
                receiver.subscribe(&format!("{tag}/#"), 2);
                let topic = format!("{tag}/a");
                for level in 0..3 {
                    for size in [0, 1, 100, 9_000] {
                        sender.publish(&topic, vec![b'x'; size], level, false);
                        let payload = vec![b'x'; size];
                        let expected = Message { topic: topic.clone(), payload, qos: level, retain: false };
                        assert_eq!(receiver.next(), expected);
                    }
                }
                for n in 0..60 {
                    sender.publish(&topic, n.to_string(), 1, false);
                }
                for n in 0..60 {
                    assert_eq!(receiver.next().payload, n.to_string().into_bytes(), "the order");
                }

                let kept = format!("{tag}/kept");
                sender.publish(&kept, "on", 1, true);
                receiver.next();
                let mut late = device("late");
                late.subscribe(&kept, 1);
                let on = Message { topic: kept.clone(), payload: b"on".to_vec(), qos: 1, retain: true };
                assert_eq!(late.next(), on);
                sender.publish(&kept, "", 0, true);
                late.leave();

                let stays = || {
                    let wish = Wish { stays: true, ..Wish::default() };
                    Device::new(&format!("away-{tag}"), port, wish)
                };
                let mut away = stays();
                assert!(!away.present);
                away.subscribe(&format!("{tag}/away"), 2);
                away.leave();
                for n in 0..20_u8 {
                    sender.publish(&format!("{tag}/away"), n.to_string(), 1 + n % 2, false);
                }
                // The hub has the last one when somebody else does.
                while receiver.next().payload != b"19" {}
                let mut away = stays();
                assert!(away.present, "a session");
                let mut got: Vec<u8> =
                    (0..20).map(|_| String::from_utf8(away.next().payload).unwrap().parse().unwrap()).collect();
                got.sort_unstable();
                assert_eq!(got, (0..20).collect::<Vec<_>>());
                away.leave();

                let mut watcher = device("watcher");
                watcher.subscribe(&format!("gone/{tag}"), 1);
                let wish = Wish { will: Some(format!("gone/{tag}")), ..Wish::default() };
                Device::new(&format!("doomed-{tag}"), port, wish).vanish();
                assert_eq!(watcher.next().payload, b"gone", "a will");

                let mut members = [device("member1"), device("member2")];
                for member in &mut members {
                    member.subscribe(&format!("$share/g/{tag}/work"), 1);
                }
                for n in 0..40 {
                    sender.publish(&format!("{tag}/work"), n.to_string(), 1, false);
                }
                let mut got: Vec<u8> = Vec::new();
                for member in &mut members {
                    for _ in 0..20 {
                        got.push(String::from_utf8(member.next().payload).unwrap().parse().unwrap());
                    }
                }
                got.sort_unstable();
                assert_eq!(got, (0..40).collect::<Vec<_>>(), "a shared subscription");
                for device in members {
                    device.leave();
                }
                watcher.leave();
                sender.leave();
                receiver.leave();
            }
        }
    };
}

version!(
    v311,
    rumqttc,
    rumqttc,
    rumqttc,
    |options, stays| {
        options.set_clean_session(!stays);
    },
    |topic| LastWill::new(topic, "gone", QoS::AtLeastOnce, false)
);
version!(
    v5,
    rumqttc::v5,
    rumqttc::v5::mqttbytes::v5,
    rumqttc::v5::mqttbytes,
    |options, stays| {
        options.set_clean_start(!stays).set_session_expiry_interval(stays.then_some(1_000));
    },
    |topic| LastWill::new(topic, "gone", QoS::AtLeastOnce, false, None)
);

fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    v311::check(port);
    v5::check(port);
    println!("rumqttc: both versions over TCP");
}
