//! A snapshot on the wire.
//!
//! One byte says how many ticks before it its baseline lies, 0 that it has none. Then bits, the lowest of a byte first. For
//! each entity of the baseline in the order of names: `0`, it is as it was; `1 0`, it has changed, and for each field `0`
//! (not this one), `1 0` and a short difference, or `1 1` and the whole value; `1 1`, it is not seen any more. Then for each
//! that is new `1`, its name in 16 bits, and the values of its fields; and a `0` at the end.

use super::frame::Frame;
use super::schema::Field;
use super::shared::Shared;
use crate::bits::{BitRow, BitWriter, PutBits};

/// What a seat has: a frame, and what it saw of it.
#[derive(Clone, Copy)]
pub(crate) struct Baseline<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) ids: &'a [u16],
}

/// Writes what of `frame` a seat sees (`ids`), as its difference to `baseline`, which is fewer than 256 ticks older. What
/// other seats were written of the same frame is in `shared`.
pub(crate) fn write(
    frame: &Frame,
    ids: &[u16],
    baseline: Option<Baseline<'_>>,
    shared: &mut Shared,
    out: &mut Vec<u8>,
) {
    let offset = baseline.map_or(0, |baseline| frame.tick() - baseline.frame.tick());
    debug_assert!(offset < 256);
    out.push(offset as u8);
    let mut bits = BitWriter::new(out);
    let (rows, new) = shared.of(frame);
    let mut left = ids.iter().copied().peekable();
    if let Some(Baseline { frame: old, ids: known }) = baseline {
        let mut differences = rows.differences(old);
        let mut near = 0;
        for &id in known {
            // Those before it are new.
            while let Some(before) = left.next_if(|&next| next < id) {
                new.push(before);
            }
            let seen = left.next_if_eq(&id).is_some();
            let Some(was) = old.find_from(&mut near, id).filter(|_| seen) else {
                bits.put(0b11, 2);
                continue;
            };
            let write = |to: &mut dyn PutBits| match frame.find(id) {
                Some(now) => change(to, frame.fields(), old.values_at(was), frame.values_at(now)),
                None => to.put(0b11, 2),
            };
            match differences.as_mut().and_then(|rows| rows.get_mut(was)) {
                Some(row) => bits.put_row(filled(row, write)),
                None => write(&mut bits),
            }
        }
    }
    new.extend(left);
    let (mut fresh, mut near) = (rows.fresh(frame), 0);
    for id in new.drain(..) {
        let Some(at) = frame.find_from(&mut near, id) else { continue };
        let write = |to: &mut dyn PutBits| whole(to, frame.fields(), id, frame.values_at(at));
        match fresh.as_mut().and_then(|rows| rows.get_mut(at)) {
            Some(row) => bits.put_row(filled(row, write)),
            None => write(&mut bits),
        }
    }
    bits.put(0, 1);
    bits.end();
}

/// The same for a frame of few entities, of which those with a bit are seen, and a baseline of the same names. Nothing is
/// looked for then: what is one entity in both is at the same place in both.
pub(crate) fn write_few(
    frame: &Frame,
    seen: u64,
    old: &Frame,
    known: u64,
    shared: &mut Shared,
    out: &mut Vec<u8>,
) {
    debug_assert!(frame.ids() == old.ids() && frame.few().is_some());
    out.push((frame.tick() - old.tick()) as u8);
    let mut bits = BitWriter::new(out);
    let (rows, _) = shared.of(frame);
    let mut differences = rows.differences(old);
    for at in places(known) {
        if seen >> at & 1 == 0 {
            bits.put(0b11, 2);
            continue;
        }
        let write = |to: &mut dyn PutBits| change(to, frame.fields(), old.values_at(at), frame.values_at(at));
        match differences.as_mut().and_then(|rows| rows.get_mut(at)) {
            Some(row) => bits.put_row(filled(row, write)),
            None => write(&mut bits),
        }
    }
    let new = seen & !known;
    if new != 0 {
        let mut fresh = rows.fresh(frame);
        for at in places(new) {
            let write =
                |to: &mut dyn PutBits| whole(to, frame.fields(), frame.ids()[at], frame.values_at(at));
            match fresh.as_mut().and_then(|rows| rows.get_mut(at)) {
                Some(row) => bits.put_row(filled(row, write)),
                None => write(&mut bits),
            }
        }
    }
    bits.put(0, 1);
    bits.end();
}

/// Where there is a bit, the lowest first.
fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(at)
    })
}

/// A row as it is, or as it is now that it has been written.
fn filled(row: &mut BitRow, write: impl FnOnce(&mut dyn PutBits)) -> BitRow {
    if row.is_empty() {
        write(row);
    }
    *row
}

/// The most bits that one entity takes, if it was there before, or is new.
pub(super) fn longest(fields: &[Field]) -> u32 {
    let all: u32 = fields.iter().map(Field::bits).sum();
    (2 + 2 * fields.len() as u32 + all).max(17 + all)
}

fn whole(bits: &mut dyn PutBits, fields: &[Field], id: u16, mut values: &[u8]) {
    bits.put(1, 1);
    bits.put(u32::from(id), 16);
    for field in fields {
        bits.put(field.take(&mut values), field.bits());
    }
}

fn change(bits: &mut dyn PutBits, fields: &[Field], mut was: &[u8], mut now: &[u8]) {
    if was == now {
        return bits.put(0, 1);
    }
    bits.put(0b01, 2);
    for field in fields {
        difference(bits, field, field.take(&mut was), field.take(&mut now));
    }
}

fn difference(bits: &mut dyn PutBits, field: &Field, was: u32, now: u32) {
    if was == now {
        return bits.put(0, 1);
    }
    match field.short(was, now) {
        Some(short) => {
            bits.put(0b01, 2);
            bits.put(short, field.small_bits());
        }
        None => {
            bits.put(0b11, 2);
            bits.put(now, field.bits());
        }
    }
}
