//! A server: listeners, workers, and the handle to stop and watch them. `listening.rs` opens what a
//! server listens on, `bound.rs` runs it, `handle.rs` watches and stops it. Read `start.rs` for the moment
//! in which it begins, and `inherit.rs` for listeners that were open before it.

mod bound;
mod changing;
mod estate;
mod handle;
mod inherit;
mod listening;
mod paths;
mod start;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::budget::{Budget, MemoryPlan};
use crate::config::{Config, TIMEOUT_MAX};
use crate::error::{Error, Result};
use crate::handover::Inherited;
use crate::parts;
use crate::serve::{OwnLimits, Serve, ServiceSpec};
use crate::service::Service;
use crate::shared::{ListenerShared, Shared};
use crate::sys::handover::{Item, Local, Passed};
use crate::sys::{self, MioListener, MioUdp, Token};
use crate::worker::Handoffs;
use crate::worker::datagrams::BoundUdp;

pub use bound::Bound;
pub(crate) use estate::Bequest;
pub use handle::{Handle, Summary};
pub use listening::BoundAddress;

use changing::{Changer, Ending, Made, Open, Place};
use estate::Estate;
use inherit::Legacy;
use listening::{Listening, Whose};
use paths::AdoptedPath;

/// Worker threads of one server.
const WORKERS_MAX: usize = 1024;
/// The shortest period of a tick.
const TICK_MIN: Duration = Duration::from_micros(100);
/// Descriptors kept free for everything that is not a connection: these, or a quarter where there are
/// so few that these would leave none for connections.
const DESCRIPTOR_RESERVE: usize = 64;

/// Several services on the same workers.
///
/// ```
/// # use windlass::{Close, Config, Conn, Input, Server, Service, serve};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> { Ok(()) }
/// #     fn data(&mut self, c: &mut Conn<'_>, _: &mut (), i: &mut Input<'_>) -> Result<(), Close> {
/// #         c.write(i.take_all()); Ok(())
/// #     }
/// # }
/// let bound = Server::new(Config::default().workers(1))
///     .add(serve(|| Echo).name("one").tcp("127.0.0.1:0"))
///     .add(serve(|| Echo).name("two").tcp("127.0.0.1:0"))
///     .bind()?;
/// assert_eq!(bound.addresses().len(), 2);
/// # Ok::<(), windlass::Error>(())
/// ```
pub struct Server {
    config: Config,
    services: Vec<Box<dyn ServiceSpec>>,
    inherited: Vec<Inherited>,
    handover_socket: Option<PathBuf>,
}

impl Server {
    /// A server without services.
    pub fn new(config: Config) -> Server {
        Server { config, services: Vec::new(), inherited: Vec::new(), handover_socket: None }
    }

    /// Adds a service with its listeners.
    #[allow(clippy::should_implement_trait, reason = "nobody takes a server for a number")]
    pub fn add<S: Service>(mut self, service: Serve<S>) -> Server {
        self.services.push(service.into_spec());
        self
    }

    /// Listens on sockets that are open already, where they fit an address: by where they listen, and
    /// for port 0 by their host. What fits none is closed, see [`Bound::left_over`]. From a
    /// predecessor with another number of workers, workers share accept queues so that none is left
    /// without somebody to accept from it. A UDP socket goes to one worker: where there are fewer of them
    /// than workers, the last ones have none.
    pub fn inherit(mut self, inherited: Inherited) -> Server {
        self.inherited.push(inherited);
        self
    }

    /// Hands every listener and bound UDP socket over to a successor that asks for them at the Unix socket
    /// `path` ([`Inherited::from_predecessor`](crate::Inherited::from_predecessor)). Only processes of our
    /// own user, or of root, may; its file has mode 0600. The server goes on until the successor is ready.
    /// Then it accepts no more, and receives nothing from its bound UDP sockets, which it keeps as long as
    /// answers may be under way ([`DatagramService`](crate::DatagramService)); its connections stay with it for
    /// [`Limits::handover_drain_timeout`](crate::Limits::handover_drain_timeout).
    ///
    /// Linux only; elsewhere `bind` says `Unsupported`.
    pub fn handover_socket(mut self, path: impl Into<PathBuf>) -> Server {
        self.handover_socket = Some(path.into());
        self
    }

    /// How its memory will be divided: `None` without [`Config::memory`]. Opens nothing.
    ///
    /// # Errors
    ///
    /// The budget is too little, or the limits cannot work.
    pub fn memory_plan(&self) -> Result<Option<MemoryPlan>> {
        Ok(self.divide(&self.config, self.workers()?)?.map(|budget| budget.plan))
    }

    /// The least [`Config::memory`] that would do, in bytes: a few times 64 KiB; `usize::MAX` if none would. It may be
    /// little more than what is needed, since with more memory some parts of it grow.
    ///
    /// # Errors
    ///
    /// The limits cannot work, or there are too many workers.
    pub fn memory_least(&self) -> Result<usize> {
        let (resolved, workers) = (resolve_limits(self.config.limits.clone())?, self.workers()?);
        Ok(Budget::least(&self.config, workers, &self.specs(), resolved.connections_max))
    }

    /// Whether it would start with such a [`Config::memory`].
    pub fn memory_suffices(&self, bytes: usize) -> bool {
        let config = Config { memory: bytes.max(1), ..self.config.clone() };
        self.workers().and_then(|workers| self.divide(&config, workers)).is_ok()
    }

    fn divide(&self, config: &Config, workers: usize) -> Result<Option<Budget>> {
        if !parts::BUDGET {
            return match config.memory {
                0 => Ok(None),
                _ => Err(Error::config("there is no budget of memory in this build")),
            };
        }
        let resolved = resolve_limits(config.limits.clone())?;
        Budget::new(config, workers, &self.specs(), resolved.connections_max)
    }

    fn specs(&self) -> Vec<&dyn ServiceSpec> {
        self.services.iter().map(|spec| &**spec).collect()
    }

    fn workers(&self) -> Result<usize> {
        let workers = match self.config.workers {
            0 if !parts::THREADS => 1,
            n if n > 1 && !parts::THREADS => return Err(Error::config("this build has one worker")),
            0 => thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        if workers > WORKERS_MAX {
            return Err(Error::config(format!("workers must be at most {WORKERS_MAX}")));
        }
        Ok(workers)
    }

    /// Opens every listener of every service. Nothing is accepted before [`Bound::run`], but
    /// connections already queue.
    pub fn bind(mut self) -> Result<Bound> {
        if let Some(error) = self.services.iter_mut().find_map(|service| service.take_error()) {
            return Err(error);
        }
        if !parts::HANDOVER && (!self.inherited.is_empty() || self.handover_socket.is_some()) {
            return Err(Error::config("there is no hand-over of sockets in this build"));
        }
        let workers = self.workers()?;
        let budget = self.divide(&self.config, workers)?.map(Arc::new);
        self.config.limits = resolve_limits(self.config.limits)?;
        if let Some(budget) = &budget {
            budget.bound(&mut self.config.limits);
            self.config.scratch_bytes = budget.scratch;
        }
        self.services.iter().try_for_each(|spec| check_service(&**spec))?;
        let mut legacy = Legacy::default();
        if parts::HANDOVER {
            legacy = Legacy::new(self.inherited)?;
            legacy.assign(self.services.iter().flat_map(|spec| spec.listen()));
        }
        let mut listening = Listening::new(workers);
        for (service, spec) in self.services.iter().enumerate() {
            for (n, address) in spec.listen().iter().enumerate() {
                let id = listening.addresses.len();
                let inherited = if parts::HANDOVER { legacy.take(id) } else { None };
                let whose = Whose { id: id as u16, service: service as u16, pin: spec.pin(n) };
                listening.open(address, whose, &self.config, inherited)?;
            }
        }
        let sockets: Vec<_> =
            (0..listening.addresses.len()).map(|id| listening.sockets_of(id as u16)).collect();
        let Listening { per_worker, mut udp, addresses, locals, mut unix_paths, mut adopted_paths } =
            listening;
        if per_worker.iter().any(|listeners| listeners.len() > Token::LISTENERS_MAX) {
            return Err(Error::config(format!("more than {} listeners", Token::LISTENERS_MAX)));
        }
        let asked = self.services.iter().enumerate();
        let asked =
            asked.flat_map(|(service, spec)| (0..spec.listen().len()).map(move |n| (service, spec, n)));
        let (mut listeners, mut open) = (Vec::new(), Vec::new());
        let bound = addresses.iter().zip(locals);
        for (((service, spec, n), (bound, local)), sockets) in asked.zip(bound).zip(sockets) {
            listeners.push(ListenerShared {
                name: bound.to_string(),
                service: spec.name().to_string(),
                tag: spec.tag(n),
                local,
                reserve: spec.reserve(),
                sockets: sockets.iter().sum::<usize>().into(),
                #[cfg(feature = "tls")]
                tls: spec.tls(n).cloned(),
                ..ListenerShared::default()
            });
            let (asked, bound, pin) = (spec.listen()[n].clone(), bound.clone(), spec.pin(n));
            open.push(Some(Open { asked, bound, service: service as u16, pin, sockets }));
        }
        let shared = Shared::new(self.config.clone(), workers, listeners).with_budget(budget.clone());
        let shared = Arc::new(shared);
        for spec in self.services.iter().filter(|_| parts::OBSERVE) {
            // In the order in which they were given.
            shared.cells.host(&spec.name(), workers, workers);
        }
        for spec in &self.services {
            if !spec.bind_mailbox(&shared) {
                return Err(Error::config("a mailbox, pool or resolver can be bound to one service only"));
            }
        }
        let mut estate = Estate::default();
        if parts::HANDOVER
            && let Some(path) = self.handover_socket
        {
            let failed = |e| Error::system(format!("cannot hand over at {}", path.display()), e);
            let at_path = |passed: &mut Passed| matches!(passed.local(), Local::Unix(at) if *at == path);
            let passed = legacy.control.take_if(at_path);
            let inherited = passed.is_some();
            estate = Estate::new(&path, passed, &per_worker, &mut udp, &shared).map_err(failed)?;
            if inherited {
                legacy.taken.push(Item::Control);
                adopted_paths.push(AdoptedPath::new(path, None));
            } else {
                unix_paths.push(path, None);
            }
        }
        if parts::HANDOVER {
            legacy.close_rest();
        }
        unix_paths.shared = Some(shared.clone());
        let there = |spec: Box<dyn ServiceSpec>| {
            let own = spec.own_limits();
            Place::There(spec.into(), own)
        };
        let made = Made {
            config: self.config,
            services: self.services.into_iter().map(there).collect(),
            listeners: open,
            unix_paths,
            hands_over: estate.control.is_some(),
        };
        let handed = budget.map_or(0, |budget| budget.handed);
        let changer = Changer::new(Arc::new(Handoffs::new(workers, handed)), made);
        if parts::CHANGE {
            let _ = shared.changes.set(Box::new(changer.clone()));
        }
        Ok(Bound {
            ending: Ending(changer),
            shared,
            addresses,
            per_worker,
            udp,
            adopted_paths,
            estate,
            legacy,
            on_ready: None,
            #[cfg(unix)]
            stop_pipe: None,
            #[cfg(target_os = "linux")]
            signals: None,
        })
    }
}

/// Checks limits, and gives those that are automatic their value.
fn resolve_limits(mut limits: crate::Limits) -> Result<crate::Limits> {
    limits.check().map_err(Error::config)?;
    if limits.connections_max == 0 {
        let descriptors = sys::descriptor_limit();
        limits.connections_max = (descriptors - DESCRIPTOR_RESERVE.min(descriptors / 4)).max(1);
    }
    Ok(limits)
}

/// Checks what a service says of itself.
fn check_service(spec: &dyn ServiceSpec) -> Result<()> {
    let name = spec.name();
    check_own(&name, &spec.own_limits())?;
    if spec.tick().is_some_and(|period| !(TICK_MIN..=TIMEOUT_MAX).contains(&period)) {
        return Err(Error::config(format!("the tick of {name} must be from 100 us to 20 days")));
    }
    Ok(())
}

fn check_own(name: &str, own: &OwnLimits) -> Result<()> {
    if own.idle_timeout.is_some_and(|timeout| timeout > TIMEOUT_MAX) {
        return Err(Error::config(format!("the idle timeout of {name} must be at most 20 days")));
    }
    Ok(())
}

type WorkerListeners = Vec<(MioListener, u16, u16)>;
type WorkerSockets = Vec<BoundUdp<MioUdp>>;
/// A socket's file, and the number of its listener; `None` for the control socket.
type SocketFile = (PathBuf, Option<u16>);
