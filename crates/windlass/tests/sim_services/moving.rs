//! An echo server whose connections keep changing their worker, in the middle of their bytes.

use windlass::proto::testing::Rng;
use windlass::sim::{self, Sim};
use windlass::{Close, Conn, Input, Move, MoveError, Peer, Placement, Serve, Service, serve};

struct Nomads {
    workers: usize,
    rng: Rng,
    places: bool,
    /// The server that takes over may have fewer workers.
    succeeded: bool,
}

struct Nomad {
    /// Bytes until it moves on.
    left: usize,
    moves: u32,
    /// Its output was congested, and `drained` has not come.
    congested: bool,
}

impl Nomads {
    fn next(&mut self) -> usize {
        1 + self.rng.below(1 << (4 + self.rng.clone().below(10))) as usize
    }
}

impl Service for Nomads {
    type Session = Nomad;

    fn place(&mut self, _: Peer, listener: usize) -> Placement {
        assert_eq!(listener, 0);
        match self.rng.below(3) {
            _ if !self.places => Placement::Balanced,
            0 => Placement::Here,
            // One more than there are, to see what becomes of that.
            _ => Placement::Worker(self.rng.below(self.workers as u64 + 1) as usize),
        }
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Nomad, Close> {
        Ok(Nomad { left: self.next(), moves: 0, congested: false })
    }

    fn data(&mut self, conn: &mut Conn<'_>, nomad: &mut Nomad, input: &mut Input<'_>) -> Result<(), Close> {
        assert!(!nomad.congested || conn.is_congested(), "before the call to `drained` that was owed");
        while !input.is_empty() {
            let n = nomad.left.min(input.len());
            conn.write(input.take(n).unwrap_or_default());
            nomad.congested = conn.is_congested();
            nomad.left -= n;
            if nomad.left > 0 {
                continue;
            }
            nomad.left = self.next();
            nomad.moves += 1;
            match conn.move_to(self.rng.below(self.workers as u64) as usize) {
                // What is left is echoed from there.
                Ok(()) => return Ok(()),
                Err(MoveError::NoWorker) => assert!(self.succeeded, "counted from 0"),
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn drained(&mut self, _: &mut Conn<'_>, nomad: &mut Nomad) -> Result<(), Close> {
        nomad.congested = false;
        Ok(())
    }

    fn timeout(&mut self, _: &mut Conn<'_>, _: &mut Nomad) -> Result<(), Close> {
        Ok(())
    }
}

impl Move for Nomads {
    type Seed = (Nomad, u64);

    fn move_out(&mut self, conn: &mut Conn<'_>, nomad: Nomad) -> (Nomad, u64) {
        assert_eq!(conn.output_len(), 0, "it leaves with output behind");
        // To no effect.
        conn.write(b"too late");
        conn.close();
        (nomad, self.rng.next_u64())
    }

    fn move_in(&mut self, conn: &mut Conn<'_>, (mut nomad, number): (Nomad, u64)) -> Result<Nomad, Close> {
        assert!(nomad.moves > 0);
        if number.is_multiple_of(4) {
            nomad.left = 1;
        }
        if number.is_multiple_of(8) {
            conn.wake_at(conn.now() + std::time::Duration::from_millis(number % 1000));
        }
        Ok(nomad)
    }
}

/// Every byte comes back, wherever its connection lives by then.
pub(crate) fn moving(sim: &mut Sim) {
    move_about(sim, |serve| serve);
}

/// The same over TLS.
#[cfg(feature = "tls")]
pub(crate) fn tls_moving(sim: &mut Sim) {
    super::tls::tls(sim);
    let acceptor = super::tls::acceptor();
    move_about(sim, |serve| serve.tls("127.0.0.1:0", &acceptor));
}

fn move_about(sim: &mut Sim, listen: impl FnOnce(Serve<Nomads>) -> Serve<Nomads>) {
    let workers = 1 + sim.rng().below(4) as usize;
    let seed = sim.rng().next_u64();
    let places = sim.rng().chance(1, 2);
    // While another server takes over, too.
    let succeeded = sim.rng().chance(1, 4);
    if succeeded {
        sim.succession();
    }
    let make = move || Nomads { workers, rng: Rng::new(seed), places, succeeded };
    let good = 1 + sim.rng().below(16) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(6) as usize };
    sim.workers(workers)
        .serve(listen(serve(make).movable()))
        .clients(good, sim::echo_client)
        .clients(rude, sim::rude_client);
}
