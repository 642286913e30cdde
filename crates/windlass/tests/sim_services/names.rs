//! A service that resolves the names it is sent, and clients who know what they stand for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use windlass::proto::{Decode, Lines};
use windlass::sim::{Client, Line, Sim, Status, Step};
use windlass::{
    Close, Conn, ConnId, Input, Lookup, LookupId, Resolve, ResolveError, Resolved, Resolver, ResolverConfig,
    Scope, Service, Sessions, Tick, Time, serve,
};

use super::LATE_MAX;

/// Answers every line with what the name in it stands for, in any order.
struct Names {
    resolver: Resolver,
    /// Lookups without an answer: for whom, and until when.
    open: BTreeMap<LookupId, (Option<ConnId>, Time)>,
}

/// `name7` has one address, `name8` none, `name9` fails.
fn lookup(host: &str) -> std::io::Result<Vec<SocketAddr>> {
    let number: u8 = host.strip_prefix("name").and_then(|n| n.parse().ok()).unwrap_or(9);
    match number % 10 {
        8 => Ok(Vec::new()),
        9 => Err(std::io::Error::other("unknown")),
        _ => Ok(vec![([192, 0, 2, number], 1).into()]),
    }
}

fn reply(host: &str, port: u16, result: &Result<Vec<SocketAddr>, ResolveError>) -> String {
    match result {
        Ok(addrs) => format!("{host} {port} {}\n", addrs[0]),
        Err(ResolveError::Failed(_)) => format!("{host} {port} failed\n"),
        Err(ResolveError::Timeout) => format!("{host} {port} late\n"),
        Err(ResolveError::Busy) => format!("{host} {port} busy\n"),
        Err(e) => panic!("{host}: {e}"),
    }
}

impl Names {
    fn check(&self, now: Time) {
        for (id, (_, due)) in &self.open {
            assert!(now <= *due + LATE_MAX, "{id:?} is without an answer past its deadline");
        }
    }
}

impl Service for Names {
    type Session = Lines;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Lines, Close> {
        Ok(Lines::max(100))
    }

    fn data(&mut self, conn: &mut Conn<'_>, lines: &mut Lines, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = lines.decode(input)? {
            let text = String::from_utf8_lossy(line).into_owned();
            let (host, port) = text.split_once(' ').ok_or(Close::Truncated)?;
            let port = port.parse()?;
            let due = conn.now() + self.resolver.config().timeout;
            let result = match self.resolver.lookup(conn, host, port) {
                Ok(Lookup::Pending(id)) => {
                    let before = self.open.insert(id, (Some(conn.id()), due));
                    assert!(before.is_none(), "two lookups have one name");
                    continue;
                }
                Ok(Lookup::Ready(addrs)) => Ok(addrs),
                Err(e) => Err(e),
            };
            conn.write(reply(host, port, &result).as_bytes());
        }
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, _: Lines, _: Close) {
        let id = conn.id();
        self.open.retain(|_, (owner, _)| *owner != Some(id));
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Lines>, tick: Tick) {
        self.check(scope.now());
        let due = scope.now() + self.resolver.config().timeout;
        if tick.number.is_multiple_of(5)
            && let Ok(Lookup::Pending(id)) = self.resolver.lookup(scope, "name1", 1)
        {
            self.open.insert(id, (None, due));
        }
    }
}

impl Resolve for Names {
    fn resolved(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Lines>, resolved: Resolved) {
        self.check(scope.now());
        let Resolved { lookup, conn, host, port, result, .. } = resolved;
        let known = self.open.remove(&lookup);
        let (owner, _) = known.unwrap_or_else(|| panic!("{lookup:?} is answered, and nobody waits for it"));
        assert_eq!(owner, conn, "the answer is for another connection");
        let Some(id) = conn else { return };
        let (mut conn, _) = sessions.get(scope, id).expect("an answer for a connection that is open");
        conn.write(reply(&host, port, &result).as_bytes());
    }
}

/// Asks for names, many at a time, and holds the answers against what it knows.
struct Caller {
    left: u32,
    unsent: Vec<u8>,
    open: Vec<(String, u16)>,
    received: Vec<u8>,
    leaves_early: bool,
}

impl Caller {
    fn hear(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let &[host, port, answer] = &words[..] else { return Err(format!("mangled: {text:?}")) };
        let port = port.parse().unwrap_or(0);
        let Some(at) = self.open.iter().position(|asked| *asked == (host.to_string(), port)) else {
            return Err(format!("nobody asked for that: {text:?}"));
        };
        self.open.swap_remove(at);
        let right = match lookup(host) {
            Ok(addrs) if !addrs.is_empty() => SocketAddr::new(addrs[0].ip(), port).to_string(),
            _ => "failed".into(),
        };
        if answer == right || answer == "late" || answer == "busy" {
            Ok(())
        } else {
            Err(format!("wrong: {text:?}"))
        }
    }
}

impl Client for Caller {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            if line.shutdown_at().is_some() {
                return Step::Done;
            }
            line.connect();
        }
        line.receive(&mut self.received, usize::MAX);
        while let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
            let text: Vec<u8> = self.received.drain(..=end).collect();
            if let Err(what) = self.hear(&String::from_utf8_lossy(&text)) {
                return line.fail(what);
            }
        }
        match line.status() {
            Status::Connecting => return Step::Wait,
            Status::Ended(_) if line.excused() => return Step::Done,
            Status::Ended(how) => {
                return line.fail(format!("ended by {how:?} while waiting for {:?}", self.open));
            }
            _ => {}
        }
        if self.left == 0 && self.unsent.is_empty() {
            if self.leaves_early {
                line.reset();
                return Step::Done;
            }
            return if self.open.is_empty() { Step::Done } else { Step::Wait };
        }
        if self.unsent.is_empty() && self.open.len() < 4 {
            self.left -= 1;
            let asked = (format!("name{}", line.rng().below(14)), 1 + line.rng().below(9) as u16);
            self.unsent = format!("{} {}\n", asked.0, asked.1).into_bytes();
            self.open.push(asked);
        }
        let sent = line.send(&self.unsent);
        self.unsent.drain(..sent);
        // Space brings it back; an answer too.
        let pause = Duration::from_millis(1 + line.rng().below(200));
        Step::Until(line.after(pause))
    }
}

/// Names resolved off the loop, by threads of which some never come back.
pub(crate) fn names(sim: &mut Sim) {
    let config = ResolverConfig {
        threads: 1 + sim.rng().below(3) as usize,
        timeout: Duration::from_millis(20 << sim.rng().below(7)),
        queries_max: 1 + sim.rng().below(6) as usize,
        waiting_max: 2 + sim.rng().below(30) as usize,
        positive_ttl: Duration::from_millis(sim.rng().below(2) * sim.rng().below(3000)),
        negative_ttl: Duration::from_millis(sim.rng().below(300)),
        cache_max: sim.rng().below(8) as usize,
        ..ResolverConfig::default()
    };
    let resolver = Resolver::with_lookup(config, lookup);
    let in_service = resolver.clone();
    let make = move || Names { resolver: in_service.clone(), open: BTreeMap::new() };
    let period = Duration::from_millis(20 << sim.rng().below(5));
    sim.serve(serve(make).resolver(&resolver).tick(period));
    let callers = 1 + sim.rng().below(12) as usize;
    let patient = sim.rng().chance(1, 3);
    sim.clients(callers, |rng| Caller {
        left: 1 + rng.below(20) as u32,
        unsent: Vec::new(),
        open: Vec::new(),
        received: Vec::new(),
        leaves_early: !patient && rng.chance(1, 2),
    });
    sim.room_for_all().limits(|limits| {
        limits.idle_timeout = Duration::ZERO;
        limits.output_max = limits.output_max.max(64 * 1024);
    });
}
