//! A line that speaks a protocol of requests and replies.
//!
//! What stands on the wire is a [`Talk`]'s, which sees neither socket nor clock; [`Talker`] moves the bytes.

use std::time::Duration;

use windlass_proto::Input;

use super::line::{Arrived, Fault, Line, Owed};
use super::wire::Wire;

/// No more is encoded while this much waits to be sent, so that a server that falls behind does not make
/// the generator grow.
const ROOM: usize = 64 * 1024;
/// How long what stands before the first message may take without a sign of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// A protocol, from the client's side, on one connection.
pub(crate) trait Talk: Send {
    /// Requests that may be under way at once, at the most.
    fn flight_max(&self) -> u64 {
        1024
    }

    /// Whether messages can be sent: what stands before the first is done.
    fn is_open(&self) -> bool {
        true
    }

    /// Whether the next request may be sent now.
    fn is_ready(&self) -> bool {
        true
    }

    /// Writes what stands before the first message, or the next part of it; again whenever all of it was
    /// sent, until the talk is open.
    fn open(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let _ = out;
        Ok(())
    }

    /// Writes the next request.
    fn ask(&mut self, out: &mut Vec<u8>) -> Result<(), Fault>;

    /// Takes what is complete, and compares it with what it must be: how many requests are answered by it.
    /// What has to be said to it at once goes to `out`.
    fn hear(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<u64, Fault>;

    /// The server has ended the connection: how many requests that answers.
    fn end(&mut self) -> Result<u64, Fault> {
        Ok(0)
    }

    /// Whether the connection is at its end in good order.
    fn is_over(&self) -> bool {
        false
    }

    /// Begins anew, on a fresh connection.
    fn renew(&mut self);
}

/// One connection that speaks a [`Talk`].
pub(crate) struct Talker<T> {
    wire: Wire,
    talk: T,
    /// Encoded and not taken by the kernel: what stands behind `at`.
    out: Vec<u8>,
    at: usize,
    /// Received and not complete.
    left: Vec<u8>,
    owed: Owed,
    begun: u64,
    received: u64,
}

impl<T: Talk> Talker<T> {
    pub(crate) fn new(wire: Wire, talk: T) -> Talker<T> {
        Talker {
            wire,
            talk,
            out: Vec::new(),
            at: 0,
            left: Vec::new(),
            owed: Owed::default(),
            begun: 0,
            received: 0,
        }
    }

    /// Says and hears what stands before the first message.
    pub(crate) fn open(&mut self) -> Result<(), Fault> {
        let mut scratch = vec![0; 16 * 1024];
        while !self.talk.is_open() {
            let blocked = self.flush()?;
            if self.read(&mut scratch)?.is_none() && !self.wire.wait(blocked, PATIENCE)? {
                return Err(Fault::Wrong(format!(
                    "no answer for {PATIENCE:?} to what stands before the first message"
                )));
            }
        }
        Ok(())
    }

    /// Sends one request and waits for its answer; then what was said and heard.
    pub(crate) fn exchange(mut self, now: u64) -> Result<T, Fault> {
        let mut scratch = vec![0; 16 * 1024];
        self.owed.issue(1, now);
        while self.owed.outstanding() > 0 {
            let blocked = self.flush()?;
            if self.read(&mut scratch)?.is_none() && !self.wire.wait(blocked, PATIENCE)? {
                return Err(Fault::Wrong(format!("no answer for {PATIENCE:?}")));
            }
        }
        Ok(self.talk)
    }

    fn encode(&mut self) -> Result<(), Fault> {
        if !self.talk.is_open() {
            return if self.out.is_empty() { self.talk.open(&mut self.out) } else { Ok(()) };
        }
        let most = self.owed.done + self.talk.flight_max();
        while self.begun < self.owed.issued.min(most) && self.out.len() < ROOM && self.talk.is_ready() {
            self.talk.ask(&mut self.out)?;
            self.begun += 1;
        }
        Ok(())
    }

    /// Hears what has arrived in `scratch`, behind what was left over.
    fn take(&mut self, scratch: &mut [u8]) -> Result<u64, Fault> {
        if self.left.is_empty() {
            let mut input = Input::new(scratch);
            let answered = self.talk.hear(&mut input, &mut self.out)?;
            self.left.extend_from_slice(input.peek());
            return Ok(answered);
        }
        self.left.extend_from_slice(scratch);
        let mut input = Input::new(&mut self.left);
        let answered = self.talk.hear(&mut input, &mut self.out)?;
        let left = input.len();
        self.left.drain(..self.left.len() - left);
        Ok(answered)
    }
}

impl<T: Talk> Line for Talker<T> {
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
        self.begun
    }

    fn received(&self) -> u64 {
        self.received
    }

    fn flush(&mut self) -> Result<bool, Fault> {
        loop {
            self.encode()?;
            if self.out.is_empty() {
                return self.wire.push();
            }
            match self.wire.send(&self.out[self.at..])? {
                None => return Ok(true),
                Some(sent) => self.at += sent,
            }
            if self.at == self.out.len() {
                self.out.clear();
                self.at = 0;
            }
        }
    }

    fn read(&mut self, scratch: &mut [u8]) -> Result<Option<Arrived>, Fault> {
        let Some(read) = self.wire.receive(scratch)? else { return Ok(None) };
        let messages = if read == 0 { self.talk.end()? } else { self.take(&mut scratch[..read])? };
        self.received += read as u64;
        self.owed.done += messages;
        if self.owed.done > self.begun {
            return Err(Fault::Surplus);
        }
        let over = self.talk.is_over();
        if read == 0 && !over {
            return Err(Fault::Closed { owed: self.owed.outstanding(), unit: "replies" });
        }
        let more = !over && (read == scratch.len() || !self.wire.short_read_is_last());
        Ok(Some(Arrived { messages, bytes: read as u64, more, over }))
    }

    fn renew(&mut self, wire: Wire) {
        self.wire = wire;
        self.out.clear();
        self.at = 0;
        self.left.clear();
        self.begun = self.owed.done;
        self.talk.renew();
    }
}
