//! The service on a network that does its worst: every request is answered once and in order, deadlines hold,
//! events arrive without gaps, and whoever is rude harms nobody.

use std::collections::VecDeque;
use std::time::Duration;

use windlass::proto::http::{ClientConn, Limits, ResponsePart, Status as Code};
use windlass::proto::{Decode, Input, Time};
use windlass::sim::{self, Client, Line, Sim, Status, Step};
use windlass::{Bytes, Close, Conn, Tick, serve};
use windlass_http::{Accepted, App, Event, File, Http, HttpConfig, Push, Request, Upgraded, WhenSlow};

const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 2_000 };
const HOUR: Duration = Duration::from_secs(3600);
const FILE: usize = 9000;

/// Counts its events.
struct Shouts(u64);
struct Shout;

impl App for Shouts {
    type Upgraded = Shout;

    fn subscribe(&mut self, _: &Request<'_>) -> Vec<Event> {
        vec![Event::new("begin")]
    }

    fn tick(&mut self, push: &mut Push<'_, '_, Shouts>, _: Tick) {
        self.0 += 1;
        push.event("/events", &Event::new(self.0.to_string()));
    }
}

impl Upgraded<Shouts> for Shout {
    fn data(&mut self, _: &mut Shouts, conn: &mut Conn<'_>, input: &mut Input<'_>) -> Result<(), Close> {
        let bytes = input.take_all();
        bytes.make_ascii_uppercase();
        conn.write(bytes);
        Ok(())
    }
}

/// Bytes that tell where they stand.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + (at % 23) as u8).collect()
}

fn shouts(config: HttpConfig) -> Http<Shouts> {
    Http::new(Shouts(0))
        .config(config)
        .file("/file", File::named("f.txt", Bytes::from(pattern(FILE))))
        .get("/n/*", |_, request, reply| {
            reply.bytes("text/plain", &pattern(request.rest().parse().unwrap_or_default()))
        })
        .post("/echo", |_, request, reply| reply.bytes("text/plain", request.body))
        .events("/events")
        .upgrade("/shout", "shout", |_, _| Ok(Accepted::new(Shout)))
}

fn patient() -> HttpConfig {
    HttpConfig { head_timeout: HOUR, body_timeout: HOUR, keep_alive_timeout: HOUR, ..HttpConfig::default() }
}

/// One request, and what it is owed.
#[derive(Clone, Debug)]
enum Ask {
    Pattern(usize),
    Head(usize),
    File,
    Echo { body: Vec<u8>, chunk: usize },
    Missing,
    Shout,
}

impl Ask {
    fn draw(line: &mut Line<'_>, most: usize) -> Ask {
        let rng = line.rng();
        let size = (most >> rng.below(8)).min(50_000);
        match rng.below(8) {
            0 => Ask::Missing,
            1 => Ask::Head(size),
            2 if most > 2 * FILE => Ask::File,
            2..=4 => Ask::Pattern(rng.below(size as u64 + 1) as usize),
            _ => {
                let mut body = vec![0; rng.below(size as u64 + 1) as usize];
                rng.fill(&mut body);
                let chunk = if rng.chance(1, 2) { 0 } else { 1 + rng.below(2000) as usize };
                Ask::Echo { body, chunk }
            }
        }
    }

    fn write(&self, conn: &mut ClientConn, out: &mut Vec<u8>) {
        let get = |conn: &mut ClientConn, out: &mut Vec<u8>, method: &str, path: &str| {
            conn.request(out, method, path, "h").empty()
        };
        let written = match self {
            Ask::Pattern(size) => get(conn, out, "GET", &format!("/n/{size}")),
            Ask::Head(size) => get(conn, out, "HEAD", &format!("/n/{size}")),
            Ask::File => get(conn, out, "GET", "/file"),
            Ask::Missing => get(conn, out, "GET", "/missing"),
            Ask::Shout => conn.request(out, "GET", "/shout", "h").upgrade("shout"),
            Ask::Echo { body, chunk: 0 } => conn.request(out, "POST", "/echo", "h").body(body),
            Ask::Echo { body, chunk } => {
                conn.request(out, "POST", "/echo", "h").chunked().expect("ready");
                for piece in body.chunks(*chunk) {
                    conn.write(out, piece).expect("a body");
                }
                conn.finish(out)
            }
        };
        written.expect("a request that can be written");
    }

    fn owed(&self) -> (Code, Vec<u8>) {
        match self {
            Ask::Pattern(size) => (Code::OK, pattern(*size)),
            Ask::Head(_) => (Code::OK, Vec::new()),
            Ask::File => (Code::OK, pattern(FILE)),
            Ask::Echo { body, .. } => (Code::OK, body.clone()),
            Ask::Missing => (Code::NOT_FOUND, b"404 Not Found\n".to_vec()),
            Ask::Shout => (Code::SWITCHING_PROTOCOLS, Vec::new()),
        }
    }
}

/// Asks, some requests at a time, and holds the server to every answer. Where the server ends the connection
/// in good order, it asks the rest on another.
struct Asker {
    plan: Option<VecDeque<Ask>>,
    shouts: bool,
    // Sends its FIN behind its last request.
    finishes: bool,
    depth: usize,
    piece: usize,
    conn: ClientConn,
    asked: VecDeque<Ask>,
    unsent: Vec<u8>,
    received: Vec<u8>,
    status: Option<Code>,
    body: Vec<u8>,
    shouted: Option<usize>,
}

fn asker(rng: &mut windlass::proto::testing::Rng) -> Asker {
    let depth = 1 + rng.below(6) as usize;
    Asker {
        plan: None,
        shouts: rng.chance(1, 3),
        finishes: rng.chance(1, 3),
        depth,
        piece: if rng.chance(1, 3) { 1 + rng.below(200) as usize } else { usize::MAX },
        conn: ClientConn::new(Limits::default()).pipeline_max(depth),
        asked: VecDeque::new(),
        unsent: Vec::new(),
        received: Vec::new(),
        status: None,
        body: Vec::new(),
        shouted: None,
    }
}

impl Asker {
    /// Takes what has come; an error is a broken promise.
    fn check(&mut self) -> Result<(), String> {
        let mut input = Input::new(&mut self.received);
        loop {
            match self.conn.decode(&mut input).map_err(|error| error.to_string())? {
                None => break,
                Some(ResponsePart::Head(head)) => self.status = Some(head.status),
                Some(ResponsePart::Body(bytes)) => self.body.extend_from_slice(bytes),
                Some(ResponsePart::End) => {
                    let Some(ask) = self.asked.pop_front() else { return Err("unasked".into()) };
                    let (status, body) = ask.owed();
                    if self.status != Some(status) || self.body != body {
                        return Err(format!("{ask:?}: {:?} and {} bytes", self.status, self.body.len()));
                    }
                    self.body.clear();
                }
                Some(_) => return Err("interim or trailers".into()),
            }
        }
        if self.conn.is_switched() {
            let bytes = input.take_all();
            if *bytes != *b"WELL"[4 - self.shouted.unwrap_or(4)..].get(..bytes.len()).unwrap_or_default() {
                return Err(format!("shouted {bytes:?}"));
            }
            self.shouted = Some(self.shouted.unwrap_or(4) - bytes.len());
        }
        let left = input.len();
        self.received.drain(..self.received.len() - left);
        Ok(())
    }

    /// What is not answered is asked again, on a fresh connection.
    fn again(&mut self, line: &mut Line<'_>) {
        line.close();
        self.conn = ClientConn::new(Limits::default()).pipeline_max(self.depth);
        if let Some(plan) = &mut self.plan {
            while let Some(ask) = self.asked.pop_back() {
                plan.push_front(ask);
            }
        }
        self.unsent.clear();
        self.received.clear();
        self.status = None;
        self.body.clear();
    }
}

impl Client for Asker {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if self.plan.is_none() {
            let most = line.volume_max();
            let count = 1 + line.rng().below(12) as usize;
            // Heads of either kind take some hundred bytes.
            let count = count.min(most / 600 + 1);
            let each = (most / count).saturating_sub(500);
            let mut plan: VecDeque<Ask> = (0..count).map(|_| Ask::draw(line, each)).collect();
            if self.shouts {
                plan.push_back(Ask::Shout);
            }
            self.plan = Some(plan);
        }
        if line.status() == Status::Idle {
            line.connect();
        }
        line.receive(&mut self.received, usize::MAX);
        if let Err(what) = self.check() {
            return line.fail(what);
        }
        if self.conn.is_switched() && self.shouted == Some(0) {
            return Step::Done;
        }
        let left = self.plan.as_ref().map_or(0, VecDeque::len) + self.asked.len();
        if left == 0 && !self.conn.is_switched() {
            return Step::Done;
        }
        if self.conn.is_over() {
            self.again(line);
            line.connect();
            return Step::Wait;
        }
        match line.status() {
            Status::Ended(_) if line.excused() => return Step::Done,
            Status::Ended(how) => return line.fail(format!("ended by {how:?} with {left} requests to go")),
            Status::Open => {}
            _ => return Step::Wait,
        }
        if let Some(plan) = &mut self.plan {
            while self.conn.is_ready()
                && let Some(ask) = plan.pop_front()
            {
                ask.write(&mut self.conn, &mut self.unsent);
                if matches!(ask, Ask::Shout) {
                    // Without waiting for the answer: the server must not take it for a request.
                    self.unsent.extend_from_slice(b"well");
                }
                self.asked.push_back(ask);
            }
        }
        if self.conn.is_closing() {
            // Nobody will answer what is not sent yet.
            self.unsent.clear();
        }
        let sent = line.send(&self.unsent[..self.unsent.len().min(self.piece)]);
        self.unsent.drain(..sent);
        if self.finishes
            && !self.shouts
            && self.unsent.is_empty()
            && self.plan.as_ref().is_some_and(VecDeque::is_empty)
        {
            line.finish();
        }
        if sent > 0 && !self.unsent.is_empty() {
            return Step::Until(line.after(Duration::from_millis(1)));
        }
        Step::Wait
    }
}

fn askers(sim: &mut Sim) {
    let mut config = patient();
    config.requests_max = if sim.rng().chance(1, 2) { 0 } else { 1 + sim.rng().below(5) };
    let good = 1 + sim.rng().below(12) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(8) as usize };
    sim.service(move || shouts(config.clone())).clients(good, asker).clients(rude, sim::rude_client);
    sim.limits(|limits| {
        // A reply is queued whole.
        limits.output_max = limits.output_max.max(256 * 1024);
        // Requests behind the last that is answered are on their way when the server ends: what it lingers
        // for, or a reset would take the answers before them.
        limits.linger_timeout = Duration::from_secs(100);
    });
}

#[test]
fn every_request_is_answered_once_and_in_order() {
    sim::check("http", 0..SEEDS, askers);
}

/// The same, while another server takes over.
#[test]
fn a_succession_loses_no_request() {
    sim::check("http succession", 0..SEEDS, |sim| {
        askers(sim);
        sim.succession();
    });
}

/// Sends an endless head, or an endless body, a little at a time.
struct Trickle {
    sent: usize,
    body: bool,
    pause: Duration,
    next: Time,
    until: Option<Time>,
}

const SLOW_MAX: Duration = Duration::from_secs(15);

impl Client for Trickle {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            line.connect();
        }
        if matches!(line.status(), Status::Ended(_)) {
            return Step::Done;
        }
        if line.status() != Status::Open {
            return Step::Wait;
        }
        line.receive(&mut Vec::new(), usize::MAX);
        // The network may hold back what it says for some seconds; the server may wait for our FIN.
        let slack = 2 * SLOW_MAX + line.limits().linger_timeout + Duration::from_secs(60);
        let until = *self.until.get_or_insert(line.now() + slack);
        if line.now() >= until && !line.abandoned() {
            return line.fail(format!("still served after {slack:?} and {} bytes", self.sent));
        }
        let head = if self.body {
            &b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"[..]
        } else {
            b"GET / HTTP/1.1\r\nHost: h\r\nX: "
        };
        let whole = self.body && self.sent < head.len();
        let piece = if whole { &head[self.sent..] } else { head.get(self.sent..=self.sent).unwrap_or(b"x") };
        if line.now() >= self.next {
            self.sent += line.send(piece);
            self.next = line.after(self.pause);
        }
        Step::Until(self.next)
    }
}

#[test]
fn nobody_holds_a_connection_by_trickling() {
    sim::check("http trickle", 0..SEEDS, |sim| {
        let config = HttpConfig { head_timeout: SLOW_MAX, body_timeout: SLOW_MAX, ..patient() };
        let many = 1 + sim.rng().below(6) as usize;
        sim.service(move || shouts(config.clone()));
        // Who waits for a place is not served, for as long as those before it take.
        sim.room_for_all();
        sim.clients(many, |rng| Trickle {
            sent: 0,
            body: rng.chance(1, 2),
            pause: Duration::from_millis(300 + rng.below(3000)),
            next: Time::ZERO,
            until: None,
        });
    });
}

const ASK: &[u8] = b"GET /events HTTP/1.0\r\n\r\n";

/// Listens for so many events, or does not read at all.
struct Listener {
    wanted: u64,
    deaf: bool,
    asked: usize,
    received: Vec<u8>,
    answered: bool,
    began: bool,
    last: Option<u64>,
    may_be_dropped: bool,
}

impl Listener {
    fn check(&mut self) -> Result<(), String> {
        let text = String::from_utf8_lossy(&self.received).into_owned();
        let mut taken = 0;
        for event in text.split_inclusive("\n\n").filter(|event| event.ends_with("\n\n")) {
            taken += event.len();
            let line = event.trim_end();
            if let Some(text) = line.strip_prefix("data: ") {
                match text.parse::<u64>() {
                    Ok(number) if self.last.is_none_or(|last| number == last + 1) && self.began => {
                        self.last = Some(number);
                        self.wanted = self.wanted.saturating_sub(1);
                    }
                    Err(_) if text == "begin" && !self.began => self.began = true,
                    _ => return Err(format!("{text:?} after {:?}", self.last)),
                }
            } else if line != ":" {
                return Err(format!("{line:?}"));
            }
        }
        self.received.drain(..taken);
        Ok(())
    }
}

impl Client for Listener {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            line.connect();
        }
        if line.status() == Status::Open && self.asked < ASK.len() {
            self.asked += line.send(&ASK[self.asked..]);
            if self.deaf && self.asked == ASK.len() {
                return Step::Until(line.after(Duration::from_secs(20)));
            }
        }
        if self.deaf {
            let over = matches!(line.status(), Status::Ended(_));
            return if self.asked == ASK.len() || over { Step::Done } else { Step::Wait };
        }
        line.receive(&mut self.received, usize::MAX);
        if !self.answered
            && let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n")
        {
            if !self.received.starts_with(b"HTTP/1.1 200 OK\r\n") {
                return line.fail("no stream");
            }
            self.received.drain(..end + 4);
            self.answered = true;
        }
        if self.answered
            && let Err(what) = self.check()
        {
            return line.fail(what);
        }
        match line.status() {
            _ if self.wanted == 0 => Step::Done,
            Status::Ended(_) if line.excused() || self.may_be_dropped => Step::Done,
            Status::Ended(how) => line.fail(format!("ended by {how:?} with {} events to come", self.wanted)),
            _ => Step::Wait,
        }
    }
}

#[test]
fn events_come_without_gaps() {
    sim::check("http events", 0..SEEDS, |sim| {
        let tight = sim.rng().chance(1, 2);
        let config = HttpConfig {
            subscriber_output_max: if tight { 500 } else { 1 << 20 },
            when_slow: WhenSlow::Disconnect,
            event_keep_alive: Duration::from_millis(500 + sim.rng().below(5000)),
            ..patient()
        };
        let period = Duration::from_millis(50 + sim.rng().below(1000));
        let good = 1 + sim.rng().below(6) as usize;
        let deaf = sim.rng().below(3) as usize;
        sim.serve(serve(move || shouts(config.clone())).tick(period));
        let listener = move |wanted: u64, deaf: bool| Listener {
            wanted,
            deaf,
            asked: 0,
            received: Vec::new(),
            answered: false,
            began: false,
            last: None,
            may_be_dropped: tight,
        };
        sim.clients(good, move |rng| listener(1 + rng.below(10), false));
        sim.clients(deaf, move |_| listener(1, true));
    });
}
