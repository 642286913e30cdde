//! What an event is about, packed into the one word the operating system carries for us.

use crate::id::ConnId;

/// Names the source of an event: a connection or a UDP socket by slot and generation, or one of a few
/// fixed sources.
///
/// A generation tells an event for the slot's former owner from one for the present
/// one: closing and reusing a descriptor inside one batch delivers the old event to the new owner
/// otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Token(pub(crate) usize);

/// Slots are numbered below this.
pub(crate) const INDEX_MAX: u32 = (INDEX_MASK - RESERVED - UDP_MAX) as u32;
/// UDP sockets of one worker are numbered below this.
pub(crate) const UDP_MAX: usize = 1 << if INDEX_BITS == 32 { 20 } else { 16 };

#[cfg(target_pointer_width = "64")]
const INDEX_BITS: u32 = 32;
#[cfg(not(target_pointer_width = "64"))]
const INDEX_BITS: u32 = 20;

const INDEX_MASK: usize = ((1u64 << INDEX_BITS) - 1) as usize;
/// Index values at the top that are not slots.
const RESERVED: usize = 1024;

impl Token {
    pub(crate) const WAKE: Token = Token(INDEX_MASK);
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only a timerfd ticks"))]
    pub(crate) const TICK: Token = Token(INDEX_MASK - 1);
    pub(crate) const STOP: Token = Token(INDEX_MASK - 2);
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "sockets are handed over on Linux only"))]
    pub(crate) const CONTROL: Token = Token(INDEX_MASK - 3);
    /// Listeners are numbered below this.
    pub(crate) const LISTENERS_MAX: usize = RESERVED - 8;

    /// The token of connection slot `index` in its generation `generation`.
    #[inline]
    pub(crate) fn conn(index: u32, generation: u32) -> Token {
        debug_assert!(index < INDEX_MAX);
        // On 32-bit systems this keeps the low 12 bits of the generation, which `same` compares.
        Token(((generation as u64) << INDEX_BITS) as usize | index as usize)
    }

    /// The token of listener `n` of this worker.
    pub(crate) fn listener(n: usize) -> Token {
        debug_assert!(n < Self::LISTENERS_MAX);
        Token(INDEX_MASK - RESERVED + 1 + n)
    }

    /// The token of UDP socket `index` in its generation `generation`. Its range lies below that of the
    /// listeners.
    pub(crate) fn udp(index: u32, generation: u32) -> Token {
        debug_assert!((index as usize) < UDP_MAX);
        Token(((generation as u64) << INDEX_BITS) as usize | (INDEX_MAX as usize + index as usize))
    }

    /// The UDP socket this token names, if it names one.
    pub(crate) fn as_udp(self) -> Option<u32> {
        let index = (self.0 & INDEX_MASK).checked_sub(INDEX_MAX as usize)?;
        (index < UDP_MAX).then_some(index as u32)
    }

    /// The slot this token names, if it names one.
    #[inline]
    pub(crate) fn as_conn(self) -> Option<u32> {
        let index = (self.0 & INDEX_MASK) as u32;
        (index < INDEX_MAX).then_some(index)
    }

    /// The connection of worker `worker` that this token names. For the simulator.
    pub(crate) fn id(self, worker: u16) -> ConnId {
        let (index, generation) = ((self.0 & INDEX_MASK) as u32, (self.0 as u64 >> INDEX_BITS) as u32);
        ConnId { worker, index, generation }
    }

    /// The listener this token names, if it names one.
    pub(crate) fn as_listener(self) -> Option<usize> {
        let n = self.0.checked_sub(INDEX_MASK - RESERVED + 1)?;
        (n < Self::LISTENERS_MAX).then_some(n)
    }
}
