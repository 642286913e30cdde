//! The worker's end of a resolver: the pool's answers, passed on to everybody who waits for that name.

use windlass_proto::Time;

use super::book::Known;
use super::{Found, Resolve, ResolveError, Resolver, distinct, lock};
use crate::conn::Conn;
use crate::core::Core;
use crate::id::ConnId;
use crate::mailbox::{Inbox, Shut};
use crate::offload::{Answer, JobError, Lane, Taken};
use crate::scope::{Scope, Sessions};

struct Answers {
    resolver: Resolver,
    worker: usize,
    lane: Lane<Found>,
}

impl Resolver {
    pub(crate) fn inbox<S: Resolve>(&self, worker: usize) -> Box<dyn Inbox<S>> {
        Box::new(Answers { resolver: self.clone(), worker, lane: self.inner.pool.lane(worker) })
    }
}

impl Answers {
    fn book(&self) -> Option<std::sync::MutexGuard<'_, super::Book>> {
        Some(lock(self.resolver.inner.books.get()?.get(self.worker)?))
    }

    /// The query's answer is everybody's.
    fn settle(&self, answer: Answer<Found>, now: Time) {
        let known: Known = match answer.result {
            Ok(Ok(addrs)) if addrs.is_empty() => {
                Err(ResolveError::Failed("the name has no addresses".into()))
            }
            Ok(Ok(addrs)) => Ok(distinct(addrs).into()),
            Ok(Err(text)) => Err(ResolveError::Failed(text.into())),
            Err(JobError::Timeout) => Err(ResolveError::Timeout),
            Err(JobError::Cancelled) => Err(ResolveError::Closed),
            Err(e) => Err(ResolveError::Failed(e.to_string().into())),
        };
        if let Some(mut book) = self.book() {
            book.settle(answer.job, known, now);
        }
    }

    fn next(&mut self, core: &mut Core) -> Option<super::Resolved> {
        loop {
            while let Some(resolved) = self.book().and_then(|mut book| book.ready.pop_front()) {
                // Whoever is about to end expects no more.
                if resolved.conn.is_none_or(|conn| core.find(conn).is_some()) {
                    return Some(resolved);
                }
                if let Some(mut book) = self.book() {
                    book.undelivered();
                }
            }
            match self.lane.take(core) {
                Taken::Answer(answer) => self.settle(answer, core.now),
                // Who was refused was told so, and does not wait.
                Taken::Room => {}
                Taken::Nothing => return None,
            }
        }
    }

    fn gone(&self, conn: ConnId) {
        let alone = self.book().map(|mut book| book.gone(conn)).unwrap_or_default();
        for job in alone {
            // One that runs is let run: what it finds is for the cache.
            if self.resolver.inner.pool.cancel_waiting(job)
                && let Some(mut book) = self.book()
            {
                book.forget(job);
            }
        }
    }
}

impl<S: Resolve> Inbox<S> for Answers {
    fn deliver(
        &mut self,
        service: &mut S,
        scope: &mut Scope<'_>,
        sessions: &mut Sessions<S::Session>,
    ) -> bool {
        match self.next(scope.core()) {
            Some(resolved) => service.resolved(scope, sessions, resolved),
            None => return false,
        }
        true
    }

    fn gone(&mut self, conn: &mut Conn<'_>) {
        Answers::gone(self, conn.id());
    }

    fn close_if_empty(&mut self) -> Shut {
        let Some((ready, waiting)) = self.book().map(|book| (book.ready.len(), book.stats().waiting)) else {
            return Shut::Closed;
        };
        match (ready, waiting) {
            // A query nobody waits for must not hold up the end.
            (0, 0) => Shut::Closed,
            (0, _) => self.lane.close_if_empty(),
            _ => Shut::Mail,
        }
    }
}
