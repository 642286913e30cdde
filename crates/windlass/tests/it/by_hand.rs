//! Corners of the engine that need a network which does just what it is told: on the harness.

use windlass::testing::Harness;
use windlass::{Close, Conn, ConnId, Input, Limits, Service, serve};

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
