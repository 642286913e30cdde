//! Idle mode: what a silent connection costs the server.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Progress;
use super::options::EchoOptions;
use super::report::EchoReport;

/// What idle connections cost the server.
#[derive(Debug, Clone, Copy)]
pub struct IdleReport {}

impl IdleReport {
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
