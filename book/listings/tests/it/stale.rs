//! A connection's id means that connection or nothing.

use windlass::testing::Harness;
use windlass::{Close, Conn, ConnId, Input, Service, serve};

// ANCHOR: test
/// Tells whoever came last that there is somebody new.
struct Doors {
    last: Option<ConnId>,
}

impl Service for Doors {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        if let Some(last) = self.last.replace(conn.id()) {
            conn.write_to(last, b"somebody came\n");
        }
        Ok(())
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        input.take_all();
        Ok(())
    }
}

#[test]
fn an_old_id_finds_nobody() {
    let mut harness = Harness::new(serve(|| Doors { last: None }));
    let ann = harness.connect();
    let bob = harness.connect();
    assert_eq!(harness.receive(ann), b"somebody came\n");

    harness.reset(bob);
    let cem = harness.connect(); // in Bob's place; `last` is still Bob's id
    assert_eq!(harness.receive(cem), b"");
}
// ANCHOR_END: test
