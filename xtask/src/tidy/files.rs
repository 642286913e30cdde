//! What any file must look like: how a module opens, how long it is, what no text may hold, and that
//! links lead somewhere.

use super::{Places, Rule, Tree};

const LINES_MAX: usize = 800;

pub(crate) fn rules() -> Vec<Rule> {
    vec![
        Rule {
            name: "module-docs",
            text: "a Rust file opens with `//!`, saying what it is and what to read first",
            check: module_docs,
        },
        Rule {
            name: "file-length",
            text: "a Rust file past 800 lines wants to be a folder",
            check: file_length,
        },
        Rule {
            name: "machine-paths",
            text: "no text names a home or work folder of somebody's machine",
            check: machine_paths,
        },
        Rule {
            name: "conflict-markers",
            text: "finish the merge: no conflict marker stays",
            check: conflict_markers,
        },
        Rule { name: "links", text: "a link to a local file leads to a file that exists", check: links },
        Rule {
            name: "lock-sources",
            text: "every locked package comes from the crates.io index, so that anyone can build",
            check: lock_sources,
        },
    ]
}

fn module_docs(tree: &Tree, places: &mut Places) {
    for source in tree.sources() {
        let first = source.text.lines().next().unwrap_or_default();
        if !first.starts_with("//!") || first.trim_start_matches("//!").trim().is_empty() {
            places.push((source.path.clone(), 1, "does not open with `//!` and a sentence".to_owned()));
        }
    }
}

fn file_length(tree: &Tree, places: &mut Places) {
    for source in tree.sources() {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            places.push((source.path.clone(), LINES_MAX + 1, format!("{lines} lines")));
        }
    }
}

fn machine_paths(tree: &Tree, places: &mut Places) {
    // In two pieces each, so that this file does not hold them.
    let folders = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/")];
    for (path, text) in tree.texts() {
        for (number, line) in text.lines().enumerate() {
            for folder in folders.map(|(front, back)| format!("{front}{back}")) {
                for (at, _) in line.match_indices(&folder) {
                    // Behind a word it is part of a longer path or of an address.
                    let before = line[..at].chars().next_back();
                    if !before.is_some_and(|c| c.is_alphanumeric() || "_.-}$".contains(c)) {
                        places.push((path.to_owned(), number + 1, format!("names `{folder}`")));
                    }
                }
            }
        }
    }
}

fn conflict_markers(tree: &Tree, places: &mut Places) {
    for (path, text) in tree.texts() {
        for (number, line) in text.lines().enumerate() {
            let marker = ['<', '>', '|'].map(|c| c.to_string().repeat(7));
            let found = marker.iter().find(|marker| {
                line.strip_prefix(marker.as_str())
                    .is_some_and(|behind| behind.is_empty() || behind.starts_with(' '))
            });
            if let Some(marker) = found {
                places.push((path.to_owned(), number + 1, format!("conflict marker `{marker}`")));
            }
        }
    }
}

fn lock_sources(tree: &Tree, places: &mut Places) {
    let index = "\"registry+https://github.com/rust-lang/crates.io-index\"";
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with("Cargo.lock")) {
        for (number, line) in text.lines().enumerate() {
            if line.strip_prefix("source = ").is_some_and(|source| source != index) {
                places.push((path.to_owned(), number + 1, "comes from elsewhere".to_owned()));
            }
        }
    }
}

fn links(tree: &Tree, places: &mut Places) {
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(&without_code(line)) {
                let file = target.split(['#', '?']).next().unwrap_or_default();
                let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
                if !elsewhere && !resolve(path, file).is_some_and(|file| tree.has(&file)) {
                    places.push((
                        path.to_owned(),
                        number + 1,
                        format!("link to `{file}`, which is not there"),
                    ));
                }
            }
        }
    }
}

// `[text](target "title")`, `![alt](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("](") {
        let behind = &line[at + 2..];
        let target = match behind.strip_prefix('<') {
            Some(behind) => behind.split('>').next(),
            None => behind.split([')', ' ']).next(),
        };
        found.extend(target.map(str::to_owned));
    }
    if let Some((name, target)) = line.trim().split_once("]: ") {
        let footnote = name.starts_with("[^");
        if name.starts_with('[') && !name[1..].contains(']') && !footnote {
            found.extend(
                target.split_whitespace().next().map(|target| target.trim_matches(['<', '>']).to_owned()),
            );
        }
    }
    found
}

// The line without `code`, which may look like a link.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

// A link's path from the root of the repository; `None` if it leaves it.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut folders: Vec<&str> = match link.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                folders.pop()?;
            }
            part => folders.push(part),
        }
    }
    Some(folders.join("/"))
}
