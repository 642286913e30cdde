//! The repository is tidy, and every rule sees a sample that is not.

mod files;
mod manifest;
mod names;
mod rooms;
mod source;

use super::{Tree, check, rules, run, workspace_root};

#[test]
fn the_repository_is_tidy() {
    let report = run(&workspace_root()).unwrap();
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    assert!(report.files > 20, "only {} files were read", report.files);
}

#[test]
fn every_rule_has_its_own_name() {
    let mut names: Vec<_> = rules().iter().map(|rule| rule.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn a_finding_shows_place_and_rule() {
    let findings = check(&Tree::of(&[("a.rs", "fn main() {}\n")]), &rules());
    let shown = findings[0].to_string();
    assert!(shown.starts_with("a.rs:1: "), "{shown}");
    assert!(shown.contains("rule module-docs: a Rust file opens"), "{shown}");
}

/// The lines at which `rule` is broken when `path` holds `text` and nothing else is there.
fn broken(rule: &str, path: &str, text: &str) -> Vec<usize> {
    broken_in(rule, &[(path, text)])
}

fn broken_in(rule: &str, files: &[(&str, &str)]) -> Vec<usize> {
    let rules: Vec<_> = rules().into_iter().filter(|known| known.name == rule).collect();
    assert_eq!(rules.len(), 1, "no rule is named {rule}");
    check(&Tree::of(files), &rules).iter().map(|finding| finding.line).collect()
}
