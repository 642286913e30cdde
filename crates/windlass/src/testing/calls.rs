//! The connections a service makes itself: the test answers them.

use std::time::Duration;

use super::{Harness, TestPeer};
use crate::connect::Remote;
use crate::sim::end::{EndId, State};

/// A connection that the service is making and that nobody has answered yet. See [`Harness::calls`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TestCall {
    /// Whom it wants.
    pub remote: Remote,
    id: EndId,
}

impl Harness {
    /// The connections the service is making (see [`Conn::connect`](crate::Conn::connect)), oldest
    /// first. Each waits until the test accepts or refuses it, its deadline passes, or it is cancelled.
    ///
    /// ```
    /// use windlass::testing::Harness;
    /// use windlass::{Close, Conn, Connect, Input, Scope, Service, Sessions, serve};
    ///
    /// /// Greets its server.
    /// struct Greeter;
    ///
    /// impl Service for Greeter {
    ///     type Session = ();
    ///     fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
    ///         let server: std::net::SocketAddr = ([192, 0, 2, 7], 8080).into();
    ///         scope.connect(Connect::to(server)).expect("within the limits");
    ///     }
    ///     fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
    ///         conn.write(b"hello");
    ///         Ok(())
    ///     }
    ///     fn data(&mut self, _: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
    ///         input.take_all();
    ///         Err(Close::Done)
    ///     }
    /// }
    ///
    /// let mut harness = Harness::new(serve(|| Greeter));
    /// let call = harness.calls().remove(0);
    /// assert_eq!(call.remote.to_string(), "192.0.2.7:8080");
    /// let server = harness.accept(&call);
    /// assert_eq!(harness.receive(server), b"hello");
    /// harness.send(server, b"welcome");
    /// assert_eq!(harness.why(server), Some("done"));
    /// ```
    pub fn calls(&self) -> Vec<TestCall> {
        let world = self.run.world.borrow();
        let waits = |id: EndId| world.end(id).state == State::Opening && world.end(id).call_failed.is_none();
        let held = world.held.iter().filter(|(id, _)| waits(*id));
        held.map(|(id, remote)| TestCall { remote: remote.clone(), id: *id }).collect()
    }

    /// Accepts a call, and is the peer from then on. One that is no longer waiting has ended already.
    pub fn accept(&mut self, call: &TestCall) -> TestPeer {
        if self.calls().contains(call) {
            self.run.world.borrow_mut().reached(call.id, usize::MAX, false);
            self.advance(Duration::ZERO);
        }
        TestPeer(call.id.peer())
    }

    /// Refuses a call: nobody listens.
    pub fn refuse(&mut self, call: &TestCall) {
        self.run.world.borrow_mut().refused(call.id, false);
        self.settle();
    }

    /// Has a router say that no route leads to the remote.
    pub fn unreachable(&mut self, call: &TestCall) {
        self.run.world.borrow_mut().refused(call.id, true);
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Close, Conn, ConnId, Connect, ConnectError, Input, Limits, Reconnect, Scope, Service, Sessions, serve,
    };

    /// Keeps one connection to its server, and remembers why it had none.
    struct Keeper {
        reconnect: Reconnect,
        failures: Vec<&'static str>,
    }

    impl Keeper {
        fn new() -> Keeper {
            let reconnect = Reconnect::default().jitter_percent(0);
            Keeper { reconnect, failures: Vec::new() }
        }

        fn call(pause: Duration) -> Connect {
            let server: std::net::SocketAddr = ([192, 0, 2, 7], 8080).into();
            Connect::to(server).after(pause)
        }
    }

    impl Service for Keeper {
        type Session = ();

        fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
            scope.connect(Keeper::call(Duration::ZERO)).expect("within the limits");
        }

        fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
            self.reconnect.connected(conn.now());
            conn.write(self.failures.join(",").as_bytes());
            Ok(())
        }

        fn connect_failed(
            &mut self,
            scope: &mut Scope<'_>,
            _: &mut Sessions<()>,
            _: ConnId,
            _: u64,
            why: ConnectError,
        ) {
            self.failures.push(why.label());
            let pause = self.reconnect.failed(scope.now(), 0);
            let _ = scope.connect(Keeper::call(pause));
        }

        fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
            conn.write(input.take_all());
            Ok(())
        }

        fn closed(&mut self, conn: &mut Conn<'_>, _: (), _: Close) {
            let pause = self.reconnect.failed(conn.now(), 0);
            let _ = conn.connect(Keeper::call(pause));
        }
    }

    fn only_call(harness: &Harness) -> TestCall {
        let calls = harness.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0].clone()
    }

    #[test]
    fn a_client_is_driven_by_hand() {
        let limits = Limits { connect_timeout: Duration::from_secs(3), ..Limits::default() };
        let mut harness = Harness::new(serve(Keeper::new).limits(limits));
        let call = only_call(&harness);
        harness.refuse(&call);
        assert!(harness.calls().is_empty(), "it pauses");
        harness.advance(Duration::from_millis(110));
        let call = only_call(&harness);
        harness.unreachable(&call);
        harness.advance(Duration::from_millis(210));
        let unanswered = only_call(&harness);
        harness.advance(Duration::from_millis(3_010));
        assert!(harness.calls().is_empty(), "it was given up");
        harness.advance(Duration::from_millis(410));
        let gone = harness.accept(&unanswered);
        assert!(harness.is_ended(gone), "too late");

        let call = only_call(&harness);
        let server = harness.accept(&call);
        assert_eq!(harness.receive(server), b"refused,unreachable,timeout");
        harness.send(server, b"hello");
        assert_eq!(harness.receive(server), b"hello");
        harness.advance(Duration::from_secs(11));
        harness.reset(server);
        assert_eq!(harness.why(server), Some("reset"));
        harness.advance(Duration::from_millis(110));
        let call = only_call(&harness);
        let server = harness.accept(&call);
        harness.shutdown();
        assert_eq!(harness.why(server), Some("shutdown"));
        harness.finish(server);
        assert!(harness.is_stopped());
    }

    /// Calls a server when told to, and tells whoever it is connected to that it is superseded.
    struct Retiring;

    impl Service for Retiring {
        type Session = ();

        fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
            Ok(())
        }

        fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
            input.take_all();
            conn.connect(Keeper::call(Duration::ZERO)).map(|_| ()).map_err(|_| Close::Refused)
        }

        fn superseded(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
            conn.write(b"superseded");
            Ok(())
        }
    }

    #[test]
    fn who_comes_after_a_successor_took_over_is_told_too() {
        let mut harness = Harness::new(serve(|| Retiring));
        let peer = harness.connect();
        harness.handle().shared.supersede(&[]);
        assert_eq!(harness.receive(peer), b"superseded");
        harness.send(peer, b"call");
        let server = harness.accept(&only_call(&harness));
        assert_eq!(harness.receive(server), b"superseded");
    }

    #[test]
    fn a_pause_and_no_time_is_one_try_all_the_same() {
        struct Once;
        impl Service for Once {
            type Session = ();
            fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<()>) {
                let call = Keeper::call(Duration::from_secs(1)).timeout(Duration::ZERO);
                scope.connect(call).expect("within the limits");
            }
            fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
                Ok(())
            }
            fn data(&mut self, _: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
                Ok(())
            }
        }
        let mut harness = Harness::new(serve(|| Once));
        harness.advance(Duration::from_secs(2));
        let counters = harness.handle().stats().counters;
        assert_eq!((counters.registers, counters.connects_timed_out), (1, 1));
    }

    #[test]
    fn a_shutdown_takes_back_what_waits_for_an_answer() {
        let mut harness = Harness::new(serve(Keeper::new));
        assert_eq!(harness.calls().len(), 1);
        harness.shutdown();
        harness.advance(Duration::ZERO);
        assert!(harness.calls().is_empty());
        assert!(harness.is_stopped());
        assert_eq!(harness.handle().stats().counters.connects_cancelled, 1);
    }
}
