//! A log that is cut off, or garbled, at any byte opens, and holds nothing that was never written.

use windlass_proto::testing::Rng;

use super::kit::{body, commit, open, opened, queue, segments, waiting};
use crate::journal::*;

type Waiting = Vec<(String, Vec<String>)>;

const LOG: &str = "0000000000000001.log";

/// A segment of some batches, and what is there after each of them.
fn written() -> (Vec<u8>, Vec<Waiting>, Vec<usize>) {
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, LogConfig::default());
    let mut journal = log.journal(0);
    let mut expected: Vec<Waiting> = vec![vec![]];
    let mut ends = vec![0];
    for n in 0..6 {
        // Two sessions and a message for each in one batch: all of it, or none.
        let mut next = expected[n].clone();
        for half in ["a", "b"] {
            let (client_id, payload) = (format!("{n}{half}"), format!("payload {n}{half}"));
            let session = opened(&mut journal, &client_id);
            queue(&mut journal, session, &Mark::default(), &body("t", payload.as_bytes()));
            next.push((client_id, vec![payload]));
        }
        assert!(commit(&mut journal, 0));
        expected.push(next);
        ends.push(disk.edit(LOG, |bytes| bytes.len()).expect("it is there"));
    }
    let bytes = disk.edit(LOG, |bytes| bytes.clone()).expect("it is there");
    (bytes, expected, ends)
}

fn opens(bytes: Vec<u8>) -> (SimDisk, Recovered) {
    let disk = SimDisk::new(2, SimPlan::default());
    disk.put(LOG, bytes);
    let (_, recovered) = open(&disk, LogConfig::default());
    (disk, recovered)
}

#[test]
fn cut_off_at_any_byte() {
    let (bytes, expected, ends) = written();
    for cut in 0..=bytes.len() {
        let whole = ends.iter().rposition(|end| *end <= cut).expect("none is as much as nothing");
        let (disk, recovered) = opens(bytes[..cut].to_vec());
        assert_eq!(waiting(&recovered), expected[whole], "cut at {cut}");
        assert_eq!(recovered.report.problems, Vec::<String>::new(), "cut at {cut}");
        // And it goes on: what is committed next is there behind what was whole.
        let (log, _) = open(&disk, LogConfig::default());
        let mut journal = log.journal(0);
        opened(&mut journal, "next");
        assert!(commit(&mut journal, 0));
        drop((journal, log));
        let (_, recovered) = open(&disk.crash(), LogConfig::default());
        let mut all = expected[whole].clone();
        all.push(("next".into(), vec![]));
        assert_eq!(waiting(&recovered), all, "cut at {cut}");
        assert_eq!(recovered.report.problems, Vec::<String>::new(), "cut at {cut}");
    }
}

#[test]
fn a_byte_changed_anywhere() {
    let (bytes, expected, ends) = written();
    let all = expected.last().expect("there are some");
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut garbled = bytes.clone();
            garbled[at] ^= flip;
            // The batch that it is in is lost, and no other.
            let hit = ends.iter().position(|end| at < *end).filter(|_| at >= 52);
            let mut left = all.clone();
            if let Some(hit) = hit {
                left.drain(2 * (hit - 1)..2 * hit);
            }
            let (disk, recovered) = opens(garbled.clone());
            assert_eq!(waiting(&recovered), left, "byte {at}");
            let is_tail = hit == Some(ends.len() - 1);
            let problems = &recovered.report.problems;
            assert_eq!(problems.is_empty(), is_tail, "byte {at}: {problems:?}");
            if is_tail {
                continue;
            }
            // Set aside as it was, told once, and what is left is whole.
            assert!(
                problems.iter().any(|problem| problem.contains("0000000000000001.corrupt-1")),
                "{problems:?}"
            );
            let aside = disk.edit("0000000000000001.corrupt-1", |bytes| bytes.clone());
            assert_eq!(aside, Some(garbled), "byte {at}");
            let (_, again) = open(&disk.crash(), LogConfig::default());
            assert_eq!((waiting(&again), &again.report.problems[..]), (left, &[][..]), "byte {at}");
        }
    }
}

#[test]
fn bytes_of_another_segment_are_not_taken_for_its_own() {
    let (bytes, expected, ends) = written();
    // A frame at the place it had, in a file of another number: blocks of a file that was removed.
    let disk = SimDisk::new(2, SimPlan::default());
    disk.put("0000000000000002.log", bytes.clone());
    let (_, recovered) = open(&disk, LogConfig::default());
    assert!(recovered.sessions.is_empty());
    // Twice in the same file.
    let mut twice = bytes.clone();
    twice.extend_from_slice(&bytes[ends[0].max(52)..]);
    let (_, recovered) = opens(twice);
    assert_eq!(waiting(&recovered), expected[6]);
}

#[test]
fn another_version_is_said_to_be_one() {
    let (mut bytes, ..) = written();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..48]);
    bytes[48..52].copy_from_slice(&crc.to_le_bytes());
    let disk = SimDisk::new(2, SimPlan::default());
    disk.put(LOG, bytes.clone());
    let error = Log::open(disk.clone(), LogConfig::default(), 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`0000000000000001.log` was written by another version of windlass (format 2)"
    );
    assert_eq!(disk.edit(LOG, |bytes| bytes.clone()), Some(bytes), "it is left as it is");
}

/// Several segments, one of which is missing, cut, or garbled in the middle of the log.
#[test]
fn a_segment_in_the_middle_is_damaged() {
    let config = || LogConfig::default().segment_bytes(125);
    let disk = SimDisk::new(1, SimPlan::default());
    let (log, _) = open(&disk, config());
    let mut journal = log.journal(0);
    for n in 0..12 {
        opened(&mut journal, &format!("client {n:02}"));
        assert!(commit(&mut journal, 0));
    }
    drop((journal, log));
    let names = segments(&disk);
    assert_eq!(names.len(), 6);
    type Damage = fn(&SimDisk, &str);
    let damages: [(Damage, &str, std::ops::Range<usize>); 4] = [
        (|disk, name| disk.clone().remove(name).expect("it is there"), "is missing", 4..6),
        (|disk, name| assert!(disk.edit(name, |bytes| bytes.truncate(60)).is_some()), "garbled", 4..6),
        (|disk, name| assert!(disk.edit(name, |bytes| bytes.truncate(100)).is_some()), "the last", 5..6),
        (|disk, name| assert!(disk.edit(name, |bytes| bytes[60] ^= 1).is_some()), "garbled", 4..5),
    ];
    for (damage, said, lost) in damages {
        let disk = disk.crash();
        damage(&disk, &names[2]);
        let (_, recovered) = open(&disk, config());
        let mut expected: Vec<String> = (0..12).map(|n| format!("client {n:02}")).collect();
        expected.drain(lost);
        let left: Vec<String> = recovered.sessions.iter().map(|s| s.client_id.to_string()).collect();
        assert_eq!(left, expected, "{said}");
        assert!(
            recovered.report.problems.iter().any(|problem| problem.contains(said)),
            "{:?}",
            recovered.report
        );
    }
}

#[test]
fn garbage_opens() {
    let mut rng = Rng::new(5);
    for _ in 0..3_000 {
        let mut bytes = vec![0; rng.below(300) as usize];
        rng.fill(&mut bytes);
        // Many small kinds and numbers, so that some of it is records.
        for byte in &mut bytes {
            if rng.chance(3, 4) {
                *byte %= 20;
            }
        }
        fuzzing::fuzz(&bytes);
    }
    // And records that are whole, one after the other.
    let (bytes, ..) = written();
    fuzzing::fuzz(&bytes);
}
