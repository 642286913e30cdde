//! Clients that come, subscribe, look for a while and go, while others retain one message after the other: each message
//! comes to a subscription once at most, be it as the retained one or as it is published, and in the end the last one has.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use windlass::proto::Time;
use windlass::sim::{Client, Line, Status, Step};
use windlass_proto::mqtt::{
    Ack, Connect, Filter, Filters, Limits, Mqtt, Packet, PacketId, Properties, PropertiesBuf, Property,
    Publish, QoS, Reason, Subscribe, SubscribeOptions, Subscription, Topic, Version,
};
use windlass_proto::{Decode, Encode, Input};

/// Messages that each of those retains who do.
const MESSAGES: u32 = 120;
/// How often a newcomer comes.
const VISITS: u32 = 6;

/// What all of them know.
pub(crate) struct Wall {
    retainers: usize,
    topics: u64,
    done: usize,
    /// The last number of each topic that was answered.
    last: BTreeMap<String, u32>,
}

impl Wall {
    /// So many retain, for so many topics each.
    pub(crate) fn of(retainers: usize, topics: u64) -> Wall {
        Wall { retainers, topics, done: 0, last: BTreeMap::new() }
    }
}

/// The wire of either kind.
struct Talk {
    codec: Mqtt,
    sends: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    is_served: bool,
}

impl Talk {
    fn new() -> Talk {
        let codec = Mqtt::client(Version::V5, Limits::default());
        Talk { codec, sends: Vec::new(), sent: 0, received: Vec::new(), is_served: false }
    }

    /// Connects, with nothing left of what was before; with `stays`, the session outlives the connection.
    fn begin(&mut self, line: &mut Line<'_>, id: &str, stays: bool) {
        line.connect();
        *self = Talk::new();
        let mut stay = PropertiesBuf::new();
        if stays {
            stay.push(Property::SessionExpiry(u32::MAX)).unwrap();
        }
        self.say(&Packet::Connect(Connect {
            properties: stay.properties(),
            ..Connect::new(Version::V5, id)
        }));
    }

    fn say(&mut self, packet: &Packet<'_>) {
        self.codec.encode(packet, &mut self.sends).expect("a packet a client may send");
    }

    fn pass(&mut self, line: &mut Line<'_>) {
        if line.status() == Status::Open && self.sent < self.sends.len() {
            self.sent += line.send(&self.sends[self.sent..]);
        }
    }

    /// Each packet that has come, of which `each` may say something.
    fn heard(
        &mut self,
        line: &mut Line<'_>,
        mut each: impl FnMut(&Packet<'_>, &mut Vec<Packet<'static>>) -> Result<(), String>,
    ) -> Result<(), String> {
        line.receive(&mut self.received, usize::MAX);
        let mut received = std::mem::take(&mut self.received);
        let mut input = Input::new(&mut received);
        let mut answers = Vec::new();
        while let Some(packet) = self.codec.decode(&mut input).map_err(|error| error.to_string())? {
            match &packet {
                Packet::Connack(connack) if connack.reason == Reason::Success => self.is_served = true,
                other => each(other, &mut answers)?,
            }
        }
        let left = input.len();
        received.drain(..received.len() - left);
        self.received = received;
        for answer in answers {
            self.say(&answer);
        }
        Ok(())
    }
}

/// One that retains: the next message when the last one is answered.
pub(crate) struct Retainer {
    number: usize,
    wall: Rc<RefCell<Wall>>,
    talk: Talk,
    retained: u32,
    counts: BTreeMap<String, u32>,
    waits_for: Option<(String, u32)>,
    is_done: bool,
}

impl Retainer {
    pub(crate) fn new(number: usize, wall: Rc<RefCell<Wall>>) -> Retainer {
        let (talk, counts) = (Talk::new(), BTreeMap::new());
        Retainer { number, wall, talk, retained: 0, counts, waits_for: None, is_done: false }
    }

    fn retain(&mut self, line: &mut Line<'_>) {
        let at = line.rng().below(self.wall.borrow().topics);
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][at as usize % 3];
        let topic = format!("kept/{}/{at}", self.number);
        let count = self.counts.entry(topic.clone()).or_insert(0);
        *count += 1;
        let payload = count.to_string();
        let id = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let publish = Publish::new(Topic::new(&topic).unwrap(), payload.as_bytes());
        self.talk.say(&Packet::Publish(Publish { retain: true, qos, id, ..publish }));
        if qos == QoS::AtMostOnce {
            // Behind its answer the message has been taken.
            self.talk.say(&Packet::Pingreq);
        }
        self.retained += 1;
        self.waits_for = Some((topic, *count));
    }
}

impl Client for Retainer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Ended(_) if self.is_done || line.shutdown_at().is_some() => return Step::Done,
            Status::Idle => self.talk.begin(line, &format!("retainer{}", self.number), false),
            // What was not answered may have come or not; the next number is another one.
            Status::Ended(_) if line.excused() => {
                self.waits_for = None;
                self.talk.begin(line, &format!("retainer{}", self.number), false);
            }
            Status::Ended(how) => return line.fail(format!("retainer{} ended: {how:?}", self.number)),
            _ => {}
        }
        let mut is_answered = false;
        let heard = self.talk.heard(line, |packet, answers| {
            match packet {
                Packet::Puback(ack) if !ack.reason.is_error() => is_answered = true,
                Packet::Pubrec(ack) if !ack.reason.is_error() => {
                    answers.push(Packet::Pubrel(Ack::new(ack.id)));
                }
                Packet::Pubcomp(_) | Packet::Pingresp => is_answered = true,
                other => return Err(format!("{other:?}")),
            }
            Ok(())
        });
        if let Err(what) = heard {
            return line.fail(what);
        }
        if is_answered && let Some((topic, number)) = self.waits_for.take() {
            self.wall.borrow_mut().last.insert(topic, number);
        }
        if self.talk.is_served && self.waits_for.is_none() {
            // What was lost with a connection may be what is retained: each topic has an answered one in the end.
            let unanswered = {
                let wall = self.wall.borrow();
                self.counts.iter().any(|(topic, count)| wall.last.get(topic) != Some(count))
            };
            if self.retained >= MESSAGES && !unanswered {
                self.is_done = true;
                self.wall.borrow_mut().done += 1;
                line.close();
                return Step::Done;
            }
            self.retain(line);
        }
        self.talk.pass(line);
        let pause = line.rng().below(3_000);
        Step::Until(line.after(Duration::from_micros(pause)))
    }
}

/// One that comes and goes.
pub(crate) struct Newcomer {
    id: String,
    wall: Rc<RefCell<Wall>>,
    talk: Talk,
    visits: u32,
    /// When this visit ends.
    until: Option<Time>,
    is_asked: bool,
    last: BTreeMap<String, u32>,
}

impl Newcomer {
    pub(crate) fn new(number: usize, wall: Rc<RefCell<Wall>>) -> Newcomer {
        let (id, talk) = (format!("newcomer{number}"), Talk::new());
        Newcomer { id, wall, talk, visits: 0, until: None, is_asked: false, last: BTreeMap::new() }
    }

    fn come(&mut self, line: &mut Line<'_>) {
        let stays = line.rng().chance(1, 2);
        self.talk.begin(line, &self.id, stays);
        (self.until, self.is_asked) = (None, false);
        self.last.clear();
    }

    fn subscribe(&mut self) {
        let filter = Filter::new("kept/#").unwrap();
        let filters = [Subscription { filter, options: SubscribeOptions::new(QoS::ExactlyOnce) }];
        let (id, properties, filters) = (PacketId::MIN, Properties::NONE, Filters::new(&filters));
        self.talk.say(&Packet::Subscribe(Subscribe { id, properties, filters }));
        self.is_asked = true;
    }
}

/// Takes a message that has come.
fn take(last: &mut BTreeMap<String, u32>, publish: &Publish<'_>) -> Result<Option<Packet<'static>>, String> {
    let topic = publish.topic.ok_or("no topic")?.as_str();
    let number: u32 = std::str::from_utf8(publish.payload).unwrap().parse().unwrap();
    let before = last.insert(topic.to_owned(), number).unwrap_or(0);
    if number <= before {
        return Err(format!("{topic}: {number} behind {before}, {publish:?}"));
    }
    Ok(publish.id.map(|id| match publish.qos {
        QoS::ExactlyOnce => Packet::Pubrec(Ack::new(id)),
        _ => Packet::Puback(Ack::new(id)),
    }))
}

impl Client for Newcomer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Ended(_) if line.shutdown_at().is_some() => return Step::Done,
            Status::Ended(_) if line.excused() => self.come(line),
            Status::Idle => self.come(line),
            Status::Ended(how) => return line.fail(format!("{} ended: {how:?}", self.id)),
            _ => {}
        }
        let (last, mut is_subscribed) = (&mut self.last, false);
        let heard = self.talk.heard(line, |packet, answers| {
            match packet {
                Packet::Suback(_) => is_subscribed = true,
                Packet::Publish(publish) => answers.extend(take(last, publish)?),
                Packet::Pubrel(ack) => answers.push(Packet::Pubcomp(Ack::new(ack.id))),
                other => return Err(format!("{other:?}")),
            }
            Ok(())
        });
        if let Err(what) = heard {
            return line.fail(format!("{}: {what}", self.id));
        }
        if is_subscribed {
            let stay = line.rng().below(40_000);
            self.until = Some(line.after(Duration::from_micros(stay)));
        }
        if self.talk.is_served && !self.is_asked {
            self.subscribe();
        }
        self.talk.pass(line);
        let (done, retainers) = (self.wall.borrow().done, self.wall.borrow().retainers);
        if self.until.is_some_and(|until| line.now() >= until) {
            if self.visits < VISITS && done < retainers {
                self.visits += 1;
                line.close();
                self.come(line);
            } else if done == retainers && self.last == self.wall.borrow().last {
                line.close();
                return Step::Done;
            }
        }
        let pause = line.rng().below(2_000);
        Step::Until(line.after(Duration::from_micros(pause)))
    }
}
