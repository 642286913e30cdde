//! What waits to be sent to one seat, until its next message leaves.

use crate::channel::Channel;
use crate::spare::Spare;
use crate::wire::{piece_len, put_piece};

/// Messages for one seat, each as the piece of a message that it will be (see [`wire`](crate::wire)).
#[derive(Clone, Default, Debug)]
pub(crate) struct Outbox {
    reliable: Vec<u8>,
    /// Of those: what has left already.
    taken: usize,
    fleeting: Vec<u8>,
    /// The newest.
    sequenced: Vec<u8>,
}

/// Bytes that wait for one seat, on its channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    pub(crate) reliable_max: usize,
    pub(crate) fleeting_max: usize,
}

/// What may leave to a player at the moment, as far as the way there is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Free {
    /// Nothing: what was sent last has not left yet.
    pub(crate) congested: bool,
    /// Bytes of what must come.
    pub(crate) reliable: usize,
}

impl Free {
    /// Anything.
    pub(crate) const ALL: Free = Free { congested: false, reliable: usize::MAX };
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    Queued,
    /// It may be lost, and is.
    Dropped,
    /// It must not be lost, and there is no room: the seat cannot be kept.
    Full,
}

impl Outbox {
    /// Puts a message behind the others of its channel. Memory comes from `spare`, and goes back there when it has left.
    pub(crate) fn put(
        &mut self,
        channel: Channel,
        bytes: &[u8],
        bounds: &Bounds,
        spare: &mut Spare<u8>,
    ) -> Put {
        let len = piece_len(bytes.len());
        match channel {
            Channel::Reliable => {
                if self.reliable.len() - self.taken + len > bounds.reliable_max {
                    return Put::Full;
                }
                put_piece(of(&mut self.reliable, spare), channel.code(), bytes);
                Put::Queued
            }
            Channel::Unreliable => {
                if self.fleeting.len() + len > bounds.fleeting_max {
                    return Put::Dropped;
                }
                put_piece(of(&mut self.fleeting, spare), channel.code(), bytes);
                Put::Queued
            }
            Channel::Sequenced => {
                let replaced = !self.sequenced.is_empty();
                self.sequenced.clear();
                if len > bounds.fleeting_max {
                    return Put::Dropped;
                }
                put_piece(of(&mut self.sequenced, spare), channel.code(), bytes);
                if replaced { Put::Dropped } else { Put::Queued }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reliable.is_empty() && self.fleeting.is_empty() && self.sequenced.is_empty()
    }

    /// Moves to `out` what must come, in order, as long as it is no more than `allowed` bytes: at least one piece, or one
    /// that is longer would never leave.
    pub(crate) fn take_reliable(&mut self, allowed: usize, out: &mut Vec<u8>, spare: &mut Spare<u8>) {
        let waiting = &self.reliable[self.taken..];
        let mut end = 0;
        while let Some(len) = crate::wire::first_len(&waiting[end..]) {
            if end > 0 && end + len > allowed {
                break;
            }
            end += len;
        }
        out.extend_from_slice(&waiting[..end]);
        self.taken += end;
        if self.taken == self.reliable.len() {
            // A seat with nothing to say holds no memory.
            spare.give(std::mem::take(&mut self.reliable));
            self.taken = 0;
        } else if self.taken > self.reliable.len() - self.taken {
            // Something always waits for a seat that keeps up only just: what has left must not pile up before it. Each
            // byte is moved for one that has left at most.
            self.reliable.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Moves to `out` what may be lost, if it is no more than `allowed` bytes; else it is dropped, and false.
    pub(crate) fn take_fleeting(&mut self, allowed: usize, out: &mut Vec<u8>, spare: &mut Spare<u8>) -> bool {
        let fits = self.fleeting.len() + self.sequenced.len() <= allowed;
        if fits {
            out.extend_from_slice(&self.sequenced);
            out.extend_from_slice(&self.fleeting);
        }
        spare.give(std::mem::take(&mut self.fleeting));
        spare.give(std::mem::take(&mut self.sequenced));
        fits
    }

    /// Drops what may be lost; whether there was any.
    pub(crate) fn drop_fleeting(&mut self) -> bool {
        let any = !self.fleeting.is_empty();
        self.fleeting = Vec::new();
        any
    }
}

/// What waits, with memory to write more of it to.
fn of<'a>(waiting: &'a mut Vec<u8>, spare: &mut Spare<u8>) -> &'a mut Vec<u8> {
    if waiting.capacity() == 0 {
        *waiting = spare.take();
    }
    waiting
}

#[cfg(test)]
mod tests;
