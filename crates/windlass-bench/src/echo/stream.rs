//! One connection of the generator: bytes it owes, bytes it waits for, and their verification.

use std::io::IoSlice;
use std::sync::Arc;

use crate::load::{Arrived, Fault, Line, Owed, Speech, Wire};
use crate::pattern::{Pattern, advance};

/// Pieces of one gathering write. Each is up to 64 KiB, so this is a mebibyte per call.
const SLICES: usize = 16;

/// Makes the connections of an echo load.
#[derive(Debug, Clone)]
pub(crate) struct EchoSpeech {
    /// Bytes of one message.
    pub(crate) size: usize,
    pub(crate) pattern: Arc<Pattern>,
}

impl EchoSpeech {
    pub(crate) fn new(size: usize) -> EchoSpeech {
        EchoSpeech { size, pattern: Arc::new(Pattern::new()) }
    }
}

impl Speech for EchoSpeech {
    type Line = Stream;

    fn line(&self, wire: Wire, number: usize) -> Stream {
        Stream::new(wire, number, self.size, self.pattern.clone())
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Stream {
    wire: Wire,
    pattern: Arc<Pattern>,
    /// Bytes of one message.
    size: u64,
    /// Where in the pattern the connection begins.
    start: usize,
    /// Place in the pattern of the next byte to send, and of the next to receive.
    tx: usize,
    rx: usize,
    /// Bytes the kernel has taken, over the connection's life, and bytes that came back.
    sent: u64,
    received: u64,
    /// Bytes received of the message that is not complete yet.
    partial: u64,
    /// Messages that were done when the connection began.
    before: u64,
    owed: Owed,
}

impl Stream {
    pub(crate) fn new(wire: Wire, index: usize, size: usize, pattern: Arc<Pattern>) -> Stream {
        let start = Pattern::start(index);
        Stream {
            wire,
            pattern,
            size: size as u64,
            start,
            tx: start,
            rx: start,
            sent: 0,
            received: 0,
            partial: 0,
            before: 0,
            owed: Owed::default(),
        }
    }

    /// Bytes the kernel took.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes asked for and not yet taken by the kernel.
    fn unsent(&self) -> u64 {
        (self.owed.issued - self.before) * self.size - self.sent
    }

    /// Verifies bytes that came back and counts the messages they complete.
    fn accept(&mut self, bytes: &[u8]) -> Result<u64, Fault> {
        let length = bytes.len() as u64;
        if let Err(at) = self.pattern.verify(self.rx, bytes) {
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
        self.owed.done += messages;
        Ok(messages)
    }
}

impl Line for Stream {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn owed(&self) -> &Owed {
        &self.owed
    }

    fn owed_mut(&mut self) -> &mut Owed {
        &mut self.owed
    }

    fn begun(&self) -> u64 {
        self.before + self.sent.div_ceil(self.size)
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        loop {
            let owed = usize::try_from(self.unsent()).unwrap_or(usize::MAX);
            if owed == 0 {
                return self.wire.push();
            }
            let first = self.pattern.piece(self.tx, owed);
            let taken = if first.len() == owed {
                self.wire.send(first)?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let used = self.pattern.slices(self.tx, owed, &mut slices);
                self.wire.send_slices(&slices[..used])?
            };
            let Some(taken) = taken else { return Ok(true) };
            self.tx = advance(self.tx, taken);
            self.sent += taken as u64;
        }
    }

    fn read(&mut self, scratch: &mut [u8]) -> Result<Option<Arrived>, Fault> {
        let Some(read) = self.wire.receive(scratch)? else { return Ok(None) };
        if read == 0 {
            return Err(Fault::Closed { owed: self.unsent() + self.sent - self.received, unit: "bytes" });
        }
        let messages = self.accept(&scratch[..read])?;
        let more = read == scratch.len() || !self.wire.short_read_is_last();
        Ok(Some(Arrived { messages, bytes: read as u64, more, over: false }))
    }

    fn renew(&mut self, wire: Wire) {
        self.wire = wire;
        (self.tx, self.rx) = (self.start, self.start);
        (self.sent, self.received, self.partial) = (0, 0, 0);
        self.before = self.owed.done;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn stream() -> Stream {
        let (socket, _) = UnixStream::pair().unwrap();
        let mut stream = EchoSpeech::new(100).line(Wire::Plain(socket.into()), 3);
        stream.owed.issue(10, 0);
        stream.sent = 1000;
        stream
    }

    #[test]
    fn messages_complete_over_any_cut() {
        for step in [1, 7, 99, 100, 101, 250, 1000] {
            let mut stream = stream();
            let bytes = stream.pattern.piece(stream.rx, 1000).to_vec();
            let whole: u64 = bytes.chunks(step).map(|part| stream.accept(part).unwrap()).sum();
            assert_eq!((whole, stream.owed.outstanding()), (10, 0), "in steps of {step}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let mut good = stream();
        let mut bytes = good.pattern.piece(good.rx, 1001).to_vec();
        assert_eq!(good.accept(&bytes), Err(Fault::Surplus));
        assert!(good.accept(&bytes[..300]).is_ok());
        bytes[444] ^= 0x80;
        assert_eq!(good.accept(&bytes[300..1000]), Err(Fault::Corrupt { offset: 444 }));
    }

    #[test]
    fn a_fresh_connection_owes_what_the_old_one_did() {
        let mut stream = stream();
        let bytes = stream.pattern.piece(stream.rx, 250).to_vec();
        assert_eq!(stream.accept(&bytes), Ok(2));
        let (socket, _) = UnixStream::pair().unwrap();
        stream.renew(Wire::Plain(socket.into()));
        assert_eq!((stream.unsent(), stream.begun(), stream.owed.outstanding()), (800, 2, 8));
    }
}
