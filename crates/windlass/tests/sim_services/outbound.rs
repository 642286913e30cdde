//! Services that connect to others: one that only calls, and one that stands between its clients and a
//! remote.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windlass::proto::testing::Rng;
use windlass::sim::{self, Answer, Client, Ending, Line, Sim, Status, Step};
use windlass::{
    Close, Conn, ConnId, Connect, ConnectError, Input, Reconnect, Scope, Serve, Service, Sessions, Tick,
    serve,
};

/// The other side of a call: says something, then sends everything back. Some hang up in the middle.
pub(crate) struct Echoer {
    pending: Vec<u8>,
    /// Resets after so many bytes.
    resets_after: Option<usize>,
}

impl Echoer {
    pub(crate) fn new(greeting: &[u8]) -> Echoer {
        Echoer { pending: greeting.to_vec(), resets_after: None }
    }

    pub(crate) fn rude(rng: &mut Rng, greeting: &[u8]) -> Echoer {
        let resets_after = rng.chance(1, 4).then(|| rng.below(2_000) as usize);
        Echoer { resets_after, ..Echoer::new(greeting) }
    }
}

impl Client for Echoer {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        let before = self.pending.len();
        line.receive(&mut self.pending, usize::MAX);
        let got = self.pending.len() - before;
        if let Some(left) = &mut self.resets_after {
            *left = left.saturating_sub(got);
            if *left == 0 && got > 0 {
                line.reset();
                return Step::Done;
            }
        }
        let sent = line.send(&self.pending);
        self.pending.drain(..sent);
        match line.status() {
            Status::Ended(Ending::Fin) if self.pending.is_empty() => {
                line.finish();
                Step::Done
            }
            Status::Ended(Ending::Fin) | Status::Open | Status::Connecting => Step::Wait,
            _ => Step::Done,
        }
    }
}

/// What remotes of one run do.
pub(crate) fn mood(rng: &mut Rng) -> impl FnMut(&mut Rng) -> Answer + 'static {
    let good = 1 + rng.below(8);
    move |rng| match rng.below(5 + good) {
        0 => Answer::Refuse,
        1 => Answer::Unreachable,
        2 => Answer::Silent,
        3 => Answer::Late(Duration::from_millis(rng.below(3_000))),
        4 => Answer::Reset,
        _ => Answer::Accept,
    }
}

/// What a lane says and wants back, each time.
fn speech(tag: u64, round: u64) -> Vec<u8> {
    let len = 1 + (tag * 37 + round * 101) % 700;
    (0..len).map(|n| (n * 7 + tag * 3 + round) as u8).collect()
}

/// What became of calls, by label, over all runs.
pub(crate) type Seen = Arc<Mutex<BTreeSet<&'static str>>>;

/// Whom to call.
#[derive(Clone)]
pub(crate) struct Callee {
    pub(crate) connect: Connect,
    /// Not to be believed: no call to it comes about.
    pub(crate) distrusted: bool,
}

/// Calls its remotes, again and again.
struct Calls {
    callees: Vec<Callee>,
    lanes: Vec<Lane>,
    waiting: HashMap<ConnId, u64>,
    /// Tags for which there was no place.
    later: Vec<u64>,
    seen: Seen,
}

struct Lane {
    reconnect: Reconnect,
    round: u64,
}

struct Talk {
    lane: u64,
    wanted: Vec<u8>,
    heard: usize,
    greeted: usize,
}

pub(crate) const GREETING: &[u8] = b"hello";

impl Calls {
    fn see(&self, label: &'static str) {
        self.seen.lock().unwrap().insert(label);
    }

    fn callee(&self, lane: u64) -> &Callee {
        &self.callees[lane as usize % self.callees.len()]
    }

    fn call(&mut self, scope: &mut Scope<'_>, lane: u64, failed: bool) {
        let mut connect = self.callee(lane).connect.clone().tag(lane);
        if failed {
            let random = scope.random();
            connect = connect.after(self.lanes[lane as usize].reconnect.failed(scope.now(), random));
        }
        if lane % 5 == 3 {
            connect = connect.timeout(Duration::from_millis(30));
        }
        match scope.connect(connect) {
            Ok(id) => {
                assert!(scope.conn(id).is_none(), "not usable yet");
                self.waiting.insert(id, lane);
                // Some change their minds.
                if scope.random().is_multiple_of(16) {
                    assert!(scope.cancel_connect(id));
                }
            }
            Err(ConnectError::Full) => {
                self.see("full");
                self.later.push(lane);
            }
            Err(ConnectError::Shutdown) => assert!(scope.is_draining()),
            Err(why) => panic!("{why}"),
        }
    }
}

impl Service for Calls {
    type Session = Talk;

    fn start(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Talk>) {
        for lane in 0..self.lanes.len() as u64 {
            self.call(scope, lane, false);
        }
    }

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Talk, Close> {
        unreachable!("nobody calls it")
    }

    fn connected(&mut self, conn: &mut Conn<'_>, lane: u64) -> Result<Talk, Close> {
        self.see("connected");
        assert!(!self.callee(lane).distrusted, "its certificate is wrong");
        assert_eq!(self.waiting.remove(&conn.id()), Some(lane));
        assert!(conn.is_outbound());
        let Lane { reconnect, round } = &mut self.lanes[lane as usize];
        reconnect.connected(conn.now());
        *round += 1;
        let wanted = speech(lane, *round);
        if lane.is_multiple_of(2) {
            conn.write(&wanted);
        }
        Ok(Talk { lane, wanted, heard: 0, greeted: 0 })
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<Talk>,
        id: ConnId,
        lane: u64,
        why: ConnectError,
    ) {
        self.see(match &why {
            ConnectError::Tls(why) => why.label(),
            why => why.label(),
        });
        assert_eq!(self.waiting.remove(&id), Some(lane));
        if !scope.is_draining() {
            self.call(scope, lane, true);
        }
    }

    fn data(&mut self, conn: &mut Conn<'_>, talk: &mut Talk, input: &mut Input<'_>) -> Result<(), Close> {
        for &byte in &*input.take_all() {
            if talk.greeted < GREETING.len() {
                assert_eq!(byte, GREETING[talk.greeted], "who answers speaks first");
                talk.greeted += 1;
                if talk.greeted == GREETING.len() && !talk.lane.is_multiple_of(2) {
                    conn.write(&talk.wanted);
                }
            } else {
                assert_eq!(byte, talk.wanted[talk.heard], "byte {} of lane {}", talk.heard, talk.lane);
                talk.heard += 1;
            }
        }
        if talk.heard == talk.wanted.len() { Err(Close::Done) } else { Ok(()) }
    }

    fn closed(&mut self, _: &mut Conn<'_>, talk: Talk, why: Close) {
        assert!(!matches!(why, Close::Idle) || talk.greeted > 0, "who accepts speaks first");
        self.later.push(talk.lane);
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Talk>, _: Tick) {
        if !scope.is_draining() {
            for lane in std::mem::take(&mut self.later) {
                self.call(scope, lane, true);
            }
        }
    }
}

/// A service that only calls: remotes of every mood, for some seconds.
pub(crate) fn calls(sim: &mut Sim) {
    calls_seen(sim, &Seen::default());
}

/// The same, and what came of it.
pub(crate) fn calls_seen(sim: &mut Sim, seen: &Seen) {
    let mut callees = Vec::new();
    for _ in 0..1 + sim.rng().below(4) {
        let answers = mood(sim.rng());
        let remote = sim.remote(answers, |rng| Echoer::rude(rng, GREETING));
        callees.push(Callee { connect: Connect::to(remote), distrusted: false });
    }
    let lanes = 1 + sim.rng().below(12) as usize;
    call_all(sim, seen, callees, lanes);
}

/// Calls `callees` on so many lanes.
pub(crate) fn call_all(sim: &mut Sim, seen: &Seen, callees: Vec<Callee>, lanes: usize) {
    let seen = seen.clone();
    let seconds = 2 + sim.rng().below(20);
    let make = move || {
        let reconnect = || Reconnect::default().pauses(Duration::from_millis(20), Duration::from_secs(2));
        let lanes = (0..lanes).map(|_| Lane { reconnect: reconnect(), round: 0 }).collect();
        Calls {
            callees: callees.clone(),
            lanes,
            waiting: HashMap::new(),
            later: Vec::new(),
            seen: seen.clone(),
        }
    };
    sim.serve(serve(make).tick(Duration::from_millis(100)))
        .to_the_end()
        .at(Duration::from_secs(seconds), |server| server.shutdown());
}

/// Stands between each of its clients and a remote: what comes from one goes to the other.
pub(crate) struct Through {
    remote: Connect,
    /// Clients whose other half is not there yet, by tag, with that half's id.
    waiting: HashMap<u64, (ConnId, ConnId)>,
    next: u64,
    /// Has the engine pass on what comes, instead of doing it itself.
    relays: bool,
    /// The other half of each, both ways.
    halves: HashMap<ConnId, ConnId>,
}

impl Through {
    fn connect(&self, tag: u64, pause: Duration) -> Connect {
        self.remote.clone().tag(tag).after(pause).while_draining()
    }

    fn other<'a>(&self, conn: &'a mut Conn<'_>) -> Option<Conn<'a>> {
        conn.other(*self.halves.get(&conn.id())?)
    }
}

impl Service for Through {
    type Session = ();

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<(), Close> {
        conn.pause();
        self.next += 1;
        let call = conn.connect(self.connect(self.next, Duration::ZERO))?;
        self.waiting.insert(self.next, (conn.id(), call));
        Ok(())
    }

    fn connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Result<(), Close> {
        let (id, client) = (conn.id(), self.waiting.remove(&tag));
        let client = client.and_then(|(client, _)| conn.other(client));
        let Some(mut client) = client else { return Err(Close::Done) };
        if self.relays {
            let client = client.id();
            return if conn.relay(client) { Ok(()) } else { Err(Close::Done) };
        }
        self.halves.insert(id, client.id());
        self.halves.insert(client.id(), id);
        client.resume();
        Ok(())
    }

    fn connect_failed(
        &mut self,
        scope: &mut Scope<'_>,
        _: &mut Sessions<()>,
        _: ConnId,
        tag: u64,
        _: ConnectError,
    ) {
        let pause = Duration::from_millis(1 + scope.random() % 100);
        // Whoever is gone has taken it back.
        let Some((client, _)) = self.waiting.remove(&tag) else { return };
        match scope.connect(self.connect(tag, pause)) {
            Ok(call) => drop(self.waiting.insert(tag, (client, call))),
            Err(_) => scope.conn(client).into_iter().for_each(|mut client| client.abort()),
        }
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        let Some(mut other) = self.other(conn) else { return Err(Close::Aborted) };
        other.write(input.take_all());
        if other.is_congested() {
            conn.pause();
        }
        Ok(())
    }

    fn drained(&mut self, conn: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        if let Some(mut other) = self.other(conn) {
            other.resume();
        }
        Ok(())
    }

    fn eof(&mut self, conn: &mut Conn<'_>, _: &mut (), _: &mut Input<'_>) -> Result<(), Close> {
        if let Some(mut other) = self.other(conn) {
            other.half_close();
        }
        Ok(())
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        Ok(())
    }

    fn closed(&mut self, conn: &mut Conn<'_>, _: (), why: Close) {
        if let Some(mut other) = self.other(conn) {
            match why {
                Close::Eof => other.close(),
                _ => other.abort(),
            }
        }
        let id = conn.id();
        self.halves.remove(&id);
        self.waiting.retain(|_, (client, call)| {
            // No other answer has come yet, so there is one to be taken back.
            assert!(*client != id || conn.cancel_connect(*call));
            *client != id
        });
    }
}

/// Clients who are served by a remote behind the service, once it can be reached.
pub(crate) fn through(sim: &mut Sim) {
    let answers = patient_mood(sim.rng());
    let remote = Connect::to(sim.remote(answers, |_| Echoer::new(b"")));
    let relays = sim.rng().chance(1, 2);
    pass_through(sim, remote, relays, |serve| serve);
}

/// What a remote does that clients rely on.
pub(crate) fn patient_mood(rng: &mut Rng) -> impl FnMut(&mut Rng) -> Answer + 'static {
    let mut answers = mood(rng);
    move |rng: &mut Rng| match answers(rng) {
        // What the service has sent by then is lost, and nobody could make that good.
        Answer::Reset => Answer::Refuse,
        answer => answer,
    }
}

/// Passes everything on to `remote`; `listen` says how clients reach it.
pub(crate) fn pass_through(
    sim: &mut Sim,
    remote: Connect,
    relays: bool,
    listen: impl FnOnce(Serve<Through>) -> Serve<Through>,
) {
    let connect_timeout = Duration::from_millis(100 << sim.rng().below(6));
    let clients = 1 + sim.rng().below(16) as usize;
    let make = move || Through {
        remote: remote.clone(),
        waiting: HashMap::new(),
        next: 0,
        relays,
        halves: HashMap::new(),
    };
    let rude = sim.rng().below(4) as usize;
    sim.serve(listen(serve(make)))
        .clients(clients, sim::echo_client)
        .clients(rude, sim::rude_client)
        .room_for_all()
        .limits(|limits| {
            limits.connecting_max = 1_000;
            limits.connect_timeout = connect_timeout;
            // In small steps, with short writes between, it takes an hour to fill a buffer nobody empties.
            limits.read_budget_bytes = limits.read_budget_bytes.max(4096);
            // Nobody is sent away while the other half is tried again and again.
            limits.idle_timeout = Duration::from_secs(120);
        });
}
