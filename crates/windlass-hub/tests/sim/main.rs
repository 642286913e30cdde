//! The whole hub on a simulated network that does its worst, from seeds: no message of QoS 1 or 2 is lost, none is
//! reordered within its publisher and topic, and none of QoS 2 comes twice.

#![allow(clippy::disallowed_types, reason = "a log is handed to the service that is made later")]

mod device;
mod hasty;
mod kills;
mod newcomer;
mod retainer;
mod rival;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use device::{Device, Ledger, Role};
use hasty::{Hasty, Listener, News};
use newcomer::{Newcomer, Wall};
use retainer::{Board, Retainer};
use rival::{Contest, Rival};
use windlass::sim::{self, Sim};
use windlass::{Mailbox, Offload, OffloadConfig, Serve, serve};
use windlass_hub::identity::{Anonymous, Identity, IdentityConfig};
use windlass_hub::journal::{Log, LogConfig, SimDisk, SimPlan};
use windlass_hub::{Hub, HubConfig, HubWatch, Mail, TakeLog};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 60 } else { 1_500 };

/// A hub of one to three workers.
fn hub(sim: &mut Sim, config: HubConfig) -> &mut Sim {
    hub_of(sim, config, |hub, _| hub, |service| service)
}

/// The same, with what `change` and `serve` add to it.
pub(crate) fn hub_of(
    sim: &mut Sim,
    config: HubConfig,
    change: impl Fn(Hub, &Mailbox<Mail>) -> Hub + Send + Sync + 'static,
    describe: impl FnOnce(Serve<Hub>) -> Serve<Hub>,
) -> &mut Sim {
    let workers = 1 + sim.rng().below(3) as usize;
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(workers));
    let anonymous = Some(Anonymous::Everybody);
    let identity = IdentityConfig { anonymous, ..IdentityConfig::default() };
    let config = config.identity(Identity::new(identity));
    let input_max = config.packet_max + 1024;
    let its = mailbox.clone();
    let made = move || change(Hub::new(config.clone(), &watch).spread(&its, workers), &its);
    let service = serve(made).mailbox(&mailbox).tick(Hub::TICK).movable().input_max(input_max);
    sim.workers(workers).can_move().serve(describe(service)).room_for_all().to_the_end().limits(|limits| {
        limits.idle_timeout = Duration::from_secs(3_600);
        limits.input_max = limits.input_max.max(8 << 10);
    })
}

/// Publishers, subscribers with a session that stays, and some who have no manners.
fn crowd<'s>(sim: &'s mut Sim, with: impl FnOnce(&'s mut Sim, HubConfig) -> &'s mut Sim) {
    let publishers = 1 + sim.rng().below(4) as usize;
    let subscribers = 1 + sim.rng().below(4) as usize;
    let rude = sim.rng().below(4) as usize;
    let config = HubConfig {
        packet_max: 4 << 10,
        queue_max: 100_000,
        in_flight_max: 1 + sim.rng().below(20) as u16,
        receive_max: 1 + sim.rng().below(20) as u16,
        between_workers_max: 1 << sim.rng().below(24),
        sys_interval: Duration::from_secs(1),
        ..HubConfig::default()
    };
    let ledger = Rc::new(RefCell::new(Ledger::new(publishers, subscribers)));
    let (of_senders, of_receivers) = (ledger.clone(), ledger);
    let (mut sender, mut receiver) = (0, 0);
    with(sim, config)
        .clients(publishers, move |_| {
            sender += 1;
            Device::new(Role::Sends, sender - 1, of_senders.clone())
        })
        .clients(subscribers, move |_| {
            receiver += 1;
            Device::new(Role::Receives, receiver - 1, of_receivers.clone())
        })
        .clients(rude, sim::rude_client);
}

#[test]
fn nothing_is_lost_doubled_or_reordered() {
    sim::check("hub", 0..SEEDS, |sim| crowd(sim, hub));
}

/// The same with a journal: what waits for a disk comes late, and in its order, whoever is gone meanwhile.
#[test]
fn nothing_is_lost_doubled_or_reordered_behind_a_journal() {
    sim::check("hub durable", 0..SEEDS, |sim| crowd(sim, durable_hub));
}

/// A hub with a journal on a disk that only takes its time.
fn durable_hub(sim: &mut Sim, config: HubConfig) -> &mut Sim {
    let disk = SimDisk::new(sim.rng().next_u64(), SimPlan::default());
    let opened = Log::open(disk, LogConfig::default(), 0).expect("it opens");
    let kept = Mutex::new(Some(opened));
    let take: TakeLog = Arc::new(move || kept.lock().unwrap_or_else(PoisonError::into_inner).take());
    let pool = Offload::new(OffloadConfig { threads: 1, ..OffloadConfig::default() });
    let its = pool.clone();
    hub_of(
        sim.every_job_returns(),
        config,
        move |hub, mailbox| hub.journal(take.clone(), mailbox, &pool),
        move |service| service.offload(&its),
    )
}

#[test]
fn one_of_a_group_gets_each_message_whatever_happens() {
    sim::check("hub shared", 0..SEEDS, |sim| {
        let publishers = 1 + sim.rng().below(3) as usize;
        let members = 2 + sim.rng().below(3) as usize;
        let config = HubConfig { queue_max: 100_000, packet_max: 4 << 10, ..HubConfig::default() };
        let ledger = Rc::new(RefCell::new(Ledger::new(publishers, members)));
        let (of_senders, of_members) = (ledger.clone(), ledger);
        let (mut sender, mut member) = (0, 0);
        hub(sim, config)
            .clients(publishers, move |_| {
                sender += 1;
                Device::new(Role::Sends, sender - 1, of_senders.clone())
            })
            .clients(members, move |_| {
                member += 1;
                Device::new(Role::Shares, member - 1, of_members.clone())
            });
    });
}

/// One identifier, many clients at once, on all workers and on their way between them.
#[test]
fn there_is_one_session_of_an_identifier() {
    sim::check("hub takeover", 0..SEEDS, |sim| {
        let rivals = 2 + sim.rng().below(12) as usize;
        let contest = Rc::new(RefCell::new(Contest::default()));
        hub(sim, HubConfig::default())
            .clients(rivals, move |rng| Rival::new(contest.clone(), 1 + rng.below(4) as u32));
    });
}

/// Whoever sends CONNECT and all else at once and half-closes is served like others.
#[test]
fn what_hasty_clients_say_is_heard() {
    sim::check("hub hasty", 0..SEEDS, |sim| {
        let hasty = 1 + sim.rng().below(10) as usize;
        let news = Rc::new(RefCell::new(News::of(hasty)));
        let (of_hasty, mut number) = (news.clone(), 0);
        hub(sim, HubConfig::default()).clients(1, move |_| Listener::new(news.clone())).clients(
            hasty,
            move |_| {
                number += 1;
                Hasty::new(number - 1, of_hasty.clone())
            },
        );
    });
}

/// What is retained is the same on all workers in the end, whoever was last.
#[test]
fn all_workers_agree_on_what_is_retained() {
    sim::check("hub retained", 0..SEEDS, |sim| {
        let retainers = 2 + sim.rng().below(5) as usize;
        let board = Rc::new(RefCell::new(Board::of(retainers)));
        let (of_looks, mut number, mut looks) = (board.clone(), 0, 0);
        hub(sim, HubConfig::default())
            .clients(retainers, move |_| {
                number += 1;
                Retainer::new(number, false, board.clone())
            })
            .clients(4, move |_| {
                looks += 1;
                Retainer::new(looks, true, of_looks.clone())
            });
    });
}

/// Some who retain, and some who come and go.
fn newcomers<'s>(sim: &'s mut Sim, with: impl FnOnce(&'s mut Sim, HubConfig) -> &'s mut Sim) {
    let retainers = 1 + sim.rng().below(3) as usize;
    // Few, so that each is retained again and again; or many, so that looking for them takes its time.
    let topics = if sim.rng().chance(1, 2) { 3 } else { 30 };
    let config = HubConfig {
        queue_max: 100_000,
        in_flight_max: 1 + sim.rng().below(20) as u16,
        between_workers_max: 1 << sim.rng().below(24),
        ..HubConfig::default()
    };
    let wall = Rc::new(RefCell::new(Wall::of(retainers, topics)));
    let (of_newcomers, mut number, mut newcomer) = (wall.clone(), 0, 0);
    with(sim, config)
        .clients(retainers, move |_| {
            number += 1;
            newcomer::Retainer::new(number, wall.clone())
        })
        .clients(3, move |_| {
            newcomer += 1;
            Newcomer::new(newcomer, of_newcomers.clone())
        });
}

/// What is retained while somebody subscribes comes once.
#[test]
fn a_message_comes_to_a_new_subscription_once() {
    sim::check("hub newcomers", 0..SEEDS, |sim| newcomers(sim, hub));
}

/// The same with a journal, for which a message waits on its way to another worker.
#[test]
fn a_message_comes_to_a_new_subscription_once_behind_a_journal() {
    sim::check("hub newcomers durable", 0..SEEDS, |sim| newcomers(sim, durable_hub));
}
