//! A server from a file, with the keys of `windlass run`. Read `tables` for what may stand in one; `toml` reads it,
//! `value` understands what is set, `nearest` finds what was meant.
//!
//! The first thing that is wrong ends the start: its line is said, and what was probably meant.

mod memory;
mod nearest;
mod tables;
mod toml;
mod value;

use nearest::nearest;
pub(crate) use tables::Config;
#[cfg(feature = "hub")]
pub(crate) use tables::Hub;
#[cfg(feature = "relay")]
pub(crate) use tables::Proxy;
pub(crate) use tables::Tls;
use toml::{Said, Value};

/// Bytes of a file: what is longer is no configuration.
const FILE_MAX: u64 = 1 << 20;

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    /// Counted from 1; 0 if it is about no line.
    pub(crate) line: u32,
    /// One sentence.
    pub(crate) what: String,
}

impl Problem {
    pub(crate) fn at(line: u32, what: &str) -> Problem {
        Problem { line, what: what.into() }
    }
}

/// Reads the file at `path`.
pub(crate) fn load(path: &std::path::Path) -> Result<Config, Problem> {
    use std::io::Read;
    let cannot = |why: &str| Problem::at(0, &crate::joined(&["cannot read it: ", why]));
    let file = std::fs::File::open(path).map_err(|error| cannot(crate::words(&error)))?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(crate::words(&error)))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(cannot("it is longer than 1 MiB"));
    }
    parse(std::str::from_utf8(&bytes).map_err(|_| cannot("it is no text"))?)
}

/// Understands the text of a file.
pub(crate) fn parse(text: &str) -> Result<Config, Problem> {
    let mut config = Config::default();
    // Keys and tables that stand there, so that none stands there twice; of a list, those of its last entry. Only a
    // table that is not written as one but in front of its keys is said with each of them.
    let mut seen: Vec<String> = Vec::new();
    let mut tables: Vec<(String, bool)> = Vec::new();
    toml::read(text, &mut |said, line| match said {
        Said::Entry(path) => {
            let below = crate::joined(&[&path, "."]);
            seen.retain(|key| !key.starts_with(&below));
            tables.retain(|(table, _)| !table.starts_with(&below));
            if config.begin(&path, line) {
                Ok(())
            } else {
                Err(unknown("list of tables", &path, tables::LISTS, line))
            }
        }
        Said::Table(path) | Said::Inline(path) => begin(&mut config, &mut tables, path, false, line),
        Said::Dotted(path) => begin(&mut config, &mut tables, path, true, line),
        Said::Key(path, value) => {
            if seen.contains(&path) {
                return Err(Problem::at(line, &crate::joined(&["`", &path, "` is said twice"])));
            }
            set(&mut config, &path, value, line)?;
            seen.push(path);
            Ok(())
        }
    })?;
    config.check()?;
    config.divide();
    Ok(config)
}

/// Begins or goes on with the table at `path`.
fn begin(
    config: &mut Config,
    begun: &mut Vec<(String, bool)>,
    path: String,
    is_dotted: bool,
    line: u32,
) -> Result<(), Problem> {
    if tables::LISTS.contains(&&*path) {
        let what = ["`", &path, "` is a list: write it as [[", &path, "]]"];
        return Err(Problem::at(line, &crate::joined(&what)));
    }
    if config.slots(&path).is_none() {
        return Err(unknown("table", &path, tables::TABLES, line));
    }
    match begun.iter().find(|(table, _)| *table == path) {
        Some((_, true)) if is_dotted => {}
        Some(_) => return Err(Problem::at(line, &crate::joined(&["`", &path, "` is said twice"]))),
        None => begun.push((path, is_dotted)),
    }
    Ok(())
}

/// Sets the key at `path`.
fn set(config: &mut Config, path: &str, value: Value, line: u32) -> Result<(), Problem> {
    let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
    let Some(slots) = config.slots(table) else {
        // No table is needed for a key that has it in front: `server.workers = 1`.
        return Err(unknown("table", if table.is_empty() { key } else { table }, tables::TABLES, line));
    };
    let names: Vec<&'static str> = slots.iter().map(|(name, _)| *name).collect();
    match slots.into_iter().find(|(name, _)| *name == key) {
        Some((_, slot)) => {
            slot.set(value).map_err(|what| Problem::at(line, &crate::joined(&["`", path, "`", &what])))?;
            #[cfg(feature = "relay")]
            config.said(path, line);
            Ok(())
        }
        None => Err(unknown("key", path, &names, line)),
    }
}

/// Nothing of this name is known.
fn unknown(kind: &str, path: &str, known: &[&'static str], line: u32) -> Problem {
    let (front, name) = match path.rsplit_once('.') {
        Some(_) if kind != "key" => ("", path),
        Some((_, name)) => (&path[..path.len() - name.len()], name),
        None => ("", path),
    };
    let mut what = crate::joined(&["this program has no ", kind, " `", path, "`"]);
    if let Some(meant) = nearest(name, known.iter().copied()) {
        what = crate::joined(&[&what, ": did you mean `", front, meant, "`?"]);
    } else if kind != "key" {
        what = crate::joined(&[&what, ": there are ", &known.join(", ")]);
    }
    Problem { line, what }
}

#[cfg(test)]
#[path = "../tests/config.rs"]
mod tests;
