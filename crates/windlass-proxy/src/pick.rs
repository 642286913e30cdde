//! Choosing a backend for one client: who is open to it, and then the group's way to choose.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use windlass::Time;

use crate::balance::{Balance, Bound, Candidate, RoundRobin, hash, least, source, two};
use crate::config::ProxyConfig;
use crate::plan::Group;
use crate::upstream::{Lease, Upstream};

/// What one worker remembers of its choices in one group.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    turns: RoundRobin,
    /// Goes up with every choice.
    choices: usize,
    /// Kept for its memory.
    candidates: Vec<Candidate>,
    /// Somebody was not open to the last client because of a breaker.
    tripped: bool,
}

/// For whom.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The client's address, if it has one.
    pub(crate) source: Option<std::net::IpAddr>,
    /// Numbers of backends that have been tried.
    pub(crate) tried: &'a [u32],
    pub(crate) now: Time,
    pub(crate) random: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Picked {
    /// This one, counted already.
    Upstream(Lease),
    /// All that are open to it have as many connections as they may, or no address yet.
    Full,
    /// All have been tried, or there is none that takes new connections.
    Nobody,
    /// The same, but for those whose breakers are open.
    Tripped,
}

/// What came of a choice without a place being taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Chosen {
    /// The backend with this number in the group.
    This(usize),
    /// As of [`Picked`].
    Full,
    /// The same.
    Nobody,
    /// The same.
    Tripped,
}

impl Picker {
    /// Chooses. `is_known` tells whether a backend's address is known.
    pub(crate) fn pick(
        &mut self,
        group: &Group,
        config: &ProxyConfig,
        wanted: &Wanted<'_>,
        is_known: impl Fn(&Upstream) -> bool,
    ) -> Picked {
        // Another worker may take the last place of the one that is chosen here.
        for _ in 0..=group.upstreams.len() {
            let connections = |upstream: &Upstream| upstream.counts.connections.load(Relaxed);
            let is_open = |upstream: &Upstream| upstream.has_room() && is_known(upstream);
            let n = match self.choose_open(group, config, wanted, is_open, connections) {
                Chosen::This(n) => n,
                Chosen::Full => return Picked::Full,
                Chosen::Nobody => return Picked::Nobody,
                Chosen::Tripped => return Picked::Tripped,
            };
            if let Some(lease) = Lease::take(&group.upstreams[n], &config.health.breaker, wanted.now) {
                return Picked::Upstream(lease);
            }
        }
        Picked::Full
    }

    /// Chooses among the backends that are open, by how much each has to do.
    pub(crate) fn choose_open(
        &mut self,
        group: &Group,
        config: &ProxyConfig,
        wanted: &Wanted<'_>,
        is_open: impl Fn(&Upstream) -> bool,
        load: impl Fn(&Upstream) -> usize,
    ) -> Chosen {
        let any = self.gather(group, config, wanted, &is_open, &load);
        match self.choose(group, config, wanted) {
            Some(n) => Chosen::This(n),
            None if any => Chosen::Full,
            None if self.tripped => Chosen::Tripped,
            None => Chosen::Nobody,
        }
    }

    /// How often it has chosen, and where it began.
    pub(crate) fn choices(&self) -> usize {
        self.choices
    }

    /// The backends are others now. Begins with the one whose turn this is.
    pub(crate) fn begin_anew(&mut self, group: &Group, turn: usize) {
        let fresh = group.upstreams.iter().map(|upstream| Candidate {
            open: upstream.config.weight > 0,
            weight: upstream.config.weight,
            connections: 0,
            hash: upstream.hash,
        });
        self.candidates.clear();
        self.candidates.extend(fresh);
        self.turns.begin_anew(&self.candidates, turn);
        self.choices = turn;
    }

    /// Lists the candidates. False: nobody is open to this client, and nobody will be by waiting.
    fn gather(
        &mut self,
        group: &Group,
        config: &ProxyConfig,
        wanted: &Wanted<'_>,
        is_open: &impl Fn(&Upstream) -> bool,
        load: &impl Fn(&Upstream) -> usize,
    ) -> bool {
        let takes_new = |upstream: &&Arc<Upstream>| upstream.config.weight > 0;
        let (mut all, mut well) = (0, 0);
        for upstream in group.upstreams.iter().filter(takes_new) {
            all += 1;
            well += usize::from(upstream.counts.is_well(wanted.now));
        }
        // Too few are well to be true, or none: then each is as good as another.
        let trusts_health = well > 0 && well * 100 >= all * config.health.fail_open_percent as usize;
        // Where an address decides, nodes must agree, and those are not at the same point of a slow start.
        let slow_start =
            if config.balance.is_by_source() { std::time::Duration::ZERO } else { config.health.slow_start };
        let mut any = false;
        self.tripped = false;
        self.candidates.clear();
        for upstream in &group.upstreams {
            let well = !trusts_health || upstream.counts.is_well(wanted.now);
            let untried = !wanted.tried.contains(&upstream.id());
            let mut eligible = takes_new(&upstream) && well && untried;
            if eligible && !upstream.counts.circuit.admits(&config.health.breaker, wanted.now) {
                // Its breaker is no opinion on its health: it holds although nobody is well.
                (eligible, self.tripped) = (false, true);
            }
            any |= eligible;
            self.candidates.push(Candidate {
                open: eligible && is_open(upstream),
                weight: upstream.weight(wanted.now, slow_start),
                connections: load(upstream),
                hash: upstream.hash,
            });
        }
        any
    }

    fn choose(&mut self, group: &Group, config: &ProxyConfig, wanted: &Wanted<'_>) -> Option<usize> {
        self.choices = self.choices.wrapping_add(1);
        let candidates = &self.candidates;
        let key = || match wanted.source {
            Some(std::net::IpAddr::V4(ip)) => hash(&ip.octets()),
            Some(std::net::IpAddr::V6(ip)) => hash(&ip.octets()),
            // Nothing to tell them apart by: spread.
            None => wanted.random,
        };
        match config.balance {
            Balance::RoundRobin => self.turns.next(candidates),
            Balance::LeastConnections => least(candidates, self.choices),
            Balance::TwoChoices => two(candidates, wanted.random),
            Balance::SourceHash => {
                source(candidates, key(), &Bound::new(candidates, config.load_factor_percent))
            }
            Balance::Maglev => {
                let bound = Bound::new(candidates, config.load_factor_percent);
                group.maglev.find(candidates, key(), &bound)
            }
        }
    }
}
