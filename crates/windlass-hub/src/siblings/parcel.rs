//! What workers of a hub tell one another.

use std::sync::Arc;

use crate::route::elsewhere::{Chosen, Joined, Reader, State};
use crate::session::Key;
use crate::session::message::Message;

/// What one worker of a hub tells another behind one turn's input. It is made and read by the hub alone.
#[derive(Debug)]
pub struct Batch {
    pub(super) from: usize,
    pub(super) parcels: Vec<Parcel>,
    /// How many bytes of the receiver's parcels the sender has dealt with, since the start.
    pub(super) taken: u64,
    /// The receiver's last question up to which it has dealt with all.
    pub(super) answered: u64,
    /// The number up to which all that the receiver has posted is taken, and committed.
    pub(super) kept: u64,
}

/// One thing that is told. Of one worker to another they arrive in order.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A message for sessions of yours.
    Message(Passed),
    /// Something else is retained.
    Changed(Change),
    /// A session of mine has a filter from now on.
    Added {
        filter: Arc<str>,
        /// Messages of QoS 1 and 2 for it are written down.
        durable: bool,
    },
    /// And has it no longer.
    Removed { filter: Arc<str>, durable: bool },
    /// Who a session of mine is that has shared subscriptions: before it joins the first group, and when its client
    /// comes.
    Met { key: Key, generation: u32, is_durable: bool, state: State, reader: Arc<Reader> },
    /// It joins a group, or goes on in it with other options.
    Joined(Key, Box<Joined>),
    /// It leaves one.
    Left(Key, Arc<str>),
    /// It is so from now on.
    Is(Key, State),
    /// It is in no group any more.
    Parted(Key),
    /// To be answered when all before it is dealt with.
    Question(u64),
    /// There was no room for a filter of yours.
    Refused(Arc<str>),
    /// Ends the connection of a client of yours.
    Kick(Box<str>),
}

/// What is retained of a topic from now on.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// This message.
    Retained(Arc<Message>),
    /// Nothing any more, as of a version.
    Gone(Arc<str>, u64),
}

/// A message that is passed on.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) message: Arc<Message>,
    /// The RETAIN flag it was published with.
    pub(crate) retain: bool,
    /// It is for those whose filters match.
    pub(crate) routed: bool,
    /// How often it was passed on for want of a member that is there.
    pub(crate) hops: u8,
    /// It is for these members of groups.
    pub(crate) chosen: Option<Box<[Chosen]>>,
    /// Its number among what was posted, if it is in the journal; else 0.
    pub(crate) number: u64,
}

/// What counts of a parcel besides its text: its place, and what a message is beside that.
pub(super) const OVERHEAD: u64 = 256;

impl Parcel {
    /// What counts of it against what may be on its way.
    pub(super) fn weight(&self) -> u64 {
        let len = match self {
            Parcel::Message(Passed { message, chosen, .. }) => {
                message.len() + chosen.as_ref().map_or(0, |chosen| chosen.len() * size_of::<Chosen>())
            }
            Parcel::Changed(Change::Retained(message)) => message.len(),
            Parcel::Changed(Change::Gone(text, _))
            | Parcel::Added { filter: text, .. }
            | Parcel::Removed { filter: text, .. }
            | Parcel::Left(_, text)
            | Parcel::Refused(text) => text.len(),
            Parcel::Joined(_, joined) => joined.filter.len(),
            Parcel::Kick(client_id) => client_id.len(),
            Parcel::Met { .. } | Parcel::Is(..) | Parcel::Parted(_) | Parcel::Question(_) => 0,
        };
        len as u64 + OVERHEAD
    }
}
