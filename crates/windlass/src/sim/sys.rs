//! The driver a worker gets in simulation: every call of the seam, answered by the world.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass_proto::Time;

use super::end::{EndId, Fin, State};
use super::errno::Errno;
use super::plan::{Edges, MILLI, log_draw};
use super::poller::Source;
use super::trace::{NONE, Who};
use super::world::{Dropped, Happening, ListenerId, World};
use crate::connect::Remote;
use crate::sys::{Outbound, Readiness, Received, Sys, Token, UdpBuffers, Wake};

pub(crate) struct SimSys {
    world: Rc<RefCell<World>>,
    worker: usize,
}

/// A stream: only its name. Dropped without a call to close it, it is closed as a descriptor would be.
pub(crate) struct SimStream {
    id: EndId,
    dropped: Arc<Mutex<Vec<Dropped>>>,
    closed: bool,
}

/// A pipe to splice through. What is in it is nowhere else.
pub(crate) struct SimPipe {
    bytes: Vec<u8>,
    capacity: usize,
}

pub(crate) struct SimListener {
    id: ListenerId,
    dropped: Arc<Mutex<Vec<Dropped>>>,
    closed: bool,
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if !self.closed
            && let Ok(mut dropped) = self.dropped.lock()
        {
            dropped.push(Dropped::Stream(self.id));
        }
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        if !self.closed
            && let Ok(mut dropped) = self.dropped.lock()
        {
            dropped.push(Dropped::Listener(self.id));
        }
    }
}

impl SimSys {
    pub(crate) fn new(world: Rc<RefCell<World>>, worker: usize) -> SimSys {
        SimSys { world, worker }
    }

    /// Starts a call: it takes its time, and what was dropped since the last one is closed.
    fn call<T>(&self, what: &'static str, on: u32, run: impl FnOnce(&mut World) -> Answer<T>) -> io::Result<T>
    where
        T: Traced,
    {
        let mut world = self.world.borrow_mut();
        world.now += world.plan.call_cost;
        world.counts.calls += 1;
        world.turn_calls += 1;
        assert!(world.turn_calls < TURN_CALLS_MAX, "a turn without end: {TURN_CALLS_MAX} calls");
        world.reap();
        let odds = world.plan.interrupted;
        let answer = if odds.hit(&mut world.rng) {
            // A turn for nothing that came of this is not the worker's fault.
            world.counts.progress += 1;
            Err(Errno::Interrupted)
        } else {
            run(&mut world)
        };
        let (value, result) = match &answer {
            Ok(value) => (value.traced(), ""),
            Err(errno) => (0, errno.name()),
        };
        let (now, who) = (world.now, Who::Worker(self.worker as u16));
        world.trace.note_result(now, who, what, on, value, result);
        answer.map_err(io::Error::from)
    }
}

/// Where clients of a simulated server connect to, as its connections tell it.
const LOCAL: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 7000));
/// More calls than any turn makes within its budgets.
const TURN_CALLS_MAX: u64 = 500_000;

type Answer<T> = Result<T, Errno>;

/// What the trace keeps of a call's result.
trait Traced {
    fn traced(&self) -> u64;
}

impl Traced for usize {
    fn traced(&self) -> u64 {
        *self as u64
    }
}

impl Traced for () {
    fn traced(&self) -> u64 {
        0
    }
}

impl Traced for bool {
    fn traced(&self) -> u64 {
        u64::from(*self)
    }
}

impl Traced for (usize, SocketAddr) {
    fn traced(&self) -> u64 {
        self.0 as u64
    }
}

impl Traced for (EndId, SocketAddr) {
    fn traced(&self) -> u64 {
        u64::from(self.0.conn())
    }
}

impl Traced for (EndId, bool) {
    fn traced(&self) -> u64 {
        u64::from(self.0.conn())
    }
}

impl World {
    /// Listens as a new group member and hands the listener out.
    pub(crate) fn open_listener(&mut self, group: usize) -> SimListener {
        let id = self.listen(group);
        SimListener { id, dropped: self.dropped.clone(), closed: false }
    }

    /// Another listener on the same accept queue.
    pub(crate) fn share_listener(&mut self, of: &SimListener) -> SimListener {
        self.open_shared(self.listeners[of.id.0].queue)
    }

    /// Another listener on a queue.
    pub(crate) fn open_shared(&mut self, queue: usize) -> SimListener {
        let id = self.share(queue);
        SimListener { id, dropped: self.dropped.clone(), closed: false }
    }

    pub(super) fn out_of_descriptors(&mut self) -> Option<Errno> {
        if self.exhausted {
            return Some(if self.rng.chance(1, 2) { Errno::SystemFiles } else { Errno::ProcessFiles });
        }
        (self.descriptors >= self.plan.descriptors_max).then_some(Errno::ProcessFiles)
    }

    /// Takes the first of a queue, whatever state it is in.
    fn take_queued(&mut self, listener: ListenerId) -> Answer<EndId> {
        let queue = self.listeners[listener.0].queue;
        let Some(id) = self.queues[queue].waiting.pop_front() else {
            self.listeners[listener.0].armed = true;
            return Err(Errno::WouldBlock);
        };
        let fails = self.plan.accept_fails;
        if self.end(id).reset_arrived && self.plan.aborted_accept {
            self.end_mut(id).state = State::Closed;
            return Err(Errno::ConnectionAborted);
        }
        if fails.hit(&mut self.rng) {
            self.refuse(id);
            let errors = [Errno::ConnectionAborted, Errno::Protocol, Errno::NetworkDown];
            return Err(errors[self.rng.below(3) as usize]);
        }
        Ok(id)
    }

    fn accept(&mut self, listener: ListenerId) -> Answer<(EndId, SocketAddr)> {
        assert!(!self.listeners[listener.0].closed, "accept on a closed listener");
        let queue = self.listeners[listener.0].queue;
        if (self.plan.emfile_first || !self.queues[queue].waiting.is_empty())
            && let Some(errno) = self.out_of_descriptors()
        {
            self.counts.accept_refused += 1;
            return Err(errno);
        }
        let id = self.take_queued(listener)?;
        let turn = self.turn_started;
        self.end_mut(id).state = State::Open;
        self.end_mut(id).active = turn;
        self.descriptors += 1;
        self.counts.accepted += 1;
        self.counts.progress += 1;
        let client = self.end(id).client;
        Ok((id, self.address(client, id.conn())))
    }

    fn shed(&mut self, listener: ListenerId) -> Answer<bool> {
        if !self.spare {
            // Perhaps there is one by the next time.
            self.spare = !self.exhausted && self.plan.spare.hit(&mut self.rng);
            return Ok(false);
        }
        let id = self.take_queued(listener)?;
        self.refuse(id);
        self.counts.shed += 1;
        self.counts.progress += 1;
        Ok(true)
    }

    fn register(&mut self, worker: usize, id: EndId, token: Token) -> Answer<()> {
        assert!(self.end(id).registered.is_none(), "connection #{} registered twice", id.conn());
        let fails = self.plan.register_fails;
        if fails.hit(&mut self.rng) {
            // The server has to give this one up, and that is not its fault.
            self.end_mut(id.peer()).disturbed = true;
            self.end_mut(id).disturbed = true;
            return Err(Errno::OutOfMemory);
        }
        let (unix, turn, shaking) = (self.plan.unix, self.turn_started, self.speaks_tls);
        let end = self.end_mut(id);
        end.registered = Some((worker, token));
        // One that moves has its handshake behind it.
        end.shaking_since = (shaking && !end.was_registered).then_some(turn);
        end.was_registered = true;
        end.active = turn;
        end.write_interest = !unix;
        self.now_registered(worker, Source::End(id), token);
        if self.end(id).outbound {
            self.calls.insert(token.id(worker as u16), id);
            self.early_events(worker, id, token);
        }
        self.report_present(worker, id);
        Ok(())
    }

    /// A new registration, or a changed one, reports what is there already.
    fn report_present(&mut self, worker: usize, id: EndId) {
        let end = self.end(id);
        let calling = end.state == State::Opening && end.error.is_none();
        let something = !calling && (end.readable() || (end.write_interest && end.writable()));
        if something && !end.marked {
            self.end_mut(id).marked = true;
            self.mark(worker, Source::End(id));
        }
    }

    fn read(&mut self, id: EndId, buf: &mut [u8]) -> Answer<usize> {
        if self.end(id).visible() == 0 {
            let end = self.end_mut(id);
            if end.hidden == 0 {
                if let Some(errno) = end.error.take() {
                    self.counts.progress += 1;
                    return Err(errno);
                }
                if end.at_end() {
                    return Ok(0);
                }
            }
            end.armed_read = true;
            return Err(Errno::WouldBlock);
        }
        let short = buf.len() > 1 && self.plan.short_read.hit(&mut self.rng);
        let most = if short { 1 + self.rng.below(buf.len() as u64 - 1) as usize } else { buf.len() };
        let n = self.end_mut(id).take(&mut buf[..most]);
        // Where a short read promises another event, the rest is not there yet.
        if n < buf.len() && self.plan.edges == Edges::Arrival {
            self.hide_rest(id);
            // With the end of the stream in sight nothing is hidden, so the event must come by itself.
            if self.end(id).visible() > 0 {
                self.read_edge(id);
            }
        }
        if !self.speaks_tls {
            self.trace.bytes(&buf[..n]);
        }
        self.moved(id, n);
        self.window_opens(id);
        Ok(n)
    }

    /// As `read`, into a pipe: how much comes at once depends on how it lies in the buffers, and less
    /// than was asked for says nothing about what is left.
    fn splice_in(&mut self, id: EndId, pipe: &mut SimPipe, len: usize) -> Answer<usize> {
        assert!(pipe.bytes.is_empty(), "connection #{}: spliced into a pipe that is not empty", id.conn());
        let most = len.min(pipe.capacity);
        let short = most > 1 && self.rng.chance(1, 3);
        let most = if short { 1 + self.rng.below(most as u64 - 1) as usize } else { most };
        if self.end(id).visible() == 0 {
            return self.read(id, &mut []);
        }
        pipe.bytes.resize(most, 0);
        let n = self.end_mut(id).take(&mut pipe.bytes);
        pipe.bytes.truncate(n);
        self.trace.bytes(&pipe.bytes);
        self.moved(id, n);
        self.window_opens(id);
        Ok(n)
    }

    fn splice_out(&mut self, pipe: &mut SimPipe, id: EndId, len: usize) -> Answer<usize> {
        assert!(pipe.bytes.len() >= len, "connection #{}: spliced from a pipe with less in it", id.conn());
        let n = self.write(id, &[&pipe.bytes[..len]])?;
        pipe.bytes.drain(..n);
        Ok(n)
    }

    fn moved(&mut self, id: EndId, n: usize) {
        let turn = self.turn_started;
        self.end_mut(id).active = turn;
        self.counts.bytes += n as u64;
        self.counts.progress += 1;
    }

    /// Writes what fits of `bufs`, in order.
    fn write(&mut self, id: EndId, bufs: &[&[u8]]) -> Answer<usize> {
        let wanted: usize = bufs.iter().map(|buf| buf.len()).sum();
        let turn = self.turn_started;
        let end = self.end_mut(id);
        if end.reset_arrived {
            // There is nothing left to be sent, and so nothing stuck.
            end.stalled_since = None;
        }
        if let Some(errno) = end.error.take() {
            return Err(errno);
        }
        if end.reset_arrived || end.fin != Fin::No {
            return Err(Errno::BrokenPipe);
        }
        let space = end.space();
        if space == 0 && wanted > 0 {
            end.no_space = true;
            end.armed_write = true;
            end.stalled_since.get_or_insert(turn);
            return Err(Errno::WouldBlock);
        }
        let mut n = space.min(wanted);
        if n < wanted {
            end.no_space = true;
        }
        if n > 1 && self.plan.short_write.hit(&mut self.rng) {
            n = 1 + self.rng.below(n as u64 - 1) as usize;
            // As if the buffer were full for a while.
            let late = if self.rng.chance(1, 2) { 0 } else { self.rng.below(2 * MILLI) };
            let end = self.end_mut(id);
            end.no_space = true;
            if !end.blocked {
                end.blocked = true;
                self.at(self.now + late, Happening::Unblock(id.0));
            }
        }
        let mut left = n;
        for buf in bufs {
            let part = left.min(buf.len());
            self.end_mut(id).unsent.extend(&buf[..part]);
            if !self.speaks_tls {
                self.trace.bytes(&buf[..part]);
            }
            left -= part;
        }
        // Stuck from here, if it did not take everything.
        self.end_mut(id).stalled_since = (n < wanted).then_some(turn);
        self.end_mut(id).written += n as u64;
        self.moved(id, n);
        self.pump(id);
        Ok(n)
    }
}

impl Sys for SimSys {
    type Listener = SimListener;
    type Stream = SimStream;
    /// Only its name.
    type Udp = usize;
    type Pipe = SimPipe;

    fn now(&mut self) -> Time {
        Time::from_nanos(self.world.borrow().now)
    }

    fn coarse_now(&mut self) -> Time {
        let now = self.world.borrow().now;
        Time::from_nanos(now - now % (4 * MILLI))
    }

    fn random(&mut self) -> u64 {
        self.world.borrow_mut().random.next_u64()
    }

    fn short_ends(&self) -> bool {
        self.world.borrow().plan.edges == Edges::Arrival
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.world.borrow().pollers[self.worker].waker.clone()
    }

    /// Never waits: it reports what there is. The scheduler moves time on when nobody has anything.
    fn poll(&mut self, timeout: Option<Duration>, mut mark: impl FnMut(Token, Readiness)) -> io::Result<()> {
        let asked = timeout.map_or(u64::MAX, |t| t.as_nanos() as u64);
        let worker = self.worker;
        let mut events = Vec::new();
        let polled = self.call("poll", NONE, |world| {
            world.trace.note(world.now, Who::Worker(worker as u16), "sleeps", NONE, asked);
            events = world.poll(worker);
            Ok(events.len())
        });
        match polled {
            Ok(_) => {}
            // As the real driver: the worker looks around and polls again.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(e) => return Err(e),
        }
        for (token, readiness) in events {
            mark(token, readiness);
        }
        Ok(())
    }

    fn batch_max(&self) -> usize {
        usize::MAX
    }

    fn waited(&mut self, stream: &SimStream) -> Option<Duration> {
        let mut world = self.world.borrow_mut();
        if world.plan.unix {
            return None;
        }
        let waited = world.now - world.end(stream.id).queued_at;
        world.wait_longest = world.wait_longest.max(waited);
        Some(Duration::from_millis(waited / MILLI))
    }

    fn arm_tick(&mut self, at: Option<Time>) -> bool {
        let mut world = self.world.borrow_mut();
        if !world.plan.precise_tick {
            return false;
        }
        let at = at.map(Time::as_nanos);
        world.pollers[self.worker].tick = at;
        world.pollers[self.worker].arms += 1;
        if let Some(at) = at {
            world.wake_world_at(at);
        }
        true
    }

    fn register_listener(&mut self, listener: &mut SimListener, token: Token) -> io::Result<()> {
        let (worker, id) = (self.worker, listener.id);
        let mut world = self.world.borrow_mut();
        world.listeners[id.0].registered = Some((worker, token));
        world.now_registered(worker, Source::Listener(id), token);
        let queue = world.listeners[id.0].queue;
        if !world.queues[queue].waiting.is_empty() {
            world.listeners[id.0].marked = true;
            world.mark(worker, Source::Listener(id));
        }
        Ok(())
    }

    fn accept(&mut self, listener: &mut SimListener) -> io::Result<(SimStream, Option<SocketAddr>)> {
        let id = listener.id;
        let (stream, addr) = self.call("accept", NONE, |world| world.accept(id))?;
        let unix = self.world.borrow().plan.unix;
        let stream = SimStream { id: stream, dropped: listener.dropped.clone(), closed: false };
        Ok((stream, (!unix).then_some(addr)))
    }

    fn shed(&mut self, listener: &mut SimListener) -> io::Result<bool> {
        let id = listener.id;
        self.call("shed", NONE, |world| world.shed(id))
    }

    fn close_listener(&mut self, mut listener: SimListener) {
        listener.closed = true;
        let mut world = self.world.borrow_mut();
        let now = world.now;
        world.trace.note(now, Who::Worker(self.worker as u16), "close listener", NONE, listener.id.0 as u64);
        world.close_listener(listener.id);
    }

    fn connect(
        &mut self,
        remote: &Remote,
        _source: Option<SocketAddr>,
        _congestion: Option<&str>,
    ) -> io::Result<(SimStream, bool)> {
        let worker = self.worker;
        let (id, done) = self.call("connect", NONE, |world| world.call(worker, remote))?;
        let dropped = self.world.borrow().dropped.clone();
        Ok((SimStream { id, dropped, closed: false }, done))
    }

    fn connected(&mut self, stream: &mut SimStream) -> io::Result<bool> {
        let id = stream.id;
        self.call("connected?", id.conn(), |world| world.is_connected(id))
    }

    fn register(&mut self, stream: &mut SimStream, token: Token) -> io::Result<()> {
        let (worker, id) = (self.worker, stream.id);
        self.call("register", id.conn(), |world| world.register(worker, id, token))
    }

    fn can_move(&self) -> bool {
        // As on Windows, where edges come so.
        self.world.borrow().plan.edges != Edges::Stingy
    }

    fn release(&mut self, stream: &mut SimStream) -> io::Result<()> {
        let id = stream.id;
        let mut world = self.world.borrow_mut();
        let (now, who) = (world.now, Who::Worker(self.worker as u16));
        world.trace.note(now, who, "release", id.conn(), 0);
        if let Some((worker, token)) = world.end_mut(id).registered.take() {
            world.deregistered(worker, Source::End(id), token);
        }
        world.end_mut(id).marked = false;
        world.counts.progress += 1;
        Ok(())
    }

    fn want_write(&mut self, stream: &mut SimStream, token: Token) -> io::Result<bool> {
        let (worker, id) = (self.worker, stream.id);
        if !self.world.borrow().plan.unix {
            return Ok(false);
        }
        self.call("want write", id.conn(), |world| {
            assert_eq!(world.end(id).registered, Some((worker, token)), "want_write with another token");
            world.end_mut(id).write_interest = true;
            world.report_present(worker, id);
            Ok(true)
        })
    }

    fn read(&mut self, stream: &mut SimStream, buf: &mut [u8]) -> io::Result<usize> {
        let id = stream.id;
        self.call("read", id.conn(), |world| world.read(id, buf))
    }

    fn write(&mut self, stream: &mut SimStream, buf: &[u8]) -> io::Result<usize> {
        let id = stream.id;
        self.call("write", id.conn(), |world| world.write(id, &[buf]))
    }

    fn writev(&mut self, stream: &mut SimStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let id = stream.id;
        let bufs: Vec<&[u8]> = bufs.iter().map(|buf| &**buf).collect();
        self.call("writev", id.conn(), |world| world.write(id, &bufs))
    }

    fn pipe(&mut self) -> Option<SimPipe> {
        let mut world = self.world.borrow_mut();
        let capacity = world.pipes.clone()?;
        if world.exhausted {
            return None;
        }
        let capacity = log_draw(&mut world.rng, &capacity) as usize;
        Some(SimPipe { bytes: Vec::new(), capacity })
    }

    fn splice_in(&mut self, stream: &mut SimStream, pipe: &mut SimPipe, len: usize) -> io::Result<usize> {
        let id = stream.id;
        self.call("splice in", id.conn(), |world| world.splice_in(id, pipe, len))
    }

    fn splice_out(&mut self, pipe: &mut SimPipe, stream: &mut SimStream, len: usize) -> io::Result<usize> {
        let id = stream.id;
        self.call("splice out", id.conn(), |world| world.splice_out(pipe, id, len))
    }

    fn local_addr(&mut self, _: &mut SimStream) -> Option<SocketAddr> {
        let unix = self.world.borrow().plan.unix;
        (!unix).then_some(LOCAL)
    }

    fn take_error(&mut self, stream: &mut SimStream) -> Option<io::Error> {
        let id = stream.id;
        let mut world = self.world.borrow_mut();
        let error = world.end_mut(id).error.take();
        let (now, who) = (world.now, Who::Worker(self.worker as u16));
        world.trace.note_result(now, who, "take error", id.conn(), 0, error.map_or("", Errno::name));
        error.map(io::Error::from)
    }

    fn finish(&mut self, stream: &mut SimStream) -> io::Result<()> {
        let id = stream.id;
        self.call("finish", id.conn(), |world| {
            let now = world.now;
            let end = world.end_mut(id);
            end.finished_at.get_or_insert(now);
            if end.reset_arrived {
                return Err(Errno::BrokenPipe);
            }
            if end.fin == Fin::No {
                end.fin = Fin::Queued;
                world.pump(id);
            }
            Ok(())
        })
    }

    fn close(&mut self, mut stream: SimStream, registered: bool, reset: bool) {
        stream.closed = true;
        let id = stream.id;
        let mut world = self.world.borrow_mut();
        let (now, who) = (world.now, Who::Worker(self.worker as u16));
        world.trace.note(now, who, if reset { "close by reset" } else { "close" }, id.conn(), 0);
        // The other way round is harmless: a system that knows nothing of it says so.
        if !registered && world.end(id).registered.is_some() {
            world.fail(format!("connection #{}: closed without being deregistered", id.conn()));
        }
        world.close_descriptor(id, reset);
    }

    fn connect_udp(&mut self, peer: SocketAddr, _: UdpBuffers) -> io::Result<(usize, SocketAddr)> {
        self.call("connect udp", NONE, |world| world.connect_udp(peer))
    }

    fn register_udp(&mut self, socket: &mut usize, token: Token) -> io::Result<()> {
        let (worker, id) = (self.worker, *socket);
        self.call("register udp", NONE, |world| world.register_udp(worker, id, token))
    }

    fn rename_udp(&mut self, socket: &mut usize, token: Token) -> io::Result<()> {
        let (worker, id) = (self.worker, *socket);
        self.call("rename udp", NONE, |world| world.rename_udp(worker, id, token))
    }

    fn want_room(&mut self, socket: &mut usize, token: Token, wanted: bool) -> io::Result<()> {
        let (worker, id) = (self.worker, *socket);
        self.call("want room", NONE, |world| world.want_room(worker, id, token, wanted))
    }

    fn retire_udp(&mut self, socket: &mut usize) -> io::Result<()> {
        let id = *socket;
        self.call("retire udp", NONE, |world| world.retire_udp(id))
    }

    fn receive(
        &mut self,
        socket: &mut usize,
        bufs: &mut [IoSliceMut<'_>],
        received: &mut [Received],
    ) -> io::Result<usize> {
        let id = *socket;
        self.call("receive", NONE, |world| world.receive_udp(id, bufs, received))
    }

    fn send(&mut self, socket: &mut usize, out: &Outbound<'_>) -> io::Result<()> {
        let id = *socket;
        self.call("send", NONE, |world| world.send_udp(id, out))
    }

    fn segments_max(&self, socket: &usize) -> usize {
        self.world.borrow().udp_segments_max(*socket)
    }

    fn close_udp(&mut self, socket: usize, registered: bool) {
        let mut world = self.world.borrow_mut();
        let (now, who) = (world.now, Who::Worker(self.worker as u16));
        world.trace.note(now, who, "close udp", NONE, socket as u64);
        world.close_udp(socket, registered);
    }
}
