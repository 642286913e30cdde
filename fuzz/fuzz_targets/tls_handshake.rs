//! Any bytes to a TLS listener: `cargo +nightly fuzz run tls_handshake`. The first byte of the input says
//! how it is cut into pieces; the server must be rid of the connection within its deadlines.
#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use windlass::testing::Harness;
use windlass::{Close, Conn, Input, Service, TlsIdentity, TlsServer, serve};

struct Echo;

impl Service for Echo {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

fn harness() -> Harness {
    let chain = include_bytes!("../../crates/windlass/tests/certs/server.pem");
    let key = include_bytes!("../../crates/windlass/tests/certs/server.key");
    let tls = TlsServer::new(TlsIdentity::from_pem(chain, key).unwrap()).build().unwrap();
    Harness::new(serve(|| Echo).tls("127.0.0.1:0", &tls))
}

thread_local! {
    static HARNESS: RefCell<Harness> = RefCell::new(harness());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&size, bytes)) = bytes.split_first() else { return };
    HARNESS.with_borrow_mut(|harness| {
        let peer = harness.connect();
        harness.send_split(peer, bytes, usize::from(size) * 8 + 1);
        harness.receive(peer);
        harness.finish(peer);
        harness.advance(Duration::from_secs(20));
        let counters = harness.handle().stats().counters;
        assert_eq!((counters.connections, counters.tls_handshakes, counters.buffered_bytes), (0, 0, 0));
    });
});
