//! Backends that are found: in a file that is watched, and in DNS. A service of its own does it, on worker 0,
//! and tells the [`Front`], whose workers hear of it as of any other change.
//!
//! Read this file first: what is looked at, and when. `source.rs` is what can be named, `list.rs` and `file.rs`
//! are about files, `dns/` is about names.
//!
//! **The last good set counts.** A source that cannot be read, does not answer, or names nobody changes nothing:
//! that is counted and told, and it is asked again.

mod config;
mod dns;
mod file;
mod list;
mod set;
mod source;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass::{
    Answer, Close, Conn, ConnId, ConnectError, Datagram, DatagramService, Input, JobId, Offload,
    OffloadConfig, Scope, Serve, Service, Sessions, Socket, Tick, Time, Work, serve,
};

use crate::front::{Front, Shared};
use crate::plan::Plan;
use dns::{Client, Names, Outcome, Question, Reply};
use file::{Look, Stamp};

pub use config::{Discover, DiscoveryConfig};
pub use list::FOUND_MAX;
pub(crate) use set::Sets;
pub use set::{Discovered, SourceStats};
pub use source::{Family, Source, SourceTextError};

/// How often it is seen what is due.
const TICK: Duration = Duration::from_millis(250);
/// How often the system's name servers are read anew.
const SERVERS_EVERY: Duration = Duration::from_secs(30);
/// The longest pause between tries of a name that fails.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Sources of one proxy, at most.
pub(crate) const SOURCES_MAX: usize = 256;

/// Looks for the backends of one proxy. From [`Front::discover`].
pub struct Discovery {
    shared: Arc<Shared>,
    plan: Arc<Plan>,
    worker: usize,
    pool: Offload<Done>,
    jobs: HashMap<JobId, Job>,
    watches: Vec<Watch>,
    client: Client,
    servers_due: Option<Time>,
    asks_servers: bool,
    /// What has come by connections, or why none will, by the number of the try.
    heard: Vec<(u64, Result<Vec<u8>, String>)>,
}

/// A connection to a name server: the number of the try it was made for.
#[derive(Debug)]
pub struct Inquiry {
    number: u64,
}

/// What is remembered of a source.
#[derive(Debug)]
struct Watch {
    group: String,
    source: Source,
    due: Option<Time>,
    busy: bool,
    stamp: Option<Stamp>,
    names: Names,
    /// Rounds in a row without an answer.
    failures: u32,
}

/// What a thread has done, for nobody but the service.
pub struct Done(Seen);

enum Seen {
    Looked(Look),
    Servers(std::io::Result<Vec<SocketAddr>>),
}

/// For whom.
enum Job {
    Look { group: String, source: Source },
    Servers,
}

impl Front {
    /// The service that looks for backends ([`ProxyConfig::discovers`](crate::ProxyConfig::discovers) tells whether
    /// any are to be looked for). It listens nowhere; whoever serves the proxy adds it to the same server.
    pub fn discover(&self) -> Serve<Discovery> {
        self.discover_by(None)
    }

    /// The same, with questions to name servers numbered as follows from `seed`: for a simulation, which has to go the
    /// same way twice. Whoever knows the seed can forge answers.
    pub fn discover_from_seed(&self, seed: u64) -> Serve<Discovery> {
        self.discover_by(Some(seed))
    }

    fn discover_by(&self, seed: Option<u64>) -> Serve<Discovery> {
        let front = self.clone();
        let config = OffloadConfig {
            threads: 1,
            jobs_max: SOURCES_MAX + 1,
            name: "discovery".into(),
            ..OffloadConfig::default()
        };
        let pool = Offload::new(config);
        let in_service = pool.clone();
        let make = move || Discovery {
            shared: front.shared_clone(),
            plan: front.shared().plan(),
            worker: 0,
            pool: in_service.clone(),
            jobs: HashMap::new(),
            watches: Vec::new(),
            client: seed.map_or_else(Client::default, Client::from_seed),
            servers_due: None,
            asks_servers: false,
            heard: Vec::new(),
        };
        // The longest message behind its length (RFC 7766, section 8).
        serve(make)
            .name("discovery")
            .datagrams()
            .offload(&pool)
            .tick(TICK)
            .input_max(2 + usize::from(u16::MAX))
    }
}

impl Discovery {
    fn housekeeping(&mut self, scope: &mut Scope<'_>) {
        // One of them is enough for all.
        if self.worker != 0 || scope.is_draining() {
            return;
        }
        if self.shared.version.load(Relaxed) != self.plan.version || self.watches.is_empty() {
            self.catch_up();
        }
        self.ask_for_servers(scope);
        self.begin(scope);
        self.hear(scope);
        let config = self.plan.config.discovery.clone();
        for (question, reply) in self.client.drive(scope, &config) {
            self.answered(scope, &question, &reply);
        }
    }

    /// Takes note of another configuration: what it has no more is forgotten, and what is new is due.
    fn catch_up(&mut self) {
        self.plan = self.shared.plan();
        let mut known = std::mem::take(&mut self.watches);
        for (group, source) in self.plan.config.sources() {
            let at = known.iter().position(|watch| watch.group == group && watch.source == *source);
            self.watches.push(match at {
                Some(at) => known.swap_remove(at),
                None => Watch {
                    group,
                    source: source.clone(),
                    due: None,
                    busy: false,
                    stamp: None,
                    names: Names::default(),
                    failures: 0,
                },
            });
        }
        let configured = &self.plan.config.discovery.dns_servers;
        if !configured.is_empty() {
            self.client.servers.clone_from(configured);
        }
    }

    /// Has the system's name servers read, where none are configured.
    fn ask_for_servers(&mut self, scope: &mut Scope<'_>) {
        let is_dns = |watch: &Watch| !matches!(watch.source, Source::File(_));
        let is_due = self.servers_due.is_none_or(|due| due <= scope.now());
        let wanted = self.plan.config.discovery.dns_servers.is_empty() && self.watches.iter().any(is_dns);
        if !wanted || !is_due || self.asks_servers {
            return;
        }
        if let Ok(job) = self.pool.submit(scope, || Done(Seen::Servers(dns::servers()))) {
            self.asks_servers = true;
            self.jobs.insert(job, Job::Servers);
        }
    }

    /// Begins to look at what is due.
    fn begin(&mut self, scope: &mut Scope<'_>) {
        let now = scope.now();
        for watch in &mut self.watches {
            if watch.busy || watch.due.is_some_and(|due| due > now) {
                continue;
            }
            match &watch.source {
                Source::File(path) => {
                    let (path, stamp) = (path.clone(), watch.stamp);
                    if let Ok(job) =
                        self.pool.submit(scope, move || Done(Seen::Looked(file::look(&path, stamp))))
                    {
                        watch.busy = true;
                        let (group, source) = (watch.group.clone(), watch.source.clone());
                        self.jobs.insert(job, Job::Look { group, source });
                    }
                }
                // Not before it is known who can be asked.
                _ if self.client.servers.is_empty() && self.servers_due.is_none() => {}
                source => {
                    watch.busy = true;
                    watch.names.begin(source).into_iter().for_each(|question| self.client.ask(question));
                }
            }
        }
    }

    /// Takes on what has come by connections.
    fn hear(&mut self, scope: &mut Scope<'_>) {
        let config = self.plan.config.discovery.clone();
        for (number, heard) in std::mem::take(&mut self.heard) {
            let answer = match heard {
                Ok(message) => self.client.message(scope, number, &message, &config),
                Err(why) => self.client.lost(scope, number, why, &config),
            };
            if let Some((question, reply)) = answer {
                self.answered(scope, &question, &reply);
            }
        }
    }

    /// An answer, or that there is none, to all who wait for it.
    fn answered(&mut self, scope: &mut Scope<'_>, question: &Question, reply: &Reply) {
        let now = scope.now();
        for watch in self.watches.iter_mut().filter(|watch| watch.names.is_busy()) {
            let (more, outcome) = watch.names.answered(&watch.source, question, reply);
            more.into_iter().for_each(|question| self.client.ask(question));
            let Some(outcome) = outcome else { continue };
            watch.busy = false;
            watch.due = Some(now + watch.pause(&outcome, &self.plan.config.discovery, scope.random()));
            self.shared.discovered(&watch.group, &watch.source, outcome.found, outcome.error, now);
        }
        // What only now is asked for need not wait.
        if self.watches.iter().any(|watch| watch.names.is_busy()) {
            let config = self.plan.config.discovery.clone();
            let failed = self.client.drive(scope, &config);
            for (question, reply) in failed {
                self.answered(scope, &question, &reply);
            }
        }
    }

    fn looked(&mut self, group: &str, source: &Source, look: Option<Look>, now: Time) {
        let watch = self.watches.iter_mut().find(|watch| watch.group == group && watch.source == *source);
        let Some(watch) = watch else { return };
        watch.busy = false;
        watch.due = Some(now + self.plan.config.discovery.file_every);
        let look = look.unwrap_or_else(|| Look {
            stamp: watch.stamp,
            read: Some(Err(format!("{source}: it takes too long to read"))),
        });
        watch.stamp = look.stamp;
        match look.read {
            None => {}
            Some(Ok(found)) => self.shared.discovered(group, source, Some(found), None, now),
            Some(Err(why)) => self.shared.discovered(group, source, None, Some(why), now),
        }
    }
}

impl Watch {
    /// How long a round counts: as long as its answers live, within bounds; where one failed, not for long. A
    /// little more, so that not all who have learned of it at the same time ask again at the same time.
    fn pause(&mut self, outcome: &Outcome, config: &DiscoveryConfig, random: u64) -> Duration {
        let life = outcome.ttl.map(|ttl| ttl.min(config.ttl_max).max(config.ttl_min));
        self.failures = if outcome.error.is_some() { self.failures.saturating_add(1) } else { 0 };
        let again =
            config.ttl_min.max(Duration::from_secs(1)).saturating_mul(1 << (self.failures.max(1) - 1).min(8));
        let pause = match (life, self.failures) {
            (Some(life), 0) => life,
            (Some(life), _) => life.min(again.min(PAUSE_MAX)),
            (None, _) => again.min(PAUSE_MAX),
        };
        let spread = pause.as_nanos() as u64 / 10;
        pause + Duration::from_nanos(((u128::from(random) * u128::from(spread)) >> 64) as u64)
    }
}

impl Service for Discovery {
    type Session = Inquiry;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Inquiry>) {
        self.worker = scope.worker();
        self.housekeeping(scope);
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Inquiry, Close> {
        Err(Close::Refused)
    }

    fn connected(&mut self, _: &mut Conn<'_>, tag: u64) -> Result<Inquiry, Close> {
        if self.client.is_open(tag) { Ok(Inquiry { number: tag }) } else { Err(Close::Done) }
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<Inquiry>,
        _: ConnId,
        tag: u64,
        why: ConnectError,
    ) {
        let config = self.plan.config.discovery.clone();
        if let Some((question, reply)) = self.client.lost(scope, tag, why.to_string(), &config) {
            self.answered(scope, &question, &reply);
        }
    }

    fn data(&mut self, _: &mut Conn<'_>, exchange: &mut Inquiry, input: &mut Input<'_>) -> Result<(), Close> {
        let Some(length) = input.peek().first_chunk::<2>() else { return Ok(()) };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(message) = input.take(2 + length) else { return Ok(()) };
        // The next tick takes it on: a connection cannot ask the next question.
        self.heard.push((exchange.number, Ok(message[2..].to_vec())));
        Err(Close::Done)
    }

    fn closed(&mut self, _: &mut Conn<'_>, exchange: Inquiry, why: Close) {
        // Of one that was answered nobody waits for this any more.
        self.heard.push((exchange.number, Err(why.to_string())));
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Inquiry>, _: Tick) {
        self.housekeeping(scope);
        self.client.call(scope, &self.plan.config.discovery);
    }
}

impl DatagramService for Discovery {
    fn datagram(&mut self, socket: &mut Socket<'_>, datagram: Datagram<'_>) {
        let config = self.plan.config.discovery.clone();
        let id = socket.id();
        let mut scope = socket.scope();
        if let Some((question, reply)) = self.client.datagram(&mut scope, id, datagram.bytes, &config) {
            self.answered(&mut scope, &question, &reply);
        }
    }

    fn error(&mut self, socket: &mut Socket<'_>, error: std::io::Error) {
        let config = self.plan.config.discovery.clone();
        let id = socket.id();
        let mut scope = socket.scope();
        if let Some((question, reply)) = self.client.refused(&mut scope, id, &error, &config) {
            self.answered(&mut scope, &question, &reply);
        }
    }
}

impl Work for Discovery {
    type Answer = Done;

    fn answer(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Inquiry>, answer: Answer<Done>) {
        let now = scope.now();
        match (self.jobs.remove(&answer.job), answer.result) {
            (Some(Job::Look { group, source }), Ok(Done(Seen::Looked(look)))) => {
                self.looked(&group, &source, Some(look), now);
            }
            (Some(Job::Look { group, source }), _) => self.looked(&group, &source, None, now),
            (Some(Job::Servers), result) => {
                self.asks_servers = false;
                self.servers_due = Some(now + SERVERS_EVERY);
                // Those that were read last count for as long as they cannot be read again.
                if let Ok(Done(Seen::Servers(Ok(servers)))) = result
                    && self.plan.config.discovery.dns_servers.is_empty()
                {
                    self.client.servers = servers;
                }
                self.housekeeping(scope);
            }
            (None, _) => {}
        }
    }
}
