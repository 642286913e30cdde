//! Clients by the thousands that send a byte now and then, and others who are served beside them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::clients::*;
use crate::origin::{Client, Origin, WORD};
use crate::served::*;
use crate::server::*;
use crate::soak::NEVER_SHED;

/// Slow clients in all.
const SLOW: usize = 20_000;
/// Honest exchanges with each proxy, before and beside the slow ones.
const HONEST: usize = 2_000;
/// What a slow client may cost the proxy, in bytes of user memory.
const MEMORY_MAX: usize = 4 * 1024;
/// Tells a process of this test which proxy it is to be slow at, in what it speaks, and with how many.
const SLOW_AT: &str = "WINDLASS_TEST_SLOW_AT";
/// What a slow client of HTTP says byte for byte, and then its end: it must have come to that within the proxy's
/// deadline for heads, which is long here.
const HEAD: &[u8] = b"GET /x HTTP/1.1\r\nhost: h\r\nx-slow: ";

/// What is asserted: every honest round trip succeeds, the slow ones are all still served in the end, and each costs
/// the proxy at most 4 KiB. How long the honest ones took is printed, alone and beside the slow ones.
///
/// A process may have 20,000 descriptors, and a client of a TCP proxy is two of them: there are three proxies.
#[test]
#[ignore = "half a minute of full load: `.ci/run load`"]
fn twenty_thousand_slow_clients_of_tcp_leave_honest_ones_alone() {
    allow_descriptors();
    for _ in 0..3 {
        let echo = backend("127.0.0.1:0");
        let flags = [
            "--listen",
            "127.0.0.1:0",
            "--to",
            &echo.address,
            "--workers",
            "1",
            "-q",
            "--limit",
            "overload_lag_max=0",
        ];
        let proxy = Server::command(&[&["proxy"], &flags[..]].concat());
        let mut stream = connect(&proxy.address);
        stream.set_nodelay(true).unwrap();
        beside_slow_ones(&proxy, "tcp", SLOW.div_ceil(3), || round_trip(&mut stream, &[7; 64]));
    }
}

/// The same of requests, whose heads come byte by byte. Such a client is one descriptor: there are two proxies.
#[test]
#[ignore = "half a minute of full load: `.ci/run load`"]
fn twenty_thousand_slow_clients_of_http_leave_honest_ones_alone() {
    allow_descriptors();
    let folder = Folder::new("load-slow");
    for n in 0..2 {
        let origin = Origin::start("127.0.0.1:0");
        let text = format!(
            "[server]\nworkers = 1\n{NEVER_SHED}[[proxy]]\nmode = \"http\"\nlisten = \"127.0.0.1:0\"\nto = \"{}\"\n\
             client_timeout = \"10m\"\n[proxy.http]\nrequest_timeout = \"10m\"\n",
            origin.address
        );
        let file = folder.file(&format!("windlass-{n}.toml"), &text);
        let proxy = Server::command(&["run", "-q", "-c", &file]);
        let mut client = Client::connect(&proxy.address);
        beside_slow_ones(&proxy, "http", SLOW / 2, || client.expect_word());
    }
}

fn beside_slow_ones(proxy: &Server, speaks: &str, slow: usize, mut exchange: impl FnMut()) {
    // The first ones make the tables that all have.
    honest(100, &mut exchange);
    let (alone, before) = (honest(HONEST, &mut exchange), resident(proxy.pid()));
    let some = Slow::start(&proxy.address, speaks, slow);
    let beside = honest(HONEST, &mut exchange);
    let cost = resident(proxy.pid()).saturating_sub(before) * 1024 / slow;
    some.end();
    honest(100, &mut exchange);
    println!(
        "{slow} slow clients of {speaks} cost {cost} bytes each; p99 of honest exchanges {:?} alone, {:?} beside them",
        percentile(alone, 99),
        percentile(beside, 99)
    );
    assert!(cost <= MEMORY_MAX, "{cost} bytes for each slow client");
}

/// So many exchanges of somebody who does what is expected: how long each took.
fn honest(times: usize, exchange: &mut impl FnMut()) -> Vec<Duration> {
    let each = (0..times).map(|_| {
        let began = Instant::now();
        exchange();
        began.elapsed()
    });
    each.collect()
}

pub(crate) fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * percent / 100]
}

/// Slow clients, in a process of their own.
struct Slow {
    child: std::process::Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Slow {
    fn start(address: &str, speaks: &str, clients: usize) -> Slow {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "slow::the_slow_ones", "--ignored", "--nocapture"]);
        command
            .env(SLOW_AT, format!("{address} {speaks} {clients}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
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
    let words: Vec<&str> = at.split(' ').collect();
    let (is_http, count) = (words[1] == "http", words[2].parse::<usize>().unwrap());
    allow_descriptors();
    let mut clients: Vec<(Client, usize)> = (0..count).map(|_| (Client::connect(words[0]), 0)).collect();
    let mut say = |n: usize| {
        let (client, said) = &mut clients[n];
        let byte = HEAD.get(*said).filter(|_| is_http).unwrap_or(&b'x');
        client.say(&[*byte]);
        *said += 1;
    };
    (0..count).for_each(&mut say);
    println!("all are slow");
    let over = std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    // Two thousand bytes a second over all of them.
    for n in (0..count).cycle() {
        if over.is_finished() {
            break;
        }
        say(n);
        // A few at a time: what is measured beside them is the proxy, not who else wants a core.
        if n % 2 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    for (client, said) in &mut clients {
        if is_http {
            client.say(HEAD.get(*said..).unwrap_or_default());
            client.say(b"\r\n\r\n");
            assert_eq!(client.hear(), Some(("HTTP/1.1 200 OK".into(), WORD.into())));
        } else {
            client.expect_bytes(*said, b'x');
        }
    }
    println!("all were served");
}
