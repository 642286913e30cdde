//! Changing a running server: a change is checked, everything it needs is opened, and only then each
//! worker gets its order. Up to that moment whatever fails leaves no trace.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::address::Address;
use crate::change::{Applied, Change, Changes, Own};
use crate::config::{Config, Limits};
use crate::error::{Error, Result};
use crate::serve::{OwnLimits, ServiceSpec};
use crate::shared::{ListenerShared, RUNNING, Shared};
use crate::sys::handover::DESCRIPTORS_MAX;
use crate::sys::{MioSys, Token, now};
use crate::worker::Handoffs;
use crate::worker::change::{Order, Outcome, Progress, Receipt};
use crate::worker::leaving::Departure;

use super::estate::Bequest;
use super::inherit::Wish;
use super::listening::{BoundAddress, Listening, Whose};
use super::paths::{AdoptedPath, UnixPaths};
use super::{check_service, resolve_limits};

/// How long a change waits for the workers to make it.
const MADE_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked whether a server has begun.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Services and listeners are numbered below this.
const NUMBERS_MAX: usize = u16::MAX as usize;

/// What a server is made of while it runs, and the way to its workers.
pub(super) struct Changer {
    pub(super) handoffs: Arc<Handoffs<MioSys>>,
    /// `None` once the server has ended.
    state: Mutex<Option<Made>>,
}

pub(super) struct Made {
    pub(super) config: Config,
    /// By number.
    pub(super) services: Vec<Place>,
    /// By number.
    pub(super) listeners: Vec<Option<Open>>,
    pub(super) unix_paths: UnixPaths,
    /// A successor may ask for the sockets.
    pub(super) hands_over: bool,
}

/// What has the number of a service.
pub(super) enum Place {
    There(Arc<dyn ServiceSpec>, OwnLimits),
    Leaving(Arc<Departure>),
    /// Given to a service that could not be added.
    Free,
}

/// A listener that is open.
pub(super) struct Open {
    pub(super) asked: Address,
    pub(super) bound: BoundAddress,
    pub(super) service: u16,
    /// The only worker that has sockets, if it is to be only one.
    pub(super) pin: Option<usize>,
    /// Sockets on each worker.
    pub(super) sockets: Vec<usize>,
}

impl Drop for Made {
    /// Nobody takes what is sent to the services any more.
    fn drop(&mut self) {
        for place in &self.services {
            match place {
                Place::There(spec, _) => spec.close_mailbox(),
                Place::Leaving(departure) => departure.close_mailbox(),
                Place::Free => {}
            }
        }
    }
}

/// The end of the server ends what can be changed of it.
pub(super) struct Ending(pub(super) Arc<Changer>);

impl Drop for Ending {
    fn drop(&mut self) {
        // What it is made of refers to what refers to the changer.
        let made = self.0.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(made);
    }
}

impl Changer {
    pub(super) fn new(handoffs: Arc<Handoffs<MioSys>>, made: Made) -> Arc<Changer> {
        Arc::new(Changer { handoffs, state: Mutex::new(Some(made)) })
    }

    /// The services a server begins with.
    pub(super) fn services(&self) -> Vec<Arc<dyn ServiceSpec>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let places = state.iter().flat_map(|made| &made.services);
        let specs = places.filter_map(|place| match place {
            Place::There(spec, _) => Some(spec.clone()),
            Place::Leaving(_) | Place::Free => None,
        });
        specs.collect()
    }

    pub(super) fn adopt(&self, paths: Vec<AdoptedPath>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = state.as_mut() {
            paths.into_iter().for_each(|path| made.unix_paths.adopt(path));
        }
    }
}

impl Changes for Arc<Changer> {
    fn apply(&self, shared: &Arc<Shared>, change: Change) -> Result<Applied> {
        if super::bound::is_worker() {
            return Err(Error::config("a worker cannot change its server: it would wait for itself"));
        }
        let stopping = || Error::config("the server is shutting down, and does not change any more");
        // A server that was told to run a moment ago is about to begin.
        let until = now() + MADE_WITHIN;
        while !shared.begun.load(Acquire) && shared.stop_state() == RUNNING && now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
        // Held to the end: one change after the other.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let made = state.as_mut().ok_or_else(stopping)?;
        if !shared.begun.load(Acquire) {
            return Err(Error::config("the server does not run yet, and cannot be changed"));
        }
        if shared.stop_state() != RUNNING {
            return Err(stopping());
        }
        let mut plan = Plan::new(made, shared, change)?;
        let opened = plan.open(made, shared)?;
        let progress = Progress::new();
        let addresses = plan.addresses(&opened, made);
        if !plan.post(made, opened, shared, &self.handoffs, &progress)? {
            return Err(stopping());
        }
        match progress.wait(MADE_WITHIN) {
            Outcome::Stopping => Err(stopping()),
            outcome => Ok(Applied { addresses, everywhere: outcome == Outcome::Everywhere }),
        }
    }
}

/// A listener to come.
struct Coming {
    asked: Address,
    id: u16,
    service: u16,
    pin: Option<usize>,
    shared: Arc<ListenerShared>,
    /// The number of the listener whose sockets it goes on with.
    from: Option<u16>,
}

/// A change that has been checked, with every number it needs.
struct Plan {
    limits: Option<Limits>,
    own: Vec<(u16, OwnLimits)>,
    add: Vec<(u16, Arc<dyn ServiceSpec>)>,
    coming: Vec<Coming>,
    /// Listeners that close, or whose sockets are passed on.
    going: Vec<u16>,
    remove: Vec<u16>,
}

impl Plan {
    fn new(made: &Made, shared: &Shared, change: Change) -> Result<Plan> {
        let Change { add, remove, listen, unlisten, limits, own, error } = change;
        if let Some(error) = error {
            return Err(error);
        }
        let mut limits = limits.map(resolve_limits).transpose()?;
        if let (Some(budget), Some(limits)) = (&shared.budget, &mut limits) {
            budget.bound(limits);
        }
        let mut plan = Plan {
            limits,
            own: Vec::new(),
            add: Vec::new(),
            coming: Vec::new(),
            going: Vec::new(),
            remove: Vec::new(),
        };
        for name in remove {
            let service = made.service(&name)?;
            if !plan.remove.contains(&service) {
                plan.remove.push(service);
            }
        }
        plan.going.extend(made.listeners_where(|open| plan.remove.contains(&open.service)));
        let named = |name: &str, plan: &Plan| {
            let service = made.service(name)?;
            if plan.remove.contains(&service) {
                return Err(Error::config(format!("{name} is removed by the same change")));
            }
            Ok(service)
        };
        for (name, address) in unlisten {
            let service = named(&name, &plan)?;
            let is_it = |open: &Open| open.service == service && open.is_at(&address);
            let Some(id) = made.listeners_where(is_it).find(|id| !plan.going.contains(id)) else {
                return Err(Error::config(format!("{name} does not listen on {address}")));
            };
            plan.going.push(id);
        }
        for (name, own) in own {
            let service = named(&name, &plan)?;
            let place = plan.own.iter().position(|(of, _)| *of == service).unwrap_or_else(|| {
                plan.own.push((service, made.own(service)));
                plan.own.len() - 1
            });
            match own {
                Own::IdleTimeout(timeout) => plan.own[place].1.idle_timeout = timeout,
                Own::InputMax(bytes) => plan.own[place].1.input_max = bytes,
            }
        }
        for (service, own) in &plan.own {
            super::check_own(&made.name(*service), own)?;
        }
        plan.add(made, shared, add)?;
        for wanted in listen {
            let service = named(&wanted.service, &plan)?;
            let Place::There(spec, _) = &made.services[usize::from(service)] else { continue };
            if let Some(error) = spec.cannot_listen(&wanted.address) {
                return Err(error);
            }
            let listener = ListenerShared {
                service: wanted.service,
                tag: wanted.tag,
                reserve: spec.reserve(),
                #[cfg(feature = "tls")]
                tls: wanted.tls,
                ..ListenerShared::default()
            };
            plan.come(made, shared, (wanted.address, None), service, listener)?;
        }
        Ok(plan)
    }

    fn add(&mut self, made: &Made, shared: &Shared, add: Vec<Box<dyn ServiceSpec>>) -> Result<()> {
        for mut spec in add {
            if let Some(error) = spec.take_error() {
                return Err(error);
            }
            check_service(&*spec)?;
            let name = spec.name();
            let there = made.services.iter().enumerate().any(|(n, place)| {
                matches!(place, Place::There(other, _) if other.name() == name)
                    && !self.remove.contains(&(n as u16))
            });
            if there || self.add.iter().any(|(_, other)| other.name() == name) {
                return Err(Error::config(format!("there is a service {name} already")));
            }
            let spec: Arc<dyn ServiceSpec> = spec.into();
            let is_free = |n: &usize| {
                let vacant = made.services.get(*n).is_none_or(Place::is_free);
                vacant && !self.add.iter().any(|(of, _)| usize::from(*of) == *n)
            };
            let number = (0..NUMBERS_MAX).find(is_free).ok_or_else(|| Error::config("too many services"))?;
            self.add.push((number as u16, spec.clone()));
            for (n, address) in spec.listen().iter().enumerate() {
                let listener = ListenerShared {
                    service: name.to_string(),
                    tag: spec.tag(n),
                    reserve: spec.reserve(),
                    #[cfg(feature = "tls")]
                    tls: spec.tls(n).cloned(),
                    ..ListenerShared::default()
                };
                self.come(made, shared, (address.clone(), spec.pin(n)), number as u16, listener)?;
            }
        }
        Ok(())
    }

    /// Finds a number for a listener, and sockets that it may go on with.
    fn come(
        &mut self,
        made: &Made,
        shared: &Shared,
        (asked, pin): (Address, Option<usize>),
        service: u16,
        mut listener: ListenerShared,
    ) -> Result<()> {
        let listeners = shared.listeners();
        let taken = |n: usize| self.coming.iter().any(|coming| usize::from(coming.id) == n);
        let is_free = |n: &usize| listeners.get(*n).is_none_or(|listener| listener.is_over()) && !taken(*n);
        let id = (0..NUMBERS_MAX).find(is_free).ok_or_else(|| Error::config("too many listeners"))?;
        let is_passed = |id: u16| self.coming.iter().any(|coming| coming.from == Some(id));
        let open = |id: u16| made.listeners[usize::from(id)].as_ref();
        // A service may have closed sockets of its own: those cannot go on.
        let is_whole = |id: u16, open: &Open| {
            listeners[usize::from(id)].sockets.load(Acquire) == open.sockets.iter().sum::<usize>()
        };
        let from = self.going.iter().copied().find(|id| {
            !is_passed(*id)
                && open(*id).is_some_and(|open| {
                    open.pin == pin && (open.asked == asked || open.is_at(&asked)) && is_whole(*id, open)
                })
        });
        let open = from.and_then(open);
        if let Some(from) = from {
            listener.taken = listeners[usize::from(from)].taken.clone();
            listener.local = listeners[usize::from(from)].local;
        }
        listener.name = open.map(|open| open.bound.to_string()).unwrap_or_default();
        let sockets = open.map_or(0, |open| open.sockets.iter().sum());
        listener.sockets = sockets.into();
        self.coming.push(Coming { asked, id: id as u16, service, pin, shared: Arc::new(listener), from });
        Ok(())
    }

    /// Opens every listener that is not there yet, and binds the mailboxes of what is added.
    fn open(&mut self, made: &Made, shared: &Arc<Shared>) -> Result<Listening> {
        let mut listening = Listening::new(shared.workers.len());
        let mut config = made.config.clone();
        if let Some(limits) = &self.limits {
            config.limits = limits.clone();
        }
        for coming in &mut self.coming {
            if coming.from.is_some() {
                continue;
            }
            let whose = Whose { id: coming.id, service: coming.service, pin: coming.pin };
            listening.open(&coming.asked, whose, &config, None)?;
            let sockets = listening.sockets_of(coming.id).iter().sum();
            if let (Some(listener), Some(at)) = (Arc::get_mut(&mut coming.shared), listening.addresses.last())
            {
                listener.name = at.to_string();
                listener.local = listening.locals.last().copied().flatten();
                listener.sockets = AtomicUsize::new(sockets);
            }
        }
        self.check_room(made, &listening)?;
        for (n, (_, spec)) in self.add.iter().enumerate() {
            if !spec.bind_mailbox(shared) {
                self.add[..n].iter().for_each(|(_, spec)| spec.close_mailbox());
                return Err(Error::config("a mailbox, pool or resolver can be bound to one service only"));
            }
        }
        Ok(listening)
    }

    fn check_room(&self, made: &Made, listening: &Listening) -> Result<()> {
        let gone: Vec<u16> = self.gone().collect();
        let stays = made.listeners.iter().enumerate().filter(|(id, _)| !gone.contains(&(*id as u16)));
        let kept: Vec<_> = stays.filter_map(|(_, open)| Some(&open.as_ref()?.sockets)).collect();
        for (worker, listeners) in listening.per_worker.iter().enumerate() {
            let all = listeners.len() + kept.iter().map(|sockets| sockets[worker]).sum::<usize>();
            // Those that are about to close have their places until then.
            if all + gone.len() > Token::LISTENERS_MAX {
                return Err(Error::config(format!("more than {} listeners", Token::LISTENERS_MAX)));
            }
        }
        let opened: usize = listening.per_worker.iter().map(Vec::len).sum();
        if made.hands_over && opened + kept.iter().flat_map(|s| s.iter()).sum::<usize>() >= DESCRIPTORS_MAX {
            return Err(Error::config("more sockets than can be handed over"));
        }
        Ok(())
    }

    /// Where the listeners to come listen, in the order in which they were asked for.
    fn addresses(&self, opened: &Listening, made: &Made) -> Vec<BoundAddress> {
        let mut new = opened.addresses.iter();
        let at = |coming: &Coming| match coming.from {
            Some(from) => made.listeners[usize::from(from)].as_ref().map(|open| open.bound.clone()),
            None => new.next().cloned(),
        };
        self.coming.iter().filter_map(at).collect()
    }

    /// Gives every worker its order; false if the server is about to stop, and nothing has changed.
    fn post(
        self,
        made: &mut Made,
        mut opened: Listening,
        shared: &Arc<Shared>,
        handoffs: &Handoffs<MioSys>,
        progress: &Arc<Progress>,
    ) -> Result<bool> {
        let workers = shared.workers.len();
        let mut bequests: Vec<Option<Bequest>> = (0..workers).map(|_| None).collect();
        if made.hands_over {
            let failed = |e| Error::system("cannot keep a listener for a successor", e);
            let made_for = Bequest::of(&opened.per_worker, &mut opened.udp).map_err(failed);
            let mut all = made_for.inspect_err(|_| self.give_up())?;
            for bequest in &mut all {
                bequest.passed = self.coming.iter().filter_map(|c| Some((c.from?, c.id))).collect();
                bequest.gone = self.gone().collect();
                bequest.ready_timeout = self.limits.as_ref().map(|limits| limits.handover_ready_timeout);
            }
            bequests = all.into_iter().map(Some).collect();
        }
        let departing = self.remove.iter().filter_map(|service| {
            let Place::There(spec, _) = &made.services[usize::from(*service)] else { return None };
            Some((*service, Arc::new(Departure::new(spec.clone(), workers))))
        });
        let departing: Vec<_> = departing.collect();
        let limits = self.limits.clone().map(Arc::new);
        let sockets: Vec<Vec<usize>> = self
            .coming
            .iter()
            .map(|coming| match coming.from {
                Some(from) => {
                    made.listeners[usize::from(from)].as_ref().map_or(Vec::new(), |o| o.sockets.clone())
                }
                None => opened.sockets_of(coming.id),
            })
            .collect();
        let addresses = self.addresses(&opened, made);
        let order = |(worker, receipt): (usize, Receipt)| {
            let mut order = Order::<MioSys>::new(receipt);
            order.limits = limits.clone();
            order.own = self.own.clone();
            order.listeners = self.coming.iter().map(|c| (c.id, c.shared.clone())).collect();
            order.add = self.add.clone();
            if let Some(bequest) = bequests[worker].take() {
                order.keep = Some(Box::new(move |sys: &mut MioSys| sys.change_kept(bequest)));
            }
            order.pass = self.coming.iter().filter_map(|c| Some((c.from?, c.id, c.service))).collect();
            order.close = self.closing(made).collect();
            order.remove = departing.clone();
            order.open = std::mem::take(&mut opened.per_worker[worker]);
            order.sockets = std::mem::take(&mut opened.udp[worker]);
            order
        };
        let orders = (0..workers).map(|worker| (worker, progress.receipt())).map(order).collect();
        let posted = handoffs.post(orders, shared, || {
            // A path goes first: whoever comes through it from now on would find nobody.
            self.gone().for_each(|id| made.unix_paths.remove(id));
            for coming in &self.coming {
                shared.put_listener(coming.id, coming.shared.clone());
                coming.from.into_iter().for_each(|from| made.unix_paths.rename(from, coming.id));
            }
            let old = shared.listeners();
            self.going.iter().for_each(|id| old[usize::from(*id)].removed.store(true, Release));
            if let Some(limits) = &self.limits {
                shared.set_limits(limits);
            }
        });
        if !posted {
            self.give_up();
            return Ok(false);
        }
        made.unix_paths.extend(&mut opened.unix_paths);
        for id in &self.going {
            made.listeners[usize::from(*id)] = None;
        }
        for ((coming, sockets), bound) in self.coming.into_iter().zip(sockets).zip(addresses) {
            let (asked, service, pin) = (coming.asked, coming.service, coming.pin);
            let open = Open { asked, bound, service, pin, sockets };
            put(&mut made.listeners, coming.id, Some(open), || None);
        }
        for (service, departure) in departing {
            made.services[usize::from(service)] = Place::Leaving(departure);
        }
        for (service, own) in self.own {
            if let Place::There(_, of) = &mut made.services[usize::from(service)] {
                *of = own;
            }
        }
        for (service, spec) in self.add {
            let own = spec.own_limits();
            put(&mut made.services, service, Place::There(spec, own), || Place::Free);
        }
        if let Some(limits) = self.limits {
            made.config.limits = limits;
        }
        Ok(true)
    }

    /// Listeners that are nobody's from now on.
    fn gone(&self) -> impl Iterator<Item = u16> + '_ {
        let passed = |id: &u16| self.coming.iter().any(|coming| coming.from == Some(*id));
        self.going.iter().copied().filter(move |id| !passed(id))
    }

    /// Of these, those whose service stays: the others go with theirs.
    fn closing<'a>(&'a self, made: &'a Made) -> impl Iterator<Item = u16> + 'a {
        let stays = |id: &u16| {
            made.listeners[usize::from(*id)].as_ref().is_some_and(|open| !self.remove.contains(&open.service))
        };
        self.gone().filter(stays)
    }

    /// What was to be added is not.
    fn give_up(&self) {
        self.add.iter().for_each(|(_, spec)| spec.close_mailbox());
    }
}

/// Puts `value` at a number of a table, which may be its end.
fn put<T>(table: &mut Vec<T>, number: u16, value: T, vacant: impl Fn() -> T) {
    let n = usize::from(number);
    if table.len() <= n {
        table.resize_with(n + 1, vacant);
    }
    table[n] = value;
}

impl Place {
    fn is_free(&self) -> bool {
        match self {
            Place::There(..) => false,
            Place::Leaving(departure) => departure.is_over(),
            Place::Free => true,
        }
    }
}

impl Open {
    /// Whether it listens on an address, by what it was told or by what it has.
    fn is_at(&self, address: &Address) -> bool {
        self.asked == *address || Wish::of(address).is_for(&self.bound)
    }
}

impl Made {
    /// The one service of this name.
    fn service(&self, name: &str) -> Result<u16> {
        let named =
            |(_, place): &(usize, &Place)| matches!(place, Place::There(spec, _) if *spec.name() == *name);
        let mut found = self.services.iter().enumerate().filter(named).map(|(n, _)| n as u16);
        match (found.next(), found.next()) {
            (Some(service), None) => Ok(service),
            (Some(_), Some(_)) => Err(Error::config(format!("there are several services {name}"))),
            (None, _) => Err(Error::config(format!("there is no service {name}"))),
        }
    }

    fn name(&self, service: u16) -> Arc<str> {
        match &self.services[usize::from(service)] {
            Place::There(spec, _) => spec.name(),
            Place::Leaving(_) | Place::Free => "".into(),
        }
    }

    fn own(&self, service: u16) -> OwnLimits {
        match &self.services[usize::from(service)] {
            Place::There(_, own) => *own,
            Place::Leaving(_) | Place::Free => OwnLimits::default(),
        }
    }

    fn listeners_where<'a>(&'a self, is_it: impl Fn(&Open) -> bool + 'a) -> impl Iterator<Item = u16> + 'a {
        let listeners = self.listeners.iter().enumerate();
        listeners.filter(move |(_, open)| open.as_ref().is_some_and(&is_it)).map(|(n, _)| n as u16)
    }
}
