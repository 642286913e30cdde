//! Messages that are posted to another worker, in the journal: until that has written down what has become of them.
//!
//! `journal/mod.rs` says why.

use std::collections::VecDeque;
use std::sync::Arc;

use windlass_proto::mqtt::QoS;

use super::Siblings;
use super::parcel::{Change, OVERHEAD, Parcel, Passed};
use crate::session::message::Message;

/// What one worker has posted to another, and is not known to be taken.
#[derive(Debug, Default)]
pub(crate) struct Posted {
    posts: VecDeque<Kept>,
    /// How many of them have left, and how many of those the other has dealt with; and bytes of these, which are not on
    /// their way any more.
    left: usize,
    arrived: usize,
    arrived_bytes: u64,
    /// Messages that leave when their being posted is committed, or that come behind such: the record that has to be. So
    /// they arrive in the order of their numbers, and one that is taken means that all before it are.
    later: VecDeque<(u64, Parcel)>,
    /// Bytes of those.
    later_bytes: u64,
}

/// A message that was posted, and where it ends in what the other worker was sent: it has arrived when that is dealt with
/// as far. Of one that has not left, nothing is said.
#[derive(Debug)]
struct Kept {
    post: Post,
    end: u64,
}

/// One of them: what a checkpoint writes down anew.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) number: u64,
    pub(crate) message: Arc<Message>,
    pub(crate) retain: bool,
    pub(crate) routed: bool,
    /// Filters of groups of which a member there was chosen.
    pub(crate) groups: Vec<Arc<str>>,
}

impl Post {
    fn weight(&self) -> u64 {
        self.message.len() as u64 + OVERHEAD
    }
}

impl Posted {
    fn add(&mut self, post: Post) {
        self.posts.push_back(Kept { post, end: 0 });
    }

    /// The next of them has left, with so many bytes sent. They leave in the order in which they were posted.
    fn left(&mut self, sent: u64) {
        if let Some(kept) = self.posts.get_mut(self.left) {
            kept.end = sent;
            self.left += 1;
        }
    }

    /// So many bytes of what was sent are dealt with.
    pub(super) fn arrived(&mut self, done: u64) {
        while self.arrived < self.left && self.posts[self.arrived].end <= done {
            self.arrived_bytes += self.posts[self.arrived].post.weight();
            self.arrived += 1;
        }
    }

    /// All up to this number is taken.
    pub(super) fn taken(&mut self, number: u64) {
        while let Some(kept) = self.posts.pop_front_if(|kept| kept.post.number <= number) {
            if self.arrived > 0 {
                self.arrived -= 1;
                self.arrived_bytes -= kept.post.weight();
            }
            self.left = self.left.saturating_sub(1);
        }
    }

    /// Bytes of messages that have arrived, and wait for that.
    pub(super) fn arrived_bytes(&self) -> u64 {
        self.arrived_bytes
    }

    /// Bytes of what has not left for that.
    pub(super) fn later_bytes(&self) -> u64 {
        self.later_bytes
    }
}

/// What this worker has taken of what another one has posted.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The number up to which all was, recorded and not committed: with its record.
    recorded: VecDeque<(u64, u64)>,
    last: u64,
    committed: u64,
    told: u64,
}

impl Taken {
    pub(super) fn committed(&self) -> u64 {
        self.committed
    }

    /// Whether the other worker does not know yet.
    pub(super) fn is_news(&self) -> bool {
        self.committed > self.told
    }

    pub(super) fn told(&mut self, number: u64) {
        self.told = number;
    }
}

impl Siblings {
    /// A message is posted to a worker, and [passed](Siblings::pass) to it next: it counts from there on.
    pub(crate) fn post(&mut self, worker: usize, post: Post) {
        let Some(sibling) = self.each.get_mut(worker) else { return };
        sibling.posted.add(post);
    }

    /// Tells a worker of a message: at once, unless a record has to be committed first, or others wait for theirs, behind
    /// which it stays. If it is retained too, that comes with it: a subscription there that begins meanwhile gets it by
    /// the one or by the other.
    pub(crate) fn pass(
        &mut self,
        worker: usize,
        change: Option<Change>,
        passed: Passed,
        (until, committed): (u64, u64),
    ) {
        let Some(sibling) = self.each.get_mut(worker) else { return };
        let later = &sibling.posted.later;
        let waits = until > committed || passed.message.qos > QoS::AtMostOnce && !later.is_empty();
        for parcel in change.map(Parcel::Changed).into_iter().chain([Parcel::Message(passed)]) {
            if !waits {
                self.leave(worker, parcel);
                continue;
            }
            let sibling = &mut self.each[worker];
            sibling.posted.later_bytes += parcel.weight();
            sibling.posted.later.push_back((until, parcel));
            self.is_full |= sibling.is_full(self.max);
        }
    }

    /// Tells a worker of a message that nothing is before.
    fn leave(&mut self, worker: usize, parcel: Parcel) {
        let is_posted = matches!(&parcel, Parcel::Message(passed) if passed.number > 0);
        self.tell(worker, parcel);
        if is_posted {
            let sibling = &mut self.each[worker];
            sibling.posted.left(sibling.sent);
        }
    }

    /// Records up to this one are committed.
    pub(crate) fn committed(&mut self, committed: u64) {
        for worker in 0..self.each.len() {
            let sibling = &mut self.each[worker];
            while let Some((_, number)) = sibling.kept.recorded.pop_front_if(|(until, _)| *until <= committed)
            {
                sibling.kept.committed = number;
            }
            while let Some((_, parcel)) =
                self.each[worker].posted.later.pop_front_if(|(until, _)| *until <= committed)
            {
                // It goes on counting, as what is on its way.
                self.each[worker].posted.later_bytes -= parcel.weight();
                self.leave(worker, parcel);
            }
        }
    }

    /// All that another worker has posted up to this number is taken, by this record.
    pub(crate) fn kept(&mut self, from: usize, number: u64, record: u64) {
        if let Some(sibling) = self.each.get_mut(from) {
            sibling.kept.last = number;
            sibling.kept.recorded.push_back((record, number));
        }
    }

    /// For a checkpoint: what is posted to whom and not known to be taken, in order.
    pub(crate) fn posts(&self) -> Vec<(usize, Post)> {
        let each = self.each.iter().enumerate();
        each.flat_map(|(worker, it)| it.posted.posts.iter().map(move |kept| (worker, kept.post.clone())))
            .collect()
    }

    /// For a checkpoint: up to which number what others have posted is taken.
    pub(crate) fn all_taken(&self) -> impl Iterator<Item = (usize, u64)> {
        let each = self.each.iter().enumerate();
        each.map(|(worker, it)| (worker, it.kept.last)).filter(|(_, last)| *last > 0)
    }
}
