//! What players see of a room: entities with quantised fields, told as the difference to what a seat has confirmed.
//!
//! A room says in its [`Schema`] what an entity is, and puts those there are into a [`Frame`] after every tick. Frames are
//! kept for as long as anybody may need them ([`History`]): as baselines, and to look back at ([`Play::past`]). What one
//! seat sees of a frame its [`Eye`] decides; what it is sent is in `delta.rs`, and [`SnapshotReader`] reads it.
//!
//! [`Play::past`]: crate::Play::past

mod delta;
mod frame;
mod history;
mod reader;
mod schema;
mod shared;

pub(crate) use delta::{Baseline, write, write_few};
pub use frame::{Eye, Frame};
pub(crate) use history::{History, Saw, Shown};
pub use reader::{SnapshotError, SnapshotReader, View};
pub use schema::{Field, Schema};
pub(crate) use shared::Shared;

#[cfg(test)]
mod tests;
