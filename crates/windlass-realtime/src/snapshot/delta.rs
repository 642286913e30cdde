//! A snapshot on the wire.
//!
//! One byte says how many ticks before it its baseline lies, 0 that it has none. Then bits, the lowest of a byte first. For
//! each entity of the baseline in the order of names: `0`, it is as it was; `1 0`, it has changed, and for each field `0`
//! (not this one), `1 0` and a short difference, or `1 1` and the whole value; `1 1`, it is not seen any more. Then for each
//! that is new `1`, its name in 16 bits, and the values of its fields; and a `0` at the end.

use super::frame::Frame;
use super::schema::Field;
use crate::bits::BitWriter;

/// What a seat has: a frame, and what it saw of it.
#[derive(Clone, Copy)]
pub(crate) struct Baseline<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) ids: &'a [u16],
}

/// Writes what of `frame` a seat sees (`ids`), as its difference to `baseline`, which is fewer than 256 ticks older.
pub(crate) fn write(frame: &Frame, ids: &[u16], baseline: Option<Baseline<'_>>, out: &mut Vec<u8>) {
    let offset = baseline.map_or(0, |baseline| frame.tick() - baseline.frame.tick());
    debug_assert!(offset < 256);
    out.push(offset as u8);
    let mut bits = BitWriter::new(out);
    let known = baseline.map_or(&[][..], |baseline| baseline.ids);
    let (mut left, mut new) = (ids.iter().copied().peekable(), Vec::new());
    for &id in known {
        // Those before it are new.
        while let Some(before) = left.next_if(|&next| next < id) {
            new.push(before);
        }
        let now = left.next_if_eq(&id).and_then(|id| frame.find(id));
        let was = baseline.and_then(|baseline| Some((baseline.frame, baseline.frame.find(id)?)));
        let (Some(now), Some((old, was))) = (now, was) else {
            bits.put(0b11, 2);
            continue;
        };
        let (was, now) = (old.values_at(was), frame.values_at(now));
        if was == now {
            bits.put(0, 1);
            continue;
        }
        bits.put(0b01, 2);
        for (field, (&was, &now)) in frame.fields().iter().zip(was.iter().zip(now)) {
            difference(&mut bits, field, was, now);
        }
    }
    new.extend(left);
    for id in new {
        let Some(at) = frame.find(id) else { continue };
        bits.put(1, 1);
        bits.put(u32::from(id), 16);
        for (field, &value) in frame.fields().iter().zip(frame.values_at(at)) {
            bits.put(value, field.bits());
        }
    }
    bits.put(0, 1);
    bits.end();
}

fn difference(bits: &mut BitWriter<'_>, field: &Field, was: u32, now: u32) {
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
