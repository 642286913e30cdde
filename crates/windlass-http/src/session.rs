//! What a connection is: requests one after another, a stream of events, or something else.

use windlass::{Conn, Time};
use windlass_proto::http::{Limits, RequestHeadBuf, ServerConn};

use crate::app::App;
use crate::config::HttpConfig;
use crate::reply::{Replied, Reply, Shared};

/// One connection of an [`Http`](crate::Http).
pub struct Session<A: App> {
    pub(crate) kind: Kind<A>,
}

// A connection begins as the first and becomes one of the others by assignment.
pub(crate) enum Kind<A: App> {
    // Boxed, so that a session that has become something else is no larger than that.
    Requests(Box<Requests>),
    /// The channel's number. Nothing that it sends is looked at.
    Events(usize),
    Upgraded(A::Upgraded),
}

/// Requests, one after another.
pub(crate) struct Requests {
    pub(crate) conn: ServerConn,
    phase: Phase,
    // How many requests had begun when the deadline was set.
    counted: u64,
    /// The peer has finished sending: nothing comes behind what is in the input.
    pub(crate) ended: bool,
    /// A request whose body is under way: what its route will be given.
    pub(crate) waiting: Option<Waiting>,
    /// What of the worker's `bodies` is its.
    pub(crate) held: usize,
    /// A request whose answer comes later.
    pub(crate) later: Option<Pending>,
    /// Input waits behind it.
    pub(crate) left: bool,
}

/// A request that is answered later: what the reply needs of it.
pub(crate) struct Pending {
    pub(crate) number: u64,
    /// When it came.
    pub(crate) since: Time,
    pub(crate) head: RequestHeadBuf,
}

pub(crate) struct Waiting {
    pub(crate) route: usize,
    pub(crate) head: RequestHeadBuf,
    pub(crate) since: Time,
    pub(crate) body: Vec<u8>,
}

/// What the deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Nothing has ever come.
    New,
    /// Nothing is under way.
    Idle,
    /// A head has begun.
    Head,
    /// A body has.
    Body,
    /// An answer that the app owes.
    Answer,
    /// Responses wait to be sent, and requests behind them to be read: the engine's limits for slow
    /// readers are in charge.
    Sending,
}

impl Requests {
    pub(crate) fn new(limits: Limits) -> Requests {
        let conn = ServerConn::new(limits);
        Requests {
            conn,
            phase: Phase::New,
            counted: 0,
            ended: false,
            waiting: None,
            held: 0,
            later: None,
            left: false,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// The deadline to be set now, if it is another than before. It is set once per head and once per body,
    /// and not per byte, so that a trickle does not move it.
    pub(crate) fn deadline(&mut self, config: &HttpConfig, now: Time, input_is_empty: bool) -> Option<Time> {
        let phase = match (self.conn.is_idle(), input_is_empty) {
            _ if self.later.is_some() => Phase::Answer,
            (true, true) if self.conn.requests() == 0 => Phase::New,
            (true, true) => Phase::Idle,
            (true, false) => Phase::Head,
            (false, _) => Phase::Body,
        };
        if phase == self.phase && self.conn.requests() == self.counted {
            return None;
        }
        (self.phase, self.counted) = (phase, self.conn.requests());
        Some(now + self.timeout(config))
    }

    /// As the deadline lay, from now on.
    pub(crate) fn timeout(&self, config: &HttpConfig) -> std::time::Duration {
        match self.phase {
            Phase::New | Phase::Head => config.head_timeout,
            Phase::Idle | Phase::Sending => config.keep_alive_timeout,
            Phase::Body => config.body_timeout,
            Phase::Answer => config.answer_timeout,
        }
    }

    /// Answers the request that was put off.
    pub(crate) fn answer<F>(&mut self, conn: &mut Conn<'_>, shared: &mut Shared, answer: F)
    where
        F: FnOnce(Reply<'_, '_>) -> Replied,
    {
        let Some(pending) = self.later.take() else { return };
        let Ok(head) = pending.head.head() else { return conn.abort() };
        let _ = answer(Reply::new(conn, &mut self.conn, shared, head).since(pending.since));
        match shared.later.take() {
            // Put off once more: its deadline stays.
            Some(again) => self.later = Some(again),
            None => self.answered(conn, &shared.config),
        }
    }

    /// The answer that was owed is written: on with what comes behind it.
    fn answered(&mut self, conn: &mut Conn<'_>, config: &HttpConfig) {
        if self.conn.is_over() || (self.ended && !self.left) {
            if self.conn.has_heard_all() {
                conn.expect_silence();
            }
            return conn.close();
        }
        if let Some(deadline) = self.deadline(config, conn.now(), !self.left) {
            conn.wake_at(deadline);
        }
        conn.resume();
    }

    /// No deadline, until the next call of [`deadline`](Requests::deadline).
    pub(crate) fn sending(&mut self) {
        self.phase = Phase::Sending;
    }
}
