//! What passes through each listener and each service.
//!
//! Each worker adds to rows of its own, by the numbers of listeners and services, and at the end of a turn adds
//! what it has touched to what is published, by name. Numbers are given again when a running server changes;
//! names stay.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::atomic::AtomicU64;
use crate::parts;
use crate::server::Handle;

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

/// One for each worker.
type ByWorker = Arc<[PublishedFlow]>;

impl PublishedFlow {
    /// Adds what one worker has counted; it alone does.
    fn add(&self, flow: &Flow) {
        let Flow { opened, ended, bytes_in, bytes_out, datagrams_in, datagrams_out } = *flow;
        let values = [opened, ended, bytes_in, bytes_out, datagrams_in, datagrams_out];
        for (published, value) in self.0.iter().zip(values).filter(|(_, value)| *value > 0) {
            published.store(published.load(Relaxed) + value, Relaxed);
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

fn sum(workers: &ByWorker) -> Flow {
    let mut sum = Flow::default();
    workers.iter().for_each(|published| published.add_to(&mut sum));
    sum
}

/// What is published, by name: whatever comes and goes while the server runs, what was counted under a name
/// stays and only grows.
#[derive(Default)]
pub(crate) struct Cells {
    services: Mutex<Vec<ServiceCell>>,
    listeners: Mutex<HashMap<String, ByWorker>>,
}

struct ServiceCell {
    name: Arc<str>,
    flows: ByWorker,
    /// Workers that have it.
    hosts: usize,
}

/// Addresses that nobody listens on any more are forgotten beyond so many.
const LISTENERS_KEPT: usize = 1024;

impl Cells {
    fn services(&self) -> MutexGuard<'_, Vec<ServiceCell>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A service is on so many workers more.
    pub(crate) fn host(&self, name: &Arc<str>, workers: usize, more: usize) -> ByWorker {
        let mut services = self.services();
        let n = services.iter().position(|service| service.name == *name).unwrap_or_else(|| {
            let flows = for_workers(workers);
            services.push(ServiceCell { name: name.clone(), flows, hosts: 0 });
            services.len() - 1
        });
        services[n].hosts += more;
        services[n].flows.clone()
    }

    pub(crate) fn of_service(&self, name: &Arc<str>, workers: usize) -> ByWorker {
        self.host(name, workers, 0)
    }

    /// A service has left one worker.
    pub(crate) fn leave(&self, name: &str) {
        if let Some(service) = self.services().iter_mut().find(|service| *service.name == *name) {
            service.hosts = service.hosts.saturating_sub(1);
        }
    }

    pub(crate) fn of_listener(&self, name: &str, workers: usize) -> ByWorker {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flows) = listeners.get(name) {
            return flows.clone();
        }
        if listeners.len() >= LISTENERS_KEPT {
            listeners.retain(|_, flows| Arc::strong_count(flows) > 1);
        }
        listeners.entry(name.to_string()).or_insert_with(|| for_workers(workers)).clone()
    }
}

fn for_workers(workers: usize) -> ByWorker {
    (0..workers).map(|_| PublishedFlow::default()).collect()
}

/// What one worker has counted since it last published.
#[derive(Clone, Default)]
struct Row {
    flow: Flow,
    /// On the list of those to publish.
    touched: bool,
    to: Option<ByWorker>,
}

/// One worker's rows.
#[derive(Default)]
pub(crate) struct Flows {
    listeners: Vec<Row>,
    services: Vec<Row>,
    /// Rows to publish at the end of the turn.
    touched: Vec<Touched>,
}

#[derive(Clone, Copy)]
enum Touched {
    Listener(u16),
    Service(u16),
}

impl Flows {
    /// What has this number among listeners is published there from now on.
    pub(crate) fn put_listener(&mut self, number: u16, to: ByWorker) {
        self.listeners.resize(self.listeners.len().max(usize::from(number) + 1), Row::default());
        self.listeners[usize::from(number)].to = Some(to);
        self.reserve();
    }

    /// The same for what has this number among services.
    pub(crate) fn put_service(&mut self, number: u16, to: ByWorker) {
        self.services.resize(self.services.len().max(usize::from(number) + 1), Row::default());
        self.services[usize::from(number)].to = Some(to);
        self.reserve();
    }

    /// Each row is on the list once at most.
    fn reserve(&mut self) {
        let rows = self.services.len() + self.listeners.len();
        self.touched.reserve(rows.saturating_sub(self.touched.len()));
    }

    /// Counts in the row of a service and, for all but what it makes itself, in that of a listener.
    #[inline]
    pub(crate) fn count(&mut self, service: u16, listener: u16, add: impl Fn(&mut Flow)) {
        if !parts::OBSERVE {
            return;
        }
        let Flows { listeners, services, touched } = self;
        if let Some(row) = services.get_mut(usize::from(service)) {
            add(&mut row.flow);
            if !row.touched {
                row.touched = true;
                touched.push(Touched::Service(service));
            }
        }
        if let Some(row) = listeners.get_mut(usize::from(listener)) {
            add(&mut row.flow);
            if !row.touched {
                row.touched = true;
                touched.push(Touched::Listener(listener));
            }
        }
    }

    /// Publishes what this turn has touched.
    #[inline]
    pub(crate) fn publish(&mut self, worker: usize) {
        while let Some(touched) = self.touched.pop() {
            let row = match touched {
                Touched::Listener(n) => &mut self.listeners[usize::from(n)],
                Touched::Service(n) => &mut self.services[usize::from(n)],
            };
            if let Some(published) = row.to.as_ref().and_then(|workers| workers.get(worker)) {
                published.add(&row.flow);
            }
            (row.flow, row.touched) = (Flow::default(), false);
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
    /// What each service has counted, in the order in which they came. Workers publish at the end of a turn,
    /// each its own part, so sums may lag by a turn. A service that was replaced by another of its name goes
    /// on counting; one that was removed is there until its last connection has ended.
    pub fn services(&self) -> Vec<ServiceStats> {
        let cells = self.shared.cells.services();
        let services = cells.iter().filter(|service| service.hosts > 0).map(|service| {
            let sum = sum(&service.flows);
            ServiceStats {
                name: service.name.to_string(),
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
    /// [`Handle::listener_connections`], those of one address together.
    pub fn listeners(&self) -> Vec<ListenerStats> {
        let (shared, mut all) = (&self.shared, Vec::<ListenerStats>::new());
        for listener in shared.listeners().iter().filter(|listener| !listener.is_over()) {
            let connections = listener.connections.load(Relaxed) as u64;
            if let Some(same) = all.iter_mut().find(|other| other.address == listener.name) {
                same.connections += connections;
                if !listener.removed.load(Relaxed) {
                    same.service.clone_from(&listener.service);
                }
                continue;
            }
            let sum = sum(&shared.cells.of_listener(&listener.name, shared.workers.len()));
            #[cfg(feature = "tls")]
            let tls = listener.tls.is_some();
            #[cfg(not(feature = "tls"))]
            let tls = false;
            all.push(ListenerStats {
                address: listener.name.clone(),
                service: listener.service.clone(),
                tls,
                connections,
                opened: sum.opened,
                bytes_in: sum.bytes_in,
                bytes_out: sum.bytes_out,
                datagrams_in: sum.datagrams_in,
                datagrams_out: sum.datagrams_out,
            });
        }
        all
    }
}
