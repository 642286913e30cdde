//! The files of the repository, in memory: read from disk, or made up by a test.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::source::{self, Token};

/// Every file of the repository by its path from the root, with `/` between folders.
pub(crate) struct Tree {
    files: BTreeMap<String, File>,
}

enum File {
    Rust(SourceFile),
    Text(String),
    // Not UTF-8, or large: only its existence counts.
    Opaque,
}

/// One Rust file and the tokens of its code.
pub(crate) struct SourceFile {
    pub path: String,
    pub text: String,
    /// All of the code.
    pub tokens: Vec<Token>,
    /// The code without `#[cfg(test)]` items. Empty for a file of tests, examples or benchmarks.
    pub shipped: Vec<Token>,
}

const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024;

impl Tree {
    /// Reads everything below `root`, but for what is built or not ours: `target`, hidden folders other
    /// than `.ci`, and a fuzzer's corpus.
    pub(crate) fn read(root: &Path) -> io::Result<Tree> {
        let mut tree = Tree { files: BTreeMap::new() };
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    /// A made-up tree, for a rule's test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree { files: BTreeMap::new() };
        for (path, text) in files {
            tree.insert(path, Some((*text).to_owned()));
        }
        tree
    }

    /// The number of files.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is a file or folder at this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(path, _)| path.starts_with(&folder))
    }

    /// The Rust files.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.values().filter_map(|file| match file {
            File::Rust(source) => Some(source),
            _ => None,
        })
    }

    /// The text files, Rust included: path and text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, file)| match file {
            File::Rust(source) => Some((path.as_str(), source.text.as_str())),
            File::Text(text) => Some((path.as_str(), text.as_str())),
            File::Opaque => None,
        })
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts().find(|(at, _)| *at == path).map(|(_, text)| text)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
                if !hidden && name != "target" && name != "corpus" && name != "artifacts" {
                    self.read_folder(&entry.path(), &format!("{path}/"))?;
                }
            } else if kind.is_file() {
                // A worktree keeps a file named `.git`.
                if name == ".git" {
                    continue;
                }
                let small = entry.metadata()?.len() <= TEXT_BYTES_MAX;
                let text = if small { String::from_utf8(fs::read(entry.path())?).ok() } else { None };
                self.insert(&path, text);
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: &str, text: Option<String>) {
        let file = match text {
            None => File::Opaque,
            Some(text) if path.ends_with(".rs") => File::Rust(SourceFile::new(path, text)),
            Some(text) => File::Text(text),
        };
        self.files.insert(path.to_owned(), file);
    }
}

impl SourceFile {
    fn new(path: &str, text: String) -> SourceFile {
        let tokens = source::tokens(&text);
        let shipped = if is_for_tests(path) { Vec::new() } else { source::without_tests(&tokens) };
        SourceFile { path: path.to_owned(), text, tokens, shipped }
    }
}

fn is_for_tests(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, ".ci" | "tests" | "examples" | "benches" | "fuzz" | "tests.rs"))
}
