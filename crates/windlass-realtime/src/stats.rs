//! What a game counts: plain numbers on each worker, added up when somebody asks, and one row for each room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::ids::RoomId;
use crate::lateness::Lateness;
use crate::room::Leave;

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// What a game has counted since its start; gauges say so.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[non_exhaustive]
        pub struct GameStats {
            $($(#[doc = $doc])+ pub $name: u64,)*
            /// How late ticks were, of all rooms.
            pub lateness: Lateness,
        }

        #[derive(Debug, Default)]
        struct Cell {
            $($name: AtomicU64,)*
            lateness: LatenessCell,
        }

        impl GameStats {
            /// Names and values of all counts, in the order of their declaration.
            pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// The same, to be set: so that whoever tells them to others can try whether each of them is told.
            pub fn entries_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut u64)> {
                [$((stringify!($name), &mut self.$name),)*].into_iter()
            }

            fn add(&mut self, cell: &Cell) {
                $(self.$name += cell.$name.load(Relaxed);)*
                self.lateness.merge(&cell.lateness.load());
            }

            fn store(&self, cell: &Cell) {
                $(cell.$name.store(self.$name, Relaxed);)*
                cell.lateness.store(&self.lateness);
            }
        }
    };
}

counts! {
    /// Gauge: rooms.
    rooms,
    /// Gauge: players with a seat, those who are away for a moment included.
    players,
    /// Gauge: spectators.
    spectators,
    /// Gauge: seats whose player or spectator has come over WebSocket and is here.
    here_websocket,
    /// Gauge: seats whose player or spectator has come over UDP and is here.
    here_udp,
    /// Rooms opened.
    rooms_opened,
    /// Rooms closed.
    rooms_closed,
    /// Seats kept for somebody who asked.
    seats_kept,
    /// Of those, seats that nobody came for in time.
    seats_expired,
    /// Requests to matchmaking that were refused.
    refused,
    /// Requests refused since their address had too many.
    refused_rate,
    /// Players whom a room rejected.
    rejected,
    /// Players and spectators who took a seat.
    joined,
    /// Connections that ended while their player had a seat.
    lost,
    /// Players and spectators who came back to their seat.
    returned,
    /// Those who left of their own will.
    left,
    /// Those who left since they did not come back in time.
    left_lost,
    /// Those whom a room had leave.
    left_kicked,
    /// Those who left since they did not read.
    left_slow,
    /// Those who left since they said too much, or what is no message.
    left_abuse,
    /// Those who left since their room closed.
    left_closed,
    /// Ticks made.
    ticks,
    /// Ticks that were skipped, because their time was long past.
    ticks_skipped,
    /// Ticks that took longer than their period.
    overruns,
    /// Messages from players.
    messages_in,
    /// Bytes of them.
    bytes_in,
    /// Messages from players that were dropped, since they had too many.
    messages_dropped,
    /// Messages to players: one with a tick, and the last that a seat is told.
    messages_out,
    /// Bytes of them.
    bytes_out,
    /// Snapshots that were left out, since their player did not keep up or may not be sent so much.
    snapshots_stale,
    /// Connections that moved to the worker of their room.
    moved,
    /// Records that broke off, since what takes them did not keep up.
    records_lost,
    /// Gauge: those with a seat who are here by UDP. The others who are here are so by WebSocket.
    udp_seated,
    /// Gauge: peers of ENet that have not shown a ticket.
    udp_strangers,
    /// Peers of ENet that have connected.
    udp_connected,
    /// Of those who took a seat or came back to it: by UDP.
    udp_joined,
    /// Of the messages from players: by UDP.
    udp_messages_in,
    /// Bytes of them.
    udp_bytes_in,
    /// Of the messages to players: by UDP.
    udp_messages_out,
    /// Bytes of them.
    udp_bytes_out,
    /// Messages dropped since their peer had not shown a ticket.
    udp_early,
    /// Peers sent away since what they showed was no ticket of this worker's.
    udp_refused_ticket,
    /// Peers sent away since they showed no ticket in time.
    udp_refused_late,
    /// Peers sent away since too many had not shown a ticket.
    udp_refused_full,
    /// Peers sent away since they had fewer than three channels.
    udp_refused_channels,
    /// CONNECTs not answered: too many of one address in a second.
    udp_refused_rate,
    /// CONNECTs not answered: too many peers, or too many of one address.
    udp_refused_peers,
    /// CONNECTs forgotten since there were too many.
    udp_evicted,
    /// Answers that do not show that their sender is where it says.
    udp_unproven,
    /// Datagrams that came to ENet's sockets.
    udp_datagrams_in,
    /// Bytes of them.
    udp_datagram_bytes_in,
    /// Datagrams that left.
    udp_datagrams_out,
    /// Bytes of them.
    udp_datagram_bytes_out,
    /// Datagrams and commands in them that were dropped: of nobody, or what is none, or with no room for it.
    udp_dropped,
    /// Commands sent again since they seemed lost.
    udp_resent,
    /// Messages not sent for the sake of ENet's throttle.
    udp_throttled,
}

impl GameStats {
    pub(crate) fn count_left(&mut self, why: Leave) {
        *match why {
            Leave::Left => &mut self.left,
            Leave::Lost => &mut self.left_lost,
            Leave::Kicked => &mut self.left_kicked,
            Leave::Slow => &mut self.left_slow,
            Leave::Abuse => &mut self.left_abuse,
            Leave::Closed => &mut self.left_closed,
        } += 1;
    }
}

#[derive(Debug)]
struct LatenessCell {
    counts: [AtomicU64; Lateness::BUCKETS],
    sum_us: AtomicU64,
    max_us: AtomicU64,
}

impl Default for LatenessCell {
    fn default() -> LatenessCell {
        let counts = std::array::from_fn(|_| AtomicU64::default());
        LatenessCell { counts, sum_us: AtomicU64::default(), max_us: AtomicU64::default() }
    }
}

impl LatenessCell {
    fn load(&self) -> Lateness {
        let counts = std::array::from_fn(|at| self.counts[at].load(Relaxed));
        Lateness::of(counts, self.sum_us.load(Relaxed), self.max_us.load(Relaxed))
    }

    fn store(&self, lateness: &Lateness) {
        for (cell, (_, count)) in self.counts.iter().zip(lateness.buckets()) {
            cell.store(count, Relaxed);
        }
        self.sum_us.store(lateness.sum().as_micros() as u64, Relaxed);
        self.max_us.store(lateness.max().as_micros() as u64, Relaxed);
    }
}

/// One room, as its worker last said.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RoomRow {
    /// What it is called.
    pub room: RoomId,
    /// Of which kind it is.
    pub kind: String,
    /// Ticks a second.
    pub hz: u32,
    /// Players with a seat.
    pub players: u64,
    /// Seats of players.
    pub players_max: u64,
    /// Spectators.
    pub spectators: u64,
    /// Players and spectators whose connection is there at the moment.
    pub here: u64,
    /// How long ago it was opened, by the time of its last tick.
    pub age: Duration,
    /// Bytes from players.
    pub bytes_in: u64,
    /// Bytes to players and spectators.
    pub bytes_out: u64,
    /// Ticks made.
    pub ticks: u64,
    /// Ticks skipped.
    pub skipped: u64,
    /// Ticks that took longer than their period.
    pub overruns: u64,
    /// The longest tick, with all that was sent behind it.
    pub longest: Duration,
    /// How late its ticks were.
    pub lateness: Lateness,
}

/// A place on the board: a number and a name in atomics, since a room's worker writes while others read.
#[derive(Debug, Default)]
struct Row {
    /// Odd while it is written.
    version: AtomicU64,
    /// 0: nobody's.
    shown: AtomicU64,
    room: AtomicU64,
    kind: AtomicU64,
    hz: AtomicU64,
    players: AtomicU64,
    players_max: AtomicU64,
    spectators: AtomicU64,
    here: AtomicU64,
    age_us: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    ticks: AtomicU64,
    skipped: AtomicU64,
    overruns: AtomicU64,
    longest_us: AtomicU64,
    lateness: LatenessCell,
}

/// Rooms of one worker that are shown one by one. Of more, only what all of them have counted together is.
pub const ROOMS_SHOWN_MAX: usize = 128;

/// The numbers of all workers of a game, to be looked at from anywhere. They are those of some moments ago.
#[derive(Clone, Debug)]
pub struct GameWatch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    cells: Vec<Cell>,
    rows: Vec<Vec<Row>>,
    kinds: Vec<String>,
}

impl GameWatch {
    /// For a game of so many workers at most, with these kinds of rooms.
    pub fn new(workers: usize, kinds: impl IntoIterator<Item = String>) -> GameWatch {
        let workers = workers.max(1);
        let rows = || std::iter::repeat_with(Row::default).take(ROOMS_SHOWN_MAX).collect();
        GameWatch(Arc::new(Watched {
            cells: std::iter::repeat_with(Cell::default).take(workers).collect(),
            rows: std::iter::repeat_with(rows).take(workers).collect(),
            kinds: kinds.into_iter().collect(),
        }))
    }

    /// What all workers have counted.
    pub fn stats(&self) -> GameStats {
        let mut stats = GameStats::default();
        self.0.cells.iter().for_each(|cell| stats.add(cell));
        stats
    }

    /// Rooms one by one, [`ROOMS_SHOWN_MAX`] of each worker at most, in the order of their names.
    pub fn rooms(&self) -> Vec<RoomRow> {
        let rows = self.0.rows.iter().flatten();
        let mut rooms: Vec<RoomRow> = rows.filter_map(|row| row.read(&self.0.kinds)).collect();
        rooms.sort_by_key(|row| row.room);
        rooms
    }

    pub(crate) fn publish(&self, worker: usize, stats: &GameStats) {
        if let Some(cell) = self.0.cells.get(worker) {
            stats.store(cell);
        }
    }
}

impl Row {
    fn read(&self, kinds: &[String]) -> Option<RoomRow> {
        let version = self.version.load(std::sync::atomic::Ordering::Acquire);
        if version % 2 == 1 || self.shown.load(Relaxed) == 0 {
            return None;
        }
        let load = |cell: &AtomicU64| cell.load(Relaxed);
        let row = RoomRow {
            room: RoomId(load(&self.room)),
            kind: kinds.get(load(&self.kind) as usize)?.clone(),
            hz: load(&self.hz) as u32,
            players: load(&self.players),
            players_max: load(&self.players_max),
            spectators: load(&self.spectators),
            here: load(&self.here),
            age: Duration::from_micros(load(&self.age_us)),
            bytes_in: load(&self.bytes_in),
            bytes_out: load(&self.bytes_out),
            ticks: load(&self.ticks),
            skipped: load(&self.skipped),
            overruns: load(&self.overruns),
            longest: Duration::from_micros(load(&self.longest_us)),
            lateness: self.lateness.load(),
        };
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        (self.version.load(Relaxed) == version).then_some(row)
    }

    fn write(&self, room: Option<&Figures>) {
        let version = self.version.load(Relaxed);
        self.version.store(version + 1, Relaxed);
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        let store = |cell: &AtomicU64, value: u64| cell.store(value, Relaxed);
        store(&self.shown, room.is_some().into());
        if let Some(room) = room {
            store(&self.room, room.room.0);
            store(&self.kind, room.kind as u64);
            store(&self.hz, room.hz.into());
            store(&self.players, room.players);
            store(&self.players_max, room.players_max);
            store(&self.spectators, room.spectators);
            store(&self.here, room.here);
            store(&self.age_us, room.age.as_micros() as u64);
            store(&self.bytes_in, room.bytes_in);
            store(&self.bytes_out, room.bytes_out);
            store(&self.ticks, room.ticks);
            store(&self.skipped, room.skipped);
            store(&self.overruns, room.overruns);
            store(&self.longest_us, room.longest.as_micros() as u64);
            self.lateness.store(&room.lateness);
        }
        self.version.store(version + 2, std::sync::atomic::Ordering::Release);
    }
}

/// What a worker says of a room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) room: RoomId,
    pub(crate) kind: usize,
    pub(crate) hz: u32,
    pub(crate) players: u64,
    pub(crate) players_max: u64,
    pub(crate) spectators: u64,
    pub(crate) here: u64,
    pub(crate) age: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) ticks: u64,
    pub(crate) skipped: u64,
    pub(crate) overruns: u64,
    pub(crate) longest: Duration,
    pub(crate) lateness: Lateness,
}

/// Where one room stands on the board, if it does.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Slot(Option<usize>);

/// The rows of one worker.
#[derive(Debug)]
pub(crate) struct RoomBoard {
    watch: GameWatch,
    worker: usize,
    free: Vec<usize>,
}

impl RoomBoard {
    pub(crate) fn new(watch: GameWatch, worker: usize) -> RoomBoard {
        let rows = watch.0.rows.get(worker).map_or(0, Vec::len);
        RoomBoard { watch, worker, free: (0..rows).rev().collect() }
    }

    fn row(&self, slot: usize) -> Option<&Row> {
        self.watch.0.rows.get(self.worker)?.get(slot)
    }

    /// Shows a room, where it stood before or where there is a place.
    pub(crate) fn show(&mut self, slot: Slot, room: &Figures) -> Slot {
        let Some(at) = slot.0.or_else(|| self.free.pop()) else { return Slot(None) };
        if let Some(row) = self.row(at) {
            row.write(Some(room));
        }
        Slot(Some(at))
    }

    pub(crate) fn clear(&mut self, slot: Slot) {
        let Some(at) = slot.0 else { return };
        if let Some(row) = self.row(at) {
            row.write(None);
        }
        self.free.push(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(room: u64) -> Figures {
        Figures {
            room: RoomId(room),
            kind: 0,
            hz: 30,
            players: room,
            players_max: 16,
            spectators: 0,
            here: 0,
            age: Duration::ZERO,
            bytes_in: 0,
            bytes_out: 0,
            ticks: room,
            skipped: 0,
            overruns: 0,
            longest: Duration::ZERO,
            lateness: Lateness::default(),
        }
    }

    #[test]
    fn rooms_are_shown_as_long_as_they_are_there_and_there_is_place() {
        let watch = GameWatch::new(2, ["kind".into()]);
        let mut board = RoomBoard::new(watch.clone(), 1);
        let mut slots: Vec<Slot> = (0..200).map(|n| board.show(Slot::default(), &figures(n))).collect();
        assert_eq!(watch.rooms().len(), ROOMS_SHOWN_MAX);
        slots[0] = board.show(slots[0], &figures(1_000));
        assert_eq!(watch.rooms().last().map(|row| (row.players, row.kind.as_str())), Some((1_000, "kind")));
        slots.into_iter().for_each(|slot| board.clear(slot));
        assert_eq!(watch.rooms(), []);
        for n in 0..1_000 {
            let slot = board.show(Slot::default(), &figures(n));
            assert_eq!(watch.rooms().len(), 1);
            board.clear(slot);
        }
        let mut nowhere = RoomBoard::new(watch.clone(), 9);
        nowhere.show(Slot::default(), &figures(1));
        assert_eq!(watch.rooms(), []);
    }

    #[test]
    fn what_workers_count_is_added_up() {
        let watch = GameWatch::new(2, []);
        let mut stats = GameStats { joined: 3, ..GameStats::default() };
        stats.lateness.add(Duration::from_micros(100));
        watch.publish(0, &stats);
        watch.publish(1, &stats);
        watch.publish(2, &stats);
        let all = watch.stats();
        assert_eq!((all.joined, all.lateness.count()), (6, 2));
        assert!(all.entries().any(|entry| entry == ("joined", 6)));
    }
}
