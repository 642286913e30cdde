//! Channels, as games name them.

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Channel {
    /// The newest counts: one that has not left when the next comes is replaced by it, and one that comes late is dropped.
    /// For what is said anew all the time.
    Sequenced,
    /// It comes or it does not, in any order. For what is not worth a delay.
    Unreliable,
    /// It comes, in the order it was sent. For what must not be missed.
    Reliable,
}

impl Channel {
    /// As it stands on the wire and in logs.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Channel::Sequenced => 1,
            Channel::Unreliable => 2,
            Channel::Reliable => 3,
        }
    }

    pub(crate) const fn of_code(code: u8) -> Option<Channel> {
        match code {
            1 => Some(Channel::Sequenced),
            2 => Some(Channel::Unreliable),
            3 => Some(Channel::Reliable),
            _ => None,
        }
    }
}
