//! The service on a simulated network that does its worst.

use std::time::Duration;

use windlass::proto::resp::{Encoder, Replies, Version};
use windlass::proto::testing::Rng;
use windlass::proto::{Decode, Input};
use windlass::serve;
use windlass::sim::{self, Client, Line, Sim, Status, Step};
use windlass_kv::{Kv, KvConfig};

use crate::talk::{BEGIN, shown};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_000 };

fn kv(sim: &mut Sim) -> &mut Sim {
    sim.serve(serve(|| Kv::new(KvConfig { unix_ms: BEGIN, ..KvConfig::default() })).tick(Kv::TICK));
    sim.limits(|limits| {
        // Commands here are short; replies are short too.
        limits.input_max = limits.input_max.max(4 << 10);
    })
}

/// Sends commands on keys of its own, pipelined, and knows what each must be answered.
struct Asker {
    begun: bool,
    sent: Vec<u8>,
    at: usize,
    wanted: Vec<String>,
    got: Vec<u8>,
    seen: usize,
    decoder: Replies,
}

impl Asker {
    fn new(rng: &mut Rng) -> Asker {
        let own = rng.next_u64();
        let (mut sent, mut wanted) = (Vec::new(), Vec::new());
        let (mut counter, mut list, mut text) = (0_i64, Vec::<String>::new(), None::<String>);
        for n in 0..1 + rng.below(60) {
            let key = |what: &str| format!("{what}{own}");
            let (command, reply): (Vec<String>, String) = match rng.below(8) {
                0 => (vec!["PING".into()], "+PONG".into()),
                1 => {
                    counter += 1;
                    (vec!["INCR".into(), key("n")], counter.to_string())
                }
                2 => {
                    list.push(n.to_string());
                    (vec!["RPUSH".into(), key("l"), n.to_string()], list.len().to_string())
                }
                3 => {
                    let reply =
                        if list.is_empty() { "null".into() } else { format!("\"{}\"", list.remove(0)) };
                    (vec!["LPOP".into(), key("l")], reply)
                }
                4 => {
                    let value = "v".repeat(rng.below(200) as usize);
                    text = Some(value.clone());
                    (vec!["SET".into(), key("s"), value], "+OK".into())
                }
                5 => {
                    let reply = text.as_ref().map_or("null".into(), |text| format!("\"{text}\""));
                    (vec!["GET".into(), key("s")], reply)
                }
                6 => (vec!["ECHO".into(), "a b".into()], "\"a b\"".into()),
                _ => (
                    vec!["INCR".into(), key("n"), "x".into()],
                    "-ERR wrong number of arguments for 'incr' command".into(),
                ),
            };
            let words: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
            if rng.chance(1, 6) && words.iter().all(|word| !word.is_empty() && !word.contains(&b' ')) {
                sent.extend(command.join(" ").as_bytes());
                sent.extend(b"\r\n");
            } else {
                Encoder::new(&mut sent, Version::Resp2).command(&words);
            }
            wanted.push(reply);
        }
        Asker { begun: false, sent, at: 0, wanted, got: Vec::new(), seen: 0, decoder: Replies::default() }
    }
}

impl Client for Asker {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if !self.begun {
            self.begun = true;
            line.connect();
        }
        if line.status() == Status::Open && self.at < self.sent.len() {
            self.at += line.send(&self.sent[self.at..]);
        }
        line.receive(&mut self.got, usize::MAX);
        let mut input = Input::new(&mut self.got);
        while let Some(reply) = self.decoder.decode(&mut input).expect("a reply") {
            assert_eq!(shown(reply), self.wanted[self.seen], "reply {}", self.seen);
            self.seen += 1;
        }
        let left = input.len();
        self.got.drain(..self.got.len() - left);
        if self.seen == self.wanted.len() {
            line.close();
            return Step::Done;
        }
        if let Status::Ended(how) = line.status() {
            assert!(line.excused(), "{how:?} after {} of {} replies", self.seen, self.wanted.len());
            return Step::Done;
        }
        Step::Wait
    }
}

#[test]
fn every_command_has_its_reply_in_order() {
    sim::check("resp", 0..SEEDS, |sim| {
        let good = 1 + sim.rng().below(12) as usize;
        let rude = sim.rng().below(6) as usize;
        kv(sim).clients(good, Asker::new).clients(rude, sim::rude_client);
    });
}

/// Listens to a channel until it has heard everything that is published.
struct Listener {
    state: u32,
    got: Vec<u8>,
    heard: u64,
    decoder: Replies,
}

const MESSAGES: u64 = 40;

impl Client for Listener {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if self.state == 0 {
            self.state = 1;
            line.connect();
        }
        if self.state == 1 && line.status() == Status::Open {
            let sent = line.send(b"SUBSCRIBE c\r\n");
            // The narrowest buffers take it in pieces: then this one is content with less.
            if sent < 13 {
                line.close();
                return Step::Done;
            }
            self.state = 2;
        }
        line.receive(&mut self.got, usize::MAX);
        let mut input = Input::new(&mut self.got);
        while let Some(reply) = self.decoder.decode(&mut input).expect("a reply") {
            let text = shown(reply);
            if text.starts_with("[\"message\"") {
                // From wherever it began to listen on: in order, without a gap.
                let n: u64 = text.trim_end_matches("\"]").rsplit('"').next().unwrap().parse().unwrap();
                assert!(self.heard == 0 || n == self.heard + 1, "{} and then {n}", self.heard);
                self.heard = n;
            } else {
                assert_eq!(text, r#"["subscribe" "c" 1]"#);
            }
        }
        let left = input.len();
        self.got.drain(..self.got.len() - left);
        if self.heard == MESSAGES || matches!(line.status(), Status::Ended(_)) {
            line.close();
            return Step::Done;
        }
        // Whoever came after the last message hears none.
        if line.now().as_nanos() > 20_000_000_000 {
            line.close();
            return Step::Done;
        }
        Step::Until(line.after(Duration::from_secs(2)))
    }
}

/// Publishes numbers, one after the other.
struct Publisher {
    begun: bool,
    sent: Vec<u8>,
    at: usize,
    got: Vec<u8>,
}

impl Client for Publisher {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if !self.begun {
            self.begun = true;
            line.connect();
        }
        if line.status() == Status::Open && self.at < self.sent.len() {
            self.at += line.send(&self.sent[self.at..]);
        }
        line.receive(&mut self.got, usize::MAX);
        let replies = self.got.iter().filter(|byte| **byte == b':').count() as u64;
        if replies == MESSAGES || matches!(line.status(), Status::Ended(_)) {
            line.close();
            return Step::Done;
        }
        Step::Wait
    }
}

#[test]
fn messages_come_in_order_and_without_a_gap() {
    sim::check("resp pubsub", 0..SEEDS, |sim| {
        let listeners = 1 + sim.rng().below(8) as usize;
        let rude = sim.rng().below(4) as usize;
        kv(sim)
            .room_for_all()
            .limits(|limits| limits.idle_timeout = Duration::from_secs(60))
            .clients(listeners, |_| Listener {
                state: 0,
                got: Vec::new(),
                heard: 0,
                decoder: Replies::default(),
            })
            .clients(1, |_| {
                let sent = (1..=MESSAGES).flat_map(|n| format!("PUBLISH c {n}\r\n").into_bytes()).collect();
                Publisher { begun: false, sent, at: 0, got: Vec::new() }
            })
            .clients(rude, sim::rude_client);
    });
}
