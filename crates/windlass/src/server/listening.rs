//! Opening what a server listens on, or going on with what was open before it.

use std::fmt;
use std::net::SocketAddr;

use crate::address::Address;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::parts;
use crate::sys::UdpBuffers;
use crate::sys::handover::Local;
use crate::sys::listen::{self, TcpOptions};
use crate::sys::udp::{self, UdpOptions};

use super::inherit::Group;
use super::paths::{AdoptedPath, UnixPaths};
use super::{WorkerListeners, WorkerSockets};

/// The longest a Unix listener's queue may be on this kind of system is its own affair; this only
/// keeps the number in range.
const BACKLOG_MAX: u32 = i32::MAX as u32;
/// Listeners opened so far.
pub(super) struct Listening {
    pub(super) per_worker: Vec<WorkerListeners>,
    pub(super) udp: Vec<WorkerSockets>,
    pub(super) addresses: Vec<BoundAddress>,
    /// For each of them our address on what comes to it, if that is the same for all.
    pub(super) locals: Vec<Option<SocketAddr>>,
    pub(super) unix_paths: UnixPaths,
    pub(super) adopted_paths: Vec<AdoptedPath>,
}

/// Whose a listener is: its number, that of its service, and the only worker it is for, if it is for one.
#[derive(Clone, Copy)]
pub(super) struct Whose {
    pub(super) id: u16,
    pub(super) service: u16,
    pub(super) pin: Option<usize>,
}

impl Listening {
    pub(super) fn new(workers: usize) -> Listening {
        let per_worker = (0..workers).map(|_| Vec::new()).collect();
        let udp = (0..workers).map(|_| Vec::new()).collect();
        Listening {
            per_worker,
            udp,
            addresses: Vec::new(),
            locals: Vec::new(),
            unix_paths: UnixPaths::default(),
            adopted_paths: Vec::new(),
        }
    }

    /// Listens where a predecessor did: every queue has a worker, and every worker a queue.
    fn adopt(&mut self, group: &Group, whose: Whose, config: &Config) -> std::io::Result<()> {
        let Whose { id, service, pin } = whose;
        if let Local::Udp(addr) = *group.local() {
            let workers = self.udp.len();
            for (n, socket) in group.udp(udp_buffers(config))?.into_iter().enumerate() {
                self.udp[pin.unwrap_or(n % workers)].push((socket, addr, id, service));
            }
            self.note(BoundAddress::Udp(addr), false);
            return Ok(());
        }
        let (backlog, congestion) = (backlog(config), config.congestion.clone());
        let options = &TcpOptions { backlog, congestion, ..TcpOptions::default() };
        let (queues, workers) = (group.sockets.len(), self.per_worker.len());
        for n in 0..queues.max(workers) {
            let listener = group.sockets[n % queues].passed.listener(options)?;
            self.per_worker[n % workers].push((listener, id, service));
        }
        let foreign = group.sockets.iter().any(|socket| socket.passed.is_transparent());
        let bound = match group.local() {
            Local::Tcp(addr) => BoundAddress::Tcp(*addr),
            Local::Unix(path) => {
                // What systemd made is for systemd to remove.
                if group.is_from_predecessor() {
                    self.adopted_paths.push(AdoptedPath::new(path.clone(), Some(id)));
                }
                BoundAddress::Unix(path.clone())
            }
            Local::Udp(_) | Local::Other(_) => return Err(std::io::ErrorKind::Unsupported.into()),
        };
        self.note(bound, foreign);
        Ok(())
    }

    /// Takes down where a listener listens; `foreign`: it may take in connections to other addresses.
    fn note(&mut self, bound: BoundAddress, foreign: bool) {
        let one = |addr: &SocketAddr| !foreign && !addr.ip().is_unspecified();
        self.locals.push(bound.tcp().filter(one));
        self.addresses.push(bound);
    }

    /// Sockets of a listener on each worker.
    pub(super) fn sockets_of(&self, id: u16) -> Vec<usize> {
        let workers = self.per_worker.iter().zip(&self.udp);
        let count = |(tcp, udp): (&WorkerListeners, &WorkerSockets)| {
            tcp.iter().filter(|(_, of, _)| *of == id).count()
                + udp.iter().filter(|(.., of, _)| *of == id).count()
        };
        workers.map(count).collect()
    }

    /// Opens a listener with its number, for a service with its own.
    pub(super) fn open(
        &mut self,
        address: &Address,
        whose: Whose,
        config: &Config,
        inherited: Option<Group>,
    ) -> Result<()> {
        let Whose { id, service, pin } = whose;
        if let Some(worker) = pin.filter(|worker| *worker >= self.udp.len()) {
            return Err(Error::config(format!("cannot listen: there is no worker {worker} for {address}")));
        }
        let failed = |e| Error::listen(&address.to_string(), e);
        let backlog = backlog(config);
        if parts::HANDOVER
            && let Some(group) = inherited
        {
            return self.adopt(&group, whose, config).map_err(failed);
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
                self.note(BoundAddress::Tcp(bound), false);
            }
            Address::Udp(_) if !parts::UDP => {
                return Err(failed(std::io::ErrorKind::Unsupported.into()));
            }
            Address::Udp(text) => self.open_udp(text, whose, config).map_err(|e| match e {
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
                self.note(BoundAddress::Unix(path.clone()), false);
            }
            #[cfg(not(unix))]
            Address::Unix(_) => return Err(failed(std::io::ErrorKind::Unsupported.into())),
        }
        Ok(())
    }
}

impl Listening {
    /// One socket per worker where the system spreads datagrams over them, else one for the first; or one for the only worker
    /// it is for.
    fn open_udp(
        &mut self,
        text: &str,
        Whose { id, service, pin }: Whose,
        config: &Config,
    ) -> std::result::Result<(), OpenError> {
        let workers = if listen::REUSE_PORT && pin.is_none() { self.udp.len() } else { 1 };
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
        self.udp[pin.unwrap_or(0)].push((first, bound, id, service));
        self.note(BoundAddress::Udp(bound), false);
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
