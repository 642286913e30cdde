//! `windlass game replay`: a recorded match again.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use windlass_realtime::{Arena, replay};

use crate::args::ReplayArgs;
use crate::print;
use crate::quantity::thousands;

pub(super) fn run(args: &ReplayArgs) -> Result<()> {
    let path = args.file.display();
    let record = std::fs::read(&args.file).with_context(|| format!("cannot read {path}"))?;
    let arena = Arena::kind();
    let replayed = replay(&record, |kind, options| (kind == arena.name).then(|| arena.make(options)))
        .with_context(|| format!("cannot replay {path}"))?;
    let seconds = replayed.last_tick as f64 / f64::from(replayed.spec.hz.max(1));
    let mut text = String::new();
    let _ = writeln!(text, "{} of {seconds:.1} s", replayed.kind);
    let _ = writeln!(
        text,
        "{} ticks, {} players, {} inputs",
        thousands(replayed.ticks),
        thousands(replayed.joins),
        thousands(replayed.inputs)
    );
    let _ = writeln!(
        text,
        "{} hashes are the same; at the end {:016x}",
        thousands(replayed.hashes),
        replayed.hash
    );
    if !replayed.whole {
        let _ = writeln!(text, "the record breaks off before the room closed");
    }
    print(text.as_bytes());
    Ok(())
}
