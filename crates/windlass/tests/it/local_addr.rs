//! Where a peer connected to: right whatever a listener is bound to, and without asking the system where
//! the listener knows.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use windlass::{Change, Close, Conn, Input, Serve, Service, serve};

use crate::child::{self, Process};
use crate::harness::*;

/// Tells everybody, for each byte, where they connected to.
struct Tells;

impl Service for Tells {
    type Session = ();
    fn open(&mut self, _: &mut Conn<'_>) -> Result<(), Close> {
        Ok(())
    }
    fn data(&mut self, conn: &mut Conn<'_>, _: &mut (), input: &mut Input<'_>) -> Result<(), Close> {
        for _ in 0..input.take_all().len() {
            let local = conn.local_addr().map_or("nowhere".into(), |addr| addr.to_string());
            conn.write(format!("{local}\n").as_bytes());
        }
        Ok(())
    }
}

fn tells(name: &str) -> Serve<Tells> {
    serve(|| Tells).name(name).config(one_worker(limits()))
}

fn expect_told(addr: SocketAddr) {
    let mut stream = connect(addr);
    stream.write_all(b"?").unwrap();
    expect(&mut stream, format!("{addr}\n").as_bytes());
}

#[test]
fn it_is_told_whatever_the_listener_is_bound_to() {
    let path = SocketPath::new();
    let serve = tells("tells").tcp("127.0.0.1:0").tcp("0.0.0.0:0").unix(&path.0);
    let server = Running::start(serve);
    expect_told(server.addrs[0]);
    // Bound to all addresses: each connection has its own.
    for host in 1..5 {
        expect_told((Ipv4Addr::new(127, 0, 0, host), server.addrs[1].port()).into());
    }
    let mut unix = path.connect();
    unix.write_all(b"?").unwrap();
    expect(&mut unix, b"nowhere\n");
    server.stop();
}

#[test]
fn it_is_told_after_listeners_have_changed() {
    let server = Running::start(tells("first").tcp("127.0.0.1:0"));
    let first = server.addr();
    // The same sockets under another number, for another service.
    let next = tells("next").tcp(first.to_string());
    server.handle.apply(Change::new().remove("first").add(next)).unwrap();
    expect_told(first);
    // Then another address under a number that was given before.
    server.handle.apply(Change::new().unlisten("next", first.to_string())).unwrap();
    server.wait_for("all to leave", |c| c.connections == 0);
    for _ in 0..3 {
        let applied = server.handle.apply(Change::new().listen("next", "0.0.0.0:0")).unwrap();
        let port = applied.addresses()[0].tcp().unwrap().port();
        expect_told((Ipv4Addr::new(127, 0, 0, 7), port).into());
        server.handle.apply(Change::new().unlisten("next", format!("0.0.0.0:{port}"))).unwrap();
    }
    server.stop();
}

/// In a child: serves at the address it is given, until it is told to stop.
#[test]
#[ignore = "a part of `a_listener_that_knows_is_not_asked_about`"]
fn traced() {
    let Some(address) = child::arg() else { return };
    let server = Running::start(tells("tells").tcp(&address));
    child::say(server.addr());
    while child::listen().is_some() {}
    server.stop();
}

/// Calls of `getsockname` in a server at `address`, with 40 connections that ask ten times each.
fn calls(address: &str) -> usize {
    let report = SocketPath::new();
    let path = report.0.display().to_string();
    let under = ["strace", "-f", "-e", "trace=getsockname", "-o", &path];
    let mut server = Process::wrapped(&under, "local_addr::traced", address);
    let addr: SocketAddr = server.hear().parse().unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port()));
    for _ in 0..40 {
        let mut stream: TcpStream = connect(addr);
        stream.write_all(&[b'?'; 10]).unwrap();
        expect(&mut stream, format!("{addr}\n").repeat(10).as_bytes());
    }
    server.finish();
    let report = std::fs::read_to_string(&report.0).unwrap();
    report.lines().filter(|line| line.contains("getsockname(")).count()
}

#[test]
fn a_listener_that_knows_is_not_asked_about() {
    let can = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("!!! SKIPPED: strace is not installed, or may not trace");
        return;
    }
    let (known, asked) = (calls("127.0.0.1:0"), calls("0.0.0.0:0"));
    // When it is opened, where it came to listen.
    assert!(known <= 5, "{known} calls");
    assert!(asked >= 400, "{asked} calls: this test counts nothing");
}
