//! How a request gets a connection to a backend: one that is idle, a new one, or a place in the queue.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use windlass::{Close, Conn, ConnectError};
use windlass_proto::http::{ClientConn, Framing, Limits};

use crate::fleet::is_its_fault;
use crate::front::Message;
use crate::http::client::set_deadline;
use crate::http::policy;
use crate::http::service::{Call, HttpProxy, Link, Phase};
use crate::http::stats::one;
use crate::pick::Chosen;
use crate::reach::Reach;
use crate::refusal::Refusal;
use crate::tell::{tlvs, wants_tlvs};
use crate::upstream::{Failure, Lease, Upstream};

/// What became of a request.
enum Placed {
    /// It was given to a connection, or one is being made.
    Begun,
    /// It waits.
    Later,
}

/// What was chosen for a request.
enum Choice {
    /// A connection that is idle.
    Idle(u32),
    /// A new connection, counted already.
    New(Lease),
    /// All that are open to it have as many connections as they may, and none is idle.
    Full,
    /// All have been tried, or there is none that takes requests.
    Nobody,
    /// The same, but for those whose breakers are open.
    Tripped,
}

impl HttpProxy {
    /// Finds a connection for a client's request, or has it wait for one.
    pub(super) fn place(&mut self, reach: &mut impl Reach, key: u32) -> Result<(), Refusal> {
        let Some(group) = self.group_of(key) else { return Err(Refusal::NoBackend) };
        if self.queues[group].is_waited_in() {
            // Behind those who came first.
            return self.enqueue(reach, key, group);
        }
        if !self.may_call(key) {
            return self.enqueue(reach, key, group).map_err(|_| Refusal::Unreachable);
        }
        match self.choose(reach, key, group) {
            Choice::Idle(link) => {
                self.send(reach, key, link);
                Ok(())
            }
            Choice::New(lease) => self.call(reach, key, lease, false).map(drop),
            Choice::Full => self.enqueue(reach, key, group),
            Choice::Nobody => self.try_again(reach, key, group, Refusal::NoBackend).map(drop),
            Choice::Tripped => self.try_again(reach, key, group, Refusal::CircuitOpen).map(drop),
        }
    }

    /// Whether a request may be placed: a retry takes its place in the budget of its group.
    fn may_call(&mut self, key: u32) -> bool {
        let exchange = self.clients.get(key).and_then(|client| client.exchange.as_mut());
        let Some(exchange) = exchange.filter(|exchange| exchange.failures > 0) else { return true };
        if exchange.retry.is_none() {
            exchange.retry = exchange.underway.as_ref().and_then(|underway| self.fleet.may_retry(underway));
        }
        exchange.retry.is_some()
    }

    fn group_of(&mut self, key: u32) -> Option<usize> {
        let group = self.clients.get(key)?.exchange.as_ref()?.group;
        (group < self.fleet.plan.groups.len()).then_some(group)
    }

    fn choose(&mut self, reach: &mut impl Reach, key: u32, group: usize) -> Choice {
        let Some(client) = self.clients.look(key) else { return Choice::Nobody };
        let Some(exchange) = &client.exchange else { return Choice::Nobody };
        let source = source(&client.addresses);
        let mut takes_idle = !exchange.wants_new;
        // The client's own backend is asked for once, and by nobody whom it has failed.
        let mut sticky = exchange.forward.and_then(|forward| forward.sticky);
        sticky = sticky.filter(|id| !exchange.tried.contains(id));
        let now = reach.now();
        // Another worker may take the last place of the one that is chosen here.
        for _ in 0..self.fleet.plan.groups[group].upstreams.len() + 3 {
            let has_idle = |upstream: &Upstream| takes_idle && self.pool.has(upstream.id());
            let own = sticky.take().and_then(|id| self.fleet.find_open(group, id, now, has_idle));
            let chosen = own
                .map(Chosen::This)
                .unwrap_or_else(|| self.fleet.choose(reach, group, source, &exchange.tried, has_idle));
            let upstream = match chosen {
                Chosen::This(n) => &self.fleet.plan.groups[group].upstreams[n],
                Chosen::Full if takes_idle => return Choice::Full,
                Chosen::Full => {
                    // It would wait for the very connections that it does not want.
                    takes_idle = true;
                    continue;
                }
                Chosen::Nobody => return Choice::Nobody,
                Chosen::Tripped => return Choice::Tripped,
            };
            if takes_idle {
                let Some(permit) = self.fleet.permit(upstream, now) else { continue };
                while let Some(key) = self.pool.take(upstream.id()) {
                    // One that is ending is still to be told so.
                    if let Some(link) = self.links.get(key)
                        && reach.conn(link.conn).is_some()
                    {
                        link.lease.permit = permit;
                        return Choice::Idle(key);
                    }
                }
            }
            if let Some(lease) = Lease::take(upstream, &self.fleet.plan.config.health.breaker, now) {
                return Choice::New(lease);
            }
        }
        Choice::Full
    }

    /// Nobody is left who has not been tried: begins with the first again, after a pause. If there is none, it
    /// is refused for that reason.
    fn try_again(
        &mut self,
        reach: &mut impl Reach,
        key: u32,
        group: usize,
        why: Refusal,
    ) -> Result<Placed, Refusal> {
        let exchange = self.clients.get(key).and_then(|client| client.exchange.as_mut());
        let Some(exchange) = exchange.filter(|exchange| !exchange.tried.is_empty()) else {
            return Err(why);
        };
        exchange.tried.clear();
        match self.choose(reach, key, group) {
            Choice::Idle(link) => {
                self.send(reach, key, link);
                Ok(Placed::Begun)
            }
            Choice::New(lease) => self.call(reach, key, lease, true),
            Choice::Full => self.enqueue(reach, key, group).map(|()| Placed::Later),
            Choice::Nobody => Err(Refusal::NoBackend),
            Choice::Tripped => Err(Refusal::CircuitOpen),
        }
    }

    fn call(
        &mut self,
        reach: &mut impl Reach,
        key: u32,
        lease: Lease,
        again: bool,
    ) -> Result<Placed, Refusal> {
        let upstream = lease.upstream().clone();
        let Some(client) = self.clients.get(key) else { return Ok(Placed::Begun) };
        let wanted = Some(client.conn).filter(|_| wants_tlvs(&upstream.config));
        let tlvs = wanted.and_then(|conn| reach.conn(conn)).map(|conn| tlvs(&conn)).unwrap_or_default();
        let Some(connect) = self.fleet.connect_telling(&upstream, Some(client.addresses), &tlvs) else {
            return Err(Refusal::NoBackend);
        };
        let pause = if again { self.fleet.plan.config.retry_pause } else { Duration::ZERO };
        let version = self.fleet.plan.version;
        let call = self.calls.add(Call { id: None, client: Some(key), lease, version });
        let connect = connect
            .tag(call.into())
            .timeout(self.fleet.plan.config.timeouts.connect)
            .after(pause)
            .while_draining();
        match reach.connect(connect) {
            Ok(id) => {
                if let Some(call) = self.calls.get(call) {
                    call.id = Some(id);
                }
                client.phase = Phase::Calling(call);
                if let Some(mut conn) = reach.conn(client.conn) {
                    // The call has a deadline of its own.
                    conn.cancel_wake();
                }
                if let Some(exchange) = &mut client.exchange {
                    exchange.placed = reach.now();
                    exchange.upstream = Some(upstream);
                }
                Ok(Placed::Begun)
            }
            Err(why) => {
                drop(self.calls.remove(call));
                // As many are being called as may be: the next tick tries again.
                let ConnectError::Full = why else { return Err(Refusal::Resources) };
                let Some(group) = self.group_of(key) else { return Err(Refusal::NoBackend) };
                self.enqueue(reach, key, group)?;
                Ok(Placed::Later)
            }
        }
    }

    /// A connection has come about.
    pub(super) fn call_answered(&mut self, conn: &mut Conn<'_>, call: u32) -> Result<u32, Close> {
        let Some(call) = self.calls.remove(call) else { return Err(Close::Done) };
        call.lease.upstream().counts.succeeded();
        one(&self.cells().opened);
        // It may answer before it has heard all, and only then hear on.
        conn.read_while_congested();
        let limits = Limits { body_max: u64::MAX, ..self.limits() };
        let link = self.links.add(Link {
            conn: conn.id(),
            http: ClientConn::new(limits),
            is_private: call.lease.upstream().config.send_proxy.is_some(),
            lease: call.lease,
            client: None,
            reused: false,
            has_heard: false,
            is_paused: false,
            error: None,
            version: call.version,
            ended: [None; 2],
            passed: (0, 0),
            untaken: 0,
            tunnelled: (0, 0),
        });
        match call.client {
            Some(key) => self.send(conn, key, link),
            None if self.keep(conn, link) => self.room(conn),
            None => {
                drop(self.links.remove(link));
                self.room(conn);
                return Err(Close::Done);
            }
        }
        Ok(link)
    }

    /// Gives a request to a connection.
    pub(super) fn send(&mut self, reach: &mut impl Reach, key: u32, link_key: u32) {
        let (now, watch) = (reach.now(), self.watch());
        let cells = self.fleet.shared.http.of(self.fleet.worker);
        let (Some(client), Some(link)) = (self.clients.get(key), self.links.get(link_key)) else { return };
        let Some(exchange) = &mut client.exchange else { return };
        link.lease.upstream().counts.requests.fetch_add(1, Relaxed);
        link.lease.upstream().counts.busy.fetch_add(1, Relaxed);
        link.client = Some(key);
        link.has_heard = false;
        client.phase = Phase::Linked(link_key);
        (exchange.reused, exchange.linked, exchange.sent_at) = (link.reused, now, now);
        if link.reused {
            one(&cells.reused);
            exchange.placed = now;
        }
        if exchange
            .upstream
            .as_ref()
            .is_none_or(|known| !std::sync::Arc::ptr_eq(known, link.lease.upstream()))
        {
            exchange.upstream = Some(link.lease.upstream().clone());
        }
        let method = if exchange.is_head { "HEAD" } else { "" };
        let sent = link.http.sent(method, exchange.framing, exchange.upgrade);
        debug_assert!(sent.is_ok(), "an idle connection takes a request");
        if exchange.own_host {
            exchange.set_host(policy::host_of(link.lease.upstream()));
        }
        if let Some(mut conn) = reach.conn(link.conn) {
            conn.write(&exchange.head);
            link.passed.0 += exchange.head.len() as u64;
            // A body that is over and was empty goes with it, if this is not the first to get it.
            if exchange.is_sent && exchange.framing == Framing::Chunked {
                self.out.clear();
                let finished = link.http.finish(&mut self.out);
                debug_assert!(finished.is_ok(), "{finished:?}");
                conn.write(&self.out);
                link.passed.0 += self.out.len() as u64;
            }
        }
        let waits_for_body = !exchange.is_sent;
        if let Some(mut conn) = reach.conn(client.conn) {
            set_deadline(&mut conn, watch);
        }
        if waits_for_body {
            self.wake_client(reach, key);
        }
    }

    /// A call came to nothing: the next backend, as often as that is allowed.
    pub(super) fn call_failed(&mut self, reach: &mut impl Reach, call: u32, why: &ConnectError) {
        let Some(Call { client, mut lease, .. }) = self.calls.remove(call) else { return };
        let upstream = lease.upstream().clone();
        let its_fault = is_its_fault(why);
        let mut more = false;
        if its_fault {
            self.fleet.failed(&mut lease, Failure::Refused, reach.now());
            // A name with several addresses is tried at the next of them before it counts as tried.
            more = self.fleet.address_failed(&upstream);
        }
        drop(lease);
        let exchange = client.and_then(|key| Some((key, self.clients.get(key)?.exchange.as_mut()?)));
        let outcome = exchange.map(|(key, exchange)| {
            exchange.failures += 1;
            let was_retry = exchange.retry.take().is_some();
            if its_fault && !(more && exchange.failures == 1) {
                exchange.tried.push(upstream.id());
            }
            (key, was_retry)
        });
        if its_fault && upstream.config.connections_max > 0 {
            // Nobody is called in its place for want of something of ours: that would fail the same way.
            self.room(reach);
        }
        let Some((key, was_retry)) = outcome else { return };
        self.after_failure(reach, key, why);
        // For what the system lacks nobody is called in its place.
        self.owes_room |= was_retry && its_fault;
    }

    /// Tries once more for a request, as often as that is allowed.
    fn after_failure(&mut self, reach: &mut impl Reach, key: u32, why: &ConnectError) {
        let (its_fault, retries_max) = (is_its_fault(why), self.fleet.plan.config.retries_max);
        let Some(client) = self.clients.get(key) else { return };
        client.phase = Phase::Idle;
        let failures = client.exchange.as_ref().map_or(0, |exchange| exchange.failures);
        let outcome = match why {
            ConnectError::Shutdown | ConnectError::Cancelled => Err(Refusal::Resources),
            _ if failures > retries_max => {
                Err(if its_fault { Refusal::Unreachable } else { Refusal::Resources })
            }
            _ => {
                self.fleet.shared.retries.fetch_add(1, Relaxed);
                one(&self.cells().retries);
                match self.group_of(key) {
                    // Whatever the system lacks, it lacks it for all backends: the next tick tries again.
                    Some(group) if !its_fault => self.enqueue(reach, key, group),
                    _ => self.place(reach, key),
                }
            }
        };
        if let Err(refusal) = outcome {
            self.refuse(reach, key, refusal);
        }
    }

    // --- The queue.

    pub(super) fn enqueue(&mut self, reach: &mut impl Reach, key: u32, group: usize) -> Result<(), Refusal> {
        if self.queues[group].len() >= self.fleet.plan.config.queue_max {
            return Err(Refusal::QueueFull);
        }
        let (now, limit) = (reach.now(), self.fleet.plan.config.timeouts.queue);
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        let Some(exchange) = &mut client.exchange else { return Ok(()) };
        exchange.retry = None;
        client.phase = Phase::Queued(self.queues[group].push(key, exchange.failures > 0));
        self.fleet.shared.waiting.fetch_add(1, Relaxed);
        if exchange.waits_until.is_none() {
            self.fleet.shared.queued.fetch_add(1, Relaxed);
        }
        let until = *exchange.waits_until.get_or_insert(now + limit);
        if let Some(mut conn) = reach.conn(client.conn) {
            match limit.is_zero() {
                true => conn.cancel_wake(),
                false => conn.wake_at(until),
            }
        }
        if self.queues[group].len() == 1 {
            // Another worker may keep idle what is wanted here. Told once: for those behind it, and should its
            // mailbox be full, it finds out at its next tick.
            let _ = self.fleet.shared.mailbox.send_to_others(self.fleet.worker, Message::Wanted);
        }
        Ok(())
    }

    pub(super) fn leave_queue(&mut self, group: usize, number: u64) {
        if self.queues.get_mut(group).is_some_and(|queue| queue.remove(number)) {
            self.fleet.shared.waiting.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn serve_queues(&mut self, reach: &mut impl Reach) {
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
            if !self.may_call(key) {
                may_retry = false;
                continue;
            }
            let choice = self.choose(reach, key, group);
            if matches!(choice, Choice::Full) {
                if let Some(exchange) = self.clients.get(key).and_then(|client| client.exchange.as_mut()) {
                    exchange.retry = None;
                }
                if !is_retry {
                    return;
                }
                // Who has failed it may have room for those whom it has not.
                may_retry = false;
                continue;
            }
            self.leave_queue(group, number);
            let Some(client) = self.clients.get(key) else { continue };
            client.phase = Phase::Idle;
            let outcome = match choice {
                Choice::Idle(link) => {
                    self.send(reach, key, link);
                    Ok(Placed::Begun)
                }
                Choice::New(lease) => self.call(reach, key, lease, false),
                Choice::Tripped => self.try_again(reach, key, group, Refusal::CircuitOpen),
                _ => self.try_again(reach, key, group, Refusal::NoBackend),
            };
            match outcome {
                Ok(Placed::Begun) => {}
                Ok(Placed::Later) => return,
                Err(refusal) => self.refuse(reach, key, refusal),
            }
        }
    }

    /// Retries are over, whatever came of them: others may be made. At the end of every callback.
    pub(super) fn settle(&mut self, reach: &mut impl Reach) {
        // Whoever is refused meanwhile was in the queue, so this has an end.
        while std::mem::take(&mut self.owes_room) && self.fleet.shared.waiting.load(Relaxed) > 0 {
            self.room(reach);
        }
    }

    /// There is room, somewhere, for somebody who waits.
    pub(super) fn room(&mut self, reach: &mut impl Reach) {
        if self.fleet.shared.waiting.load(Relaxed) == 0 {
            return;
        }
        self.serve_queues(reach);
        let ours: usize = self.queues.iter().map(|queue| queue.len()).sum();
        if self.fleet.shared.waiting.load(Relaxed) > ours {
            // Should a mailbox be full, the next tick finds the room.
            let _ = self.fleet.shared.mailbox.send_to_others(self.fleet.worker, Message::Room);
        }
    }
}

/// The client's address: what is hashed where that decides.
fn source(addresses: &windlass_proto::proxy_protocol::Addresses<'_>) -> Option<IpAddr> {
    match addresses {
        windlass_proto::proxy_protocol::Addresses::Inet { source, .. } => Some(source.ip()),
        _ => None,
    }
}
