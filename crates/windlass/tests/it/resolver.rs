//! Names: answered at once where nobody has to be asked, by the system's resolver off the loop otherwise,
//! and in time whatever that does.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use windlass::proto::{Decode, Lines};
use windlass::{
    Close, Config, Conn, Input, Lookup, Mailbox, Receive, Resolve, Resolved, Resolver, ResolverConfig, Scope,
    Service, Sessions, serve,
};

use crate::harness::*;

/// Each line is a host; the reply is how it was answered, and what with.
struct Names {
    resolver: Resolver,
}

fn reply(conn: &mut Conn<'_>, how: &str, result: Result<Vec<SocketAddr>, impl ToString>) {
    let text = match result {
        Ok(addrs) => addrs.iter().map(|addr| addr.to_string()).collect::<Vec<_>>().join(" "),
        Err(e) => e.to_string(),
    };
    conn.write(format!("{how} {text}\n").as_bytes());
}

impl Service for Names {
    type Session = Lines;
    fn open(&mut self, _: &mut Conn<'_>) -> Result<Lines, Close> {
        Ok(Lines::max(1000))
    }
    fn data(&mut self, conn: &mut Conn<'_>, lines: &mut Lines, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = lines.decode(input)? {
            let host = String::from_utf8_lossy(line).into_owned();
            match self.resolver.lookup(conn, &host, 80) {
                Ok(Lookup::Pending(_)) => {}
                Ok(Lookup::Ready(addrs)) => reply(conn, "now", Ok::<_, String>(addrs)),
                Err(e) => reply(conn, "now", Err(e)),
            }
        }
        Ok(())
    }
}

impl Resolve for Names {
    fn resolved(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Lines>, resolved: Resolved) {
        assert_eq!(resolved.port, 80);
        if let Some(id) = resolved.conn {
            let mut conn = scope.conn(id).expect("an answer for one who is there");
            reply(&mut conn, "later", resolved.result);
        }
    }
}

impl Receive for Names {
    type Message = String;
    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Lines>, host: String) {
        let pending = self.resolver.lookup(scope, &host, 80);
        assert!(matches!(pending, Ok(Lookup::Pending(_))));
    }
}

/// A system whose answers a test decides on.
#[derive(Default)]
struct Dns {
    asked: Mutex<HashMap<String, u32>>,
    /// Opened for every lookup of a name that begins with "hang".
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Dns {
    fn lookup(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        *self.asked.lock().unwrap().entry(host.into()).or_default() += 1;
        if host.starts_with("hang") {
            drop(self.opened.wait_while(self.gate.lock().unwrap(), |open| !*open).unwrap());
        }
        match host {
            "bad" => Err(io::Error::other("no such host")),
            "empty" => Ok(vec![]),
            "panics" => panic!("in the resolver"),
            "many" => Ok((0..1000u32).map(|n| ([10, 0, (n % 200) as u8, 1], 7).into()).collect()),
            _ => Ok(vec!["192.0.2.2:0".parse().unwrap(), "[2001:db8::1]:0".parse().unwrap()]),
        }
    }

    fn asked(&self, host: &str) -> u32 {
        self.asked.lock().unwrap().get(host).copied().unwrap_or(0)
    }

    fn open(&self) {
        *self.gate.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

struct Named {
    server: Running,
    resolver: Resolver,
    mailbox: Mailbox<String>,
    dns: Arc<Dns>,
}

fn start(config: ResolverConfig) -> Named {
    let dns = Arc::new(Dns::default());
    let in_resolver = dns.clone();
    let resolver = Resolver::with_lookup(config, move |host| in_resolver.lookup(host));
    let mailbox = Mailbox::new();
    Named { server: serve_names(&resolver, &mailbox, 1), resolver, mailbox, dns }
}

fn serve_names(resolver: &Resolver, mailbox: &Mailbox<String>, workers: usize) -> Running {
    let in_service = resolver.clone();
    let serve = serve(move || Names { resolver: in_service.clone() }).resolver(resolver).mailbox(mailbox);
    let config = Config::default().workers(workers).limits(limits());
    Running::start(serve.config(config).tcp("127.0.0.1:0"))
}

struct Asking(BufReader<TcpStream>);

impl Asking {
    fn new(server: &Running) -> Asking {
        Asking(BufReader::new(server.connect()))
    }
    fn send(&mut self, hosts: &str) {
        self.0.get_mut().write_all(format!("{hosts}\n").as_bytes()).unwrap();
    }
    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        line.trim_end().into()
    }
    fn ask(&mut self, host: &str) -> String {
        self.send(host);
        self.hear()
    }
}

const GOOD: &str = "192.0.2.2:80 [2001:db8::1]:80";

#[test]
fn what_nobody_has_to_be_asked_is_answered_at_once() {
    let named = start(ResolverConfig::default());
    let mut asking = Asking::new(&named.server);
    assert_eq!(asking.ask("192.0.2.9"), "now 192.0.2.9:80");
    assert_eq!(asking.ask("::1"), "now [::1]:80");
    assert_eq!(asking.ask("[2001:db8::7]"), "now [2001:db8::7]:80");
    assert_eq!(asking.ask("LocalHost"), "now 127.0.0.1:80 [::1]:80");
    assert_eq!(asking.ask("a.localhost."), "now 127.0.0.1:80 [::1]:80");
    for bad in ["", "two words", "a:80", "[x]", &"x".repeat(255)] {
        assert_eq!(asking.ask(bad), "now this is no host name", "{bad:?}");
    }
    assert_eq!((named.resolver.stats().lookups, named.resolver.pool_stats().submitted), (0, 0));
    named.server.stop();
}

#[test]
fn a_name_is_asked_for_once_and_kept() {
    // Kept for longer than any test takes.
    let config = ResolverConfig { positive_ttl: 100 * LONG, negative_ttl: 100 * LONG, ..Default::default() };
    let named = start(config);
    let mut asking = Asking::new(&named.server);
    assert_eq!(asking.ask("good"), format!("later {GOOD}"));
    assert_eq!(asking.ask("GOOD"), format!("now {GOOD}"));
    for how in ["later", "now"] {
        assert_eq!(asking.ask("bad"), format!("{how} no such host"));
        assert_eq!(asking.ask("empty"), format!("{how} the name has no addresses"));
        assert!(asking.ask("panics").contains("in the resolver"));
        let many = asking.ask("many");
        assert_eq!(many.split(' ').count(), 1 + 64, "{many}");
        assert!(many.starts_with(&format!("{how} 10.0.0.1:80 10.0.1.1:80")));
    }
    for host in ["good", "bad", "empty", "panics", "many"] {
        assert_eq!(named.dns.asked(host), 1, "{host}");
    }
    let stats = named.resolver.stats();
    assert_eq!((stats.queries, stats.hits, stats.entries, stats.failed), (5, 5, 5, 3));
    named.server.stop();
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be() {
    let config =
        ResolverConfig { positive_ttl: Duration::ZERO, negative_ttl: Duration::ZERO, ..Default::default() };
    let named = start(config);
    let mut asking = Asking::new(&named.server);
    for asked in 1..4 {
        assert_eq!(asking.ask("good"), format!("later {GOOD}"));
        assert_eq!(asking.ask("bad"), "later no such host");
        assert_eq!((named.dns.asked("good"), named.dns.asked("bad")), (asked, asked));
    }
    named.server.stop();
}

#[test]
fn equal_lookups_are_one_query() {
    let named = start(ResolverConfig { timeout: 100 * LONG, ..Default::default() });
    let mut asking: Vec<_> = (0..10).map(|_| Asking::new(&named.server)).collect();
    for one in &mut asking {
        one.send("hang");
        one.send("hang");
    }
    named.server.wait_for("all to wait", |_| named.resolver.stats().waiting == 20);
    // Some leave before the answer.
    for one in asking.drain(..3) {
        reset_on_drop(one.0.get_ref());
    }
    named.server.wait_for("them to leave", |c| c.connections == 7);
    assert_eq!((named.resolver.stats().waiting, named.resolver.stats().cancelled), (14, 6));
    named.dns.open();
    for one in &mut asking {
        assert_eq!([one.hear(), one.hear()], [format!("later {GOOD}"), format!("later {GOOD}")]);
    }
    let stats = named.resolver.stats();
    assert_eq!((named.dns.asked("hang"), stats.queries, stats.joined, stats.waiting), (1, 1, 19, 0));
    named.server.stop();
}

#[test]
fn a_resolver_that_never_answers_holds_nothing_but_its_threads() {
    let config = ResolverConfig {
        timeout: Duration::from_millis(300),
        threads: 2,
        queries_max: 8,
        positive_ttl: 100 * LONG,
        ..Default::default()
    };
    let named = start(config);
    let (mut held, mut other) = (Asking::new(&named.server), Asking::new(&named.server));
    // What is known stays known. (Asked until the machine was quick enough.)
    while other.ask("good") != format!("now {GOOD}") {}
    for n in 0..8 {
        held.send(&format!("hang{n}"));
    }
    named.server.wait_for("both threads to be held", |_| named.resolver.pool_stats().running == 2);
    assert_eq!(other.ask("good"), format!("now {GOOD}"), "the loop goes on");
    for _ in 0..8 {
        assert_eq!(held.hear(), "later the name was not resolved in time");
    }
    // Every thread is held: whatever is asked fails at its deadline, and what is too much at once.
    assert_eq!(other.ask("anything"), "later the name was not resolved in time");
    // All in one turn, before the first of them fails.
    held.send(&(0..9).map(|n| format!("more{n}")).collect::<Vec<_>>().join("\n"));
    let answers: Vec<_> = (0..9).map(|_| held.hear()).collect();
    assert!(answers.contains(&"now too many names are being resolved".into()), "{answers:?}");
    let pool = named.resolver.pool_stats();
    assert_eq!((pool.running, pool.open, pool.queued), (2, 0, 0));
    // It comes back, and so does service.
    named.dns.open();
    named.server.wait_for("the threads", |_| named.resolver.pool_stats().running == 0);
    while other.ask("again") != format!("now {GOOD}") {}
    named.server.stop();
}

#[test]
fn a_query_nobody_waits_for_does_not_hold_up_the_end() {
    let named = start(ResolverConfig { threads: 1, timeout: 100 * LONG, ..Default::default() });
    let mut asking = Asking::new(&named.server);
    asking.send("hang\nwaits");
    let hangs = || named.dns.asked("hang") == 1;
    named.server.wait_for("both", |_| named.resolver.stats().waiting == 2 && hangs());
    reset_on_drop(asking.0.get_ref());
    drop(asking);
    named.server.wait_for("its end", |_| named.resolver.stats().waiting == 0);
    // What had not begun never does.
    named.server.wait_for("one to be taken back", |_| named.resolver.pool_stats().cancelled == 1);
    assert_eq!(named.resolver.pool_stats().queued, 0);
    named.server.handle.shutdown();
    named.server.ended_well();
    assert_eq!(named.dns.asked("waits"), 0);
    named.dns.open();
}

#[test]
fn a_drain_answers_the_service_too() {
    let named = start(ResolverConfig { threads: 1, timeout: 100 * LONG, ..Default::default() });
    for host in ["hang", "waits"] {
        named.mailbox.send(0, host.into()).unwrap();
    }
    named.server.wait_for("both", |_| named.resolver.stats().waiting == 2);
    named.server.handle.shutdown();
    // The one thread may have taken the first by then, or not: what it holds cannot be cancelled.
    named.server.wait_for("what waits to be cancelled", |_| named.resolver.stats().waiting <= 1);
    named.dns.open();
    named.server.ended_well();
    assert_eq!(named.resolver.stats().waiting, 0);
}

#[test]
fn the_systems_resolver_knows_its_hosts_file() {
    // The one name every machine knows, asked of the system and not answered by us.
    let resolver =
        Resolver::new(ResolverConfig { localhost: false, timeout: LONG / 3, ..Default::default() });
    let mailbox = Mailbox::new();
    let server = serve_names(&resolver, &mailbox, 2);
    let mut asking = Asking::new(&server);
    let answer = asking.ask("localhost");
    assert!(answer.contains("127.0.0.1:80") || answer.contains("[::1]:80"), "{answer}");
    assert!(asking.ask("no.such.name.invalid").starts_with("later "));
    server.stop();
}
