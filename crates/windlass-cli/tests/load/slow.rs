//! Clients by the thousands that send a byte now and then, and others who are served beside them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::clients::*;
use crate::served::*;
use crate::server::*;

/// Slow clients in all, and proxies that they are spread over: a process may have 20,000 descriptors, and a client
/// of a TCP proxy is two of them.
const SLOW: usize = 20_000;
const PROXIES: usize = 3;
/// Honest round trips on each proxy, before and beside the slow ones.
const HONEST: usize = 2_000;
/// What a slow client may cost the proxy, in bytes of user memory.
const MEMORY_MAX: usize = 4 * 1024;
/// Tells a process of this test which proxy it is to be slow at, and with how many.
const SLOW_AT: &str = "WINDLASS_TEST_SLOW_AT";

/// What is asserted: every honest round trip succeeds, the slow ones are all still served in the end, and each costs
/// the proxy at most 4 KiB. How long the honest ones took is printed, alone and beside the slow ones.
#[test]
#[ignore = "half a minute of full load: `.ci/run load`"]
fn twenty_thousand_slow_clients_leave_honest_ones_alone() {
    allow_descriptors();
    let each = SLOW.div_ceil(PROXIES);
    for n in 0..PROXIES {
        let echo = backend("127.0.0.1:0");
        let proxy = Server::command(&[
            "proxy",
            "--listen",
            "127.0.0.1:0",
            "--to",
            &echo.address,
            "--workers",
            "1",
            "-q",
        ]);
        // The first ones make the tables that all have.
        honest(&proxy.address, 100);
        let (alone, before) = (honest(&proxy.address, HONEST), resident(proxy.pid()));
        let slow = Slow::start(&proxy.address, each);
        let beside = honest(&proxy.address, HONEST);
        let cost = (resident(proxy.pid()).saturating_sub(before)) * 1024 / each;
        slow.end();
        println!(
            "proxy {n}: {each} slow clients cost {cost} bytes each; p99 of honest round trips {:?} alone, {:?} beside \
             them",
            percentile(alone, 99),
            percentile(beside, 99)
        );
        assert!(cost <= MEMORY_MAX, "{cost} bytes for each slow client");
    }
}

/// So many round trips of somebody who does what is expected: how long each took.
fn honest(address: &str, times: usize) -> Vec<Duration> {
    let mut stream = connect(address);
    stream.set_nodelay(true).unwrap();
    let each = (0..times).map(|_| {
        let began = Instant::now();
        round_trip(&mut stream, &[7; 64]);
        began.elapsed()
    });
    each.collect()
}

fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * percent / 100]
}

/// Slow clients, in a process of their own.
struct Slow {
    child: std::process::Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Slow {
    fn start(address: &str, clients: usize) -> Slow {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "slow::the_slow_ones", "--ignored", "--nocapture"]);
        command.env(SLOW_AT, format!("{address} {clients}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A panic is told on stderr, which is ours.
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let mut slow = Slow { child, says };
        slow.hear("all are slow");
        slow
    }

    fn hear(&mut self, what: &str) {
        let (mut heard, mut from) = (String::new(), 0);
        while !heard[from..].contains(what) {
            from = heard.len();
            assert!(self.says.read_line(&mut heard).unwrap() > 0, "no {what:?} of the slow ones:\n{heard}");
        }
    }

    /// Lets them hear what was said to them, all of them.
    fn end(mut self) {
        drop(self.child.stdin.take());
        self.hear("all were served");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process of the slow ones: nothing by itself.
#[test]
#[ignore = "started by the test of the slow ones"]
fn the_slow_ones() {
    let Ok(at) = std::env::var(SLOW_AT) else { return };
    let (address, clients) = at.split_once(' ').unwrap();
    allow_descriptors();
    let mut clients: Vec<(TcpStream, usize)> =
        (0..clients.parse().unwrap()).map(|_| (connect(address), 0)).collect();
    let mut say = |n: usize| {
        let (stream, said) = &mut clients[n];
        stream.write_all(b"x").unwrap();
        *said += 1;
    };
    let count = at.split_once(' ').unwrap().1.parse::<usize>().unwrap();
    (0..count).for_each(&mut say);
    println!("all are slow");
    let over = std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    // Two thousand bytes a second over all of them.
    for n in (0..count).cycle() {
        if over.is_finished() {
            break;
        }
        say(n);
        if n % 20 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    for (stream, said) in &mut clients {
        let mut heard = vec![0; *said];
        stream.read_exact(&mut heard).unwrap();
        assert!(heard.iter().all(|byte| *byte == b'x'));
    }
    println!("all were served");
}
