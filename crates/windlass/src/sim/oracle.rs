//! What must hold at every moment, whatever the service and its clients do.

use std::sync::Arc;

use super::end::{EndId, State};
use super::plan::{MILLI, SECOND};
use super::world::World;
use crate::config::Limits;
use crate::shared::Shared;
use crate::stats::Stats;

/// Turns in which nothing was found and nothing came of it, in one virtual second.
const IDLE_TURNS_MAX: u64 = 300;

/// Watches one worker for spinning.
#[derive(Default)]
pub(crate) struct Spin {
    second: u64,
    idle_turns: u64,
    busy_turns: u64,
    progress: u64,
    marks: u64,
    callbacks: u64,
}

impl Spin {
    /// After a turn of `worker`: complains if it keeps turning for nothing.
    pub(crate) fn turned(&mut self, worker: usize, world: &mut World) {
        let second = (world.now - world.origin) / SECOND;
        if second != self.second {
            (self.second, self.idle_turns, self.busy_turns) = (second, 0, 0);
        }
        let marks = world.pollers[worker].marks;
        let seen = (world.counts.progress, marks, world.callbacks);
        if seen == (self.progress, self.marks, self.callbacks) {
            self.idle_turns += 1;
        } else {
            self.busy_turns += 1;
        }
        (self.progress, self.marks, self.callbacks) = seen;
        // Every connection has timers of its own, put off again and again; and a turn that did something
        // may look once more in vain.
        let allowed = IDLE_TURNS_MAX + 8 * world.descriptors as u64 + self.busy_turns;
        if self.idle_turns > allowed {
            world.fail(format!("worker {worker} spins: {} turns for nothing in one second", self.idle_turns));
            self.idle_turns = 0;
        }
    }
}

fn nanos(duration: std::time::Duration) -> u64 {
    duration.as_nanos() as u64
}

impl World {
    /// How late a deadline may be noticed in this world: the timer's granularity, the lateness this
    /// world injects, and the time turns take.
    pub(crate) fn slack(&self) -> u64 {
        20 * MILLI + 2 * self.plan.late_wake_max + 4 * self.turn_longest
    }

    /// With every worker asleep, no deadline may have been missed.
    pub(crate) fn check_deadlines(&mut self, limits: &Limits) {
        let (now, slack) = (self.now, self.slack());
        let passed = |since: u64, timeout: std::time::Duration| now > since + nanos(timeout) + slack;
        self.check_unread();
        let mut late = Vec::new();
        for poller in &self.pollers {
            for id in poller.ends() {
                let end = self.end(id);
                // Activity at one end of a relay keeps both alive.
                let active = end.coupled.map_or(0, |other| self.end(other).active).max(end.active);
                if end.state == State::Opening {
                    continue;
                }
                let stuck = end.stalled_since.filter(|_| !limits.write_stall_timeout.is_zero());
                // A way down after the handshake's end has deadlines of its own.
                let down = limits.tls_handshake_timeout + limits.linger_timeout + limits.write_stall_timeout;
                let shaking = end.shaking_since.filter(|_| !limits.tls_handshake_timeout.is_zero());
                // No service is told of an end in the handshake; the FIN shows it.
                let ended = end.ended_at.or(shaking.and(end.finished_at));
                let what = match (ended, end.finished_at) {
                    _ if shaking.is_some_and(|since| passed(since, down)) => {
                        "its handshake goes on, and it is not ended for that"
                    }
                    _ if stuck.is_some_and(|since| passed(since, limits.write_stall_timeout)) => {
                        "its output is stuck, and it is not ended for that"
                    }
                    (None, _)
                        if (shaking.is_none() || stuck.is_none())
                            && !limits.idle_timeout.is_zero()
                            && passed(active, limits.idle_timeout) =>
                    {
                        "it is idle, and not ended for that"
                    }
                    (Some(ended), Some(finished)) if passed(ended.max(finished), limits.linger_timeout) => {
                        "it lingers past its deadline"
                    }
                    (Some(ended), None) if stuck.is_none() && passed(ended, limits.linger_timeout) => {
                        "its end was decided and does not come"
                    }
                    _ => continue,
                };
                late.push((id, what));
            }
        }
        for (id, what) in late {
            self.fail(format!("connection #{}: {what}", id.conn()));
        }
        self.check_attempts();
        if let Some(at) = self.shutdown_at
            && passed(at, limits.drain_timeout)
            && self.descriptors > 0
        {
            self.fail(format!("{} connections are open past the drain's deadline", self.descriptors));
        }
    }

    /// After every turn: no limit on connections may be exceeded.
    pub(crate) fn check_counts(&mut self, limits: &Limits) {
        let open: usize = self.pollers.iter().map(|poller| poller.ends().count()).sum();
        if limits.connections_max > 0 && open > limits.connections_max * self.servers {
            self.fail(format!("{open} connections are open, {} allowed", limits.connections_max));
        }
        if self.limits_sources(limits) {
            let mut by_source = std::collections::BTreeMap::new();
            for poller in &self.pollers {
                for id in poller.ends().filter(|&id| !self.end(id).outbound) {
                    *by_source.entry(self.address(self.end(id).client, 0).ip()).or_insert(0) += 1;
                }
            }
            let most = limits.source_connections_max * self.servers;
            if let Some((source, n)) = by_source.into_iter().find(|&(_, n)| n > most) {
                self.fail(format!("{n} connections from {source} are open, {most} allowed"));
            }
        }
    }

    fn limits_sources(&self, limits: &Limits) -> bool {
        !self.plan.unix && limits.source_connections_max > 0 && limits.source_connections_max < 64
    }

    /// The server closes a connection it has accepted and never served. It must have had a reason.
    pub(crate) fn turned_away(&mut self, id: EndId) {
        if self.end(id).disturbed || self.shutdown_at.is_some() {
            return;
        }
        let (client, conns_max, source_max) =
            (self.end(id).client, self.connections_max, self.source_connections_max);
        let source = self.address(client, 0).ip();
        let held = |world: &World, end: u32| {
            let end = world.end(EndId(end));
            (end.state == State::Open && (end.was_registered || !end.disturbed)).then_some(end.client)
        };
        let clients: Vec<u32> =
            (0..self.ends.len() as u32).skip(1).step_by(2).filter_map(|end| held(self, end)).collect();
        // This one is among them.
        let full = conns_max > 0 && clients.len() + self.attempts.len() > conns_max;
        let same = clients.iter().filter(|&&other| self.address(other, 0).ip() == source).count();
        let many = source_max > 0 && same > source_max;
        // The turn it came in is not over yet; the coarse clock may be ahead by what it is coarse by.
        let turn = self.turn_longest.max(self.now - self.turn_started) + 4 * MILLI;
        let late = self.lag_max > 0 && turn.max(self.wait_longest) >= self.lag_max / 2;
        if !full && !many && !late && !self.memory_tight {
            self.fail(format!(
                "connection #{}: turned away with {} of {conns_max} open, {same} of {source_max} from its address, and nobody late",
                id.conn(),
                clients.len()
            ));
        }
        self.end_mut(id).disturbed = true;
        self.end_mut(id.peer()).disturbed = true;
    }

    /// After the last worker has stopped: nothing may be left.
    pub(crate) fn check_end(&mut self, limits: &Limits, servers: &[Arc<Shared>], stats: &Stats) {
        use std::sync::atomic::Ordering::Relaxed;
        self.reap();
        if self.descriptors > 0 {
            self.fail(format!("{} streams were never closed", self.descriptors));
        }
        let listeners = self.listeners.iter().filter(|listener| !listener.closed).count();
        if listeners > 0 {
            self.fail(format!("{listeners} listeners were never closed"));
        }
        if self.never_closed > 0 || self.opened != self.closed {
            let (opened, closed) = (self.opened, self.closed);
            self.fail(format!("{opened} connections were opened, and closed was called {closed} times"));
        }
        if self.moving != 0 {
            self.fail(format!("{} connections left one worker and never came to another", self.moving));
        }
        if let Some(what) = self.jobs.check_end() {
            self.fail(what);
        }
        if let Some((id, _)) = self.attempts.first_key_value() {
            let n = self.attempts.len();
            self.fail(format!("{n} connections were asked for and never heard of again, {id} first"));
        }
        let counters = &stats.counters;
        let workers = servers.iter().flat_map(|shared| &shared.workers);
        let left = [
            (
                "connections counted",
                servers.iter().map(|shared| shared.connections.load(Relaxed) as u64).sum(),
            ),
            ("connections in the gauge", counters.connections),
            ("connections in the gauge of those being made", counters.connecting),
            ("bytes in the buffer gauge", counters.buffered_bytes),
            ("load", workers.map(|worker| worker.load.load(Relaxed) as u64).sum()),
        ];
        for (what, n) in left {
            if n != 0 {
                self.fail(format!("{n} {what} are left after the last connection"));
            }
        }
        // What one end of a relay has left untaken goes behind all that the other has queued.
        let untaken = if counters.relays > 0 { limits.input_max as u64 } else { 0 };
        let output_max = limits.output_max as u64 + untaken;
        for (what, peak, most) in [
            ("output", counters.output_peak_bytes, output_max),
            ("untaken input", counters.input_peak_bytes, limits.input_max as u64),
        ] {
            if peak > most {
                self.fail(format!("a connection had {peak} bytes of {what}, {most} allowed"));
            }
        }
        let open = self.udp.left_open();
        if open > 0 || counters.sockets > 0 {
            self.fail(format!("{open} UDP sockets were never closed, and {} are counted", counters.sockets));
        }
        let received = counters.datagrams_in + counters.datagrams_undelivered;
        if received != self.udp.read || counters.datagrams_out != self.udp.sent {
            self.fail(format!(
                "the counters say {received} datagrams in and {} out; {} were received and {} sent",
                counters.datagrams_out, self.udp.read, self.udp.sent
            ));
        }
        let gone = counters.datagrams_out + counters.datagrams_dropped + counters.datagrams_unsent;
        if counters.datagrams_queued != gone {
            self.fail(format!(
                "services sent {} datagrams; {} were sent, {} dropped and {} refused",
                counters.datagrams_queued,
                counters.datagrams_out,
                counters.datagrams_dropped,
                counters.datagrams_unsent
            ));
        }
        if counters.datagrams_unsent > 0 {
            // The system tells of earlier ones, and refuses none for good.
            self.fail(format!("{} datagrams were given up for an error", counters.datagrams_unsent));
        }
        let most = limits.datagram_output_max as u64;
        if counters.datagram_output_peak_bytes > most {
            let peak = counters.datagram_output_peak_bytes;
            self.fail(format!("a socket had {peak} bytes of datagrams queued, {most} allowed"));
        }
        if counters.bytes_in + counters.bytes_out != self.counts.bytes {
            self.fail(format!(
                "the counters say {} bytes in and {} out; {} were moved",
                counters.bytes_in, counters.bytes_out, self.counts.bytes
            ));
        }
    }
}
