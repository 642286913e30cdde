//! The echo besieged.

#[cfg(feature = "udp")]
use std::net::UdpSocket;
use std::net::{Shutdown, TcpStream};

use super::{Besieged, CLIENTS, counted, gorge, is_echoed};
use crate::little::{eventually, stuff};

const SERVICE: &str = "[[echo]]\nlisten = [\"127.0.0.1:0\"]\n";

/// Datagrams of every length there is, from many who do not wait for what comes back.
#[cfg(feature = "udp")]
fn flood(sockets: &[UdpSocket], to: &str) {
    let long = vec![9; 65_507];
    for socket in sockets {
        for len in [0, 1_400, 65_507] {
            // One that does not fit is lost, as datagrams are.
            let _ = socket.send_to(&long[..len], to);
        }
    }
}

#[test]
#[ignore = "a siege takes some seconds: `.ci/run features`"]
fn five_hundred_who_do_not_read_or_do_not_say_all_end_no_echo() {
    let datagrams = if cfg!(feature = "udp") { ", \"udp:127.0.0.1:0\"" } else { "" };
    let service = format!("[[echo]]\nlisten = [\"127.0.0.1:0\"{datagrams}]\n");
    let mut besieged = Besieged::start("echo", "true", &service, 1 + usize::from(cfg!(feature = "udp")));
    let mut good: Vec<TcpStream> = (0..5).map(|_| besieged.connect(0).unwrap()).collect();
    assert!(good.iter_mut().all(|stream| is_echoed(stream, b"hello")));
    let mut bad: Vec<TcpStream> = (0..CLIENTS).map(|_| besieged.deaf(0)).collect();
    #[cfg(feature = "udp")]
    let sockets: Vec<_> = (0..50).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for round in 0..3 {
        for (n, stream) in bad.iter_mut().enumerate() {
            match n % 4 {
                // Comes and goes, with answers unread.
                0 => {
                    stuff(stream, &[7; 100]);
                    *stream = besieged.deaf(0);
                }
                // Says that this was all, and does not read the answer.
                1 => {
                    stuff(stream, &[7; 1_000]);
                    let _ = stream.shutdown(Shutdown::Write);
                }
                // Says little, and waits.
                _ => {
                    stuff(stream, &[7]);
                }
            }
        }
        gorge(&besieged, bad.iter_mut().skip(2).step_by(4));
        #[cfg(feature = "udp")]
        flood(&sockets, &besieged.mini.addresses[1]);
        besieged.holds(&format!("round {round}"));
        assert!(good.iter_mut().all(|stream| is_echoed(stream, b"still here")), "round {round}");
    }
    drop(bad);
    eventually("somebody else is served again", || {
        is_echoed(&mut besieged.connect(0)?, b"hello").then_some(())
    });
    #[cfg(feature = "udp")]
    eventually("datagrams too", || {
        super::is_echoed_as_datagram(&besieged.mini.addresses[1], b"hello").then_some(())
    });
    if let Some(page) = besieged.page() {
        // Those who came last, or those who have most: whom it meets depends on who was faster.
        let ended = counted(&page, "windlass_memory_ended_total", "");
        let sent_away = counted(&page, "windlass_newcomers_refused_total", "reason=\"overload\"");
        assert!(ended + sent_away > 0, "it says what it shed: {page}");
        let told = ended == 0 || counted(&page, "windlass_connections_closed_total", "memory_full") > 0;
        assert!(told, "and why: {page}");
    }
    besieged.held();
}

#[test]
#[ignore = "a siege takes some seconds: `.ci/run features`"]
fn an_echo_without_descriptors_sheds_and_goes_on() {
    let mut besieged = Besieged::start("echo-descriptors", "ulimit -n 64", SERVICE, 1);
    let mut good = besieged.connect(0).unwrap();
    assert!(is_echoed(&mut good, b"hello"));
    for round in 0..3 {
        let mut many: Vec<TcpStream> = (0..CLIENTS).map(|_| besieged.deaf(0)).collect();
        many.iter_mut().for_each(|stream| {
            stuff(stream, &[7; 1_000]);
        });
        besieged.holds(&format!("round {round}"));
        assert!(is_echoed(&mut good, b"still here"), "round {round}");
    }
    eventually("somebody else is served again", || {
        is_echoed(&mut besieged.connect(0)?, b"hello").then_some(())
    });
    if let Some(page) = besieged.page() {
        let shed = counted(&page, "windlass_newcomers_refused_total", "reason=\"full\"");
        // Some of each round may have left the queue before they were seen.
        assert!(shed > CLIENTS as u64, "it says what it shed: {page}");
    }
    besieged.held();
}
