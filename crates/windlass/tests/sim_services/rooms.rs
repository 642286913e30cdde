//! Rooms that tick at rates of their own on one deadline of their service, while connections echo, open
//! rooms, close them and change how fast they go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use windlass::proto::testing::Rng;
use windlass::sim::{self, Sim};
use windlass::{Close, Conn, Input, Scope, Service, Sessions, Time};

/// Ticks a room is behind before it skips some.
const CATCH_UP_MAX: u64 = 5;

struct Rooms {
    rng: Rng,
    rooms: BTreeMap<u64, Room>,
    queue: BTreeSet<(Time, u64)>,
    opened: u64,
    /// It runs one room in a call, and leaves the others for the turns that follow.
    one_by_one: bool,
}

struct Room {
    epoch: Time,
    period: Duration,
    tick: u64,
    left: u64,
}

impl Room {
    fn due(&self) -> Time {
        self.epoch + Duration::from_nanos(self.period.as_nanos() as u64 * (self.tick + 1))
    }
}

impl Rooms {
    fn open_room(&mut self, now: Time) {
        if self.rooms.len() == 6 {
            return;
        }
        self.opened += 1;
        let period = Duration::from_nanos(1_000_000_000 / (1 + self.rng.below(240)));
        let room = Room { epoch: now, period, tick: 0, left: 1 + self.rng.below(30) };
        self.queue.insert((room.due(), self.opened));
        self.rooms.insert(self.opened, room);
    }

    fn close_room(&mut self) {
        if let Some((id, room)) = self.rooms.pop_first() {
            assert!(self.queue.remove(&(room.due(), id)));
        }
    }

    fn hurry_room(&mut self, now: Time) {
        if let Some((&id, room)) = self.rooms.iter_mut().next_back() {
            assert!(self.queue.remove(&(room.due(), id)));
            (room.epoch, room.tick) = (now, 0);
            room.period = Duration::from_nanos(1 + self.rng.below(20_000_000));
            self.queue.insert((room.due(), id));
        }
    }

    fn run_room(&mut self, id: u64, now: Time) {
        let room = self.rooms.get_mut(&id).expect("a room that is queued");
        let behind = now.since(room.epoch).as_nanos() as u64 / room.period.as_nanos() as u64 - room.tick;
        assert!(behind > 0, "before its time");
        room.tick += if behind > CATCH_UP_MAX { behind } else { 1 };
        room.left -= 1;
        if room.left == 0 {
            self.rooms.remove(&id);
        } else {
            self.queue.insert((room.due(), id));
        }
    }
}

impl Service for Rooms {
    type Session = ();

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        for _ in 0..self.rng.below(4) {
            self.open_room(scope.now());
        }
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.open_room(conn.now());
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        match self.rng.below(8) {
            0 => self.open_room(conn.now()),
            1 => self.close_room(),
            2 => self.hurry_room(conn.now()),
            _ => {}
        }
        conn.write(input.take_all());
        Ok(())
    }

    fn deadline(&mut self) -> Option<Time> {
        self.queue.first().map(|(at, _)| *at)
    }

    fn due(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
        let now = scope.now();
        let first = self.queue.first().expect("it had a deadline").0;
        assert!(first <= now, "before its time");
        while let Some(&(at, id)) = self.queue.first()
            && at <= now
        {
            self.queue.pop_first();
            self.run_room(id, now);
            if self.one_by_one {
                break;
            }
        }
    }
}

/// Two such services, the second without anybody in it.
pub(crate) fn rooms(sim: &mut Sim) {
    for _ in 0..2 {
        let (seed, one_by_one) = (sim.rng().next_u64(), sim.rng().chance(1, 2));
        sim.service(move || Rooms {
            rng: Rng::new(seed),
            rooms: BTreeMap::new(),
            queue: BTreeSet::new(),
            opened: 0,
            one_by_one,
        });
    }
    let good = 1 + sim.rng().below(12) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(4) as usize };
    sim.clients(good, sim::echo_client).clients(rude, sim::rude_client);
}
