//! The file is changed, and the process is, while thousands are connected and others come and go.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;

use rustix::process::Signal;

use crate::clients::*;
use crate::origin::{Client, Origin};
use crate::served::*;
use crate::server::*;

/// Clients that stay: each is two connections of the proxy, and 10,000 of 20,000 descriptors.
const PAIRS: usize = 5_000;
const RELOADS: usize = 20;
const UPGRADES: usize = 3;
/// Threads that talk on connections that stay, each on some of its own.
const TALKERS: usize = 2;

/// What is asserted: no connection is refused, reset or left without an answer: neither the 5,000 that stay, nor
/// those that come and go. Backends come, go and change their weights meanwhile, and what was removed keeps
/// the connections it has.
#[test]
#[ignore = "half a minute of full load: `.ci/run load`"]
fn reloads_and_upgrades_under_ten_thousand_connections_reset_nobody() {
    allow_descriptors();
    let control = Folder::new("load-changes-control");
    let (main, admin) = (free(), free());
    let backends = [backend("127.0.0.1:0"), backend("127.0.0.1:0"), backend("127.0.0.1:0")];
    let text = |n: usize| {
        let mut text = format!(
            "{LOG}[server]\nworkers = 2\ncontrol = \"{}\"\n[limits]\nhandover_drain_timeout = 0\noverload_lag_max = 0\n\
             [admin]\nlisten = \"{admin}\"\n[[proxy]]\nlisten = \"{main}\"\nbalance = \"{}\"\n\
             connect_timeout = \"{}s\"\nclient_timeout = \"10m\"\nserver_timeout = \"10m\"\n",
            control.path("control"),
            ["round-robin", "least-connections"][n / 2 % 2],
            5 + n % 2,
        );
        // The third is there every other time.
        for (m, backend) in backends.iter().enumerate().filter(|(m, _)| *m < 2 || n.is_multiple_of(2)) {
            let weight = 1 + (n + m) % 3;
            text += &format!("[[proxy.backend]]\nto = \"{}\"\nweight = {weight}\n", backend.address);
        }
        text
    };
    let mut served = Served::start("load-changes", &text(0));
    let mut stay: Vec<TcpStream> = (0..PAIRS).map(|_| connect(&main)).collect();
    stay.iter_mut().for_each(|stream| round_trip(stream, b"the first"));
    let are_counted = |n: usize| {
        let connections = || metric(&admin, "windlass_connections");
        wait_until(|| connections() >= n as f64, || format!("{n} connections: {}", connections()));
    };
    are_counted(2 * PAIRS);

    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let talkers: Vec<_> = (0..TALKERS)
        .map(|_| {
            let mut some = stay.split_off(stay.len() - PAIRS / 10);
            let (over, done) = (over.clone(), done.clone());
            thread::spawn(move || {
                while !over.load(Relaxed) {
                    for stream in &mut some {
                        round_trip(stream, &[7; 1_000]);
                        done.fetch_add(1, Relaxed);
                    }
                }
                some
            })
        })
        .collect();
    let visitor = {
        let (main, over, done) = (main.clone(), over.clone(), done.clone());
        thread::spawn(move || {
            while !over.load(Relaxed) {
                let said = done.fetch_add(1, Relaxed).to_string();
                assert_eq!(exchange(&main, said.as_bytes()).expect("nobody is reset"), said.as_bytes());
            }
        })
    };
    // The load goes on between two changes, or somebody has failed.
    let goes_on = || {
        let before = done.load(Relaxed);
        let failed = || visitor.is_finished() || talkers.iter().any(|talker| talker.is_finished());
        wait_until(|| done.load(Relaxed) > before + 100 || failed(), || "the load".into());
        assert!(!failed(), "somebody was reset");
    };
    for n in 1..=RELOADS {
        assert!(served.reload(&text(n)), "{}", served.log());
        goes_on();
    }
    let first = served.pid();
    // All of them have stayed.
    are_counted(2 * PAIRS);
    let mut pid = first;
    for n in 1..=UPGRADES {
        pid = served.upgraded();
        goes_on();
        assert!(served.reload_of(pid, &text(RELOADS + n)), "{}", served.log());
        goes_on();
    }
    over.store(true, Relaxed);
    visitor.join().expect("no newcomer was reset");
    stay.extend(talkers.into_iter().flat_map(|talker| talker.join().expect("nobody was reset")));
    assert_eq!(stay.len(), PAIRS);
    stay.iter_mut().for_each(|stream| round_trip(stream, b"all of them"));
    println!("{} round trips and newcomers, {RELOADS} reloads, {UPGRADES} upgrades", done.load(Relaxed));
    drop(stay);
    // By itself, with its last connection.
    let child = &mut served.child;
    wait_until(|| child.try_wait().unwrap().is_some(), || "the end of the first process".into());
    assert!(served.child.wait().unwrap().success());
    expect_rest(pid, &admin, 64);
    kill(pid, Signal::TERM);
}

/// Clients of HTTP that stay, each one connection of the proxy.
const KEPT: usize = 10_000;

/// What is asserted: every request is answered, before, during and behind an upgrade, and nobody is reset. A client that
/// keeps its connection is served on it by the first process until its answer says that it ends; then it has come to
/// the successor with its next request. The first process ends by itself when the last has been told so.
#[test]
#[ignore = "half a minute of full load: `.ci/run load`"]
fn upgrades_under_ten_thousand_connections_of_http_lose_no_answer() {
    allow_descriptors();
    let control = Folder::new("load-http-control");
    let (main, admin) = (free(), free());
    let origins = [Origin::start("127.0.0.1:0"), Origin::start("127.0.0.1:0")];
    let text = format!(
        "{LOG}[server]\nworkers = 2\ncontrol = \"{}\"\n[limits]\nhandover_drain_timeout = 0\noverload_lag_max = 0\n\
         [admin]\nlisten = \"{admin}\"\n[[proxy]]\nmode = \"http\"\nlisten = \"{main}\"\n\
         to = [\"{}\", \"{}\"]\nclient_timeout = \"10m\"\nhttp = {{ keep_alive_timeout = \"10m\" }}\n",
        control.path("control"),
        origins[0].address,
        origins[1].address,
    );
    let mut served = Served::start("load-http-changes", &text);
    let mut stay: Vec<Client> = (0..KEPT).map(|_| Client::connect(&main)).collect();
    stay.iter_mut().for_each(Client::expect_word);
    let connections = || metric(&admin, "windlass_connections");
    wait_until(|| connections() >= KEPT as f64, || format!("{KEPT} connections: {}", connections()));

    let (over, done, told) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    // A tenth of them asks all the time, others come and go.
    let talkers: Vec<_> = (0..TALKERS)
        .map(|_| {
            let mut some = stay.split_off(stay.len() - KEPT / 10 / TALKERS);
            let (main, over, done, told) = (main.clone(), over.clone(), done.clone(), told.clone());
            thread::spawn(move || {
                while !over.load(Relaxed) {
                    for client in &mut some {
                        if !client.goes_on_after_word() {
                            told.fetch_add(1, Relaxed);
                            *client = Client::connect(&main);
                        }
                        done.fetch_add(1, Relaxed);
                    }
                }
                some
            })
        })
        .collect();
    let visitor = {
        let (main, over, done) = (main.clone(), over.clone(), done.clone());
        thread::spawn(move || {
            while !over.load(Relaxed) {
                Client::connect(&main).expect_word();
                done.fetch_add(1, Relaxed);
            }
        })
    };
    let goes_on = || {
        let before = done.load(Relaxed);
        let failed = || visitor.is_finished() || talkers.iter().any(|talker| talker.is_finished());
        wait_until(|| done.load(Relaxed) > before + 1_000 || failed(), || "the load".into());
        assert!(!failed(), "somebody was reset, or has no answer");
    };
    goes_on();
    let mut pid = served.pid();
    for _ in 0..UPGRADES {
        pid = served.upgraded();
        goes_on();
    }
    over.store(true, Relaxed);
    visitor.join().expect("no newcomer was reset");
    stay.extend(talkers.into_iter().flat_map(|talker| talker.join().expect("nobody was reset")));
    // Those that were silent all the while: the first process still has them, and says that it ends.
    let mut kept = 0;
    for client in &mut stay {
        match client.goes_on_after_word() {
            true => kept += 1,
            false => {
                told.fetch_add(1, Relaxed);
                *client = Client::connect(&main);
                client.expect_word();
            }
        }
    }
    println!(
        "{} requests, {UPGRADES} upgrades; {} were told that their connection ends, {kept} of {KEPT} had come before",
        done.load(Relaxed),
        told.load(Relaxed)
    );
    assert!(told.load(Relaxed) >= KEPT as u64, "each of them was with the first process");
    let child = &mut served.child;
    wait_until(|| child.try_wait().unwrap().is_some(), || "the end of the first process".into());
    assert!(served.child.wait().unwrap().success());
    drop(stay);
    drop(origins);
    expect_rest(pid, &admin, 64);
    kill(pid, Signal::TERM);
}
