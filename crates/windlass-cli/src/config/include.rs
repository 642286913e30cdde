//! The files that a file includes: paths relative to it, with `*` in the last part.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::problem::{Place, Problem};
use super::tree::Places;

/// The files named by `include`, in their order; those of one pattern in the order of their names.
pub(crate) fn files(
    include: Option<Value>,
    folder: &Path,
    places: &Places,
    problems: &mut Vec<Problem>,
) -> Vec<(PathBuf, Option<Place>)> {
    let mut files = Vec::new();
    let list = include.as_ref().and_then(Value::as_array).into_iter().flatten();
    for (at, pattern) in list.enumerate() {
        let Some(pattern) = pattern.as_str() else { continue };
        let place = places.get(&format!("include[{at}]")).cloned();
        let path = folder.join(pattern);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !name.contains('*') {
            files.push((path, place));
            continue;
        }
        match matching(path.parent().unwrap_or(Path::new("")), &name) {
            // A folder without files in it is a usual start.
            Ok(found) => files.extend(found.into_iter().map(|path| (path, place.clone()))),
            Err(why) => {
                let what = format!("cannot look for {}: {why}", path.display());
                problems.push(match place {
                    Some(place) => Problem::at(place, what, "included here"),
                    None => Problem::without_place(what),
                });
            }
        }
    }
    files
}

fn matching(folder: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut found: Vec<PathBuf> = std::fs::read_dir(here)?
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| matches(pattern, name)))
        .map(|entry| folder.join(entry.file_name()))
        .collect();
    found.sort();
    Ok(found)
}

/// Whether `name` is `pattern`, in which a `*` is any text. Hidden files are asked for by their dot.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
