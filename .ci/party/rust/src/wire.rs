//! What travels: pieces, and the bits of a snapshot.

use std::collections::{BTreeMap, VecDeque};

/// Entities by their names: fields as numbers.
pub type View = BTreeMap<u16, Vec<i64>>;

/// Bits of each field, and of a short difference; all begin at 0, in steps of 1.
const FIELDS: [(u32, u32); 6] = [(13, 6), (13, 6), (8, 5), (2, 2), (5, 2), (10, 6)];

pub fn varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Tags and bodies.
pub fn pieces(mut rest: &[u8]) -> Vec<(u8, &[u8])> {
    let mut out = Vec::new();
    while let [tag, behind @ ..] = rest {
        let (mut len, mut at) = (0, 0);
        loop {
            len |= usize::from(behind[at] & 0x7f) << (7 * at);
            at += 1;
            if behind[at - 1] < 0x80 {
                break;
            }
        }
        out.push((*tag, &behind[at..at + len]));
        rest = &behind[at + len..];
    }
    out
}

struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    fn take(&mut self, count: u32) -> i64 {
        (0..count).fold(0, |value, n| {
            let bit = i64::from(self.0[self.1 / 8] >> (self.1 % 8) & 1);
            self.1 += 1;
            value | bit << n
        })
    }

    fn flag(&mut self) -> bool {
        self.take(1) == 1
    }
}

/// The last views, as baselines of those to come.
#[derive(Default)]
pub struct Snapshots(VecDeque<(u64, View)>);

impl Snapshots {
    /// The snapshot of a tick; none if its baseline is not here.
    pub fn read(&mut self, tick: u64, bytes: &[u8]) -> Option<&View> {
        let none = View::new();
        let baseline = match bytes[0] {
            0 => &none,
            offset => &self.0.iter().find(|(its, _)| *its + u64::from(offset) == tick)?.1,
        };
        let (mut bits, mut view) = (Bits(&bytes[1..], 0), View::new());
        for (&id, was) in baseline {
            if !bits.flag() {
                view.insert(id, was.clone());
            } else if !bits.flag() {
                let field = |(&was, (size, small)): (&i64, (u32, u32))| {
                    if !bits.flag() {
                        was
                    } else if bits.flag() {
                        bits.take(size)
                    } else {
                        (was + bits.take(small) - (1 << (small - 1))).rem_euclid(1 << size)
                    }
                };
                view.insert(id, was.iter().zip(FIELDS).map(field).collect());
            }
        }
        while bits.flag() {
            let id = bits.take(16) as u16;
            view.insert(id, FIELDS.iter().map(|&(size, _)| bits.take(size)).collect());
        }
        if self.0.len() == 64 {
            self.0.pop_front();
        }
        self.0.push_back((tick, view));
        self.0.back().map(|(_, view)| view)
    }
}

/// FNV-1a of names and fields, each as eight bytes.
pub fn hash(view: &View) -> u64 {
    let numbers =
        view.iter().flat_map(|(&id, fields)| std::iter::once(i64::from(id)).chain(fields.iter().copied()));
    let bytes = numbers.flat_map(i64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
