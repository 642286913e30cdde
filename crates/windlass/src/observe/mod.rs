//! What observers see of a running server, and what it costs: nothing on the hot path but plain adds to
//! memory of the worker's own.
//!
//! [`flows`] counts per listener and per service, published at the end of a turn. [`traffic`] counts per
//! connection, only while somebody looks. Questions that only a worker can answer (which connections are
//! there, what happens in one turn) come to it as [`errands`], beside the mailboxes; `worker/errands.rs`
//! runs them. [`trace`] writes one turn down. [`limits`] sets what is used against what is allowed.

pub(crate) mod errands;
pub(crate) mod flows;
pub(crate) mod inspect;
mod limits;
pub(crate) mod trace;
pub(crate) mod traffic;

pub use errands::{CloseHow, ObserveError};
pub use flows::{ListenerStats, ServiceStats};
pub use inspect::{ConnEntry, ConnState, Page, Query, Sort};
pub use limits::{LimitUse, LimitValue};
pub use trace::{TraceEntry, TraceStep, TurnTrace};
pub use traffic::Traffic;
