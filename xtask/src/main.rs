//! Checks of the repository that need more than the compiler. Read [`tidy`] first.
//!
//! `cargo run -p xtask -- tidy [ROOT]` prints every line that breaks a rule of the house, with the rule,
//! and fails if there is one. `cargo test` runs the same check.
//!
//! `cargo run -p xtask -- links DIR` does the same for dead links in built HTML ([`site`]).

mod site;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- tidy [ROOT] | links DIR";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy::workspace_root(),
        ["tidy", root] => PathBuf::from(root),
        ["links", root] => return links(Path::new(root)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match tidy::run(&root) {
        Err(error) => {
            eprintln!("tidy: {}: {error}", root.display());
            ExitCode::from(2)
        }
        Ok(report) => {
            for finding in &report.findings {
                eprintln!("{finding}");
            }
            println!(
                "tidy: {} files, {} rules, {} findings",
                report.files,
                report.rules,
                report.findings.len()
            );
            if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn links(root: &Path) -> ExitCode {
    match site::check(root) {
        Err(error) => {
            eprintln!("links: {}: {error}", root.display());
            ExitCode::from(2)
        }
        Ok(report) => {
            report.dead.iter().for_each(|link| eprintln!("{link}"));
            println!("links: {} pages, {} links, {} dead", report.pages, report.links, report.dead.len());
            if report.dead.is_empty() && report.pages > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}
