//! What an idle connection with TLS costs: counted by the allocator, for the server alone. Its clients are
//! in a process of their own.
//!
//! `cargo test -p windlass --release --test tls_memory -- --nocapture` prints the figure of the README, which
//! is that of the system: the pages of the process, with what the allocator needs for itself.
#![cfg(all(feature = "tls", target_os = "linux"))]

mod tls_peer;

use std::alloc::System;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::StreamOwned;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tls_peer::{Echo, VERSIONS, client_config, client_connection, identity};
use windlass::{Config, Limits, TlsServer, serve};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Connections of one measurement.
const CONNECTIONS: usize = if cfg!(debug_assertions) { 200 } else { 9_000 };
/// Bytes allocated that one may cost, state of TLS included. What it is now, and a quarter.
const BYTES_MAX: usize = 4_300;
const ADDRESS: &str = "WINDLASS_TEST_TLS_ADDRESS";

/// The clients, in a process of their own: each says something, then nothing.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn idle_clients() {
    let address = std::env::var(ADDRESS).unwrap();
    let config = Arc::new(client_config(&VERSIONS, None));
    let mut clients = Vec::new();
    // And one before, for what the worker itself needs.
    for n in 0..=CONNECTIONS {
        let conn = client_connection(config.clone());
        let mut client = StreamOwned::new(conn, std::net::TcpStream::connect(&address).unwrap());
        client.write_all(b"hello").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        clients.push(client);
        if n == 0 || n == CONNECTIONS {
            println!("{} are there", clients.len());
            // Until the parent has measured.
            let _ = std::io::stdin().read(&mut [0]);
        }
    }
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    // What reallocations add is in the first already.
    stats.bytes_allocated - stats.bytes_deallocated
}

#[test]
fn an_idle_connection_costs_what_we_say() {
    let tls = TlsServer::new(identity("server"));
    let limits = Limits {
        stall_timeout: std::time::Duration::ZERO,
        overload_lag_max: std::time::Duration::ZERO,
        ..Limits::default()
    };
    let bound = serve(|| Echo)
        .config(Config::default().workers(1).limits(limits))
        .tls("127.0.0.1:0", &tls.build().unwrap())
        .bind()
        .unwrap();
    let (handle, address) = (bound.handle(), bound.addresses()[0].to_string());
    let server = thread::spawn(move || bound.run().unwrap());
    let mut clients = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "idle_clients", "--nocapture"])
        .env(ADDRESS, address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(clients.stdout.take().unwrap());
    let mut wait_for = |clients: usize| {
        let (mut said, wanted) = (String::new(), format!("{clients} are there"));
        while !said.contains(&wanted) {
            assert!(
                std::io::BufRead::read_line(&mut out, &mut said).unwrap() > 0,
                "the clients failed: {said}"
            );
        }
        (resident(), allocated())
    };
    let before = wait_for(1);
    clients.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let after = wait_for(CONNECTIONS + 1);
    let (resident, each) = ((after.0 - before.0) / CONNECTIONS, (after.1 - before.1) / CONNECTIONS);
    println!(
        "{CONNECTIONS} idle connections with TLS: {resident} bytes resident, {each} allocated, for each"
    );
    assert_eq!(handle.stats().counters.tls_handshakes_done, CONNECTIONS as u64 + 1);
    drop(clients.stdin.take());
    clients.wait().unwrap();
    handle.stop_now();
    server.join().unwrap();
    assert!(each <= BYTES_MAX, "{each} bytes, {BYTES_MAX} allowed");
}
