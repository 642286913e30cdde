//! Checks of the repository that need more than the compiler. Read [`tidy`] first.
//!
//! `cargo run -p xtask -- tidy [ROOT]` prints every line that breaks a rule of the house, with the rule,
//! and fails if there is one. `cargo test` runs the same check.
//!
//! `cargo run -p xtask -- links DIR` does the same for dead links in built HTML ([`site`]).
//!
//! `cargo run -p xtask -- dist [TARGET]` makes the tarball of a release, and `dist --stage BINARY DIR` what goes
//! into packages beside a binary ([`mod@dist`]).
//!
//! `cargo run -p xtask -- cross [--plain] [TARGET..]` builds `windlass-mini` for small machines and tries it under
//! qemu ([`cross`]); `bare` does the same for the codecs where there is no operating system ([`bare`]).
//!
//! `cargo run -p xtask -- size [--abort] [FEATURES..]` builds the smallest files of `windlass-mini` and measures them
//! ([`size`]).

mod bare;
mod cross;
mod dist;
mod elf;
mod site;
mod size;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- tidy [ROOT] | links DIR | dist [TARGET] | dist --stage BINARY DIR | \
     cross [--plain] [TARGET..] | bare | size [--abort] [FEATURES..]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy::workspace_root(),
        ["tidy", root] => PathBuf::from(root),
        ["links", root] => return links(Path::new(root)),
        ["bare"] => return done("bare", bare::run(&tidy::workspace_root())),
        ["cross", ref rest @ ..] => return done("cross", cross::run(&tidy::workspace_root(), rest)),
        ["size", ref rest @ ..] => return done("size", size::run(&tidy::workspace_root(), rest)),
        ["dist"] => return dist(None),
        ["dist", "--stage", binary, folder] => {
            let staged = dist::stage(&tidy::workspace_root(), Path::new(binary), Path::new(folder));
            return told("dist", staged.map(|()| PathBuf::from(folder)));
        }
        ["dist", target] if !target.starts_with("--") => return dist(Some(target)),
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

fn dist(target: Option<&str>) -> ExitCode {
    told("dist", dist::run(&tidy::workspace_root(), target))
}

fn told(task: &str, made: std::io::Result<PathBuf>) -> ExitCode {
    match made {
        Ok(path) => {
            println!("{task}: {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{task}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn done(task: &str, tried: std::io::Result<()>) -> ExitCode {
    match tried {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{task}: {error}");
            ExitCode::FAILURE
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
