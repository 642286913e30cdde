//! A service that has its requests worked out off the loop, and clients who wait for the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::proto::{Decode, Lines};
use windlass::sim::{Client, Line, Sim, Status, Step};
use windlass::{
    Answer, Close, Conn, ConnId, Input, JobError, JobId, Offload, OffloadConfig, Scope, Service, Sessions,
    SubmitError, Tick, Time, Work, serve,
};

use super::LATE_MAX;

/// One request at a time: a line goes off the loop, and comes back with what became of it.
struct Bureau {
    pool: Offload<String>,
    /// Jobs without an answer yet: for whom, and until when.
    open: BTreeMap<JobId, (Option<ConnId>, Time)>,
    /// Refused for want of room.
    refused: Vec<ConnId>,
}

#[derive(Default)]
struct Desk {
    lines: Option<Lines>,
    waiting: Option<String>,
    busy: bool,
}

impl Bureau {
    fn submit(&mut self, conn: &mut Conn<'_>, desk: &mut Desk, request: String) {
        let due = conn.now() + self.pool.config().timeout;
        let in_job = request.clone();
        let job = move || {
            assert!(!in_job.contains("panic"), "as asked");
            in_job
        };
        desk.busy = true;
        conn.pause();
        match self.pool.submit(conn, job) {
            Ok(id) => {
                let before = self.open.insert(id, (Some(conn.id()), due));
                assert!(before.is_none(), "two jobs have one name");
            }
            Err(SubmitError::Full(_)) => {
                desk.waiting = Some(request);
                self.refused.push(conn.id());
            }
            Err(e) => panic!("a running server's pool: {e}"),
        }
    }

    fn check(&self, now: Time) {
        for (id, (_, due)) in &self.open {
            assert!(
                now <= *due + LATE_MAX,
                "{id:?} is without an answer {:?} after its deadline",
                now.since(*due)
            );
        }
    }
}

impl Service for Bureau {
    type Session = Desk;

    fn open(&mut self, _: &mut Conn<'_>) -> Result<Desk, Close> {
        Ok(Desk { lines: Some(Lines::max(100)), ..Desk::default() })
    }

    fn data(&mut self, conn: &mut Conn<'_>, desk: &mut Desk, input: &mut Input<'_>) -> Result<(), Close> {
        assert!(!desk.busy, "paused, and given input");
        let line = desk.lines.as_mut().expect("from open").decode(input)?;
        if let Some(line) = line {
            let request = String::from_utf8_lossy(line).into_owned();
            self.submit(conn, desk, request);
        }
        Ok(())
    }

    fn draining(&mut self, _: &mut Conn<'_>, desk: &mut Desk) -> Result<(), Close> {
        if desk.busy { Ok(()) } else { Err(Close::Shutdown) }
    }

    fn closed(&mut self, conn: &mut Conn<'_>, _: Desk, _: Close) {
        let id = conn.id();
        self.open.retain(|_, (owner, _)| *owner != Some(id));
        self.refused.retain(|refused| *refused != id);
    }

    fn tick(&mut self, scope: &mut Scope<'_>, _: &mut Sessions<Desk>, tick: Tick) {
        self.check(scope.now());
        let due = scope.now() + self.pool.config().timeout;
        if tick.number.is_multiple_of(3)
            && let Ok(id) = self.pool.submit(scope, || "of the house".to_string())
        {
            self.open.insert(id, (None, due));
        }
    }
}

impl Work for Bureau {
    type Answer = String;

    fn answer(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Desk>, answer: Answer<String>) {
        self.check(scope.now());
        let Answer { job, conn, result, .. } = answer;
        let known = self.open.remove(&job);
        let (owner, due) = known.unwrap_or_else(|| panic!("{job:?} is answered, and nobody waits for it"));
        assert_eq!(owner, conn, "the answer is for another connection");
        let reply = match result {
            Ok(request) => format!("{request} ok\n"),
            Err(JobError::Panicked(text)) => {
                assert_eq!(text, "as asked");
                "panicked\n".into()
            }
            Err(JobError::Timeout) => {
                assert!(scope.now() >= due, "timeout came early");
                "late\n".into()
            }
            Err(JobError::Cancelled) => {
                assert!(scope.is_draining() && conn.is_none(), "cancelled while the server runs");
                return;
            }
            Err(e) => panic!("{e}"),
        };
        let Some(conn) = conn else { return };
        let draining = scope.is_draining();
        let (mut conn, desk) = sessions.get(scope, conn).expect("an answer for a connection that is open");
        desk.busy = false;
        conn.write(reply.as_bytes());
        conn.resume();
        if draining {
            conn.close();
        }
    }

    fn room(&mut self, scope: &mut Scope<'_>, sessions: &mut Sessions<Desk>) {
        for id in std::mem::take(&mut self.refused) {
            if let Some((mut conn, desk)) = sessions.get(scope, id)
                && let Some(request) = desk.waiting.take()
            {
                self.submit(&mut conn, desk, request);
            }
        }
    }
}

/// Asks so many questions, each after the answer to the last.
struct Asker {
    left: u32,
    asked: Option<String>,
    unsent: Vec<u8>,
    received: Vec<u8>,
    leaves_early: bool,
}

impl Client for Asker {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        if line.status() == Status::Idle {
            if line.shutdown_at().is_some() {
                return Step::Done;
            }
            line.connect();
        }
        line.receive(&mut self.received, usize::MAX);
        if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
            let reply: Vec<u8> = self.received.drain(..=end).collect();
            let reply = String::from_utf8_lossy(&reply).into_owned();
            let Some(asked) = self.asked.take() else { return line.fail(format!("unasked: {reply:?}")) };
            if reply != format!("{asked} ok\n")
                && reply != "late\n"
                && !(reply == "panicked\n" && asked.contains("panic"))
            {
                return line.fail(format!("asked {asked:?}, was told {reply:?}"));
            }
        }
        match line.status() {
            Status::Connecting => return Step::Wait,
            Status::Ended(_) if line.excused() => return Step::Done,
            Status::Ended(how) => {
                return line.fail(format!("ended by {how:?} while asking {:?}", self.asked));
            }
            _ => {}
        }
        if self.asked.is_none() {
            if self.left == 0 {
                return Step::Done;
            }
            self.left -= 1;
            let panic = line.rng().chance(1, 6);
            let text = format!("{} of {}{}", self.left, line.index(), if panic { " panic" } else { "" });
            self.unsent = format!("{text}\n").into_bytes();
            self.asked = Some(text);
        }
        let sent = line.send(&self.unsent);
        self.unsent.drain(..sent);
        if self.leaves_early && self.unsent.is_empty() && self.left == 0 {
            // Without waiting for the last answer.
            line.reset();
            return Step::Done;
        }
        Step::Wait
    }
}

/// Questions that are answered off the loop, some of whose askers do not wait.
pub(crate) fn offload(sim: &mut Sim) {
    let config = OffloadConfig {
        threads: 1 + sim.rng().below(3) as usize,
        jobs_max: 1 + sim.rng().below(8) as usize,
        timeout: Duration::from_millis(20 << sim.rng().below(7)),
        ..OffloadConfig::default()
    };
    let pool = Offload::new(config);
    let in_service = pool.clone();
    let make = move || Bureau { pool: in_service.clone(), open: BTreeMap::new(), refused: Vec::new() };
    let period = Duration::from_millis(20 << sim.rng().below(5));
    sim.serve(serve(make).offload(&pool).tick(period));
    let askers = 1 + sim.rng().below(14) as usize;
    let patient = sim.rng().chance(1, 3);
    sim.clients(askers, |rng| Asker {
        left: 1 + rng.below(5) as u32,
        asked: None,
        unsent: Vec::new(),
        received: Vec::new(),
        leaves_early: !patient && rng.chance(1, 2),
    });
    sim.room_for_all().limits(|limits| limits.idle_timeout = Duration::ZERO);
}
