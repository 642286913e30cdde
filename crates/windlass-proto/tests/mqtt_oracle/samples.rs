//! Packets that are almost right: what they are made of is now and then what it may not be.

use windlass_proto::mqtt::{Kind, Version};
use windlass_proto::testing::Rng;

use crate::oracle::first_of;

/// First byte and body of one.
pub(crate) struct Sample {
    pub(crate) first: u8,
    pub(crate) body: Vec<u8>,
}

/// How seldom something is wrong: one of this many.
const SELDOM: u64 = 40;

struct Maker<'r> {
    rng: &'r mut Rng,
    v5: bool,
    body: Vec<u8>,
}

/// Texts, and behind them those that are none.
const TEXTS: [&[u8]; 9] = [
    b"",
    b"a",
    "ü".as_bytes(),
    "\u{feff}x".as_bytes(),
    "\u{1f980}".as_bytes(),
    b"\x07",
    b"a\0b",
    b"\xff",
    b"\xed\xa0\x80",
];
const RIGHT_TEXTS: u64 = 6;
const TOPICS: [&[u8]; 10] = [b"a", b"/", b"a/b/c", b"$SYS/x", b"a b", b"", b"+", b"a/#", b"\0", b"\xc3"];
const RIGHT_TOPICS: u64 = 5;
const FILTERS: [&[u8]; 14] = [
    b"#",
    b"+",
    b"a/+/c",
    b"$share/g/a/#",
    b"/",
    b"+/+",
    b"$SYS/#",
    b"",
    b"a#",
    b"#/a",
    b"a/b+",
    b"$share/g",
    b"$share//a",
    b"$share/+/a",
];
const RIGHT_FILTERS: u64 = 7;
const NUMBERS: [u32; 6] = [1, 2, 0, 255, 65_535, u32::MAX];

/// One of these properties may stand in a packet of a kind; 16 is a will.
const PLACES: [(u8, &[u8]); 28] = [
    (0x01, &[3, 16]),
    (0x02, &[3, 16]),
    (0x03, &[3, 16]),
    (0x08, &[3, 16]),
    (0x09, &[3, 16]),
    (0x0b, &[3, 8]),
    (0x11, &[1, 2, 14]),
    (0x12, &[2]),
    (0x13, &[2]),
    (0x15, &[1, 2, 15]),
    (0x16, &[1, 2, 15]),
    (0x17, &[1]),
    (0x18, &[16]),
    (0x19, &[1]),
    (0x1a, &[2]),
    (0x1c, &[2, 14]),
    (0x1f, &[2, 4, 5, 6, 7, 9, 11, 14, 15]),
    (0x21, &[1, 2]),
    (0x22, &[1, 2]),
    (0x23, &[3]),
    (0x24, &[2]),
    (0x25, &[2]),
    (0x26, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 16]),
    (0x27, &[1, 2]),
    (0x28, &[2]),
    (0x29, &[2]),
    (0x2a, &[2]),
    (0x7f, &[]),
];

impl Maker<'_> {
    fn wrong(&mut self) -> bool {
        self.rng.chance(1, SELDOM)
    }

    /// One of the first `right`, or now and then of all.
    fn one(&mut self, all: &[&[u8]], right: u64) {
        let count = if self.wrong() { all.len() as u64 } else { right };
        let at = self.rng.below(count) as usize;
        self.text(all[at]);
    }

    fn text(&mut self, bytes: &[u8]) {
        let mut len = bytes.len() as u16;
        if self.rng.chance(1, SELDOM * 4) {
            len += 1;
        }
        self.body.extend_from_slice(&len.to_be_bytes());
        self.body.extend_from_slice(bytes);
    }

    fn u16(&mut self, value: u16) {
        self.body.extend_from_slice(&value.to_be_bytes());
    }

    fn id(&mut self) {
        let id = if self.wrong() { 0 } else { self.rng.next_u64() as u16 | 1 };
        self.u16(id);
    }

    fn number(&mut self) -> u32 {
        NUMBERS[self.rng.below(NUMBERS.len() as u64) as usize]
    }

    fn varint(&mut self, mut value: u32) {
        let longer = self.rng.chance(1, SELDOM * 4);
        loop {
            let byte = (value % 128) as u8;
            value /= 128;
            self.body.push(byte | if value > 0 || longer { 0x80 } else { 0 });
            if value == 0 {
                break;
            }
        }
        if longer {
            self.body.push(0);
        }
    }

    fn properties(&mut self, place: u8) {
        if !self.v5 {
            return;
        }
        let before = std::mem::take(&mut self.body);
        // Authentication data needs a method.
        let mut ids: Vec<u8> = Vec::new();
        for _ in 0..self.rng.below(5) {
            let fits: Vec<u8> = PLACES.iter().filter(|it| it.1.contains(&place)).map(|it| it.0).collect();
            let all = self.wrong() || fits.is_empty();
            let id = if all {
                PLACES[self.rng.below(28) as usize].0
            } else {
                fits[self.rng.below(fits.len() as u64) as usize]
            };
            let repeats = id == 0x26 || self.wrong();
            if repeats || !ids.contains(&id) {
                ids.push(id);
            }
        }
        if ids.contains(&0x16) && !ids.contains(&0x15) && !self.wrong() {
            ids.push(0x15);
        }
        for id in ids {
            self.body.push(id);
            match id {
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => {
                    let value = if self.wrong() { self.number() as u8 } else { self.rng.below(2) as u8 };
                    self.body.push(value);
                }
                0x13 | 0x21 | 0x22 | 0x23 => {
                    let value =
                        if self.wrong() { self.number() as u16 } else { self.rng.next_u64() as u16 | 1 };
                    self.u16(value);
                }
                0x02 | 0x11 | 0x18 | 0x27 => {
                    let value = if self.wrong() { self.number() } else { self.rng.next_u64() as u32 | 1 };
                    self.body.extend_from_slice(&value.to_be_bytes());
                }
                0x0b => {
                    let value =
                        if self.wrong() { self.number() } else { 1 + self.rng.below(268_435_455) as u32 };
                    self.varint(value);
                }
                0x08 => self.one(&TOPICS, RIGHT_TOPICS),
                0x09 | 0x16 => {
                    let bytes = TEXTS[self.rng.below(9) as usize];
                    self.text(bytes);
                }
                0x26 => {
                    self.one(&TEXTS, RIGHT_TEXTS);
                    self.one(&TEXTS, RIGHT_TEXTS);
                }
                0x7f => {}
                _ => self.one(&TEXTS, RIGHT_TEXTS),
            }
        }
        let list = std::mem::replace(&mut self.body, before);
        let off = u32::from(self.rng.chance(1, SELDOM * 4));
        self.varint(list.len() as u32 + off);
        self.body.extend(list);
    }

    fn reason(&mut self, likely: &[u8]) {
        let any = self.wrong();
        let code = if any {
            self.rng.next_u64() as u8
        } else {
            likely[self.rng.below(likely.len() as u64) as usize]
        };
        self.body.push(code);
    }

    fn connect(&mut self) {
        let name: &[u8] = if self.wrong() { b"MQIsdp" } else { b"MQTT" };
        self.text(name);
        self.body.push(if self.v5 { 5 } else { 4 });
        let (user, password, will) = (self.rng.chance(1, 2), self.rng.chance(1, 2), self.rng.chance(1, 2));
        let user = user || password && !self.v5 && !self.wrong();
        let clean = self.rng.chance(2, 3);
        let mut flags = u8::from(user) << 7 | u8::from(password) << 6 | u8::from(clean) << 1;
        if will {
            flags |= 4 | (self.rng.below(3) as u8) << 3 | u8::from(self.rng.chance(1, 2)) << 5;
        }
        if self.wrong() {
            flags ^= 1 << self.rng.below(8);
        }
        self.body.push(flags);
        let keep_alive = self.rng.next_u64() as u16;
        self.u16(keep_alive);
        self.properties(1);
        self.one(&TEXTS, RIGHT_TEXTS);
        if will {
            self.properties(16);
            self.one(&TOPICS, RIGHT_TOPICS);
            let payload = TEXTS[self.rng.below(9) as usize];
            self.text(payload);
        }
        if user {
            self.one(&TEXTS, RIGHT_TEXTS);
        }
        if password {
            let password = TEXTS[self.rng.below(9) as usize];
            self.text(password);
        }
    }

    fn acknowledgement(&mut self, place: u8, likely: &[u8]) {
        self.id();
        if self.v5 && self.rng.chance(2, 3) {
            self.reason(likely);
            if self.rng.chance(2, 3) {
                self.properties(place);
            }
        }
    }
}

/// A packet of this kind.
pub(crate) fn any(rng: &mut Rng, kind: Kind, version: Version) -> Sample {
    let v5 = version == Version::V5;
    let mut make = Maker { rng, v5, body: Vec::new() };
    let mut first = first_of(kind);
    match kind {
        Kind::Connect => make.connect(),
        Kind::Connack => {
            let (present, refused) = (make.rng.chance(1, 2), make.rng.chance(1, 3));
            let both = make.wrong();
            let flags = if both { make.rng.next_u64() as u8 } else { u8::from(present && !refused) };
            make.body.push(flags);
            let likely: &[u8] = match (refused, v5) {
                (false, _) => &[0],
                (true, false) => &[1, 2, 3, 4, 5],
                (true, true) => &[0x80, 0x85, 0x87, 0x88, 0x97, 0x9f],
            };
            make.reason(likely);
            make.properties(2);
        }
        Kind::Publish => {
            let qos = if make.wrong() { 3 } else { make.rng.below(3) as u8 };
            let dup = make.rng.chance(1, 3) && (qos > 0 || make.wrong());
            first = 0x30 | u8::from(dup) << 3 | qos << 1 | u8::from(make.rng.chance(1, 3));
            make.one(&TOPICS, RIGHT_TOPICS);
            if qos > 0 {
                make.id();
            }
            make.properties(3);
            let payload = TEXTS[make.rng.below(9) as usize];
            make.body.extend_from_slice(payload);
        }
        Kind::Puback | Kind::Pubrec => {
            make.acknowledgement(kind as u8, &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
        }
        Kind::Pubrel | Kind::Pubcomp => make.acknowledgement(kind as u8, &[0, 0x92]),
        Kind::Subscribe => {
            make.id();
            make.properties(8);
            for _ in 0..u64::from(!make.wrong()) * (1 + make.rng.below(3)) {
                make.one(&FILTERS, RIGHT_FILTERS);
                let mut options = make.rng.below(3) as u8;
                if v5 {
                    options |= (make.rng.below(4) as u8) << 2 & 8 | (make.rng.below(3) as u8) << 4;
                    options |= u8::from(make.rng.chance(1, 4)) << 2;
                }
                if make.wrong() {
                    options ^= 1 << make.rng.below(8);
                }
                make.body.push(options);
            }
        }
        Kind::Suback | Kind::Unsuback => {
            make.id();
            let answers = kind == Kind::Suback || v5;
            make.properties(kind as u8);
            let likely: &[u8] = match (kind, v5) {
                (Kind::Suback, false) => &[0, 1, 2, 0x80],
                (Kind::Suback, true) => &[0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2],
                _ => &[0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91],
            };
            for _ in 0..u64::from(answers && !make.wrong()) * (1 + make.rng.below(3)) {
                make.reason(likely);
            }
        }
        Kind::Unsubscribe => {
            make.id();
            make.properties(10);
            for _ in 0..u64::from(!make.wrong()) * (1 + make.rng.below(3)) {
                make.one(&FILTERS, RIGHT_FILTERS);
            }
        }
        Kind::Pingreq | Kind::Pingresp => {}
        Kind::Disconnect | Kind::Auth => {
            let likely: &[u8] = match kind {
                Kind::Auth => &[0, 0x18, 0x19],
                _ => &[0, 4, 0x80, 0x81, 0x82, 0x8b, 0x8c, 0x8d, 0x8e, 0x93, 0x95, 0x98, 0x9c, 0x9d],
            };
            if v5 && make.rng.chance(4, 5) {
                make.reason(likely);
                if make.rng.chance(4, 5) {
                    make.properties(kind as u8);
                }
            }
        }
    }
    let Maker { rng, mut body, .. } = make;
    // Cut off, longer, or with another byte.
    if rng.chance(1, SELDOM) {
        let at = rng.below(body.len() as u64 + 1) as usize;
        match rng.below(3) {
            0 => body.truncate(at),
            1 => body.insert(at, rng.next_u64() as u8),
            _ => {
                if let Some(byte) = body.get_mut(at) {
                    *byte = rng.next_u64() as u8;
                }
            }
        }
    }
    Sample { first, body }
}
