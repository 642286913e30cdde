//! What each command does, by the groups Redis has them in.

pub(super) mod connection;
pub(super) mod hashes;
pub(super) mod keys;
pub(super) mod lists;
pub(super) mod messages;
pub(super) mod server;
pub(super) mod sets;
pub(super) mod sorted;
pub(super) mod strings;
pub(super) mod transactions;

use super::fail::{Done, Fail, NOT_INTEGER, SYNTAX, integer};
use super::{Run, glob, upper};

/// Positions from the front, both included and negative ones counted from the back, as a range: from the
/// first to before the second.
fn range(from: i64, to: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let place = |at: i64| if at < 0 { (len + at).max(0) } else { at.min(len) };
    let to = if to < 0 { len + to } else { to.min(len - 1) };
    let (from, end) = (place(from), to + 1);
    if end <= from { (0, 0) } else { (from as usize, end as usize) }
}

/// What the `SCAN`s are asked for.
struct Scan<'b> {
    cursor: u64,
    count: usize,
    pattern: Option<&'b [u8]>,
    kind: Option<&'b [u8]>,
}

/// Positions looked at in one step, at most.
const COUNT_MAX: i64 = 100_000;

impl<'b> Scan<'b> {
    fn parse(run: &mut Run<'_, '_, 'b>) -> Result<Scan<'b>, Fail> {
        let cursor = std::str::from_utf8(run.arg()).ok().and_then(|text| text.parse().ok());
        let mut scan = Scan {
            cursor: cursor.ok_or(Fail::Text("ERR invalid cursor"))?,
            count: 10,
            pattern: None,
            kind: None,
        };
        while let Some(option) = run.args.next() {
            let value = run.args.next().ok_or(SYNTAX)?;
            match upper(option, &mut [0; 16]) {
                b"COUNT" => match integer(value)? {
                    count @ 1.. => scan.count = count.min(COUNT_MAX) as usize,
                    _ => return Err(SYNTAX),
                },
                b"MATCH" => scan.pattern = (value != b"*").then_some(value),
                b"TYPE" if run.spec.name == "scan" => scan.kind = Some(value),
                _ => return Err(SYNTAX),
            }
        }
        Ok(scan)
    }

    fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name))
    }
}

/// A count of at least 0, as `LPOP` and others take it; `None` where none was sent.
fn count(run: &mut Run<'_, '_, '_>) -> Result<Option<usize>, Fail> {
    let Some(text) = run.args.next() else { return Ok(None) };
    match integer(text)? {
        count @ 0.. => Ok(Some(count as usize)),
        _ => Err(super::fail::NOT_POSITIVE),
    }
}

/// Begins the reply of a `SCAN`: the cursor, and then an array whose length is not known yet. It is written
/// by `elements` into a buffer of its own.
fn scan_reply(run: &mut Run<'_, '_, '_>, next: u64, elements: &[u8], len: usize) -> Done {
    let mut reply = run.reply();
    reply.array(2);
    reply.bulk_integer(i64::try_from(next).map_err(|_| NOT_INTEGER)?);
    reply.array(len);
    run.out.extend_from_slice(elements);
    Ok(())
}
