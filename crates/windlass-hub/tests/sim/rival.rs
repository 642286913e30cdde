//! A client that shares its identifier with others: whoever comes last has the session, and there is only ever one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use windlass::sim::{Client, Line, Status, Step};
use windlass_proto::mqtt::{Connect, Limits, Mqtt, Packet, PropertiesBuf, Property, Reason, Version};
use windlass_proto::{Decode, Encode, Input};

/// What all of them know.
#[derive(Default)]
pub(crate) struct Contest {
    /// How often one was told that there was no session before.
    pub(crate) begun: u32,
    pub(crate) served: u32,
}

pub(crate) struct Rival {
    contest: Rc<RefCell<Contest>>,
    codec: Mqtt,
    sends: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    is_served: bool,
    /// How often it comes yet.
    left: u32,
}

impl Rival {
    pub(crate) fn new(contest: Rc<RefCell<Contest>>, times: u32) -> Rival {
        Rival {
            contest,
            codec: Mqtt::client(Version::V5, Limits::default()),
            sends: Vec::new(),
            sent: 0,
            received: Vec::new(),
            is_served: false,
            left: times,
        }
    }

    fn connect(&mut self, line: &mut Line<'_>) {
        line.connect();
        self.codec = Mqtt::client(Version::V5, Limits::default());
        (self.is_served, self.sent) = (false, 0);
        self.sends.clear();
        self.received.clear();
        let mut stay = PropertiesBuf::new();
        stay.push(Property::SessionExpiry(u32::MAX)).unwrap();
        let connect = Connect {
            clean_start: false,
            properties: stay.properties(),
            ..Connect::new(Version::V5, "same")
        };
        self.codec.encode(&Packet::Connect(connect), &mut self.sends).unwrap();
    }

    fn heard(&mut self) -> Result<(), String> {
        let mut received = std::mem::take(&mut self.received);
        let mut input = Input::new(&mut received);
        while let Some(packet) = self.codec.decode(&mut input).map_err(|error| error.to_string())? {
            match packet {
                Packet::Connack(connack) if connack.reason == Reason::Success => {
                    let mut contest = self.contest.borrow_mut();
                    contest.served += 1;
                    contest.begun += u32::from(!connack.session_present);
                    if contest.begun > 1 {
                        return Err("a second session has begun".into());
                    }
                    if !std::mem::replace(&mut self.is_served, true) {
                        self.left = self.left.saturating_sub(1);
                    }
                }
                Packet::Disconnect(it) if it.reason == Reason::SessionTakenOver && self.is_served => {}
                other => return Err(format!("{other:?}")),
            }
        }
        let left = input.len();
        received.drain(..received.len() - left);
        self.received = received;
        Ok(())
    }
}

impl Client for Rival {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Ended(_) if line.shutdown_at().is_some() => return Step::Done,
            Status::Idle | Status::Ended(_) if self.left > 0 => self.connect(line),
            Status::Ended(_) => return Step::Done,
            _ => {}
        }
        line.receive(&mut self.received, usize::MAX);
        if let Err(what) = self.heard() {
            return line.fail(what);
        }
        if line.status() == Status::Open && self.sent < self.sends.len() {
            self.sent += line.send(&self.sends[self.sent..]);
        }
        if self.is_served && (self.left == 0 || line.rng().chance(1, 4)) {
            // Served often enough, or tired of waiting for a rival.
            line.close();
            if self.left == 0 {
                return Step::Done;
            }
        }
        Step::Until(line.after(Duration::from_millis(20)))
    }
}
