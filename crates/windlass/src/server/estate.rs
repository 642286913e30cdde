//! What a server keeps for its successor: a second descriptor of all it listens on.

use std::time::Duration;

use crate::shared::Shared;
use crate::sys::handover::{self, Control, Item, Passed, Twin};

use super::{WorkerListeners, WorkerSockets};

/// What is kept for a successor.
#[derive(Default)]
pub(super) struct Estate {
    pub(super) control: Option<Control>,
    /// Of each worker, by the numbers of their listeners.
    pub(super) twins: Vec<Vec<(u16, Twin)>>,
}

impl Estate {
    pub(super) fn new(
        path: &std::path::Path,
        passed: Option<Passed>,
        per_worker: &[WorkerListeners],
        udp: &mut [WorkerSockets],
        shared: &Shared,
    ) -> std::io::Result<Estate> {
        let listener = handover::open_control(path, passed)?;
        let mut bequests = Bequest::of(per_worker, udp)?;
        let items = bequests.first_mut().map(|first| std::mem::take(&mut first.items)).unwrap_or_default();
        let control = Control::new(listener, &items, shared.limits().handover_ready_timeout)?;
        Ok(Estate { control: Some(control), twins: bequests.into_iter().map(|one| one.twins).collect() })
    }
}

/// How what one worker keeps for a successor changes.
#[derive(Default)]
pub(crate) struct Bequest {
    /// Sockets of this worker.
    pub(crate) twins: Vec<(u16, Twin)>,
    /// For the worker that serves the control socket: the sockets of all workers.
    pub(crate) items: Vec<(Item, Twin)>,
    /// Listeners whose sockets go on under another number.
    pub(crate) passed: Vec<(u16, u16)>,
    /// Listeners that close.
    pub(crate) gone: Vec<u16>,
    pub(crate) ready_timeout: Option<Duration>,
}

impl Bequest {
    /// Makes twins of sockets, for each worker.
    pub(super) fn of(
        per_worker: &[WorkerListeners],
        udp: &mut [WorkerSockets],
    ) -> std::io::Result<Vec<Bequest>> {
        let (mut items, mut bequests) = (Vec::new(), Vec::new());
        for listeners in per_worker {
            let mut bequest = Bequest::default();
            for (listener, id, _) in listeners {
                let twin = handover::twin(listener)?;
                items.push((Item::Listener(*id), twin.clone()));
                bequest.twins.push((*id, twin));
            }
            bequests.push(bequest);
        }
        for (socket, _, id, _) in udp.iter_mut().flatten() {
            items.push((Item::Listener(*id), handover::udp_twin(socket)?));
        }
        if let Some(first) = bequests.first_mut() {
            first.items = items;
        }
        Ok(bequests)
    }
}
