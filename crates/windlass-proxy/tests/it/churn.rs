//! Many clients, backends that go, caps that hold for all workers together.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use windlass_proxy::{Balance, Timeouts};

use crate::servers::*;

#[test]
fn one_of_three_backends_is_killed_under_load_and_no_new_client_fails() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections, Balance::Maglev] {
        let backends = [Listening::echo(), Listening::echo(), Listening::echo()];
        let (front, running) = proxy(config(&backends).balance(balance), 2);
        let (address, stop) = (running.addresses[0], Arc::new(AtomicBool::new(false)));
        let (asked, killed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (stop, asked, killed) = (stop.clone(), asked.clone(), killed.clone());
                thread::spawn(move || {
                    while !stop.load(SeqCst) {
                        // Whoever was connected to it when it was killed is not new any more, and may be
                        // lost with it, if it was in its accept queue.
                        let is_new = killed.load(SeqCst);
                        let answer = ask(address, b"are you there?").unwrap_or_default();
                        assert!(answer == b"are you there?" || !is_new, "{}", answer.escape_ascii());
                        asked.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        let some = |more: usize| {
            let before = asked.load(SeqCst);
            expect("clients are served", || asked.load(SeqCst) >= before + more);
        };
        some(60);
        // By source all of these clients are one: whoever has most of them is sure to be asked again.
        let stats = front.stats().backends;
        let victim = (0..3).max_by_key(|n| stats[*n].opened).expect("there are three");
        backends[victim].close();
        killed.store(true, SeqCst);
        some(200);
        stop.store(true, SeqCst);
        clients.into_iter().for_each(|client| client.join().expect("no client failed"));
        expect_nothing(&front);
        let stats = front.stats();
        assert!(stats.backends[victim].failed > 0, "{balance:?}: it was tried: {stats:?}");
        let refused: u64 = stats.refused.iter().map(|(_, count)| count).sum();
        assert_eq!(refused, 0, "{balance:?}: {stats:?}");
    }
}

#[test]
fn a_cap_holds_for_all_workers_together_and_everybody_is_served() {
    let backend = Listening::start(|mut stream| {
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        let _ = stream.write_all(&heard);
    });
    let mut config = config([&backend]);
    config.backends[0].connections_max = 2;
    config.timeouts = Timeouts { queue: Duration::ZERO, ..Timeouts::default() };
    let (front, running) = proxy(config, 3);
    let address = running.addresses[0];
    // None has said all before somebody waits for its turn.
    let somebody_waits = Arc::new(Barrier::new(24 + 1));
    let clients: Vec<_> = (0..24)
        .map(|n| {
            let somebody_waits = somebody_waits.clone();
            thread::spawn(move || {
                let said = vec![n as u8; 1_000];
                let mut stream = connect(address);
                stream.write_all(&said).unwrap();
                somebody_waits.wait();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).expect("an answer");
                assert_eq!(answer, said);
            })
        })
        .collect();
    expect("somebody waits", || front.stats().queued > 0);
    somebody_waits.wait();
    clients.into_iter().for_each(|client| client.join().expect("everybody is served"));
    expect_nothing(&front);
    assert_eq!(backend.most.load(SeqCst), 2);
}

#[test]
fn session_counters_that_leak_after_every_way_to_leave() {
    let backend = Listening::echo();
    let mut config = config([&backend]);
    config.backends[0].connections_max = 8;
    let (front, running) = proxy(config, 2);
    for n in 0..200 {
        let mut client = TcpStream::connect(running.addresses[0]).expect("connects");
        match n % 4 {
            // At once.
            0 => {}
            // With its answer unread, which resets.
            1 => {
                client.write_all(b"hello").unwrap();
                client.set_read_timeout(Some(LONG)).unwrap();
                let _ = client.peek(&mut [0; 1]);
            }
            // Half, and never the other.
            2 => drop(client.shutdown(Shutdown::Write)),
            // In good order.
            _ => {
                client.write_all(b"hello").unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                client.set_read_timeout(Some(LONG)).unwrap();
                client.read_to_end(&mut Vec::new()).unwrap();
            }
        }
    }
    // Those who have gone at once are let in too, by either worker.
    expect("all of them have come", || front.stats().opened == 200);
    expect_nothing(&front);
    // And it still serves as many as its cap allows.
    assert_eq!(ask(running.addresses[0], b"still there?").unwrap(), b"still there?");
    assert_eq!(front.stats().opened, 201);
}

#[test]
fn a_change_reaches_every_worker_and_touches_no_connection() {
    let (old, new) = (Listening::echo(), Listening::echo());
    let (front, running) = proxy(config([&old]), 3);
    let mut stays: Vec<TcpStream> = (0..6)
        .map(|_| {
            let mut client = connect(running.addresses[0]);
            client.write_all(b"one").unwrap();
            client.read_exact(&mut [0; 3]).unwrap();
            client
        })
        .collect();
    for round in 0..20 {
        let to = if round % 2 == 0 { [&new] } else { [&old] };
        front.change(config(to)).unwrap();
    }
    front.change(config([&new])).unwrap();
    // A message away: workers take it up in their next turn.
    expect("every worker sends clients to the new backend", || {
        let before = old.now.load(SeqCst);
        (0..6).for_each(|_| drop(ask(running.addresses[0], b"where am I?").unwrap()));
        before == 6 && old.now.load(SeqCst) == 6
    });
    for client in &mut stays {
        client.write_all(b"two").unwrap();
        client.read_exact(&mut [0; 3]).unwrap();
    }
    drop(stays);
    expect_nothing(&front);
}
