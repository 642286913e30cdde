//! A journal without an engine: jobs are run where they are taken.

use std::time::Duration;

use windlass::Time;
use windlass_proto::mqtt::QoS;

use crate::journal::*;

/// A moment after the start.
pub(super) fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

/// Opens a disk's log with these settings.
pub(super) fn open(disk: &SimDisk, config: LogConfig) -> (Log, Recovered) {
    Log::open(disk.clone(), config, 1_000).expect("it opens")
}

/// Commits what waits; whether it worked. True too if nothing waits.
pub(super) fn commit(journal: &mut Journal, ms: u64) -> bool {
    let Some((job, _)) = journal.job(at(ms)) else { return !journal.is_failing() };
    let committed = job();
    journal.answered(Ok(committed), at(ms))
}

/// A session of this client, committed.
pub(super) fn opened(journal: &mut Journal, client_id: &str) -> SessionNumber {
    let session = journal.session();
    journal.record(&Record::Opened { session, client_id, user: "", level: 5, expiry_s: u32::MAX });
    session
}

pub(super) fn body<'b>(topic: &'b str, payload: &'b [u8]) -> Body<'b> {
    Body { topic, payload, qos: QoS::AtLeastOnce, ..Body::default() }
}

/// Queues one message for a session.
pub(super) fn queue(journal: &mut Journal, session: SessionNumber, mark: &Mark, body: &Body<'_>) {
    let message = journal.message(mark, body);
    journal.record(&Record::Queued { session, message, how: How::new(QoS::AtLeastOnce) });
}

/// Who is there, and the payloads that wait for each.
pub(super) fn waiting(recovered: &Recovered) -> Vec<(String, Vec<String>)> {
    let text = |delivery: &RecoveredDelivery| String::from_utf8_lossy(&delivery.message.payload).into_owned();
    let each = |session: &RecoveredSession| {
        (session.client_id.to_string(), session.queued.iter().map(text).collect::<Vec<_>>())
    };
    recovered.sessions.iter().map(each).collect()
}

/// The segments that are there, in order.
pub(super) fn segments(disk: &SimDisk) -> Vec<String> {
    let mut names: Vec<String> = disk.clone().list().expect("it can be listed");
    names.retain(|name| name.ends_with(".log"));
    names.sort();
    names
}
