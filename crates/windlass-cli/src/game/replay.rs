//! `windlass game replay`: a recorded match again.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use windlass_realtime::{Arena, Frame, replay_frames};

use crate::args::ReplayArgs;
use crate::print;
use crate::quantity::thousands;

pub(super) fn run(args: &ReplayArgs) -> Result<()> {
    let path = args.file.display();
    let record = std::fs::read(&args.file).with_context(|| format!("cannot read {path}"))?;
    let arena = Arena::kind();
    let mut text = String::new();
    let see = |frame: &Frame| {
        if args.ticks {
            let _ = writeln!(text, "{} {} {:016x}", frame.tick(), frame.ids().len(), frame.hash());
        }
    };
    let replayed =
        replay_frames(&record, |kind, options| (kind == arena.name).then(|| arena.make(options)), see)
            .with_context(|| format!("cannot replay {path}"))?;
    let seconds = replayed.last_tick as f64 / f64::from(replayed.spec.hz.max(1));
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
