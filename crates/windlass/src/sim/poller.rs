//! What one worker's poll would report: the ready list, and everything that makes it lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use windlass_proto::testing::Rng;

use super::end::{EndId, State};
use super::plan::{Edges, MILLI};
use super::trace::{self, Who};
use super::world::{ListenerId, World};
use crate::sys::{Readiness, Token, Wake};

/// A waker that is only a flag: the world looks at it before it asks which worker runs next.
#[derive(Default, Debug)]
pub(crate) struct SimWaker(AtomicBool);

impl Wake for SimWaker {
    fn wake(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    End(EndId),
    Listener(ListenerId),
    Udp(usize),
}

#[derive(Default, Debug)]
pub(crate) struct Poller {
    /// Sources with an edge that was not reported yet, and when it may be.
    ready: Vec<(u64, Source)>,
    /// Events for registrations that are gone: when, which token, which bits.
    stale: Vec<(u64, Token, u8)>,
    pub(crate) tick: Option<u64>,
    /// How often it was set.
    pub(crate) arms: u64,
    pub(crate) waker: Arc<SimWaker>,
    /// Everything registered here, for spurious events.
    registered: Vec<(Source, Token)>,
    pub(crate) polls: u64,
    pub(crate) marks: u64,
}

impl Poller {
    /// The end registered with this token.
    pub(crate) fn find(&self, token: Token) -> Option<EndId> {
        self.registered.iter().find_map(|&(source, other)| match source {
            Source::End(id) if other == token => Some(id),
            _ => None,
        })
    }

    /// An event that says what is not so.
    pub(crate) fn lie(&mut self, at: u64, token: Token, bits: u8) {
        self.stale.push((at, token, bits));
    }

    /// Every end registered here.
    pub(crate) fn ends(&self) -> impl Iterator<Item = EndId> {
        self.registered.iter().filter_map(|&(source, _)| match source {
            Source::End(id) => Some(id),
            _ => None,
        })
    }
}

const ANY: u8 = Readiness::READABLE | Readiness::WRITABLE | Readiness::READ_CLOSED | Readiness::BROKEN;

impl World {
    /// Puts a source on its worker's ready list, unless it is there already: edges coalesce.
    pub(crate) fn mark(&mut self, worker: usize, source: Source) {
        let late = if self.plan.late_event.hit(&mut self.rng) {
            self.rng.below(self.plan.late_event_max)
        } else {
            0
        };
        let at = self.now + late;
        self.wake_world_at(at);
        self.pollers[worker].ready.push((at, source));
    }

    /// The bits a source has now: what the system looks up when it reports an event.
    fn bits(&self, source: Source) -> u8 {
        match source {
            Source::Udp(id) => self.udp_bits(id),
            Source::Listener(id) => {
                let listener = &self.listeners[id.0];
                let some = !self.queues[listener.queue].waiting.is_empty();
                let armed = self.plan.edges == Edges::Arrival || listener.armed;
                if some && armed && !listener.closed { Readiness::READABLE } else { 0 }
            }
            Source::End(id) => {
                let end = self.end(id);
                if end.registered.is_none() {
                    return 0;
                }
                if end.state == State::Opening && end.error.is_none() && !end.reset_arrived {
                    return 0;
                }
                let mut bits = 0;
                let hung_up = end.fin_arrived && end.fin != super::end::Fin::No;
                if end.readable() || end.fin_arrived || end.reset_arrived {
                    bits |= Readiness::READABLE;
                }
                if end.fin_arrived || end.reset_arrived {
                    bits |= Readiness::READ_CLOSED;
                }
                if end.error.is_some() || end.reset_arrived || hung_up {
                    bits |= Readiness::BROKEN;
                }
                if end.writable() && end.write_interest {
                    bits |= Readiness::WRITABLE;
                }
                if self.plan.edges == Edges::Stingy {
                    if !end.armed_read {
                        bits &= !(Readiness::READABLE | Readiness::READ_CLOSED);
                    }
                    if !end.armed_write {
                        bits &= !Readiness::WRITABLE;
                    }
                    if bits & (Readiness::READABLE | Readiness::WRITABLE) == 0 {
                        bits = 0;
                    }
                }
                bits
            }
        }
    }

    fn token(&self, source: Source) -> Option<Token> {
        match source {
            Source::End(id) => self.end(id).registered.map(|(_, token)| token),
            Source::Listener(id) => self.listeners[id.0].registered.map(|(_, token)| token),
            Source::Udp(id) => self.udp_token(id),
        }
    }

    pub(crate) fn now_registered(&mut self, worker: usize, source: Source, token: Token) {
        self.pollers[worker].registered.push((source, token));
    }

    /// Ends a registration. Its worker may still hear of it: an event that was on its way.
    pub(crate) fn deregistered(&mut self, worker: usize, source: Source, token: Token) {
        let poller = &mut self.pollers[worker];
        poller.registered.retain(|&(other, _)| other != source);
        poller.ready.retain(|&(_, other)| other != source);
        if !self.plan.stale.never() && self.plan.stale.hit(&mut self.rng) {
            let late = if self.rng.chance(1, 2) { 0 } else { self.rng.below(40 * MILLI) };
            let bits = if self.rng.chance(1, 2) { ANY } else { self.rng.below(16) as u8 };
            let at = self.now + late;
            self.wake_world_at(at);
            self.pollers[worker].stale.push((at, token, bits));
        }
    }

    /// Whether a blocking poll of this worker would return now, timers of its own aside.
    pub(crate) fn has_events(&mut self, worker: usize) -> bool {
        let poller = &self.pollers[worker];
        if poller.waker.0.load(Ordering::SeqCst)
            || poller.tick.is_some_and(|at| at <= self.now)
            || poller.stale.iter().any(|&(at, ..)| at <= self.now)
        {
            return true;
        }
        poller.ready.iter().any(|&(at, source)| at <= self.now && self.bits(source) != 0)
    }

    /// One poll: everything there is to report, in the order the worker hears it.
    pub(crate) fn poll(&mut self, worker: usize) -> Vec<(Token, Readiness)> {
        let now = self.now;
        let who = Who::Worker(worker as u16);
        self.pollers[worker].polls += 1;

        let mut due = Vec::new();
        self.pollers[worker].ready.retain(|&(at, source)| {
            if at <= now {
                due.push(source);
            }
            at > now
        });
        if self.plan.shuffle {
            shuffle(&mut due, &mut self.rng);
        }
        if due.len() > 1 && self.plan.partial_batch.hit(&mut self.rng) {
            // The rest stays ready, as behind a full event buffer.
            let keep = 1 + self.rng.below(due.len() as u64 - 1) as usize;
            let rest = due.split_off(keep);
            self.pollers[worker].ready.extend(rest.into_iter().map(|source| (now, source)));
        }

        let mut events: Vec<(Token, u8)> = Vec::new();
        for source in due {
            let (bits, token) = (self.bits(source), self.token(source));
            match source {
                Source::End(id) => {
                    let end = self.end_mut(id);
                    end.marked = false;
                    end.armed_read &= bits & Readiness::READABLE == 0;
                    end.armed_write &= bits & Readiness::WRITABLE == 0;
                }
                Source::Listener(id) => {
                    let listener = &mut self.listeners[id.0];
                    listener.marked = false;
                    listener.armed &= bits == 0;
                }
                Source::Udp(id) => self.udp_reported(id, bits),
            }
            let (Some(token), 1..) = (token, bits) else { continue };
            let (reading, writing) =
                (bits & (Readiness::READABLE | Readiness::READ_CLOSED), bits & !Readiness::READABLE);
            if reading != 0 && bits & Readiness::WRITABLE != 0 && self.plan.split_events.hit(&mut self.rng) {
                events.push((token, reading));
                events.push((token, writing));
            } else {
                events.push((token, bits));
            }
        }

        let mut stale = std::mem::take(&mut self.pollers[worker].stale);
        stale.retain(|&(at, token, bits)| {
            if at <= now {
                events.push((token, bits));
            }
            at > now
        });
        self.pollers[worker].stale = stale;
        for &(token, bits) in &events {
            self.lied(worker, token, bits);
        }

        if self.plan.spurious.hit(&mut self.rng) {
            let known = self.pollers[worker].registered.len() as u64;
            if known > 0 {
                let pick = self.rng.below(known) as usize;
                let (_, token) = self.pollers[worker].registered[pick];
                events.push((token, self.rng.below(u64::from(ANY) + 1) as u8));
            }
        }
        let poller = &mut self.pollers[worker];
        if poller.waker.0.swap(false, Ordering::SeqCst) {
            events.push((Token::WAKE, Readiness::READABLE));
        }
        if poller.tick.is_some_and(|at| at <= now) {
            poller.tick = None;
            events.push((Token::TICK, Readiness::READABLE));
        }
        if self.plan.shuffle {
            shuffle(&mut events, &mut self.rng);
        }
        self.pollers[worker].marks += events.len() as u64;
        for &(token, bits) in &events {
            self.trace.note(now, who, "event", trace::NONE, token.0 as u64 ^ u64::from(bits) << 60);
        }
        events.into_iter().map(|(token, bits)| (token, Readiness(bits))).collect()
    }
}

pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.below(i as u64 + 1) as usize);
    }
}
