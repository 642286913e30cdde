//! Latency plots.

use std::path::Path;

use anyhow::{Result, bail};

use crate::latency::Latency;

/// Refuses a file name whose format is not known, before the run and not after it.
pub(crate) fn check_name(path: &Path) -> Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg" | "html") => Ok(()),
        _ => bail!("`{}` ends neither in .svg nor in .html", path.display()),
    }
}

pub(crate) fn write(_: &Path, _: &str, _: &[(&str, &Latency)]) -> Result<()> {
    Ok(())
}
