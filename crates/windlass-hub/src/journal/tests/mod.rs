//! Tests of the journal. `kit.rs` drives it without an engine; `model.rs` is a small hub that knows what it was told.

mod checkpoints;
mod crashes;
mod cuts;
mod faults;
mod folder;
mod kit;
mod model;
mod numbers;
mod posted;
mod records;
mod replayed;
mod settled;
