//! What an idle connection with TLS costs: counted by the allocator, for both ends of none but the server.
//!
//! `cargo test -p windlass --release --test tls_memory -- --nocapture` prints the figure of the README.
#![cfg(all(feature = "tls", target_os = "linux"))]

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use windlass::{Close, Config, Conn, Input, Limits, Service, TlsIdentity, TlsServer, serve};

/// Connections of one measurement.
const CONNECTIONS: usize = if cfg!(debug_assertions) { 200 } else { 9_000 };
/// Bytes one may cost, state of TLS included. What it is now, and a quarter.
const BYTES_MAX: usize = 4_700;
const ADDRESS: &str = "WINDLASS_TEST_TLS_ADDRESS";

struct Echo;

impl Service for Echo {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        conn.write(input.take_all());
        Ok(())
    }
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/certs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The clients, in a process of their own: each says something, then nothing.
#[test]
#[ignore = "a part of the test below, run in a child"]
fn idle_clients() {
    let address = std::env::var(ADDRESS).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let name = ServerName::try_from("localhost").unwrap();
        let conn = ClientConnection::new(config.clone(), name).unwrap();
        let mut client = StreamOwned::new(conn, std::net::TcpStream::connect(&address).unwrap());
        client.write_all(b"hello").unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        clients.push(client);
    }
    println!("all are there");
    // Until the parent has measured.
    let _ = std::io::stdin().read(&mut [0]);
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn an_idle_connection_costs_what_we_say() {
    let tls = TlsServer::new(TlsIdentity::from_pem(pem("server.pem"), pem("server.key")).unwrap());
    let limits = Limits { stall_timeout: std::time::Duration::ZERO, ..Limits::default() };
    let bound = serve(|| Echo)
        .config(Config::default().workers(1).limits(limits))
        .tls("127.0.0.1:0", &tls.build().unwrap())
        .bind()
        .unwrap();
    let (handle, address) = (bound.handle(), bound.addresses()[0].to_string());
    let server = thread::spawn(move || bound.run().unwrap());
    let before = resident();
    let mut clients = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "idle_clients", "--nocapture"])
        .env(ADDRESS, address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(clients.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("all are there") {
        assert!(std::io::BufRead::read_line(&mut out, &mut said).unwrap() > 0, "the clients failed: {said}");
    }
    let each = (resident() - before) / CONNECTIONS;
    println!("{each} bytes of user memory for each of {CONNECTIONS} idle connections with TLS");
    assert_eq!(handle.stats().counters.tls_handshakes_done, CONNECTIONS as u64);
    drop(clients.stdin.take());
    clients.wait().unwrap();
    handle.stop_now();
    server.join().unwrap();
    // The worker's buffers weigh on few connections.
    if !cfg!(debug_assertions) {
        assert!(each <= BYTES_MAX, "{each} bytes, {BYTES_MAX} allowed");
    }
}
