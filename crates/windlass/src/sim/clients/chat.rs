//! Members of a line chat: everybody hears everybody else, in order, once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use windlass_proto::Time;
use windlass_proto::testing::Rng;

use super::pause;
use crate::sim::client::{Client, Ending, Line, Status, Step};

/// What the members of one room know of each other: the test's own knowledge, not the server's.
///
/// ```no_run
/// # use windlass::{Close, Conn, Input, Service, sim};
/// # struct Chat;
/// # impl Service for Chat {
/// #     type Session = ();
/// #     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> { Ok(()) }
/// #     fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> { Ok(()) }
/// # }
/// sim::check("chat", 0..100, |sim| {
///     let room = sim::ChatRoom::new("hello\n");
///     sim.service(|| Chat).clients(8, move |rng| room.member(rng));
/// });
/// ```
#[derive(Clone)]
pub struct ChatRoom {
    inner: Rc<RefCell<Room>>,
}

struct Room {
    greeting: Vec<u8>,
    members: Vec<Member>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Not greeted yet.
    Coming,
    /// Greeted: whatever is said from now on must reach it.
    In,
    /// Said and heard everything.
    Finished,
    /// Cut off by the network: it says no more, and nobody waits for it.
    Lost,
}

struct Member {
    place: Place,
    says: u32,
    said: u32,
}

impl ChatRoom {
    /// A room of a server that says `greeting` (a line) to everyone once they are in, and from then on
    /// passes every line of every member on to all the others.
    pub fn new(greeting: &str) -> ChatRoom {
        let room = Room { greeting: greeting.into(), members: Vec::new() };
        ChatRoom { inner: Rc::new(RefCell::new(room)) }
    }

    /// A client for the room. All must be made before the first runs.
    pub fn member(&self, rng: &mut Rng) -> ChatClient {
        let says = 1 + rng.below(12) as u32;
        self.speaker(rng, says)
    }

    /// A client for the room that says so many lines.
    pub fn speaker(&self, rng: &mut Rng, lines: u32) -> ChatClient {
        let mut room = self.inner.borrow_mut();
        room.members.push(Member { place: Place::Coming, says: lines, said: 0 });
        ChatClient {
            room: self.clone(),
            number: room.members.len() - 1,
            padding: rng.below(200) as usize,
            heard: HashMap::new(),
            received: Vec::new(),
            unsent: Vec::new(),
            wake: None,
        }
    }
}

/// See [`ChatRoom`].
pub struct ChatClient {
    room: ChatRoom,
    number: usize,
    padding: usize,
    /// The next line expected of each other member.
    heard: HashMap<usize, u32>,
    received: Vec<u8>,
    unsent: Vec<u8>,
    wake: Option<Time>,
}

impl ChatClient {
    fn place(&self) -> Place {
        self.room.inner.borrow().members[self.number].place
    }

    fn set_place(&self, place: Place) {
        self.room.inner.borrow_mut().members[self.number].place = place;
    }

    /// Checks one line, greeting or not.
    fn hear(&mut self, text: &[u8]) -> Result<(), String> {
        if self.place() == Place::Coming {
            if text != self.room.inner.borrow().greeting {
                return Err(format!("heard {:?} before the greeting", String::from_utf8_lossy(text)));
            }
            self.set_place(Place::In);
            return Ok(());
        }
        let bad = || format!("heard a mangled line: {:?}", String::from_utf8_lossy(text));
        let line = std::str::from_utf8(text).map_err(|_| bad())?;
        let mut words = line.trim_end_matches('\n').split(' ');
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok()).ok_or_else(bad);
        let (who, count, padding) = (number()? as usize, number()?, number()?);
        if words.next().is_none_or(|rest| rest.len() != padding as usize) {
            return Err(bad());
        }
        if who == self.number {
            return Err("heard itself".into());
        }
        let expected = self.heard.entry(who).or_insert(0);
        if count != *expected {
            return Err(format!("heard line {count} of member {who} instead of line {expected}"));
        }
        *expected += 1;
        Ok(())
    }

    /// Whether every member's every line was heard, as far as they are owed.
    fn heard_all(&self) -> bool {
        let room = self.room.inner.borrow();
        room.members.iter().enumerate().all(|(who, member)| {
            who == self.number
                || member.place == Place::Lost
                || self.heard.get(&who).copied().unwrap_or(0) == member.says
        })
    }

    fn lost(&mut self) -> Step {
        self.set_place(Place::Lost);
        Step::Done
    }
}

impl Client for ChatClient {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            if line.shutdown_at().is_some() {
                return self.lost();
            }
            line.connect();
        }
        line.receive(&mut self.received, usize::MAX);
        while let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
            let text: Vec<u8> = self.received.drain(..=end).collect();
            if let Err(what) = self.hear(&text) {
                return line.fail(what);
            }
        }
        match line.status() {
            Status::Ended(Ending::Fin) if self.place() == Place::Finished => return Step::Done,
            Status::Ended(_) if line.excused() => return self.lost(),
            Status::Ended(how) => return line.fail(format!("ended by {how:?} while in the room")),
            _ => {}
        }
        let room = self.room.inner.clone();
        let mut room = room.borrow_mut();
        // Nobody speaks before everybody is in, so that everybody is owed everything.
        let all_in = room.members.iter().all(|member| member.place != Place::Coming);
        let me = &mut room.members[self.number];
        if all_in
            && self.unsent.is_empty()
            && me.said < me.says
            && self.wake.is_none_or(|at| line.now() >= at)
        {
            let padding = line.rng().below(self.padding as u64 + 1) as usize;
            let text = format!("{} {} {padding} {}\n", self.number, me.said, "x".repeat(padding));
            self.unsent = text.into_bytes();
            me.said += 1;
            let think = pause(line.rng(), Duration::from_millis(100));
            self.wake = Some(line.after(think));
        }
        let done_saying = me.said == me.says;
        drop(room);
        if !self.unsent.is_empty() {
            let sent = line.send(&self.unsent);
            self.unsent.drain(..sent);
        }
        if done_saying && self.unsent.is_empty() && self.place() == Place::In && self.heard_all() {
            // In good order, so that what it said last is not lost on the way.
            self.set_place(Place::Finished);
            line.finish();
        }
        Step::Until(line.after(Duration::from_millis(50)))
    }
}
