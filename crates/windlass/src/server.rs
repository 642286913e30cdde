//! A server: listeners, workers, and the handle to stop and watch them. Read `server/start.rs` for the
//! moment in which it begins, and `server/inherit.rs` for listeners that were open before it.

mod inherit;
mod start;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::thread;
use std::time::Duration;

use crate::address::Address;
use crate::config::{Config, TIMEOUT_MAX};
use crate::error::{Error, Result};
use crate::handover::Inherited;
use crate::serve::{Serve, ServiceSpec};
use crate::service::Service;
use crate::shared::{Shared, Stall};
use crate::stats::Stats;
use crate::sys::handover::{self, Control, Item, Local, Passed, Twin};
use crate::sys::listen::{self, TcpOptions};
use crate::sys::udp::{self, UdpOptions};
use crate::sys::{self, MioListener, MioStream, MioSys, MioUdp, Token, UdpBuffers};
use crate::worker::datagrams::BoundUdp;
use crate::worker::{Handoffs, HostedService, Setup, Turn, Worker};

use inherit::{Group, Legacy};
use start::Start;

/// Worker threads of one server.
const WORKERS_MAX: usize = 1024;
/// The shortest period of a tick.
const TICK_MIN: Duration = Duration::from_micros(100);
/// Descriptors kept free for everything that is not a connection: these, or a quarter where there are
/// so few that these would leave none for connections.
const DESCRIPTOR_RESERVE: usize = 64;
/// The longest a Unix listener's queue may be on this kind of system is its own affair; this only
/// keeps the number in range.
const BACKLOG_MAX: u32 = i32::MAX as u32;

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
    /// Then it accepts no more, and closes its bound UDP sockets once what is queued on them has been sent;
    /// its connections stay with it for
    /// [`Limits::handover_drain_timeout`](crate::Limits::handover_drain_timeout).
    ///
    /// Linux only; elsewhere `bind` says `Unsupported`.
    pub fn handover_socket(mut self, path: impl Into<PathBuf>) -> Server {
        self.handover_socket = Some(path.into());
        self
    }

    /// Opens every listener of every service. Nothing is accepted before [`Bound::run`], but
    /// connections already queue.
    pub fn bind(mut self) -> Result<Bound> {
        self.config.limits.check().map_err(Error::config)?;
        if let Some(error) = self.services.iter_mut().find_map(|service| service.take_error()) {
            return Err(error);
        }
        let workers = match self.config.workers {
            0 => thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        if workers > WORKERS_MAX {
            return Err(Error::config(format!("workers must be at most {WORKERS_MAX}")));
        }
        for spec in &self.services {
            if spec.tick().is_some_and(|period| !(TICK_MIN..=TIMEOUT_MAX).contains(&period)) {
                let name = spec.name();
                return Err(Error::config(format!("the tick of {name} must be from 100 us to 20 days")));
            }
        }
        let connections_max = &mut self.config.limits.connections_max;
        if *connections_max == 0 {
            let descriptors = sys::descriptor_limit();
            *connections_max = (descriptors - DESCRIPTOR_RESERVE.min(descriptors / 4)).max(1);
        }
        let mut legacy = Legacy::new(self.inherited)?;
        legacy.assign(self.services.iter().flat_map(|spec| spec.listen()));
        let mut listening = Listening::new(workers);
        for (service, spec) in self.services.iter().enumerate() {
            for address in spec.listen() {
                let inherited = legacy.take(listening.addresses.len());
                listening.open(address, service as u16, &self.config, inherited)?;
            }
        }
        let Listening { per_worker, mut udp, addresses, mut unix_paths, mut adopted_paths } = listening;
        if per_worker.iter().any(|listeners| listeners.len() > Token::LISTENERS_MAX) {
            return Err(Error::config(format!("more than {} listeners", Token::LISTENERS_MAX)));
        }
        let names = addresses.iter().map(|a| a.to_string()).collect();
        #[cfg_attr(not(feature = "tls"), expect(unused_mut))]
        let mut shared = Shared::new(self.config, workers, names);
        #[cfg(feature = "tls")]
        {
            let addresses =
                self.services.iter().flat_map(|spec| (0..spec.listen().len()).map(|n| spec.tls(n)));
            for (listener, tls) in shared.listeners.iter_mut().zip(addresses) {
                listener.tls = tls.cloned();
            }
        }
        let shared = Arc::new(shared);
        for spec in &self.services {
            if !spec.bind_mailbox(&shared) {
                return Err(Error::config("a mailbox, pool or resolver can be bound to one service only"));
            }
        }
        let mut estate = Estate::default();
        if let Some(path) = self.handover_socket {
            let failed = |e| Error::system(format!("cannot hand over at {}", path.display()), e);
            let at_path = |passed: &mut Passed| matches!(passed.local(), Local::Unix(at) if *at == path);
            let passed = legacy.control.take_if(at_path);
            let inherited = passed.is_some();
            estate = Estate::new(&path, passed, &per_worker, &mut udp, &shared).map_err(failed)?;
            if inherited {
                legacy.taken.push(Item::Control);
                adopted_paths.push((path, None));
            } else {
                unix_paths.push(path, None);
            }
        }
        legacy.close_rest();
        unix_paths.shared = Some(shared.clone());
        Ok(Bound {
            services: Services(self.services.into()),
            shared,
            addresses,
            per_worker,
            udp,
            unix_paths,
            adopted_paths,
            estate,
            legacy,
            on_ready: None,
            #[cfg(unix)]
            stop_pipe: None,
        })
    }
}

type WorkerListeners = Vec<(MioListener, u16, u16)>;
type WorkerSockets = Vec<BoundUdp<MioUdp>>;
/// A socket's file, and the number of its listener; `None` for the control socket.
type SocketFile = (PathBuf, Option<u16>);

/// What is kept for a successor.
#[derive(Default)]
struct Estate {
    control: Option<Control>,
    twins: Vec<Vec<Twin>>,
}

impl Estate {
    fn new(
        path: &std::path::Path,
        passed: Option<Passed>,
        per_worker: &[WorkerListeners],
        udp: &mut [WorkerSockets],
        shared: &Shared,
    ) -> std::io::Result<Estate> {
        let listener = handover::open_control(path, passed)?;
        let (mut items, mut twins) = (Vec::new(), Vec::new());
        for listeners in per_worker {
            let mut of_worker = Vec::new();
            for (listener, id, _) in listeners {
                let twin = handover::twin(listener)?;
                items.push((Item::Listener(*id), twin.clone()));
                of_worker.push(twin);
            }
            twins.push(of_worker);
        }
        for (socket, _, id, _) in udp.iter_mut().flatten() {
            items.push((Item::Listener(*id), handover::udp_twin(socket)?));
        }
        let control = Control::new(listener, &items, shared.limits.handover_ready_timeout)?;
        Ok(Estate { control: Some(control), twins })
    }
}

/// Listeners opened so far.
struct Listening {
    per_worker: Vec<WorkerListeners>,
    udp: Vec<WorkerSockets>,
    addresses: Vec<BoundAddress>,
    unix_paths: UnixPaths,
    adopted_paths: Vec<SocketFile>,
}

impl Listening {
    fn new(workers: usize) -> Listening {
        let per_worker = (0..workers).map(|_| Vec::new()).collect();
        let udp = (0..workers).map(|_| Vec::new()).collect();
        Listening {
            per_worker,
            udp,
            addresses: Vec::new(),
            unix_paths: UnixPaths::default(),
            adopted_paths: Vec::new(),
        }
    }

    /// Listens where a predecessor did: every queue has a worker, and every worker a queue.
    fn adopt(&mut self, group: &Group, service: u16, config: &Config) -> std::io::Result<()> {
        let id = self.addresses.len() as u16;
        if let Local::Udp(addr) = *group.local() {
            let workers = self.udp.len();
            for (n, socket) in group.udp(udp_buffers(config))?.into_iter().enumerate() {
                self.udp[n % workers].push((socket, addr, id, service));
            }
            self.addresses.push(BoundAddress::Udp(addr));
            return Ok(());
        }
        let (backlog, congestion) = (backlog(config), config.congestion.clone());
        let options = &TcpOptions { backlog, congestion, ..TcpOptions::default() };
        let (queues, workers) = (group.sockets.len(), self.per_worker.len());
        for n in 0..queues.max(workers) {
            let listener = group.sockets[n % queues].passed.listener(options)?;
            self.per_worker[n % workers].push((listener, id, service));
        }
        self.addresses.push(match group.local() {
            Local::Tcp(addr) => BoundAddress::Tcp(*addr),
            Local::Unix(path) => {
                // What systemd made is for systemd to remove.
                if group.is_from_predecessor() {
                    self.adopted_paths.push((path.clone(), Some(id)));
                }
                BoundAddress::Unix(path.clone())
            }
            Local::Udp(_) | Local::Other(_) => return Err(std::io::ErrorKind::Unsupported.into()),
        });
        Ok(())
    }

    fn open(
        &mut self,
        address: &Address,
        service: u16,
        config: &Config,
        inherited: Option<Group>,
    ) -> Result<()> {
        let id = self.addresses.len() as u16;
        let failed = |e| Error::listen(&address.to_string(), e);
        let backlog = backlog(config);
        if let Some(group) = inherited {
            return self.adopt(&group, service, config).map_err(failed);
        }
        match address {
            Address::Tcp(text) => {
                let workers = self.per_worker.len();
                let mut options = TcpOptions {
                    backlog,
                    reuse_port: listen::REUSE_PORT && workers > 1,
                    first: true,
                    dual_stack: text.starts_with(':'),
                    congestion: config.congestion.clone(),
                };
                let candidates =
                    Address::resolve(text).map_err(|e| Error::config(format!("cannot listen: {e}")))?;
                let (first, bound) =
                    open_first(&candidates, text, |addr| listen::tcp(addr, &options)).map_err(failed)?;
                options.first = false;
                for worker in 1..workers {
                    // One accept queue each where the system spreads connections over them, one for
                    // all where it does not.
                    let listener = if options.reuse_port {
                        listen::tcp(bound, &options).map_err(failed)?.0
                    } else {
                        listen::share(&first).map_err(failed)?
                    };
                    self.per_worker[worker].push((listener, id, service));
                }
                self.per_worker[0].push((first, id, service));
                self.addresses.push(BoundAddress::Tcp(bound));
            }
            Address::Udp(text) => self.open_udp(text, service, config).map_err(|e| match e {
                OpenError::Address(e) => Error::config(format!("cannot listen: {e}")),
                OpenError::System(e) => failed(e),
            })?,
            #[cfg(unix)]
            Address::Unix(path) => {
                let first = listen::unix(path, backlog, false).map_err(failed)?;
                self.unix_paths.push(path.clone(), Some(id));
                for listeners in &mut self.per_worker[1..] {
                    listeners.push((listen::share(&first).map_err(failed)?, id, service));
                }
                self.per_worker[0].push((first, id, service));
                self.addresses.push(BoundAddress::Unix(path.clone()));
            }
            #[cfg(not(unix))]
            Address::Unix(_) => return Err(failed(std::io::ErrorKind::Unsupported.into())),
        }
        Ok(())
    }
}

impl Listening {
    /// One socket per worker where the system spreads datagrams over them, else one for the first.
    fn open_udp(&mut self, text: &str, service: u16, config: &Config) -> std::result::Result<(), OpenError> {
        let id = self.addresses.len() as u16;
        let workers = if listen::REUSE_PORT { self.udp.len() } else { 1 };
        let mut options = UdpOptions {
            reuse_port: workers > 1,
            first: true,
            dual_stack: text.starts_with(':'),
            buffers: udp_buffers(config),
        };
        let candidates = Address::resolve(text).map_err(OpenError::Address)?;
        let open = |addr, options: &UdpOptions| udp::bind(addr, options);
        let (first, bound) =
            open_first(&candidates, text, |addr| open(addr, &options)).map_err(OpenError::System)?;
        options.first = false;
        for worker in 1..workers {
            let (socket, _) = open(bound, &options).map_err(OpenError::System)?;
            self.udp[worker].push((socket, bound, id, service));
        }
        self.udp[0].push((first, bound, id, service));
        self.addresses.push(BoundAddress::Udp(bound));
        Ok(())
    }
}

fn backlog(config: &Config) -> i32 {
    config.limits.backlog_max.min(BACKLOG_MAX) as i32
}

fn udp_buffers(config: &Config) -> UdpBuffers {
    let limits = &config.limits;
    UdpBuffers { receive: limits.datagram_receive_buffer_bytes, send: limits.datagram_send_buffer_bytes }
}

enum OpenError {
    Address(crate::address::AddressError),
    System(std::io::Error),
}

/// Opens the first of `candidates` that can be. `:PORT` falls back to IPv4 on a machine without IPv6.
fn open_first<T>(
    candidates: &[SocketAddr],
    text: &str,
    open: impl Fn(SocketAddr) -> std::io::Result<T>,
) -> std::io::Result<T> {
    let mut last = std::io::ErrorKind::AddrNotAvailable.into();
    for &candidate in candidates {
        match open(candidate) {
            Ok(listening) => return Ok(listening),
            Err(e) => last = e,
        }
    }
    if text.starts_with(':') && last.kind() != std::io::ErrorKind::AddrInUse {
        let any = (std::net::Ipv4Addr::UNSPECIFIED, candidates[0].port()).into();
        return open(any);
    }
    Err(last)
}

/// Where a server listens, with the port the system chose.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BoundAddress {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A path.
    Unix(std::path::PathBuf),
    /// A UDP address.
    Udp(SocketAddr),
}

impl BoundAddress {
    /// The TCP address, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            BoundAddress::Tcp(addr) => Some(*addr),
            _ => None,
        }
    }

    /// The UDP address, if it is one.
    pub fn udp(&self) -> Option<SocketAddr> {
        match self {
            BoundAddress::Udp(addr) => Some(*addr),
            _ => None,
        }
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundAddress::Tcp(addr) => addr.fmt(f),
            BoundAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            BoundAddress::Udp(addr) => write!(f, "udp:{addr}"),
        }
    }
}

/// Socket files of ours, removed when the server is gone; unless one is no longer ours, since a server
/// that is draining no longer listens, and its successor may have taken the path or the very socket.
#[derive(Default)]
struct UnixPaths {
    files: Vec<(SocketFile, Option<FileMark>)>,
    shared: Option<Arc<Shared>>,
}

impl UnixPaths {
    fn push(&mut self, path: PathBuf, listener: Option<u16>) {
        let mark = file_mark(&path);
        self.files.push(((path, listener), mark));
    }
}

impl Drop for UnixPaths {
    fn drop(&mut self) {
        for ((path, listener), mark) in &self.files {
            let taken = self.shared.as_ref().is_some_and(|shared| match listener {
                Some(n) => shared.listeners[*n as usize].taken.load(Acquire),
                None => shared.control_taken.load(Acquire),
            });
            if !taken && mark.is_some() && file_mark(path) == *mark {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// What tells a file from another one in its place: device, inode, and the time it was made, since an
/// inode is soon used again.
type FileMark = (u64, u64, i64, i64);

#[cfg(unix)]
fn file_mark(path: &std::path::Path) -> Option<FileMark> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(not(unix))]
fn file_mark(_: &std::path::Path) -> Option<FileMark> {
    None
}

/// The services of a server; when it is gone, or never ran, their mailboxes say so.
struct Services(Arc<[Box<dyn ServiceSpec>]>);

impl Drop for Services {
    fn drop(&mut self) {
        for spec in self.0.iter() {
            spec.close_mailbox();
        }
    }
}

/// A server whose listeners are open.
pub struct Bound {
    services: Services,
    shared: Arc<Shared>,
    addresses: Vec<BoundAddress>,
    per_worker: Vec<WorkerListeners>,
    udp: Vec<WorkerSockets>,
    unix_paths: UnixPaths,
    /// Files of sockets that are ours only once their predecessor is told so.
    adopted_paths: Vec<SocketFile>,
    estate: Estate,
    legacy: Legacy,
    on_ready: Option<Box<dyn FnOnce() + Send>>,
    #[cfg(unix)]
    stop_pipe: Option<std::os::unix::net::UnixStream>,
}

impl Bound {
    /// Where it listens, in the order in which it was told to.
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.shared.workers.len()
    }

    /// Inherited sockets that no address asked for, in words. They are closed here; those who wait in
    /// their queues are seen to by whoever passed them.
    pub fn left_over(&self) -> &[String] {
        &self.legacy.left
    }

    /// Whether it takes over from a predecessor, which still serves.
    pub fn has_predecessor(&self) -> bool {
        self.legacy.predecessor.is_some()
    }

    /// Has `told` called once, when every worker listens and a predecessor, if there is one, has given
    /// way: the moment to print where it listens, or to tell a supervisor.
    pub fn on_ready(mut self, told: impl FnOnce() + Send + 'static) -> Bound {
        self.on_ready = Some(Box::new(told));
        self
    }

    /// A handle to stop and watch it from anywhere.
    pub fn handle(&self) -> Handle {
        Handle { shared: self.shared.clone() }
    }

    /// Takes every byte that arrives on `pipe` for a request to shut down: the first drains, the
    /// second stops at once. Meant for signals, whose handler may write to a pipe and do little else,
    /// so that a server on one worker needs no thread to wait for them.
    #[cfg(unix)]
    pub fn stop_pipe(mut self, pipe: std::os::unix::net::UnixStream) -> Bound {
        self.stop_pipe = Some(pipe);
        self
    }

    /// Serves until the server is shut down. Worker 0 runs on the calling thread, every other on one
    /// of its own.
    pub fn run(self) -> Result<Summary> {
        let Bound { services, shared, mut per_worker, mut udp, mut unix_paths, .. } = self;
        let Estate { mut control, mut twins } = self.estate;
        let (predecessor, taken, on_ready) = (self.legacy.predecessor, self.legacy.taken, self.on_ready);
        let opening = move || {
            if let Some((predecessor, path)) = predecessor {
                let failed =
                    |e| Error::system(format!("cannot take over from the server at {}", path.display()), e);
                predecessor.ready(taken).map_err(failed)?;
            }
            if let Some(told) = on_ready {
                told();
            }
            Ok(())
        };
        let start = Arc::new(Start::new(per_worker.len(), Box::new(opening)));
        let handoffs = Arc::new(Handoffs::<MioStream>::new(per_worker.len()));
        #[cfg(unix)]
        let mut stop_pipe = self.stop_pipe;
        #[cfg(unix)]
        let later_requests = stop_pipe.as_ref().and_then(|pipe| pipe.try_clone().ok());
        let (mut threads, mut failed) = (Vec::new(), None);
        for index in (1..per_worker.len()).rev() {
            let listeners = (per_worker.pop().unwrap_or_default(), udp.pop().unwrap_or_default());
            let twins = twins.pop().unwrap_or_default();
            let (services, handoffs) = (services.0.clone(), handoffs.clone());
            let (in_thread, start) = (shared.clone(), start.clone());
            let thread = thread::Builder::new().name(format!("windlass-{index}")).spawn(move || {
                let prepare = |sys: &mut MioSys| sys.keep_for_successor(twins, None);
                work(index, listeners, &services, in_thread, handoffs, &start, prepare)
            });
            match thread {
                Ok(thread) => threads.push(thread),
                Err(e) => {
                    failed = Some(Error::system("cannot start a worker", e));
                    break;
                }
            }
        }
        if let Some(e) = failed {
            // Those that were started wait for the others, or would.
            start.fail();
            for thread in threads {
                let _ = thread.join();
            }
            return Err(e);
        }
        let listeners = (per_worker.pop().unwrap_or_default(), udp.pop().unwrap_or_default());
        let mut result = work(0, listeners, &services.0, shared.clone(), handoffs, &start, |sys| {
            #[cfg(unix)]
            if let Some(pipe) = stop_pipe.take() {
                sys.watch_stop_pipe(pipe)?;
            }
            sys.keep_for_successor(twins.pop().unwrap_or_default(), control.take())
        });
        if start.has_begun() {
            self.adopted_paths.into_iter().for_each(|(path, listener)| unix_paths.push(path, listener));
        }
        #[cfg(unix)]
        if let Some(pipe) = later_requests {
            hear_requests(pipe, &threads, &shared);
        }
        for thread in threads {
            match thread.join() {
                Ok(worker) => result = result.and(worker),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        drop(unix_paths);
        result.map(|()| Summary { stats: Handle { shared }.stats() })
    }
}

/// Takes requests to stop while other workers still drain: worker 0, which watched the pipe, is gone.
#[cfg(unix)]
fn hear_requests(
    mut pipe: std::os::unix::net::UnixStream,
    threads: &[thread::JoinHandle<Result<()>>],
    shared: &Shared,
) {
    use std::io::Read;
    /// How long the end of the last worker may go unnoticed.
    const LOOK_EVERY: Duration = Duration::from_millis(10);

    if pipe.set_nonblocking(false).and_then(|()| pipe.set_read_timeout(Some(LOOK_EVERY))).is_err() {
        return;
    }
    while threads.iter().any(|thread| !thread.is_finished()) {
        match pipe.read(&mut [0; 16]) {
            Ok(0) => return,
            Ok(n) => (0..n).for_each(|_| shared.request_stop(false)),
            // Nothing yet, or a signal.
            Err(_) => {}
        }
    }
}

/// Stops the other workers when this one is gone for a reason that is none of theirs: a panic in a
/// callback, or a poll that failed. Half a server would be worse than none.
struct StopOthers<'a>(&'a Shared, &'a Start, bool);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        if !self.2 {
            self.0.request_stop(true);
            self.1.fail();
        }
    }
}

/// A worker's whole life.
fn work(
    index: usize,
    (listeners, sockets): (WorkerListeners, WorkerSockets),
    services: &[Box<dyn ServiceSpec>],
    shared: Arc<Shared>,
    handoffs: Arc<Handoffs<MioStream>>,
    start: &Start,
    prepare: impl FnOnce(&mut MioSys) -> std::io::Result<()>,
) -> Result<()> {
    let mut guard = StopOthers(&shared, start, false);
    let failed = |e| Error::system(format!("worker {index} failed"), e);
    let mut sys = MioSys::new().map_err(failed)?;
    prepare(&mut sys).map_err(failed)?;
    let services = services
        .iter()
        .map(|spec| HostedService { name: spec.name(), tick: spec.tick(), host: spec.host(index) })
        .collect();
    let setup = Setup { index, sys, listeners, sockets, services, shared: shared.clone(), handoffs };
    let mut worker = Worker::new(setup).map_err(failed)?;
    // Otherwise it never accepts anybody, and closes its listeners as they are.
    if start.wait()? {
        while worker.turn().map_err(failed)? == Turn::Running {}
    }
    guard.2 = true;
    Ok(())
}

/// Stops and watches a server, from any thread.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("workers", &self.shared.workers.len()).finish()
    }
}

impl Handle {
    /// Asks for a shutdown. The first request is graceful: the server stops accepting, tells its
    /// services, and lets connections finish up to
    /// [`Limits::drain_timeout`](crate::Limits::drain_timeout). The second aborts what is left.
    pub fn shutdown(&self) {
        self.shared.request_stop(false);
    }

    /// Aborts everything at once.
    pub fn stop_now(&self) {
        self.shared.request_stop(true);
    }

    /// Whether a successor has taken the listeners over; connections go on.
    pub fn is_superseded(&self) -> bool {
        self.shared.is_superseded()
    }

    /// Whether a shutdown has been asked for, or a successor has taken over.
    pub fn is_stopping(&self) -> bool {
        self.shared.stop_state() != crate::shared::RUNNING
    }

    /// What all workers have counted, added up. Each publishes once a turn.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for worker in &self.shared.workers {
            sum.add(&worker.stats.snapshot());
        }
        sum
    }

    /// What one worker has counted.
    pub fn worker_stats(&self, worker: usize) -> Option<Stats> {
        self.shared.workers.get(worker).map(|worker| worker.stats.snapshot())
    }

    /// Connections that are open, or on their way from one worker to another.
    pub fn connections(&self) -> usize {
        use std::sync::atomic::Ordering::Relaxed;
        self.shared.workers.iter().map(|worker| worker.load.load(Relaxed)).sum()
    }

    /// The connections each listener has open, in the order of [`Bound::addresses`]. While a worker looks
    /// for a newcomer, the place it holds for it counts.
    pub fn listener_connections(&self) -> Vec<(String, usize)> {
        use std::sync::atomic::Ordering::Relaxed;
        self.shared.listeners.iter().map(|l| (l.name.clone(), l.connections.load(Relaxed))).collect()
    }

    /// Callbacks that held a worker for too long since this was last asked; the 64 latest are kept.
    pub fn take_stalls(&self) -> Vec<Stall> {
        self.shared.take_stalls()
    }
}

/// What a server did, once it has stopped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The final counters.
    pub stats: Stats,
}

impl Summary {
    /// The share of the time the workers were busy, from 0 to 1, over `elapsed`.
    pub fn busy(&self, elapsed: Duration, workers: usize) -> f64 {
        let available = elapsed.as_nanos() as f64 * workers.max(1) as f64;
        if available > 0.0 { self.stats.counters.busy_nanos as f64 / available } else { 0.0 }
    }
}
