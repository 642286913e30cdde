//! WebSocket services under the simulated network: good clients get every message back, whole and in order;
//! those that break the rules are told and got rid of; and nobody hears a broadcast that is not open.
//!
//! `WINDLASS_SIM_SEEDS=100000` runs more, `WINDLASS_SIM_SEED=7` only one.

mod ws_peer;

use std::collections::VecDeque;
use std::time::Duration;

use windlass::sim::{self, Client, Ending, Line, Sim, Status, Step};
use windlass::{Bytes, Close, Peer, Tick, serve};
use windlass_http::ws::{
    Accept, CloseCode, Kind, Members, Message, Upgrade, Ws, WsConfig, WsServer, WsServerConfig, WsService,
    frame,
};
use windlass_proto::http::Status as HttpStatus;
use windlass_proto::testing::Rng;
use windlass_proto::ws::{Compression, FrameHead, Opcode, Opening, apply_mask};

use ws_peer::{Client as Talker, Heard};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 100 } else { 1_000 };

/// Sends everything back, and tells everybody the time.
struct Echo;

impl WsService for Echo {
    type Session = ();

    fn accept(&mut self, _: &Upgrade<'_, '_>, _: Peer) -> Result<Accept<()>, HttpStatus> {
        Ok(Accept::new(()))
    }

    fn message(&mut self, ws: &mut Ws<'_, '_>, _: &mut (), message: Message<'_>) -> Result<(), Close> {
        if message == Message::Text("close me") {
            ws.close(CloseCode(4000), "");
        }
        ws.send(message);
        Ok(())
    }

    fn tick(&mut self, members: &mut Members<'_, '_, ()>, _: Tick) {
        members.broadcast(&Bytes::from(frame(Kind::Text, b"tick")));
    }
}

/// A client that says so many things, one after another or all at once, and wants them back.
struct Good {
    peer: Talker,
    rng: Rng,
    left: u32,
    size_max: u64,
    ahead: usize,
    /// Said, and not yet come back.
    expected: VecDeque<Heard>,
    pongs: usize,
    unsent: Vec<u8>,
    ending: Leave,
    said_close: bool,
    heard_close: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Leave {
    /// We close.
    Close,
    /// The server is asked to.
    Ask,
}

impl Good {
    fn new(rng: &mut Rng, config: WsConfig, size_max: u64) -> Good {
        let mut random = [0; 32];
        rng.fill(&mut random);
        let size_bits = rng.below(1 + u64::from(size_max.ilog2()));
        Good {
            peer: Talker::new(Opening::new(random), "/", config),
            left: rng.below(12) as u32,
            size_max: 1 << size_bits,
            ahead: 1 + rng.below(6) as usize,
            ending: if rng.chance(1, 2) { Leave::Close } else { Leave::Ask },
            rng: Rng::new(rng.next_u64()),
            expected: VecDeque::new(),
            pongs: 0,
            unsent: Vec::new(),
            said_close: false,
            heard_close: false,
        }
    }

    fn speak(&mut self) {
        while self.peer.is_open() && !self.said_close && self.expected.len() < self.ahead {
            if self.left == 0 {
                if !self.expected.is_empty() || self.pongs > 0 {
                    return;
                }
                match self.ending {
                    Leave::Close => self.peer.close(1000),
                    Leave::Ask => self.peer.say(Kind::Text, b"close me"),
                }
                self.said_close = true;
                return;
            }
            self.left -= 1;
            if self.rng.chance(1, 4) {
                self.peer.ping();
                self.pongs += 1;
            }
            let len = self.rng.below(self.size_max) as usize;
            let alphabet = 1 + self.rng.below(26);
            let text: String = (0..len).map(|_| (b'a' + self.rng.below(alphabet) as u8) as char).collect();
            if self.rng.chance(1, 2) {
                self.peer.say(Kind::Text, text.as_bytes());
                self.expected.push_back(Heard::Text(text));
            } else {
                self.peer.say(Kind::Binary, text.as_bytes());
                self.expected.push_back(Heard::Binary(text.into()));
            }
        }
    }

    fn hear(&mut self, heard: Heard, excused: bool) -> Result<(), String> {
        match heard {
            Heard::Open(None) | Heard::Ping => Ok(()),
            Heard::Pong if self.pongs > 0 => {
                self.pongs -= 1;
                Ok(())
            }
            Heard::Text(text) if text == "tick" => Ok(()),
            Heard::Close(code, _) => {
                let right = match self.ending {
                    Leave::Close => 1000,
                    Leave::Ask => 4000,
                };
                self.heard_close = true;
                if (code == right && self.said_close) || (code == 1001 && excused) {
                    return Ok(());
                }
                Err(format!("closed with {code}"))
            }
            message if self.expected.front() == Some(&message) => {
                self.expected.pop_front();
                Ok(())
            }
            other => Err(format!("heard {other:?}, not {:?}", self.expected.front())),
        }
    }
}

impl Client for Good {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            line.connect();
        }
        if line.status() == Status::Connecting {
            return Step::Wait;
        }
        let mut received = Vec::new();
        line.receive(&mut received, usize::MAX);
        let heard = match self.peer.hear(&received) {
            Ok(heard) => heard,
            Err(_) if line.excused() => return Step::Done,
            Err(error) => return line.fail(error),
        };
        for heard in heard {
            if let Err(error) = self.hear(heard, line.excused()) {
                return line.fail(error);
            }
        }
        self.speak();
        self.unsent.append(&mut self.peer.out);
        while !self.unsent.is_empty() {
            let sent = line.send(&self.unsent);
            self.unsent.drain(..sent);
            if sent == 0 {
                break;
            }
        }
        match line.status() {
            Status::Ended(_) if line.excused() => Step::Done,
            Status::Ended(Ending::Fin) if self.heard_close && self.said_close => Step::Done,
            Status::Ended(how) => line.fail(format!("ended by {how:?}, {} to come", self.expected.len())),
            _ => Step::Wait,
        }
    }
}

/// A client that opens a WebSocket well and then sends something wrong; it is owed a Close frame that says
/// so, with the right code.
struct Bad {
    peer: Talker,
    unsent: Vec<u8>,
    wrong: Vec<u8>,
    code: u16,
    told: bool,
}

impl Bad {
    fn new(rng: &mut Rng) -> Bad {
        let frame = |fin, opcode, payload: &[u8]| {
            let head =
                FrameHead { fin, mask: Some([1, 2, 3, 4]), ..FrameHead::whole(opcode, payload.len() as u64) };
            let mut masked = payload.to_vec();
            apply_mask(&mut masked, [1, 2, 3, 4]);
            [head.encode().as_ref(), &masked].concat()
        };
        let endless = || {
            let mut bytes = frame(false, Opcode::Binary, &[0; 1000]);
            for _ in 0..100 {
                bytes.extend(frame(false, Opcode::Continuation, &[0; 1000]));
            }
            bytes
        };
        let (wrong, code) = match rng.below(6) {
            0 => (vec![0xff, 0xff], 1002),
            1 => (vec![0x81, 0x05], 1002),
            2 => (frame(true, Opcode::Text, b"\xc3("), 1007),
            3 => (frame(true, Opcode::Continuation, b""), 1002),
            4 => (frame(true, Opcode::Close, &[3, 238]), 1002),
            _ => (endless(), 1009),
        };
        let peer = Talker::new(Opening::new([3; 32]), "/", WsConfig::default());
        Bad { peer, unsent: Vec::new(), wrong, code, told: false }
    }
}

impl Client for Bad {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            line.connect();
        }
        let mut received = Vec::new();
        line.receive(&mut received, usize::MAX);
        let heard = match self.peer.hear(&received) {
            Ok(heard) => heard,
            Err(error) => return if line.excused() { Step::Done } else { line.fail(error) },
        };
        for heard in heard {
            match heard {
                Heard::Open(_) => {
                    // What it says first is right.
                    self.unsent.append(&mut self.peer.out);
                    self.unsent.append(&mut self.wrong);
                }
                Heard::Close(code, _) if code == self.code || line.excused() => self.told = true,
                Heard::Close(code, _) => return line.fail(format!("told {code}, not {}", self.code)),
                Heard::Text(_) | Heard::Ping => {}
                other => return line.fail(format!("heard {other:?}")),
            }
        }
        if !self.peer.is_open() {
            self.unsent.append(&mut self.peer.out);
        }
        // It says no more of its own: a pong behind it would be as wrong.
        self.peer.out.clear();
        let sent = line.send(&self.unsent);
        self.unsent.drain(..sent);
        match line.status() {
            Status::Ended(_) if line.excused() || self.told => Step::Done,
            // With bytes unread a server's end may reset what it said before.
            Status::Ended(Ending::Reset) => Step::Done,
            Status::Ended(how) => line.fail(format!("ended by {how:?} and was not told why")),
            _ if self.told => Step::Done,
            _ => Step::Wait,
        }
    }
}

fn server_config(sim: &mut Sim, compression: Option<Compression>) -> WsServerConfig {
    let millis = |rng: &mut Rng, low: u64, high: u64| Duration::from_millis(low + rng.below(high - low));
    let rng = sim.rng();
    let mut endpoint = WsConfig::default().message_max(64 * 1024);
    endpoint.compression = compression;
    WsServerConfig {
        endpoint,
        handshake_timeout: millis(rng, 20_000, 30_000),
        ping_interval: if rng.chance(1, 2) { millis(rng, 500, 4_000) } else { Duration::ZERO },
        // Longer than the worst network of the simulator keeps a ping and its pong.
        pong_timeout: Duration::from_secs(60),
        close_timeout: Duration::from_secs(60),
        ..WsServerConfig::default()
    }
}

fn echo(sim: &mut Sim, compression: Option<Compression>) {
    let config = server_config(sim, compression);
    let good = 1 + sim.rng().below(8) as usize;
    let bad = sim.rng().below(4) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(4) as usize };
    let size_max = (sim.volume_max() as u64 / 32).clamp(2, 60_000);
    let period = Duration::from_millis(200 << sim.rng().below(5));
    let ticks = sim.rng().chance(1, 2);
    let mut service = serve(move || WsServer::new(Echo, config.clone()));
    if ticks {
        service = service.tick(period);
    }
    let client = WsConfig { compression, ..WsConfig::default() };
    sim.serve(service)
        .room_for_all()
        .clients(good, move |rng| Good::new(rng, client.clone(), size_max))
        .clients(bad, Bad::new)
        .clients(rude, sim::rude_client)
        .limits(|limits| {
            limits.idle_timeout = Duration::from_secs(60);
            // What a message becomes when it is inflated and sent back.
            limits.output_max = limits.output_max.max(1 << 20);
        });
}

#[test]
fn every_message_comes_back() {
    sim::check("ws", 0..SEEDS, |sim| echo(sim, None));
}

#[test]
fn every_compressed_message_comes_back() {
    sim::check("ws compressed", 0..SEEDS / 2, |sim| {
        let compression = Compression {
            context_takeover: sim.rng().chance(1, 2),
            peer_context_takeover: sim.rng().chance(1, 2),
            message_min: sim.rng().below(300) as usize,
            ..Compression::default()
        };
        echo(sim, Some(compression));
    });
}
