//! The memcached service under the simulated network: every client has keys of its own and knows what
//! each of its commands must be answered, byte by byte, however the network cuts, delays and merges them.
//!
//! `WINDLASS_SIM_SEEDS=20000` runs more, `WINDLASS_SIM_SEED=7` only one.

mod model;

use std::time::Duration;

use model::{Spoken, Wish};
use windlass::proto::testing::Rng;
use windlass::serve;
use windlass::sim::{self, Client, Line, Sim, Status, Step};
use windlass_kv::store::StoreConfig;
use windlass_kv::{Kv, KvConfig, Protocol};

const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 2_000 };

/// Values over this are refused, and some are.
const VALUE_MAX: usize = 2_000;

/// Sends all its commands without waiting for answers, and checks those as they come.
struct Talker {
    binary: bool,
    /// Commands not sent.
    requests: Vec<u8>,
    sent: usize,
    /// Answers not received.
    replies: Vec<u8>,
    checked: usize,
    received: Vec<u8>,
    /// The commands end with one that closes the connection.
    quits: bool,
    /// Most bytes sent at once.
    piece: usize,
    /// Most bytes read at once.
    gulp: usize,
}

fn talker(binary: bool) -> impl FnMut(&mut Rng) -> Talker {
    move |rng| Talker {
        binary,
        requests: Vec::new(),
        sent: 0,
        replies: Vec::new(),
        checked: 0,
        received: Vec::new(),
        quits: rng.chance(1, 2),
        piece: 1 << rng.below(14),
        gulp: 16 << rng.below(14),
    }
}

impl Talker {
    fn prepare(&mut self, line: &mut Line<'_>) {
        // Answers may be longer than commands.
        let volume = line.volume_max().min(40_000) / 2;
        let mut spoken = Spoken::new(line.index(), self.binary);
        while self.requests.len() < volume && self.replies.len() < volume {
            let wish = Wish::draw(line.rng(), VALUE_MAX, volume);
            spoken.say(&wish, VALUE_MAX, &mut self.requests, &mut self.replies);
        }
        if self.quits {
            spoken.quit(&mut self.requests, &mut self.replies);
        }
    }

    /// Compares what has come with what must come.
    fn check(&mut self) -> Result<(), String> {
        if self.binary {
            model::forget_versions(&mut self.received);
        }
        let n = if self.binary { model::whole(&self.received) } else { self.received.len() };
        let wanted = &self.replies[self.checked..];
        let same = self.received[..n].iter().zip(wanted).take_while(|(a, b)| a == b).count();
        if same < n {
            let text = |bytes: &[u8]| bytes[..bytes.len().min(80)].escape_ascii().to_string();
            let at = self.checked + same;
            return Err(format!(
                "byte {at}: {:?}, expected {:?}",
                text(&self.received[same..n]),
                text(&wanted[same..])
            ));
        }
        self.checked += n;
        self.received.drain(..n);
        Ok(())
    }
}

impl Client for Talker {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            self.prepare(line);
            line.connect();
        }
        loop {
            let most = self.piece.min(self.requests.len() - self.sent);
            let sent = line.send(&self.requests[self.sent..self.sent + most]);
            self.sent += sent;
            let received = line.receive(&mut self.received, self.gulp);
            if let Err(what) = self.check() {
                return line.fail(what);
            }
            match line.status() {
                _ if self.checked == self.replies.len() && !self.quits => return Step::Done,
                Status::Ended(_) if self.checked == self.replies.len() => return Step::Done,
                Status::Ended(_) if line.excused() => return Step::Done,
                Status::Ended(how) if received == 0 => {
                    let of = self.replies.len();
                    return line.fail(format!("ended by {how:?} after {} of {of} bytes", self.checked));
                }
                _ if sent == 0 && received == 0 => return Step::Wait,
                _ => {}
            }
        }
    }
}

fn memcached(sim: &mut Sim) {
    let store = StoreConfig { value_max: VALUE_MAX, ..StoreConfig::default() };
    let config = KvConfig {
        store,
        protocols: vec![Protocol::Memcached],
        unix_ms: 1_795_305_600_000,
        ..KvConfig::default()
    };
    let (text, binary) = (1 + sim.rng().below(6) as usize, sim.rng().below(6) as usize);
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(5) as usize };
    sim.serve(serve(move || Kv::new(config.clone())).tick(Kv::TICK));
    sim.clients(text, talker(false)).clients(binary, talker(true)).clients(rude, sim::rude_client);
    sim.limits(|limits| {
        limits.input_max = limits.input_max.max(VALUE_MAX + 9 * 1024);
        limits.output_max = limits.output_max.max(256 * 1024);
        limits.idle_timeout = limits.idle_timeout.max(Duration::from_secs(20));
    });
}

#[test]
fn every_command_is_answered_in_order() {
    sim::check("memcached", 0..SEEDS, memcached);
}
