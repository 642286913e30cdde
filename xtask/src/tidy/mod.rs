//! The rules of the house, executed.
//!
//! A [`Rule`] looks at the whole [`Tree`] of files and reports [`Finding`]s: a place and the rule's text.
//! The rules stand in three files: [`files`] (what any file must look like), [`rooms`] (what a crate may
//! depend on and name), [`names`] (identifiers). [`source`] turns Rust text into tokens, so that a rule
//! sees code and neither comments nor strings. What is allowed against a rule stands in [`allowed`],
//! each with its reason.

mod allowed;
mod files;
mod manifest;
mod names;
mod rooms;
mod source;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use tree::{SourceFile, Tree};

/// One rule: what it demands, and how it finds what breaks it.
pub(crate) struct Rule {
    /// Short, for the reader who knows it.
    pub name: &'static str,
    /// What to do, for the reader who does not.
    pub text: &'static str,
    pub check: fn(&Tree, &mut Places),
}

/// Where a rule is broken: path, line (from 1; 0 for the whole file), and what was found there.
pub(crate) type Places = Vec<(String, usize, String)>;

/// One place where one rule is broken.
#[derive(Debug)]
pub(crate) struct Finding {
    pub path: String,
    pub line: usize,
    pub what: String,
    pub rule: &'static str,
    pub text: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, line, what, rule, text } = self;
        write!(f, "{path}:{line}: {what}\n    rule {rule}: {text}")
    }
}

/// What a run over a tree gave.
pub(crate) struct Report {
    pub files: usize,
    pub rules: usize,
    pub findings: Vec<Finding>,
}

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Checks every rule on the files below `root`.
///
/// # Errors
///
/// If a folder or file cannot be read.
pub(crate) fn run(root: &Path) -> io::Result<Report> {
    let tree = Tree::read(root)?;
    let rules = rules();
    Ok(Report { files: tree.len(), rules: rules.len(), findings: check(&tree, &rules) })
}

fn rules() -> Vec<Rule> {
    [files::rules(), rooms::rules(), names::rules()].into_iter().flatten().collect()
}

fn check(tree: &Tree, rules: &[Rule]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in rules {
        let mut places = Places::new();
        (rule.check)(tree, &mut places);
        findings.extend(places.into_iter().map(|(path, line, what)| Finding {
            path,
            line,
            what,
            rule: rule.name,
            text: rule.text,
        }));
    }
    findings
}
