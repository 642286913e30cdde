//! What a server keeps for its successor: a second descriptor of all it listens on.

use crate::shared::Shared;
use crate::sys::handover::{self, Control, Item, Passed, Twin};

use super::{WorkerListeners, WorkerSockets};

/// What is kept for a successor.
#[derive(Default)]
pub(super) struct Estate {
    pub(super) control: Option<Control>,
    pub(super) twins: Vec<Vec<Twin>>,
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
        let (mut items, mut twins) = (Vec::new(), Vec::new());
        for listeners in per_worker {
            let mut of_worker = Vec::new();
            for (listener, id, _) in listeners {
                let twin = handover::twin(listener)?;
                items.push((Item::Listener(*id), twin.clone()));
                of_worker.push(twin);
            }
            twins.push(of_worker);
        }
        for (socket, _, id, _) in udp.iter_mut().flatten() {
            items.push((Item::Listener(*id), handover::udp_twin(socket)?));
        }
        let control = Control::new(listener, &items, shared.limits.handover_ready_timeout)?;
        Ok(Estate { control: Some(control), twins })
    }
}
