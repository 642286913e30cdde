//! Clients that say all they have to say at once, half-close, and wait for nothing: what they publish is heard, wherever
//! their connections land and move meanwhile.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use windlass::sim::{Client, Line, Status, Step};
use windlass_proto::mqtt::{
    Connect, Filter, Filters, Limits, Mqtt, Packet, PacketId, Properties, Publish, QoS, Subscribe,
    SubscribeOptions, Subscription, Topic, Version,
};
use windlass_proto::{Decode, Encode, Input};

/// What all of them know.
#[derive(Default)]
pub(crate) struct News {
    hasty: usize,
    is_listening: bool,
    heard: HashSet<String>,
}

impl News {
    /// Of so many hasty ones.
    pub(crate) fn of(hasty: usize) -> News {
        News { hasty, ..News::default() }
    }
}

pub(crate) struct Hasty {
    number: usize,
    news: Rc<RefCell<News>>,
    sends: Vec<u8>,
    sent: usize,
}

impl Hasty {
    pub(crate) fn new(number: usize, news: Rc<RefCell<News>>) -> Hasty {
        let id = format!("hasty{number}");
        let mut codec = Mqtt::client(Version::V311, Limits::default());
        let mut sends = Vec::new();
        codec.encode(&Packet::Connect(Connect::new(Version::V311, &id)), &mut sends).unwrap();
        let topic = format!("news/{number}");
        let publish = Publish::new(Topic::new(&topic).unwrap(), b"x");
        codec.encode(&Packet::Publish(publish), &mut sends).unwrap();
        Hasty { number, news, sends, sent: 0 }
    }
}

impl Client for Hasty {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if !self.news.borrow().is_listening {
            return Step::Until(line.after(Duration::from_millis(20)));
        }
        match line.status() {
            Status::Idle => line.connect(),
            Status::Ended(_) => {
                let is_heard = self.news.borrow().heard.contains(&format!("news/{}", self.number));
                if is_heard || line.shutdown_at().is_some() {
                    return Step::Done;
                }
                // A fault of the system's: once more. Any other end that comes to nothing is one too many.
                if line.excused() {
                    self.sent = 0;
                    line.connect();
                }
            }
            _ => {}
        }
        if line.status() == Status::Open && self.sent < self.sends.len() {
            self.sent += line.send(&self.sends[self.sent..]);
            if self.sent == self.sends.len() {
                line.finish();
            }
        }
        line.receive(&mut Vec::new(), usize::MAX);
        Step::Until(line.after(Duration::from_millis(50)))
    }
}

/// Who waits for what they say.
pub(crate) struct Listener {
    news: Rc<RefCell<News>>,
    codec: Mqtt,
    sends: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
}

impl Listener {
    pub(crate) fn new(news: Rc<RefCell<News>>) -> Listener {
        let mut codec = Mqtt::client(Version::V311, Limits::default());
        let mut sends = Vec::new();
        codec.encode(&Packet::Connect(Connect::new(Version::V311, "listener")), &mut sends).unwrap();
        let options = SubscribeOptions::new(QoS::AtMostOnce);
        let filters = [Subscription { filter: Filter::new("news/+").unwrap(), options }];
        let filters = Filters::new(&filters);
        let (id, properties) = (PacketId::MIN, Properties::NONE);
        codec.encode(&Packet::Subscribe(Subscribe { id, properties, filters }), &mut sends).unwrap();
        Listener { news, codec, sends, sent: 0, received: Vec::new() }
    }
}

impl Client for Listener {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Idle => line.connect(),
            Status::Ended(_) if line.shutdown_at().is_some() => return Step::Done,
            Status::Ended(_) if line.excused() && !self.news.borrow().is_listening => {
                // It was not let in.
                *self = Listener::new(self.news.clone());
                line.connect();
            }
            Status::Ended(how) => return line.fail(format!("the listener's connection ended: {how:?}")),
            _ => {}
        }
        if line.status() == Status::Open && self.sent < self.sends.len() {
            self.sent += line.send(&self.sends[self.sent..]);
        }
        line.receive(&mut self.received, usize::MAX);
        let mut received = std::mem::take(&mut self.received);
        let mut input = Input::new(&mut received);
        loop {
            let packet = match self.codec.decode(&mut input) {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(error) => return line.fail(error.to_string()),
            };
            let mut news = self.news.borrow_mut();
            match packet {
                Packet::Suback(_) => news.is_listening = true,
                Packet::Publish(publish) => {
                    news.heard.insert(publish.topic.unwrap().as_str().into());
                }
                Packet::Connack(connack) if !connack.reason.is_error() => {}
                other => {
                    drop(news);
                    let said = format!("{other:?}");
                    return line.fail(said);
                }
            }
        }
        let left = input.len();
        received.drain(..received.len() - left);
        self.received = received;
        let all = { self.news.borrow().heard.len() == self.news.borrow().hasty };
        if all {
            line.close();
            return Step::Done;
        }
        Step::Until(line.after(Duration::from_millis(50)))
    }
}
