//! The service: one store, and a session of either protocol on each connection.

use std::time::Duration;

use windlass::{Close, Conn, Input, Peer, Placement, Receive, Scope, Service, Sessions, Tick, Time};

use crate::config::{KvConfig, KvSettings, Protocol};
use crate::memcached::{self, Memcached};
use crate::resp::{self, Resp};
use crate::store::Store;

/// The key-value service. Serve it with one worker and a tick of [`Kv::TICK`].
pub struct Kv {
    store: Store,
    resp: Resp,
    memcached: Memcached,
    config: KvConfig,
    /// When the worker began, by the engine's clock: `config.unix_ms` on the calendar.
    began: Option<Time>,
}

/// The state of one connection, in whatever it speaks.
pub struct Session(Speaks);

enum Speaks {
    Resp(resp::Session),
    Memcached(memcached::Session),
}

impl Kv {
    /// The period of the tick that finds what has expired.
    pub const TICK: Duration = Duration::from_millis(100);

    /// A service with an empty store.
    pub fn new(config: KvConfig) -> Kv {
        Kv {
            store: Store::new(config.store.clone()),
            resp: Resp::new(&config),
            memcached: Memcached::new(config.store.value_max),
            config,
            began: None,
        }
    }

    /// How many commands were served, in every protocol.
    pub fn commands(&self) -> u64 {
        self.resp.commands() + self.memcached.commands()
    }

    /// Unix time in milliseconds, at a time of the engine's clock.
    fn unix_ms(&mut self, now: Time) -> u64 {
        let began = *self.began.get_or_insert(now);
        self.config.unix_ms + now.since(began).as_nanos() as u64 / 1_000_000
    }
}

impl Service for Kv {
    type Session = Session;

    /// The keyspace is on worker 0, and so is everybody who uses it.
    fn place(&mut self, _: Peer, _: usize) -> Placement {
        Placement::Worker(0)
    }

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Session>) {
        self.began = Some(scope.now());
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Session, Close> {
        let now = self.unix_ms(conn.now());
        self.store.set_now(now);
        Ok(Session(match self.config.protocol(conn.listener_tag()) {
            Protocol::Resp => Speaks::Resp(self.resp.open(&self.store, conn)),
            Protocol::Memcached => Speaks::Memcached(self.memcached.open(&self.store)),
        }))
    }

    fn data(
        &mut self,
        conn: &mut Conn<'_>,
        session: &mut Session,
        input: &mut Input<'_>,
    ) -> Result<(), Close> {
        let now = self.unix_ms(conn.now());
        self.store.set_now(now);
        match &mut session.0 {
            Speaks::Resp(session) => self.resp.data(&mut self.store, conn, session, input),
            Speaks::Memcached(session) => self.memcached.data(&mut self.store, conn, session, input),
        }
    }

    fn drained(&mut self, conn: &mut Conn<'_>, session: &mut Session) -> Result<(), Close> {
        let now = self.unix_ms(conn.now());
        self.store.set_now(now);
        match &mut session.0 {
            Speaks::Resp(_) => {}
            Speaks::Memcached(session) => self.memcached.drained(&mut self.store, conn, session),
        }
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, session: Session, _: Close) {
        match session.0 {
            Speaks::Resp(mut session) => self.resp.closed(conn, &mut session),
            Speaks::Memcached(_) => self.memcached.closed(),
        }
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Session>, _: Tick) {
        let now = self.unix_ms(scope.now());
        self.store.set_now(now);
        self.memcached.tick(&mut self.store);
        self.store.sweep();
    }
}

impl Receive for Kv {
    type Message = KvSettings;

    fn receive(&mut self, _: &mut Scope<'_>, _: &mut Sessions<Session>, settings: KvSettings) {
        let KvSettings { memory_max, value_max, eviction, password } = settings;
        self.store.set_bounds(memory_max, value_max, eviction);
        self.memcached.set_value_max(value_max);
        self.resp.set(self.store.config(), password);
    }
}
