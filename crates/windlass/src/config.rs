//! What can be set: plain data with defaults that are safe on the open network.

use std::time::Duration;

use crate::observe::LimitValue;

/// How a server runs. Plain data; start from `Config::default()` and set what you need.
///
/// ```
/// use windlass::{Config, Limits};
///
/// let config = Config::default().workers(2).limits(Limits { connections_max: 500, ..Limits::default() });
/// assert_eq!(config.limits.connections_max, 500);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Worker threads; 0 means one per core. One worker runs on the calling thread and no other is
    /// started. Default 0.
    pub workers: usize,
    /// What is bounded, and where.
    pub limits: Limits,
    /// Bytes of the one buffer each worker reads into. It decides how much a large transfer moves
    /// per system call. Default 256 KiB; clamped to 4 KiB..=16 MiB.
    pub scratch_bytes: usize,
    /// Hand an accepted connection to the least loaded worker when this worker has more connections
    /// than that one by at least this many. 0 never hands over. Default 2.
    pub rebalance_lead: usize,
    /// Congestion control of TCP connections, by the system's name for it ("cubic",
    /// "bbr"); `None` leaves the system's default. Linux and FreeBSD.
    pub congestion: Option<String>,
    /// Count every connection's bytes from its beginning, for [`Conn::traffic`](crate::Conn::traffic): 48 B
    /// more for each. Default false: they are counted while somebody looks.
    pub traffic: bool,
    /// One budget of memory for the whole server, in bytes: what its connections and their buffers take is
    /// divided and reserved before it starts ([`MemoryPlan`](crate::MemoryPlan)), and after that connections
    /// are opened, served and closed without an allocation. Limits are lowered to what there is room for, and
    /// `connections_max` follows from the budget where it is 0. Not in it: the program's own code and stacks,
    /// what the kernel keeps for sockets, and what a service allocates by itself. Default 0: no budget, and
    /// memory is taken as it is needed. Any other is an error in a build without the feature `budget`.
    pub memory: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            workers: 0,
            limits: Limits::default(),
            scratch_bytes: 256 * 1024,
            rebalance_lead: 2,
            congestion: None,
            traffic: false,
            memory: 0,
        }
    }
}

impl Config {
    /// Sets [`Config::workers`].
    pub fn workers(mut self, workers: usize) -> Config {
        self.workers = workers;
        self
    }

    /// Sets [`Config::limits`].
    pub fn limits(mut self, limits: Limits) -> Config {
        self.limits = limits;
        self
    }

    /// Sets [`Config::memory`].
    pub fn memory(mut self, bytes: usize) -> Config {
        self.memory = bytes;
        self
    }
}

/// What to do with a newcomer when a limit on connections is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenFull {
    /// Leave it in the system's accept queue until there is room: it waits.
    #[default]
    Wait,
    /// Accept and reset it at once, so that it can try elsewhere.
    Shed,
}

/// What a worker does with newcomers while it is overloaded: see [`Limits::overload_lag_max`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenOverloaded {
    /// Leave them in the system's accept queue. Nobody is sent away as long as that has room, and those who
    /// are let in have waited as long as it is.
    Wait,
    /// Accept and reset them at once, also those who have waited too long already, so that those who are let
    /// in are served in time and the others can try elsewhere.
    #[default]
    Shed,
}

/// What to do with a datagram that a socket's queue has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenDatagramsFull {
    /// Drop that one: what has been promised first goes first.
    #[default]
    DropNewest,
    /// Drop those that have waited longest until it fits: what is new is worth more.
    DropOldest,
}

/// One limit, to be set: see [`Limits::each_mut`].
#[derive(PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LimitMut<'l> {
    /// So many bytes.
    Bytes(&'l mut usize),
    /// So many of something.
    Count(&'l mut usize),
    /// The same.
    Number(&'l mut u32),
    /// So long.
    Time(&'l mut Duration),
    /// What happens when a server is full.
    Full(&'l mut WhenFull),
    /// What happens when a worker is overloaded.
    Overloaded(&'l mut WhenOverloaded),
    /// What happens when a socket's queue is full.
    DatagramsFull(&'l mut WhenDatagramsFull),
}

macro_rules! limit_mut {
    ($($variant:ident: $ty:ty,)*) => {
        $(impl<'l> From<&'l mut $ty> for LimitMut<'l> {
            fn from(limit: &'l mut $ty) -> LimitMut<'l> {
                LimitMut::$variant(limit)
            }
        })*
    };
}

limit_mut! {
    Count: usize,
    Number: u32,
    Time: Duration,
    Full: WhenFull,
    Overloaded: WhenOverloaded,
    DatagramsFull: WhenDatagramsFull,
}

/// Limits that are counts of bytes. The others are counts of something else.
pub(crate) const BYTES: &[&str] = &[
    "read_budget_bytes",
    "input_max",
    "output_high",
    "output_low",
    "output_max",
    "buffered_max",
    "write_progress_min",
    "datagram_output_max",
    "datagram_receive_buffer_bytes",
    "datagram_send_buffer_bytes",
];

impl<'l> LimitMut<'l> {
    /// The one of this name: bytes are no other count.
    fn named(self, name: &str) -> LimitMut<'l> {
        match self {
            LimitMut::Count(bytes) if BYTES.contains(&name) => LimitMut::Bytes(bytes),
            other => other,
        }
    }
}

macro_rules! limits {
    ($(#[doc = $doc:literal] $name:ident: $ty:ty = $default:expr,)*) => {
        /// The bounds of a server. Every one has a safe default; `0` in a count, or a zero duration,
        /// turns that limit off where its documentation says so.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct Limits {
            $(#[doc = $doc] pub $name: $ty,)*
        }

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($name: $default,)* }
            }
        }

        /// How many there are.
        const LIMITS: usize = [$(stringify!($name)),*].len();

        impl Limits {
            /// The names of all limits, in the order of their declaration, each with its text.
            pub const NAMES: &[(&str, &str)] = &[$((stringify!($name), $doc),)*];

            /// Every limit by its name, in the order of their declaration, to be set by it.
            ///
            /// ```
            /// use windlass::{LimitMut, Limits};
            ///
            /// let mut limits = Limits::default();
            /// for (name, limit) in limits.each_mut() {
            ///     if let ("input_max", LimitMut::Bytes(bytes)) = (name, limit) {
            ///         *bytes = 4096;
            ///     }
            /// }
            /// assert_eq!(limits.input_max, 4096);
            /// ```
            pub fn each_mut(&mut self) -> [(&'static str, LimitMut<'_>); LIMITS] {
                [$((stringify!($name), LimitMut::from(&mut self.$name).named(stringify!($name))),)*]
            }

            /// The same, each with its value.
            pub(crate) fn values(&self) -> Vec<(&'static str, &'static str, LimitValue)> {
                vec![$((stringify!($name), $doc, self.$name.into()),)*]
            }
        }
    };
}

// (name, documentation, default) once: fields, defaults and the list come out of it.
limits! {
    #[doc = "Connections in the whole server. 0: what the descriptor limit allows, less a reserve of 64 (a quarter below 256)."]
    connections_max: usize = 0,
    #[doc = "Connections of one listener. 0: no limit of its own."]
    listener_connections_max: usize = 0,
    #[doc = "Connections from one source address (IPv6: from one /64); loopback is exempt. More are reset. 0: no limit."]
    source_connections_max: usize = 256,
    #[doc = "New connections a second, in the whole server. More wait in the accept queue. 0: no limit."]
    accept_rate_max: u32 = 0,
    #[doc = "New connections accepted ahead of the rate after a quiet time."]
    accept_burst_max: u32 = 256,
    #[doc = "Connections accepted in one turn of a worker, so that a storm of new ones cannot starve the old."]
    accepts_per_turn_max: usize = 64,
    #[doc = "Connections closed in one turn of a worker, and as many of those being made that are taken back: a close is the dearest call there is."]
    closes_per_turn_max: usize = 256,
    #[doc = "Connections being made by one worker at the same time, those waiting to begin included. More are refused."]
    connecting_max: usize = 1024,
    #[doc = "Connections begun, or found to be made or failed, in one turn of a worker. The others wait for the next; those taken back do not."]
    connects_per_turn_max: usize = 64,
    #[doc = "A connection being made fails after this long, unless it was given a timeout of its own."]
    connect_timeout: Duration = Duration::from_secs(10),
    #[doc = "What happens to newcomers over `connections_max` or without a descriptor left."]
    when_full: WhenFull = WhenFull::Wait,
    #[doc = "Connections the system queues before they are accepted."]
    backlog_max: u32 = 4096,
    #[doc = "End a connection on which nothing was received or sent for this long. 0: never."]
    idle_timeout: Duration = Duration::from_secs(300),
    #[doc = "End a connection that has output waiting and takes less than `write_progress_min` of it for this long. 0: never."]
    write_stall_timeout: Duration = Duration::from_secs(30),
    #[doc = "Bytes of waiting output a connection must take within `write_stall_timeout`, or all there are: less is as good as nothing."]
    write_progress_min: usize = 4 * 1024,
    #[doc = "After our FIN, wait this long for the peer's before closing for good."]
    linger_timeout: Duration = Duration::from_secs(5),
    #[doc = "Graceful shutdown: connections that have not ended after this long are aborted."]
    drain_timeout: Duration = Duration::from_secs(10),
    #[doc = "How long a server goes on with its connections after a successor has taken its listeners; then it drains. 0: until they end."]
    handover_drain_timeout: Duration = Duration::from_secs(600),
    #[doc = "How long a successor may take from being offered the listeners to being ready. Then it is given up."]
    handover_ready_timeout: Duration = Duration::from_secs(30),
    #[doc = "End a connection whose TLS handshake is not over this long after it was accepted. 0: never."]
    tls_handshake_timeout: Duration = Duration::from_secs(10),
    #[doc = "TLS handshakes in progress in one worker, from their first byte on. Who comes over it is reset."]
    tls_handshakes_max: usize = 4_096,
    #[doc = "TLS handshakes taken a step further in one turn of a worker: each costs as much as hundreds of messages. Others wait."]
    tls_handshakes_per_turn_max: usize = 8,
    #[doc = "Bytes read from one connection in one turn before the others get theirs."]
    read_budget_bytes: usize = 1024 * 1024,
    #[doc = "Bytes of input a service may leave untaken, waiting for more: the longest message. More ends the connection."]
    input_max: usize = 1024 * 1024,
    #[doc = "Queued output at which the engine stops reading the peer that causes it."]
    output_high: usize = 64 * 1024,
    #[doc = "Queued output at which it reads on and calls `drained`."]
    output_low: usize = 16 * 1024,
    #[doc = "Queued output of one connection that ends it."]
    output_max: usize = 32 * 1024 * 1024,
    #[doc = "Queued input and output of all connections of one worker. From 80 % on idle and stalled connections end sooner; from 90 % on nobody is let in and who holds bytes and is silent ends; from 95 % on those who hold most end. Over it, a connection that would queue more than `output_high`, of either, is ended."]
    buffered_max: usize = 512 * 1024 * 1024,
    #[doc = "Pipes one worker may hold to splice the bulk of relays through (Linux): two descriptors and up to 1 MiB of kernel memory each. Without one a relay copies. 0: it always does."]
    relay_pipes_max: usize = 16,
    #[doc = "Messages waiting in one mailbox of one worker."]
    mailbox_max: usize = 65_536,
    #[doc = "Messages taken from one mailbox in one turn."]
    mailbox_per_turn_max: usize = 1_024,
    #[doc = "A callback that holds its worker longer than this is reported as a stall. 0: never."]
    stall_timeout: Duration = Duration::from_millis(10),
    #[doc = "A worker that has been late by more than this for a whole `overload_interval` is overloaded: newcomers are treated as `when_overloaded` says, services may refuse work, idle connections end sooner. 0: never."]
    overload_lag_max: Duration = Duration::from_millis(250),
    #[doc = "How long a worker must have been late to be overloaded, and in time, with nobody refused, not to be any more."]
    overload_interval: Duration = Duration::from_millis(500),
    #[doc = "What an overloaded worker does with newcomers it could not serve in time, and one that has queued 90 % of `buffered_max` with all of them."]
    when_overloaded: WhenOverloaded = WhenOverloaded::Shed,
    #[doc = "While a worker is overloaded, idle timeouts are divided by this. 1: they stay."]
    overload_idle_divisor: u32 = 4,
    #[doc = "UDP sockets open on one worker, those opened by services included. 0: none may be opened by services."]
    sockets_max: usize = 4096,
    #[doc = "Datagrams received from one socket in one turn before the others get theirs. A batch that was received is delivered whole."]
    datagrams_per_turn_max: usize = 256,
    #[doc = "Bytes of datagrams queued on one socket for which the system has no room."]
    datagram_output_max: usize = 1024 * 1024,
    #[doc = "Datagrams queued on one socket for which the system has no room."]
    datagrams_queued_max: usize = 4096,
    #[doc = "What is dropped when a socket's queue is full."]
    when_datagrams_full: WhenDatagramsFull = WhenDatagramsFull::DropNewest,
    #[doc = "The system's buffer for datagrams received and not yet read, per UDP socket (SO_RCVBUF); it may grant less. 0: its default."]
    datagram_receive_buffer_bytes: usize = 0,
    #[doc = "The system's buffer for datagrams sent and not yet on the wire, per UDP socket (SO_SNDBUF); it may grant less. 0: its default."]
    datagram_send_buffer_bytes: usize = 0,
}

/// The longest timeout that the timer wheel's millisecond arithmetic is right for: 20 days.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(20 * 24 * 3600);

impl Limits {
    /// Checks the limits against each other, as starting a server does.
    ///
    /// # Errors
    ///
    /// What cannot work, in one line, naming the keys.
    pub fn check(&self) -> Result<(), String> {
        if self.output_low >= self.output_high {
            return Err(format!(
                "output_low ({}) must be below output_high ({})",
                self.output_low, self.output_high
            ));
        }
        if self.output_high > self.output_max {
            return Err(format!(
                "output_high ({}) must not be above output_max ({})",
                self.output_high, self.output_max
            ));
        }
        let positive = [
            ("accepts_per_turn_max", self.accepts_per_turn_max),
            ("closes_per_turn_max", self.closes_per_turn_max),
            ("connecting_max", self.connecting_max),
            ("connects_per_turn_max", self.connects_per_turn_max),
            ("read_budget_bytes", self.read_budget_bytes),
            ("input_max", self.input_max),
            ("buffered_max", self.buffered_max),
            ("mailbox_max", self.mailbox_max),
            ("mailbox_per_turn_max", self.mailbox_per_turn_max),
            ("backlog_max", self.backlog_max as usize),
            ("accept_burst_max", self.accept_burst_max as usize),
            ("tls_handshakes_max", self.tls_handshakes_max),
            ("tls_handshakes_per_turn_max", self.tls_handshakes_per_turn_max),
            ("datagrams_per_turn_max", self.datagrams_per_turn_max),
            ("datagram_output_max", self.datagram_output_max),
            ("datagrams_queued_max", self.datagrams_queued_max),
            ("overload_idle_divisor", self.overload_idle_divisor as usize),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, n)| *n == 0) {
            return Err(format!("{name} must be at least 1"));
        }
        let timeouts = [
            ("idle_timeout", self.idle_timeout),
            ("write_stall_timeout", self.write_stall_timeout),
            ("linger_timeout", self.linger_timeout),
            ("drain_timeout", self.drain_timeout),
            ("handover_drain_timeout", self.handover_drain_timeout),
            ("handover_ready_timeout", self.handover_ready_timeout),
            ("tls_handshake_timeout", self.tls_handshake_timeout),
            ("connect_timeout", self.connect_timeout),
            ("overload_lag_max", self.overload_lag_max),
            ("overload_interval", self.overload_interval),
        ];
        if let Some((name, _)) = timeouts.iter().find(|(_, t)| *t > TIMEOUT_MAX) {
            return Err(format!("{name} must be at most 20 days"));
        }
        Ok(())
    }
}
