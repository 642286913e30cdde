//! A host that does not ignore SIGPIPE, as Rust programs do, is not killed by a peer that has gone.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use signal_hook::consts::SIGPIPE;
use windlass::{Close, Conn, ConnId, Input, Service, serve};

use crate::child::{self, Process};
use crate::harness::*;

/// Answers when its peer has gone, with what takes one call or several: a cork and a large write.
struct Late {
    gone: Arc<Mutex<Receiver<()>>>,
    closed: Sender<&'static str>,
}

impl Service for Late {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let how = input.take_all()[0];
        self.gone.lock().unwrap().recv().unwrap();
        conn.write(b"corked");
        if how == b'w' {
            conn.write(&[0; 64 * 1024]);
        }
        Ok(())
    }

    fn closed(&mut self, _: &mut Conn<'_>, _: (), why: Close) {
        self.closed.send(why.label()).unwrap();
    }
}

/// Couples its connections two by two.
struct Pairs(Option<ConnId>);

impl Service for Pairs {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        match self.0.take() {
            Some(first) => assert!(conn.relay(first)),
            None => self.0 = Some(conn.id()),
        }
        Ok(())
    }

    fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn a_peer_that_has_gone_raises_no_signal() {
    let mut child = Process::start("sigpipe::with_a_handler", "-");
    assert_eq!(child.hear(), "fine");
    child.finish();
}

/// In a child, which alone has its signals.
#[test]
#[ignore = "a part of the test above, run in a child"]
fn with_a_handler() {
    if child::arg().is_none() {
        return;
    }
    let raised = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGPIPE, raised.clone()).unwrap();
    let ((gone, goes), (closed, closes)) = (channel(), channel());
    let goes = Arc::new(Mutex::new(goes));
    let path = SocketPath::new();
    let made = move || Late { gone: goes.clone(), closed: closed.clone() };
    let server = Running::start(serve(made).config(one_worker(limits())).unix(&path.0));
    for how in [b"s", b"w"] {
        let mut peer = path.connect();
        peer.write_all(how).unwrap();
        drop(peer);
        gone.send(()).unwrap();
        closes.recv_timeout(LONG).expect("it ends, for whatever reason comes first");
    }
    server.stop();
    assert!(!raised.load(Relaxed), "writing raised it");

    // No flag keeps a splice from raising it, so there is none.
    let server = Running::start(serve(|| Pairs(None)).config(one_worker(limits())).tcp("127.0.0.1:0"));
    let (mut a, mut b) = (server.connect(), server.connect());
    let bytes = pattern(8 << 20);
    let sent = bytes.clone();
    let sending = thread::spawn(move || {
        a.write_all(&sent).unwrap();
        a.shutdown(Shutdown::Write).unwrap();
        a
    });
    expect(&mut b, &bytes);
    expect_end(&mut b);
    b.shutdown(Shutdown::Write).unwrap();
    assert_eq!(sending.join().unwrap().read(&mut [0]).unwrap(), 0);
    let counters = server.stop().stats.counters;
    assert_eq!((counters.relayed_bytes, counters.splices), (8 << 20, 0));
    assert!(!raised.load(Relaxed));
    child::say("fine");
}
