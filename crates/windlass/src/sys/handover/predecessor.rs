//! The side that asks: a new process takes over from the one that serves. It may block, since nothing
//! is served here yet.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags};
use socket2::{Domain, SockAddr, Socket, Type};

use super::Passed;
use super::control::may_speak;
use super::protocol::{Answer, Ask, Incoming, Item, VERSION};

/// How long the predecessor may take for one answer: it gives it between two turns of a worker.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that has just handed over ends those who still wait to ask it; its successor listens on the
/// same queue.
const TRIES: usize = 3;
/// The most descriptors the system passes in one message (`SCM_MAX_FD`).
const MESSAGE_DESCRIPTORS_MAX: usize = 253;

/// The process that still serves, and waits to hear that we do. Dropped, it goes on.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    incoming: Incoming,
}

/// Its end tells a predecessor that we are gone.
#[allow(dead_code, reason = "held, and never spoken on")]
pub(crate) struct HeldLine(UnixStream);

/// What a predecessor hands over.
pub(crate) type Legacy = (Predecessor, Vec<(Item, Passed)>);

/// Asks the server behind `path` for its sockets; `None` if there is none.
pub(crate) fn ask(path: &Path) -> io::Result<Option<Legacy>> {
    let mut ended = io::ErrorKind::ConnectionAborted.into();
    for _ in 0..TRIES {
        let Some(stream) = connect(path)? else { return Ok(None) };
        let mut predecessor = Predecessor { stream, incoming: Incoming::default() };
        match predecessor.receive() {
            Ok(sockets) => return Ok(Some((predecessor, sockets))),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => ended = e,
            Err(e) => return Err(e),
        }
    }
    Err(ended)
}

fn connect(path: &Path) -> io::Result<Option<UnixStream>> {
    use io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full queue must not hold us up.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), NotFound | ConnectionRefused) => return Ok(None),
        Err(e) if e.kind() == WouldBlock => return Err(failed("too many others ask it")),
        Err(e) => return Err(e),
    }
    socket.set_nonblocking(false)?;
    if !may_speak(&socket)? {
        return Err(failed("it belongs to another user"));
    }
    let stream: UnixStream = socket.into();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(Some(stream))
}

fn failed(why: impl Into<String>) -> io::Error {
    io::Error::other(why.into())
}

impl Predecessor {
    fn receive(&mut self) -> io::Result<Vec<(Item, Passed)>> {
        // Whoever has ended already is found by reading.
        let _ = self.stream.write_all(Ask::Hello(VERSION).to_string().as_bytes());
        let mut descriptors = VecDeque::new();
        let offered = match self.answer(&mut descriptors)? {
            Answer::Offer(n) => n,
            answer => return Err(unexpected(answer)),
        };
        let mut sockets = Vec::new();
        while sockets.len() < offered {
            let item = match self.answer(&mut descriptors)? {
                Answer::Given(item) => item,
                answer => return Err(unexpected(answer)),
            };
            let fd =
                descriptors.pop_front().ok_or_else(|| failed("it sent a line without its descriptor"))?;
            sockets.push((item, Passed::new(fd)?));
        }
        Ok(sockets)
    }

    /// The next line; descriptors that come with it, or before, are put behind the others.
    fn answer(&mut self, descriptors: &mut VecDeque<OwnedFd>) -> io::Result<Answer> {
        loop {
            let line = self.incoming.line().map_err(|_| failed("it sent garbage"))?;
            if let Some(line) = line {
                return Answer::parse(&line).ok_or_else(|| failed(format!("it said `{line:.80}`")));
            }
            let mut bytes = [0; 4096];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_DESCRIPTORS_MAX))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let iov = &mut [IoSliceMut::new(&mut bytes)];
            let received =
                match rustix::net::recvmsg(&self.stream, iov, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(rustix::io::Errno::AGAIN) => return Err(failed("it does not answer")),
                    Err(rustix::io::Errno::CONNRESET) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    result => result?,
                };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    descriptors.extend(fds);
                }
            }
            if received.flags.contains(ReturnFlags::CTRUNC) {
                return Err(failed("not all of its descriptors could be taken"));
            }
            if received.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.incoming.push(&bytes[..received.bytes]);
        }
    }

    /// Says that `taken` is in good hands. An error means that the predecessor goes on serving, and that
    /// we must not; one that has died in the meantime is none. The line to it is to be held for as long
    /// as we are there.
    pub(crate) fn ready(mut self, taken: Vec<Item>) -> io::Result<HeldLine> {
        // If it has given us up it has said so, and the line is still there to be read.
        let _ = self.stream.write_all(Ask::Ready(taken).to_string().as_bytes());
        loop {
            match self.incoming.line().map(|line| line.as_deref().map(Answer::parse)) {
                Ok(Some(Some(Answer::Goodbye))) => return Ok(HeldLine(self.stream)),
                Ok(Some(Some(Answer::Refused(why)))) => return Err(failed(why)),
                Ok(None) => {}
                _ => return Err(failed("it sent garbage")),
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Dead; or it hangs, and will find our line before it looks at its clock again.
                Ok(0) | Err(_) => return Ok(HeldLine(self.stream)),
                Ok(n) => self.incoming.push(&bytes[..n]),
            }
        }
    }
}

fn unexpected(answer: Answer) -> io::Error {
    match answer {
        Answer::Refused(why) => failed(why),
        answer => failed(format!("it said `{}` out of turn", answer.to_string().trim_end())),
    }
}
