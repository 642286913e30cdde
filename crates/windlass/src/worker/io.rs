//! The driver and the streams, as the non-generic core sees them.

use std::io::{ErrorKind, IoSlice, Result};
use std::net::SocketAddr;

use windlass_proto::Time;

use crate::connect::Connect;
use crate::core::{Direct, TABLE_RESERVED_MAX};
use crate::observe::trace::{Of, Recorder};
use crate::parts;
use crate::sys::{Sys, Token};

pub(super) struct Io<Y: Sys> {
    pub(super) sys: Y,
    /// At the same index as the connections' slots.
    pub(super) streams: Vec<Option<Y::Stream>>,
    /// The same for UDP sockets.
    pub(super) udp: Vec<Option<Y::Udp>>,
    pub(super) pipes: Pipes<Y::Pipe>,
    /// There for a turn that is written down.
    pub(super) trace: Option<Box<Recorder>>,
}

/// The pipes of this worker's relays.
pub(super) struct Pipes<P> {
    table: Vec<Option<P>>,
    /// Empty ones, and numbers without one.
    idle: Vec<u32>,
    unused: Vec<u32>,
}

/// A slot in use has a stream; anything else is the engine's bug.
const NO_STREAM: &str = "an open connection has a stream";
/// A pipe's number stands for it until it is given back.
const NO_PIPE: &str = "a pipe in use is there";

/// Makes a call again that a signal interrupted. For calls nobody would come back to otherwise.
pub(super) fn again<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl<Y: Sys> Io<Y> {
    pub(super) fn new(sys: Y, connections_max: usize) -> Io<Y> {
        let mut streams = Vec::new();
        let _ = streams.try_reserve_exact(connections_max.min(TABLE_RESERVED_MAX));
        let pipes = Pipes { table: Vec::new(), idle: Vec::new(), unused: Vec::new() };
        Io { sys, streams, udp: Vec::new(), pipes, trace: None }
    }

    #[inline]
    pub(super) fn read(&mut self, index: u32, buf: &mut [u8]) -> Result<usize> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        let result = self.sys.read(stream, buf);
        if self.is_traced() {
            self.trace_read(index, &result);
        }
        result
    }

    /// Whether this turn is written down.
    #[inline]
    pub(super) fn is_traced(&self) -> bool {
        parts::OBSERVE && self.trace.is_some()
    }

    /// When a call begins, if the turn is written down.
    #[inline]
    pub(super) fn traced_from(&mut self) -> Option<Time> {
        if self.is_traced() { Some(self.sys.now()) } else { None }
    }

    /// Notes a call that is over.
    #[cold]
    pub(super) fn traced(&mut self, what: &'static str, of: Of, bytes: u64, began: Time) {
        let now = self.sys.now();
        if parts::OBSERVE
            && let Some(trace) = &mut self.trace
        {
            trace.inside(what, of, bytes, began, now);
        }
    }

    #[cold]
    fn trace_read(&mut self, index: u32, result: &Result<usize>) {
        let now = self.sys.now();
        let (bytes, detail) = match result {
            Ok(n) => (*n as u64, if *n == 0 { "the end" } else { "" }),
            Err(e) if e.kind() == ErrorKind::WouldBlock => (0, "nothing there"),
            Err(_) => (0, "failed"),
        };
        if parts::OBSERVE
            && let Some(trace) = &mut self.trace
        {
            trace.ended("read", Of::Slot(index), detail, bytes, now);
        }
    }

    #[cold]
    fn trace_sent(&mut self, index: u32, result: &Result<usize>, began: Time) {
        self.traced("flush", Of::Slot(index), result.as_ref().map_or(0, |n| *n as u64), began);
    }

    /// An empty pipe, unless there are `most` in use already or the system has none to give.
    pub(super) fn take_pipe(&mut self, most: usize) -> Option<u32> {
        let Pipes { table, idle, unused } = &mut self.pipes;
        if let Some(pipe) = idle.pop() {
            return Some(pipe);
        }
        if table.len() - unused.len() >= most {
            return None;
        }
        let made = self.sys.pipe()?;
        let number = unused.pop().unwrap_or(table.len() as u32);
        if number as usize == table.len() {
            table.push(None);
        }
        table[number as usize] = Some(made);
        Some(number)
    }

    /// Pipes open now.
    pub(super) fn pipes_open(&self) -> usize {
        self.pipes.table.len() - self.pipes.unused.len()
    }

    /// Fills an empty pipe from a connection.
    pub(super) fn splice_in(&mut self, index: u32, pipe: u32, len: usize) -> Result<usize> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        let pipe = self.pipes.table[pipe as usize].as_mut().expect(NO_PIPE);
        let result = self.sys.splice_in(stream, pipe, len);
        if self.is_traced() {
            self.trace_read(index, &result);
        }
        result
    }

    pub(super) fn take_error(&mut self, index: u32) -> Option<std::io::Error> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        self.sys.take_error(stream)
    }

    pub(super) fn insert(&mut self, index: u32, stream: Y::Stream) {
        let index = index as usize;
        if self.streams.len() <= index {
            self.streams.resize_with(index + 1, || None);
        }
        self.streams[index] = Some(stream);
    }

    /// Begins to connect; true if that was all.
    pub(super) fn connect(&mut self, index: u32, to: &Connect, congestion: Option<&str>) -> Result<bool> {
        let (stream, done) = again(|| self.sys.connect(&to.remote, to.source, congestion))?;
        self.insert(index, stream);
        Ok(done)
    }

    pub(super) fn connected(&mut self, index: u32) -> Result<bool> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        again(|| self.sys.connected(stream))
    }

    pub(super) fn register(&mut self, index: u32, generation: u32) -> Result<()> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        again(|| self.sys.register(stream, Token::conn(index, generation)))
    }

    pub(super) fn release(&mut self, index: u32) -> Result<()> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        again(|| self.sys.release(stream))
    }

    pub(super) fn take(&mut self, index: u32) -> Option<Y::Stream> {
        self.streams[index as usize].take()
    }

    /// Whether a connection that is done waits for its peer's end.
    pub(super) fn lingers(&self, index: u32) -> bool {
        self.streams[index as usize].as_ref().is_none_or(|stream| self.sys.lingers(stream))
    }

    pub(super) fn close(&mut self, index: u32, registered: bool, reset: bool) {
        if let Some(stream) = self.streams[index as usize].take() {
            self.sys.close(stream, registered, reset);
        }
    }
}

impl<Y: Sys> Direct for Io<Y> {
    #[inline]
    fn write(&mut self, index: u32, bytes: &[u8]) -> Result<usize> {
        let began = self.traced_from();
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        let result = self.sys.write(stream, bytes);
        if let Some(began) = began {
            self.trace_sent(index, &result, began);
        }
        result
    }

    fn writev(&mut self, index: u32, bufs: &[IoSlice<'_>]) -> Result<usize> {
        let began = self.traced_from();
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        let result = self.sys.writev(stream, bufs);
        if let Some(began) = began {
            self.trace_sent(index, &result, began);
        }
        result
    }

    fn want_write(&mut self, index: u32, generation: u32) -> Result<bool> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        again(|| self.sys.want_write(stream, Token::conn(index, generation)))
    }

    fn finish(&mut self, index: u32) -> Result<()> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        again(|| self.sys.finish(stream))
    }

    fn splice_out(&mut self, index: u32, pipe: u32, len: usize) -> Result<usize> {
        if !parts::CONNECT {
            return Err(ErrorKind::Unsupported.into());
        }
        let began = self.traced_from();
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        let pipe = self.pipes.table[pipe as usize].as_mut().expect(NO_PIPE);
        let result = self.sys.splice_out(pipe, stream, len);
        if let Some(began) = began {
            self.trace_sent(index, &result, began);
        }
        result
    }

    fn give_pipe(&mut self, pipe: u32, empty: bool) {
        if !parts::CONNECT {
            return;
        }
        if empty {
            self.pipes.idle.push(pipe);
        } else {
            self.pipes.table[pipe as usize] = None;
            self.pipes.unused.push(pipe);
        }
    }

    #[inline]
    fn short_ends(&self) -> bool {
        self.sys.short_ends()
    }

    fn random(&mut self) -> u64 {
        self.sys.random()
    }

    fn local_addr(&mut self, index: u32) -> Option<SocketAddr> {
        let stream = self.streams[index as usize].as_mut().expect(NO_STREAM);
        self.sys.local_addr(stream)
    }
}
