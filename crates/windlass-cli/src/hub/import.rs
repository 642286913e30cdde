//! `windlass hub import`: a mosquitto.conf as a windlass.toml.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use windlass_hub::import::{Fate, Source, mosquitto};

use super::identity;
use crate::args::ImportArgs;
use crate::print;

pub(super) fn run(args: &ImportArgs) -> Result<()> {
    let main = source(&args.file).map_err(anyhow::Error::msg)?;
    let imported = mosquitto(main, &mut |folder| folder_of(Path::new(folder)));
    let mut text = String::new();
    for remark in &imported.remarks {
        let name = &imported.sources[remark.source].name;
        let _ = write!(text, "{name}:{}: {}: ", remark.line, remark.directive);
        text += match remark.fate {
            Fate::Dropped => "not carried over: ",
            Fate::Mistake => "mistake: ",
            _ => "",
        };
        text += &remark.why;
        text.push('\n');
    }
    let count = |fate| imported.remarks.iter().filter(|remark| remark.fate == fate).count();
    let _ = writeln!(
        text,
        "{} of its lines are not carried over, {} are no lines of a mosquitto.conf, {} need a look",
        count(Fate::Dropped),
        count(Fate::Mistake),
        count(Fate::Changed),
    );
    match &args.output {
        None => print(imported.toml.as_bytes()),
        Some(path) => {
            // What is there may be somebody's work.
            let mut file = std::fs::File::create_new(path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            file.write_all(imported.toml.as_bytes())?;
        }
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    Ok(())
}

fn source(path: &Path) -> Result<Source, String> {
    Ok(Source { name: path.display().to_string(), text: identity::read(path)? })
}

/// The files of a folder that end in `.conf`, in the order of their names, as Mosquitto reads them.
fn folder_of(folder: &Path) -> Result<Vec<Source>, String> {
    let fail = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}
