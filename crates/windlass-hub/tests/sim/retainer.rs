//! Clients that retain and take back messages for the same topics at the same time, from all workers; and in the end some
//! that look what is there, each on a worker of its own: all find the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use windlass::proto::Time;
use windlass::sim::{Client, Line, Status, Step};
use windlass_proto::mqtt::{
    Connect, Filter, Filters, Limits, Mqtt, Packet, PacketId, Properties, Publish, QoS, Subscribe,
    SubscribeOptions, Subscription, Topic, Version,
};
use windlass_proto::{Decode, Encode, Input};

/// Messages that each of them retains or takes back.
const MESSAGES: u32 = 60;

type Found = BTreeMap<String, Vec<u8>>;

/// What all of them know.
#[derive(Default)]
pub(crate) struct Board {
    retainers: usize,
    /// Those that are served: they begin when all are.
    ready: usize,
    done: usize,
    found: Option<Found>,
}

impl Board {
    /// Of so many that retain.
    pub(crate) fn of(retainers: usize) -> Board {
        Board { retainers, ..Board::default() }
    }
}

/// One of either kind.
pub(crate) struct Retainer {
    id: String,
    board: Rc<RefCell<Board>>,
    looks: bool,
    codec: Mqtt,
    sends: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    found: Found,
    is_ready: bool,
    /// How many messages it has retained.
    retained: u32,
    /// When it has heard enough.
    until: Option<Time>,
}

impl Retainer {
    pub(crate) fn new(number: usize, looks: bool, board: Rc<RefCell<Board>>) -> Retainer {
        Retainer {
            id: format!("{}{number}", if looks { "looks" } else { "retains" }),
            board,
            looks,
            codec: Mqtt::client(Version::V311, Limits::default()),
            sends: Vec::new(),
            sent: 0,
            received: Vec::new(),
            found: Found::new(),
            is_ready: false,
            retained: 0,
            until: None,
        }
    }

    fn connect(&mut self, line: &mut Line<'_>) {
        line.connect();
        self.codec = Mqtt::client(Version::V311, Limits::default());
        (self.sent, self.until) = (0, None);
        self.retained = self.retained.min(MESSAGES);
        self.sends.clear();
        self.received.clear();
        self.found.clear();
        let mut say = |packet: &Packet<'_>| self.codec.encode(packet, &mut self.sends).unwrap();
        say(&Packet::Connect(Connect::new(Version::V311, &self.id)));
        if self.looks {
            let options = SubscribeOptions::new(QoS::AtMostOnce);
            let filters = [Subscription { filter: Filter::new("kept/+").unwrap(), options }];
            let (id, properties, filters) = (PacketId::MIN, Properties::NONE, Filters::new(&filters));
            say(&Packet::Subscribe(Subscribe { id, properties, filters }));
        }
    }

    /// The next message, or what is said behind the last.
    fn retain(&mut self, line: &mut Line<'_>) {
        let mut say = |packet: &Packet<'_>| self.codec.encode(packet, &mut self.sends).unwrap();
        self.retained += 1;
        if self.retained > MESSAGES {
            // Behind its answer all of it has been taken.
            return say(&Packet::Pingreq);
        }
        let topic = format!("kept/{}", line.rng().below(3));
        let payload = format!("{} {}", self.id, self.retained);
        let payload = if line.rng().chance(1, 3) { &[][..] } else { payload.as_bytes() };
        let publish = Publish::new(Topic::new(&topic).unwrap(), payload);
        say(&Packet::Publish(Publish { retain: true, ..publish }));
    }

    /// Whether it is done.
    fn heard(&mut self, line: &Line<'_>) -> Result<bool, String> {
        let mut received = std::mem::take(&mut self.received);
        let mut input = Input::new(&mut received);
        let mut is_done = false;
        while let Some(packet) = self.codec.decode(&mut input).map_err(|error| error.to_string())? {
            match packet {
                Packet::Connack(connack) if !connack.reason.is_error() => {
                    if !self.looks && !std::mem::replace(&mut self.is_ready, true) {
                        self.board.borrow_mut().ready += 1;
                    }
                }
                Packet::Suback(_) => self.until = Some(line.after(Duration::from_secs(2))),
                Packet::Publish(publish) => {
                    let topic = publish.topic.ok_or("no topic")?.as_str().to_owned();
                    self.found.insert(topic, publish.payload.to_vec());
                }
                Packet::Pingresp => is_done = true,
                other => return Err(format!("{other:?}")),
            }
        }
        let left = input.len();
        received.drain(..received.len() - left);
        self.received = received;
        let mut board = self.board.borrow_mut();
        if is_done {
            board.done += 1;
        } else if self.until.is_some_and(|until| until <= line.now()) {
            let found = std::mem::take(&mut self.found);
            match &board.found {
                Some(others) if *others != found => {
                    return Err(format!("{} finds {found:?}, and others {others:?}", self.id));
                }
                _ => board.found = Some(found),
            }
            is_done = true;
        }
        Ok(is_done)
    }
}

impl Client for Retainer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        let (done, retainers) = (self.board.borrow().done, self.board.borrow().retainers);
        if self.looks && done < retainers {
            return Step::Until(line.after(Duration::from_millis(50)));
        }
        match line.status() {
            Status::Ended(_) if line.shutdown_at().is_some() => return Step::Done,
            Status::Idle => self.connect(line),
            Status::Ended(_) if line.excused() => self.connect(line),
            Status::Ended(how) => return line.fail(format!("{} ended: {how:?}", self.id)),
            _ => {}
        }
        let all_ready = self.board.borrow().ready == retainers;
        if self.is_ready && all_ready && self.retained <= MESSAGES {
            self.retain(line);
        }
        if line.status() == Status::Open && self.sent < self.sends.len() {
            self.sent += line.send(&self.sends[self.sent..]);
        }
        line.receive(&mut self.received, usize::MAX);
        match self.heard(line) {
            Err(what) => line.fail(what),
            Ok(true) => {
                line.close();
                Step::Done
            }
            Ok(false) if self.is_ready && all_ready => {
                let pause = line.rng().below(2_000);
                Step::Until(line.after(Duration::from_micros(pause)))
            }
            Ok(false) => Step::Until(line.after(Duration::from_millis(50))),
        }
    }
}
