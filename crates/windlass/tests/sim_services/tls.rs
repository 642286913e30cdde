//! The same services behind TLS, and clients who are rude in its own ways.

use std::time::Duration;

use windlass::proto::testing::Rng;
use windlass::sim::{self, Client, Ending, Line, Sim, Status, Step};
use windlass::{Time, TlsAcceptor, TlsIdentity, TlsServer, serve};

use super::{Chat, Echo, chat_limits, chat_mailbox, chat_members};

const CERTIFICATE: &[u8] = include_bytes!("../certs/sim.pem");
const KEY: &[u8] = include_bytes!("../certs/sim.key");
pub(crate) const AUTHORITY: &[u8] = include_bytes!("../certs/sim-ca.pem");

pub(crate) fn acceptor() -> TlsAcceptor {
    TlsServer::new(TlsIdentity::from_pem(CERTIFICATE, KEY).unwrap()).build().unwrap()
}

/// Limits as they are drawn, with room for what encryption adds to many small writes, and time for a
/// handshake over the narrowest pipe.
pub(crate) fn tls(sim: &mut Sim) {
    let few = 1 + sim.rng().below(4) as usize;
    let timeout = Duration::from_millis(20_000 + sim.rng().below(20_000));
    sim.tls("sim.test", AUTHORITY).limits(|limits| {
        limits.output_max = 30 * limits.output_max + 64 * 1024;
        limits.tls_handshakes_per_turn_max = few;
        limits.tls_handshake_timeout = timeout;
    });
}

/// Good clients of every mood; and rude ones, in TLS and about TLS, in half of all runs.
pub(crate) fn tls_echo(sim: &mut Sim) {
    let stays = sim.rng().chance(1, 3);
    tls(sim);
    let acceptor = acceptor();
    sim.serve(serve(move || Echo { stays }).tls("127.0.0.1:0", &acceptor));
    let good = 1 + sim.rng().below(10) as usize;
    sim.clients(good, sim::echo_client);
    if sim.rng().chance(1, 2) {
        let [rude, half, garbage, cut] = [4, 3, 3, 4].map(|most| sim.rng().below(most) as usize);
        sim.clients(rude, sim::rude_client)
            .clients(half, |rng| Half { rng: Rng::new(rng.next_u64()), next: Time::ZERO })
            .clients(garbage, garbage_client)
            .clients(cut, |rng| Cutter {
                text: vec![rng.next_u64() as u8; 100],
                sent: 0,
                received: vec![],
                cut: false,
            });
    }
}

/// Good clients, while another server takes over: some of them in the middle of a handshake.
pub(crate) fn tls_succession(sim: &mut Sim) {
    tls(sim);
    let acceptor = acceptor();
    sim.serve(serve(|| Echo { stays: false }).tls("127.0.0.1:0", &acceptor));
    let good = 5 + sim.rng().below(20) as usize;
    sim.clients(good, sim::echo_client).succession();
}

/// Members write to each other: encrypted at the flush, many lines in a record.
pub(crate) fn tls_chat(sim: &mut Sim) {
    tls(sim);
    let (mailbox, nudge, period) = chat_mailbox(sim);
    let made = mailbox.clone();
    let acceptor = acceptor();
    let serve = serve(move || Chat { mailbox: made.clone(), nudge });
    sim.serve(serve.mailbox(&mailbox).tick(period).tls("127.0.0.1:0", &acceptor));
    chat_limits(sim);
    chat_members(sim);
    sim.limits(|limits| limits.output_max = limits.output_max.max(1 << 20));
}

/// Begins a ClientHello and never ends it: a byte now and then, for as long as it is let.
struct Half {
    rng: Rng,
    next: Time,
}

impl Client for Half {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Idle if line.shutdown_at().is_some() => return Step::Done,
            Status::Idle => line.connect_plain(),
            _ if line.abandoned() => return Step::Done,
            Status::Ended(_) => return Step::Done,
            // The first bytes of a long record, again and again: what is in it is not looked at.
            Status::Open if line.now() >= self.next => {
                line.send(&[22, 3, 1, 0x3f, 0xff, 1, 0, 0x30, 0][..1 + self.rng.below(4) as usize]);
                self.next = line.after(Duration::from_millis(300 + self.rng.below(500)));
            }
            _ => {}
        }
        Step::Until(self.next.max(line.after(Duration::from_millis(200))))
    }
}

/// What is no TLS, or looks like it at first.
struct Garbage {
    bytes: Vec<u8>,
}

fn garbage_client(rng: &mut Rng) -> Garbage {
    let mut bytes = vec![0; 1 + rng.below(3_000) as usize];
    rng.fill(&mut bytes);
    let first: &[u8] = match rng.below(4) {
        0 => b"GET / HTTP/1.1\r\n\r\n",
        1 => &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3],
        2 => &[21, 3, 1, 0, 2, 1, 0],
        _ => &[23, 3, 3, 0x40, 0],
    };
    bytes.splice(..0, first.iter().copied());
    Garbage { bytes }
}

impl Client for Garbage {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Idle if line.shutdown_at().is_some() => return Step::Done,
            Status::Idle => line.connect_plain(),
            _ if line.abandoned() => return Step::Done,
            Status::Ended(_) => return Step::Done,
            Status::Open => {
                let sent = line.send(&self.bytes);
                self.bytes.drain(..sent);
                line.receive(&mut Vec::new(), usize::MAX);
            }
            _ => {}
        }
        Step::Until(line.after(Duration::from_millis(200)))
    }
}

/// Has its text echoed, then ends its TCP stream without ending TLS.
struct Cutter {
    text: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    cut: bool,
}

impl Client for Cutter {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        match line.status() {
            Status::Idle if line.shutdown_at().is_some() => return Step::Done,
            Status::Idle => line.connect(),
            Status::Open => {
                self.sent += line.send(&self.text[self.sent..]);
                line.receive(&mut self.received, usize::MAX);
                if self.received.len() == self.text.len() && !self.cut {
                    self.cut = true;
                    line.cut();
                }
            }
            _ => {}
        }
        match line.status() {
            Status::Ended(Ending::Fin) if self.cut => Step::Done,
            Status::Ended(_) if line.excused() => Step::Done,
            Status::Ended(how) => line.fail(format!("ended by {how:?} before its echo")),
            _ => Step::Wait,
        }
    }
}
