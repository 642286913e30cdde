//! Addresses of backends that are configured by name, on one worker: asked for off the loop, and the last good
//! ones kept for as long as there are no newer.

use std::collections::HashMap;
use std::net::SocketAddr;

use windlass::{Lookup, LookupId, Remote, Resolved, Resolver, Scope, Time};

use crate::plan::Plan;
use crate::target::Target;
use crate::upstream::Upstream;

/// What is known of them, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: HashMap<u32, Known>,
    /// Whose answer is waited for.
    asked: HashMap<LookupId, u32>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    /// Which of them is next: one that failed makes way for the one behind it.
    next: usize,
    /// When to ask again.
    due: Option<Time>,
    asking: bool,
}

impl Names {
    /// Whether a backend can be called.
    pub(crate) fn know(&self, upstream: &Upstream) -> bool {
        match upstream.config.to {
            Target::Name { .. } => {
                self.known.get(&upstream.id()).is_some_and(|known| !known.addresses.is_empty())
            }
            _ => true,
        }
    }

    /// Where to call it.
    pub(crate) fn remote(&self, upstream: &Upstream) -> Option<Remote> {
        match &upstream.config.to {
            Target::Address(address) => Some((*address).into()),
            Target::Unix(path) => Some(path.clone().into()),
            Target::Name { .. } => {
                let known = self.known.get(&upstream.id())?;
                let at = known.next % known.addresses.len().max(1);
                known.addresses.get(at).map(|address| (*address).into())
            }
        }
    }

    /// Its present address failed. True: it has others to be tried.
    pub(crate) fn failed(&mut self, upstream: &Upstream) -> bool {
        let Some(known) = self.known.get_mut(&upstream.id()) else { return false };
        known.next = known.next.wrapping_add(1);
        known.addresses.len() > 1
    }

    /// Asks for what is due. True: there is something new.
    pub(crate) fn ask(&mut self, plan: &Plan, resolver: &Resolver, scope: &mut Scope<'_>) -> bool {
        let mut news = false;
        for (_, upstream) in plan.upstreams() {
            let Target::Name { host, port } = &upstream.config.to else { continue };
            let known = self.known.entry(upstream.id()).or_default();
            if known.asking || known.due.is_some_and(|due| due > scope.now()) {
                continue;
            }
            known.due = Some(scope.now() + plan.config.resolve_every);
            match resolver.lookup(scope, host, *port) {
                Ok(Lookup::Ready(addresses)) => news |= known.learn(addresses),
                Ok(Lookup::Pending(id)) => {
                    known.asking = true;
                    self.asked.insert(id, upstream.id());
                }
                Err(_) => known.again_soon(scope.now(), plan),
            }
        }
        news
    }

    /// An answer. True: there is something new.
    pub(crate) fn answered(&mut self, resolved: Resolved, plan: &Plan, now: Time) -> bool {
        let Some(id) = self.asked.remove(&resolved.lookup) else { return false };
        let Some(known) = self.known.get_mut(&id) else { return false };
        known.asking = false;
        match resolved.result {
            Ok(addresses) => known.learn(addresses),
            Err(_) => {
                known.again_soon(now, plan);
                false
            }
        }
    }

    /// Forgets those that are configured no more.
    pub(crate) fn keep_only(&mut self, plan: &Plan) {
        self.known.retain(|id, _| plan.upstreams().any(|(_, upstream)| upstream.id() == *id));
    }
}

impl Known {
    fn learn(&mut self, addresses: Vec<SocketAddr>) -> bool {
        let news = !addresses.is_empty() && addresses != self.addresses;
        if news {
            self.addresses = addresses;
            self.next = 0;
        }
        news
    }

    /// A failure is not believed for long where nothing is known yet.
    fn again_soon(&mut self, now: Time, plan: &Plan) {
        if self.addresses.is_empty() {
            self.due = Some(now + plan.config.resolve_every.min(std::time::Duration::from_secs(1)));
        }
    }
}
