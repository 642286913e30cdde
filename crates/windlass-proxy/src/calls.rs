//! Calling backends for clients: the queue, tries and retries, refusals.

use std::sync::atomic::Ordering::Relaxed;

use windlass::ConnectError;

use crate::fleet::is_its_fault;
use crate::front::Message;
use crate::pair::Phase;
use crate::pick::Picked;
use crate::reach::Reach;
use crate::refusal::Refusal;
use crate::service::Proxy;
use crate::tell::{tlvs, wants_tlvs};
use crate::upstream::{Failure, Lease};

/// What became of a call.
enum Called {
    /// It is being made.
    Begun,
    /// Its client waits for it.
    Later,
}

impl Proxy {
    /// Chooses a backend for a client and calls it, or has the client wait for one.
    pub(crate) fn place(&mut self, reach: &mut impl Reach, key: u32) -> Result<(), Refusal> {
        let Some(group) = self.group_of(key) else { return Err(Refusal::NoBackend) };
        if self.queues[group].is_waited_in() {
            // Behind those who came first.
            return self.enqueue(reach, key, group);
        }
        if !self.may_call(key) {
            return self.enqueue(reach, key, group).map_err(|_| Refusal::Unreachable);
        }
        match self.pick(reach, key, group) {
            Picked::Upstream(lease) => self.call(reach, key, lease, false).map(drop),
            Picked::Full => self.enqueue(reach, key, group),
            Picked::Nobody => self.try_again(reach, key, group, Refusal::NoBackend).map(drop),
            Picked::Tripped => self.try_again(reach, key, group, Refusal::CircuitOpen).map(drop),
        }
    }

    /// Whether a client may be called for: a retry takes its place in the budget of its group.
    fn may_call(&mut self, key: u32) -> bool {
        let attempt = self.pairs.get(key).and_then(|pair| pair.attempt.as_mut());
        let Some(attempt) = attempt.filter(|attempt| attempt.failures > 0) else { return true };
        if attempt.retry.is_none() {
            attempt.retry = attempt.underway.as_ref().and_then(|underway| self.fleet.may_retry(underway));
        }
        attempt.retry.is_some()
    }

    fn group_of(&mut self, key: u32) -> Option<usize> {
        let group = self.pairs.get(key)?.attempt.as_ref()?.group;
        (group < self.fleet.plan.groups.len()).then_some(group)
    }

    fn pick(&mut self, reach: &mut impl Reach, key: u32, group: usize) -> Picked {
        let Some(attempt) = self.pairs.get(key).and_then(|pair| pair.attempt.as_ref()) else {
            return Picked::Nobody;
        };
        self.fleet.pick(reach, group, attempt.source(), &attempt.tried)
    }

    /// Nobody is left who has not been tried: begins with the first again, after a pause. If there is none, it
    /// is refused for that reason.
    fn try_again(
        &mut self,
        reach: &mut impl Reach,
        key: u32,
        group: usize,
        why: Refusal,
    ) -> Result<Called, Refusal> {
        let attempt = self.pairs.get(key).and_then(|pair| pair.attempt.as_mut());
        let Some(attempt) = attempt.filter(|attempt| !attempt.tried.is_empty()) else {
            return Err(why);
        };
        attempt.tried.clear();
        match self.pick(reach, key, group) {
            Picked::Upstream(lease) => self.call(reach, key, lease, true),
            Picked::Full => self.enqueue(reach, key, group).map(|()| Called::Later),
            Picked::Nobody => Err(Refusal::NoBackend),
            Picked::Tripped => Err(Refusal::CircuitOpen),
        }
    }

    fn call(
        &mut self,
        reach: &mut impl Reach,
        key: u32,
        lease: Lease,
        again: bool,
    ) -> Result<Called, Refusal> {
        let upstream = lease.upstream().clone();
        let Some(pair) = self.pairs.get(key) else { return Ok(Called::Begun) };
        let Some(attempt) = &pair.attempt else { return Ok(Called::Begun) };
        let group = attempt.group;
        let client = pair.client.filter(|_| wants_tlvs(&upstream.config));
        let tlvs = client.and_then(|client| reach.conn(client)).map(|client| tlvs(&client));
        let tlvs = tlvs.unwrap_or_default();
        let Some(connect) = self.fleet.connect_telling(&upstream, Some(attempt.addresses), &tlvs) else {
            return Err(Refusal::NoBackend);
        };
        let pause = if again { self.fleet.plan.config.retry_pause } else { std::time::Duration::ZERO };
        let connect = connect
            .tag(key.into())
            .timeout(self.fleet.plan.config.timeouts.connect)
            .after(pause)
            .while_draining();
        match reach.connect(connect) {
            Ok(call) => {
                pair.phase = Phase::Calling(call);
                pair.lease = Some(lease);
                Ok(Called::Begun)
            }
            // As many are being called as may be: the next tick tries again.
            Err(ConnectError::Full) => {
                drop(lease);
                self.enqueue(reach, key, group)?;
                Ok(Called::Later)
            }
            Err(_) => Err(Refusal::Resources),
        }
    }

    /// A call came to nothing: the next backend, as often as that is allowed.
    pub(crate) fn call_failed(&mut self, reach: &mut impl Reach, key: u32, why: &ConnectError) {
        let Some(pair) = self.pairs.get(key) else { return };
        pair.phase = Phase::Over;
        let upstream = pair.lease.as_ref().map(|lease| lease.upstream().clone());
        let client = pair.client;
        let its_fault = is_its_fault(why);
        let was_retry = pair.attempt.as_mut().is_some_and(|attempt| attempt.retry.take().is_some());
        if let Some(lease) = pair.lease.as_mut().filter(|_| its_fault) {
            self.fleet.failed(lease, Failure::Refused, reach.now());
        }
        // A name with several addresses is tried at the next of them before it counts as tried.
        let more = upstream.as_ref().is_some_and(|upstream| its_fault && self.fleet.address_failed(upstream));
        if let Some(attempt) = self.pairs.get(key).and_then(|pair| pair.attempt.as_mut()) {
            attempt.failures += 1;
            let failures = attempt.failures;
            if let Some(upstream) = upstream.filter(|_| its_fault && !(more && failures == 1)) {
                attempt.tried.push(upstream.id());
            }
        }
        match its_fault {
            true => self.released(reach, key),
            // Nobody is called in its place: that would fail the same way, and whoever is called in the place
            // of that one again, without an end. The next tick tries again.
            false => drop(self.release(key)),
        }
        // If it is going, `closed` is still to come.
        if client.and_then(|client| reach.conn(client)).is_some() {
            self.after_failure(reach, key, why);
        }
        // For what the system lacks nobody is called in its place here either.
        if was_retry && its_fault {
            self.retry_is_over(reach);
        }
    }

    /// Tries once more for a client, as often as that is allowed.
    fn after_failure(&mut self, reach: &mut impl Reach, key: u32, why: &ConnectError) {
        let its_fault = is_its_fault(why);
        let attempt = self.pairs.get(key).and_then(|pair| pair.attempt.as_ref());
        let failures = attempt.map_or(0, |attempt| attempt.failures);
        let outcome = match why {
            ConnectError::Shutdown => Err(Refusal::Resources),
            _ if failures > self.fleet.plan.config.retries_max => {
                Err(if its_fault { Refusal::Unreachable } else { Refusal::Resources })
            }
            _ => {
                self.fleet.shared.retries.fetch_add(1, Relaxed);
                match self.group_of(key) {
                    // Whatever the system lacks, it lacks it for all backends: the next tick tries again. A call
                    // that was cancelled was one to a backend that has been removed.
                    Some(group) if !its_fault && !matches!(why, ConnectError::Cancelled) => {
                        self.enqueue(reach, key, group)
                    }
                    _ => self.place(reach, key),
                }
            }
        };
        if let Err(refusal) = outcome {
            self.refuse(reach, key, refusal);
        }
    }

    // --- The queue.

    fn enqueue(&mut self, reach: &mut impl Reach, key: u32, group: usize) -> Result<(), Refusal> {
        if self.queues[group].len() >= self.fleet.plan.config.queue_max {
            return Err(Refusal::QueueFull);
        }
        let (now, limit) = (reach.now(), self.fleet.plan.config.timeouts.queue);
        let Some(pair) = self.pairs.get(key) else { return Ok(()) };
        let Some(attempt) = &mut pair.attempt else { return Ok(()) };
        attempt.retry = None;
        pair.phase = Phase::Queued(self.queues[group].push(key, attempt.failures > 0));
        self.fleet.shared.waiting.fetch_add(1, Relaxed);
        if attempt.waits_until.is_none() {
            self.fleet.shared.queued.fetch_add(1, Relaxed);
        }
        let until = *attempt.waits_until.get_or_insert(now + limit);
        if let Some(mut client) = pair.client.and_then(|client| reach.conn(client))
            && !limit.is_zero()
        {
            client.wake_at(until);
        }
        Ok(())
    }

    pub(crate) fn leave_queue(&mut self, group: usize, number: u64) {
        if self.queues.get_mut(group).is_some_and(|queue| queue.remove(number)) {
            self.fleet.shared.waiting.fetch_sub(1, Relaxed);
        }
    }

    pub(crate) fn serve_queues(&mut self, reach: &mut impl Reach) {
        for group in 0..self.queues.len() {
            self.serve_queue(reach, group);
        }
    }

    /// Places those who wait, as long as there is room.
    fn serve_queue(&mut self, reach: &mut impl Reach, group: usize) {
        // Until another worker was faster.
        let mut may_retry = true;
        loop {
            let plan = &self.fleet.plan;
            may_retry = may_retry && plan.groups[group].budget.has_room(&plan.config.retry_budget);
            let Some((number, key, is_retry)) = self.queues[group].first(may_retry) else { return };
            let picked = self.pick(reach, key, group);
            if matches!(picked, Picked::Full) {
                if !is_retry {
                    return;
                }
                // Who has failed it may have room for those whom it has not.
                may_retry = false;
                continue;
            }
            if !self.may_call(key) {
                may_retry = false;
                continue;
            }
            self.leave_queue(group, number);
            let Some(pair) = self.pairs.get(key) else { continue };
            pair.phase = Phase::Over;
            if let Some(mut client) = pair.client.and_then(|client| reach.conn(client)) {
                client.cancel_wake();
            } else {
                continue;
            }
            let outcome = match picked {
                Picked::Upstream(lease) => self.call(reach, key, lease, false),
                Picked::Tripped => self.try_again(reach, key, group, Refusal::CircuitOpen),
                _ => self.try_again(reach, key, group, Refusal::NoBackend),
            };
            match outcome {
                Ok(Called::Begun) => {}
                Ok(Called::Later) => return,
                Err(refusal) => self.refuse(reach, key, refusal),
            }
        }
    }

    /// A pair has no connection to a backend any more: there is room for somebody else.
    pub(crate) fn released(&mut self, reach: &mut impl Reach, key: u32) {
        if !self.release(key) || self.fleet.shared.waiting.load(Relaxed) == 0 {
            return;
        }
        self.room(reach);
    }

    /// A retry is over, whatever came of it: another one may be made.
    pub(crate) fn retry_is_over(&mut self, reach: &mut impl Reach) {
        if self.fleet.shared.waiting.load(Relaxed) > 0 {
            self.room(reach);
        }
    }

    /// There is room, somewhere, for somebody who waits.
    pub(crate) fn room(&mut self, reach: &mut impl Reach) {
        self.serve_queues(reach);
        let ours: usize = self.queues.iter().map(|queue| queue.len()).sum();
        if self.fleet.shared.waiting.load(Relaxed) > ours {
            // Should a mailbox be full, the next tick finds the room.
            let _ = self.fleet.shared.mailbox.send_to_others(self.fleet.worker, Message::Room);
        }
    }

    /// The same, without anybody being told. Whether somebody may have waited for it.
    fn release(&mut self, key: u32) -> bool {
        let lease = self.pairs.get(key).and_then(|pair| pair.lease.take());
        self.pairs.remove_if_over(key);
        lease.is_some_and(|lease| lease.upstream().config.connections_max > 0)
    }

    // --- Refusals.

    /// Ends a client from outside of its own callbacks, for this reason.
    pub(crate) fn refuse(&mut self, reach: &mut impl Reach, key: u32, refusal: Refusal) {
        self.note_refusal(key, refusal);
        let now = reach.now();
        let client = self.pairs.get(key).and_then(|pair| pair.client);
        if let Some(mut client) = client.and_then(|client| reach.conn(client)) {
            // Its `timeout` gives the reason.
            client.wake_at(now);
        }
    }

    pub(crate) fn note_refusal(&mut self, key: u32, refusal: Refusal) {
        self.fleet.shared.refusals.count(&refusal);
        let Some(pair) = self.pairs.get(key) else { return };
        if let Phase::Queued(number) = pair.phase {
            let group = pair.attempt.as_ref().map_or(usize::MAX, |attempt| attempt.group);
            self.leave_queue(group, number);
        }
        if let Some(pair) = self.pairs.get(key) {
            pair.phase = Phase::Refused(refusal);
            if let Some(attempt) = &mut pair.attempt {
                // It is not under way any more, though it may take its time to go.
                (attempt.retry, attempt.underway) = (None, None);
            }
        }
    }
}
