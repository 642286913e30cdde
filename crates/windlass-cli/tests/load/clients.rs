//! What the tests have in common: as many descriptors as there can be, echo servers, clients of every kind, and
//! what a process says of itself.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::served::*;
use crate::server::*;

/// As many descriptors as this process may have; so may those that it starts.
pub(crate) fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// An echo server that never ends a connection.
pub(crate) fn backend(address: &str) -> Server {
    Server::command(&["echo", address, "-q", "--workers", "1", "--limit", "idle_timeout=0"])
}

/// Says something, ends its half, and hears the rest: all of it.
pub(crate) fn exchange(address: &str, said: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LONG))?;
    let mut writes = stream.try_clone()?;
    std::thread::scope(|scope| {
        let sends =
            scope.spawn(move || writes.write_all(said).and_then(|()| writes.shutdown(Shutdown::Write)));
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard)?;
        sends.join().expect("it does not panic")?;
        Ok(heard)
    })
}

/// Sends some and is gone with a reset, as a machine that loses its power seems to be.
pub(crate) fn vanish(address: &str, said: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_write_timeout(Some(LONG))?;
    stream.write_all(said)?;
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(())
}

/// One of the figures of the server whose admin address this is, over all its labels.
pub(crate) fn metric(admin: &str, name: &str) -> f64 {
    let mut stream = connect(admin);
    let ask = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let samples: Vec<f64> = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix(name)?.strip_prefix([' ', '{'])?.rsplit(' ').next()?.parse().ok()
        })
        .collect();
    assert!(!samples.is_empty(), "no {name} in:\n{text}");
    samples.iter().sum()
}

/// Nanoseconds of CPU that a process has taken.
pub(crate) fn cpu(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let each = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    each.sum()
}

/// What it must be like when all clients have gone: nobody is counted, no descriptor is left, and it sleeps.
///
/// In two seconds the ticks of two workers and what is asked here make some fifty turns. A spin makes
/// hundreds of thousands, and takes all of a core: both are told apart by far on the busiest machine.
pub(crate) fn expect_rest(pid: u32, admin: &str, descriptors_before: usize) {
    // The one that asks is one itself.
    wait_until(|| metric(admin, "windlass_connections") <= 1.0, || "the last connection to go".into());
    // Pipes that were spliced through may be kept for the next.
    let most = descriptors_before + 64;
    wait_until(|| descriptors(pid) <= most, || format!("{} descriptors to become {most}", descriptors(pid)));
    let turns = || metric(admin, "windlass_turn_duration_seconds_count");
    let (turned, took) = (turns(), cpu(pid));
    std::thread::sleep(Duration::from_secs(2));
    let (turned, took) = (turns() - turned, cpu(pid) - took);
    assert!(turned < 2_000.0, "{turned} turns in two seconds in which nothing happened");
    assert!(took < 500_000_000, "{} ms of CPU in two seconds in which nothing happened", took / 1_000_000);
    println!("at rest: {turned} turns and {} ms of CPU in two seconds", took / 1_000_000);
}
