//! Asking name servers: a datagram from a socket of its own for each try, and a connection where the answer does
//! not fit into one (RFC 7766). Ports are the system's choice, and only the server that was asked is heard on a
//! socket; with the number of a question nobody can guess an answer to it (RFC 5452).

use std::collections::VecDeque;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use windlass::{ConnId, Connect, Scope, SocketId, Time};

use super::message::{Message, Question, Record, query, read};
use crate::discovery::DiscoveryConfig;

/// Questions under way at a time; others wait.
const OPEN_MAX: usize = 32;

/// What came of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Records {
        records: Vec<Record>,
        ttl: Duration,
    },
    /// There are none.
    Nothing,
    /// Nobody has answered it.
    Failed(String),
}

/// Who asks.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) servers: Vec<SocketAddr>,
    waiting: VecDeque<Question>,
    open: Vec<Open>,
    numbers: u64,
    draw: Draw,
}

/// Where numbers come from that nobody else is to guess.
#[derive(Debug)]
enum Draw {
    /// The key comes from the system, and what it makes of a number tells nobody the next.
    System(RandomState),
    /// Whoever knows this knows them all.
    Seed(u64),
}

impl Default for Draw {
    fn default() -> Draw {
        Draw::System(RandomState::new())
    }
}

/// A question under way.
#[derive(Debug)]
struct Open {
    /// Of this try: what its connection is known by.
    number: u64,
    question: Question,
    id: u16,
    tries: u32,
    /// Which server was asked first.
    first: usize,
    way: Way,
    /// Its answer did not fit into a datagram.
    wants_stream: bool,
    deadline: Time,
    /// Why the try before failed.
    why: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Datagram(SocketId),
    Stream(ConnId),
    /// No way was open: the next tick tries again.
    None,
}

impl Open {
    /// Who is asked in this try.
    fn server(&self, servers: &[SocketAddr]) -> Option<SocketAddr> {
        let at = (self.first + self.tries.max(1) as usize - 1).checked_rem(servers.len())?;
        servers.get(at).copied()
    }
}

impl Client {
    /// Numbers its questions as follows from `seed`, in a simulation.
    pub(crate) fn from_seed(seed: u64) -> Client {
        Client { draw: Draw::Seed(seed), ..Client::default() }
    }

    /// Asks, if it is not asked already. What comes of it is returned by one of the other calls.
    pub(crate) fn ask(&mut self, question: Question) {
        let known = self.open.iter().map(|open| &open.question).chain(&self.waiting);
        if known.into_iter().all(|known| *known != question) {
            self.waiting.push_back(question);
        }
    }

    /// Begins what waits, and tries again what has waited for too long.
    pub(crate) fn drive(
        &mut self,
        scope: &mut Scope<'_>,
        config: &DiscoveryConfig,
    ) -> Vec<(Question, Reply)> {
        let now = scope.now();
        let mut failed = Vec::new();
        let late: Vec<u64> =
            self.open.iter().filter(|open| open.deadline <= now).map(|open| open.number).collect();
        for number in late {
            failed.extend(self.next_try(scope, number, config, None));
        }
        while self.open.len() < OPEN_MAX
            && let Some(question) = self.waiting.pop_front()
        {
            if self.servers.is_empty() {
                failed.push((question, Reply::Failed("no name server is known".into())));
                continue;
            }
            // Not always the same one first.
            let first = (self.number() % self.servers.len() as u64) as usize;
            let mut open = Open {
                number: 0,
                question,
                id: 0,
                tries: 0,
                first,
                way: Way::None,
                wants_stream: false,
                deadline: now,
                why: String::new(),
            };
            self.send(scope, &mut open, config);
            self.open.push(open);
        }
        failed
    }

    /// A number that nobody can guess.
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        match &self.draw {
            Draw::System(key) => key.hash_one(self.numbers),
            Draw::Seed(seed) => {
                let mut hasher = DefaultHasher::new();
                (seed, self.numbers).hash(&mut hasher);
                hasher.finish()
            }
        }
    }

    /// One try more.
    fn send(&mut self, scope: &mut Scope<'_>, open: &mut Open, config: &DiscoveryConfig) {
        self.numbers += 1;
        open.number = self.numbers;
        open.id = self.number() as u16;
        open.tries += 1;
        open.deadline = scope.now() + config.dns_timeout;
        (open.way, open.wants_stream) = (Way::None, false);
        let Some(server) = open.server(&self.servers) else { return };
        let Some(bytes) = query(&open.question, open.id) else { return };
        match scope.connect_udp(server) {
            Ok(id) => {
                open.way = Way::Datagram(id);
                if let Some(mut socket) = scope.socket(id) {
                    socket.send(&bytes);
                }
            }
            Err(error) => open.why = format!("cannot ask {server}: {error}"),
        }
    }

    /// A try has failed: the next server, or none any more.
    fn next_try(
        &mut self,
        scope: &mut Scope<'_>,
        number: u64,
        config: &DiscoveryConfig,
        why: Option<String>,
    ) -> Option<(Question, Reply)> {
        let at = self.open.iter().position(|open| open.number == number)?;
        let mut open = self.open.swap_remove(at);
        end(scope, open.way);
        open.why = match (why, open.server(&self.servers)) {
            (Some(why), Some(server)) => format!("{server}: {why}"),
            (None, Some(server)) if open.way != Way::None => format!("{server}: no answer"),
            _ => open.why,
        };
        if open.tries >= config.dns_tries.max(1) || self.servers.is_empty() {
            let why = if open.why.is_empty() { "no name server is known".into() } else { open.why };
            return Some((open.question, Reply::Failed(why)));
        }
        self.send(scope, &mut open, config);
        self.open.push(open);
        None
    }

    /// A datagram has come to one of its sockets.
    pub(crate) fn datagram(
        &mut self,
        scope: &mut Scope<'_>,
        socket: SocketId,
        bytes: &[u8],
        config: &DiscoveryConfig,
    ) -> Option<(Question, Reply)> {
        let number = self.by(Way::Datagram(socket))?;
        self.heard(scope, number, bytes, config, false)
    }

    /// Nobody is there, says the system.
    pub(crate) fn refused(
        &mut self,
        scope: &mut Scope<'_>,
        socket: SocketId,
        why: &std::io::Error,
        config: &DiscoveryConfig,
    ) -> Option<(Question, Reply)> {
        let number = self.by(Way::Datagram(socket))?;
        self.next_try(scope, number, config, Some(why.to_string()))
    }

    fn by(&self, way: Way) -> Option<u64> {
        self.open.iter().find(|open| open.way == way).map(|open| open.number)
    }

    /// A whole message has come by a connection.
    pub(crate) fn message(
        &mut self,
        scope: &mut Scope<'_>,
        number: u64,
        bytes: &[u8],
        config: &DiscoveryConfig,
    ) -> Option<(Question, Reply)> {
        self.heard(scope, number, bytes, config, true)
    }

    /// The connection of a try did not come about, or ended before its answer.
    pub(crate) fn lost(
        &mut self,
        scope: &mut Scope<'_>,
        number: u64,
        why: String,
        config: &DiscoveryConfig,
    ) -> Option<(Question, Reply)> {
        self.next_try(scope, number, config, Some(why))
    }

    fn heard(
        &mut self,
        scope: &mut Scope<'_>,
        number: u64,
        bytes: &[u8],
        config: &DiscoveryConfig,
        whole: bool,
    ) -> Option<(Question, Reply)> {
        let at = self.open.iter().position(|open| open.number == number)?;
        let open = &mut self.open[at];
        let reply = match read(bytes, &open.question, open.id) {
            // On a connection nobody else can have sent it: it is no answer, and none will follow.
            Message::NotOurs | Message::Truncated if whole => {
                return self.next_try(scope, number, config, Some("no answer that could be read".into()));
            }
            Message::NotOurs => return None,
            Message::Truncated => {
                end(scope, open.way);
                (open.way, open.wants_stream) = (Way::None, true);
                open.deadline = scope.now() + config.dns_timeout;
                return None;
            }
            Message::Failed(why) => return self.next_try(scope, number, config, Some(why.into())),
            Message::Records { records, ttl } => Reply::Records { records, ttl },
            Message::Nothing => Reply::Nothing,
        };
        let open = self.open.swap_remove(at);
        end(scope, open.way);
        Some((open.question, reply))
    }

    /// Asks by a connection what did not fit into a datagram: the same question, of the same server.
    pub(crate) fn call(&mut self, scope: &mut Scope<'_>, config: &DiscoveryConfig) {
        let servers = &self.servers;
        for open in self.open.iter_mut().filter(|open| open.wants_stream) {
            open.wants_stream = false;
            let (Some(server), Some(bytes)) = (open.server(servers), query(&open.question, open.id)) else {
                continue;
            };
            let mut framed = (bytes.len() as u16).to_be_bytes().to_vec();
            framed.extend_from_slice(&bytes);
            let connect = Connect::to(server).tag(open.number).timeout(config.dns_timeout).preface(framed);
            match scope.connect(connect) {
                Ok(conn) => open.way = Way::Stream(conn),
                Err(error) => open.why = format!("cannot call {server}: {error}"),
            }
        }
    }

    /// Whether somebody waits for the answer of this try.
    pub(crate) fn is_open(&self, number: u64) -> bool {
        self.open.iter().any(|open| open.number == number)
    }
}

/// A way is not needed any more.
fn end(scope: &mut Scope<'_>, way: Way) {
    match way {
        Way::Datagram(id) => {
            if let Some(mut socket) = scope.socket(id) {
                socket.close();
            }
        }
        Way::Stream(id) => match scope.conn(id) {
            Some(mut conn) => conn.close(),
            None => drop(scope.cancel_connect(id)),
        },
        Way::None => {}
    }
}
