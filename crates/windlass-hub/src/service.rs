//! The service: one value on each worker.

use std::sync::Arc;
use std::time::Duration;

use windlass::{
    BeforeTls, Close, Conn, Input, Mailbox, Peer, Placement, Receive, Scope, Service, Sessions as Clients,
    Tick, Time,
};
use windlass_proto::mqtt::Reason;
use windlass_proto::proxy_protocol::Addresses;
use windlass_proto::ws::Scratch;

use crate::access::Access;
use crate::client::{Client, Stage};
use crate::config::HubConfig;
use crate::durable::{Durable, HELD_MAX};
use crate::exchange::Authenticator;
use crate::inspect::{Ask, lens::Lens};
use crate::memory::{self, Memory};
use crate::parts;
use crate::post::Post;
use crate::route::Routes;
use crate::route::retained::Kept;
use crate::session::message::{Message, Spares};
use crate::session::{Key, Pumped, Sessions};
use crate::siblings::{Asked, Batch, Beginning, Siblings};
use crate::stats::{HubStats, HubWatch};
use crate::sys_topics::SysTopics;
use crate::timers::Timers;

/// The hub: serve it with a tick of [`Hub::TICK`] and its mailbox.
pub struct Hub {
    pub(crate) config: HubConfig,
    pub(crate) access: Access,
    pub(crate) sessions: Sessions,
    pub(crate) routes: Routes,
    pub(crate) kept: Kept,
    pub(crate) post: Post,
    pub(crate) timers: Timers,
    pub(crate) durable: Durable,
    pub(crate) stats: HubStats,
    /// What is kept is counted there.
    pub(crate) memory: Memory,
    pub(crate) spares: Spares,
    /// What passes, while somebody looks.
    pub(crate) lens: Option<Box<Lens>>,
    /// Mistakes of clients, by their labels.
    pub(crate) mistakes: Vec<(&'static str, u64)>,
    pub(crate) watch: HubWatch,
    pub(crate) sys: SysTopics,
    pub(crate) authenticator: Option<Arc<dyn Authenticator>>,
    pub(crate) siblings: Siblings,
    /// Answers that wait until the other workers know something.
    pub(crate) asked: Asked,
    /// The way to itself, if it has one.
    pub(crate) mailbox: Option<Mailbox<Mail>>,
    /// Whether word is on its way that there is something to do behind the input of this turn.
    told: bool,
    /// Acknowledgements of the client whose input this is have made room for what waits for it.
    pub(crate) room_made: bool,
    /// The time of this callback.
    pub(crate) now: Time,
    pub(crate) began: Time,
    pub(crate) worker: usize,
    /// Packets for the connection whose callback this is.
    pub(crate) out: Vec<u8>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) found: Vec<Arc<Message>>,
    pub(crate) scratch: Scratch,
    /// The next queue to be counted, and what those before it come to.
    counting: (Key, u64, u64),
}

/// What is sent to a hub, from its other workers and from outside.
#[derive(Debug)]
#[non_exhaustive]
pub enum Mail {
    /// Ends the connection of this client, with 0x98 (administrative action) in version 5.
    Kick(Box<str>),
    /// Other settings from here on. What is there stays; clients that are connected keep what CONNACK told them.
    Set(Box<HubConfig>),
    /// What a turn has recorded is to be committed, and what it has for other workers to be sent: of the hub to itself.
    Commit,
    /// A question, of which the hub is told by [`Ask::send`].
    Ask(Ask),
    /// What one worker of the hub tells another.
    Batch(Box<Batch>),
    /// What a worker begins with.
    Begin(Box<Beginning>),
}

/// Of a bound on memory, so much of it is room for one packet that is put together: each worker has five such.
const PACKETS_PART: usize = 64;

impl Hub {
    /// The period of the tick by which wills are published and sessions end.
    pub const TICK: Duration = Duration::from_millis(50);

    /// A hub with nothing in it, whose numbers can be looked at through `watch`.
    pub fn new(config: HubConfig, watch: &HubWatch) -> Hub {
        let limits = config.tree_limits();
        let memory = watch.totals().memory(config.memory_max);
        let mut sessions = Sessions::default();
        let mut post = Post::default();
        if config.memory_max > 0 {
            let most = config.memory_max / memory::of_session("");
            sessions.reserve(&memory, most.min(config.sessions_max));
            // No more than a small part, however long packets may be.
            let part = config.memory_max / PACKETS_PART / watch.workers();
            post.reserve(config.packet_max.min(part), &memory);
        }
        Hub {
            sys: SysTopics::new(config.sys_interval),
            access: Access::new(&config.identity),
            config,
            sessions,
            routes: Routes::new(limits),
            kept: Kept::new(limits),
            post,
            timers: Timers::default(),
            durable: Durable::default(),
            stats: HubStats::default(),
            memory,
            spares: Spares::default(),
            lens: None,
            mistakes: Vec::new(),
            watch: watch.clone(),
            authenticator: None,
            siblings: Siblings::default(),
            asked: Asked::default(),
            mailbox: None,
            told: false,
            room_made: false,
            now: Time::ZERO,
            began: Time::ZERO,
            worker: 0,
            out: Vec::new(),
            reasons: Vec::new(),
            found: Vec::new(),
            scratch: Scratch::new(),
            counting: (0, 0, 0),
        }
    }

    /// The same with methods of enhanced authentication.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Hub {
        self.authenticator = Some(authenticator);
        self
    }

    /// Has sessions dealt out among the first so many workers of the server, by client identifier; they reach one another
    /// through this mailbox. Serve the hub with it, and [`movable`](windlass::Serve::movable), since connections move to
    /// the worker that has their session; a connection that cannot move is refused (0x88). `watch` has to be for as many.
    ///
    /// Without it, or with one, all sessions are on worker 0. At most 1,024.
    #[must_use]
    pub fn spread(mut self, mailbox: &Mailbox<Mail>, workers: usize) -> Hub {
        if workers > 1 {
            self.mailbox = Some(mailbox.clone());
            self.siblings.spread(mailbox, workers.min(WORKERS_MAX));
        }
        self
    }

    /// How many packets were received.
    pub fn packets(&self) -> u64 {
        self.stats.packets_received
    }

    /// What this worker has counted.
    pub fn stats(&self) -> &HubStats {
        &self.stats
    }

    /// How often clients have broken the protocol or a limit of a packet, by the label of the mistake.
    pub fn mistakes(&self) -> &[(&'static str, u64)] {
        &self.mistakes
    }

    /// Sends a client on: what was put together for it, then what waits for it.
    pub(crate) fn go_on(&mut self, conn: &mut Conn<'_>, client: &Client, key: Key) {
        let Some(session) = self.sessions.get(key) else { return };
        let idle = session.queue.is_empty()
            && session.scans.is_none()
            && session.outgoing.as_ref().is_none_or(|outgoing| !outgoing.resends());
        if idle {
            return;
        }
        self.flush(conn, client);
        if self.pump(conn, key) == Pumped::More {
            conn.wake_at(self.now);
        }
    }

    /// Whether what a client says is not read for now, so that it may not be silent at all: it does not take its
    /// messages, or it waits for a disk or for other workers.
    fn is_unread(&self, conn: &Conn<'_>, client: &Client, key: Key) -> bool {
        let link = self.sessions.get(key).and_then(|session| session.link.as_deref());
        let is_held = link.is_some_and(|link| link.conn == conn.id() && link.held_bytes > HELD_MAX);
        conn.is_congested() || is_held || client.waits() || self.siblings.is_full()
    }

    /// Adds up what waits in queues: some of them in each tick, and all of them some times a second unless there are
    /// very many.
    fn count_queues(&mut self) {
        let (next, mut len, mut bytes) = self.counting;
        let to = self.sessions.end().min(next.saturating_add(COUNTED_MAX));
        for session in (next..to).filter_map(|key| self.sessions.get(key)) {
            len += session.queue.len() as u64;
            bytes += session.queue.bytes() as u64;
        }
        self.counting = (to, len, bytes);
        if to == self.sessions.end() {
            (self.stats.queued, self.stats.queued_bytes) = (len, bytes);
            // Of all workers together, so one of them says it.
            self.stats.memory_used = if self.worker == 0 { self.memory.used() as u64 } else { 0 };
            self.counting = (0, 0, 0);
        }
    }

    fn gauge(&mut self) {
        self.stats.sessions = self.sessions.len() as u64;
        self.stats.subscriptions = self.routes.len() as u64;
        self.stats.retained = self.kept.own() as u64;
        self.stats.retained_bytes = self.kept.own_bytes() as u64;
    }

    /// Has what is recorded committed and what others are to know sent behind the input of this turn, so that it takes
    /// all that the turn comes to.
    #[inline]
    pub(crate) fn see_to(&mut self) {
        if self.told || !self.durable.journal.is_due(self.now) && !self.siblings.are_due() {
            return;
        }
        // If the queue is full, the next tick does it.
        self.told = self.mailbox.as_ref().is_some_and(|it| it.send(self.worker, Mail::Commit).is_ok());
    }

    /// Does it.
    fn seen_to(&mut self, scope: &mut Scope<'_>, all: bool) {
        self.told = false;
        self.durable.commit(scope);
        self.siblings.send(all);
    }
}

impl Service for Hub {
    type Session = Client;

    /// Where all sessions are, if they are on one worker.
    fn place(&mut self, _: Peer, _: usize) -> Placement {
        if self.siblings.workers() > 1 { Placement::Balanced } else { Placement::Worker(0) }
    }

    fn before_tls(&mut self, _: Peer, _: usize) -> BeforeTls {
        if self.config.proxy_header { BeforeTls::ProxyHeader } else { BeforeTls::Nothing }
    }

    fn speaks_for_others(&mut self, _: Peer) -> bool {
        self.config.proxy_header
    }

    fn start(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>) {
        self.now = scope.now();
        self.began = self.now;
        self.worker = scope.worker();
        if self.siblings.begin(self.worker) {
            let workers = self.siblings.workers();
            self.routes.begin(self.worker, workers, &self.memory);
            self.kept.begin(self.worker, workers, &self.memory);
            self.siblings.set_max(self.config.between_workers_max, &self.memory);
        }
        self.begin_log(scope, clients);
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Client, Close> {
        self.now = conn.now();
        conn.wake_at(self.now + self.config.connect_timeout);
        let mut client = Client::new(self, self.now);
        // Before a TLS handshake the engine has taken it.
        if let Some(addresses) = conn.proxied() {
            client.is_introduced = true;
            if let Addresses::Inet { source, .. } = addresses {
                client.rare().source = Some(source.ip());
            }
        }
        Ok(client)
    }

    fn data(&mut self, conn: &mut Conn<'_>, client: &mut Client, input: &mut Input<'_>) -> Result<(), Close> {
        self.now = conn.now();
        let served = self.input(conn, client, input);
        self.see_to();
        served
    }

    fn drained(&mut self, conn: &mut Conn<'_>, client: &mut Client) -> Result<(), Close> {
        self.now = conn.now();
        if let Some(key) = client.key()
            && self.is_linked(key, conn.id())
        {
            self.go_on(conn, client, key);
        }
        let served = self.unheld(conn, client);
        self.see_to();
        served
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, client: &mut Client) -> Result<(), Close> {
        self.now = conn.now();
        if matches!(client.stage, Stage::Http) && self.siblings.is_full() {
            // What it sends is not read.
            conn.wake_at(self.now + self.config.connect_timeout);
            return Ok(());
        }
        let Stage::Served(key) = client.stage else { return Err(Close::Timeout) };
        if client.silent_at().is_some_and(|at| self.now >= at) {
            if self.is_unread(conn, client, key) {
                client.heard = self.now;
            } else {
                self.stats.keep_alive_timeouts += 1;
                let _ = self.goodbye(client, Reason::KeepAliveTimeout);
                self.flush(conn, client);
                return Err(Close::Timeout);
            }
        }
        self.watch_silence(conn, client);
        if self.is_linked(key, conn.id()) {
            self.go_on(conn, client, key);
        }
        self.see_to();
        Ok(())
    }

    fn draining(&mut self, conn: &mut Conn<'_>, client: &mut Client) -> Result<(), Close> {
        self.now = conn.now();
        let _ = self.goodbye(client, Reason::ServerShuttingDown);
        self.flush(conn, client);
        Err(Close::Shutdown)
    }

    /// The log goes to the successor, and the sessions with it: clients find them there.
    fn superseded(&mut self, conn: &mut Conn<'_>, client: &mut Client) -> Result<(), Close> {
        if self.durable.is_to_be_handed_over() { self.draining(conn, client) } else { Ok(()) }
    }

    fn closed(&mut self, conn: &mut Conn<'_>, client: Client, _: Close) {
        self.now = conn.now();
        self.gone(conn, &client);
        self.see_to();
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Clients<Client>, _: Tick) {
        self.now = scope.now();
        while let Some((key, generation)) = self.timers.pop(self.now) {
            if self.sessions.generation(key) == generation {
                self.overdue(scope, key);
            }
        }
        self.hold_to_account(scope);
        self.kept.sweep(self.now, self.watch.totals());
        if parts::JOURNAL {
            self.ask_for_log(scope);
            self.walk();
        }
        if self.lens.as_ref().is_some_and(|lens| lens.is_over(self.now)) {
            self.lens = None;
        }
        self.gauge();
        let commits = self.durable.count(&mut self.stats);
        self.count_queues();
        self.watch.publish(self.worker, &self.stats, &commits);
        if self.worker == 0 {
            self.tell(scope);
        }
        self.seen_to(scope, true);
    }
}

impl Receive for Hub {
    type Message = Mail;

    fn receive(&mut self, scope: &mut Scope<'_>, clients: &mut Clients<Client>, mail: Mail) {
        self.now = scope.now();
        match mail {
            Mail::Commit => return self.seen_to(scope, false),
            Mail::Ask(ask) => self.asked(scope, clients, ask),
            Mail::Batch(batch) if parts::SPREAD => self.take(scope, clients, *batch),
            Mail::Begin(beginning) if parts::JOURNAL => self.begin_with(scope, clients, *beginning),
            // Nobody sends them either.
            Mail::Batch(_) | Mail::Begin(_) => {}
            Mail::Kick(client_id) => self.kick(scope, &client_id),
            Mail::Set(config) => {
                self.sys.set_interval(config.sys_interval);
                let is_same = self.config.identity == config.identity;
                self.config = HubConfig { unix_ms: self.config.unix_ms, ..*config };
                self.siblings.set_max(self.config.between_workers_max, &self.memory);
                if !is_same {
                    self.identity_changed();
                }
            }
        }
        self.see_to();
    }
}

/// Workers that sessions are dealt out among.
const WORKERS_MAX: usize = 1_024;

/// Queues counted in one tick.
const COUNTED_MAX: Key = 4096;
