//! One end of a simulated stream: its buffers, what it has on the wire, and what it knows of the other.

use std::collections::VecDeque;

use super::errno::Errno;
use crate::sys::Token;

/// Names an end. The client's end of connection `n` is `2n`, the server's `2n + 1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EndId(pub(crate) u32);

impl EndId {
    pub(crate) fn peer(self) -> EndId {
        EndId(self.0 ^ 1)
    }

    /// The connection, as the trace numbers it.
    pub(crate) fn conn(self) -> u32 {
        self.0 / 2
    }

    pub(crate) fn is_server(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What travels from one end to the other, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece {
    /// So many of the bytes on the wire, with the end of the stream behind them or not.
    Bytes(usize, bool),
    Fin,
    Reset,
}

/// How far an end is with finishing its own half.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fin {
    No,
    /// Asked for; bytes go first.
    Queued,
    Sent,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The end of who connects, before the answer to its SYN.
    Opening,
    /// In the accept queue: the server's end before `accept`.
    Queued,
    Open,
    /// Given up by its owner. The system may still be sending what was written.
    Closed,
    /// Cut off without a word: it neither reads, nor acknowledges, nor sends.
    Vanished,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) state: State,
    /// The client that owns it, or that the other end belongs to.
    pub(crate) client: u32,
    /// A fault of the world (not of the server) hit this connection: its client is owed nothing.
    pub(crate) disturbed: bool,

    /// The worker has called, and not its peer.
    pub(crate) outbound: bool,
    /// Why that call failed.
    pub(crate) call_failed: Option<Errno>,

    // The sending half.
    /// Written and not yet on the wire.
    pub(crate) unsent: VecDeque<u8>,
    /// On the wire or arrived, and not acknowledged: still in the send buffer.
    pub(crate) unacked: usize,
    pub(crate) send_max: usize,
    pub(crate) fin: Fin,
    pub(crate) wire: VecDeque<Piece>,
    pub(crate) wire_bytes: VecDeque<u8>,
    /// When the last piece put on the wire arrives.
    pub(crate) wire_until: u64,
    pub(crate) window_update_due: bool,

    // The receiving half.
    pub(crate) arrived: VecDeque<u8>,
    /// So many of the last bytes of `arrived` are not to be seen yet (an injected short read).
    pub(crate) hidden: usize,
    pub(crate) receive_max: usize,
    pub(crate) fin_arrived: bool,
    pub(crate) reset_arrived: bool,
    /// Told once, by the next call; after that reads end and writes find a broken pipe.
    pub(crate) error: Option<Errno>,

    /// When it came to the accept queue.
    pub(crate) queued_at: u64,

    // Readiness, for an end the server holds.
    pub(crate) registered: Option<(usize, Token)>,
    /// On the ready list of its worker.
    pub(crate) marked: bool,
    /// A write has found too little room: tell when there is some.
    pub(crate) no_space: bool,
    /// Writes block until then, whatever room there is (an injected short write).
    pub(crate) blocked: bool,
    pub(crate) armed_read: bool,
    pub(crate) armed_write: bool,
    /// Whether write events are wanted (always, but on Unix sockets).
    pub(crate) write_interest: bool,

    // What oracles know of an end the server holds.
    /// The worker has registered it, now or before.
    pub(crate) was_registered: bool,
    /// The start of the turn in which the server last moved bytes on it, or accepted it.
    pub(crate) active: u64,
    /// Since when its output has been stuck, the last progress included.
    pub(crate) stalled_since: Option<u64>,
    pub(crate) finished_at: Option<u64>,
    /// The other end of a relay, and how much of what came from there was owed to this one when its
    /// service was told of its end in good order.
    pub(crate) coupled: Option<EndId>,
    pub(crate) owed: u64,
    pub(crate) written: u64,
    /// When its service was told of its end.
    pub(crate) ended_at: Option<u64>,
    /// Its client has sent `close_notify`.
    pub(crate) notified: bool,
    /// Since when it has been in a TLS handshake.
    pub(crate) shaking_since: Option<u64>,
    /// The reason it was told: label and text.
    pub(crate) closed_as: Option<(&'static str, String)>,
}

impl End {
    pub(crate) fn new(state: State, client: u32, send_max: usize, receive_max: usize) -> End {
        End {
            state,
            client,
            disturbed: false,
            outbound: false,
            call_failed: None,
            unsent: VecDeque::new(),
            unacked: 0,
            send_max,
            fin: Fin::No,
            wire: VecDeque::new(),
            wire_bytes: VecDeque::new(),
            wire_until: 0,
            window_update_due: false,
            arrived: VecDeque::new(),
            hidden: 0,
            receive_max,
            fin_arrived: false,
            reset_arrived: false,
            error: None,
            registered: None,
            marked: false,
            no_space: false,
            blocked: false,
            armed_read: true,
            armed_write: true,
            write_interest: true,
            was_registered: false,
            active: 0,
            stalled_since: None,
            finished_at: None,
            queued_at: 0,
            coupled: None,
            owed: 0,
            written: 0,
            ended_at: None,
            notified: false,
            shaking_since: None,
            closed_as: None,
        }
    }

    /// Bytes a read finds now.
    pub(crate) fn visible(&self) -> usize {
        self.arrived.len() - self.hidden
    }

    /// Whether a read would return at once: bytes, the end, or an error.
    pub(crate) fn readable(&self) -> bool {
        self.visible() > 0 || self.at_end()
    }

    /// Whether a read finds the end (or an error) and no byte before it.
    pub(crate) fn at_end(&self) -> bool {
        self.arrived.is_empty() && (self.fin_arrived || self.reset_arrived)
    }

    /// Room in the send buffer.
    pub(crate) fn space(&self) -> usize {
        if self.blocked { 0 } else { self.send_max.saturating_sub(self.unsent.len() + self.unacked) }
    }

    /// Whether the system reports the end as writable: a third of the buffer is free, or writing fails.
    pub(crate) fn writable(&self) -> bool {
        self.reset_arrived || self.fin != Fin::No || self.space() * 3 >= self.send_max
    }

    /// Takes up to `into.len()` visible bytes; the caller has checked what else there is to tell.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> usize {
        let n = self.visible().min(into.len());
        let (front, back) = self.arrived.as_slices();
        let first = n.min(front.len());
        into[..first].copy_from_slice(&front[..first]);
        into[first..n].copy_from_slice(&back[..n - first]);
        self.arrived.drain(..n);
        n
    }
}
