//! Deadlines of connections, and the ticks of services.

use std::time::Duration;

use windlass_proto::Time;

use crate::close::Close;
use crate::core::{Deadlines, flush, slot::flag};
use crate::planted::{Fault, planted};
use crate::scope::Scope;
use crate::service::Tick;
use crate::sys::Sys;
use crate::tls_error::TlsError;
use crate::wheel::reached;

use super::{HostedService, Worker};

/// The precise period of one service. Deadlines are multiples of the period since the start, so
/// lateness never adds up.
pub(super) struct Ticker {
    service: u16,
    period: Duration,
    start: Time,
    /// Ticks whose time has passed.
    number: u64,
}

impl Ticker {
    pub(super) fn start(services: &[HostedService], now: Time) -> Vec<Ticker> {
        let ticker = |(n, service)| Ticker::new(n as u16, service, now);
        services.iter().enumerate().filter_map(ticker).collect()
    }

    pub(super) fn new(number: u16, service: &HostedService, now: Time) -> Option<Ticker> {
        Some(Ticker { service: number, period: service.tick?, start: now, number: 0 })
    }

    pub(super) fn service(&self) -> u16 {
        self.service
    }

    fn due(&self, number: u64) -> Time {
        let nanos = (self.period.as_nanos() as u64).saturating_mul(number);
        Time::from_nanos(self.start.as_nanos().saturating_add(nanos))
    }

    /// The tick that is due, those missed before it skipped.
    fn take(&mut self, now: Time) -> Option<Tick> {
        let period = self.period.as_nanos() as u64;
        let passed = now.since(self.start).as_nanos() as u64 / period;
        if passed <= self.number {
            return None;
        }
        let missed = passed - self.number - 1;
        self.number = passed;
        let tick = Tick { number: passed, due: self.due(passed), missed };
        if planted(Fault::TickDrifts) {
            self.start = now;
            self.number = 0;
        }
        Some(tick)
    }
}

impl<Y: Sys> Worker<Y> {
    /// Acts on the deadlines that have passed. A timer that came due early, because there was
    /// activity since it was armed, is put back without anybody noticing.
    pub(super) fn timers(&mut self) {
        let mut fired = std::mem::take(&mut self.fired);
        let core = &mut self.core;
        let deadlines = Deadlines::of(&core.limits, &core.members, &core.overload);
        core.wheel.advance(core.tick, &mut fired, |index| deadlines.first(&core.slots[index as usize]));
        for &index in &fired {
            self.due(index);
            self.core.arm(index);
        }
        fired.clear();
        self.fired = fired;
    }

    fn due(&mut self, index: u32) {
        let tick = self.core.tick;
        let passed = |at: Option<u32>| at.is_some_and(|at| reached(at, tick));
        let slot = &self.core.slots[index as usize];
        if !slot.is(flag::LIVE) {
            if slot.is(flag::CONNECTING) {
                self.core.connecting_due(index);
            }
            return;
        }
        let deadlines = Deadlines::of(&self.core.limits, &self.core.members, &self.core.overload);
        if passed(deadlines.stall(slot)) {
            // The system says "writable" only when a good part of the send buffer is free; a peer that
            // reads slowly but steadily has made room long before. Only a write tells.
            self.core.slot(index).set(flag::WRITABLE);
            flush::flush(&mut self.core, &mut self.io, index);
        }
        if self.core.slot(index).is(flag::RELAYED) {
            self.core.share_activity(index);
        }
        let deadlines = Deadlines::of(&self.core.limits, &self.core.members, &self.core.overload);
        let slot = &self.core.slots[index as usize];
        let stalled = passed(deadlines.stall(slot));
        let woken = slot.is(flag::HAS_WAKE) && reached(slot.wake, tick);
        let idle = passed(deadlines.idle(slot));
        if !stalled && !woken && !idle {
            return;
        }
        self.core.counters.deadlines += 1;
        if self.core.slot(index).is(flag::ENDED) {
            // The way down has taken too long. With output unsent there is nothing orderly left.
            let unsent = self.core.slot(index).output.is_some();
            self.core.drop_output(index);
            let slot = self.core.slot(index);
            slot.set(flag::EOF | if unsent { flag::RESET } else { 0 });
            slot.clear(flag::HAS_WAKE);
            return self.core.settle(index);
        }
        if stalled {
            self.core.close(index, Close::SlowConsumer);
        } else if idle {
            self.core.close(index, Close::Idle);
        } else if !self.core.slot(index).is(flag::CLOSING) {
            self.core.slot(index).clear(flag::HAS_WAKE);
            if self.core.slot(index).is(flag::HANDSHAKE) {
                return self.core.close(index, Close::Tls(TlsError::HandshakeTimeout));
            }
            self.core.cork_owner = index;
            self.call("timeout", index, |service, conn| service.timeout(conn));
            flush::uncork(&mut self.core, &mut self.io, index);
        }
    }

    /// Calls the services whose time has come: first those with a period, then those with a deadline.
    pub(super) fn ticks(&mut self) {
        for n in 0..self.tickers.len() {
            let Some(tick) = self.tickers[n].take(self.core.now) else { continue };
            let service = self.tickers[n].service;
            self.core.counters.ticks += 1;
            self.core.counters.ticks_missed += tick.missed;
            self.begin();
            let mut scope = Scope::new(&mut self.core, &mut self.io, service);
            self.services[service as usize].host.tick(&mut scope, tick);
            self.check_stall("tick", None, service as usize);
        }
        for n in 0..self.services.len() {
            // Asked again, and not remembered: callbacks of this turn may have changed it.
            let deadline = self.services[n].host.deadline();
            if deadline.is_none_or(|at| at > self.core.now) {
                continue;
            }
            self.core.counters.ticks += 1;
            self.begin();
            let mut scope = Scope::new(&mut self.core, &mut self.io, n as u16);
            self.services[n].host.due(&mut scope);
            self.check_stall("due", None, n);
        }
    }

    /// The next time a service is to be called, where the driver does not wake the worker for it: it cannot
    /// time it better than a poll timeout, or the time has passed.
    pub(super) fn next_tick(&self) -> Option<Time> {
        self.tick_next.filter(|at| !self.tick_precise || *at <= self.core.now)
    }

    /// Asks when services want to be called next, and sets the driver's precise timer for the first, once
    /// for each time. For one that has passed there is nothing to set: the worker will not sleep.
    pub(crate) fn arm_tick(&mut self) {
        let ticks = self.tickers.iter().map(|ticker| ticker.due(ticker.number + 1)).min();
        let deadlines = self.services.iter_mut().filter_map(|service| service.host.deadline()).min();
        let next = ticks.into_iter().chain(deadlines).min();
        if planted(Fault::EarlierTickNotArmed) && self.tick_armed.is_some_and(|at| at > self.core.now) {
            return;
        }
        self.tick_next = next;
        if next != self.tick_armed && next.is_none_or(|at| at > self.core.now) {
            self.tick_armed = next;
            self.tick_precise = self.io.sys.arm_tick(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_do_not_drift_and_count_what_they_miss() {
        let start = Time::from_nanos(1_000);
        let mut ticker = Ticker { service: 0, period: Duration::from_nanos(100), start, number: 0 };
        let mut at = |nanos| ticker.take(Time::from_nanos(nanos));
        assert_eq!(at(1_099), None);
        assert_eq!(at(1_130), Some(Tick { number: 1, due: Time::from_nanos(1_100), missed: 0 }));
        assert_eq!(at(1_199), None, "late once is not late for ever");
        assert_eq!(at(1_200), Some(Tick { number: 2, due: Time::from_nanos(1_200), missed: 0 }));
        assert_eq!(at(1_570), Some(Tick { number: 5, due: Time::from_nanos(1_500), missed: 2 }));
        assert_eq!(at(1_571), None);
    }
}
