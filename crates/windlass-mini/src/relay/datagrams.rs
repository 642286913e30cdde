//! Datagrams: what comes from one port of a client is a flow, with a socket of its own towards the other side, so that
//! answers find back.
//!
//! Anybody can make a flow, with a source that is forged, so there always is room for another: the one whose client was
//! silent longest makes way. Answers keep no flow alive, or whoever answers without end would.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use windlass::{Datagram, DatagramService, Outgoing, Socket, SocketId, Time};

/// No flow: an end of the line.
const NONE: usize = usize::MAX;

/// How many flows have made way for others.
pub(crate) type Evicted = Arc<AtomicUsize>;

/// Passes datagrams on to one place.
pub(crate) struct Relay {
    to: SocketAddr,
    evicted: Evicted,
    flows_max: usize,
    idle: Duration,
    /// Where flows are, by whose they are.
    places: HashMap<SocketAddr, usize>,
    /// By the tags of their sockets, less one.
    flows: Vec<Option<Flow>>,
    free: Vec<usize>,
    /// The two ends of the line in which flows stand: whose client was silent longest, and who spoke last.
    oldest: usize,
    newest: usize,
}

struct Flow {
    client: SocketAddr,
    socket: SocketId,
    /// Where the client is answered from.
    door: SocketId,
    asked: Option<IpAddr>,
    /// When the client last sent something.
    heard: Time,
    /// Its neighbours in the line.
    older: usize,
    newer: usize,
}

impl Relay {
    /// `flows_max` and `idle` are not 0.
    pub(crate) fn new(to: SocketAddr, flows_max: usize, idle: Duration, evicted: Evicted) -> Relay {
        Relay {
            to,
            evicted,
            flows_max,
            idle,
            places: HashMap::new(),
            flows: Vec::new(),
            free: Vec::new(),
            oldest: NONE,
            newest: NONE,
        }
    }

    /// The socket towards the other side for whoever sent this; none if none can be had, which the engine counts.
    fn flow(&mut self, door: &mut Socket<'_>, datagram: &Datagram<'_>) -> Option<SocketId> {
        let now = door.now();
        if let Some(&at) = self.places.get(&datagram.from) {
            self.leave_line(at);
            self.join_line(at);
            let flow = self.flows[at].as_mut()?;
            flow.heard = now;
            return Some(flow.socket);
        }
        if self.places.len() >= self.flows_max {
            self.evict(door);
        }
        let socket = match door.connect(self.to) {
            Ok(socket) => socket,
            Err(error) => {
                // This one is lost: a socket is gone only at the end of the turn.
                if is_short(&error) {
                    self.evict(door);
                }
                return None;
            }
        };
        let (client, asked, door_id) = (datagram.from, datagram.to, door.id());
        let flow = Flow { client, socket, door: door_id, asked, heard: now, older: NONE, newer: NONE };
        let at = self.free.pop().unwrap_or(self.flows.len());
        if at == self.flows.len() {
            self.flows.push(None);
        }
        self.flows[at] = Some(flow);
        self.places.insert(client, at);
        self.join_line(at);
        if let Some(mut socket) = door.other(socket) {
            socket.set_tag(at as u64 + 1);
            socket.wake_at(now + self.idle);
        }
        Some(socket)
    }

    /// Has the flow go whose client was silent longest.
    fn evict(&mut self, door: &mut Socket<'_>) {
        if let Some(flow) = self.forget(self.oldest)
            && let Some(mut socket) = door.other(flow.socket)
        {
            self.evicted.fetch_add(1, Ordering::Relaxed);
            // Whoever has its place from now on is not to be taken for it.
            socket.set_tag(0);
            socket.close();
        }
    }

    fn forget(&mut self, at: usize) -> Option<Flow> {
        self.flows.get(at)?.as_ref()?;
        self.leave_line(at);
        let flow = self.flows[at].take()?;
        self.places.remove(&flow.client);
        self.free.push(at);
        Some(flow)
    }

    /// As the one who spoke last.
    fn join_line(&mut self, at: usize) {
        let older = std::mem::replace(&mut self.newest, at);
        match self.flows.get_mut(older) {
            Some(Some(flow)) => flow.newer = at,
            _ => self.oldest = at,
        }
        if let Some(flow) = &mut self.flows[at] {
            (flow.older, flow.newer) = (older, NONE);
        }
    }

    fn leave_line(&mut self, at: usize) {
        let Some(flow) = &self.flows[at] else { return };
        let (older, newer) = (flow.older, flow.newer);
        match self.flows.get_mut(older) {
            Some(Some(flow)) => flow.newer = newer,
            _ => self.oldest = newer,
        }
        match self.flows.get_mut(newer) {
            Some(Some(flow)) => flow.older = older,
            _ => self.newest = older,
        }
    }

    fn end(&mut self, socket: &mut Socket<'_>) {
        if let Some(at) = place(socket) {
            self.forget(at);
        }
        socket.close();
    }
}

/// Whether sockets or descriptors have run out, so that another that goes is of use (ENFILE, EMFILE).
fn is_short(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::QuotaExceeded || matches!(error.raw_os_error(), Some(23 | 24))
}

/// Where the flow is whose socket this is.
fn place(socket: &Socket<'_>) -> Option<usize> {
    (socket.tag() as usize).checked_sub(1)
}

impl DatagramService for Relay {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        if socket.peer().is_none() {
            let Some(id) = self.flow(socket, &datagram) else { return };
            if let Some(mut there) = socket.other(id) {
                there.send(datagram.bytes);
            }
        } else if let Some(Some(flow)) = place(socket).and_then(|at| self.flows.get(at)) {
            let (door, client, asked) = (flow.door, flow.client, flow.asked);
            if let Some(mut door) = socket.other(door) {
                door.send_out(Outgoing::new(client, datagram.bytes).from_asked(asked));
            }
        }
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        let flow = place(socket).and_then(|at| self.flows.get(at)?.as_ref());
        match flow.map(|flow| flow.heard + self.idle) {
            Some(at) if at > socket.now() => socket.wake_at(at),
            _ => self.end(socket),
        }
    }

    fn draining(&mut self, socket: &mut Socket<'_>) {
        if socket.peer().is_some() {
            self.end(socket);
        } else {
            socket.close();
        }
    }
}
