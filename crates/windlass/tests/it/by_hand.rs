//! Corners of the engine that need a network which does just what it is told: on the harness.

use std::sync::mpsc::{Sender, channel};

use windlass::testing::Harness;
use windlass::{Answer, Close, Conn, ConnId, Input, Limits, Offload, Scope, Service, Sessions, Work, serve};

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
