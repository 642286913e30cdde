//! Faults that a test can plant in the engine, to prove that the simulator sees them.
//!
//! Without the feature `planted-faults` every question below is the constant `false` and costs
//! nothing. With it, a test arms one fault for its own thread and expects the simulation to fail.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A known way to write this engine wrongly.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(dead_code, reason = "constructed only where tests plant faults")]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// Every fault there is.
            pub const ALL: &[Fault] = &[$(Fault::$name,)*];
        }
    };
}

faults! {
    /// Readiness is forgotten after the first read, though the read was not short.
    LostReadEdge,
    /// A connection whose read budget is spent is not put back on the run list.
    LostBudget,
    /// A short read ends the drain although the event said the peer had finished.
    FinBehindShortRead,
    /// The remainder of a partial write is dropped.
    PartialWriteForgotten,
    /// The remainder of a partial write is kept, but never sent when the socket is writable again.
    WritableIgnored,
    /// Output is sent again from its start after a partial write.
    PartialWriteRepeated,
    /// One connection is accepted per event, whatever waits behind it.
    OneAcceptPerEdge,
    /// Out of descriptors: the listener is never tried again.
    EmfileNoRetry,
    /// Out of descriptors: the listener is tried again at once, without end.
    EmfileSpin,
    /// A connection aborted before it was accepted ends accepting.
    AcceptErrorEndsAccepting,
    /// Connections are never ended for being idle.
    NoIdleTimeout,
    /// Activity does not put the idle deadline off.
    IdleNotLazy,
    /// A peer that reads nothing is never ended.
    NoWriteStall,
    /// A deadline earlier than the one already armed does not move the timer forward.
    EarlierDeadlineIgnored,
    /// Slots are reused inside the batch, and events are not checked against the generation.
    SlotReusedTooEarly,
    /// Reading goes on while output is over the high-water mark.
    NoReadPause,
    /// Reading does not resume when output has drained.
    NoResume,
    /// The hard cap on output is not enforced.
    NoOutputCap,
    /// The peer's FIN closes the connection before queued output is sent.
    EofDropsOutput,
    /// An error flag is believed before the bytes in front of it are read.
    ErrorBeforeData,
    /// A closing connection waits for its peer without a deadline.
    NoLingerDeadline,
    /// `closed` is not called for connections that end by error.
    ClosedNotCalled,
    /// Input a service left untaken is dropped.
    ResidueDropped,
    /// A mailbox message sent while the worker is awake wakes nobody.
    MailboxWakeLost,
    /// A drain leaves idle connections open past its deadline.
    DrainForgets,
    /// Connections are not counted down when they end.
    ConnectionCountLeaks,
    /// A call interrupted by a signal is taken for the end of the connection.
    InterruptedIsFatal,
    /// An interrupted read is taken for "nothing there".
    InterruptedIsWouldBlock,
    /// The tick loses the time its callbacks were late.
    TickDrifts,
    /// A service's deadline earlier than the one already armed does not move the timer forward.
    EarlierTickNotArmed,
    /// Input over its limit is kept growing.
    NoInputCap,
    /// A place taken for a newcomer is kept when nobody came.
    PlaceKept,
    /// A server that has handed its listeners over ends its connections.
    SupersededDrains,
    /// A server that has handed its listeners over goes on for ever, whoever stops it.
    SupersededForEver,
    /// A UDP socket that a successor has closes with datagrams still to be sent.
    SupersededUnsent,
    /// A TLS connection is closed without `close_notify`.
    CloseNotifyForgotten,
    /// A TLS handshake may take for ever.
    NoHandshakeDeadline,
    /// Decrypted input that found no room is not looked at before more arrives.
    PlaintextHeldBack,
    /// A TCP stream that ends without `close_notify` passes for a clean end.
    TruncationIsClean,
    /// A UDP socket's readiness is forgotten after a full batch.
    LostDatagramEdge,
    /// An event that tells of an error alone does not have the socket looked at.
    DatagramErrorNotRearmed,
    /// An error of a UDP socket ends receiving until the next event.
    DatagramErrorEndsReceiving,
    /// A datagram for which there is no room is dropped and not counted.
    BlockedDatagramLost,
    /// A full UDP socket is never registered for writing.
    RoomNotAwaited,
    /// Several datagrams received in one buffer are delivered as one.
    StrideIgnored,
    /// Datagrams of growing size are put into one call.
    SegmentsMixed,
    /// Datagrams to different peers are put into one call.
    SegmentsToOthers,
    /// The queue of a UDP socket has no bound.
    NoDatagramCap,
    /// A job's answer goes to whoever has its connection's slot now.
    AnswerToRecycled,
    /// Jobs are not cancelled when their connection is gone.
    CancelledJobAnswers,
    /// An answer that finds others waiting is dropped.
    AnswerLostWhenFull,
    /// A job that does not return is never answered.
    JobWithoutDeadline,
    /// A connection that moves leaves its untaken input behind.
    MoveForgetsInput,
    /// A connection with TLS that moves leaves behind what was decrypted and found no room.
    MoveForgetsDecrypted,
    /// An end of a relay is not read on when the other has sent what it was given.
    RelayDrainLost,
    /// The end of a stream is not passed on to the other end of a relay.
    RelayEofNotPassed,
    /// What the other end of a relay had no room for is dropped.
    RelayResidueDropped,
    /// What is in a pipe when a relay ends is dropped.
    RelayPipeLost,
    /// A reset at one end of a relay is passed on as the end of the stream.
    RelayResetIsEnd,
    /// A connection being made has no deadline.
    ConnectWithoutDeadline,
    /// Any event on a connection being made is taken for its success.
    ConnectBelievesEvents,
    /// A connection that failed is given up without a word to its service.
    ConnectFailsSilently,
    /// The slot of a connection that failed is never given back.
    ConnectSlotLeaks,
    /// What an event said of input is forgotten when the same event says that the connection is made.
    ConnectForgetsInput,
    /// A shutdown forgets the connections being made.
    ConnectForgottenByDrain,
    /// A TLS handshake of ours that failed is given up without a word to its service.
    HandshakeFailsSilently,
    /// An overloaded worker stays so, and lets nobody in.
    OverloadForEver,
    /// After an event that came too early, nobody looks again.
    ConnectLooksOnce,
    /// A listener that a change closes resets those who wait in its queue.
    ClosedQueueForgotten,
}

#[cfg(feature = "planted-faults")]
mod armed {
    use super::Fault;
    use std::cell::Cell;

    thread_local! {
        static ARMED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Arms `fault` on this thread, or disarms with `None`.
    pub fn plant(fault: Option<Fault>) {
        ARMED.set(fault);
    }

    pub(crate) fn planted(fault: Fault) -> bool {
        ARMED.get() == Some(fault)
    }
}

#[cfg(feature = "planted-faults")]
pub use armed::plant;
#[cfg(feature = "planted-faults")]
pub(crate) use armed::planted;

/// Whether `fault` is armed: never, in a build that is not for testing the tests.
#[cfg(not(feature = "planted-faults"))]
#[inline(always)]
pub(crate) const fn planted(_fault: Fault) -> bool {
    false
}
