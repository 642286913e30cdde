//! The backends as one worker sees them: whose turn it is, where they are and how they are. Every mode of the
//! proxy chooses, calls, checks and blames them through this; what a client is differs, and is not in here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use windlass::{Close, Conn, Connect, ConnectError, Input, Peer, Remote, Resolved, Scope, Time};
use windlass_proto::proxy_protocol::Addresses;

use crate::breaker::Permit;
use crate::budget::{Retry, Underway};
use crate::checks::{CHECK, CheckAddress, CheckKind, Checks, Connected, Probe};
use crate::front::Shared;
use crate::guard::Held;
use crate::names::Names;
use crate::pick::{Chosen, Picked, Picker, Wanted};
use crate::plan::{Group, Plan};
use crate::reach::Reach;
use crate::refusal::Refusal;
use crate::target::Target;
use crate::tell::preface;
use crate::upstream::{Failure, Lease, Upstream};

/// The backends of a proxy, on one worker.
pub(crate) struct Fleet {
    pub(crate) shared: Arc<Shared>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) worker: usize,
    /// By the number of their group.
    pickers: Vec<Picker>,
    names: Names,
    checks: Checks,
    /// It has sockets for datagrams, and so have its checks.
    pub(crate) has_datagrams: bool,
    /// Checks by datagrams that are to be made now.
    due_datagrams: Vec<u32>,
}

/// A change of the configuration, as whoever remembers groups by their numbers has to know it.
pub(crate) struct Moved {
    /// The new number of each old group; those that are gone have none.
    groups: Vec<Option<usize>>,
}

impl Moved {
    /// The number a group has now.
    pub(crate) fn of(&self, group: usize) -> Option<usize> {
        self.groups.get(group).copied().flatten()
    }
}

/// Whether a failure says something about who was called, and nothing about us.
pub(crate) fn is_its_fault(why: &ConnectError) -> bool {
    !matches!(
        why,
        ConnectError::Cancelled | ConnectError::Shutdown | ConnectError::Full | ConnectError::OutOfResources
    )
}

/// The same host, another port.
fn at_port(remote: Remote, port: u16) -> Option<Remote> {
    match remote {
        Remote::Tcp(address) => Some(SocketAddr::new(address.ip(), port).into()),
        _ => None,
    }
}

impl Fleet {
    pub(crate) fn new(shared: Arc<Shared>, plan: Arc<Plan>) -> Fleet {
        let mut fleet = Fleet {
            shared,
            plan,
            worker: 0,
            pickers: Vec::new(),
            names: Names::default(),
            checks: Checks::default(),
            has_datagrams: false,
            due_datagrams: Vec::new(),
        };
        fleet.fit(|_| 0);
        fleet
    }

    /// It is this worker's.
    pub(crate) fn belongs_to(&mut self, worker: usize) {
        self.worker = worker;
        self.fit(|_| worker);
    }

    /// Makes what belongs to groups anew; `turn` is where each begins.
    fn fit(&mut self, turn: impl Fn(&Group) -> usize) {
        self.pickers.clear();
        for group in &self.plan.groups {
            let mut picker = Picker::default();
            picker.begin_anew(group, turn(group));
            self.pickers.push(picker);
        }
    }

    /// Chooses a backend of a group for a client from `source` that has been failed by `tried`.
    pub(crate) fn pick(
        &mut self,
        reach: &mut impl Reach,
        group: usize,
        source: Option<IpAddr>,
        tried: &[u32],
    ) -> Picked {
        let wanted = Wanted { source, tried, now: reach.now(), random: reach.random() };
        let names = &self.names;
        self.pickers[group]
            .pick(&self.plan.groups[group], &self.plan.config, &wanted, |upstream| names.know(upstream))
    }

    /// Chooses a backend of a group for a request of a client from `source`, without taking a place there: one
    /// with room, or one with a connection that waits for a request. By the requests that each has to serve.
    pub(crate) fn choose(
        &mut self,
        reach: &mut impl Reach,
        group: usize,
        source: Option<IpAddr>,
        tried: &[u32],
        has_idle: impl Fn(&Upstream) -> bool,
    ) -> Chosen {
        let wanted = Wanted { source, tried, now: reach.now(), random: reach.random() };
        let names = &self.names;
        self.pickers[group].choose_open(
            &self.plan.groups[group],
            &self.plan.config,
            &wanted,
            |upstream| has_idle(upstream) || (upstream.has_room() && names.know(upstream)),
            |upstream| upstream.counts.busy.load(Relaxed),
        )
    }

    /// The place in its group of a backend that a client wants, if it takes requests of clients now.
    pub(crate) fn find_open(
        &self,
        group: usize,
        id: u32,
        now: Time,
        has_idle: impl Fn(&Upstream) -> bool,
    ) -> Option<usize> {
        let breaker = &self.plan.config.health.breaker;
        let is_open = |upstream: &Upstream| {
            upstream.config.weight > 0
                && upstream.counts.is_well(now)
                && upstream.counts.circuit.admits(breaker, now)
                && (has_idle(upstream) || (upstream.has_room() && self.names.know(upstream)))
        };
        let upstreams = &self.plan.groups.get(group)?.upstreams;
        upstreams.iter().position(|upstream| upstream.id() == id && is_open(upstream))
    }

    /// How to call a backend: for a client, or (without addresses) for ourselves. `None`: its address is not
    /// known.
    pub(crate) fn connect(&self, upstream: &Upstream, client: Option<Addresses<'_>>) -> Option<Connect> {
        self.connect_telling(upstream, client, &[])
    }

    /// The same, with TLVs for a backend that wants them.
    pub(crate) fn connect_telling(
        &self,
        upstream: &Upstream,
        client: Option<Addresses<'_>>,
        tlvs: &[u8],
    ) -> Option<Connect> {
        let mut connect = Connect::to(self.names.remote(upstream)?);
        if let Some(preface) = preface(&upstream.config, client.unwrap_or(Addresses::Local), tlvs) {
            connect = connect.preface(preface);
        }
        #[cfg(feature = "tls")]
        if let Some(target) = &upstream.config.tls {
            connect = connect.tls(target.clone());
        }
        Some(connect)
    }

    /// A client that is this peer, or says so and is believed: whether it is let in. What is returned is held
    /// for as long as it is connected.
    pub(crate) fn admit(&self, peer: Peer, now: Time) -> Result<Option<Held>, Refusal> {
        self.plan.guard.admit(&self.plan.config.guard, peer, now)
    }

    /// Whether somebody else is well who would take its clients.
    pub(crate) fn has_another(&self, upstream: &Upstream, now: Time) -> bool {
        let of = |group: &&Group| group.upstreams.iter().any(|other| other.id() == upstream.id());
        let group = self.plan.groups.iter().find(of);
        let others = group.iter().flat_map(|group| &group.upstreams);
        { others }
            .any(|other| other.id() != upstream.id() && other.config.weight > 0 && other.counts.is_well(now))
    }

    /// Where datagrams for a backend go. `None`: its address is not known, or takes none.
    pub(crate) fn address(&self, upstream: &Upstream) -> Option<SocketAddr> {
        match self.names.remote(upstream)? {
            Remote::Tcp(address) => Some(address),
            _ => None,
        }
    }

    /// The address of a backend failed. True: it has others to be tried.
    pub(crate) fn address_failed(&mut self, upstream: &Upstream) -> bool {
        self.names.failed(upstream)
    }

    /// A connection was made, or a request answered, with a permit of its own.
    pub(crate) fn praise(&self, permit: &mut Permit, now: Time) {
        permit.succeeded(&self.plan.config.health.breaker, now);
    }

    /// A use of a backend failed: for its health, and for its breaker.
    pub(crate) fn failed(&mut self, lease: &mut Lease, failure: Failure, now: Time) {
        lease.permit.failed(&self.plan.config.health.breaker, now);
        let upstream = lease.upstream().clone();
        self.blame(&upstream, failure, now);
    }

    /// Leave for one more use of a backend, on a connection that is there: a request. `None`: its breaker is open.
    pub(crate) fn permit(&self, upstream: &Upstream, now: Time) -> Option<Permit> {
        Permit::take(&upstream.counts, &self.plan.config.health.breaker, now)
    }

    /// Leave to try again, for as long as what is returned lives. `None`: as much is tried again as may be.
    pub(crate) fn may_retry(&self, underway: &Underway) -> Option<Retry> {
        let budget = underway.budget();
        let retry = budget.retry(&self.plan.config.retry_budget);
        if retry.is_none() {
            budget.denied.fetch_add(1, Relaxed);
        }
        retry
    }

    /// Passive health: one failure more of a backend.
    pub(crate) fn blame(&mut self, upstream: &Arc<Upstream>, failure: Failure, now: Time) {
        let health = &self.plan.config.health;
        if !upstream.counts.failed(failure, health, now) {
            return;
        }
        let group =
            self.plan.groups.iter().find(|group| {
                group.upstreams.iter().any(|other| Arc::ptr_eq(&other.counts, &upstream.counts))
            });
        let Some(group) = group else { return };
        let ejected = group.upstreams.iter().filter(|other| other.counts.is_ejected(now)).count();
        if (ejected + 1) * 100 > group.upstreams.len() * health.ejected_max_percent as usize {
            upstream.counts.ejections_spared.fetch_add(1, Relaxed);
            return;
        }
        upstream.counts.eject(health, now);
    }

    /// Takes note of a configuration that is newer than ours.
    pub(crate) fn catch_up(&mut self, now: Time) -> Option<Moved> {
        if self.shared.version.load(Relaxed) == self.plan.version {
            return None;
        }
        let before = std::mem::replace(&mut self.plan, self.shared.plan());
        let plan = self.plan.clone();
        // Groups are known by their names; those that are gone take nobody any more.
        let number = |name: &str| plan.groups.iter().position(|other| other.name == name);
        let groups = before.groups.iter().map(|group| number(&group.name)).collect();
        self.names.keep_only(&plan);
        self.checks.keep_only(&plan);
        if self.worker == 0 && plan.config.health.check_every.is_zero() {
            // Nobody would ever say that they are well again.
            for (_, upstream) in plan.upstreams() {
                upstream.counts.set_down(false, now);
            }
        }
        // Turns go on: with a change a second, whoever stands first in the configuration would get everybody else.
        let known = before.groups.iter().zip(std::mem::take(&mut self.pickers));
        let turns: Vec<(&str, usize)> =
            known.map(|(group, picker)| (&*group.name, picker.choices())).collect();
        let worker = self.worker;
        self.fit(|group| {
            turns.iter().find(|(name, _)| *name == group.name).map_or(worker, |(_, turn)| *turn)
        });
        Some(Moved { groups })
    }

    /// What is to be done now and then: names are resolved, backends checked.
    pub(crate) fn keep_house(&mut self, scope: &mut Scope<'_>) {
        self.plan.guard.seed(scope.random());
        let resolver = self.shared.resolver.clone();
        self.names.ask(&self.plan, &resolver, scope);
        if self.worker == 0 {
            self.shared.clock.store(scope.now().as_nanos(), Relaxed);
            self.shared.settle();
            self.check(scope);
        }
    }

    /// An answer to a question for a name. True: there is something new.
    pub(crate) fn resolved(&mut self, resolved: Resolved, now: Time) -> bool {
        self.names.answered(resolved, &self.plan, now)
    }

    // --- Checks.

    /// Begins the checks that are due. Those that datagrams make are left to who has sockets for them.
    fn check(&mut self, scope: &mut Scope<'_>) {
        if scope.is_draining() {
            return;
        }
        let plan = self.plan.clone();
        let now = scope.now();
        for id in self.checks.due(&plan, now, || scope.random()) {
            let upstream = plan.upstream(id);
            if self.has_datagrams && upstream.is_some_and(|upstream| plan.config.asks_by_datagram(upstream)) {
                self.due_datagrams.push(id);
                continue;
            }
            let connect = upstream.and_then(|upstream| match upstream.config.check_address {
                Some(CheckAddress::Address(address)) => Some(Connect::to(address)),
                Some(CheckAddress::Port(port)) => {
                    Some(Connect::to(at_port(self.names.remote(upstream)?, port)?))
                }
                None => self.connect(upstream, None),
            });
            let timeout = plan.config.health.check_timeout;
            let begun = connect
                .map(|connect| scope.connect(connect.tag(CHECK | u64::from(id)).timeout(timeout)))
                .is_some_and(|call| call.is_ok());
            if !begun {
                self.checks.unanswered(id);
            }
        }
    }

    /// The next check that a datagram makes: of which backend, where that is, and what is said to it.
    pub(crate) fn next_datagram(&mut self) -> Option<(u32, SocketAddr, Vec<u8>)> {
        while let Some(id) = self.due_datagrams.pop() {
            let asks = || {
                let upstream = self.plan.upstream(id)?;
                let (_, asked) = Probe::begin(&self.plan.config.check, "")?;
                let header = preface(&upstream.config, Addresses::Local, &[]).unwrap_or_default();
                Some((id, self.address(upstream)?, [header, asked].concat()))
            };
            match asks() {
                Some(asked) => return Some(asked),
                None => self.checks.unanswered(id),
            }
        }
        None
    }

    /// The end of such a check: an answer, or none by the backend's fault or by ours.
    pub(crate) fn datagram_check_ended(&mut self, id: u32, heard: Option<&[u8]>, its_fault: bool, now: Time) {
        let CheckKind::Exchange(check) = &self.plan.config.check else {
            // Something else is asked by now.
            return self.checks.unanswered(id);
        };
        match heard {
            // A datagram is all that it says.
            Some(bytes) => drop(self.checked(id, bytes.starts_with(&check.expect), now)),
            None if its_fault => drop(self.checked(id, false, now)),
            None => self.checks.unanswered(id),
        }
    }

    /// A connection for this tag came about: if it was a check, either that was all, and its connection is to be
    /// closed, or it has asked, and what it hears is for [`Fleet::check_heard`].
    pub(crate) fn check_connected(&mut self, conn: &mut Conn<'_>, tag: u64) -> Option<Connected> {
        if tag & CHECK == 0 {
            return None;
        }
        let (id, now) = ((tag & !CHECK) as u32, conn.now());
        let host = self.plan.upstream(id).map_or(String::new(), |upstream| match upstream.config.to {
            Target::Unix(_) => "localhost".into(),
            _ => upstream.key.clone(),
        });
        let Some((probe, request)) = Probe::begin(&self.plan.config.check, &host) else {
            return Some(Connected::Passed(self.checked(id, true, now)));
        };
        conn.write(&request);
        conn.wake_at(now + self.plan.config.health.check_timeout);
        self.checks.probes.insert(id, probe);
        Some(Connected::Asked(id))
    }

    /// What the backend of this number says to a check. `Some`: that is enough, its connection is to be closed;
    /// true: the backend is back.
    pub(crate) fn check_heard(&mut self, id: u32, input: &mut Input<'_>, now: Time) -> Option<bool> {
        let passed = self.checks.probes.get_mut(&id)?.heard(input)?;
        self.checks.probes.remove(&id);
        Some(self.checked(id, passed, now))
    }

    /// The connection of a check has ended. True: the backend is back.
    pub(crate) fn check_closed(&mut self, id: u32, why: &Close, now: Time) -> bool {
        // Unless there was an answer already.
        let Some(mut probe) = self.checks.probes.remove(&id) else { return false };
        match why {
            Close::Shutdown | Close::Aborted => {
                self.checks.unanswered(id);
                false
            }
            Close::Eof => self.checked(id, probe.ended(), now),
            _ => self.checked(id, false, now),
        }
    }

    /// A connection for this tag did not come about. True: it was a check, and nobody else has to know.
    pub(crate) fn check_failed(&mut self, tag: u64, why: &ConnectError, now: Time) -> bool {
        if tag & CHECK == 0 {
            return false;
        }
        let id = (tag & !CHECK) as u32;
        match is_its_fault(why) {
            true => drop(self.checked(id, false, now)),
            false => self.checks.unanswered(id),
        }
        true
    }

    /// What a check found. True: the backend is back.
    fn checked(&mut self, id: u32, passed: bool, now: Time) -> bool {
        let plan = self.plan.clone();
        let took = self.checks.took(id, now);
        let verdict = self.checks.answered(id, &plan, passed);
        let Some(upstream) = plan.upstream(id) else { return false };
        let counts = &upstream.counts;
        counts.note_check(passed, took, now);
        verdict.is_some_and(|down| counts.set_down(down, now) && !down)
    }
}
