//! The UDP echo load generator: a closed loop over one flow or many peers, every datagram verified.
//!
//! All peers share one socket: each sends from a loopback address of its own, and to the server that is
//! a peer of its own. So the generator needs no poll over a thousand sockets, and receives its answers
//! in batches. Read `load.rs`.

mod load;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

pub(crate) use load::UdpLoad;
pub use load::UdpTally;

use crate::args::{self, Target};
use crate::proc::Cpu;
use crate::text;

/// Options of `udp`.
#[derive(Debug, Clone, clap::Args)]
pub struct UdpArgs {
    /// The server, as 127.0.0.1:9000 or udp:127.0.0.1:9000
    target: Target,
    /// Peers that send; each has a loopback address of its own
    #[arg(long, value_parser = args::count, default_value = "1")]
    peers: u64,
    /// Bytes of a datagram
    #[arg(long, value_parser = args::size, default_value = "64")]
    size: usize,
    /// Datagrams under way at the same time, of all peers together
    #[arg(long, value_parser = args::count, default_value = "64")]
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
/// A socket cannot be opened, there is no such process, or a datagram came back changed.
pub fn main(args: UdpArgs) -> Result<()> {
    let (Target::Tcp(addr) | Target::Udp(addr)) = args.target else {
        anyhow::bail!("a Unix socket has no datagrams here");
    };
    let mut load = UdpLoad::new(addr, args.peers as usize, args.size, args.window as usize)?;
    let before = args.pid.map(Cpu::of).transpose()?;
    let tally = load.run(args.duration)?;
    let cpu = args.pid.map(Cpu::of).transpose()?.zip(before).map(|(after, before)| after.since(before));
    println!("{}", in_words(addr, &tally, cpu));
    ensure!(tally.wrong == 0, "{} datagrams came back changed or from elsewhere", tally.wrong);
    Ok(())
}

fn in_words(addr: SocketAddr, tally: &UdpTally, cpu: Option<Cpu>) -> String {
    let rate = text::number(tally.answered as f64 / tally.seconds);
    let mut words = format!("{addr}: {rate} datagrams/s, {} lost, {} wrong", tally.lost, tally.wrong);
    if let Some(cpu) = cpu {
        words += &format!(", {:.2} us of CPU each", cpu.total as f64 / 1000.0 / tally.answered.max(1) as f64);
    }
    words
}
