//! The services that are simulated, and who calls them.
#![allow(dead_code, reason = "each test binary uses some of them")]

pub(crate) mod datagrams;
pub(crate) mod jobs;
pub(crate) mod moving;
pub(crate) mod names;
pub(crate) mod outbound;
pub(crate) mod pairs;
pub(crate) mod rooms;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "tls")]
pub(crate) mod tls_outbound;

use std::time::Duration;

use windlass::proto::{Decode, Lines};
use windlass::sim::{self, ChatRoom, Sim};
use windlass::{Close, Conn, Input, Mailbox, Query, Receive, Scope, Service, Sessions, Sort, Time, serve};

/// Sends everything back.
struct Echo {
    /// Finishes what it has begun when the server shuts down.
    stays: bool,
}

impl Service for Echo {
    type Session = ();

    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }

    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }

    fn draining(&mut self, _: &mut Conn<'_>, _: &mut ()) -> Result<(), Close> {
        if self.stays { Ok(()) } else { Err(Close::Shutdown) }
    }
}

/// Good clients of every mood, with some rude ones among them in half of all runs.
pub(crate) fn echo(sim: &mut Sim) {
    let stays = sim.rng().chance(1, 3);
    let good = 1 + sim.rng().below(24) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(8) as usize };
    sim.service(move || Echo { stays }).clients(good, sim::echo_client).clients(rude, sim::rude_client);
}

/// The same by workers that are overloaded now and then.
pub(crate) fn overloaded(sim: &mut Sim) {
    echo(sim);
    sim.overload();
}

/// The same, while somebody looks in all the time. Nothing else changes, and the run replays.
pub(crate) fn watched_echo(sim: &mut Sim) {
    echo(sim);
    for _ in 0..2 + sim.rng().below(20) {
        let after = Duration::from_micros(sim.rng().below(20_000_000));
        let (count, worker) = (sim.rng().below(8) as usize, sim.rng().below(3) as usize);
        let sort = [Sort::Traffic, Sort::Age, Sort::Idle, Sort::Queued][sim.rng().below(4) as usize];
        sim.at(after, move |handle| {
            let query = Query::default().sort(sort).count(count).filter(if count == 7 { "echo" } else { "" });
            let _ = handle.inspect(query, move |page| {
                assert!(page.matched <= page.total && page.entries.len() <= count, "{page:?}");
                assert!(page.entries.len() as u64 == page.matched.min(count as u64), "{page:?}");
            });
            let _ = handle.trace_turn(worker, Duration::from_secs(1), |turn| {
                let Some(turn) = turn else { return };
                assert!(turn.steps.iter().any(|step| !step.entries.is_empty()), "{turn:?}");
                let mut entries = turn.steps.iter().flat_map(|step| &step.entries);
                let about_one = ["read", "close", "readable", "writable"];
                let named = |what: &str| about_one.contains(&what);
                assert!(
                    entries
                        .all(|entry| !named(entry.what) || entry.conn.is_some() || !entry.detail.is_empty())
                );
            });
            let opened: u64 = handle.services().iter().map(|service| service.opened).sum();
            assert_eq!(opened, handle.stats().counters.opened);
        });
    }
}

/// The same, while another server takes over. Nobody comes to be refused or reset for it.
pub(crate) fn succession(sim: &mut Sim) {
    let good = 5 + sim.rng().below(40) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(8) as usize };
    sim.service(move || Echo { stays: false })
        .clients(good, sim::echo_client)
        .clients(rude, sim::rude_client)
        .succession();
}

/// The same, while listeners come and go and the service is replaced. Nobody is refused or reset for it
/// who was not told to finish.
pub(crate) fn changes(sim: &mut Sim) {
    let stays = sim.rng().chance(1, 3);
    // With few of them a service is soon deserted.
    let most = if sim.rng().chance(1, 2) { 5 } else { 35 };
    let good = 1 + sim.rng().below(most) as usize;
    let rude = if sim.rng().chance(1, 2) { 0 } else { sim.rng().below(8) as usize };
    sim.service(move || Echo { stays })
        .clients(good, sim::echo_client)
        .clients(rude, sim::rude_client)
        .changes();
}

/// Passes every line on to everybody else, on all workers. Says "hello" first.
struct Chat {
    mailbox: Mailbox<Vec<u8>>,
    /// Each member's deadline is set anew this often.
    nudge: Duration,
}

struct Member {
    lines: Lines,
    due: Time,
}

/// A timeout may come so much late, and never early.
pub(crate) const LATE_MAX: Duration = Duration::from_millis(500);

impl Service for Chat {
    type Session = Member;

    fn open(&mut self, conn: &mut Conn<'_>) -> Result<Member, Close> {
        conn.write(b"hello\n");
        let due = conn.now() + self.nudge;
        conn.wake_at(due);
        // Longer than any input may be: the engine's limit is the one to be met.
        Ok(Member { lines: Lines::max(1 << 30), due })
    }

    fn data(&mut self, conn: &mut Conn<'_>, member: &mut Member, input: &mut Input<'_>) -> Result<(), Close> {
        while let Some(line) = member.lines.decode(input)? {
            let line = [&*line, b"\n"].concat();
            conn.broadcast(&line);
            for worker in (0..self.mailbox.workers()).filter(|&worker| worker != conn.id().worker()) {
                // Refused only by a worker that has stopped, and then there is nobody to hear it.
                let _ = self.mailbox.send(worker, line.clone());
            }
        }
        Ok(())
    }

    fn timeout(&mut self, conn: &mut Conn<'_>, member: &mut Member) -> Result<(), Close> {
        assert!(conn.now() >= member.due, "timeout came early");
        assert!(conn.now() <= member.due + LATE_MAX, "timeout came {:?} late", conn.now().since(member.due));
        member.due = conn.now() + self.nudge;
        conn.wake_at(member.due);
        Ok(())
    }
}

impl Receive for Chat {
    type Message = Vec<u8>;

    fn receive(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Member>, line: Vec<u8>) {
        scope.broadcast(&line);
    }
}

fn chat_mailbox(sim: &mut Sim) -> (Mailbox<Vec<u8>>, Duration, Duration) {
    let nudge = Duration::from_millis(200 + sim.rng().below(4_000));
    let period = Duration::from_millis(30 << sim.rng().below(6));
    (Mailbox::new(), nudge, period)
}

fn serve_chat(sim: &mut Sim) {
    let (mailbox, nudge, period) = chat_mailbox(sim);
    let made = mailbox.clone();
    sim.serve(serve(move || Chat { mailbox: made.clone(), nudge }).mailbox(&mailbox).tick(period));
    chat_limits(sim);
}

fn chat_limits(sim: &mut Sim) {
    // Members wait for each other, in silence.
    // A line that never ends must reach its limit through the narrowest pipe.
    let input_max = (sim.volume_max() / 4).clamp(512, 64 * 1024);
    sim.room_for_all().limits(|limits| {
        limits.idle_timeout = Duration::from_secs(25);
        limits.input_max = limits.input_max.min(input_max);
    });
}

/// A room of good members, with some who only listen, or do not, or never end their line.
pub(crate) fn chat(sim: &mut Sim) {
    serve_chat(sim);
    chat_members(sim);
}

fn chat_members(sim: &mut Sim) {
    let room = ChatRoom::new("hello\n");
    let members = 1 + sim.rng().below(10) as usize;
    sim.clients(members, |rng| room.member(rng));
    // Nobody is slow on purpose here, but some are far away: enough room for everything there is to say.
    sim.limits(|limits| limits.output_max = limits.output_max.max(64 * 1024));
    if sim.rng().chance(1, 3) {
        let endless = sim.rng().below(3) as usize;
        sim.clients(endless, sim::endless);
    }
    if sim.rng().chance(1, 3) {
        let deaf = sim.rng().below(3) as usize;
        sim.clients(deaf, sim::deaf);
    }
}

/// One who talks and many who do not listen, with little room for what they leave unread.
pub(crate) fn monologue(sim: &mut Sim) {
    serve_chat(sim);
    let room = ChatRoom::new("hello\n");
    let deaf = 1 + sim.rng().below(5) as usize;
    sim.clients(1, |rng| room.speaker(rng, 150)).clients(deaf, sim::deaf);
    let most = 64 << sim.rng().below(7);
    sim.limits(|limits| {
        limits.output_max = most;
        limits.output_high = most.min(limits.output_high);
        limits.output_low = limits.output_low.min(limits.output_high - 1);
    });
}

/// Many who come for a moment, on a server with few places, among some who stay longer.
pub(crate) fn flood(sim: &mut Sim) {
    let many = 50 + sim.rng().below(250) as usize;
    let most = 1 + sim.rng().below(40) as usize;
    sim.service(|| Echo { stays: false })
        .clients(many, |_| sim::Script::new().send(b"?").expect(b"?"))
        .clients(3, sim::echo_client)
        .limits(|limits| {
            limits.connections_max = most;
            limits.idle_timeout = limits.idle_timeout.max(Duration::from_secs(5));
        });
}
