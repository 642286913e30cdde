//! `windlass memcached` and those who speak to it: libmemcached's tools, and memcached itself as the judge.

mod peer;

use std::process::{Command, Output};

use crate::server::*;
use peer::{Memcached, Talk};
use windlass::proto::testing::Rng;

/// Runs a program of libmemcached-tools; `None`, and loudly, where it is not installed.
fn tool(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: {program} is not installed (Debian: libmemcached-tools)");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn server() -> Server {
    Server::command(&["memcached", "127.0.0.1:0", "-q"])
}

#[test]
fn memccapable_passes_all_its_tests() {
    let server = server();
    let (host, port) = server.address.split_once(':').unwrap();
    let Some(output) = tool("memccapable", &["-h", host, "-p", port, "-t", "20"]) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    let (ascii, binary) = (passed(&said, "ascii"), passed(&said, "binary"));
    assert_eq!((ascii, binary), (27, 27), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("All tests passed"), "{said}");
}

fn passed(said: &str, kind: &str) -> usize {
    said.lines().filter(|line| line.starts_with(kind) && line.ends_with("[pass]")).count()
}

#[test]
fn memcslap_loads_it() {
    let server = server();
    for more in [&["--test=set"][..], &["--test=get"], &["--test=mget"], &["--test=get", "--binary"]] {
        let servers = format!("--servers={}", server.address);
        let mut args = vec![&*servers, "--concurrency=2", "--execute-number=200"];
        args.extend(more);
        let Some(output) = tool("memcslap", &args) else { return };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("Time total"), "{more:?}: {said}");
    }
    let (_, summary, _) = server.stop();
    assert_eq!(summary, "", "quiet");
}

/// The same bytes to both, and the same bytes back. `WINDLASS_MEMCACHED_SEEDS=5000` asks more.
#[test]
fn it_answers_as_memcached_does() {
    let Some(judge) = Memcached::start() else { return };
    let path = SocketPath::new("memcached-differential");
    let _server = Server::command(&["memcached", &format!("unix:{}", path.0.display()), "-q"]);
    let seeds = std::env::var("WINDLASS_MEMCACHED_SEEDS").map_or(100, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut rng = Rng::new(seed);
        let binary = seed % 3 == 2;
        let (mut theirs, mut ours) = (Talk::connect(&judge.path), Talk::connect(&path.0));
        let mut said = Vec::new();
        for _ in 0..60 {
            let request = if binary { peer::binary(&mut rng) } else { peer::text(&mut rng) };
            said.push(request.escape_ascii().to_string());
            let (a, b) = (theirs.ask(&request, binary), ours.ask(&request, binary));
            assert_eq!(
                b.escape_ascii().to_string(),
                a.escape_ascii().to_string(),
                "ours is the left one, seed {seed}, after {:#?}",
                &said[said.len().saturating_sub(8)..]
            );
        }
    }
}
