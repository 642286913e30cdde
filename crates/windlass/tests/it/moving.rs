//! Where connections live: placed before they open, moved with bytes before and behind them, and reached
//! from other workers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use windlass::{
    Close, Config, Conn, ConnId, Input, Limits, Mailbox, Move, MoveError, Peer, Placement, Receive, Scope,
    Serve, Service, Sessions, serve,
};

use crate::harness::*;

pub(crate) const WORKERS: usize = 3;

/// Sends everything back, but for what tells it where to live: `0` to `9` moves to that worker, `!`
/// sends a large reply first, `?` tells the worker's number, `@` the name asked for in TLS.
#[derive(Clone)]
pub(crate) struct Rooms {
    told: Sender<Told>,
    place: fn(Peer, usize) -> Placement,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    Open(ConnId),
    In(ConnId),
    Refused(MoveError),
    Closed,
}

/// More than sockets hold.
pub(crate) static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(8 << 20));

impl Rooms {
    fn tell(&self, told: Told) {
        let _ = self.told.send(told);
    }
}

impl Service for Rooms {
    type Session = u64;

    fn place(&mut self, peer: Peer, listener: usize) -> Placement {
        (self.place)(peer, listener)
    }

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<u64, Close> {
        self.tell(Told::Open(conn.id()));
        Ok(0)
    }

    fn data(&mut self, conn: &mut Conn<'_>, taken: &mut u64, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(&byte) = input.peek().first() {
            input.take(1);
            *taken += 1;
            match byte {
                b'0'..=b'9' => match conn.move_to((byte - b'0').into()) {
                    Ok(()) => return Ok(()),
                    Err(why) => self.tell(Told::Refused(why)),
                },
                b'!' => conn.write(&LARGE),
                b'?' => conn.write(&[b'0' + conn.id().worker() as u8]),
                b'@' => {
                    let name = name_in_tls(conn);
                    conn.write(name.as_bytes());
                }
                b'#' => conn.write(taken.to_string().as_bytes()),
                byte => conn.write(&[byte]),
            }
        }
        Ok(())
    }

    fn closed(&mut self, _: &mut Conn<'_>, _: u64, _: Close) {
        self.tell(Told::Closed);
    }
}

impl Move for Rooms {
    type Seed = u64;
    fn move_out(&mut self, _: &mut Conn<'_>, taken: u64) -> u64 {
        taken
    }
    fn move_in(&mut self, conn: &mut Conn<'_>, taken: u64) -> Result<u64, Close> {
        self.tell(Told::In(conn.id()));
        Ok(taken)
    }
}

#[cfg(feature = "tls")]
fn name_in_tls(conn: &Conn<'_>) -> String {
    conn.tls().and_then(|tls| tls.server_name().map(String::from)).unwrap_or_default()
}

#[cfg(not(feature = "tls"))]
fn name_in_tls(_: &Conn<'_>) -> String {
    String::new()
}

pub(crate) fn config() -> Config {
    // Where they come to is told by the tests alone.
    Config { rebalance_lead: 0, ..Config::default().workers(WORKERS).limits(limits()) }
}

pub(crate) fn rooms(place: fn(Peer, usize) -> Placement) -> (Serve<Rooms>, Receiver<Told>) {
    let (told, receiver) = channel();
    let service = Rooms { told, place };
    (serve(move || service.clone()).movable().config(config()), receiver)
}

/// Everybody begins on worker 0.
fn start() -> (Running, Receiver<Told>) {
    let (serve, told) = rooms(|_, _| Placement::Worker(0));
    (Running::start(serve.tcp("127.0.0.1:0")), told)
}

pub(crate) fn ask(stream: &mut (impl Read + Write), request: &[u8], reply: &[u8]) {
    stream.write_all(request).unwrap();
    expect(stream, reply);
}

#[test]
fn a_newcomer_lives_where_it_is_placed() {
    let (serve, told) = rooms(|peer, listener| {
        assert!(peer.addr().is_some_and(|addr| addr.ip().is_loopback()));
        match listener {
            // There is no worker 9: where it was accepted, then.
            3 => Placement::Worker(9),
            n => Placement::Worker(n),
        }
    });
    let serve = (0..4).fold(serve, |serve, _| serve.tcp("127.0.0.1:0"));
    let server = Running::start(serve);
    for round in 0..20 {
        for listener in 0..WORKERS {
            let mut stream = connect(server.addrs[listener]);
            ask(&mut stream, b"?", &[b'0' + listener as u8]);
            let Told::Open(id) = told.recv_timeout(LONG).unwrap() else { panic!("open, in round {round}") };
            assert_eq!(id.worker(), listener);
            drop(stream);
            assert_eq!(told.recv_timeout(LONG).unwrap(), Told::Closed);
        }
    }
    ask(&mut connect(server.addrs[3]), b"x", b"x");
    assert!(server.stop().stats.counters.handed_over > 0);
}

#[test]
fn it_moves_with_what_it_has_sent_and_what_it_is_owed() {
    let (server, told) = start();
    let mut stream = server.connect();
    // All in one piece: what is behind a move is read on the other worker.
    ask(&mut stream, b"?a1?b2?c0?d#", b"0a1b2c0d12");
    let ids: Vec<_> = told.try_iter().collect();
    let [Told::Open(first), Told::In(one), Told::In(two), Told::In(three)] = ids[..] else {
        panic!("{ids:?}")
    };
    assert_eq!([first, one, two, three].map(|id| id.worker()), [0, 1, 2, 0]);
    assert_ne!(first, three, "an id is never used again");
    // Byte by byte too.
    for byte in b"1?2?0?" {
        stream.write_all(&[*byte]).unwrap();
    }
    expect(&mut stream, b"120");
    ask(&mut stream, b"0", b"");
    assert!(told.iter().any(|told| told == Told::Refused(MoveError::Here)));
    ask(&mut stream, b"9x", b"x");
    assert!(told.iter().any(|told| told == Told::Refused(MoveError::NoWorker)));
    drop(stream);
    assert_eq!(told.recv_timeout(LONG).unwrap(), Told::Closed);
    let counters = server.stop().stats.counters;
    assert_eq!((counters.moved_out, counters.moved_in, counters.opened), (6, 6, 1));
}

#[test]
fn it_leaves_only_when_its_output_is_sent() {
    let (server, told) = start();
    let mut stream = server.connect();
    stream.write_all(b"!1?").unwrap();
    server.wait_for("the reply to be stuck", |c| c.buffered_bytes > 0);
    assert_eq!(server.counters().moved_out, 0);
    expect(&mut stream, &LARGE);
    expect(&mut stream, b"1");
    assert!(matches!(told.try_iter().nth(1), Some(Told::In(_))));
    assert_eq!(server.stop().stats.counters.moved_out, 1);
}

#[test]
fn many_move_at_once_and_lose_nothing() {
    let (server, _told) = start();
    let addr = server.addr();
    let talk = move |n: u8| {
        let mut stream = connect(addr);
        let mut sent = Vec::new();
        let mut wanted = Vec::new();
        for i in 0..2000usize {
            let byte = b'a' + ((i + usize::from(n)) % 26) as u8;
            sent.push(byte);
            wanted.push(byte);
            if i % 7 == 0 {
                sent.push(b'0' + ((i + usize::from(n)) % WORKERS) as u8);
            }
        }
        let writer = send_and_finish(&stream, sent);
        expect(&mut stream, &wanted);
        expect_end(&mut stream);
        writer.join().unwrap();
    };
    let threads: Vec<_> = (0..8).map(|n| std::thread::spawn(move || talk(n))).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let counters = server.stop().stats.counters;
    assert_eq!(counters.moved_out, counters.moved_in);
    assert!(counters.moved_out > 500, "{}", counters.moved_out);
}

#[test]
fn unix_connections_move_too() {
    let path = SocketPath::new();
    let (serve, _told) = rooms(|peer, _| {
        assert_eq!(peer, Peer::Unix);
        Placement::Worker(0)
    });
    let server = Running::start(serve.unix(&path.0));
    let mut stream = path.connect();
    ask(&mut stream, b"?1?2?0?", b"0120");
    stream.write_all(b"!2?").unwrap();
    expect(&mut stream, &LARGE);
    expect(&mut stream, b"2");
    server.stop();
}

#[test]
fn a_server_that_stops_loses_nobody_on_the_way() {
    for round in 0..10 {
        let (server, told) = start();
        let mut streams: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        for stream in &mut streams {
            ask(stream, b"x", b"x");
        }
        for stream in &mut streams {
            stream.write_all(b"12012012").unwrap();
            if round % 2 == 0 {
                stream.write_all(b"!").unwrap();
            }
        }
        if round % 3 == 0 {
            server.handle.stop_now();
        } else {
            server.handle.shutdown();
            drop(streams);
        }
        let counters = server.ended_well().stats.counters;
        assert_eq!(counters.moved_out, counters.moved_in);
        assert_eq!(told.iter().filter(|told| *told == Told::Closed).count(), 20);
    }
}

#[test]
fn who_cannot_move_is_told_so() {
    let (told, receiver) = channel();
    let service = Rooms { told, place: |_, _| Placement::Worker(0) };
    let serve = serve(move || service.clone()).config(config()).tcp("127.0.0.1:0");
    let server = Running::start(serve);
    ask(&mut server.connect(), b"1?", b"0");
    assert!(receiver.iter().any(|told| told == Told::Refused(MoveError::Unsupported)));
    server.stop();
}

/// "!" is answered with more than the socket takes, and the connection moves to worker 1; "h" holds the worker
/// until it may go on; "w" writes a little to the one that moves.
struct Flood {
    moves: Option<ConnId>,
    held: Sender<()>,
    go_on: Arc<Mutex<Receiver<()>>>,
}

impl Service for Flood {
    type Session = ();
    fn place(&mut self, _: Peer, _: usize) -> Placement {
        Placement::Worker(0)
    }
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        match &*input.take_all() {
            b"!" => {
                self.moves = Some(conn.id());
                while !conn.is_congested() {
                    conn.write(&[b'.'; 8 * 1024]);
                }
                conn.move_to(1)?;
            }
            b"h" => {
                let _ = self.held.send(());
                let _ = self.go_on.lock().unwrap().recv_timeout(LONG);
            }
            _ => {
                if let Some(id) = self.moves {
                    conn.write_to(id, b"more");
                }
            }
        }
        Ok(())
    }
    fn drained(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        conn.write(format!("drained on {}", conn.id().worker()).as_bytes());
        Ok(())
    }
}

impl Move for Flood {
    type Seed = ();
    fn move_out(&mut self, _: &mut Conn<'_>, _: ()) {}
    fn move_in(&mut self, _: &mut Conn<'_>, _: ()) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn a_call_to_drained_that_is_owed_moves_too() {
    let ((held, is_held), (go, go_on)) = (channel(), channel());
    let go_on = Arc::new(Mutex::new(go_on));
    let make = move || Flood { moves: None, held: held.clone(), go_on: go_on.clone() };
    let limits = Limits { output_high: 2_000, output_low: 500, ..limits() };
    let server = Running::start(serve(make).movable().config(config().limits(limits)).tcp("127.0.0.1:0"));
    let [mut moves, mut holds, mut writes] = [(); 3].map(|()| server.connect());
    moves.write_all(b"!").unwrap();
    server.wait_for("the flood to be stuck", |c| c.congestions == 1);
    holds.write_all(b"h").unwrap();
    is_held.recv_timeout(LONG).unwrap();
    // While the worker is held, somebody writes and then there is room: its next turn finds both, in this
    // order, so all is sent at the end of the turn, and the connection leaves in it.
    writes.write_all(b"w").unwrap();
    moves.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut piece = vec![0; 1 << 20];
    while moves.read(&mut piece).is_ok_and(|n| piece[..n].iter().all(|byte| *byte == b'.')) {}
    moves.set_read_timeout(Some(LONG)).unwrap();
    go.send(()).unwrap();
    let mut rest = Vec::new();
    while !rest.ends_with(b"drained on 1") {
        let n = moves.read(&mut piece).expect("the call to `drained`");
        rest.extend_from_slice(&piece[..n]);
    }
    let told: Vec<u8> = rest.into_iter().filter(|byte| *byte != b'.').collect();
    assert_eq!(String::from_utf8_lossy(&told), "moredrained on 1");
    server.stop();
}

/// Passes what it is sent on to the connection it is told by message, wherever that lives.
struct Post {
    mailbox: Mailbox<(ConnId, Vec<u8>)>,
    ids: Sender<ConnId>,
}

impl Service for Post {
    type Session = ();
    fn place(&mut self, _: Peer, listener: usize) -> Placement {
        Placement::Worker(listener)
    }
    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        let _ = self.ids.send(conn.id());
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let worker = conn.id().worker();
        let text = input.take_all().to_vec();
        self.mailbox
            .send_to_others(worker, (conn.id(), text))
            .map_err(|e| std::io::Error::other(e.to_string()))?;
        Ok(())
    }
}

impl Receive for Post {
    type Message = (ConnId, Vec<u8>);
    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>, (id, text): (ConnId, Vec<u8>)) {
        if id.worker() == scope.worker() {
            scope.write_shared_to(id, text.into());
        } else {
            scope.broadcast_shared([&text[..], b"!"].concat().into());
        }
    }
}

#[test]
fn a_message_finds_the_worker_of_a_connection() {
    let (mailbox, (sender, ids)) = (Mailbox::new(), channel());
    let in_service = mailbox.clone();
    let make = move || Post { mailbox: in_service.clone(), ids: sender.clone() };
    let serve = serve(make).mailbox(&mailbox).config(Config { limits: Limits { ..limits() }, ..config() });
    let server = Running::start((0..WORKERS).fold(serve, |serve, _| serve.tcp("127.0.0.1:0")));
    let mut streams: Vec<_> = (0..WORKERS).map(|n| connect(server.addrs[n])).collect();
    let ids: Vec<_> = (0..WORKERS).map(|_| ids.recv_timeout(LONG).unwrap()).collect();
    for id in &ids {
        let text = id.to_string().into_bytes();
        mailbox.send_to(*id, (*id, text.clone())).unwrap();
        expect(&mut streams[id.worker()], &text);
    }
    streams[0].write_all(b"to the others").unwrap();
    for stream in &mut streams[1..] {
        expect(stream, b"to the others!");
    }
    // Gone, and quietly nothing.
    drop(streams);
    server.wait_for("all to leave", |c| c.connections == 0);
    mailbox.send_to(ids[1], (ids[1], b"anyone?".to_vec())).unwrap();
    server.handle.shutdown();
    server.ended_well();
}

/// Couples the second connection with the first; `m` and `c` say in which order it also tries to move.
struct Both {
    first: Option<ConnId>,
    told: Sender<(bool, Option<MoveError>)>,
}

impl Service for Both {
    type Session = ();

    fn place(&mut self, _: Peer, _: usize) -> Placement {
        Placement::Worker(0)
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let order = input.take_all().to_vec();
        let Some(first) = self.first else {
            self.first = Some(conn.id());
            conn.write(&order);
            return Ok(());
        };
        let (coupled, moved) = if order == b"m" {
            let moved = conn.move_to(1);
            (conn.relay(first), moved)
        } else {
            (conn.relay(first), conn.move_to(1))
        };
        let _ = self.told.send((coupled, moved.err()));
        Ok(())
    }
}

impl Move for Both {
    type Seed = ();
    fn move_out(&mut self, _: &mut Conn<'_>, _: ()) {}
    fn move_in(&mut self, _: &mut Conn<'_>, _: ()) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn what_is_coupled_stays_and_what_moves_is_not_coupled() {
    let (told, receiver) = channel();
    let serve = serve(move || Both { first: None, told: told.clone() }).movable().config(config());
    let server = Running::start(serve.tcp("127.0.0.1:0"));
    let mut first = server.connect();
    ask(&mut first, b"?", b"?");
    let mut moves = server.connect();
    moves.write_all(b"m").unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), (false, None));
    let mut couples = server.connect();
    couples.write_all(b"c").unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), (true, Some(MoveError::Coupled)));
    first.write_all(b"through").unwrap();
    expect(&mut couples, b"through");
    drop((first, couples, moves));
    server.stop();
}
