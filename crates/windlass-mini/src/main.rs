//! The windlass server for small machines: the same engine, services and keys as `windlass`, on one thread and in one
//! static file.
//!
//! Read `args` for what can be typed, `config` for what a file may hold, `serving` for what becomes of it. Nothing
//! here formats with `format!` what `concat` can put together: in the smallest build that would be a third of the file.

#![cfg_attr(
    not(any(feature = "echo", feature = "relay", feature = "hub")),
    allow(dead_code, unused_mut, unreachable_code, reason = "a build without a service has nothing to do")
)]

mod args;
mod config;
#[cfg(all(test, target_os = "linux"))]
#[path = "tests/counted.rs"]
mod counted;
#[cfg(feature = "echo")]
mod echo;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "relay")]
mod relay;
mod serving;

use std::io::Write;
use std::process::ExitCode;

use args::Command;

/// The exit code where the configuration is wrong (`EX_CONFIG` of sysexits.h), as of `windlass`.
const EXIT_CONFIG: u8 = 78;
/// And where the command line is.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run { config: path, quiet }) => match loaded(&path) {
            Ok(mut config) => {
                if quiet {
                    config.quiet();
                }
                served(&config, &path.to_string_lossy())
            }
            Err(code) => code,
        },
        Ok(Command::Serve(config)) => served(&config, ""),
        Ok(Command::Check { config: path }) => match loaded(&path) {
            Ok(config) => checked(&config, &path.to_string_lossy()),
            Err(code) => code,
        },
        Ok(Command::Help) => {
            say(args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            say(&[concat!("windlass-mini ", env!("CARGO_PKG_VERSION"), "\n")]);
            ExitCode::SUCCESS
        }
        Err(why) => {
            complain(&["error: ", &why, "\n"]);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The configuration in a file; it is said what is wrong with it.
fn loaded(path: &std::path::Path) -> Result<config::Config, ExitCode> {
    config::load(path).map_err(|problem| refused(&problem, &path.to_string_lossy()))
}

/// Says what is wrong with a configuration, and where: in no file if it has no name.
fn refused(problem: &config::Problem, file: &str) -> ExitCode {
    let line =
        if problem.line == 0 { String::new() } else { crate::joined(&[":", &problem.line.to_string()]) };
    let colon = if file.is_empty() { "" } else { ": " };
    complain(&["error: ", file, &line, colon, &problem.what, "\n"]);
    ExitCode::from(EXIT_CONFIG)
}

/// Does everything that serving begins with, up to where sockets would be opened.
fn checked(config: &config::Config, file: &str) -> ExitCode {
    match serving::made(config) {
        Ok(made) => {
            say(&[file, ": nothing is wrong\n"]);
            if let Some(plan) = made.plan {
                say(&["Memory\n", &plan.to_string()]);
            }
            ExitCode::SUCCESS
        }
        Err(problem) => refused(&problem, file),
    }
}

/// Serves until told to stop.
fn served(config: &config::Config, file: &str) -> ExitCode {
    match serving::run(config, !file.is_empty()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(serving::Failure::Config(problem)) => refused(&problem, file),
        Err(serving::Failure::System(why)) => {
            complain(&["error: ", &why, "\n"]);
            ExitCode::FAILURE
        }
    }
}

/// One text of all these, by one piece of code for all who need that.
#[inline(never)]
fn joined(parts: &[&str]) -> String {
    parts.concat()
}

/// Writes to stdout, in one piece. A reader that has gone is no reason to fail.
fn say(parts: &[&str]) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(parts.concat().as_bytes()).and_then(|()| stdout.flush());
}

/// Writes to stderr.
fn complain(parts: &[&str]) {
    let _ = std::io::stderr().write_all(parts.concat().as_bytes());
}

/// What went wrong, in a few words.
fn words(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => "no such file",
        Kind::PermissionDenied => "permission denied",
        Kind::IsADirectory => "it is a folder",
        Kind::AddrInUse => "the address is in use by another process",
        Kind::AddrNotAvailable => "this machine has no such address",
        _ => "the system refuses it",
    }
}
