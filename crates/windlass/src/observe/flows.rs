//! What passes through each listener and each service.
//!
//! A connection that was accepted is counted in the row of its listener, one of our own in the row of its
//! service; so the hot path adds to one row, and a service is the sum of its own row and its listeners'.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::server::Handle;
use crate::shared::Shared;

/// What one worker has counted of one listener, or of one service's own connections.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flow {
    pub(crate) opened: u64,
    pub(crate) ended: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) datagrams_in: u64,
    pub(crate) datagrams_out: u64,
}

/// The published side of one row, on a cache line of its own: each worker writes to its.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct PublishedFlow([AtomicU64; 6]);

impl PublishedFlow {
    /// One for each worker.
    pub(crate) fn for_workers(workers: usize) -> Box<[PublishedFlow]> {
        (0..workers).map(|_| PublishedFlow::default()).collect()
    }

    fn store(&self, flow: &Flow) {
        let Flow { opened, ended, bytes_in, bytes_out, datagrams_in, datagrams_out } = *flow;
        let values = [opened, ended, bytes_in, bytes_out, datagrams_in, datagrams_out];
        for (published, value) in self.0.iter().zip(values) {
            published.store(value, Relaxed);
        }
    }

    fn add_to(&self, sum: &mut Flow) {
        let [opened, ended, bytes_in, bytes_out, datagrams_in, datagrams_out] =
            [0, 1, 2, 3, 4, 5].map(|n: usize| self.0[n].load(Relaxed));
        sum.opened += opened;
        sum.ended += ended;
        sum.bytes_in += bytes_in;
        sum.bytes_out += bytes_out;
        sum.datagrams_in += datagrams_in;
        sum.datagrams_out += datagrams_out;
    }
}

#[derive(Clone, Copy, Default)]
struct Row {
    flow: Flow,
    /// On the list of those to publish.
    touched: bool,
}

/// One worker's rows.
#[derive(Default)]
pub(crate) struct Flows {
    listeners: Vec<Row>,
    services: Vec<Row>,
    /// Rows to publish at the end of the turn: listeners, and behind them services.
    touched: Vec<Touched>,
}

#[derive(Clone, Copy)]
enum Touched {
    Listener(u16),
    Service(u16),
}

impl Flows {
    pub(crate) fn new(services: usize, listeners: usize) -> Flows {
        let mut flows = Flows::default();
        flows.grow(services, listeners);
        flows
    }

    /// Makes room for as many; none is ever taken away.
    pub(crate) fn grow(&mut self, services: usize, listeners: usize) {
        self.services.resize(services.max(self.services.len()), Row::default());
        self.listeners.resize(listeners.max(self.listeners.len()), Row::default());
        // Each is on the list once at most.
        self.touched.reserve(self.services.len() + self.listeners.len() - self.touched.len());
    }

    /// The row to count in: a connection of our own has no listener.
    #[inline]
    pub(crate) fn at(&mut self, service: u16, listener: u16) -> &mut Flow {
        let (row, name) = match self.listeners.get_mut(usize::from(listener)) {
            Some(row) => (row, Touched::Listener(listener)),
            None => (&mut self.services[usize::from(service)], Touched::Service(service)),
        };
        if !row.touched {
            row.touched = true;
            self.touched.push(name);
        }
        &mut row.flow
    }

    /// Publishes what this turn has touched.
    #[inline]
    pub(crate) fn publish(&mut self, shared: &Shared, worker: usize) {
        while let Some(touched) = self.touched.pop() {
            let (row, published) = match touched {
                Touched::Listener(n) => {
                    let published = shared.listeners.get(usize::from(n)).map(|listener| &listener.flows);
                    (&mut self.listeners[usize::from(n)], published)
                }
                Touched::Service(n) => {
                    let published = shared.services.get(usize::from(n)).map(|service| &service.flows);
                    (&mut self.services[usize::from(n)], published)
                }
            };
            row.touched = false;
            if let Some(published) = published.and_then(|workers| workers.get(worker)) {
                published.store(&row.flow);
            }
        }
    }
}

/// What a service has counted, on all workers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ServiceStats {
    /// The name given with [`Serve::name`](crate::Serve::name), or its type's.
    pub name: String,
    /// Connections it has now, those of its own making among them; those in a TLS handshake are not.
    pub connections: u64,
    /// Connections opened since the start.
    pub opened: u64,
    /// Bytes received, those of TLS records and of datagrams included.
    pub bytes_in: u64,
    /// Bytes sent, of the same kinds.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams handed to the system.
    pub datagrams_out: u64,
}

/// What a listener or bound UDP socket has counted, on all workers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Where it listens, as [`BoundAddress`](crate::BoundAddress) shows it.
    pub address: String,
    /// The name of its service.
    pub service: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Connections it has open now, those in a TLS handshake and those still closing included. While a
    /// worker looks for a newcomer, the place it holds for it counts.
    pub connections: u64,
    /// Connections opened since the start.
    pub opened: u64,
    /// Bytes received, those of TLS records and of datagrams included.
    pub bytes_in: u64,
    /// Bytes sent, of the same kinds.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams handed to the system.
    pub datagrams_out: u64,
}

impl Handle {
    /// What each service has counted, in the order in which they were added. Workers publish at the end
    /// of a turn, each its own part, so sums may lag by a turn.
    pub fn services(&self) -> Vec<ServiceStats> {
        let listeners = &self.shared.listeners;
        let services = self.shared.services.iter().enumerate().map(|(n, service)| {
            let mut sum = Flow::default();
            let rows = listeners.iter().filter(|listener| usize::from(listener.service) == n);
            let rows = rows.flat_map(|listener| &listener.flows).chain(&service.flows);
            rows.for_each(|published| published.add_to(&mut sum));
            ServiceStats {
                name: service.name.clone(),
                // Opened on one worker and ended on another, it may be seen to end first.
                connections: sum.opened.saturating_sub(sum.ended),
                opened: sum.opened,
                bytes_in: sum.bytes_in,
                bytes_out: sum.bytes_out,
                datagrams_in: sum.datagrams_in,
                datagrams_out: sum.datagrams_out,
            }
        });
        services.collect()
    }

    /// What each listener and bound UDP socket has counted, in the order of
    /// [`Bound::addresses`](crate::Bound::addresses).
    pub fn listeners(&self) -> Vec<ListenerStats> {
        let listeners = self.shared.listeners.iter().map(|listener| {
            let mut sum = Flow::default();
            listener.flows.iter().for_each(|published| published.add_to(&mut sum));
            let service = self.shared.services.get(usize::from(listener.service));
            #[cfg(feature = "tls")]
            let tls = listener.tls.is_some();
            #[cfg(not(feature = "tls"))]
            let tls = false;
            ListenerStats {
                address: listener.name.clone(),
                service: service.map(|service| service.name.clone()).unwrap_or_default(),
                tls,
                connections: listener.connections.load(Relaxed) as u64,
                opened: sum.opened,
                bytes_in: sum.bytes_in,
                bytes_out: sum.bytes_out,
                datagrams_in: sum.datagrams_in,
                datagrams_out: sum.datagrams_out,
            }
        });
        listeners.collect()
    }
}
