//! The worker's end of a pool: answers, deadlines, and the end of connections.

use super::board::{Left, Next};
use super::{Answer, JobId, Offload, Work};
use crate::conn::Conn;
use crate::core::Core;
use crate::core::slot::flag;
use crate::id::ConnId;
use crate::mailbox::{Inbox, Shut};
use crate::planted::{Fault, planted};
use crate::scope::{Scope, Sessions};

/// The lane of one worker.
pub(crate) struct Lane<A: Send + 'static> {
    pool: Offload<A>,
    worker: usize,
}

/// What there is for a worker.
pub(crate) enum Taken<A> {
    Answer(Answer<A>),
    /// There is room again, and somebody was refused before.
    Room,
    Nothing,
}

impl<A: Send + 'static> Offload<A> {
    pub(crate) fn lane(&self, worker: usize) -> Lane<A> {
        Lane { pool: self.clone(), worker }
    }

    pub(crate) fn inbox<S: Work<Answer = A>>(&self, worker: usize) -> Box<dyn Inbox<S>> {
        Box::new(self.lane(worker))
    }
}

impl<A: Send + 'static> Lane<A> {
    /// Takes what there is next, and has the worker look again when the next deadline comes.
    pub(crate) fn take(&mut self, core: &mut Core) -> Taken<A> {
        let Some(bound) = self.pool.inner.bound.get() else { return Taken::Nothing };
        loop {
            let next = bound.lock().board.next(self.worker, core.now);
            match next {
                Next::Answer(id, open, result) => {
                    let conn = open.conn.map(|conn| recycled(core, conn));
                    let answer = Answer { job: JobId(id), conn, result };
                    // About to end: its service has decided so, and expects no more.
                    if conn.is_some_and(|conn| core.find(conn).is_none())
                        && !planted(Fault::CancelledJobAnswers)
                    {
                        bound.lock().board.undelivered();
                        continue;
                    }
                    return Taken::Answer(answer);
                }
                Next::Room => return Taken::Room,
                // Dropped here, outside the lock.
                Next::Discard(_) => {}
                Next::Nothing(deadline) => {
                    if let Some(deadline) = deadline {
                        core.answers_due = core.answers_due.min(deadline);
                    }
                    return Taken::Nothing;
                }
            }
        }
    }

    /// A connection is gone: its jobs are cancelled.
    pub(crate) fn gone(&mut self, core: &mut Core, conn: ConnId) {
        let Some(bound) = self.pool.inner.bound.get() else { return };
        let mut dropped = Vec::new();
        let room = bound.lock().board.gone(self.worker, conn, &mut dropped);
        if room {
            core.answers_due = core.now;
        }
    }

    pub(crate) fn close_if_empty(&mut self) -> Shut {
        let Some(bound) = self.pool.inner.bound.get() else { return Shut::Closed };
        let mut dropped = Vec::new();
        let left = bound.lock().board.close_if_empty(self.worker, &mut dropped);
        match left {
            Left::Nothing => Shut::Closed,
            Left::Answers => Shut::Mail,
            Left::Running => Shut::Work,
        }
    }
}

/// With that fault planted: the connection that has the slot now.
fn recycled(core: &Core, conn: ConnId) -> ConnId {
    let taken = core.slots.get(conn.index as usize).is_some_and(|slot| slot.is(flag::LIVE));
    if planted(Fault::AnswerToRecycled) && taken { core.id(conn.index) } else { conn }
}

impl<A: Send + 'static> Drop for Lane<A> {
    /// The worker has stopped.
    fn drop(&mut self) {
        if let Some(bound) = self.pool.inner.bound.get() {
            let mut dropped = Vec::new();
            let answers = bound.lock().board.close(self.worker, &mut dropped);
            drop(answers);
        }
    }
}

impl<S: Work> Inbox<S> for Lane<S::Answer> {
    fn deliver(
        &mut self,
        service: &mut S,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<S::Session>,
    ) -> bool {
        match self.take(scope.core()) {
            Taken::Answer(answer) => service.answer(scope, sessions, answer),
            Taken::Room => service.room(scope, sessions),
            Taken::Nothing => return false,
        }
        true
    }

    fn gone(&mut self, conn: &mut Conn<'_>) {
        let id = conn.id();
        Lane::gone(self, conn.core(), id);
    }

    fn close_if_empty(&mut self) -> Shut {
        Lane::close_if_empty(self)
    }
}
