//! Services of datagrams under simulation, and who talks to them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass::sim::{self, Sim};
use windlass::{
    Datagram, DatagramReceive, DatagramService, Mailbox, Outgoing, Scope, Socket, SocketId, Tick,
    WhenDatagramsFull, datagrams,
};

/// Sends everything back.
struct Echo;

impl DatagramService for Echo {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        socket.reply(&datagram, datagram.bytes);
    }
}

/// Peers with a window each: little enough that a network without losses owes them every answer.
pub(crate) fn echo_datagrams(sim: &mut Sim) {
    let peers = 1 + sim.rng().below(12) as usize;
    sim.serve(datagrams(|| Echo)).clients(peers, sim::datagram_peer);
}

/// The same, while another server takes over: it owes them every answer all the same.
pub(crate) fn succeeded_datagrams(sim: &mut Sim) {
    echo_datagrams(sim);
    sim.succession();
}

/// Keeps what it is sent for a tick, or for a message from elsewhere, and answers then: from outside the
/// socket's own callback.
struct Later {
    waiting: Vec<(SocketId, SocketAddr, Option<IpAddr>, Vec<u8>)>,
    mailbox: Mailbox<()>,
}

impl Later {
    fn answer(&mut self, scope: &mut Scope<'_>) {
        for (id, to, from, bytes) in self.waiting.drain(..) {
            if let Some(mut socket) = scope.socket(id) {
                let mut out = Outgoing::new(to, &bytes);
                out.from = from;
                socket.send_out(out);
            }
        }
    }
}

impl DatagramService for Later {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        let id = socket.id();
        self.waiting.push((id, datagram.from, datagram.to, datagram.bytes.to_vec()));
        if datagram.bytes.len().is_multiple_of(3) {
            let _ = self.mailbox.send(id.worker(), ());
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: Tick) {
        self.answer(scope);
    }
}

impl DatagramReceive for Later {
    type Message = ();

    fn receive(&mut self, scope: &mut Scope<'_>, _: ()) {
        self.answer(scope);
    }
}

/// An echo that answers at its next tick or message.
pub(crate) fn later_datagrams(sim: &mut Sim) {
    let peers = 1 + sim.rng().below(12) as usize;
    let mailbox = Mailbox::new();
    let made = mailbox.clone();
    let period = Duration::from_millis(1 + sim.rng().below(20));
    let service = datagrams(move || Later { waiting: Vec::new(), mailbox: made.clone() });
    sim.serve(service.mailbox(&mailbox).tick(period)).clients(peers, sim::datagram_peer);
}

/// Answers each datagram many times, into queues with little room.
struct Blast {
    times: usize,
    drained: bool,
}

impl DatagramService for Blast {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        for _ in 0..self.times {
            socket.reply(&datagram, datagram.bytes);
        }
        assert!(self.drained || socket.output_len() < 1 << 20);
    }

    fn drained(&mut self, socket: &mut Socket<'_>) {
        assert_eq!(socket.output_len(), 0, "drained with output left");
        self.drained = true;
    }
}

/// More answers than there is room for, under either policy.
pub(crate) fn blast_datagrams(sim: &mut Sim) {
    let times = 1 + sim.rng().below(200) as usize;
    let peers = 1 + sim.rng().below(4) as usize;
    let room = 1 << (6 + sim.rng().below(10));
    let many = 1 + sim.rng().below(50) as usize;
    let newest = sim.rng().chance(1, 2);
    sim.serve(datagrams(move || Blast { times, drained: false }))
        .clients(peers, sim::any_answer_peer)
        .limits(|limits| {
            limits.datagram_output_max = room;
            limits.datagrams_queued_max = many;
            limits.when_datagrams_full =
                if newest { WhenDatagramsFull::DropNewest } else { WhenDatagramsFull::DropOldest };
        });
}

/// Passes every flow on to one upstream, on a socket of its own that goes when it has been quiet.
struct Proxy {
    upstream: Arc<Mutex<Option<SocketAddr>>>,
    flows: HashMap<SocketAddr, SocketId>,
    downstreams: HashMap<SocketId, (SocketId, SocketAddr, Option<IpAddr>)>,
    quiet: Duration,
}

impl DatagramService for Proxy {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        if socket.peer().is_some() {
            let Some(&(id, to, from)) = self.downstreams.get(&socket.id()) else {
                panic!("a datagram on a flow that is gone");
            };
            socket.wake_at(socket.now() + self.quiet);
            if let Some(mut downstream) = socket.other(id) {
                let mut out = Outgoing::new(to, datagram.bytes);
                out.from = from;
                downstream.send_out(out);
            }
            return;
        }
        let mut upstream = self.upstream.lock().unwrap();
        if datagram.bytes == b"upstream" {
            *upstream = Some(datagram.from);
            return;
        }
        let Some(upstream) = *upstream else { return };
        let (listener, quiet) = (socket.id(), socket.now() + self.quiet);
        let flow = match self.flows.get(&datagram.from) {
            Some(&flow) => flow,
            None => {
                // Refused by the limit, or for the shutdown: lost, as datagrams are.
                let Ok(flow) = socket.connect(upstream) else { return };
                self.flows.insert(datagram.from, flow);
                self.downstreams.insert(flow, (listener, datagram.from, datagram.to));
                flow
            }
        };
        let mut flow = socket.other(flow).expect("a known flow is open");
        assert_eq!(flow.peer(), Some(upstream));
        flow.wake_at(quiet);
        flow.send(datagram.bytes);
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: io::Error) {
        if socket.peer().is_some() {
            assert_ne!(error.kind(), io::ErrorKind::WouldBlock);
            assert_ne!(error.kind(), io::ErrorKind::Interrupted);
        }
    }

    fn timeout(&mut self, socket: &mut Socket<'_>) {
        let (_, from, _) = self.downstreams.remove(&socket.id()).expect("its flow is known");
        self.flows.remove(&from);
        socket.close();
    }
}

/// The same, while another server takes over: flows stay, and answer through sockets that they share.
pub(crate) fn succeeded_proxy(sim: &mut Sim) {
    proxy_datagrams(sim);
    sim.succession();
}

/// A proxy with one upstream that is away now and then.
pub(crate) fn proxy_datagrams(sim: &mut Sim) {
    let upstream = Arc::new(Mutex::new(None));
    let quiet = Duration::from_millis(1 << sim.rng().below(10));
    let few = sim.rng().chance(1, 4);
    let make = move || Proxy {
        upstream: upstream.clone(),
        flows: HashMap::new(),
        downstreams: HashMap::new(),
        quiet,
    };
    let peers = 1 + sim.rng().below(8) as usize;
    sim.serve(datagrams(make)).clients(1, sim::responder).clients(peers, sim::forgiving_peer).limits(
        |limits| {
            if few {
                limits.sockets_max = 3;
            }
        },
    );
}
