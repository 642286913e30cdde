//! Slow mode: clients that send much and do not read.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Progress;
use super::options::EchoOptions;
use super::report::EchoReport;

/// What slow readers do to the server and to other clients.
#[derive(Debug, Clone, Copy)]
pub struct SlowReport {}

impl SlowReport {
    pub(crate) fn to_text(self) -> String {
        String::new()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({})
    }
}

pub(crate) fn run(_: &EchoOptions, _: &mut dyn FnMut(Progress)) -> Result<EchoReport> {
    bail!("not yet")
}
