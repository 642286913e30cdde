//! One budget of memory for a server, divided before it starts: [`Config::memory`](crate::Config::memory).
//!
//! What is fixed comes first (the buffer each worker reads into, its cork, its poll), then the tables, which
//! are as long as the server may ever have connections, and all that is left is the *region*: the blocks in
//! which unsent output and untaken input wait. Limits follow from that, where they are not lower already, so
//! what the policies of `worker/overload.rs` hold is what there is.

use std::fmt;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};

use crate::address::Address;
use crate::close::Close;
use crate::config::{Config, Limits};
use crate::core::CORK_MAX;
use crate::core::output::Output;
use crate::core::region::Region;
use crate::core::relay::Relays;
use crate::core::slot::{Residue, Slot};
use crate::error::{Error, Result};
use crate::serve::ServiceSpec;
use crate::sys::MioStream;
use crate::worker::HANDED_BYTES;
use crate::worker::datagrams::{BATCH_MAX, STRIDE};

/// What a connection has of the region where their number follows from the budget.
const SHARE: usize = 4 * 1024;
/// Blocks are of so many bytes, at least and at most.
const BLOCK: std::ops::RangeInclusive<usize> = 512..=4096;
/// The least that a worker reads at once, and the most.
pub(crate) const SCRATCH_LEAST: usize = 4 * 1024;
pub(crate) const SCRATCH_MOST: usize = 16 * 1024 * 1024;
const CORK_LEAST: usize = 4 * 1024;
/// Fewer connections are no server.
const CONNECTIONS_LEAST: usize = 4;
/// Names, listeners, published counters, and what the allocator keeps for itself.
const PROGRAM: usize = 64 * 1024;
/// Counters, the wheel's rings, the poll's events: what a worker has whatever comes.
const WORKER: usize = 24 * 1024;
/// What the allocator adds to a small block.
const HEADER: usize = 16;
/// An entry of the table of sources, with the room it needs to stay as large as it is.
const SOURCE: usize = 5 * (size_of::<(IpAddr, usize)>() + 1);
/// An idle session of TLS, and a handshake at its largest; rustls allocates both.
#[cfg(feature = "tls")]
const TLS_SESSION: usize = 4 * 1024;
#[cfg(feature = "tls")]
const TLS_HANDSHAKE: usize = 32 * 1024;
/// Timer, and the lists a connection may be on in a turn: run, running, touched, settling, fired, free, freed.
const LISTS: usize = 12 + 7 * size_of::<u32>();
/// The longest datagram must fit in its queue; and a queue keeps no more room than for twice the most.
const DATAGRAM_OUTPUT: (usize, usize) = (64 * 1024, 128 * 1024);

/// One line of a [`MemoryPlan`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MemoryLine {
    /// What it is for.
    pub what: String,
    /// How many.
    pub count: usize,
    /// Bytes of each.
    pub bytes: usize,
}

impl MemoryLine {
    /// A line, for a service that divides a part of the budget by itself.
    pub fn new(what: impl Into<String>, count: usize, bytes: usize) -> MemoryLine {
        MemoryLine { what: what.into(), count, bytes }
    }

    /// Bytes of all of them.
    pub fn total(&self) -> usize {
        self.count.saturating_mul(self.bytes)
    }
}

/// How a server divides its memory: see [`Config::memory`](crate::Config::memory). `Display` is a table.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// The budget, in bytes.
    pub memory: usize,
    /// What it is divided into. Their total is the budget, or a little less.
    pub lines: Vec<MemoryLine>,
    /// The limits that follow: what was set, or less.
    pub limits: Limits,
}

impl MemoryPlan {
    /// Bytes of all lines.
    pub fn total(&self) -> usize {
        total(&self.lines)
    }

    /// Puts a part that was divided elsewhere in front, and counts it with the budget.
    pub fn with(mut self, lines: Vec<MemoryLine>, bytes: usize) -> MemoryPlan {
        self.memory = self.memory.saturating_add(bytes);
        self.lines.splice(0..0, lines);
        self
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.lines.iter().map(|line| line.what.chars().count()).max().unwrap_or(0).max(4);
        writeln!(f, "{:what$}  {:>9}  {:>10}  {:>12}", "what", "how many", "bytes each", "bytes")?;
        let mut row = |name: &str, count: &str, each: &str, total: usize| {
            writeln!(f, "{name:what$}  {count:>9}  {each:>10}  {:>12}", grouped(total))
        };
        for line in &self.lines {
            row(&line.what, &grouped(line.count), &grouped(line.bytes), line.total())?;
        }
        row("all", "", "", self.total())?;
        row("of", "", "", self.memory)
    }
}

/// Of all of them; what a configuration asks for may be more than a number can say.
fn total(lines: &[MemoryLine]) -> usize {
    lines.iter().fold(0, |sum, line| sum.saturating_add(line.total()))
}

/// `1234567` as `1,234,567`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The division, as the server needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Budget {
    /// Connections that each worker has room for.
    pub(crate) table: usize,
    pub(crate) scratch: usize,
    pub(crate) cork: usize,
    /// Blocks of each worker's region, and their size.
    pub(crate) blocks: usize,
    pub(crate) block: usize,
    pub(crate) input_max: usize,
    /// Peers may have IPv6 addresses.
    pub(crate) sixes: bool,
    /// Sources are counted: places in their table.
    pub(crate) sources: usize,
    /// Connections on their way to one worker.
    pub(crate) handed: usize,
    /// Messages in one mailbox of one worker.
    pub(crate) mailbox: usize,
    /// Datagrams received at once.
    pub(crate) batch: usize,
    /// What limits are lowered to.
    caps: Limits,
    pub(crate) plan: MemoryPlan,
}

/// There is too little for so many connections.
struct Short {
    connections: usize,
    needed: usize,
}

/// The largest power of two that is not above `n`.
fn power_below(n: usize) -> usize {
    if n == 0 { 0 } else { 1 << n.ilog2() }
}

impl Budget {
    /// Divides `config.memory` among so many workers; `None` where nothing is budgeted. `descriptors` is how many
    /// connections the system allows.
    ///
    /// # Errors
    ///
    /// It is too little, in one line that says how much would do.
    pub(crate) fn new(
        config: &Config,
        workers: usize,
        services: &[&dyn ServiceSpec],
        descriptors: usize,
    ) -> Result<Option<Budget>> {
        if config.memory == 0 {
            return Ok(None);
        }
        let divide = |memory| Budget::divide(memory, config, workers, services, descriptors);
        let short = match divide(config.memory) {
            Ok(budget) => return Ok(Some(budget)),
            Err(short) => short,
        };
        let enough = Budget::enough(short.needed, &divide);
        let takes = match enough {
            usize::MAX => "more than there is anywhere".into(),
            enough => format!("{} KiB", enough / 1024),
        };
        Err(Error::config(format!(
            "memory ({} bytes) is too little for {} connections on {workers} worker{}: it takes {takes}, or fewer \
             of either",
            config.memory,
            short.connections,
            if workers == 1 { "" } else { "s" },
        )))
    }

    /// The least that would do, `usize::MAX` if nothing does.
    pub(crate) fn least(
        config: &Config,
        workers: usize,
        services: &[&dyn ServiceSpec],
        descriptors: usize,
    ) -> usize {
        Budget::enough(1, &|memory| Budget::divide(memory, config, workers, services, descriptors))
    }

    /// From so much on.
    fn enough(least: usize, divide: &dyn Fn(usize) -> std::result::Result<Budget, Short>) -> usize {
        // With more of it some parts grow.
        let mut enough = least;
        while enough < usize::MAX
            && let Err(short) = divide(enough)
        {
            enough = short.needed;
        }
        enough
    }

    /// The same of so much.
    fn divide(
        memory: usize,
        config: &Config,
        workers: usize,
        services: &[&dyn ServiceSpec],
        descriptors: usize,
    ) -> std::result::Result<Budget, Short> {
        let limits = &config.limits;
        let listen = || services.iter().flat_map(|spec| spec.listen());
        let tcp = || listen().filter(|address| matches!(address, Address::Tcp(_)));
        let sixes = tcp().any(|at| !matches!(at, Address::Tcp(at) if at.parse::<SocketAddrV4>().is_ok()));
        let sockets = listen().filter(|address| matches!(address, Address::Udp(_))).count();
        // Each listener has as many more, and what is bound to UDP has no connections.
        let streams = |address: &&Address| !matches!(address, Address::Udp(_));
        let reserve = services.iter().fold(0_usize, |sum, spec| {
            let listeners = spec.listen().iter().filter(streams).count();
            sum.saturating_add(spec.reserve().saturating_mul(listeners))
        });

        // What there is whatever comes.
        let of_worker = memory / workers;
        let scratch = power_below(of_worker / 32)
            .clamp(SCRATCH_LEAST, config.scratch_bytes.clamp(SCRATCH_LEAST, SCRATCH_MOST));
        let cork = (scratch / 4).clamp(CORK_LEAST, CORK_MAX);
        let batch = (of_worker / 64 / STRIDE).clamp(1, BATCH_MAX);
        let datagram_output = power_below(of_worker / 64).clamp(DATAGRAM_OUTPUT.0, DATAGRAM_OUTPUT.1);
        let datagrams = (datagram_output / 64).min(limits.datagrams_queued_max);
        let message: usize = services.iter().map(|spec| spec.message_bytes()).sum();
        let mailbox =
            (of_worker / 32).checked_div(2 * message).unwrap_or(0).clamp(16, limits.mailbox_max.max(16));

        let mut lines = vec![
            MemoryLine::new("the program", 1, PROGRAM),
            MemoryLine::new("workers", workers, WORKER),
            MemoryLine::new("buffers read into", workers, scratch + 4096),
            MemoryLine::new("corks", workers, cork),
        ];
        if message > 0 {
            lines.push(MemoryLine::new("messages in mailboxes", 2 * workers * mailbox, message));
        }
        if sockets > 0 {
            lines.push(MemoryLine::new("datagrams received", workers * batch, STRIDE));
            let queue = 2 * datagram_output + datagrams * crate::datagram::queue::RUN_BYTES;
            lines.push(MemoryLine::new("datagrams queued", workers * sockets, queue));
        }
        let mut each = vec![
            MemoryLine::new(
                "connections",
                workers,
                size_of::<Slot>()
                    + size_of::<Option<MioStream>>()
                    + size_of::<(u32, Close)>()
                    + LISTS
                    + Relays::PER_SLOT,
            ),
            MemoryLine::new(
                "queues",
                workers,
                size_of::<Output>() + size_of::<Residue>() + 2 * (HEADER + size_of::<usize>()),
            ),
        ];
        if sixes {
            let place = size_of::<SocketAddrV6>() + HEADER + size_of::<usize>();
            each.push(MemoryLine::new("IPv6 addresses", workers, place));
        }
        for spec in services.iter().filter(|spec| !spec.listen().is_empty()) {
            let member = 2 * size_of::<u32>() + spec.session_bytes();
            each.push(MemoryLine::new(format!("sessions of {}", spec.name()), workers, member));
        }
        if config.traffic {
            each.push(MemoryLine::new("byte counts", workers, crate::observe::traffic::ROW_BYTES));
        }
        let counted = limits.source_connections_max > 0 && tcp().next().is_some();
        if counted {
            each.push(MemoryLine::new("sources", 1, SOURCE));
        }
        if workers > 1 {
            each.push(MemoryLine::new("handed over", workers, HANDED_BYTES));
        }
        #[cfg(feature = "tls")]
        let handshakes = (memory / 16 / TLS_HANDSHAKE).max(4).min(limits.tls_handshakes_max);
        #[cfg(feature = "tls")]
        if services.iter().any(|spec| (0..spec.listen().len()).any(|n| spec.tls(n).is_some())) {
            lines.push(MemoryLine::new("TLS records", workers, crate::tls::WIRE + cork));
            lines.push(MemoryLine::new("TLS handshakes (allocated)", handshakes, TLS_HANDSHAKE));
            each.push(MemoryLine::new("TLS sessions (allocated)", 1, TLS_SESSION));
        }

        // What is left is for connections: their tables, and the region.
        let (fixed, one) = (total(&lines), total(&each));
        let asked = limits.connections_max;
        let least = if asked > 0 { asked } else { CONNECTIONS_LEAST };
        // Room for the largest read of one connection, behind all it may have queued before.
        let blocks_least = least.saturating_mul(BLOCK.start() + Region::PER_BLOCK);
        let region_least = blocks_least.max(8 * scratch + scratch / 8).saturating_mul(workers);
        let tables_least = least.saturating_add(reserve).saturating_mul(one);
        let needed = fixed.saturating_add(tables_least).saturating_add(region_least);
        if needed > memory || needed == usize::MAX {
            let needed = needed.checked_next_multiple_of(64 * 1024).unwrap_or(usize::MAX);
            return Err(Short { connections: least, needed });
        }
        // From here on all is less than the budget.
        let connections = match asked {
            0 => ((memory - fixed - reserve * one) / (one + SHARE)).clamp(least, descriptors.max(least)),
            asked => asked,
        };
        let table = connections + reserve;
        for mut line in each {
            line.count *= table;
            lines.push(line);
        }
        let region = memory.saturating_sub(fixed + table * one) / workers;
        let block = power_below(region / connections / 4).clamp(*BLOCK.start(), *BLOCK.end());
        let blocks = (region / (block + Region::PER_BLOCK)).min(u32::MAX as usize - 1);
        lines.push(MemoryLine::new("blocks of the region", workers * blocks, block + Region::PER_BLOCK));

        let region = blocks * block;
        let high = (region / 16).max(2 * block);
        let caps = Limits {
            connections_max: connections,
            buffered_max: region,
            input_max: scratch / 2,
            output_high: high,
            output_low: high / 4,
            output_max: region / 4,
            mailbox_max: mailbox,
            // A pipe is the kernel's memory and no part of this, but where there is a budget that is short too.
            relay_pipes_max: match limits.relay_pipes_max {
                few if few != Limits::default().relay_pipes_max => few,
                _ => 0,
            },
            datagram_output_max: datagram_output,
            datagrams_queued_max: datagrams,
            #[cfg(feature = "tls")]
            tls_handshakes_max: handshakes,
            ..limits.clone()
        };
        let mut budget = Budget {
            table,
            scratch,
            cork,
            blocks,
            block,
            input_max: scratch / 2,
            sixes,
            sources: if counted { 2 * table } else { 0 },
            handed: if workers > 1 { table } else { 0 },
            mailbox,
            batch,
            caps,
            plan: MemoryPlan { memory, lines, limits: limits.clone() },
        };
        budget.plan.limits.connections_max = connections;
        let mut bounded = budget.plan.limits.clone();
        budget.bound(&mut bounded);
        budget.plan.limits = bounded;
        Ok(budget)
    }

    /// Holds limits to what there is room for, and leaves those that are lower as they are.
    pub(crate) fn bound(&self, limits: &mut Limits) {
        let most = &self.caps;
        let lower = |limit: &mut usize, most: usize| *limit = (*limit).min(most);
        lower(&mut limits.connections_max, most.connections_max);
        lower(&mut limits.buffered_max, most.buffered_max);
        lower(&mut limits.input_max, most.input_max);
        lower(&mut limits.output_max, most.output_max);
        lower(&mut limits.output_high, most.output_high.min(limits.output_max));
        lower(&mut limits.output_low, most.output_low.min(limits.output_high / 4));
        lower(&mut limits.mailbox_max, most.mailbox_max);
        lower(&mut limits.relay_pipes_max, most.relay_pipes_max);
        lower(&mut limits.datagram_output_max, most.datagram_output_max);
        lower(&mut limits.datagrams_queued_max, most.datagrams_queued_max);
        lower(&mut limits.tls_handshakes_max, most.tls_handshakes_max);
    }
}

#[cfg(test)]
mod tests;
