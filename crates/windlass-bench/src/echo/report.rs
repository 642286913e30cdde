//! What a run of the echo load found, as data, as text and as JSON.

use serde_json::{Value, json};

use super::idle::IdleReport;
use super::options::{EchoOptions, Mode};
use super::slow::SlowReport;
use crate::load::Report;

/// What a run found.
#[derive(Debug, Clone)]
pub struct EchoReport {
    /// What every load tells.
    pub load: Report,
    /// What the connections did.
    pub mode: Mode,
    /// What idle mode found.
    pub idle: Option<IdleReport>,
    /// What slow mode found.
    pub slow: Option<SlowReport>,
}

impl EchoReport {
    pub(crate) fn new(options: &EchoOptions) -> EchoReport {
        EchoReport { load: Report::new(&options.load), mode: options.mode, idle: None, slow: None }
    }

    /// The report as a few lines of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = match (&self.idle, &self.slow) {
            (Some(idle), _) => idle.to_text(),
            (None, Some(slow)) => slow.to_text(),
            (None, None) => return self.load.to_text(),
        };
        // Writing to a string cannot fail.
        let _ = self.load.write_verdict(&mut out);
        out
    }

    /// What echo adds to the JSON of every load: `mode`, and what its own modes found.
    pub(crate) fn more_json(&self) -> Value {
        json!({
            "kind": "echo",
            "mode": format!("{:?}", self.mode).to_lowercase(),
            "idle": self.idle.map(IdleReport::to_json),
            "slow": self.slow.as_ref().map(SlowReport::to_json),
        })
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (mut value, more) = (self.load.to_json(), self.more_json());
        if let (Value::Object(all), Value::Object(more)) = (&mut value, more) {
            all.extend(more);
        }
        value
    }
}
