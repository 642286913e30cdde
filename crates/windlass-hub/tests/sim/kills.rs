//! The whole hub with its journal, killed again and again at any moment, and started with another number of workers: no
//! session that was told of is gone, no message that was acknowledged is lost, and none of QoS 2 comes twice.
#![allow(clippy::disallowed_types, reason = "a log is handed to the service that is made later")]
#![allow(
    clippy::disallowed_methods,
    reason = "the story that is to be told again comes from whoever looks into it"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use windlass::Offload;
use windlass::sim::{self, Client, Line, Sim, Status, Step};
use windlass_hub::HubConfig;
use windlass_hub::journal::{Log, LogConfig, SimDisk, SimPlan};

use crate::device::{Device, Ledger, Role};
use crate::hub_of;

/// How many hubs live and die.
const STORIES: u64 = if cfg!(debug_assertions) { 250 } else { 3_000 };
/// How often each of them is killed.
const LIVES: u64 = 5;

/// What a kill leaves.
#[derive(Default)]
struct Killed {
    is: bool,
    disk: Option<SimDisk>,
}

/// A device that outlives the hub.
#[derive(Clone)]
struct Survivor {
    device: Rc<RefCell<Device>>,
    killed: Rc<RefCell<Killed>>,
}

impl Client for Survivor {
    fn step(&mut self, line: &mut Line<'_>) -> Step {
        // Behind the kill nothing that happens has happened.
        if self.killed.borrow().is {
            if matches!(line.status(), Status::Open) {
                line.reset();
            }
            return Step::Done;
        }
        self.device.borrow_mut().step(line)
    }
}

struct Story {
    devices: Vec<Rc<RefCell<Device>>>,
    disk: SimDisk,
    killed: Rc<RefCell<Killed>>,
}

impl Story {
    fn life(&self, sim: &mut Sim, life: u64) {
        let log = LogConfig::default().segment_bytes(1 << 10).checkpoint_bytes(1 << 10);
        let (log, recovered) = Log::open(self.disk.clone(), log, life * 1000).expect("it opens");
        assert_eq!(recovered.report.problems, Vec::<String>::new());
        let kept = Mutex::new(Some((log, recovered)));
        let take = Arc::new(move || kept.lock().unwrap_or_else(PoisonError::into_inner).take());
        let between_workers_max = 1 << sim.rng().below(24);
        let config = HubConfig { queue_max: 100_000, packet_max: 4 << 10, ..HubConfig::default() };
        let config = config.between_workers_max(between_workers_max);
        let config = config.unix_ms(life * 1000).sys_interval(Duration::from_secs(1));
        let pool = Offload::default();
        let its = pool.clone();
        hub_of(
            sim,
            config,
            move |hub, mailbox| hub.journal(take.clone(), mailbox, &pool),
            move |service| service.offload(&its),
        );
        for device in &self.devices {
            device.borrow_mut().lives_on();
            let (device, killed) = (device.clone(), self.killed.clone());
            sim.clients(1, move |_| Survivor { device: device.clone(), killed: killed.clone() });
        }
        // A disk that never answers is the end of what is durable.
        sim.every_job_returns();
        if life + 1 < LIVES {
            let at = Duration::from_micros(1 << sim.rng().below(23));
            let at = at + Duration::from_micros(sim.rng().below(1 + at.as_micros() as u64));
            let (disk, killed) = (self.disk.clone(), self.killed.clone());
            sim.at(at, move |handle| {
                let mut killed = killed.borrow_mut();
                (killed.is, killed.disk) = (true, Some(disk.crash()));
                handle.stop_now();
            });
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_between_workers_whenever_they_are_killed() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let stories = match number("WINDLASS_STORY") {
        Some(story) => story..story + 1,
        None => 0..number("WINDLASS_STORIES").unwrap_or(STORIES),
    };
    for number in stories {
        let (publishers, subscribers) = (1 + number as usize % 3, 1 + number as usize / 3 % 3);
        let ledger = Rc::new(RefCell::new(Ledger::new(publishers, subscribers)));
        let role = if number % 4 == 3 { Role::Shares } else { Role::Receives };
        let device = |role, number| Rc::new(RefCell::new(Device::new(role, number, ledger.clone())));
        let senders = (0..publishers as u64).map(|number| device(Role::Sends, number));
        let takers = (0..subscribers as u64).map(|number| device(role, number));
        let mut story = Story {
            devices: senders.chain(takers).collect(),
            disk: SimDisk::new(number, SimPlan::default()),
            killed: Rc::default(),
        };
        for life in 0..LIVES {
            // No seed that is run twice: what has happened has happened.
            let seed = (number * LIVES + life) * 8 + 1;
            let outcome = sim::explore("hub kills", seed..seed + 1, |sim| story.life(sim, life));
            if let Err(failure) = outcome {
                panic!("story {number}, life {life} (WINDLASS_STORY={number}): {failure}");
            }
            let killed = std::mem::take(&mut *story.killed.borrow_mut());
            story.disk = killed.disk.unwrap_or_else(|| story.disk.crash());
        }
        assert!(story.devices.iter().all(|device| device.borrow().is_done()), "story {number}");
    }
}
