//! Datagrams: what comes from one port of a client is a flow, with a socket of its own towards the other side, so that
//! answers find back.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use windlass::{Datagram, DatagramService, Outgoing, Socket, SocketId, Time};

/// Passes datagrams on to one place.
pub(crate) struct Relay {
    to: SocketAddr,
    flows_max: usize,
    idle: Duration,
    /// The sockets of flows, by whose they are.
    sockets: HashMap<SocketAddr, SocketId>,
    /// By the tags of their sockets, less one.
    flows: Vec<Option<Flow>>,
}

struct Flow {
    client: SocketAddr,
    /// Where the client is answered from.
    door: SocketId,
    asked: Option<IpAddr>,
    /// When something last passed.
    heard: Time,
}

impl Relay {
    pub(crate) fn new(to: SocketAddr, flows_max: usize, idle: Duration) -> Relay {
        Relay { to, flows_max, idle, sockets: HashMap::new(), flows: Vec::new() }
    }

    /// The socket towards the other side for whoever sent this; none if there are as many as there may be.
    fn flow(&mut self, door: &mut Socket<'_>, datagram: &Datagram<'_>) -> Option<SocketId> {
        if let Some(id) = self.sockets.get(&datagram.from) {
            return Some(*id);
        }
        if self.sockets.len() >= self.flows_max {
            return None;
        }
        let id = door.connect(self.to).ok()?;
        let at = match self.flows.iter().position(Option::is_none) {
            Some(at) => at,
            None => {
                self.flows.push(None);
                self.flows.len() - 1
            }
        };
        let now = door.now();
        self.flows[at] =
            Some(Flow { client: datagram.from, door: door.id(), asked: datagram.to, heard: now });
        self.sockets.insert(datagram.from, id);
        if let Some(mut socket) = door.other(id) {
            socket.set_tag(at as u64 + 1);
            socket.wake_at(now + self.idle);
        }
        Some(id)
    }

    /// The flow whose socket this is.
    fn of(&mut self, socket: &Socket<'_>) -> Option<&mut Flow> {
        self.flows.get_mut((socket.tag() as usize).checked_sub(1)?)?.as_mut()
    }

    fn end(&mut self, socket: &mut Socket<'_>) {
        let at = (socket.tag() as usize).checked_sub(1);
        if let Some(flow) = at.and_then(|at| self.flows.get_mut(at)).and_then(Option::take) {
            self.sockets.remove(&flow.client);
        }
        socket.close();
    }
}

impl DatagramService for Relay {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        let now = socket.now();
        if socket.peer().is_none() {
            let Some(id) = self.flow(socket, &datagram) else { return };
            let Some(mut there) = socket.other(id) else { return };
            there.send(datagram.bytes);
            if let Some(flow) = self.of(&there) {
                flow.heard = now;
            }
        } else if let Some(flow) = self.of(socket) {
            flow.heard = now;
            let (door, client, asked) = (flow.door, flow.client, flow.asked);
            if let Some(mut door) = socket.other(door) {
                door.send_out(Outgoing::new(client, datagram.bytes).from_asked(asked));
            }
        }
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        let (now, idle) = (socket.now(), self.idle);
        match self.of(socket).map(|flow| flow.heard + idle) {
            Some(at) if at > now => socket.wake_at(at),
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
