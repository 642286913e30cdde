//! One seat of a room, as its worker has it: for whom it is kept, and which connection they come with.

use windlass::{ConnId, Time};
use windlass_proto::enet::PeerId;

use crate::bucket::Bucket;
use crate::room::Guest;

/// What leads to whoever has a seat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Way {
    WebSocket(ConnId),
    Udp(PeerId),
}

/// A seat.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Which ticket is for it.
    pub(crate) serial: u64,
    pub(crate) holder: Holder,
    pub(crate) way: Option<Way>,
    /// What it may still say.
    pub(crate) messages: Bucket,
    pub(crate) input: Bucket,
    /// What it may still be sent.
    pub(crate) output: Bucket,
    /// Messages dropped, one after another.
    pub(crate) dropped: u32,
    /// When the last new input came.
    pub(crate) input_at: Time,
    /// Of the inputs given to the room, the last that it was told.
    pub(crate) told: Option<u32>,
    /// Ticks with a snapshot since the last it has confirmed.
    pub(crate) unconfirmed: u32,
}

/// Whose it is.
#[derive(Debug, Default)]
pub(crate) enum Holder {
    #[default]
    Nobody,
    /// It is kept for a guest until then.
    Kept(Box<Guest>, Time),
    /// Somebody has it.
    Here,
    /// Somebody has it, and is away; until then.
    Away(Time),
}

impl Place {
    pub(crate) fn is_free(&self) -> bool {
        matches!(self.holder, Holder::Nobody)
    }
}
