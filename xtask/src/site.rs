//! Links in built HTML: each to a file of the same site leads to one, and each `#part` to something of that
//! name. Used for the book, where a link that works in the Markdown can still be dead on the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What a site is made of, and which links lead nowhere.
#[derive(Default)]
pub(crate) struct Report {
    pub pages: usize,
    pub links: usize,
    pub dead: Vec<String>,
}

/// Checks every HTML file below `root`.
///
/// # Errors
///
/// If a folder or file cannot be read.
pub(crate) fn check(root: &Path) -> io::Result<Report> {
    let mut pages = BTreeMap::new();
    read(root, root, &mut pages)?;
    let names: BTreeMap<&Path, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, text)| (path.as_path(), attributes(text, &[" id=\"", " name=\""]).collect()))
        .collect();
    let mut report = Report { pages: pages.len(), ..Report::default() };
    for (page, text) in &pages {
        for link in attributes(text, &[" href=\"", " src=\""]) {
            if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
                continue;
            }
            report.links += 1;
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let target = resolve(page, file);
            let known = names.get(target.as_path());
            let there = known.is_some() || root.join(&target).is_file();
            let named = part.is_empty() || known.is_none_or(|names| names.contains(part));
            if !there || !named {
                report.dead.push(format!("{}: `{link}` leads nowhere", page.display()));
            }
        }
    }
    Ok(report)
}

fn read(root: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(root, &path, pages)?;
        } else if path.extension().is_some_and(|end| end == "html") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            pages.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

// The values of these attributes, outside of scripts' strings as far as a quote tells.
fn attributes<'t>(text: &'t str, names: &'t [&'t str]) -> impl Iterator<Item = &'t str> {
    names.iter().flat_map(move |name| {
        text.match_indices(name).filter_map(move |(at, name)| text[at + name.len()..].split('"').next())
    })
}

// A link's file, from the root of the site.
fn resolve(page: &Path, file: &str) -> PathBuf {
    if file.is_empty() {
        return page.to_path_buf();
    }
    let mut path = if file.starts_with('/') { PathBuf::new() } else { page.with_file_name("") };
    for part in Path::new(file.trim_start_matches('/')).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    if file.ends_with('/') { path.join("index.html") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_and_resolved() {
        let text = "<a class=x href=\"../b.html#part\"><h2 id=\"part\"> href=\"c\"";
        assert_eq!(attributes(text, &[" href=\""]).collect::<Vec<_>>(), ["../b.html#part", "c"]);
        assert_eq!(resolve(Path::new("a/x.html"), "../b.html"), Path::new("b.html"));
        assert_eq!(resolve(Path::new("a/x.html"), "y.html"), Path::new("a/y.html"));
        assert_eq!(resolve(Path::new("a/x.html"), ""), Path::new("a/x.html"));
    }
}
