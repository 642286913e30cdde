//! Corners of the engine that need a network which does just what it is told: on the harness.

use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};

use windlass::testing::Harness;
use windlass::{
    Answer, Close, Conn, ConnId, Connect, ConnectError, Handle, Input, Limits, Offload, Scope, Service,
    Sessions, Work, serve,
};

/// Couples the second connection with the first, which has been given all that may be queued, and then
/// ends one of them: 'l' the last, 'f' the first.
struct Couple {
    first: Option<ConnId>,
}

const ROOM: usize = 1_000;
const QUEUED: usize = 200_000;

impl Service for Couple {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let Some(first) = self.first else {
            // Left untaken, and heard by the other in the end.
            self.first = Some(conn.id());
            return Ok(());
        };
        let how = input.take(1).map(|how| how[0]);
        let full = vec![b'.'; QUEUED];
        conn.write_to(first, &full);
        conn.write(&full);
        assert!(conn.relay(first));
        if how == Some(b'l') {
            return Err(Close::Done);
        }
        conn.other(first).expect("it is open").close();
        Ok(())
    }
}

#[test]
fn a_relay_that_ends_with_full_queues_loses_nothing() {
    for how in ["l", "f"] {
        let limits = Limits { output_max: QUEUED, ..Limits::default() };
        let mut harness = Harness::with_buffers(serve(|| Couple { first: None }).limits(limits), ROOM);
        let (first, last) = (harness.connect(), harness.connect());
        harness.send(first, b"from the first");
        harness.send(last, format!("{how}from the last"));
        let heard = [harness.receive(first), harness.receive(last)];
        for (heard, from) in heard.iter().zip(["from the last", "from the first"]) {
            let (full, rest) = heard.split_at(QUEUED.min(heard.len()));
            assert_eq!((full.len(), String::from_utf8_lossy(rest).as_ref()), (QUEUED, from), "{how}");
        }
        assert_eq!([first, last].map(|peer| harness.why(peer)), [Some("done"); 2]);
    }
}

/// Saves what a connection has said when it ends, and tells what came of it.
struct Saves {
    pool: Offload<String>,
    told: Sender<(Option<ConnId>, String)>,
}

impl Service for Saves {
    type Session = String;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<String, Close> {
        Ok(String::new())
    }

    fn data(&mut self, _: &mut Conn<'_>, said: &mut String, input: &mut Input<'_>) -> Result<(), Close> {
        said.push_str(&String::from_utf8_lossy(input.take_all()));
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, said: String, _: Close) {
        self.pool.submit(conn, move || format!("saved {said}")).map_err(|_| ()).expect("there is room");
    }
}

impl Work for Saves {
    type Answer = String;

    fn answer(&mut self, _: &mut Scope<'_>, _: &mut Sessions<String>, answer: Answer<String>) {
        self.told.send((answer.conn, answer.result.expect("it ran"))).unwrap();
    }
}

#[test]
fn a_job_of_a_connection_that_ends_is_the_services() {
    let (told, hears) = channel();
    let pool = Offload::new(windlass::OffloadConfig::default());
    let made = pool.clone();
    let saves = serve(move || Saves { pool: made.clone(), told: told.clone() }).offload(&pool);
    let mut harness = Harness::new(saves);
    let peer = harness.connect();
    harness.send(peer, b"all of it");
    harness.finish(peer);
    assert_eq!(harness.why(peer), Some("eof"));
    harness.advance(std::time::Duration::from_secs(1));
    assert_eq!(hears.try_recv(), Ok((None, "saved all of it".to_string())));
}

/// Calls as many as it is told, and takes back what it called before.
struct Recaller {
    calls: Vec<ConnId>,
    handle: Arc<OnceLock<Handle>>,
    /// Of each that was taken back, the turn.
    taken_back: Sender<u64>,
}

impl Service for Recaller {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let before = std::mem::take(&mut self.calls);
        for _ in input.take_all() {
            self.calls
                .push(conn.connect(Connect::to(SocketAddr::from(([10, 9, 9, 9], 9)))).expect("it is begun"));
        }
        for id in before {
            assert!(conn.cancel_connect(id), "once");
            assert!(conn.cancel_connect(id), "and again, before it is told");
        }
        Ok(())
    }

    fn connect_failed(
        &mut self,
        _: &mut Scope<'_>,
        _: &mut Sessions<()>,
        _: ConnId,
        _: u64,
        why: ConnectError,
    ) {
        assert!(matches!(why, ConnectError::Cancelled), "{why}");
        let turn = self.handle.get().expect("it runs").stats().counters.polls;
        self.taken_back.send(turn).expect("the test listens");
    }
}

#[test]
fn calls_that_are_taken_back_have_the_budget_of_closes_and_wait_for_nobody() {
    const CALLS: usize = 100;
    let (handle, (taken_back, turns)) = (Arc::new(OnceLock::new()), channel());
    let limits = Limits {
        connects_per_turn_max: 1,
        closes_per_turn_max: 30,
        connecting_max: 1_000,
        ..Limits::default()
    };
    let of_service = handle.clone();
    let mut harness = Harness::new(
        serve(move || Recaller {
            calls: Vec::new(),
            handle: of_service.clone(),
            taken_back: taken_back.clone(),
        })
        .limits(limits),
    );
    assert!(handle.set(harness.handle()).is_ok());
    let client = harness.connect();
    harness.send(client, [0; CALLS]);
    assert_eq!((harness.calls().len(), turns.try_iter().count()), (CALLS, 0));
    harness.send(client, [0; CALLS]);
    assert_eq!(harness.calls().len(), CALLS, "the new ones alone");
    let turns: Vec<u64> = turns.try_iter().collect();
    let each: Vec<usize> = turns.chunk_by(|one, next| one == next).map(<[u64]>::len).collect();
    assert_eq!(each, [30, 30, 30, 10], "{turns:?}");
    // And none of them waited for more than the turns that this takes.
    assert!(turns[CALLS - 1] - turns[0] < 5, "{turns:?}");
    let counters = harness.handle().stats().counters;
    assert_eq!((counters.connecting, counters.connects_cancelled), (CALLS as u64, CALLS as u64));
}
