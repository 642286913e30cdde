//! The relay besieged: by clients, and by who is behind it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::{Besieged, CLIENTS, SMALL, counted, gorge, is_echoed, is_echoed_as_datagram};
use crate::little::{eventually, stuff};

/// Who is behind a relay. They end with their test.
struct Backends {
    over: Arc<AtomicBool>,
    /// Sends back what comes.
    honest: SocketAddr,
    /// Talks without end, and hears nothing.
    loud: SocketAddr,
    /// Hears nothing and says nothing.
    deaf: SocketAddr,
    /// Is not there.
    dead: SocketAddr,
    /// Sends datagrams back.
    datagrams: SocketAddr,
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

/// One connection of a backend: what it says, which is false once it is of no use any more.
type Turn = fn(&mut TcpStream) -> bool;

fn echoes(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 16 * 1024];
    match stream.peek(&mut bytes) {
        Ok(0) => false,
        Ok(len) => match stream.write(&bytes[..len]) {
            Ok(sent) => stream.read_exact(&mut bytes[..sent]).is_ok(),
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        },
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

fn talks(stream: &mut TcpStream) -> bool {
    !matches!(stream.write(&[b'!'; 16 * 1024]), Err(error) if error.kind() != ErrorKind::WouldBlock)
}

impl Backends {
    fn new() -> Backends {
        let over = Arc::new(AtomicBool::new(false));
        let serve = |turn: Turn| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            // As with clients who read little.
            socket2::SockRef::from(&listener).set_tcp_mss(SMALL).unwrap();
            let (address, over) = (listener.local_addr().unwrap(), over.clone());
            thread::spawn(move || {
                let mut all: Vec<TcpStream> = Vec::new();
                while !over.load(Relaxed) {
                    while let Ok((stream, _)) = listener.accept() {
                        stream.set_nonblocking(true).unwrap();
                        all.push(stream);
                    }
                    all.retain_mut(turn);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            address
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (datagrams, ends) = (socket.local_addr().unwrap(), over.clone());
        thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while !ends.load(Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut bytes) {
                    let _ = socket.send_to(&bytes[..len], from);
                }
            }
        });
        Backends {
            honest: serve(echoes),
            loud: serve(talks),
            deaf: serve(|_| true),
            // No port that the system gives to anybody.
            dead: SocketAddr::from(([127, 0, 0, 1], 1)),
            datagrams,
            over,
        }
    }

    /// A relay to each, in this order; the last two of datagrams.
    fn config(&self) -> String {
        let mut text = String::new();
        let all = [self.honest, self.loud, self.deaf, self.dead, self.datagrams, self.dead];
        for (n, to) in all.into_iter().enumerate() {
            let mode = if n < 4 { "tcp" } else { "udp" };
            text += &format!(
                "[[proxy]]\nname = \"{n}\"\nmode = \"{mode}\"\nlisten = [\"127.0.0.1:0\"]\nto = [\"{to}\"]\n"
            );
        }
        text
    }
}

/// Where the relays listen.
const HONEST: usize = 0;
const LOUD: usize = 1;
const DEAF: usize = 2;
const DEAD: usize = 3;
const DATAGRAMS: usize = 4;
const DEAD_DATAGRAMS: usize = 5;
const LISTENS: usize = 6;

/// Datagrams of many, to who answers and to who is not there.
fn flood(besieged: &Besieged, sockets: &[UdpSocket]) {
    let long = vec![9; 65_507];
    for (n, socket) in sockets.iter().enumerate() {
        for listen in [DATAGRAMS, DEAD_DATAGRAMS] {
            for &len in if n % 20 == 0 { &[0, 65_507][..] } else { &[1_400] } {
                // One that does not fit is lost, as datagrams are.
                let _ = socket.send_to(&long[..len], &besieged.mini.addresses[listen]);
            }
        }
    }
}

fn is_served(besieged: &Besieged) -> Option<()> {
    is_echoed(&mut besieged.connect(HONEST)?, b"hello").then_some(())
}

fn is_served_with_datagrams(besieged: &Besieged) -> Option<()> {
    is_echoed_as_datagram(&besieged.mini.addresses[DATAGRAMS], b"hello").then_some(())
}

#[test]
#[ignore = "a siege takes some seconds: `.ci/run features`"]
fn five_hundred_and_backends_that_misbehave_end_no_relay() {
    let backends = Backends::new();
    let mut besieged = Besieged::start("relay", "true", &backends.config(), LISTENS);
    let mut good: Vec<TcpStream> = (0..5).map(|_| besieged.connect(HONEST).unwrap()).collect();
    assert!(good.iter_mut().all(|stream| is_echoed(stream, b"hello")));
    eventually("datagrams too", || is_served_with_datagrams(&besieged));
    // Nobody is behind the last: they are gone at once.
    let places = [HONEST, LOUD, LOUD, DEAF, DEAD, HONEST, LOUD, DEAF, DEAF, HONEST];
    let mut bad: Vec<TcpStream> = (0..CLIENTS).map(|n| besieged.deaf(places[n % 10])).collect();
    let sockets: Vec<_> = (0..CLIENTS).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for round in 0..3 {
        for (n, stream) in bad.iter_mut().enumerate() {
            match n % 10 {
                // Comes and goes, with something on its way in both directions.
                0 => {
                    stuff(stream, &[7; 100]);
                    *stream = besieged.deaf(HONEST);
                }
                4 => *stream = besieged.deaf(DEAD),
                // Says that this was all, and does not read the answer.
                5 => {
                    stuff(stream, &[7; 1_000]);
                    let _ = stream.shutdown(Shutdown::Write);
                }
                // Says little, and waits.
                9 => {
                    stuff(stream, &[7]);
                }
                // Is told what it does not read, or tells who does not.
                _ => {}
            }
        }
        for deaf in [3, 7, 8] {
            gorge(&besieged, bad.iter_mut().skip(deaf).step_by(10));
        }
        flood(&besieged, &sockets);
        besieged.holds(&format!("round {round}"));
        assert!(good.iter_mut().all(|stream| is_echoed(stream, b"still here")), "round {round}");
    }
    drop(bad);
    eventually("somebody else is served again", || is_served(&besieged));
    eventually("datagrams too", || is_served_with_datagrams(&besieged));
    if let Some(page) = besieged.page() {
        let failed = counted(&page, "windlass_connects_failed_total", "reason=\"refused\"");
        assert!(failed >= CLIENTS as u64 / 10, "it says how many found nobody: {page}");
    }
    besieged.held();
}

#[test]
#[ignore = "a siege takes some seconds: `.ci/run features`"]
fn a_relay_without_descriptors_sheds_and_goes_on() {
    let backends = Backends::new();
    let mut besieged = Besieged::start("relay-descriptors", "ulimit -n 64", &backends.config(), LISTENS);
    let mut good = besieged.connect(HONEST).unwrap();
    assert!(is_echoed(&mut good, b"hello"));
    for round in 0..3 {
        let many: Vec<_> = (0..CLIENTS).map(|n| besieged.deaf([HONEST, LOUD, DEAF, DEAD][n % 4])).collect();
        let sockets: Vec<_> = (0..CLIENTS).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        flood(&besieged, &sockets);
        besieged.holds(&format!("round {round}"));
        assert!(is_echoed(&mut good, b"still here"), "round {round}");
        drop(many);
    }
    eventually("somebody else is served again", || is_served(&besieged));
    eventually("datagrams too", || is_served_with_datagrams(&besieged));
    if let Some(page) = besieged.page() {
        let shed = counted(&page, "windlass_newcomers_refused_total", "reason=\"full\"");
        assert!(shed > CLIENTS as u64, "it says what it shed: {page}");
    }
    besieged.held();
}
