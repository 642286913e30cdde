//! The WebSocket echo load generator: a closed loop over some connections, every message verified.
//!
//! Rounds, on one thread: the window's messages to every connection in turn, then their echoes from every
//! connection. What it measures is the server's CPU time per message; read `load.rs`.

mod load;

use std::time::Duration;

use anyhow::Result;

use crate::args::{self, Target};
use crate::proc::Cpu;
use crate::text;

/// Options of `ws`.
#[derive(Debug, Clone, clap::Args)]
pub struct WsArgs {
    /// The server, as 127.0.0.1:9002
    target: Target,
    /// Connections
    #[arg(long, value_parser = args::count, default_value = "64")]
    connections: u64,
    /// Bytes of a message
    #[arg(long, value_parser = args::size, default_value = "64")]
    size: usize,
    /// Messages under way on each connection
    #[arg(long, value_parser = args::count, default_value = "1")]
    window: u64,
    /// How long
    #[arg(long, value_parser = args::duration, default_value = "3s")]
    duration: Duration,
    /// The server's process, to tell its CPU time
    #[arg(long)]
    pid: Option<u32>,
}

/// Runs the generator as a command.
///
/// # Errors
/// The server refuses, there is no such process, or a message came back changed.
pub fn main(args: WsArgs) -> Result<()> {
    let Target::Tcp(addr) = args.target else { anyhow::bail!("a WebSocket server is at HOST:PORT") };
    let mut load = load::WsLoad::new(addr, args.connections as usize, args.size, args.window as usize)?;
    let before = args.pid.map(Cpu::of).transpose()?;
    let (answered, seconds) = load.run(args.duration)?;
    let cpu = args.pid.map(Cpu::of).transpose()?.zip(before).map(|(after, before)| after.since(before));
    let mut words = format!("{addr}: {} messages/s", text::number(answered as f64 / seconds));
    if let Some(cpu) = cpu {
        words += &format!(", {:.2} us of CPU each", cpu.total as f64 / 1000.0 / answered.max(1) as f64);
    }
    println!("{words}");
    Ok(())
}
