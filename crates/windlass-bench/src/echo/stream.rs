//! One connection of the generator: bytes it owes, bytes it waits for, and their verification.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, writev};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::pattern::{Pattern, advance};

/// Pieces of one gathering write. Each is up to 64 KiB, so this is a mebibyte per call.
const SLICES: usize = 16;

/// What went wrong on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A byte differs from what was sent; the offset counts from the start of the connection.
    Corrupt { offset: u64 },
    /// More bytes came back than were sent.
    Surplus,
    /// The server closed while replies were owed.
    Closed { owed: u64 },
    /// The kernel reported an error.
    Failed(Errno),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Corrupt { offset } => write!(f, "wrong byte at offset {offset}"),
            Fault::Surplus => write!(f, "more bytes came back than were sent"),
            Fault::Closed { owed } => write!(f, "the server closed and owes {owed} bytes"),
            Fault::Failed(error) => write!(f, "{error}"),
        }
    }
}

/// How a round of reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived {
    /// Whole messages that were completed.
    pub(crate) messages: u64,
    /// Bytes received.
    pub(crate) bytes: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) socket: OwnedFd,
    /// Bytes of one message.
    size: u64,
    /// Place in the pattern of the next byte to send, and of the next to receive.
    tx: usize,
    rx: usize,
    /// Bytes asked for and not yet taken by the kernel.
    unsent: u64,
    /// Bytes the kernel has taken, over the connection's life, and bytes that came back.
    sent: u64,
    received: u64,
    /// Bytes received of the message that is not complete yet.
    partial: u64,
    /// Messages asked for and messages completed.
    pub(crate) issued: u64,
    pub(crate) done: u64,
    /// The last moment at which something came back, or the wait for it began.
    pub(crate) progress: u64,
}

impl Stream {
    pub(crate) fn new(socket: OwnedFd, index: usize, size: usize) -> Stream {
        let start = Pattern::start(index);
        Stream {
            socket,
            size: size as u64,
            tx: start,
            rx: start,
            unsent: 0,
            sent: 0,
            received: 0,
            partial: 0,
            issued: 0,
            done: 0,
            progress: 0,
        }
    }

    /// Messages that have not come back.
    pub(crate) fn outstanding(&self) -> u64 {
        self.issued - self.done
    }

    /// Bytes that have come back.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes the kernel took.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Asks for `messages` more to be sent.
    pub(crate) fn issue(&mut self, messages: u64, now: u64) {
        if self.outstanding() == 0 {
            self.progress = now;
        }
        self.issued += messages;
        self.unsent += messages * self.size;
    }

    /// Hands what is owed to the kernel. True: the socket refused some of it.
    pub(crate) fn flush(&mut self, pattern: &Pattern) -> Result<bool, Fault> {
        while self.unsent > 0 {
            let owed = usize::try_from(self.unsent).unwrap_or(usize::MAX);
            let first = pattern.piece(self.tx, owed);
            let outcome = if first.len() == owed {
                send(&self.socket, first, SendFlags::NOSIGNAL)
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let used = pattern.slices(self.tx, owed, &mut slices);
                writev(&self.socket, &slices[..used])
            };
            match outcome {
                Ok(taken) => {
                    self.tx = advance(self.tx, taken);
                    self.unsent -= taken as u64;
                    self.sent += taken as u64;
                }
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Fault::Failed(error)),
            }
        }
        Ok(false)
    }

    /// Reads once into `scratch` and verifies. `None`: nothing is there.
    pub(crate) fn read(&mut self, pattern: &Pattern, scratch: &mut [u8]) -> Result<Option<Arrived>, Fault> {
        let read = loop {
            match recv(&self.socket, &mut *scratch, RecvFlags::empty()) {
                Ok((read, _)) => break read,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Fault::Failed(error)),
            }
        };
        if read == 0 {
            return Err(Fault::Closed { owed: self.unsent + self.sent - self.received });
        }
        self.accept(pattern, &scratch[..read]).map(Some)
    }

    /// Verifies bytes that came back and counts the messages they complete.
    fn accept(&mut self, pattern: &Pattern, bytes: &[u8]) -> Result<Arrived, Fault> {
        let length = bytes.len() as u64;
        if let Err(at) = pattern.verify(self.rx, bytes) {
            return Err(Fault::Corrupt { offset: self.received + at as u64 });
        }
        if self.received + length > self.sent {
            return Err(Fault::Surplus);
        }
        self.rx = advance(self.rx, bytes.len());
        self.received += length;
        self.partial += length;
        // Most reads complete exactly one message, and a division is slower than this test.
        let messages = if self.partial < self.size {
            0
        } else if self.partial == self.size {
            self.partial = 0;
            1
        } else {
            let messages = self.partial / self.size;
            self.partial %= self.size;
            messages
        };
        self.done += messages;
        Ok(Arrived { messages, bytes: length })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn stream() -> (Pattern, Stream) {
        let (socket, _) = UnixStream::pair().unwrap();
        let mut stream = Stream::new(socket.into(), 3, 100);
        stream.issue(10, 0);
        (stream.sent, stream.unsent) = (1000, 0);
        (Pattern::new(), stream)
    }

    #[test]
    fn messages_complete_over_any_cut() {
        for step in [1, 7, 99, 100, 101, 250, 1000] {
            let (pattern, mut stream) = stream();
            let bytes = pattern.piece(stream.rx, 1000).to_vec();
            let whole: u64 =
                bytes.chunks(step).map(|part| stream.accept(&pattern, part).unwrap().messages).sum();
            assert_eq!((whole, stream.outstanding()), (10, 0), "in steps of {step}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let (pattern, mut good) = stream();
        let mut bytes = pattern.piece(good.rx, 1001).to_vec();
        assert_eq!(good.accept(&pattern, &bytes), Err(Fault::Surplus));
        assert!(good.accept(&pattern, &bytes[..300]).is_ok());
        bytes[444] ^= 0x80;
        assert_eq!(good.accept(&pattern, &bytes[300..1000]), Err(Fault::Corrupt { offset: 444 }));
    }
}
