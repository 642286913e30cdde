//! The other workers of the hub: what is told to them, and what they tell.
//!
//! A session lives on one worker, its home ([`home`]), and its connection moves there. What concerns others is put into
//! parcels, which leave for each worker in one batch behind the input of a turn, in order. Read `parcel.rs` for what
//! there is to tell, then `say.rs` for when it is told and `take.rs` for what becomes of it.
//!
//! Each worker says how much of what another has sent it has dealt with. That is what answers to clients wait for where
//! all workers have to know something first ([`Siblings::ask`]), and what bounds a worker that others send more than it
//! gets done: clients of theirs are not read meanwhile ([`Siblings::is_full`]).

pub(crate) mod parcel;
pub(crate) mod posted;
mod say;
mod start;
mod take;

use std::collections::VecDeque;

use windlass::{ConnId, Mailbox, SendError};

use crate::memory::{Charge, Memory};
use crate::parts;
use crate::service::Mail;
use crate::session::message::Message;
pub use parcel::Batch;
use parcel::Parcel;
use posted::{Posted, Taken};
pub use start::Beginning;

/// A worker that has dealt with this part of what may be on its way says so at once; with less, when it has something
/// else to say, or with the next tick.
const SAY_AT: u64 = 16;

/// The worker that has the session of a client identifier, of so many.
pub(crate) fn home(client_id: &str, workers: usize) -> usize {
    if !parts::SPREAD || workers <= 1 {
        return 0;
    }
    // FNV-1a, and behind it how MurmurHash3 ends, since it mixes little by itself. What it comes to is the same for ever:
    // the journal relies on it.
    let hash = client_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((hash ^ hash >> 33) % workers as u64) as usize
}

/// What a worker knows of the others of its hub.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    worker: usize,
    /// How many have sessions.
    workers: usize,
    mailbox: Option<Mailbox<Mail>>,
    /// By number, this one included; nobody, if there is one worker.
    each: Vec<Sibling>,
    /// Bytes that may be on their way to one of them.
    max: u64,
    /// The last question that all were asked.
    asked: u64,
    /// Whether one of them has more on its way than it should.
    is_full: bool,
    /// Connections that are not read until none has.
    waiting: Vec<ConnId>,
    /// Where memory is bounded, what this one may have on its way to each of them is set aside, so that what only passes
    /// asks for none.
    room: Option<Room>,
}

/// What is set aside for what is on its way.
#[derive(Debug)]
struct Room {
    /// Bytes for each worker that something goes to.
    each: u64,
    _charge: Charge,
}

/// Of a bound on memory, so much is for what workers tell one another.
const PASSING_PART: usize = 8;

/// One of them.
#[derive(Debug, Default)]
struct Sibling {
    /// What leaves for it next.
    out: Vec<Parcel>,
    /// Bytes that it was sent so far, those in `out` included, and that it has dealt with.
    sent: u64,
    done: u64,
    /// The last question that it has answered.
    answered: u64,
    /// The other way: bytes that it has sent and that are dealt with, and what it knows of them.
    taken: u64,
    taken_told: u64,
    /// The last question of its.
    question: u64,
    question_told: u64,
    /// What was posted to it, in the journal.
    posted: Posted,
    /// What it has posted and was taken.
    kept: Taken,
}

impl Siblings {
    /// There are so many workers with sessions, which reach one another through this mailbox.
    pub(crate) fn spread(&mut self, mailbox: &Mailbox<Mail>, workers: usize) {
        self.workers = workers;
        self.mailbox = Some(mailbox.clone());
    }

    /// The worker begins. Whether it is one of several that have sessions.
    pub(crate) fn begin(&mut self, worker: usize) -> bool {
        self.worker = worker;
        let is_one = parts::SPREAD && self.workers > 1 && worker < self.workers;
        if is_one {
            self.each = (0..self.workers).map(|_| Sibling::default()).collect();
        }
        is_one
    }

    /// Clients are not read while more bytes than this are on their way to one of them. Where memory is bounded, twice as
    /// much is set aside for each, since a message may begin below that and be as long; or what there is for it, and then
    /// they are not read while there is more than half of that.
    pub(crate) fn set_max(&mut self, bytes: usize, memory: &Memory) {
        self.room = None;
        if memory.is_bounded() && self.are_there() {
            let ways = self.workers * (self.workers - 1);
            let each = (memory.max() / PASSING_PART / ways.max(1)).min(bytes.saturating_mul(2));
            self.room = Some(Room { each: each as u64, _charge: memory.charge(each * (self.workers - 1)) });
        }
        let most = self.room.as_ref().map_or(u64::MAX, |room| room.each / 2);
        self.max = (bytes as u64).min(most);
        self.is_full = self.each.iter().any(|sibling| sibling.is_full(self.max));
    }

    /// Whether a message is longer than what is set aside for one that begins just below that.
    #[inline]
    pub(crate) fn have_no_room(&self, message: &Message) -> bool {
        self.room.as_ref().is_some_and(|room| message.len() as u64 > room.each / 2)
    }

    /// How many workers have sessions; at least 1.
    pub(crate) fn workers(&self) -> usize {
        if parts::SPREAD { self.workers.max(1) } else { 1 }
    }

    /// Whether there are others.
    #[inline]
    pub(crate) fn are_there(&self) -> bool {
        parts::SPREAD && !self.each.is_empty()
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let worker = self.worker;
        (0..self.each.len()).filter(move |other| *other != worker)
    }

    /// Tells one of them something.
    pub(crate) fn tell(&mut self, worker: usize, parcel: Parcel) {
        if !parts::SPREAD {
            return;
        }
        let Some(sibling) = self.each.get_mut(worker) else { return };
        sibling.sent += parcel.weight();
        self.is_full |= sibling.is_full(self.max);
        sibling.out.push(parcel);
    }

    /// Tells all of them the same.
    pub(crate) fn tell_all(&mut self, mut parcel: impl FnMut() -> Parcel) {
        for worker in self.others() {
            self.tell(worker, parcel());
        }
    }

    /// Asks all of them to say when they have dealt with what they were told so far: a number, which
    /// [`answered`](Siblings::answered) reaches then.
    pub(crate) fn ask(&mut self) -> u64 {
        self.asked += 1;
        let asked = self.asked;
        self.tell_all(|| Parcel::Question(asked));
        asked
    }

    /// The last question that all have answered.
    pub(crate) fn answered(&self) -> u64 {
        self.others().map(|worker| self.each[worker].answered).min().unwrap_or(u64::MAX)
    }

    /// Whether clients are not to be read for now: one of the others has more on its way than it should.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        parts::SPREAD && self.is_full
    }

    /// This one is not read, and is to be told of by [`relieved`](Siblings::relieved).
    pub(crate) fn wait(&mut self, conn: ConnId) {
        self.waiting.push(conn);
    }

    /// The connections that are read again, if all of them have caught up.
    fn relieved(&mut self) -> Vec<ConnId> {
        self.is_full = self.each.iter().any(|sibling| sibling.is_full(self.max));
        if self.is_full { Vec::new() } else { std::mem::take(&mut self.waiting) }
    }

    /// Whether something is to leave behind the input of this turn.
    #[inline]
    pub(crate) fn are_due(&self) -> bool {
        let (at, kept) = (self.max / SAY_AT + 1, self.tell_kept());
        let is_due = |sibling: &Sibling| !sibling.out.is_empty() || sibling.owes_word(at, kept);
        parts::SPREAD && self.each.iter().any(is_due)
    }

    /// Whether word of what was kept leaves at once: where memory is bounded there is little room for what waits for it.
    fn tell_kept(&self) -> bool {
        self.room.is_some()
    }

    /// Sends what there is. With `all`, also word of what was dealt with that can wait.
    pub(crate) fn send(&mut self, all: bool) {
        if !parts::SPREAD {
            return;
        }
        let Some(mailbox) = &self.mailbox else { return };
        let at = if all { 1 } else { self.max / SAY_AT + 1 };
        let kept = all || self.tell_kept();
        for (worker, sibling) in self.each.iter_mut().enumerate() {
            if sibling.out.is_empty() && !sibling.owes_word(at, kept) {
                continue;
            }
            let parcels = std::mem::take(&mut sibling.out);
            let (taken, answered, kept) = (sibling.taken, sibling.question, sibling.kept.committed());
            let batch = Batch { from: self.worker, parcels, taken, answered, kept };
            match mailbox.send(worker, Mail::Batch(Box::new(batch))) {
                Ok(()) => {
                    (sibling.taken_told, sibling.question_told) = (taken, answered);
                    sibling.kept.told(kept);
                }
                // It takes nothing for now: the next turn or tick tries again.
                Err(SendError::Full(Mail::Batch(batch))) => sibling.out = batch.parcels,
                // It has stopped, and the server with it.
                Err(_) => sibling.done = sibling.sent,
            }
        }
    }

    /// A batch came: what its sender knows.
    fn heard(&mut self, from: usize, taken: u64, answered: u64, kept: u64) {
        if let Some(sibling) = self.each.get_mut(from) {
            sibling.done = sibling.done.max(taken);
            sibling.answered = sibling.answered.max(answered);
            sibling.posted.arrived(sibling.done);
            sibling.posted.taken(kept);
        }
    }

    /// A parcel of another worker is dealt with.
    fn took(&mut self, from: usize, weight: u64) {
        if let Some(sibling) = self.each.get_mut(from) {
            sibling.taken += weight;
        }
    }

    fn questioned(&mut self, from: usize, question: u64) {
        if let Some(sibling) = self.each.get_mut(from) {
            sibling.question = question;
        }
    }
}

impl Sibling {
    /// What counts: all that has not been dealt with there, and what has been and is still kept here until it is written
    /// down there. Nothing is both.
    fn is_full(&self, max: u64) -> bool {
        let on_its_way = self.sent.saturating_sub(self.done) + self.posted.later_bytes();
        on_its_way + self.posted.arrived_bytes() > max
    }

    /// Whether it is to be told how far its parcels are dealt with; with `kept`, also what of them is written down.
    fn owes_word(&self, at: u64, kept: bool) -> bool {
        self.question > self.question_told
            || self.taken >= self.taken_told + at
            || kept && self.kept.is_news()
    }
}

#[cfg(test)]
mod tests;

/// Answers that wait until all workers know something.
pub(crate) type Asked = VecDeque<crate::client::Waiting>;
