//! Puts load on a memcached server: so many connections, each with so many commands on their way, in waves.
//! One thread writes a batch to every connection and then reads every reply, so it never waits for one
//! connection alone, and costs little itself. Every reply is checked.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// How long a reply may take, on a machine that has other work to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one operation is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `get` each.
    Get,
    /// One `get` of as many keys as there are operations in a batch.
    MultiGet,
    /// A `set` each.
    Set,
    /// A binary Get each.
    BinaryGet,
    /// A binary Set each.
    BinarySet,
}

/// One workload.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) connections: usize,
    /// Operations in one batch of one connection.
    pub(super) depth: usize,
    /// Bytes of a value.
    pub(super) value: usize,
    /// How many keys there are, drawn evenly; all are there.
    pub(super) keys: u64,
}

/// The connections to one server.
pub(super) struct Driver {
    streams: Vec<TcpStream>,
    /// Of xorshift, never 0.
    random: u64,
    requests: Vec<u8>,
    expected: Vec<u8>,
    received: Vec<u8>,
}

impl Driver {
    /// Stores every key of a workload, and connects.
    pub(super) fn connect(port: u16, load: &Load) -> Result<Driver> {
        fill(port, load)?;
        let streams = (0..load.connections).map(|_| connect(port)).collect::<Result<_>>()?;
        Ok(Driver {
            streams,
            random: 0x9e37_79b9_7f4a_7c15,
            requests: Vec::new(),
            expected: Vec::new(),
            received: Vec::new(),
        })
    }

    fn draw(&mut self, keys: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % keys
    }

    /// Does `operations`, rounded up to whole waves, and returns how many it did a second.
    pub(super) fn drive(&mut self, load: &Load, operations: u32) -> Result<f64> {
        let wave = self.streams.len() * load.depth;
        let waves = (operations as usize).div_ceil(wave);
        let mut batches: Vec<Vec<u64>> = vec![vec![0; load.depth]; self.streams.len()];
        let began = Instant::now();
        for _ in 0..waves {
            for (connection, batch) in batches.iter_mut().enumerate() {
                for key in &mut *batch {
                    *key = self.draw(load.keys);
                }
                self.requests.clear();
                request(&mut self.requests, load, batch);
                self.streams[connection].write_all(&self.requests)?;
            }
            for (connection, batch) in batches.iter().enumerate() {
                self.expected.clear();
                reply(&mut self.expected, load, batch);
                self.received.resize(self.expected.len(), 0);
                self.streams[connection].read_exact(&mut self.received).context("a reply is missing")?;
                ensure!(is_reply(&self.received, &self.expected, load), "a reply is wrong");
            }
        }
        Ok((waves * wave) as f64 / began.elapsed().as_secs_f64())
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Stores every key of a workload, over a connection of its own: one that has begun with text speaks it.
fn fill(port: u16, load: &Load) -> Result<()> {
    let mut stream = connect(port)?;
    let (mut requests, mut received) = (Vec::new(), Vec::new());
    for first in (0..load.keys).step_by(64) {
        let some = first..load.keys.min(first + 64);
        requests.clear();
        some.clone().for_each(|key| set(&mut requests, key, load.value));
        stream.write_all(&requests)?;
        received.resize(b"STORED\r\n".len() * some.count(), 0);
        stream.read_exact(&mut received)?;
        ensure!(received.chunks(8).all(|reply| reply == b"STORED\r\n"), "a value was not stored");
    }
    Ok(())
}

/// Versions are the server's affair; everything else must be equal.
fn is_reply(received: &[u8], expected: &[u8], load: &Load) -> bool {
    let head = match load.kind {
        Kind::Get | Kind::MultiGet | Kind::Set => return received == expected,
        Kind::BinaryGet => 24 + 4 + load.value,
        Kind::BinarySet => 24,
    };
    let pairs = received.chunks(head).zip(expected.chunks(head));
    pairs.into_iter().all(|(a, b)| a[..16] == b[..16] && a[24..] == b[24..])
}

/// `key:000000012345`: all of one length.
fn key(into: &mut Vec<u8>, key: u64) {
    into.extend_from_slice(b"key:000000000000");
    let (mut at, mut rest) = (into.len(), key);
    while rest > 0 {
        at -= 1;
        into[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

const KEY: usize = 16;

fn value(into: &mut Vec<u8>, len: usize) {
    into.resize(into.len() + len, b'v');
}

fn set(into: &mut Vec<u8>, number: u64, len: usize) {
    into.extend_from_slice(b"set ");
    key(into, number);
    into.extend_from_slice(format!(" 0 0 {len}\r\n").as_bytes());
    value(into, len);
    into.extend_from_slice(b"\r\n");
}

fn head(into: &mut Vec<u8>, magic: u8, opcode: u8, key: usize, extras: usize, value: usize) {
    into.extend_from_slice(&[magic, opcode, 0, key as u8, extras as u8, 0, 0, 0]);
    into.extend_from_slice(&((key + extras + value) as u32).to_be_bytes());
    into.extend_from_slice(&[0; 12]);
}

fn request(into: &mut Vec<u8>, load: &Load, batch: &[u64]) {
    match load.kind {
        Kind::MultiGet => {
            into.extend_from_slice(b"get");
            for number in batch {
                into.push(b' ');
                key(into, *number);
            }
            into.extend_from_slice(b"\r\n");
        }
        Kind::Get => batch.iter().for_each(|number| {
            into.extend_from_slice(b"get ");
            key(into, *number);
            into.extend_from_slice(b"\r\n");
        }),
        Kind::Set => batch.iter().for_each(|number| set(into, *number, load.value)),
        Kind::BinaryGet => batch.iter().for_each(|number| {
            head(into, 0x80, 0x00, KEY, 0, 0);
            key(into, *number);
        }),
        Kind::BinarySet => batch.iter().for_each(|number| {
            head(into, 0x80, 0x01, KEY, 8, load.value);
            into.extend_from_slice(&[0; 8]);
            key(into, *number);
            value(into, load.value);
        }),
    }
}

fn reply(into: &mut Vec<u8>, load: &Load, batch: &[u64]) {
    for number in batch {
        match load.kind {
            Kind::Get | Kind::MultiGet => {
                into.extend_from_slice(b"VALUE ");
                key(into, *number);
                into.extend_from_slice(format!(" 0 {}\r\n", load.value).as_bytes());
                value(into, load.value);
                into.extend_from_slice(if load.kind == Kind::Get { b"\r\nEND\r\n" } else { b"\r\n" });
            }
            Kind::Set => into.extend_from_slice(b"STORED\r\n"),
            Kind::BinaryGet => {
                head(into, 0x81, 0x00, 0, 4, load.value);
                into.extend_from_slice(&[0; 4]);
                value(into, load.value);
            }
            Kind::BinarySet => head(into, 0x81, 0x01, 0, 0, 0),
        }
    }
    if load.kind == Kind::MultiGet {
        into.extend_from_slice(b"END\r\n");
    }
}
