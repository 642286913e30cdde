//! What the whole program allocates once it has started, by its own serving path and with `memory` said: nothing, over a
//! million messages of the echo and of the hub, and over what is relayed.
//!
//! The counter counts for a whole process, so what is counted runs in one of its own, with one test and one thread for it;
//! clients are in it, and allocate nothing either while it counts.

use std::alloc::System;
use std::io::{Read, Write};
#[cfg(feature = "udp")]
use std::net::UdpSocket;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Set in a child, so that its parts do nothing when somebody runs all ignored tests.
const MARK: &str = "WINDLASS_MINI_COUNTED";

/// Runs a part in a process of its own.
fn in_a_child(part: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("counted::{part}"), "--ignored", "--nocapture", "--test-threads=1"]);
    let out = command.env(MARK, "1").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && said.contains("counted to the end"),
        "{said}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// The end of a part: with the server, which has no other.
fn end() -> ! {
    println!("counted to the end");
    std::process::exit(0)
}

/// An address that is this process's alone. Not as text, which would be an allocation each time.
fn at(port: u16) -> SocketAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    ([127, 1 + a % 250, b, c], port).into()
}

/// Serves this with memory for all of it, and waits until it does.
fn serve(services: &str, at: SocketAddr) {
    let text = format!("[server]\nmemory = \"8MiB\"\n[limits]\noverload_lag_max = \"0s\"\n{services}");
    let config = crate::config::parse(&text).unwrap();
    thread::spawn(move || {
        let failed = crate::serving::run(&config, false);
        panic!("it has ended: {}", failed.is_ok());
    });
    let begun = Instant::now();
    while TcpStream::connect(at).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not start");
        thread::sleep(Duration::from_millis(1));
    }
    // The process's first thread waits for this test, and allocates as it begins to.
    let first = format!("/proc/self/task/{}/stat", std::process::id());
    while !std::fs::read_to_string(&first).unwrap().rsplit(')').next().unwrap().starts_with(" S") {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come to that");
        thread::sleep(Duration::from_millis(1));
    }
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Allocations, reallocations and frees in `f`.
fn counted(f: impl FnOnce()) -> [usize; 3] {
    let region = Region::new(ALLOCATOR);
    f();
    let change = region.change();
    [change.allocations, change.reallocations, change.deallocations]
}

#[test]
fn the_counter_counts() {
    // Others run meanwhile.
    let [allocated, _, freed] = counted(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert!(allocated >= 1 && freed >= 1);
}

/// So many bytes there and back, so often.
#[cfg(any(feature = "echo", feature = "relay"))]
fn rounds(one: &mut TcpStream, other: Option<&mut TcpStream>, bytes: &[u8], back: &mut [u8], times: usize) {
    let mut other = other;
    for _ in 0..times {
        one.write_all(bytes).unwrap();
        match &mut other {
            Some(other) => {
                other.read_exact(back).unwrap();
                other.write_all(bytes).unwrap();
                one.read_exact(back).unwrap();
            }
            None => one.read_exact(back).unwrap(),
        }
    }
}

#[cfg(feature = "echo")]
mod echo {
    use super::*;

    #[test]
    fn a_million_messages_that_come_back_allocate_nothing() {
        in_a_child("echo::counts");
    }

    #[test]
    #[ignore = "a part of the test above, run in a child"]
    fn counts() {
        if std::env::var_os(MARK).is_none() {
            return;
        }
        let at = at(18_830);
        let listen =
            if cfg!(feature = "udp") { format!("\"{at}\", \"udp:{at}\"") } else { format!("\"{at}\"") };
        serve(&format!("[[echo]]\nlisten = [{listen}]\n"), at);
        let (bytes, mut back) = ([7; 6_400], [0; 6_400]);
        // It listens before it has all that it needs; from its first answer on it has.
        rounds(&mut connect(at), None, &bytes, &mut back, 1);
        let counts = counted(|| {
            let mut one = connect(at);
            rounds(&mut one, None, &bytes, &mut back, 10_000);
            rounds(&mut one, None, &bytes[..64], &mut back[..64], 10_000);
        });
        assert_eq!(
            counts,
            [0, 0, 0],
            "a million messages of 64 bytes, a hundred at a time, and then one by one"
        );
        let counts = counted(|| {
            for _ in 0..2_000 {
                rounds(&mut connect(at), None, &bytes[..64], &mut back[..64], 1);
            }
        });
        assert_eq!(counts, [0, 0, 0], "two thousand that come and go");
        #[cfg(feature = "udp")]
        {
            let peers: [UdpSocket; 20] = std::array::from_fn(|_| socket(at));
            let counts = counted(|| {
                for _ in 0..1_000 {
                    peers.iter().for_each(|peer| assert_eq!(peer.send(&bytes[..1_000]).unwrap(), 1_000));
                    peers.iter().for_each(|peer| assert_eq!(peer.recv(&mut back).unwrap(), 1_000));
                }
            });
            assert_eq!(counts, [0, 0, 0], "twenty thousand datagrams");
        }
        end()
    }
}

#[cfg(feature = "udp")]
fn socket(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket.connect(to).unwrap();
    socket
}

#[cfg(feature = "relay")]
mod relay {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_passed_on_allocates_nothing() {
        in_a_child("relay::counts");
    }

    #[test]
    #[ignore = "a part of the test above, run in a child"]
    fn counts() {
        if std::env::var_os(MARK).is_none() {
            return;
        }
        let (streams, datagrams) = (at(18_830), at(18_831));
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let answers = UdpSocket::bind("127.0.0.1:0").unwrap();
        answers.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        serve(
            &format!(
                "[[proxy]]\nname = \"a\"\nlisten = [\"{streams}\"]\nto = [\"{}\"]\n\
                 [[proxy]]\nname = \"b\"\nmode = \"udp\"\nlisten = [\"{datagrams}\"]\nto = [\"{}\"]\n",
                backend.local_addr().unwrap(),
                answers.local_addr().unwrap(),
            ),
            streams,
        );
        // Of who looked whether it serves.
        drop(backend.accept().unwrap());
        let mut one = connect(streams);
        let (mut other, _) = backend.accept().unwrap();
        let (bytes, mut back) = ([7; 6_400], [0; 6_400]);
        rounds(&mut one, Some(&mut other), &bytes, &mut back, 100);
        let counts = counted(|| {
            rounds(&mut one, Some(&mut other), &bytes, &mut back, 5_000);
            rounds(&mut one, Some(&mut other), &bytes[..64], &mut back[..64], 10_000);
        });
        assert_eq!(
            counts,
            [0, 0, 0],
            "a million messages of 64 bytes, a hundred at a time, and then one by one"
        );
        let mut come_and_go = |times| {
            for _ in 0..times {
                let mut one = connect(streams);
                let (mut other, _) = backend.accept().unwrap();
                rounds(&mut one, Some(&mut other), &bytes[..64], &mut back[..64], 1);
            }
        };
        come_and_go(100);
        let counts = counted(|| come_and_go(1_000));
        assert_eq!(counts, [0, 0, 0], "a thousand that come and go");
        let peers: [UdpSocket; 20] = std::array::from_fn(|_| socket(datagrams));
        let mut flows = |times| {
            for _ in 0..times {
                for peer in &peers {
                    peer.send(&bytes[..1_000]).unwrap();
                    let (len, from) = answers.recv_from(&mut back).unwrap();
                    answers.send_to(&bytes[..len], from).unwrap();
                    assert_eq!(peer.recv(&mut back).unwrap(), 1_000);
                }
            }
        };
        flows(10);
        assert_eq!(counted(|| flows(1_000)), [0, 0, 0], "twenty thousand datagrams there and back");
        end()
    }
}

#[cfg(feature = "hub")]
mod hub {
    use super::*;

    #[test]
    fn a_million_messages_that_are_passed_on_allocate_nothing() {
        in_a_child("hub::counts");
    }

    fn client(at: SocketAddr, id: u8) -> TcpStream {
        let mut stream = connect(at);
        stream.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, id]).unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        stream
    }

    /// Half of those that may be in flight to one client: acknowledgements may come behind the next messages, which would have
    /// to wait then, and a message that waits is kept, within the budget.
    const DEPTH: usize = 10;
    /// PUBLISH about `t/1`, with 64 bytes and room for a number.
    const LONGEST: usize = 2 + 5 + 2 + 64;

    /// So many messages at a time of this QoS; how long one is.
    fn messages(qos: u8) -> ([u8; DEPTH * LONGEST], usize) {
        let len = LONGEST - if qos == 0 { 2 } else { 0 };
        let mut all = [b'x'; DEPTH * LONGEST];
        for (n, message) in all.chunks_exact_mut(len).take(DEPTH).enumerate() {
            message[..7].copy_from_slice(&[0x30 | qos << 1, len as u8 - 2, 0, 3, b't', b'/', b'1']);
            if qos > 0 {
                message[7..9].copy_from_slice(&[0, n as u8 + 1]);
            }
        }
        (all, len)
    }

    /// From one to the other, all of them acknowledged.
    fn pass_on(from: &mut TcpStream, to: &mut TcpStream, qos: u8, times: usize) {
        let (all, len) = messages(qos);
        let (mut got, mut acks, mut replies) = ([0; DEPTH * LONGEST], [0; DEPTH * 4], [0; DEPTH * 4]);
        for _ in 0..times {
            from.write_all(&all[..DEPTH * len]).unwrap();
            to.read_exact(&mut got[..DEPTH * len]).unwrap();
            if qos > 0 {
                from.read_exact(&mut replies).unwrap();
                for (ack, message) in acks.chunks_exact_mut(4).zip(got.chunks_exact(len)) {
                    ack.copy_from_slice(&[0x40, 2, message[7], message[8]]);
                }
                to.write_all(&acks).unwrap();
            }
        }
        // Behind its answer every acknowledgement has been taken.
        to.write_all(&[0xc0, 0]).unwrap();
        to.read_exact(&mut [0; 2]).unwrap();
    }

    #[test]
    #[ignore = "a part of the test above, run in a child"]
    fn counts() {
        if std::env::var_os(MARK).is_none() {
            return;
        }
        let at = at(18_830);
        // What the hub says of itself is kept anew each time.
        serve(&format!("[[hub]]\nlisten = [\"{at}\"]\nsys_interval = \"0s\"\n"), at);
        for (qos, times) in [(0, 1_000_000 / DEPTH), (1, 100_000 / DEPTH)] {
            let (mut from, mut to) = (client(at, b'a'), client(at, b'b'));
            to.write_all(&[0x82, 8, 0, 1, 0, 3, b't', b'/', b'#', qos]).unwrap();
            to.read_exact(&mut [0; 5]).unwrap();
            pass_on(&mut from, &mut to, qos, 200);
            let counts = counted(|| pass_on(&mut from, &mut to, qos, times));
            assert_eq!(counts, [0, 0, 0], "{} messages of QoS {qos}", times * DEPTH);
        }
        end()
    }
}
