//! What a crash, or a disk, has left of the segments: which count, how much of each, and what is set aside.
//!
//! The newest head that is whole says where the log begins and which segment it continues, and so on back. Segments
//! that nobody continues were given up by who wrote them. Each is read once, from the oldest on; what is behind the last
//! whole frame of the last one was never acknowledged, and is passed over. A frame that is not whole, and was on the disk
//! when one behind it was written, was not left by any crash: what is whole in that file is written anew, and the file
//! is set aside.
//!
//! What was read of the last segment is settled on the disk before anything is built on it (`settle`).

use std::collections::BTreeMap;

use super::batch::Batch;
use super::disk::Disk;
use super::frame::{self, Found, HEAD, Head, HeadError, SALVAGED};
use super::log::{LogError, disk_error};
use super::recovered::Recovered;
use super::replay::Replay;
use super::segments::{Place, name};

/// What to read, from the newest segment back, and how much of it counts.
struct Chain {
    /// In order: number, and how many of its bytes count if the next one says so.
    read: Vec<(u64, Option<u64>)>,
    heads: BTreeMap<u64, Option<Head>>,
    first: u64,
    problems: Vec<String>,
}

/// Reads the log, and says where the next segment goes on, and what goes into it before all else.
pub(super) fn recover(disk: &mut dyn Disk, now_ms: u64) -> Result<(Place, Recovered, Vec<Batch>), LogError> {
    let names = disk.list().map_err(disk_error("list its folder"))?;
    let names = finish_setting_aside(disk, names)?;
    let last = names.iter().filter_map(|name| number_of(name)).max().unwrap_or(0);
    let mut bytes = Vec::new();
    let chain = chain(disk, &names, &mut bytes)?;

    let mut replay = Replay::default();
    replay.report.problems = chain.problems;
    let mut place = Place { next: last + 1, first: chain.first, ..Place::default() };
    for (at, (number, counts)) in chain.read.iter().enumerate() {
        let is_last = at + 1 == chain.read.len();
        let head = chain.heads.get(number).copied().flatten();
        read(disk, *number, &mut bytes)?;
        let (previous, first) = (place.good, chain.first);
        let segment = Segment { number: *number, head, counts: *counts, is_last, previous, first };
        let len = segment.replay(disk, &mut bytes, &mut replay);
        place.good = (*number, len);
        place.sizes.push((*number, len));
    }
    settle(disk, &mut place, &chain.heads, &mut bytes)?;
    if replay.wants_texts() {
        for (number, _) in &place.sizes {
            read(disk, *number, &mut bytes)?;
            each_frame(&bytes, *number, |body| replay.texts(body));
        }
    }
    // What nobody reads any more. If it cannot be removed now, then another time.
    for number in chain.heads.keys().filter(|number| !place.sizes.iter().any(|(read, _)| read == *number)) {
        let _ = disk.remove(&name(*number));
    }
    let (recovered, settled) = replay.finish(now_ms);
    Ok((place, recovered, settled))
}

/// Makes sure that what was read at the end of the log is on the disk, before anything is built on it. A process that
/// was killed leaves bytes that only the system has, and after a failed sync even the next one would not save them: so
/// they are written anew. Where there is no room for that, they are synced.
fn settle(
    disk: &mut dyn Disk,
    place: &mut Place,
    heads: &BTreeMap<u64, Option<Head>>,
    bytes: &mut Vec<u8>,
) -> Result<(), LogError> {
    let (number, len) = place.good;
    if number == 0 {
        return Ok(());
    }
    read(disk, number, bytes)?;
    bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
    let (log, new) = (name(number), new_name(number));
    // One without a head that is whole could not be set aside before.
    let has_head = heads.get(&number).is_some_and(Option::is_some);
    let is_new = has_head && write_synced(disk, &new, bytes).and_then(|()| disk.rename(&new, &log)).is_ok();
    if !is_new {
        let _ = disk.remove(&new);
        disk.sync(&log).map_err(disk_error(&format!("sync `{log}`")))?;
    }
    disk.sync_names().map_err(disk_error("sync its folder"))
}

fn new_name(number: u64) -> String {
    format!("{number:016}.new")
}

fn write_synced(disk: &mut dyn Disk, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = disk.create(name)?;
    file.append(bytes)?;
    file.sync()
}

/// The number of a segment, or of what is left of one.
fn number_of(name: &str) -> Option<u64> {
    let (number, kind) = name.split_once('.')?;
    let of_ours = kind == "log" || kind == "new" || kind.starts_with("corrupt-");
    if number.len() == 16 && of_ours { number.parse().ok() } else { None }
}

/// A segment is set aside in two steps, and the power may have gone between them.
fn finish_setting_aside(disk: &mut dyn Disk, mut names: Vec<String>) -> Result<Vec<String>, LogError> {
    let halves: Vec<String> = names.iter().filter(|name| name.ends_with(".new")).cloned().collect();
    for new in halves {
        let Some(number) = number_of(&new) else { continue };
        let log = name(number);
        if names.contains(&log) {
            // Not finished, or not begun: it will be done again. If it stays, it is written over then.
            let _ = disk.remove(&new);
        } else {
            disk.rename(&new, &log).map_err(disk_error("rename a segment"))?;
            disk.sync_names().map_err(disk_error("sync its folder"))?;
            names.push(log);
        }
        names.retain(|name| *name != new);
    }
    Ok(names)
}

fn read(disk: &mut dyn Disk, number: u64, bytes: &mut Vec<u8>) -> Result<(), LogError> {
    disk.read(&name(number), u64::MAX, bytes).map_err(disk_error(&format!("read `{}`", name(number))))
}

fn each_frame(bytes: &[u8], number: u64, mut each: impl FnMut(&[u8])) {
    let mut at = HEAD;
    loop {
        match frame::frame_at(bytes, number, at) {
            (Found::Frame(body, _), next) => {
                each(body);
                at = next;
            }
            (Found::End, _) => return,
            (Found::Broken, _) => match frame::next_frame(bytes, number, at) {
                Some(next) => at = next,
                None => return,
            },
        }
    }
}

fn chain(disk: &mut dyn Disk, names: &[String], bytes: &mut Vec<u8>) -> Result<Chain, LogError> {
    let mut chain = Chain { read: Vec::new(), heads: BTreeMap::new(), first: 1, problems: Vec::new() };
    for file in names.iter().filter(|name| name.ends_with(".log")) {
        let Some(number) = number_of(file) else { continue };
        disk.read(file, HEAD as u64, bytes).map_err(disk_error(&format!("read `{file}`")))?;
        let head = match Head::decode(bytes) {
            // One that was renamed says so, and is no better than one that cannot be read.
            Ok(head) => Some(head).filter(|head| head.number == number),
            Err(HeadError::Broken) => None,
            Err(HeadError::Version(version)) => {
                return Err(LogError::Version { file: file.clone(), version });
            }
        };
        chain.heads.insert(number, head);
    }
    chain.first = chain.heads.values().rev().flatten().next().map_or(1, |head| head.first);

    let mut at = chain.heads.last_key_value().map(|(number, _)| *number);
    let mut counts = None;
    while let Some(number) = at.filter(|number| *number >= chain.first) {
        let below = chain.heads.range(..number).next_back().map(|(number, _)| *number);
        let Some(head) = chain.heads[&number] else {
            // As it was being made when the power went, or given up, or garbled: what it holds tells which.
            read(disk, number, bytes)?;
            let continued = counts.is_some_and(|counts| counts > HEAD as u64);
            if continued || frame::was_synced(bytes, number, 0) {
                chain.read.push((number, counts.take()));
            }
            at = below;
            continue;
        };
        chain.read.push((number, counts.filter(|_| head.flags & SALVAGED == 0)));
        counts = Some(head.previous_len);
        at = match chain.heads.contains_key(&head.previous) {
            true => Some(head.previous),
            false if head.previous < chain.first => None,
            false => {
                chain.problems.push(format!("`{}` is missing", name(head.previous)));
                counts = None;
                below
            }
        };
    }
    chain.read.reverse();
    Ok(chain)
}

/// One that is read.
struct Segment {
    number: u64,
    head: Option<Head>,
    counts: Option<u64>,
    is_last: bool,
    previous: (u64, u64),
    first: u64,
}

impl Segment {
    /// Replays what counts of it, sets it aside if it is garbled, and says how long it is.
    fn replay(&self, disk: &mut dyn Disk, bytes: &mut Vec<u8>, replay: &mut Replay) -> u64 {
        let file = name(self.number);
        let mut problems = Vec::new();
        if let Some(counts) = self.counts {
            if (bytes.len() as u64) < counts {
                let missing = counts - bytes.len() as u64;
                problems.push(format!("the last {missing} bytes of `{file}` are missing"));
            }
            bytes.truncate(usize::try_from(counts).unwrap_or(usize::MAX));
        }
        if self.head.is_none() {
            problems.push(format!("the head of `{file}` is garbled"));
        }
        let mut whole = Vec::new();
        let mut at = HEAD.min(bytes.len());
        let len = loop {
            match frame::frame_at(bytes, self.number, at) {
                (Found::Frame(body, _), next) => {
                    match replay.frame(body) {
                        Ok(()) => whole.push(at..next),
                        Err(error) => problems.push(format!("at byte {at} of `{file}`: {error}")),
                    }
                    at = next;
                }
                (Found::End, _) => break at,
                // The end of the last one: what was being written when the power went, or the process.
                (Found::Broken, _)
                    if self.is_last
                        && self.counts.is_none()
                        && !frame::was_synced(bytes, self.number, at) =>
                {
                    replay.report.torn_bytes += (bytes.len() - at) as u64;
                    break at;
                }
                (Found::Broken, _) => match frame::next_frame(bytes, self.number, at) {
                    Some(next) => {
                        problems.push(format!("bytes {at} to {next} of `{file}` are garbled"));
                        at = next;
                    }
                    None => {
                        problems.push(format!("bytes {at} to {} of `{file}` are garbled", bytes.len()));
                        break at;
                    }
                },
            }
        };
        replay.report.segments += 1;
        replay.report.bytes += bytes.len() as u64;
        if problems.is_empty() {
            return len as u64;
        }
        let frames = whole.iter().map(|frame| &bytes[frame.start + frame::FRAME_HEAD..frame.end]);
        let set_aside = self.set_aside(disk, frames);
        let len = match set_aside {
            Ok((corrupt, len)) => {
                problems.push(format!(
                    "`{file}` is set aside as `{corrupt}`; the start goes on with what is whole"
                ));
                len
            }
            Err(error) => {
                problems.push(format!("`{file}` cannot be set aside, and stays as it is: {error}"));
                len as u64
            }
        };
        replay.report.problems.append(&mut problems);
        len
    }

    /// Writes what is whole of it anew, and keeps the file under another name.
    fn set_aside<'b>(
        &self,
        disk: &mut dyn Disk,
        bodies: impl Iterator<Item = &'b [u8]>,
    ) -> std::io::Result<(String, u64)> {
        let (previous, previous_len) = self.previous;
        let continued = Head { flags: 0, number: self.number, previous, previous_len, first: self.first };
        let head = Head { flags: SALVAGED, ..self.head.unwrap_or(continued) };
        let mut salvaged = head.encode().to_vec();
        for body in bodies {
            let at = salvaged.len() as u64;
            frame::put_frame(&mut salvaged, self.number, at, at, body);
        }
        let (log, new) = (name(self.number), new_name(self.number));
        write_synced(disk, &new, &salvaged)?;
        disk.sync_names()?;
        let names = disk.list()?;
        let aside = (1..).map(|n| format!("{:016}.corrupt-{n}", self.number));
        let corrupt = aside.into_iter().find(|name| !names.contains(name)).unwrap_or_default();
        disk.rename(&log, &corrupt)?;
        disk.rename(&new, &log)?;
        disk.sync_names()?;
        Ok((corrupt, salvaged.len() as u64))
    }
}
