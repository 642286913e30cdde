//! A relay: connections are coupled two by two, as they come.

use std::time::Duration;

use windlass::sim::{self, ALONE, COUPLED, Sim};
use windlass::{Close, Conn, ConnId, Input, Serve, Service};

/// Couples its connections, and looks at them now and then.
#[derive(Clone)]
struct Pairs {
    waiting: Option<ConnId>,
    /// How long one waits for another.
    alone_max: Duration,
    /// The second is coupled so long after it came; zero: at once.
    late: Duration,
    /// Coupled connections are looked at this often...
    look: Duration,
    /// ... and ended in good order at this look.
    cut_at: Option<u32>,
    stays: bool,
}

enum Member {
    First,
    Second(ConnId),
    Coupled(u32),
}

impl Pairs {
    fn couple(&mut self, conn: &mut Conn<'_>, first: ConnId) -> Member {
        conn.write(&[COUPLED]);
        conn.write_to(first, &[COUPLED]);
        assert!(conn.relay(first) && !conn.relay(first), "both are open, and coupled once");
        conn.wake_at(conn.now() + self.look);
        conn.other(first).expect("it is open").cancel_wake();
        Member::Coupled(0)
    }
}

impl Service for Pairs {
    type Session = Member;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Member, Close> {
        let Some(first) = self.waiting.take().filter(|first| conn.other(*first).is_some()) else {
            self.waiting = Some(conn.id());
            conn.wake_at(conn.now() + self.alone_max);
            return Ok(Member::First);
        };
        if self.late.is_zero() {
            return Ok(self.couple(conn, first));
        }
        conn.wake_at(conn.now() + self.late);
        conn.other(first).expect("it is open").cancel_wake();
        Ok(Member::Second(first))
    }

    /// What comes early waits for the other.
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut Member, input: &mut Input<'_>) -> Result<(), Close> {
        assert_eq!(conn.relayed(), None, "nothing that is relayed wakes the service");
        if input.len() > 1000 {
            conn.pause();
        }
        Ok(())
    }

    fn eof(&mut self, conn: &mut Conn<'_>, _: &mut Member, _: &mut Input<'_>) -> Result<(), Close> {
        assert_eq!(conn.relayed(), None, "an end that is relayed does not wake the service");
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, member: &mut Member) -> Result<(), Close> {
        match member {
            // Its `wake_at` was cancelled if it was coupled since.
            Member::First => {
                conn.write(&[ALONE]);
                return Err(Close::Done);
            }
            Member::Second(first) => {
                let first = *first;
                if conn.other(first).is_none() {
                    conn.write(&[ALONE]);
                    return Err(Close::Done);
                }
                *member = self.couple(conn, first);
            }
            Member::Coupled(looks) => {
                conn.write(b"never seen");
                conn.half_close();
                *looks += 1;
                if self.cut_at == Some(*looks) {
                    return Err(Close::Timeout);
                }
                conn.wake_at(conn.now() + self.look);
            }
        }
        Ok(())
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut Member) -> Result<(), Close> {
        if self.stays { Ok(()) } else { Err(Close::Shutdown) }
    }

    fn closed(&mut self, conn: &mut Conn<'_>, member: Member, why: Close) {
        if let (Member::Coupled(_), None) = (&member, conn.relayed()) {
            panic!("closed as {why}, and what was relayed is forgotten");
        }
        // Nobody else will come for the one it was to be coupled with.
        if let Member::Second(first) = member
            && let Some(mut first) = conn.other(first)
        {
            first.write(&[ALONE]);
            first.close();
        }
    }
}

fn serve(sim: &mut Sim, cut: bool) {
    serve_on(sim, cut, |serve| serve);
}

/// The same, where `listen` says how clients reach it.
fn serve_on(sim: &mut Sim, cut: bool, listen: impl FnOnce(Serve<Pairs>) -> Serve<Pairs>) {
    let rng = sim.rng();
    let late = if rng.chance(1, 2) { 0 } else { 1 + rng.below(100) };
    let pairs = Pairs {
        waiting: None,
        alone_max: Duration::from_millis(1_500),
        late: Duration::from_millis(late),
        look: Duration::from_millis(1 << rng.below(10)),
        cut_at: cut.then(|| 1 + rng.below(8) as u32),
        stays: rng.chance(1, 3),
    };
    // Bulk: many full reads in a row, which is what makes a relay splice.
    let bulk = rng.chance(1, 2);
    let pipes = if rng.chance(1, 4) { 0 } else { 1 + rng.below(4) as usize };
    sim.serve(listen(windlass::serve(move || pairs.clone()))).limits(|limits| {
        limits.relay_pipes_max = pipes;
        // Whoever vanishes must be missed some day.
        if limits.idle_timeout.is_zero() {
            limits.idle_timeout = Duration::from_secs(10);
        }
        if bulk {
            limits.read_budget_bytes = limits.read_budget_bytes.max(64 * 1024);
        }
    });
    if bulk {
        sim.scratch_bytes(4096);
    }
}

/// Good clients only: every byte and every end comes through.
pub(crate) fn pairs(sim: &mut Sim) {
    serve(sim, false);
    let clients = 2 + sim.rng().below(14) as usize;
    sim.clients(clients, sim::pair_client);
}

/// Some who reset, vanish or do not read.
pub(crate) fn broken_pairs(sim: &mut Sim) {
    serve(sim, false);
    let good = 2 + sim.rng().below(8) as usize;
    let rude = 1 + sim.rng().below(6) as usize;
    sim.clients(good, |rng| sim::pair_client(rng).among_rude()).clients(rude, sim::rude_pair_client);
}

/// A service that ends its relays while bytes are on their way.
pub(crate) fn cut_pairs(sim: &mut Sim) {
    serve(sim, true);
    let clients = 2 + sim.rng().below(8) as usize;
    sim.clients(clients, |rng| sim::pair_client(rng).may_be_cut());
}

/// Limits as they are drawn, and TLS on the listener.
#[cfg(feature = "tls")]
fn serve_tls(sim: &mut Sim, cut: bool) {
    let acceptor = super::tls::acceptor();
    super::tls::tls(sim);
    serve_on(sim, cut, |serve| serve.tls("127.0.0.1:0", &acceptor));
}

/// The three of above, over TLS.
#[cfg(feature = "tls")]
pub(crate) fn tls_pairs(sim: &mut Sim) {
    match sim.rng().below(3) {
        0 => {
            serve_tls(sim, false);
            let clients = 2 + sim.rng().below(8) as usize;
            sim.clients(clients, sim::pair_client);
        }
        1 => {
            serve_tls(sim, false);
            let good = 2 + sim.rng().below(6) as usize;
            let rude = 1 + sim.rng().below(4) as usize;
            sim.clients(good, |rng| sim::pair_client(rng).among_rude()).clients(rude, sim::rude_pair_client);
        }
        _ => {
            serve_tls(sim, true);
            let clients = 2 + sim.rng().below(6) as usize;
            sim.clients(clients, |rng| sim::pair_client(rng).may_be_cut());
        }
    }
}
