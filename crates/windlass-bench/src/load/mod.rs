//! What every load has in common: options, the loop, the open loop's schedule, the report, the command's
//! manners. A protocol brings a `Speech` and gets all of it.
//!
//! Read `line.rs` for what a connection is to the loop, `driven.rs` for the loop, and `talker.rs` for
//! connections of requests and replies.

mod churn;
mod command;
mod driven;
mod line;
mod options;
mod pace;
mod report;
mod run;
mod slices;
mod steady;
mod talker;
#[cfg(feature = "tls")]
mod tls;
mod wire;

pub use command::Progress;
pub(crate) use command::{Bench, command};
pub(crate) use driven::{Load, Tally};
pub(crate) use line::{Arrived, Fault, Line, Owed, Speech, excerpt};
pub use options::{LoadArgs, Options, StreamArgs, Tls};
pub(crate) use pace::{Cursor, Pace};
pub use report::{Report, ServerUse};
pub(crate) use run::{At, Part, Share, run, run_shares};
pub(crate) use slices::Sliced;
pub(crate) use steady::{Meter, connect, open};
pub(crate) use talker::{Talk, Talker};
#[cfg(feature = "tls")]
pub(crate) use tls::TlsClient;
#[cfg(feature = "tls")]
pub use tls::Trust;
pub(crate) use wire::Wire;
