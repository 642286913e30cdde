//! A client with a session that stays: it loses its connection now and then, comes back, and goes on.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use windlass::sim::{Client, Line, Status, Step};
use windlass_proto::mqtt::{
    Ack, Arrival, Connect, Filter, Filters, Incoming, Kind, Limits, Mqtt, Outgoing, Packet, Properties,
    PropertiesBuf, Property, Publish, QoS, Reason, Resend, Subscribe, SubscribeOptions, Subscription, Topic,
    Version,
};
use windlass_proto::{Decode, Encode, Input};

/// Messages that each publisher sends.
const MESSAGES: u32 = 24;

/// What all devices of a run know of each other.
pub(crate) struct Ledger {
    publishers: usize,
    subscribers: usize,
    subscribed: HashSet<u64>,
    /// Publishers whose messages are all acknowledged.
    done: usize,
    /// How many messages of QoS 1 and 2 were published, by topic.
    published: HashMap<String, u32>,
    /// Messages of QoS 2 that members of the group got: payloads.
    shared: HashSet<String>,
    /// Those of QoS 1.
    shared_once: HashSet<String>,
}

impl Ledger {
    pub(crate) fn new(publishers: usize, subscribers: usize) -> Ledger {
        Ledger {
            publishers,
            subscribers,
            subscribed: HashSet::new(),
            done: 0,
            published: HashMap::new(),
            shared: HashSet::new(),
            shared_once: HashSet::new(),
        }
    }

    fn is_ready(&self) -> bool {
        self.subscribed.len() == self.subscribers
    }

    fn is_over(&self) -> bool {
        self.done == self.publishers
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    Sends,
    Receives,
    Shares,
}

pub(crate) struct Device {
    role: Role,
    number: u64,
    id: String,
    ledger: Rc<RefCell<Ledger>>,
    codec: Mqtt,
    /// CONNACK has come.
    is_served: bool,
    /// The hub has its session, with all that it subscribed to.
    is_known: bool,
    sends: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    outgoing: Outgoing<(String, String)>,
    incoming: Incoming,
    published: u32,
    counts: HashMap<String, u32>,
    /// The last number of each topic.
    last: HashMap<String, u32>,
    is_done: bool,
}

impl Device {
    pub(crate) fn new(role: Role, number: u64, ledger: Rc<RefCell<Ledger>>) -> Device {
        Device {
            role,
            number,
            id: format!("{role:?}{number}"),
            ledger,
            codec: Mqtt::client(Version::V5, Limits::default()),
            is_served: false,
            is_known: false,
            sends: Vec::new(),
            sent: 0,
            received: Vec::new(),
            outgoing: Outgoing::new(1),
            incoming: Incoming::new(u16::MAX, false),
            published: 0,
            counts: HashMap::new(),
            last: HashMap::new(),
            is_done: false,
        }
    }

    /// The hub is another one, and goes on with what the one before had acknowledged.
    pub(crate) fn lives_on(&mut self) {
        self.is_served = false;
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    fn say(&mut self, packet: &Packet<'_>) {
        self.codec.encode(packet, &mut self.sends).expect("a packet a client may send");
    }

    fn connect(&mut self, line: &mut Line<'_>) {
        line.connect();
        self.codec = Mqtt::client(Version::V5, Limits::default());
        (self.is_served, self.sent) = (false, 0);
        self.sends.clear();
        self.received.clear();
        let mut stay = PropertiesBuf::new();
        stay.push(Property::SessionExpiry(u32::MAX)).unwrap();
        let id = self.id.clone();
        let connect =
            Connect { clean_start: false, properties: stay.properties(), ..Connect::new(Version::V5, &id) };
        self.say(&Packet::Connect(connect));
    }

    /// The next message, if there is one and the hub takes it.
    fn publish(&mut self) {
        while self.published < MESSAGES && self.outgoing.quota() > 0 {
            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][self.published as usize % 3];
            let topic = format!("t/{}/{}/{}", qos as u8, self.number, self.published / 3 % 2);
            let count = self.counts.entry(topic.clone()).or_insert(0);
            *count += 1;
            let payload = count.to_string();
            self.published += 1;
            let mut id = None;
            if qos != QoS::AtMostOnce {
                id = Some(self.outgoing.send(qos, (topic.clone(), payload.clone())).unwrap());
                *self.ledger.borrow_mut().published.entry(topic.clone()).or_insert(0) += 1;
            }
            let publish = Publish::new(Topic::new(&topic).unwrap(), payload.as_bytes());
            self.say(&Packet::Publish(Publish { qos, id, ..publish }));
        }
    }

    fn served(&mut self, session_present: bool, receive_max: u16) -> Result<(), String> {
        if self.is_known && !session_present {
            return Err("the session is gone".into());
        }
        self.is_served = true;
        match self.role {
            Role::Sends => {
                self.is_known = true;
                self.outgoing.reconnected(receive_max);
                self.send_again();
            }
            _ => {
                self.incoming.reconnected(u16::MAX, false);
                if !self.is_known {
                    let filter = if self.role == Role::Shares { "$share/g/t/#" } else { "t/#" };
                    let options = SubscribeOptions::new(QoS::ExactlyOnce);
                    let filters = [Subscription { filter: Filter::new(filter).unwrap(), options }];
                    let subscribe = Subscribe {
                        id: windlass_proto::mqtt::PacketId::MIN,
                        properties: Properties::NONE,
                        filters: Filters::new(&filters),
                    };
                    self.say(&Packet::Subscribe(subscribe));
                }
            }
        }
        Ok(())
    }

    fn send_again(&mut self) {
        loop {
            let mut bytes = Vec::new();
            match self.outgoing.resend() {
                None => return,
                Some(Resend::Pubrel(id)) => {
                    self.codec.encode(&Packet::Pubrel(Ack::new(id)), &mut bytes).unwrap();
                }
                Some(Resend::Publish(id, qos, (topic, payload))) => {
                    let publish = Publish::new(Topic::new(topic).unwrap(), payload.as_bytes());
                    let again = Publish { qos, id: Some(id), dup: true, ..publish };
                    self.codec.encode(&Packet::Publish(again), &mut bytes).unwrap();
                }
            }
            self.sends.extend(bytes);
        }
    }

    /// A message came: it is the next one of its topic, or of QoS 1 and was sent again.
    fn message(&mut self, publish: &Publish<'_>) -> Result<(), String> {
        let topic = publish.topic.ok_or("no topic")?.as_str();
        let number: u32 = std::str::from_utf8(publish.payload).unwrap().parse().unwrap();
        let sent_qos = topic.as_bytes()[2] - b'0';
        if sent_qos != publish.qos as u8 {
            return Err(format!("{topic} with QoS {:?}", publish.qos));
        }
        let is_new = match (publish.qos, publish.id) {
            (QoS::AtMostOnce, _) | (_, None) => true,
            (qos, Some(id)) => match self.incoming.publish(qos, id, publish.dup) {
                Ok(Arrival::New(ticket)) => {
                    self.incoming.ready(ticket, Reason::Success);
                    true
                }
                Ok(_) => false,
                Err(error) => return Err(format!("{topic} {number}: {error}")),
            },
        };
        while let Some((kind, id, reason)) = self.incoming.next_ack() {
            let ack = Ack::with(id, reason);
            self.say(&if kind == Kind::Puback { Packet::Puback(ack) } else { Packet::Pubrec(ack) });
        }
        if !is_new {
            return Ok(());
        }
        if self.role == Role::Shares {
            let what = format!("{topic} {number}");
            let mut ledger = self.ledger.borrow_mut();
            match publish.qos {
                QoS::ExactlyOnce if !ledger.shared.insert(what.clone()) => {
                    return Err(format!("{what} came twice"));
                }
                QoS::AtLeastOnce => {
                    ledger.shared_once.insert(what);
                }
                _ => {}
            }
            return Ok(());
        }
        let last = self.last.entry(topic.to_owned()).or_insert(0);
        let in_order = match publish.qos {
            QoS::AtMostOnce => number > *last,
            // It may come again, and those behind it too.
            QoS::AtLeastOnce => number <= *last + 1,
            QoS::ExactlyOnce => number == *last + 1,
        };
        if !in_order {
            return Err(format!("{topic}: {number} behind {last}"));
        }
        *last = number.max(*last);
        Ok(())
    }

    fn heard(&mut self) -> Result<(), String> {
        let mut received = std::mem::take(&mut self.received);
        let mut input = Input::new(&mut received);
        loop {
            let packet = self.codec.decode(&mut input).map_err(|error| error.to_string())?;
            let Some(packet) = packet else { break };
            match packet {
                Packet::Connack(connack) if connack.reason == Reason::Success => {
                    let receive_max = connack.properties.receive_maximum().unwrap_or(u16::MAX);
                    self.served(connack.session_present, receive_max)?;
                }
                Packet::Suback(_) => {
                    self.is_known = true;
                    self.ledger.borrow_mut().subscribed.insert(self.number);
                }
                Packet::Publish(publish) => self.message(&publish)?,
                Packet::Puback(ack) => {
                    self.outgoing.puback(ack.id).map_err(|error| error.to_string())?;
                    self.send_again();
                }
                Packet::Pubrec(ack) => {
                    let _ = self.outgoing.pubrec(ack.id, ack.reason);
                    if !ack.reason.is_error() {
                        self.say(&Packet::Pubrel(Ack::new(ack.id)));
                    }
                }
                Packet::Pubrel(ack) => {
                    let reason = self.incoming.pubrel(ack.id);
                    self.say(&Packet::Pubcomp(Ack::with(ack.id, reason)));
                }
                Packet::Pubcomp(ack) => {
                    let _ = self.outgoing.pubcomp(ack.id);
                    self.send_again();
                }
                other => return Err(format!("{other:?}")),
            }
        }
        let left = input.len();
        received.drain(..received.len() - left);
        self.received = received;
        Ok(())
    }

    /// Whether it has done all that it is there for.
    fn is_finished(&self) -> bool {
        let mut ledger = self.ledger.borrow_mut();
        match self.role {
            Role::Sends => {
                let is_done = self.published == MESSAGES && self.outgoing.is_empty();
                ledger.done += usize::from(is_done);
                is_done
            }
            Role::Receives => {
                let all = |(topic, count): (&String, &u32)| self.last.get(topic) == Some(count);
                ledger.is_over() && ledger.published.iter().all(all)
            }
            Role::Shares => {
                let all = |(topic, count): (&String, &u32)| {
                    let got = if topic.starts_with("t/2") { &ledger.shared } else { &ledger.shared_once };
                    (1..=*count).all(|number| got.contains(&format!("{topic} {number}")))
                };
                ledger.is_over() && ledger.published.iter().all(all)
            }
        }
    }
}

impl Client for Device {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if self.is_done {
            return Step::Done;
        }
        match line.status() {
            Status::Idle => self.connect(line),
            Status::Ended(_) if line.shutdown_at().is_some() => return Step::Done,
            Status::Ended(_) => self.connect(line),
            _ => {}
        }
        line.receive(&mut self.received, usize::MAX);
        if let Err(what) = self.heard() {
            return line.fail(format!("{}: {what}", self.id));
        }
        if self.role == Role::Sends && self.is_served && self.ledger.borrow().is_ready() {
            self.publish();
        }
        if line.status() == Status::Open && self.sent < self.sends.len() {
            self.sent += line.send(&self.sends[self.sent..]);
        }
        // What the hub waits for has left before the end.
        if self.sent == self.sends.len() && self.is_finished() {
            self.is_done = true;
            line.close();
            return Step::Done;
        }
        if self.is_served && line.rng().chance(1, 60) {
            // Gone, one way or another; back in the next step.
            match line.rng().below(3) {
                0 => line.close(),
                1 => line.reset(),
                _ => line.vanish(),
            }
        }
        Step::Until(line.after(Duration::from_millis(200)))
    }
}
