//! One budget of memory: what there is room for is served, what is too much is refused, and nothing is lost
//! of what was taken on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass::sim::Ending;
use windlass::testing::{Harness, TestPeer};
use windlass::{Close, Config, Conn, ConnId, Input, LimitValue, Limits, Service, WhenFull, serve};

use crate::harness::*;

fn budgeted(memory: usize, limits: Limits) -> Config {
    one_worker(limits).memory(memory)
}

fn echo_in(memory: usize, limits: Limits) -> Running {
    Running::start(serve(|| Echo).config(budgeted(memory, limits)).tcp("127.0.0.1:0"))
}

#[test]
fn newcomers_over_what_there_is_room_for_are_refused_and_counted() {
    let limits = Limits { when_full: WhenFull::Shed, ..limits() };
    let bound = serve(|| Echo).config(budgeted(512 << 10, limits)).tcp("127.0.0.1:0").bind().unwrap();
    let room = bound.memory_plan().unwrap().limits.connections_max;
    assert!((20..200).contains(&room), "{}", bound.memory_plan().unwrap());
    let server = Running::run(bound);
    let mut streams: Vec<_> = (0..room).map(|_| server.connect()).collect();
    for stream in &mut streams {
        round_trip(stream, b"hello");
    }
    for n in 1..=10 {
        let mut late = server.connect();
        assert!(late.read(&mut [0]).is_err(), "reset");
        server.wait_for("the count", |c| c.shed_full == n);
    }
    // A place that is left is taken again, and for as long as one likes.
    for _ in 0..50 {
        streams.pop();
        server.wait_for("the place", |c| c.connections == room as u64 - 1);
        let mut next = server.connect();
        round_trip(&mut next, b"next");
        streams.push(next);
    }
    server.stop();
}

/// A stream that is written to until nobody takes any more.
fn stuff(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let piece = vec![7; 64 * 1024];
    let mut refused = 0;
    while refused < 3 {
        match stream.write(&piece) {
            Ok(_) => refused = 0,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(_) => return,
        }
    }
}

#[test]
fn those_who_do_not_read_take_no_more_than_the_region_and_cost_others_nothing() {
    let memory = 1 << 20;
    let server = echo_in(memory, Limits { idle_timeout: Duration::ZERO, ..limits() });
    let mut good = server.connect();
    let mut bad: Vec<_> = (0..80).map(|_| server.connect()).collect();
    for round in 0..3 {
        for stream in &mut bad {
            stuff(stream);
            let held = server.counters().buffered_bytes as usize;
            assert!(held < memory, "{held} bytes");
        }
        round_trip(&mut good, b"still here");
        assert!(server.counters().congestions > 0, "round {round}");
    }
    let counters = server.counters();
    assert!(counters.memory_low > 0, "it was nearly full: {counters:?}");
    drop(bad);
    server.wait_for("all of it to be given back", |c| c.buffered_bytes == 0 && c.connections == 1);
    round_trip(&mut good, &[5; 20_000]);
    server.stop();
}

/// Says more than anybody takes, whatever the limits.
struct Loud;

impl Service for Loud {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        while let Some([n]) = input.take(1) {
            let bytes = [*n; 3_000];
            conn.broadcast(&bytes);
        }
        Ok(())
    }
}

#[test]
fn who_would_be_told_more_than_there_is_room_for_is_ended_and_that_is_counted() {
    let config = budgeted(512 << 10, Limits { idle_timeout: Duration::ZERO, ..limits() });
    let server = Running::start(serve(|| Loud).config(config).tcp("127.0.0.1:0"));
    let mut speaker = server.connect();
    let deaf: Vec<_> = (0..40).map(|_| server.connect()).collect();
    server.wait_for("all of them", |c| c.connections == 41);
    // What the system keeps for each of them is a few megabytes.
    for _ in 0..400 {
        speaker.write_all(&[3; 50]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
        if server.counters().closed_by("memory_full") + server.counters().closed_by("overflow") > 5 {
            break;
        }
    }
    let counters =
        server.wait_for("somebody to be ended", |c| c.closed_by("memory_full") + c.closed_by("overflow") > 5);
    assert!(counters.buffered_bytes < 512 << 10);
    // The speaker is heard by whoever is there.
    let mut listener = server.connect();
    server.wait_for("the newcomer", |c| c.opened == 42);
    drop(deaf);
    server.wait_for("the others to leave", |c| c.connections == 2);
    speaker.write_all(&[9]).unwrap();
    expect(&mut listener, &[9; 3_000]);
    server.stop();
}

/// Takes whole messages of a length that comes in front, so that all input lies in blocks for a while.
struct Whole;

impl Service for Whole {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        loop {
            let bytes = input.peek();
            let Some(len) = bytes.first_chunk().map(|len| u16::from_be_bytes(*len) as usize) else {
                return Ok(());
            };
            if bytes.len() < 2 + len {
                return Ok(());
            }
            if let Some(message) = input.take(2 + len) {
                conn.write(&message[2..]);
            }
        }
    }
}

#[test]
fn a_message_in_many_pieces_is_put_together_from_blocks() {
    let config = budgeted(1 << 20, limits());
    let bound = serve(|| Whole).config(config).tcp("127.0.0.1:0").bind().unwrap();
    let longest = bound.memory_plan().unwrap().limits.input_max - 2;
    let server = Running::run(bound);
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for (len, pieces) in [(1, 1), (700, 7), (longest, 13), (longest / 2, 40), (longest, 1), (0, 1), (9, 3)] {
        let body: Vec<u8> = (0..len).map(|n| n as u8 ^ pieces as u8).collect();
        let mut message = (len as u16).to_be_bytes().to_vec();
        message.extend(&body);
        // The end of one and the beginning of the next share a piece now and then.
        for piece in message.chunks(message.len().div_ceil(pieces)) {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        expect(&mut stream, &body);
    }
    server.wait_for("nothing to be left", |c| c.buffered_bytes == 0);
    // One byte more than may wait is too much.
    stream.write_all(&(longest as u16 + 10).to_be_bytes()).unwrap();
    let _ = stream.write_all(&vec![1; longest + 10]);
    server.wait_for("its end", |c| c.closed_by("input_full") == 1);
    server.stop();
}

#[test]
fn too_little_is_said_before_anything_is_opened() {
    let refused = serve(|| Echo).config(budgeted(100 << 10, limits())).tcp("127.0.0.1:0").bind();
    let why = refused.err().expect("refused").to_string();
    assert!(why.contains("memory (102400 bytes) is too little") && why.contains("KiB"), "{why}");
}

#[test]
fn limits_that_change_stay_within_the_budget() {
    let bound = serve(|| Echo).config(budgeted(1 << 20, limits())).tcp("127.0.0.1:0").bind().unwrap();
    let before = bound.memory_plan().unwrap().limits.clone();
    let server = Running::run(bound);
    round_trip(&mut server.connect(), b"there");
    let wanted = Limits { connections_max: 50_000, output_max: 1 << 30, ..limits() };
    server.handle.apply(windlass::Change::new().limits(wanted)).unwrap();
    let values = server.handle.limits_in_use();
    let of = |name: &str| values.iter().find(|limit| limit.name == name).unwrap().value;
    assert_eq!(of("connections_max"), LimitValue::Count(before.connections_max as u64));
    assert_eq!(of("output_max"), LimitValue::Bytes(before.output_max as u64));
    round_trip(&mut server.connect(), &[1; 30_000]);
    server.stop();
}

/// Fills all blocks but those in which the first has left something, couples the last with the first, and ends the last.
struct Cornered {
    first: Option<ConnId>,
    others: Vec<ConnId>,
    /// Blocks, and the bytes of each.
    blocks: (usize, usize),
}

/// One of so many blocks is for those who have none.
const SPARE: usize = 24;
/// How many take much.
const LARGE: usize = 6;

/// What the socket of a peer takes.
const ROOM: usize = 1_000;
const LEFT: usize = 6_000;

impl Service for Cornered {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        match input.peek()[0] {
            b'f' => self.first = Some(conn.id()),
            b'o' => self.others.push(conn.id()),
            _ => {
                input.take_all();
                let first = self.first.expect("it came first");
                let (blocks, block) = self.blocks;
                let mut left = blocks - LEFT.div_ceil(block);
                for (at, other) in self.others.iter().enumerate() {
                    conn.write_to(*other, &[b'.'; ROOM]);
                    // Each within its limit; of the last blocks, which are for those who have none, one each.
                    let n = if at < LARGE { (left - blocks / SPARE).min(blocks / 5) } else { 1 };
                    conn.write_to(*other, &vec![b'.'; n * block]);
                    left -= n;
                }
                assert_eq!(left, 0, "no block is free");
                assert!(conn.relay(first));
                return Err(Close::Done);
            }
        }
        if input.peek()[0] == b'o' {
            input.take_all();
        }
        Ok(())
    }
}

#[test]
fn a_relay_whose_tail_finds_no_block_does_not_look_whole() {
    let limits = Limits { connections_max: 12, ..limits() };
    let config = budgeted(512 << 10, limits);
    let plan = windlass::Server::new(config.clone()).memory_plan().unwrap().unwrap();
    let line = plan.lines.iter().find(|line| line.what.starts_with("blocks")).unwrap();
    // A block has its number beside it.
    let blocks = (line.count, plan.limits.buffered_max / line.count);
    assert_eq!((blocks.1, line.bytes), (4096, 4100), "{plan}");
    let service = move || Cornered { first: None, others: Vec::new(), blocks };
    let mut harness = Harness::with_buffers(serve(service).config(config), ROOM);
    let first = harness.connect();
    harness.send(first, [b'f'; LEFT]);
    let others: Vec<_> = (0..LARGE + blocks.0 / SPARE).map(|_| harness.connect()).collect();
    for other in &others {
        harness.send(*other, b"o");
    }
    let last = harness.connect();
    harness.send(last, b"l");
    assert_eq!(harness.why(last), Some("memory_full"), "what the first had said is lost");
    let ending = harness.ending(last);
    assert_eq!(ending, Some(Ending::Reset), "and nobody takes it for all there was");
    assert!(harness.handle().stats().counters.blocks_refused > 0);
}

/// Tells those who said `o` more than there is room for, and then those who said `q` one byte.
#[derive(Default)]
struct Crowded {
    others: Vec<ConnId>,
    quiet: Vec<ConnId>,
}

impl Service for Crowded {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        match input.take(1).unwrap()[0] {
            b'o' => self.others.push(conn.id()),
            b'q' => self.quiet.push(conn.id()),
            _ => {
                for _ in 0..200 {
                    self.others.iter().for_each(|&id| conn.write_to(id, &[b'.'; 1_000]));
                }
                self.quiet.iter().for_each(|&id| conn.write_to(id, b"!"));
            }
        }
        Ok(())
    }
}

#[test]
fn who_waits_for_little_is_not_ended_for_those_who_are_owed_much() {
    let limits = Limits { connections_max: 40, ..limits() };
    let config = budgeted(512 << 10, limits);
    let mut harness = Harness::with_buffers(serve(Crowded::default).config(config), ROOM);
    let others: Vec<_> = (0..20).map(|_| harness.connect()).collect();
    let quiet: Vec<_> = (0..3).map(|_| harness.connect()).collect();
    others.iter().for_each(|peer| harness.send(*peer, b"o"));
    quiet.iter().for_each(|peer| harness.send(*peer, b"q"));
    let last = harness.connect();
    harness.send(last, b"l");
    assert!(others.iter().any(|peer| harness.why(*peer) == Some("memory_full")), "there was no room");
    for peer in quiet {
        assert_eq!((harness.why(peer), harness.receive(peer)), (None, b"!".to_vec()));
    }
}

/// Writes to the one it is told of, as much and as often as it is told, and notes what happens to the others.
struct Told {
    ids: Vec<ConnId>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Bytes offered at once, but for orders.
    inputs: Vec<usize>,
    drained: usize,
}

impl Service for Told {
    type Session = ();
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        self.ids.push(conn.id());
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        if conn.id() != self.ids[0] {
            self.seen.lock().unwrap().inputs.push(input.take_all().len());
            return Ok(());
        }
        while let Some(&mut [to, times, a, b, c, d]) = input.take(6) {
            let bytes = vec![to; u32::from_be_bytes([a, b, c, d]) as usize];
            for _ in 0..times {
                conn.write_to(self.ids[usize::from(to)], &bytes);
            }
        }
        Ok(())
    }
    fn drained(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        self.seen.lock().unwrap().drained += 1;
        Ok(())
    }
}

/// A server of one megabyte for eight, with so much room in either buffer of a connection.
struct Tight {
    harness: Harness,
    seen: Arc<Mutex<Seen>>,
    /// The first gives the orders.
    peers: Vec<TestPeer>,
    blocks: usize,
    block: usize,
    room: usize,
    limits: Limits,
}

impl Tight {
    fn new(room: usize) -> Tight {
        let limits = Limits { connections_max: 8, idle_timeout: Duration::ZERO, ..limits() };
        let config = budgeted(1 << 20, limits);
        let plan = windlass::Server::new(config.clone()).memory_plan().unwrap().unwrap();
        let blocks = plan.lines.iter().find(|line| line.what.starts_with("blocks")).unwrap().count;
        let seen = Arc::<Mutex<Seen>>::default();
        let told = seen.clone();
        let service = move || Told { ids: Vec::new(), seen: told.clone() };
        let mut harness = Harness::with_buffers(serve(service).config(config), room);
        let peers = (0..8).map(|_| harness.connect()).collect();
        let block = plan.limits.buffered_max / blocks;
        Tight { harness, seen, peers, blocks, block, room, limits: plan.limits }
    }

    /// Has one written to, some times in one turn.
    fn write(&mut self, to: usize, times: u8, len: usize) {
        let [a, b, c, d] = (len as u32).to_be_bytes();
        self.harness.send(self.peers[0], [to as u8, times, a, b, c, d]);
    }

    /// Bytes of blocks in use.
    fn buffered(&self) -> usize {
        self.harness.handle().stats().counters.buffered_bytes as usize
    }

    fn congestions(&self) -> u64 {
        self.harness.handle().stats().counters.congestions
    }

    /// All that is on the way to one, until its socket takes no more.
    fn fill_socket(&mut self, to: usize) {
        let before = self.buffered();
        self.write(to, 1, self.room);
        self.write(to, 1, self.room);
        assert_eq!(self.buffered(), before, "one buffer on either side");
    }

    /// Fills so many blocks with what five of them do not read.
    fn fill(&mut self, mut blocks: usize) {
        let before = self.buffered();
        let wanted = before + blocks * self.block;
        for to in 2..7 {
            self.fill_socket(to);
            let n = blocks.div_ceil(7 - to);
            self.write(to, 1, n * self.block);
            blocks -= n;
        }
        assert_eq!(self.buffered(), wanted, "nobody was ended");
    }
}

#[test]
fn what_is_written_to_another_in_one_turn_takes_no_more_than_a_block() {
    let mut tight = Tight::new(1 << 16);
    let pieces = 2 * tight.block / 1024 + 1;
    tight.write(1, pieces as u8, 1024);
    let counters = tight.harness.handle().stats().counters;
    assert_eq!(counters.output_peak_bytes as usize, tight.block, "a whole one, and then it is sent");
    let got = tight.harness.receive(tight.peers[1]);
    assert_eq!(got, vec![1; pieces * 1024]);
}

#[test]
fn who_has_output_waiting_is_not_read_while_hardly_a_block_is_free() {
    let mut tight = Tight::new(1_000);
    tight.fill_socket(1);
    // With blocks enough it is not yet congested.
    tight.write(1, 1, 100);
    assert_eq!((tight.buffered(), tight.congestions()), (tight.block, 0));
    let got = tight.harness.receive(tight.peers[1]);
    assert_eq!((got.len(), tight.buffered()), (2_100, 0));
    tight.fill_socket(1);
    tight.fill(tight.blocks * 92 / 100);
    let before = tight.congestions();
    let queued = tight.block + 100;
    assert!(queued < tight.limits.output_low);
    tight.write(1, 1, queued);
    assert_eq!(tight.congestions(), before + 1);
    // Less than the low-water mark is left, and still it is not enough.
    tight.harness.send(tight.peers[1], b"read me");
    for _ in 0..3 {
        assert_eq!(tight.harness.receive_some(tight.peers[1], 1_000).len(), 1_000);
    }
    let seen = tight.seen.lock().unwrap();
    assert_eq!((seen.drained, &seen.inputs[..]), (0, &[][..]));
    drop(seen);
    assert_eq!(tight.harness.receive(tight.peers[1]).len(), 2_000 + queued - 3_000);
    let seen = tight.seen.lock().unwrap();
    assert_eq!((seen.drained, &seen.inputs[..]), (1, &[7][..]), "all of it was sent");
}

#[test]
fn with_little_free_little_is_read_at_once() {
    let mut tight = Tight::new(20_000);
    let most = tight.limits.input_max;
    tight.harness.send(tight.peers[7], vec![7; 18_000]);
    assert_eq!(tight.seen.lock().unwrap().inputs[0], most, "with all of it free, what may wait");
    let full = tight.blocks * 94 / 100;
    tight.fill(full);
    let share = (tight.blocks - full) * tight.block / 4;
    assert!((512..most).contains(&share), "{share} of {most}");
    tight.seen.lock().unwrap().inputs.clear();
    tight.harness.send(tight.peers[7], vec![7; 18_000]);
    let seen = tight.seen.lock().unwrap();
    assert_eq!((seen.inputs[0], seen.inputs.iter().sum()), (share, 18_000), "a quarter of what is free");
}
