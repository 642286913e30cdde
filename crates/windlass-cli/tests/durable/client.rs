//! Clients that outlive the server: they keep what MQTT says a client keeps, come back after each kill, and write down
//! what they were promised and what they got.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use windlass::Input;
use windlass::proto::mqtt::{
    Ack, Arrival, Connect, Filter, Filters, Incoming, Kind, Limits, Mqtt, Outgoing, Packet, PacketId,
    Properties, PropertiesBuf, Property, Publish, QoS, Reason, Resend, Subscribe, SubscribeOptions,
    Subscription, Topic, Version,
};
use windlass::proto::{Decode, Encode};

/// What ends a connection: the server was killed, or broke the protocol, which is a panic.
pub(crate) struct Lost;

/// One connection.
struct Wire {
    stream: TcpStream,
    codec: Mqtt,
    received: Vec<u8>,
    out: Vec<u8>,
}

impl Wire {
    /// Connects to a session that is kept; whether the server had it.
    fn open(port: u16, client_id: &str, version: Version) -> Result<(Wire, bool), Lost> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|_| Lost)?;
        stream.set_nodelay(true).map_err(|_| Lost)?;
        stream.set_read_timeout(Some(Duration::from_millis(2))).map_err(|_| Lost)?;
        let codec = Mqtt::client(version, Limits::default());
        let mut wire = Wire { stream, codec, received: Vec::new(), out: Vec::new() };
        let mut expiry = PropertiesBuf::new();
        if version == Version::V5 {
            expiry.push(Property::SessionExpiry(u32::MAX)).expect("it has an encoding");
        }
        let connect = Connect {
            clean_start: false,
            properties: expiry.properties(),
            ..Connect::new(version, client_id)
        };
        wire.put(&Packet::Connect(connect));
        wire.send()?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut present = None;
        while present.is_none() {
            // What is behind it waits until the session is told of it.
            wire.receive(1, |_, packet| {
                let Packet::Connack(connack) = packet else {
                    panic!("{client_id}: {packet:?} before CONNACK")
                };
                assert!(!connack.reason.is_error(), "{client_id}: {connack:?}");
                present = Some(connack.session_present);
            })?;
            assert!(Instant::now() < deadline, "{client_id}: no CONNACK in 20 s");
        }
        Ok((wire, present == Some(true)))
    }

    fn put(&mut self, packet: &Packet<'_>) {
        self.codec.encode(packet, &mut self.out).expect("it has an encoding");
    }

    fn ack(&mut self, kind: Kind, id: PacketId) {
        let ack = Ack::new(id);
        self.put(&match kind {
            Kind::Puback => Packet::Puback(ack),
            Kind::Pubrec => Packet::Pubrec(ack),
            Kind::Pubrel => Packet::Pubrel(ack),
            _ => Packet::Pubcomp(ack),
        });
    }

    fn send(&mut self) -> Result<(), Lost> {
        let sent = self.stream.write_all(&self.out);
        self.out.clear();
        sent.map_err(|_| Lost)
    }

    /// What has come, so many packets at most; waits a few milliseconds for it.
    fn receive(&mut self, most: usize, mut each: impl FnMut(&mut Vec<u8>, Packet<'_>)) -> Result<(), Lost> {
        let mut bytes = [0; 16 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(Lost),
            Ok(len) => self.received.extend_from_slice(&bytes[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Err(Lost),
        }
        let mut input = Input::new(&mut self.received);
        for _ in 0..most {
            let packet = self.codec.decode(&mut input).expect("the server keeps to the protocol");
            let Some(packet) = packet else { break };
            each(&mut self.out, packet);
        }
        let left = input.len();
        let taken = self.received.len() - left;
        self.received.drain(..taken);
        Ok(())
    }
}

/// Connects again and again until the server is there; checks that it has kept the session.
fn connect(port: u16, id: &str, version: Version, had: &mut bool, stop: &AtomicBool) -> Option<Wire> {
    while !stop.load(Relaxed) {
        if let Ok((wire, present)) = Wire::open(port, id, version) {
            assert!(present || !*had, "{id}: CONNACK was sent for a session that is gone");
            *had = true;
            return Some(wire);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    None
}

/// What a publisher was promised: messages are numbered from 0.
#[derive(Default, Debug)]
pub(crate) struct Promised {
    pub(crate) published: u64,
    /// Acknowledged for good: by PUBACK, or PUBREC, which says as much.
    pub(crate) acknowledged: Vec<u64>,
    /// The last retained message that was acknowledged.
    pub(crate) retained: Option<u64>,
}

/// Publishes until `stop`, then ends what is in flight until `over`.
pub(crate) fn publisher(
    port: u16,
    (n, qos): (usize, QoS),
    acknowledged: &AtomicU64,
    stop: &AtomicBool,
    over: &AtomicBool,
) -> Promised {
    let version = if n.is_multiple_of(2) { Version::V5 } else { Version::V311 };
    let (id, topic) = (format!("publisher-{n}"), format!("load/{}/{n}", qos as u8));
    let retained = format!("retained/{n}");
    let mut promised = Promised::default();
    let mut out: Outgoing<u64> = Outgoing::new(16);
    let mut had = false;
    while !over.load(Relaxed) {
        let Some(mut wire) = connect(port, &id, version, &mut had, over) else { break };
        out.reconnected(16);
        // Until the connection is lost.
        let _ = (|| -> Result<(), Lost> {
            loop {
                while let Some(again) = out.resend() {
                    match again {
                        Resend::Publish(packet, qos, &number) => {
                            put(&mut wire, &topic, &retained, number, qos, packet, true)
                        }
                        Resend::Pubrel(packet) => wire.ack(Kind::Pubrel, packet),
                    }
                }
                while out.quota() > 0 && !stop.load(Relaxed) {
                    let number = promised.published;
                    let Ok(packet) = out.send(qos, number) else { break };
                    promised.published += 1;
                    put(&mut wire, &topic, &retained, number, qos, packet, false);
                }
                wire.send()?;
                if over.load(Relaxed) || stop.load(Relaxed) && out.is_empty() {
                    return Ok(());
                }
                let mut had = Vec::new();
                wire.receive(usize::MAX, |answers, packet| match packet {
                    Packet::Puback(ack) => {
                        assert!(!ack.reason.is_error(), "{id}: {ack:?}");
                        had.push(out.puback(ack.id).unwrap_or_else(|e| panic!("{id}: {ack:?}: {e}")));
                    }
                    Packet::Pubrec(ack) => {
                        assert!(!ack.reason.is_error(), "{id}: {ack:?}");
                        let message = out.pubrec(ack.id, ack.reason);
                        had.extend(message.unwrap_or_else(|e| panic!("{id}: {ack:?}: {e}")));
                        let [high, low] = ack.id.get().to_be_bytes();
                        answers.extend_from_slice(&[0x62, 2, high, low]);
                    }
                    Packet::Pubcomp(ack) => {
                        out.pubcomp(ack.id).unwrap_or_else(|e| panic!("{id}: {ack:?}: {e}"));
                    }
                    // A hub that hands over says so, and ends the connection.
                    Packet::Disconnect(end) => assert_eq!(end.reason, Reason::ServerShuttingDown, "{id}"),
                    other => panic!("{id}: {other:?}"),
                })?;
                for number in had {
                    promised.acknowledged.push(number);
                    acknowledged.fetch_add(1, Relaxed);
                    if is_retained(number) {
                        promised.retained = Some(promised.retained.map_or(number, |last| last.max(number)));
                    }
                }
            }
        })();
        if stop.load(Relaxed) && out.is_empty() {
            break;
        }
    }
    promised
}

/// One message in eight is retained, for a topic of its own.
fn is_retained(number: u64) -> bool {
    number.is_multiple_of(8)
}

fn put(wire: &mut Wire, topic: &str, retained: &str, number: u64, qos: QoS, packet: PacketId, dup: bool) {
    let payload = number.to_string();
    let topic = Topic::new(if is_retained(number) { retained } else { topic }).expect("it is one");
    wire.put(&Packet::Publish(Publish {
        topic: Some(topic),
        qos,
        dup,
        retain: is_retained(number),
        id: Some(packet),
        properties: Properties::NONE,
        payload: payload.as_bytes(),
    }));
}

/// How often each message came, by its publisher and number.
pub(crate) type Got = HashMap<(usize, u64), u32>;

/// Messages that have come to a subscriber: all of them, and those that came for the first time.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) all: AtomicU64,
    pub(crate) new: AtomicU64,
}

/// Subscribes once, and takes what comes until `over`.
pub(crate) fn subscriber(
    port: u16,
    (id, filters): (&str, &[&str]),
    (qos, version): (QoS, Version),
    (ready, taken): (&AtomicBool, &Taken),
    over: &AtomicBool,
) -> Got {
    let mut got = Got::new();
    let mut incoming = Incoming::new(20, false);
    let mut had = false;
    let mut subscribed = false;
    while !over.load(Relaxed) {
        let Some(mut wire) = connect(port, id, version, &mut had, over) else { break };
        incoming.reconnected(20, false);
        let _ = (|| -> Result<(), Lost> {
            if !subscribed {
                let filters: Vec<_> = filters
                    .iter()
                    .map(|filter| Subscription {
                        filter: Filter::new(filter).expect("it is one"),
                        options: SubscribeOptions::new(qos),
                    })
                    .collect();
                let subscribe = Subscribe {
                    id: PacketId::MIN,
                    properties: Properties::NONE,
                    filters: Filters::new(&filters),
                };
                wire.put(&Packet::Subscribe(subscribe));
            }
            loop {
                wire.send()?;
                if over.load(Relaxed) {
                    return Ok(());
                }
                let mut released = Vec::new();
                wire.receive(usize::MAX, |_, packet| match packet {
                    Packet::Suback(_) => {
                        subscribed = true;
                        ready.store(true, Relaxed);
                    }
                    Packet::Publish(publish) => {
                        let packet = publish.id.expect("QoS 1 or 2");
                        let arrival = incoming.publish(publish.qos, packet, publish.dup);
                        let arrival = arrival.unwrap_or_else(|e| panic!("{id}: {publish:?}: {e}"));
                        if let Arrival::New(ticket) = arrival {
                            let topic = publish.topic.expect("no aliases were allowed").as_str();
                            let publisher = topic.rsplit('/').next().and_then(|n| n.parse().ok());
                            let text = std::str::from_utf8(publish.payload).ok();
                            let number = text.and_then(|text| text.parse().ok());
                            let key = (publisher.expect("a number"), number.expect("a number"));
                            let times = got.entry(key).or_default();
                            *times += 1;
                            taken.all.fetch_add(1, Relaxed);
                            taken.new.fetch_add(u64::from(*times == 1), Relaxed);
                            incoming.ready(ticket, Reason::Success);
                        }
                    }
                    Packet::Pubrel(ack) => released.push(ack.id),
                    // A hub that hands over says so, and ends the connection.
                    Packet::Disconnect(end) => assert_eq!(end.reason, Reason::ServerShuttingDown, "{id}"),
                    other => panic!("{id}: {other:?}"),
                })?;
                while let Some((kind, packet, _)) = incoming.next_ack() {
                    wire.ack(kind, packet);
                }
                for packet in released {
                    incoming.pubrel(packet);
                    wire.ack(Kind::Pubcomp, packet);
                }
            }
        })();
    }
    got
}

/// What is retained below `retained/`, by publisher: of so many of them, if all is well.
pub(crate) fn retained(port: u16, publishers: u64) -> HashMap<usize, u64> {
    let mut got = HashMap::new();
    let (ready, taken, over) = (AtomicBool::new(false), Taken::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let who = ("asks", &["retained/+"][..]);
            subscriber(port, who, (QoS::AtLeastOnce, Version::V5), (&ready, &taken), &over)
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        while taken.new.load(Relaxed) < publishers && !asking.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // Should there be more than that.
        std::thread::sleep(Duration::from_millis(500));
        over.store(true, Relaxed);
        for ((publisher, number), _) in asking.join().expect("it has not panicked") {
            got.insert(publisher, number);
        }
    });
    got
}
