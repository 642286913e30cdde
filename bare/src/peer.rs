//! One end of a connection: a codec between the bytes of a socket and somebody who speaks.

use core::fmt::{self, Write};

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use windlass_proto::{EncodeError, Input, PutSlice};

/// Bytes of a socket's buffer, in each direction.
const SOCKET: usize = 256;
/// Bytes of a message that has not come to its end, and of all that is said at once.
const MESSAGE: usize = 256;

/// Why a conversation did not come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// No connection could be begun.
    Connect,
    /// A peer broke the protocol, in the words of its decoder.
    Protocol(&'static str),
    /// What came was not what had to come.
    Unexpected(&'static str),
    /// What was to be said has no encoding.
    Encode(EncodeError),
    /// It does not fit into the memory that there is.
    Room,
    /// Nobody says anything any more, and not everything has been said.
    Silence,
    /// What happens cannot be written down.
    Log,
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Failure {
        Failure::Encode(error)
    }
}

impl From<fmt::Error> for Failure {
    fn from(_: fmt::Error) -> Failure {
        Failure::Log
    }
}

/// Who speaks.
pub(crate) trait Peer {
    /// The connection is there: the first word, if it is this end's.
    fn opened(&mut self, out: &mut PutSlice<'_>, log: &mut dyn Write) -> Result<(), Failure>;

    /// Bytes have come. Takes what is complete, and answers at most one message: what it says at once is bounded by
    /// that. False if nothing is complete.
    fn received(
        &mut self,
        input: &mut Input<'_>,
        out: &mut PutSlice<'_>,
        log: &mut dyn Write,
    ) -> Result<bool, Failure>;

    /// Whether this end has said and heard everything.
    fn is_done(&self) -> bool;
}

/// The memory of one end.
pub(crate) struct Buffers {
    receive: [u8; SOCKET],
    send: [u8; SOCKET],
    input: [u8; MESSAGE],
    out: [u8; MESSAGE],
}

impl Buffers {
    pub(crate) const fn new() -> Buffers {
        Buffers { receive: [0; SOCKET], send: [0; SOCKET], input: [0; MESSAGE], out: [0; MESSAGE] }
    }
}

/// One end of a connection.
pub(crate) struct End<'m, P> {
    pub(crate) peer: P,
    pub(crate) handle: SocketHandle,
    /// What has come and was not taken: a socket of smoltcp's is a ring, and a message may lie over its end.
    input: &'m mut [u8],
    received: usize,
    /// What was said and the socket has not taken.
    out: &'m mut [u8],
    said: core::ops::Range<usize>,
    opened: bool,
}

impl<'m, P: Peer> End<'m, P> {
    pub(crate) fn new(peer: P, memory: &'m mut Buffers, sockets: &mut SocketSet<'m>) -> End<'m, P> {
        let Buffers { receive, send, input, out } = memory;
        let (receive, send) =
            (tcp::SocketBuffer::new(&mut receive[..]), tcp::SocketBuffer::new(&mut send[..]));
        let handle = sockets.add(tcp::Socket::new(receive, send));
        End { peer, handle, input, received: 0, out, said: 0..0, opened: false }
    }

    /// Moves bytes, and lets the peer speak. Whether anything happened.
    pub(crate) fn turn(&mut self, sockets: &mut SocketSet<'_>, log: &mut dyn Write) -> Result<bool, Failure> {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.handle);
        let mut stirred = false;
        loop {
            if !self.said.is_empty() && socket.can_send() {
                let taken = socket.send_slice(&self.out[self.said.clone()]).map_err(|_| Failure::Silence)?;
                self.said.start += taken;
                stirred |= taken > 0;
            }
            // Backpressure: nothing is heard before everything is said.
            if !self.said.is_empty() || !self.speak(socket, log)? {
                break;
            }
            stirred = true;
        }
        // FIN from here once all is said; from there it has come, or will.
        if self.peer.is_done() && self.said.is_empty() && socket.may_send() {
            socket.close();
            stirred = true;
        }
        Ok(stirred)
    }

    /// Whether the peer said or heard something.
    fn speak(&mut self, socket: &mut tcp::Socket<'_>, log: &mut dyn Write) -> Result<bool, Failure> {
        let mut out = PutSlice::new(self.out);
        let mut spoke = false;
        if !self.opened && socket.may_send() {
            self.opened = true;
            self.peer.opened(&mut out, log)?;
            spoke = true;
        } else if self.opened {
            if socket.can_recv() {
                let room = &mut self.input[self.received..];
                self.received += socket.recv_slice(room).map_err(|_| Failure::Silence)?;
            }
            let mut input = Input::new(&mut self.input[..self.received]);
            spoke = self.peer.received(&mut input, &mut out, log)?;
            let rest = input.len();
            if rest == self.input.len() {
                return Err(Failure::Room);
            }
            self.input.copy_within(self.received - rest..self.received, 0);
            self.received = rest;
        }
        self.said = 0..out.whole().ok_or(Failure::Room)?.len();
        Ok(spoke)
    }

    /// Whether everything was said and heard, by this end, and the connection is over.
    pub(crate) fn is_over(&self, sockets: &SocketSet<'_>) -> bool {
        let socket = sockets.get::<tcp::Socket<'_>>(self.handle);
        let over = matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait);
        self.peer.is_done() && self.received == 0 && over
    }
}

/// Bytes as they are shown.
pub(crate) struct Hex<'b>(pub(crate) &'b [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}
