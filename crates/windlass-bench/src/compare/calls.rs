//! System calls per message, counted by `strace`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Place;
use super::drive::Drive;
use super::peers::Peer;
use super::server::Server;
use super::workloads::{self, Workload};
use crate::text;

/// Calls rarer than this are not worth a mention: they belong to start-up and accept.
const RARE: f64 = 0.01;
/// Long enough for tens of thousands of messages even under `strace`.
const SECONDS: Duration = Duration::from_secs(3);
/// What the same takes in a shorter time tells what of it belongs to messages, and what to the beginning and the end.
const SHORTER: Duration = Duration::from_secs(1);
/// One workload of small messages and one of large ones.
const COUNTED: [&str; 2] = ["W1", "W4"];

/// Calls that take bytes from a socket, or give it some.
const OF_BYTES: [&str; 12] = [
    "read", "readv", "recvfrom", "recvmsg", "recvmmsg", "write", "writev", "sendto", "sendmsg", "sendmmsg",
    "splice", "sendfile",
];

/// Calls and errors by name.
pub(super) type Calls = BTreeMap<String, (u64, u64)>;

/// What one peer called on one workload.
pub(crate) struct Counted {
    pub(crate) workload: &'static str,
    pub(crate) peer: String,
    /// Calls for each message more that take bytes from a socket or give it some, those that fail included. What the
    /// ends of connections take, whatever the number of messages between them, is not in it.
    pub(crate) of_bytes: f64,
}

/// Counts the calls of each peer; `None`, said loudly, if there is no `strace`.
pub(crate) fn section(peers: &[Peer], place: &Place) -> Result<Option<String>> {
    let workloads = workloads::select(&COUNTED.map(str::to_owned))?;
    Ok(section_of(peers, place, &workloads)?.map(|(text, _)| text))
}

/// The same on these workloads, and the counts themselves.
pub(crate) fn section_of(
    peers: &[Peer],
    place: &Place,
    workloads: &[Workload],
) -> Result<Option<(String, Vec<Counted>)>> {
    let found = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("NOT COUNTED: there is no strace on this machine, so --strace reports nothing");
        return Ok(None);
    }
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for peer in peers {
        let mut row = vec![peer.name.clone()];
        for workload in workloads {
            eprintln!("counting {} {}", workload.id, peer.name);
            let counted = count(workload, peer, place, SHORTER)
                .and_then(|shorter| Ok((shorter, count(workload, peer, place, SECONDS)?)));
            row.push(match counted {
                Ok((shorter, longer)) => {
                    let of_bytes = of_bytes_more(&shorter, &longer);
                    all.push(Counted { workload: workload.id, peer: peer.name.clone(), of_bytes });
                    tell(&longer.0, longer.1)
                }
                Err(error) => format!("{error:#}"),
            });
        }
        rows.push(row);
    }
    let head: Vec<&str> =
        ["server"].into_iter().chain(workloads.iter().map(|workload| workload.id)).collect();
    let table = text::table(&head, &rows);
    Ok(Some((format!("\n## System calls per message (`strace -c -f`)\n\n{table}"), all)))
}

fn count(workload: &Workload, peer: &Peer, place: &Place, time: Duration) -> Result<(Calls, u64)> {
    let summary = std::env::temp_dir().join(format!("windlass-bench-{}.strace", std::process::id()));
    let outcome = trace(workload, peer, place, time, &summary);
    let text = std::fs::read_to_string(&summary);
    // Removed whatever happened; if it was never written there is nothing to remove.
    let _ = std::fs::remove_file(&summary);
    let messages = outcome?;
    ensure!(messages > 0, "no message came back");
    Ok((parse(&text.context("strace wrote no summary")?), messages))
}

/// Runs the workload against a traced server; returns how many messages it echoed.
fn trace(workload: &Workload, peer: &Peer, place: &Place, time: Duration, summary: &Path) -> Result<u64> {
    let prefix = ["strace", "-c", "-f", "-o"].map(str::to_owned);
    let prefix = [&prefix[..], &[summary.display().to_string()]].concat();
    let server = Server::start(peer, place.server(), workload.cubic, &prefix)?;
    let report = Drive::of(workload, &server)?.slice(time)?;
    server.end_traced()?;
    Ok(report.load.total_messages)
}

/// Reads the table of `strace -c`: share, seconds, time per call, calls, errors or nothing, name.
pub(super) fn parse(summary: &str) -> Calls {
    let mut calls = Calls::new();
    for line in summary.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (count, errors, name) = match fields.as_slice() {
            [_, _, _, count, name] => (count.parse(), Ok(0), name),
            [_, _, _, count, errors, name] => (count.parse(), errors.parse(), name),
            _ => continue,
        };
        if let (Ok(count), Ok(errors)) = (count, errors)
            && *name != "total"
        {
            calls.insert((*name).to_owned(), (count, errors));
        }
    }
    calls
}

/// What each message costs that the longer of two times had and the shorter had not.
fn of_bytes_more(shorter: &(Calls, u64), longer: &(Calls, u64)) -> f64 {
    let more = longer.1 as f64 - shorter.1 as f64;
    (of_bytes(&longer.0) as f64 - of_bytes(&shorter.0) as f64) / more.max(1.0)
}

fn of_bytes(calls: &Calls) -> u64 {
    OF_BYTES.iter().filter_map(|name| calls.get(*name)).map(|(count, _)| *count).sum()
}

/// The frequent calls, the most frequent first.
fn tell(calls: &Calls, messages: u64) -> String {
    let mut each: Vec<(f64, f64, &str)> = calls
        .iter()
        .map(|(name, &(count, errors))| {
            (count as f64 / messages as f64, errors as f64 / messages as f64, name.as_str())
        })
        .filter(|&(count, _, _)| count >= RARE)
        .collect();
    each.sort_by(|a, b| b.0.total_cmp(&a.0));
    let texts: Vec<String> = each
        .into_iter()
        .map(|(count, errors, name)| match errors {
            errors if errors >= RARE => format!("{name} {count:.2} ({errors:.2} failed)"),
            _ => format!("{name} {count:.2}"),
        })
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.200000           2    100000           sendto
 30.00    0.100000           1    110000     10000 recvfrom
 10.00    0.010000           5      2000           epoll_wait
  0.00    0.000000           1        64         1 accept4
------ ----------- ----------- --------- --------- ----------------
100.00    0.310000           2    212064     10001 total
";

    #[test]
    fn counts_per_message() {
        let calls = parse(SUMMARY);
        assert_eq!(calls["recvfrom"], (110_000, 10_000));
        assert_eq!(tell(&calls, 100_000), "recvfrom 1.10 (0.10 failed), sendto 1.00, epoll_wait 0.02");
        assert_eq!(of_bytes(&calls), 210_000, "neither waiting nor accepting");
    }

    #[test]
    fn what_ends_of_connections_take_is_no_message_s() {
        let taken = |count| Calls::from([("recvfrom".to_owned(), (count, 0))]);
        let of_bytes = of_bytes_more(&(taken(1_064), 1_000), &(taken(3_064), 3_000));
        assert!((of_bytes - 1.0).abs() < 1e-9, "{of_bytes}");
    }
}
