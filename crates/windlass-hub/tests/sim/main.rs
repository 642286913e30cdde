//! The whole hub on a simulated network that does its worst, from seeds: no message of QoS 1 or 2 is lost, none is
//! reordered within its publisher and topic, and none of QoS 2 comes twice.

#![allow(clippy::disallowed_types, reason = "a log is handed to the service that is made later")]

mod device;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use device::{Device, Ledger, Role};
use windlass::sim::{self, Sim};
use windlass::{Mailbox, Offload, OffloadConfig, serve};
use windlass_hub::identity::{Anonymous, Identity, IdentityConfig};
use windlass_hub::journal::{Log, LogConfig, SimDisk, SimPlan};
use windlass_hub::{Done, Hub, HubConfig, HubWatch, Mail, TakeLog};

/// How many seeds a build runs: debug builds only look whether everything still works.
const SEEDS: u64 = if cfg!(debug_assertions) { 60 } else { 1_500 };

fn hub(sim: &mut Sim, config: HubConfig) -> &mut Sim {
    keeping(sim, config, |hub, _, _| hub)
}

/// A hub with a journal, which `keep` gives it.
fn keeping(
    sim: &mut Sim,
    config: HubConfig,
    keep: impl Fn(Hub, &Mailbox<Mail>, &Offload<Done>) -> Hub + Send + Sync + 'static,
) -> &mut Sim {
    let (mailbox, watch) = (Mailbox::new(), HubWatch::new(64));
    let pool = Offload::new(OffloadConfig { threads: 1, ..OffloadConfig::default() });
    let (to_itself, commits) = (mailbox.clone(), pool.clone());
    let anonymous = Some(Anonymous::Everybody);
    let identity = IdentityConfig { anonymous, ..IdentityConfig::default() };
    let config = config.identity(Identity::new(identity));
    let input_max = config.packet_max + 1024;
    let service = serve(move || keep(Hub::new(config.clone(), &watch), &to_itself, &commits))
        .mailbox(&mailbox)
        .offload(&pool)
        .tick(Hub::TICK);
    sim.serve(service.input_max(input_max)).room_for_all().to_the_end().limits(|limits| {
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
    sim::check("hub durable", 0..SEEDS, |sim| {
        let disk = SimDisk::new(sim.rng().next_u64(), SimPlan::default());
        let opened = Log::open(disk, LogConfig::default(), 0).expect("it opens");
        let kept = Mutex::new(Some(opened));
        let take: TakeLog = Arc::new(move || kept.lock().unwrap_or_else(PoisonError::into_inner).take());
        crowd(sim.every_job_returns(), |sim, config| {
            keeping(sim, config, move |hub, mailbox, pool| hub.journal(take.clone(), mailbox, pool))
        });
    });
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
