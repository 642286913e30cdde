//! The services that are simulated, and who calls them.


use windlass::sim::{self, Sim};
use windlass::{Close, Conn, Input, Service};

/// Sends everything back.
pub(crate) struct Echo {
    /// Finishes what it has begun when the server shuts down.
    pub(crate) stays: bool,
}

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        if self.stays { Ok(()) } else { Err(Close::Shutdown) }
    }
}

/// Good clients of every mood, with some rude ones among them.
pub(crate) fn echo(sim: &mut Sim) {
    let stays = sim.rng().chance(1, 3);
    let good = 1 + sim.rng().below(24) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(8) as usize };
    sim.service(move || Echo { stays }).clients(good, sim::echo_client).clients(rude, sim::rude_client);
}

pub(crate) fn chat(_: &mut Sim) {
}
