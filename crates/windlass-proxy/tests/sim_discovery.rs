//! Looking for backends on a simulated network that loses, doubles and delays, at name servers of every mood, and in
//! a file that is written by somebody careless.
//!
//! What must hold whatever they do: backends are those of one answer, or of one state of the file, that was right and
//! whole; there are none less than before because a source has failed; and nobody is asked again before the
//! time of the last good answer is over.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, RCODE, ResourceRecord};
use windlass::Remote;
use windlass::proto::Time;
use windlass::proto::testing::Rng;
use windlass::sim::{self, Answer, Client, Line, Sim, Status, Step};
use windlass_proxy::{Discover, DiscoveryConfig, Front, ProxyConfig, Source};

/// How many seeds a build runs.
const SEEDS: u64 = if cfg!(debug_assertions) { 100 } else { 1_000 };
/// From then on every server does what it should.
const HONEST_FROM: Duration = Duration::from_secs(60);
/// Longer than it takes to get over what was before: the longest pause between tries is half a minute.
const ENDS: Duration = Duration::from_secs(150);
/// How often it is looked what there is.
const LOOK: Duration = Duration::from_millis(500);

/// An answer or a state of the file, by the number in its addresses.
#[derive(Clone, Copy)]
struct Version {
    /// Whether its backends may be shown.
    is_good: bool,
    backends: usize,
    at: Time,
    ttl: Duration,
}

/// What was said so far, and what came of it.
struct Zone {
    front: Front,
    versions: Vec<Version>,
    shown: Option<usize>,
    /// Questions that were heard: the network doubles them.
    heard: HashSet<(SocketAddr, [u8; 2])>,
}

type Shared = Rc<RefCell<Zone>>;

fn address(version: usize, n: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0A00_0000 | (version as u32) << 8 | (1 + n as u32))
}

impl Zone {
    fn new(front: &Front) -> Shared {
        let zone = Zone { front: front.clone(), versions: Vec::new(), shown: None, heard: HashSet::new() };
        Rc::new(RefCell::new(zone))
    }

    fn add(&mut self, is_good: bool, at: Time, rng: &mut Rng) -> usize {
        let (backends, ttl) = (1 + rng.below(4) as usize, Duration::from_secs(rng.below(12)));
        self.versions.push(Version { is_good, backends, at, ttl });
        self.versions.len() - 1
    }

    /// Looks at what there is; `Err`: it must not be.
    fn look(&mut self) -> Result<(), String> {
        let addresses: Vec<String> =
            self.front.stats().backends.into_iter().map(|backend| backend.address).collect();
        if addresses.is_empty() {
            return match self.shown {
                None => Ok(()),
                Some(before) => Err(format!("the last good set, {before}, was not kept")),
            };
        }
        let number = |text: &String| {
            let address: SocketAddr = text.parse().expect("an address");
            let SocketAddr::V4(address) = address else { panic!("{address}") };
            (address.ip().to_bits() >> 8 & 0xFFFF) as usize
        };
        let version = number(&addresses[0]);
        let known = self.versions.get(version).copied();
        let Some(it) = known.filter(|it| it.is_good && it.backends == addresses.len()) else {
            return Err(format!("{addresses:?} are of no answer that was right and whole"));
        };
        if addresses.iter().any(|address| number(address) != version) {
            return Err(format!("{addresses:?} are of several answers; {} of one", it.backends));
        }
        if self.shown.is_some_and(|before| before > version) {
            return Err(format!("{version} was over when {:?} came", self.shown));
        }
        self.shown = Some(version);
        Ok(())
    }

    /// Somebody asks: not before the time of what is shown is over.
    fn asked(&mut self, from: SocketAddr, question: &[u8], now: Time) -> Result<(), String> {
        let Some(id) = question.first_chunk() else { return Err("an empty question".into()) };
        if !self.heard.insert((from, *id)) {
            return Ok(());
        }
        self.look()?;
        let Some(shown) = self.shown else { return Ok(()) };
        let Version { at, ttl, .. } = self.versions[shown];
        let life = ttl.max(DiscoveryConfig::default().ttl_min);
        match now >= at + life {
            true => Ok(()),
            false => Err(format!("asked {:?} after an answer for {life:?}", now.since(at))),
        }
    }

    fn answer(&self, question: &[u8], version: usize, edit: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
        let asked = Packet::parse(question).expect("a question");
        let mut packet = Packet::new_reply(asked.id());
        let name = asked.questions[0].qname.clone();
        packet.questions = asked.questions;
        let Version { backends, ttl, .. } = self.versions[version];
        packet.answers = (0..backends)
            .map(|n| {
                let address = address(version, n).to_bits();
                let ttl = ttl.as_secs() as u32;
                ResourceRecord::new(name.clone(), CLASS::IN, ttl, RData::A(A { address }))
            })
            .collect();
        edit(&mut packet);
        packet.build_bytes_vec_compressed().expect("an answer")
    }
}

/// A name server. Honest ones answer; others do what comes into their mind.
struct NameServer {
    at: SocketAddr,
    zone: Shared,
    bound: bool,
    /// Answers that are still to come.
    late: Vec<(Time, SocketAddr, Vec<u8>)>,
    began: Option<Time>,
    ended: Rc<Cell<Tally>>,
}

/// Runs that came to their end, and those that ended with a good set of the honest time.
#[derive(Clone, Copy, Default)]
struct Tally {
    runs: usize,
    good: usize,
}

impl NameServer {
    fn answers(&mut self, line: &mut Line<'_>, from: SocketAddr, question: &[u8], is_honest: bool) {
        let now = line.now();
        let mut zone = self.zone.borrow_mut();
        let mood = if is_honest { 0 } else { line.rng().below(14) };
        let mut version = |is_good: bool, line: &mut Line<'_>| zone.add(is_good, now, line.rng());
        match mood {
            // Silent.
            1 => {}
            2..=5 => {
                let code = [RCODE::ServerFailure, RCODE::Refused, RCODE::NameError, RCODE::FormatError];
                let version = version(false, line);
                let edit = |packet: &mut Packet<'_>| {
                    packet.answers.clear();
                    *packet.rcode_mut() = code[mood as usize - 2];
                };
                let bytes = zone.answer(question, version, edit);
                line.send_datagram_to(from, &bytes);
            }
            6 => {
                let version = version(false, line);
                let bytes = zone.answer(question, version, |packet| packet.answers.clear());
                line.send_datagram_to(from, &bytes);
            }
            // It is cut off, and says so: what there is of it is no answer.
            7 => {
                let version = version(false, line);
                let bytes = zone.answer(question, version, |it| it.set_flags(PacketFlag::TRUNCATION));
                line.send_datagram_to(from, &bytes);
            }
            // It is cut off, and does not.
            8 => {
                let version = version(false, line);
                let bytes = zone.answer(question, version, |_| {});
                let most = line.rng().below(bytes.len() as u64) as usize;
                line.send_datagram_to(from, &bytes[..most]);
            }
            9 => {
                let version = version(false, line);
                let bytes = zone.answer(question, version, |packet| packet.set_id(packet.id() ^ 0x4001));
                line.send_datagram_to(from, &bytes);
            }
            10 => {
                let length = line.rng().below(600);
                let garbage: Vec<u8> = (0..length).map(|_| line.rng().below(256) as u8).collect();
                // The number may be right, and the bits of its head anything but an answer that is cut off.
                let head: &[u8] = if line.rng().chance(1, 2) { &question[..2] } else { &[] };
                let bytes = [head, &[0x01], &garbage].concat();
                line.send_datagram_to(from, &bytes);
            }
            // After those who have asked have given it up, or not.
            11 | 12 => {
                let after = Duration::from_millis(line.rng().below(6_000));
                let after = line.after(after);
                let version = zone.add(true, after, line.rng());
                let bytes = zone.answer(question, version, |_| {});
                self.late.push((after, from, bytes));
            }
            // At once; and once more.
            _ => {
                let version = version(true, line);
                let bytes = zone.answer(question, version, |_| {});
                line.send_datagram_to(from, &bytes);
                if mood == 13 {
                    line.send_datagram_to(from, &bytes);
                }
            }
        }
    }
}

impl Client for NameServer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        let began = *self.began.get_or_insert(line.now());
        let is_honest = line.now() >= began + HONEST_FROM;
        if !std::mem::replace(&mut self.bound, true) {
            line.bind_datagrams(self.at);
        }
        while let Some((from, question)) = line.receive_datagram() {
            if let Err(why) = self.zone.borrow_mut().asked(from, &question, line.now()) {
                return line.fail(why);
            }
            self.answers(line, from, &question, is_honest);
        }
        let now = line.now();
        let due = self.late.extract_if(.., |(at, ..)| *at <= now).collect::<Vec<_>>();
        for (_, to, bytes) in due {
            line.send_datagram_to(to, &bytes);
        }
        let looked = self.zone.borrow_mut().look();
        if let Err(why) = looked {
            return line.fail(why);
        }
        if line.shutdown_at().is_some() {
            return Step::Done;
        }
        if line.now() >= began + ENDS {
            let zone = self.zone.borrow();
            let is_good = zone.shown.is_some_and(|shown| zone.versions[shown].at >= began + HONEST_FROM);
            let tally = self.ended.get();
            self.ended.set(Tally { runs: tally.runs + 1, good: tally.good + usize::from(is_good) });
            return Step::Done;
        }
        let first = self.late.iter().map(|(at, ..)| *at).min();
        Step::Until(first.map_or(line.after(LOOK), |first| first.min(line.after(LOOK))))
    }
}

/// What comes by a connection where a datagram was cut off.
struct Stream {
    zone: Shared,
    received: Vec<u8>,
    mood: u64,
    answer: Option<Vec<u8>>,
}

impl Client for Stream {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        line.receive(&mut self.received, 4096);
        if matches!(line.status(), Status::Ended(_)) {
            return Step::Done;
        }
        if self.answer.is_none()
            && let Some(length) = self.received.first_chunk::<2>()
            && let Some(question) = self.received[2..].get(..u16::from_be_bytes(*length).into())
        {
            let mut zone = self.zone.borrow_mut();
            let version = zone.add(self.mood < 3, line.now(), line.rng());
            let mut bytes = zone.answer(question, version, |packet| match self.mood {
                3 => packet.set_id(packet.id() ^ 1),
                4 => *packet.rcode_mut() = RCODE::ServerFailure,
                5 => packet.set_flags(PacketFlag::TRUNCATION),
                _ => {}
            });
            let whole = (bytes.len() as u16).to_be_bytes();
            if self.mood == 6 {
                bytes.pop();
            }
            self.answer = Some([&whole[..], &bytes].concat());
        }
        match &mut self.answer {
            // Says nothing at all.
            Some(_) if self.mood == 7 => {}
            Some(answer) if !answer.is_empty() => {
                let taken = line.send(answer);
                answer.drain(..taken);
            }
            Some(_) if self.mood == 6 => {
                line.close();
                return Step::Done;
            }
            _ => {}
        }
        if line.shutdown_at().is_some() { Step::Done } else { Step::Until(line.after(LOOK)) }
    }
}

fn serve(sim: &mut Sim, config: ProxyConfig) -> Shared {
    let front = Front::new(config).expect("a configuration that works");
    let seed = sim.seed();
    sim.serve(front.discover_from_seed(seed)).workers(1);
    Zone::new(&front)
}

#[test]
fn the_last_good_answer_stays_for_its_time_whatever_servers_do() {
    let ended = Rc::new(Cell::new(Tally::default()));
    sim::check("discovery dns", 0..SEEDS, |sim| {
        // Calls need the zone, which needs to know where they go.
        let zone: Rc<RefCell<Option<Shared>>> = Rc::default();
        let mut servers = Vec::new();
        for n in 0..1 + sim.rng().below(3) {
            let of_streams = zone.clone();
            let answers = |rng: &mut Rng| match rng.below(6) {
                0 => Answer::Refuse,
                1 => Answer::Silent,
                2 => Answer::Reset,
                _ => Answer::Accept,
            };
            let remote = sim.remote(answers, move |rng| Stream {
                zone: of_streams.borrow().clone().expect("it serves"),
                received: Vec::new(),
                mood: rng.below(8),
                answer: None,
            });
            servers.push(match remote {
                Remote::Tcp(at) => at,
                // Nobody takes calls there.
                _ => SocketAddr::from(([192, 0, 2, 1 + n as u8], 53)),
            });
        }
        let discovery = DiscoveryConfig { dns_servers: servers.clone(), ..DiscoveryConfig::default() };
        let source = Discover::from("dns4:web.test:80".parse().expect("a source"));
        let config = ProxyConfig { discovery, ..ProxyConfig::default() }.discover(source);
        let shared = serve(sim, config);
        *zone.borrow_mut() = Some(shared.clone());
        for at in servers {
            let (zone, ended) = (shared.clone(), ended.clone());
            sim.clients(1, move |_| NameServer {
                at,
                zone: zone.clone(),
                bound: false,
                late: Vec::new(),
                began: None,
                ended: ended.clone(),
            });
        }
    });
    let Tally { runs, good } = ended.get();
    // Where much is lost, or no socket is to be had, it may take longer.
    assert!(runs > 0 && good * 10 >= runs * 9, "{good} of {runs} had a new answer in the end");
}

/// Who writes the file: whole and right, or not.
struct Writer {
    zone: Shared,
    path: PathBuf,
    began: Option<Time>,
    next: Option<Time>,
    /// What is there now is right.
    is_good: bool,
    last: usize,
    ended: Rc<Cell<Tally>>,
}

impl Writer {
    fn write(&mut self, line: &mut Line<'_>, mood: u64) {
        let is_good = mood < 4;
        let version = self.zone.borrow_mut().add(is_good, line.now(), line.rng());
        let backends = self.zone.borrow().versions[version].backends;
        let mut text: String = (0..backends).map(|n| format!("{}:80\n", address(version, n))).collect();
        // Of no two is the length the same: they are written within one tick of a file system's clock.
        text += &format!("#{}\n", "x".repeat(version));
        match mood {
            // In the middle of the first of them.
            4 => text.truncate(6),
            5 => text.insert_str(0, "10.0.0.1:eighty\n"),
            6 => text.clear(),
            _ => {}
        }
        self.is_good = is_good;
        if is_good {
            self.last = version;
        }
        if mood == 7 {
            let _ = std::fs::remove_file(&self.path);
            return;
        }
        let new = self.path.with_extension("new");
        std::fs::write(&new, text).expect("written");
        std::fs::rename(&new, &self.path).expect("in its place");
    }
}

impl Client for Writer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        let began = *self.began.get_or_insert(line.now());
        let looked = self.zone.borrow_mut().look();
        if let Err(why) = looked {
            return line.fail(why);
        }
        if line.shutdown_at().is_some() {
            return Step::Done;
        }
        let is_honest = line.now() >= began + HONEST_FROM;
        if self.next.is_none_or(|next| line.now() >= next) && !(is_honest && self.is_good) {
            let mood = if is_honest { 0 } else { line.rng().below(8) };
            self.write(line, mood);
            let pause = Duration::from_millis(1 + line.rng().below(5_000));
            self.next = Some(line.after(pause));
        }
        if line.now() >= began + ENDS {
            let is_good = self.zone.borrow().shown == Some(self.last);
            let tally = self.ended.get();
            self.ended.set(Tally { runs: tally.runs + 1, good: tally.good + usize::from(is_good) });
            return Step::Done;
        }
        Step::Until(line.after(LOOK))
    }
}

#[test]
fn the_last_good_file_stays_whatever_is_written() {
    let folder = std::env::temp_dir().join(format!("windlass-sim-discovery-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("backends");
    let ended = Rc::new(Cell::new(Tally::default()));
    sim::check("discovery file", 0..SEEDS, |sim| {
        let _ = std::fs::remove_file(&path);
        let source = Discover::from(Source::File(path.clone()));
        let zone = serve(sim, ProxyConfig::default().discover(source));
        let (path, ended) = (path.clone(), ended.clone());
        sim.clients(1, move |_| Writer {
            zone: zone.clone(),
            path: path.clone(),
            began: None,
            next: None,
            is_good: false,
            last: 0,
            ended: ended.clone(),
        });
    });
    let _ = std::fs::remove_dir_all(&folder);
    let Tally { runs, good } = ended.get();
    // In a third of all runs a job may hang for ever, and there is one thread for them.
    assert!(runs > 0 && good * 2 >= runs, "{good} of {runs} had the last state in the end");
}
