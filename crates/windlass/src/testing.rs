//! Driving one service without sockets, for unit tests.
//!
//! [`Harness`] is the engine with your service on a network without faults or delays, and with a clock
//! that stands still until you move it. You play the peers: connect, send, half-close, look what came
//! back and how it ended; or bind UDP sockets and send datagrams ([`Harness::bind_udp`]). For a network that does its worst, see [`sim`](crate::sim).
//!
//! ```
//! use std::time::Duration;
//! use windlass::testing::Harness;
//! use windlass::{Close, Conn, Input, Service, serve};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Session = ();
//!     fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
//!         conn.wake_at(conn.now() + Duration::from_secs(5));
//!         Ok(())
//!     }
//!     fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
//!         conn.write(input.take_all());
//!         Ok(())
//!     }
//! }
//!
//! let mut harness = Harness::new(serve(|| Echo));
//! let (one, two) = (harness.connect(), harness.connect());
//!
//! harness.send(one, b"hello");
//! assert_eq!(harness.receive(one), b"hello");
//! assert_eq!(harness.receive(two), b"");
//!
//! harness.finish(one);
//! assert_eq!(harness.why(one), Some("eof"));
//!
//! harness.advance(Duration::from_millis(5_001));
//! assert_eq!(harness.why(two), Some("timeout"));
//! assert!(harness.is_ended(two));
//! ```

mod calls;
mod datagrams;

pub use calls::TestCall;
pub use datagrams::TestSocket;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use windlass_proto::Time;

use crate::serve::Serve;
use crate::server::Handle;
use crate::service::Service;
use crate::sim::Ending;
use crate::sim::build::Sim;
use crate::sim::client::Status;
use crate::sim::end::{EndId, Fin, State};
use crate::sim::run::Run;

/// The room in each direction of a connection, unless [`Harness::with_buffers`] says otherwise.
const BUFFERS: usize = 1 << 20;
/// Connections at the same time, unless the service's limits say otherwise.
const CONNECTIONS_MAX: usize = 10_000;

/// One service, driven by hand. See the [module](self).
///
/// Whatever the harness is told has happened when the call returns, replies included; only time does
/// not pass by itself.
///
/// # Panics
///
/// Every method panics when the engine breaks a promise to the service, and when the service panics.
pub struct Harness {
    run: Run,
}

/// A connection to the service, as its peer holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TestPeer(EndId);

impl Harness {
    /// Serves a service, with the limits it was given. Where it listens is ignored, and it has one worker
    /// unless it asks for more.
    pub fn new<S: Service>(service: Serve<S>) -> Harness {
        Harness::with_buffers(service, BUFFERS)
    }

    /// The same, with so many bytes of room in either direction of each connection (and on either side
    /// of it), instead of 1 MiB. Small ones show what a service does about a peer that does not read.
    pub fn with_buffers<S: Service>(service: Serve<S>, bytes: usize) -> Harness {
        let (mut config, spec) = service.into_parts();
        config.workers = config.workers.clamp(1, 64);
        if config.limits.connections_max == 0 {
            config.limits.connections_max = CONNECTIONS_MAX;
        }
        let run = Sim::by_hand(config, spec, bytes.max(1)).into_run();
        run.world.borrow_mut().by_hand = true;
        let mut harness = Harness { run };
        harness.settle();
        harness
    }

    /// A new connection, from an address of its own.
    pub fn connect(&mut self) -> TestPeer {
        let n = self.run.world.borrow().addresses.len() as u32 + 1;
        self.connect_from(IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + n)))
    }

    /// A new connection from this address.
    pub fn connect_from(&mut self, ip: IpAddr) -> TestPeer {
        let id = {
            let mut world = self.run.world.borrow_mut();
            world.addresses.push(ip);
            let client = world.addresses.len() as u32 - 1;
            world.connect(client, 0)
        };
        self.settle();
        TestPeer(id)
    }

    /// Sends `bytes`, in one piece. What the service does not read waits.
    pub fn send(&mut self, peer: TestPeer, bytes: impl AsRef<[u8]>) {
        {
            let mut world = self.run.world.borrow_mut();
            let end = world.end_mut(peer.0);
            if end.state == State::Open && end.fin == Fin::No && !end.reset_arrived {
                end.unsent.extend(bytes.as_ref());
                world.pump(peer.0);
            }
        }
        self.settle();
    }

    /// Sends `bytes` in pieces of `size` bytes, each of which the service sees before the next comes.
    pub fn send_split(&mut self, peer: TestPeer, bytes: impl AsRef<[u8]>, size: usize) {
        for piece in bytes.as_ref().chunks(size.max(1)) {
            self.send(peer, piece);
        }
    }

    /// Takes everything the service has sent to this peer so far, and what it sends when there is room
    /// again.
    pub fn receive(&mut self, peer: TestPeer) -> Vec<u8> {
        let mut received = Vec::new();
        self.settle();
        loop {
            let at = received.len();
            {
                let mut world = self.run.world.borrow_mut();
                let end = world.end_mut(peer.0);
                received.resize(at + end.visible(), 0);
                end.take(&mut received[at..]);
                world.window_opens(peer.0);
            }
            self.settle();
            if received.len() == at {
                return received;
            }
        }
    }

    /// Takes at most `most` bytes of what the service has sent to this peer: a slow reader.
    pub fn receive_some(&mut self, peer: TestPeer, most: usize) -> Vec<u8> {
        self.settle();
        let received = {
            let mut world = self.run.world.borrow_mut();
            let end = world.end_mut(peer.0);
            let mut bytes = vec![0; end.visible().min(most)];
            end.take(&mut bytes);
            world.window_opens(peer.0);
            bytes
        };
        self.settle();
        received
    }

    /// Half-closes: this peer sends no more (FIN), and still receives.
    pub fn finish(&mut self, peer: TestPeer) {
        {
            let mut world = self.run.world.borrow_mut();
            let end = world.end_mut(peer.0);
            if end.state == State::Open && end.fin == Fin::No {
                end.fin = Fin::Queued;
                world.pump(peer.0);
            }
        }
        self.settle();
    }

    /// Resets the connection.
    pub fn reset(&mut self, peer: TestPeer) {
        {
            let mut world = self.run.world.borrow_mut();
            if world.end(peer.0).state == State::Open {
                world.close_end(peer.0, true);
            }
        }
        self.settle();
    }

    /// Lets time pass, with every tick and deadline in it at its time.
    pub fn advance(&mut self, by: Duration) {
        self.run.advance(by.as_nanos() as u64);
        self.settle();
    }

    /// From now on the service is told that its worker is overloaded
    /// ([`Conn::is_overloaded`](crate::Conn::is_overloaded)), or not any more. Nothing else changes.
    pub fn pretend_overload(&mut self, overloaded: bool) {
        self.run.pretend_overload(overloaded);
    }

    /// The time, as the service is told it.
    pub fn now(&self) -> Time {
        Time::from_nanos(self.run.world.borrow().now)
    }

    /// Why the service was told that this connection ended: the label of its
    /// [`Close`](crate::Close); `None` while it is open.
    pub fn why(&self, peer: TestPeer) -> Option<&'static str> {
        self.run.world.borrow().end(peer.0.peer()).closed_as.as_ref().map(|(label, _)| *label)
    }

    /// The same in words: for [`Close::Protocol`](crate::Close::Protocol) those of the error.
    pub fn why_in_words(&self, peer: TestPeer) -> Option<String> {
        self.run.world.borrow().end(peer.0.peer()).closed_as.as_ref().map(|(_, text)| text.clone())
    }

    /// How the connection ended as its peer sees it, everything before it received; `None` while it has
    /// not.
    pub fn ending(&self, peer: TestPeer) -> Option<Ending> {
        match self.run.world.borrow().status(peer.0) {
            Status::Ended(how) => Some(how),
            _ => None,
        }
    }

    /// Whether the peer sees the end of the connection, once it has received everything before it.
    pub fn is_ended(&self, peer: TestPeer) -> bool {
        self.ending(peer).is_some()
    }

    /// What stops and watches the server. What it asks for happens with the harness's next call.
    pub fn handle(&self) -> Handle {
        self.run.handle()
    }

    /// Begins a graceful shutdown; a second one aborts.
    pub fn shutdown(&mut self) {
        self.run.handle().shutdown();
        self.settle();
    }

    /// Whether the server has stopped, after a shutdown.
    pub fn is_stopped(&self) -> bool {
        self.run.is_stopped()
    }

    /// Lets everything happen that is due, such as the delivery of messages sent to a mailbox. Every
    /// other method does so too.
    pub fn settle(&mut self) {
        self.run.settle();
        let failure = self.run.world.borrow().failures.first().cloned();
        if let Some(what) = failure {
            panic!("the engine broke a promise: {what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Close, Conn, Input, Limits, Mailbox, Receive, Scope, Sessions, serve};

    struct Echo;

    impl Service for Echo {
        type Session = usize;

        fn open(&mut self, _: &mut Conn<'_>) -> Result<usize, Close> {
            Ok(0)
        }

        fn data(&mut self, conn: &mut Conn<'_>, n: &mut usize, input: &mut Input<'_>) -> Result<(), Close> {
            *n += 1;
            if input.peek().first() == Some(&b'!') {
                return Err(std::io::Error::other("rude").into());
            }
            conn.write(input.take_all());
            Ok(())
        }

        fn drained(&mut self, conn: &mut Conn<'_>, _: &mut usize) -> Result<(), Close> {
            conn.write(b"[drained]");
            Ok(())
        }
    }

    impl Receive for Echo {
        type Message = &'static str;

        fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<usize>, text: &'static str) {
            scope.broadcast(text.as_bytes());
        }
    }

    #[test]
    fn replies_are_there_when_the_call_returns() {
        let mut harness = Harness::new(serve(|| Echo));
        let peer = harness.connect();
        harness.send_split(peer, b"hello", 1);
        assert_eq!(harness.receive(peer), b"hello");
        assert_eq!(harness.why(peer), None);
        harness.finish(peer);
        assert_eq!((harness.why(peer), harness.ending(peer)), (Some("eof"), Some(Ending::Fin)));
        assert_eq!(harness.handle().stats().counters.ended, 1);
    }

    #[test]
    fn an_error_ends_one_connection_and_says_why() {
        let mut harness = Harness::new(serve(|| Echo));
        let (rude, good) = (harness.connect(), harness.connect());
        harness.send(rude, b"!");
        assert_eq!(harness.why(rude), Some("protocol"));
        assert_eq!(harness.why_in_words(rude).as_deref(), Some("rude"));
        harness.send(good, b"still here");
        assert_eq!(harness.receive(good), b"still here");
    }

    /// Writes until it is told to stop, on a connection that ends underneath it.
    struct Tireless;

    impl Service for Tireless {
        type Session = ();

        fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
            Ok(())
        }

        fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
            match &*input.take_all() {
                b"close" => conn.close(),
                _ => conn.half_close(),
            }
            while !conn.is_congested() {
                conn.write(b"more");
            }
            Ok(())
        }
    }

    #[test]
    fn who_writes_until_congested_ends_when_nothing_is_taken_any_more() {
        for how in ["close", "half-close"] {
            let mut harness = Harness::new(serve(|| Tireless));
            let peer = harness.connect();
            harness.send(peer, how);
            assert_eq!(harness.receive(peer), b"", "{how}");
            assert_eq!(harness.ending(peer), Some(Ending::Fin), "{how}");
        }
    }

    #[test]
    fn time_passes_only_when_told_to() {
        let limits = Limits { idle_timeout: Duration::from_secs(10), ..Limits::default() };
        let mut harness = Harness::new(serve(|| Echo).limits(limits));
        let peer = harness.connect();
        harness.advance(Duration::from_secs(9));
        harness.send(peer, b"x");
        harness.advance(Duration::from_secs(9));
        assert_eq!(harness.why(peer), None);
        harness.advance(Duration::from_secs(2));
        assert_eq!(harness.why(peer), Some("idle"));
    }

    #[test]
    fn ticks_come_though_nothing_else_happens() {
        struct Clock(u64);
        impl Service for Clock {
            type Session = ();
            fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
                conn.write(self.0.to_string().as_bytes());
                Ok(())
            }
            fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
                Ok(())
            }
            fn tick(&mut self, _: &mut Scope<'_>, _: &mut Sessions<()>, tick: crate::Tick) {
                self.0 += 1 + tick.missed * 100;
            }
        }
        let mut harness = Harness::new(serve(|| Clock(0)).tick(Duration::from_millis(10)));
        harness.advance(Duration::from_millis(95));
        let peer = harness.connect();
        assert_eq!(harness.receive(peer), b"9");
    }

    #[test]
    fn a_deadline_of_the_service_is_set_once_for_each_time() {
        /// Due every 10 ms until it is told to stop.
        struct Rooms(Option<Time>);
        impl Service for Rooms {
            type Session = ();
            fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
                self.0 = Some(conn.now() + Duration::from_millis(10));
                Ok(())
            }
            fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
                if input.take_all() == b"stop" {
                    self.0 = None;
                }
                Ok(())
            }
            fn deadline(&mut self) -> Option<Time> {
                self.0
            }
            fn due(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
                assert_eq!(Some(scope.now()), self.0, "to the nanosecond");
                self.0 = Some(scope.now() + Duration::from_millis(10));
            }
        }
        let mut harness = Harness::new(serve(|| Rooms(None)));
        let arms = |harness: &Harness| harness.run.world.borrow().pollers[0].arms;
        let ticks = |harness: &Harness| harness.handle().stats().counters.ticks;
        harness.advance(Duration::from_secs(1));
        assert_eq!((arms(&harness), ticks(&harness)), (0, 0), "nothing to be set");
        let peer = harness.connect();
        assert_eq!(arms(&harness), 1);
        for _ in 0..20 {
            harness.send(peer, b"nothing new");
        }
        assert_eq!((arms(&harness), ticks(&harness)), (1, 0), "it has not changed");
        harness.advance(Duration::from_millis(105));
        assert_eq!((arms(&harness), ticks(&harness)), (11, 10));
        harness.send(peer, b"stop");
        harness.advance(Duration::from_secs(1));
        assert_eq!((arms(&harness), ticks(&harness)), (12, 10), "taken back, once");
    }

    #[test]
    fn a_peer_that_does_not_read_is_pushed_back_and_then_drained() {
        let limits = Limits { output_high: 2000, output_low: 500, ..Limits::default() };
        let mut harness = Harness::with_buffers(serve(|| Echo).limits(limits), 1000);
        let peer = harness.connect();
        harness.send(peer, vec![b'x'; 20_000]);
        assert!(harness.handle().stats().counters.congestions > 0);
        let received = harness.receive(peer);
        assert_eq!(received.iter().filter(|&&byte| byte == b'x').count(), 20_000);
        assert!(received.windows(9).any(|window| window == b"[drained]"));
    }

    /// A peer that takes a little whenever the patience for it would end.
    fn trickle(progress_min: usize) -> Option<&'static str> {
        let limits = Limits {
            write_stall_timeout: Duration::from_secs(10),
            write_progress_min: progress_min,
            idle_timeout: Duration::ZERO,
            ..Limits::default()
        };
        let mut harness = Harness::with_buffers(serve(|| Echo).limits(limits), 1000);
        let peer = harness.connect();
        harness.send(peer, vec![b'x'; 10_000]);
        for _ in 0..4 {
            harness.receive_some(peer, 600);
            harness.advance(Duration::from_secs(6));
        }
        harness.why(peer)
    }

    #[test]
    fn a_trickle_is_no_progress() {
        assert_eq!(trickle(4096), Some("slow_consumer"));
        assert_eq!(trickle(400), None);
    }

    #[test]
    fn messages_and_the_shutdown() {
        let mailbox = Mailbox::new();
        let mut harness = Harness::new(serve(|| Echo).mailbox(&mailbox));
        let peer = harness.connect();
        mailbox.send(0, "news").unwrap();
        assert_eq!(harness.receive(peer), b"news");
        harness.shutdown();
        assert_eq!(harness.why(peer), Some("shutdown"));
        assert_eq!(harness.ending(peer), Some(Ending::Fin));
        harness.finish(peer);
        assert!(harness.is_stopped());
    }
}
