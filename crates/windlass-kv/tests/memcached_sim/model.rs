//! What one client wants, how that is written in either protocol, and what must come back.

use std::collections::HashMap;

use windlass::proto::testing::Rng;

/// What a client may want, with one of ten keys of its own.
pub(crate) enum Wish {
    Get(Vec<u64>),
    /// 0 to 4: set, add, replace, append, prepend.
    Store {
        how: u64,
        key: u64,
        value: Vec<u8>,
        quiet: bool,
    },
    Count {
        key: u64,
        delta: u64,
        down: bool,
    },
    Delete {
        key: u64,
        quiet: bool,
    },
    Noop,
}

impl Wish {
    pub(crate) fn draw(rng: &mut Rng, value_max: usize, volume: usize) -> Wish {
        let key = rng.below(10);
        match rng.below(12) {
            0..=3 => Wish::Get((0..1 + rng.below(5)).map(|_| rng.below(10)).collect()),
            4..=7 => {
                let most = [4, 100, value_max, value_max + 200][rng.below(4) as usize].min(volume / 4 + 1);
                let mut value = vec![0; rng.below(most as u64 + 1) as usize];
                rng.fill(&mut value);
                if rng.chance(1, 3) {
                    value = rng.below(1_000_000).to_string().into();
                }
                Wish::Store { how: rng.below(5), key, value, quiet: rng.chance(1, 4) }
            }
            8 => Wish::Count { key, delta: rng.below(1_000), down: rng.chance(1, 2) },
            9 => Wish::Delete { key, quiet: rng.chance(1, 4) },
            _ => Wish::Noop,
        }
    }
}

/// What a client has stored, and how it speaks.
pub(crate) struct Spoken {
    index: usize,
    binary: bool,
    stored: HashMap<u64, (u32, Vec<u8>)>,
}

impl Spoken {
    pub(crate) fn new(index: usize, binary: bool) -> Spoken {
        Spoken { index, binary, stored: HashMap::new() }
    }

    fn name(&self, key: u64) -> String {
        format!("client{}:{key}", self.index)
    }

    /// Writes a wish and its answer.
    pub(crate) fn say(&mut self, wish: &Wish, value_max: usize, request: &mut Vec<u8>, reply: &mut Vec<u8>) {
        match wish {
            Wish::Get(keys) => self.get(keys, request, reply),
            Wish::Store { how, key, value, quiet } => {
                self.store(*how, *key, value, *quiet, value_max, request, reply);
            }
            Wish::Count { key, delta, down } => self.count(*key, *delta, *down, request, reply),
            Wish::Delete { key, quiet } => {
                let (name, had) = (self.name(*key), self.stored.remove(key).is_some());
                if self.binary {
                    put(request, 0x80, if *quiet { 0x14 } else { 4 }, 0, [b"", name.as_bytes(), b""]);
                    answer(reply, if *quiet { 0x14 } else { 4 }, if had { 0 } else { 1 }, *quiet);
                } else {
                    let tail = if *quiet { " noreply" } else { "" };
                    request.extend_from_slice(format!("delete {name}{tail}\r\n").as_bytes());
                    let text = if had { "DELETED\r\n" } else { "NOT_FOUND\r\n" };
                    reply.extend_from_slice(if *quiet { b"" } else { text.as_bytes() });
                }
            }
            Wish::Noop if self.binary => {
                put(request, 0x80, 0x0a, 0, [b""; 3]);
                answer(reply, 0x0a, 0, false);
            }
            Wish::Noop => {
                request.extend_from_slice(b"nonsense\r\n");
                reply.extend_from_slice(b"ERROR\r\n");
            }
        }
    }

    pub(crate) fn quit(&mut self, request: &mut Vec<u8>, reply: &mut Vec<u8>) {
        if self.binary {
            put(request, 0x80, 7, 0, [b""; 3]);
            answer(reply, 7, 0, false);
        } else {
            request.extend_from_slice(b"quit\r\n");
        }
    }

    fn get(&mut self, keys: &[u64], request: &mut Vec<u8>, reply: &mut Vec<u8>) {
        if self.binary {
            // One loud, the others quiet and with their key.
            for (n, key) in keys.iter().enumerate() {
                let (name, opcode) = (self.name(*key), if n == 0 { 0 } else { 0x0d });
                put(request, 0x80, opcode, 0, [b"", name.as_bytes(), b""]);
                let echoed = if n == 0 { b"" } else { name.as_bytes() };
                match self.stored.get(key) {
                    Some((flags, value)) => {
                        put(reply, 0x81, opcode, 0, [&flags.to_be_bytes(), echoed, value]);
                    }
                    None if n == 0 => answer(reply, opcode, 1, false),
                    None => {}
                }
            }
            return;
        }
        request.extend_from_slice(b"get");
        for key in keys {
            let name = self.name(*key);
            request.extend_from_slice(format!(" {name}").as_bytes());
            if let Some((flags, value)) = self.stored.get(key) {
                reply.extend_from_slice(format!("VALUE {name} {flags} {}\r\n", value.len()).as_bytes());
                reply.extend_from_slice(value);
                reply.extend_from_slice(b"\r\n");
            }
        }
        request.extend_from_slice(b"\r\n");
        reply.extend_from_slice(b"END\r\n");
    }

    #[allow(clippy::too_many_arguments, reason = "they are those of the command")]
    fn store(
        &mut self,
        how: u64,
        key: u64,
        value: &[u8],
        quiet: bool,
        value_max: usize,
        request: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) {
        let (name, flags) = (self.name(key), value.len() as u32 * 3);
        let old = self.stored.get(&key).map(|(flags, value)| (*flags, value.clone()));
        let new = match (how, &old) {
            (0, _) | (1, None) | (2, Some(_)) => Some((flags, value.to_vec())),
            (3, Some((flags, old))) => Some((*flags, [old, value].concat())),
            (4, Some((flags, old))) => Some((*flags, [value, &old[..]].concat())),
            _ => None,
        };
        // What is sent may be too much, and what it would become.
        let too_large = value.len() > value_max || new.as_ref().is_some_and(|(_, new)| new.len() > value_max);
        let stored = new.is_some() && !too_large;
        match new {
            _ if too_large && how == 0 => drop(self.stored.remove(&key)),
            Some(new) if !too_large => drop(self.stored.insert(key, new)),
            _ => {}
        }
        if self.binary {
            let loud = [0x01, 0x02, 0x03, 0x0e, 0x0f][how as usize];
            let opcode = if quiet { [0x11, 0x12, 0x13, 0x19, 0x1a][how as usize] } else { loud };
            let extras = [&flags.to_be_bytes()[..], &[0; 4]].concat();
            let extras = if how < 3 { &extras[..] } else { b"" };
            put(request, 0x80, opcode, 0, [extras, name.as_bytes(), value]);
            let status = match how {
                _ if stored => 0,
                _ if too_large => 3,
                1 => 2,
                2 => 1,
                _ => 5,
            };
            answer(reply, opcode, status, quiet);
            return;
        }
        let verb = ["set", "add", "replace", "append", "prepend"][how as usize];
        let tail = if quiet { " noreply" } else { "" };
        request.extend_from_slice(format!("{verb} {name} {flags} 0 {}{tail}\r\n", value.len()).as_bytes());
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
        let text: &[u8] = match () {
            () if quiet => b"",
            () if stored => b"STORED\r\n",
            () if too_large => b"SERVER_ERROR object too large for cache\r\n",
            () => b"NOT_STORED\r\n",
        };
        reply.extend_from_slice(text);
    }

    fn count(&mut self, key: u64, delta: u64, down: bool, request: &mut Vec<u8>, reply: &mut Vec<u8>) {
        let name = self.name(key);
        let counted = self.stored.get_mut(&key).map(|(_, value)| {
            let number = windlass::proto::memcached::stored_number(value)?;
            let number = if down { number.saturating_sub(delta) } else { number.wrapping_add(delta) };
            let len = value.len();
            *value = number.to_string().into();
            value.resize(len.max(value.len()), b' ');
            Some(number)
        });
        if self.binary {
            let opcode = if down { 6 } else { 5 };
            // Store nothing where there is nothing.
            let extras = [&delta.to_be_bytes()[..], &[0; 8], &[0xff; 4]].concat();
            put(request, 0x80, opcode, 0, [&extras, name.as_bytes(), b""]);
            match counted {
                Some(Some(number)) => put(reply, 0x81, opcode, 0, [b"", b"", &number.to_be_bytes()]),
                Some(None) => answer(reply, opcode, 6, false),
                None => answer(reply, opcode, 1, false),
            }
            return;
        }
        let verb = if down { "decr" } else { "incr" };
        request.extend_from_slice(format!("{verb} {name} {delta}\r\n").as_bytes());
        reply.extend_from_slice(&match counted {
            Some(Some(number)) => format!("{number}\r\n").into_bytes(),
            Some(None) => b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n".to_vec(),
            None => b"NOT_FOUND\r\n".to_vec(),
        });
    }
}

/// A response of nothing but its status and that one's text, unless it is quiet about success.
fn answer(reply: &mut Vec<u8>, opcode: u8, status: u16, quiet: bool) {
    let text: &[u8] = match status {
        0 if quiet => return,
        0 => b"",
        1 => b"Not found",
        2 => b"Data exists for key.",
        3 => b"Too large.",
        5 => b"Not stored.",
        _ => b"Non-numeric server-side value for incr or decr",
    };
    put(reply, 0x81, opcode, status, [b"", b"", text]);
}

/// A request or response without a version: extras, key, value.
fn put(into: &mut Vec<u8>, magic: u8, opcode: u8, status: u16, parts: [&[u8]; 3]) {
    let body: usize = parts.iter().map(|part| part.len()).sum();
    into.extend_from_slice(&[magic, opcode, 0, parts[1].len() as u8, parts[0].len() as u8, 0]);
    into.extend_from_slice(&status.to_be_bytes());
    into.extend_from_slice(&(body as u32).to_be_bytes());
    into.extend_from_slice(&[0; 12]);
    parts.iter().for_each(|part| into.extend_from_slice(part));
}

/// Bytes of whole responses at the front.
pub(crate) fn whole(received: &[u8]) -> usize {
    let mut at = 0;
    while let Some(head) = received.get(at..at + 24) {
        let body = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        if received.len() < at + 24 + body {
            break;
        }
        at += 24 + body;
    }
    at
}

/// Sets the version of each whole response to 0: other clients decide it too.
pub(crate) fn forget_versions(received: &mut [u8]) {
    let (mut at, end) = (0, whole(received));
    while at < end {
        let body =
            u32::from_be_bytes([received[at + 8], received[at + 9], received[at + 10], received[at + 11]]);
        received[at + 16..at + 24].fill(0);
        at += 24 + body as usize;
    }
}
