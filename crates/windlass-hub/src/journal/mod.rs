//! What outlives the process: sessions, their messages, what is retained, wills.
//!
//! One [`Log`] for the process, in a folder: segments that are appended to, read once at the start, and removed when a
//! checkpoint has written down anew what still matters. Each worker has a [`Journal`], its end of the log: it records
//! what changes, and is told when that is on the disk. Read `worker.rs` first, then `record.rs`, `log.rs`,
//! `recover.rs`. All that touches the disk goes through [`Disk`], so that a test can pull the plug.
//!
//! **Why a log of our own.** What a hub has to write is a stream of small changes to a state that is in memory anyway,
//! and what it has to read is all of it, once. A log with one sync for many records does 3.9 million records a second
//! on the disk where the embedded stores that were compared (fjall, redb, LMDB, SQLite) do 0.06 to 0.9 million, and
//! tells exactly what a lost write has cost. `cargo bench -p
//! windlass-bench --bench journal` measures it.
//!
//! **What is promised.** What [`Journal::committed`] covers is there after `kill -9` and after a loss of power
//! ([`Durability`] says which). Records of one turn are there together or not at all. A log cut off at any byte opens.
//! One that was garbled opens too: what is whole is used, the file is set aside and the operator told. A write that
//! fails, a full disk, a sync that fails: nothing that waits is acknowledged, [`Journal::admit`] refuses new durable
//! work, and the batch is written again into a *new* segment until that succeeds. A file whose sync has failed is never
//! written to again, since the system may have dropped what it could not write and call the next sync a success.
//!
//! **A turn.** Record, and remember the number of the last record with what waits for it. At the end of the turn, and
//! with each answer and each tick, [`submit`](Journal::submit). In `Work::answer`, give the result to
//! [`answered`](Journal::answered), and let go what waits up to [`committed`](Journal::committed).
//!
//! **Checkpoints.** The log announces a round when it is long ([`Journal::walk_is_wanted`]). Each worker then writes
//! down all that it has, in steps ([`begin_walk`](Journal::begin_walk)), and when the last has committed the end of its
//! walk, segments from before the round are removed. A session that moves between workers meanwhile is told with
//! [`released`](Journal::released) and [`adopted`](Journal::adopted). No second file format, no pause.
//!
//! **Between workers.** What a publisher is told and what waits for sessions of other workers stand in batches of
//! different workers, and only batches are whole or not there. So the worker that has the publisher writes down, in one
//! batch with what it is told, that the message is *posted* to another worker ([`Record::Posted`]), and with that the
//! hub has it: the publisher may be told. The other worker writes down, in one batch with what it queues, that it has
//! *taken* all that was posted up to a number ([`Record::Taken`]). A start finds what was posted and not taken, gives it
//! to the sessions that it is for, and writes that down in batches before all others, each message in one of them
//! (`settle.rs`). So a message is never lost between two workers and never given twice, wherever the power goes. It is
//! passed on when its being posted is committed, since its publisher sends it again otherwise, and in the order in which
//! it was posted.
//!
//! **A hand-over** (`windlass upgrade`). The successor serves before the predecessor has ended, and only one of them may
//! have the log. The predecessor, told that it is superseded, ends its clients' connections (they come back to the
//! successor), commits, and drops its journals and its log: the lock goes with the last of them, at the latest with
//! the process. Until then [`Log::open`] says [`LogError::Locked`]; the successor takes connections and leaves each
//! CONNECT where it is, and asks again every 50 ms (in a job: reading the log blocks), until it has the log and with it
//! every session. So no session is ever in two places, and no client is refused.

mod batch;
mod disk;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod latency;
mod log;
mod mark;
mod record;
mod recover;
mod recovered;
mod replay;
mod segments;
mod settle;
#[cfg(test)]
mod tests;
mod wire;
mod worker;

pub use disk::{Disk, DiskFile, DiskLock, Folder, SimDisk, SimPlan};
pub use latency::Latency;
pub use log::{Durability, Log, LogConfig, LogError, LogStatus};
pub use mark::Mark;
pub(crate) use record::REPLAYS;
pub use record::{Body, Groups, How, Ids, MessageNumber, Record, RecordError, SessionNumber, Way};
pub use recovered::{
    Recovered, RecoveredDelivery, RecoveredInFlight, RecoveredMessage, RecoveredRetained, RecoveredSession,
    RecoveredSubscription, RecoveredWill, RecoveredWillDue, Report,
};
pub use windlass_proto::mqtt::QoS;
pub use worker::{Committed, Journal, JournalStats, Refusal};
