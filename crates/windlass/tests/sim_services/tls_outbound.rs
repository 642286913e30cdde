//! Services that connect to others over TLS: calls of every fortune, and a proxy with TLS at one side of it
//! or at both.

use std::time::Duration;

use windlass::proto::testing::Rng;
use windlass::sim::{Client, Line, Sim, Status, Step};
use windlass::{Connect, TlsClient, TlsTarget, TlsVersion};

use super::outbound::{Callee, Echoer, GREETING, Seen, call_all, mood, pass_through, patient_mood};
use super::tls::{AUTHORITY, acceptor, tls};

/// Whom the simulated certificate is for, and somebody else.
fn target(rng: &mut Rng, name: &str) -> TlsTarget {
    let version = if rng.chance(1, 2) { TlsVersion::V1_2 } else { TlsVersion::V1_3 };
    TlsClient::new(AUTHORITY).versions([version]).build().unwrap().to(name).unwrap()
}

/// Accepts, and never says a word.
struct Mute;

impl Client for Mute {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        line.receive(&mut Vec::new(), usize::MAX);
        match line.status() {
            Status::Ended(_) => Step::Done,
            _ => Step::Wait,
        }
    }
}

/// Remotes of every mood: good ones, some whose certificate is for somebody else, and some who do not
/// speak TLS, or not at all.
pub(crate) fn tls_calls(sim: &mut Sim) {
    tls_calls_seen(sim, &Seen::default());
}

/// The same, and what came of it.
pub(crate) fn tls_calls_seen(sim: &mut Sim, seen: &Seen) {
    let timeout = Duration::from_millis(300 + sim.rng().below(9_000));
    sim.limits(|limits| {
        limits.tls_handshake_timeout = timeout;
        // Room for what encryption adds.
        limits.output_max += 64 * 1024;
    });
    let mut callees = Vec::new();
    for _ in 0..1 + sim.rng().below(3) {
        let answers = mood(sim.rng());
        let kind = sim.rng().below(6);
        let remote = match kind {
            0 => sim.remote(answers, |_| Mute),
            1 => sim.remote(answers, |rng| Echoer::rude(rng, GREETING)),
            _ => sim.remote_tls(&acceptor(), kind == 2, answers, |rng| Echoer::rude(rng, GREETING)),
        };
        let mut connect = Connect::to(remote);
        if kind != 1 {
            let name = if kind == 2 { "elsewhere.test" } else { "sim.test" };
            connect = connect.tls(target(sim.rng(), name));
        }
        callees.push(Callee { connect, distrusted: kind == 2 });
    }
    let lanes = 1 + sim.rng().below(5) as usize;
    call_all(sim, seen, callees, lanes);
}

/// Clients who are served by a remote behind the service: with TLS before it, behind it, or both.
pub(crate) fn tls_through(sim: &mut Sim) {
    let (before, behind) = [(true, true), (true, false), (false, true)][sim.rng().below(3) as usize];
    let timeout = Duration::from_millis(20_000 + sim.rng().below(20_000));
    sim.limits(|limits| {
        limits.output_max = 30 * limits.output_max + 64 * 1024;
        limits.tls_handshake_timeout = timeout;
    });
    let answers = patient_mood(sim.rng());
    let connect = if behind {
        let remote = sim.remote_tls(&acceptor(), false, answers, |_| Echoer::new(b""));
        Connect::to(remote).tls(target(sim.rng(), "sim.test"))
    } else {
        Connect::to(sim.remote(answers, |_| Echoer::new(b"")))
    };
    if before {
        tls(sim);
    }
    let listens = move |serve: windlass::Serve<_>| match before {
        true => serve.tls("127.0.0.1:0", &acceptor()),
        false => serve,
    };
    let relays = sim.rng().chance(1, 2);
    pass_through(sim, connect, relays, listens);
    // A few bytes in a record each are many on the wire, and the narrowest pipes take their time for them.
    sim.limits(|limits| limits.idle_timeout = Duration::from_secs(900));
}
