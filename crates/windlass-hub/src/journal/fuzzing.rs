//! A fuzzer's entry: any bytes at all as what is found on a disk.

use super::disk::{SimDisk, SimPlan};
use super::frame::{Head, put_frame};
use super::log::{Log, LogConfig};
use super::record::Record;
use super::segments::name;

/// Any bytes, as records, as the frames of a segment with good checksums, and as a whole segment: what is read is
/// written again as it was, opening never fails and finds the same the second time.
///
/// # Panics
///
/// If it is not so.
pub fn fuzz(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(record) = Record::decode(&mut rest) {
        let mut again = Vec::new();
        record.encode(&mut again);
        assert_eq!(Record::decode(&mut &again[..]), Ok(record));
        if rest.is_empty() {
            break;
        }
    }

    // Frames of as many bytes as the first of each says, so that what is behind the checksums is reached.
    let mut segment = Head { number: 1, first: 1, ..Head::default() }.encode().to_vec();
    let mut left = bytes;
    while let Some((len, rest)) = left.split_first() {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        let at = segment.len() as u64;
        put_frame(&mut segment, 1, at, at, body);
        left = rest;
    }
    open_twice(segment);
    open_twice(bytes.to_vec());
}

fn open_twice(segment: Vec<u8>) {
    let disk = SimDisk::new(1, SimPlan::default());
    disk.put(&name(1), segment);
    let open = || Log::open(disk.clone(), LogConfig::default(), 1).map(|(_, recovered)| recovered);
    // Only another version is an error, which stays one.
    let Ok(first) = open() else { return assert!(open().is_err()) };
    let second = open().expect("it has opened before");
    // Bytes that are wrong are set aside at once. Whole records that name a message nobody wrote stay until a checkpoint
    // leaves them out, and are told until then.
    let told = second.report.problems.iter().filter(|problem| !problem.ends_with("in none of the segments"));
    assert_eq!(told.collect::<Vec<_>>(), Vec::<&String>::new(), "what is wrong is set aside at once");
    assert_eq!(second.sessions, first.sessions);
    assert_eq!((second.next_number, second.next_version), (first.next_number, first.next_version));
    assert_eq!(second.retained.len(), first.retained.len());
    assert_eq!(second.report.records, first.report.records);
}
