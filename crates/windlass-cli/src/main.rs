//! The `windlass` binary. Read `args` for what can be typed, then `serving` for what every server shares,
//! and `console` for everything it prints while it serves.

#![cfg_attr(
    not(all(
        feature = "echo",
        feature = "websocket",
        feature = "kv",
        feature = "proxy",
        feature = "hub",
        feature = "realtime"
    )),
    allow(
        dead_code,
        unused_imports,
        unused_macros,
        unused_mut,
        unused_variables,
        reason = "what some services share is nobody's where those are not"
    )
)]

mod access;
mod admin;
mod args;
#[cfg(feature = "proxy")]
mod backends;
mod built;
#[cfg(any(feature = "proxy", feature = "top"))]
mod client;
mod config;
mod configured;
mod console;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "echo")]
mod echo;
mod failure;
#[cfg(feature = "realtime")]
mod game;
mod health;
#[cfg(feature = "hub")]
mod hub;
#[cfg(feature = "kv")]
mod kv;
mod limits;
mod logfile;
mod logs;
mod man;
#[cfg(feature = "clients")]
mod mqtt;
mod nearest;
mod notify;
mod process;
#[cfg(feature = "proxy")]
mod proxy;
mod quantity;
mod serving;
mod signals;
mod text;
#[cfg(feature = "top")]
mod top;
#[cfg(feature = "websocket")]
mod websocket;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};

/// The exit code of a command line that is wrong, as of clap.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => match built::without_typed(&error) {
            Some(why) => {
                failure::report(&anyhow::Error::msg(why));
                return ExitCode::from(EXIT_USAGE);
            }
            None => error.exit(),
        },
    };
    let outcome = match cli.command {
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        #[cfg(feature = "echo")]
        Command::Echo(args) => echo::run(&args),
        #[cfg(feature = "websocket")]
        Command::Websocket(args) => websocket::run(&args),
        #[cfg(feature = "proxy")]
        Command::Proxy(args) => proxy::run(&args),
        #[cfg(feature = "proxy")]
        Command::Backends(args) => backends::run(&args),
        Command::Run(args) => configured::run(&args),
        #[cfg(unix)]
        Command::Upgrade(args) => serving::upgrade::run(&args),
        Command::Check(args) => configured::check(&args),
        Command::Init(args) => configured::init(&args),
        Command::Config(args) => configured::effective(&args),
        #[cfg(feature = "hub")]
        Command::Hub(args) => hub::run(&args),
        #[cfg(feature = "realtime")]
        Command::Game(args) => game::run(&args),
        #[cfg(feature = "kv")]
        Command::Resp(args) => kv::resp(&args),
        #[cfg(feature = "kv")]
        Command::Memcached(args) => kv::memcached(&args),
        #[cfg(feature = "clients")]
        Command::Pub(args) => mqtt::publish(&args),
        #[cfg(feature = "clients")]
        Command::Sub(args) => mqtt::subscribe(&args),
        #[cfg(all(target_os = "linux", feature = "bench"))]
        Command::Bench(bench) => bench.run(),
        #[cfg(feature = "top")]
        Command::Top(args) => top::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "windlass", &mut script);
            print(&script);
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // It has been said what is wrong.
        Err(error) if error.is::<configured::Misconfigured>() => ExitCode::from(configured::EXIT_CONFIG),
        // And this is what was asked for, or told already.
        #[cfg(feature = "clients")]
        Err(error) if error.is::<mqtt::Ended>() => {
            error.downcast::<mqtt::Ended>().map_or(ExitCode::FAILURE, |it| it.code())
        }
        Err(error) => {
            failure::report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Writes to stdout. A reader that has gone (`windlass echo | head -1`) is no reason to fail.
pub(crate) fn print(text: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}
