//! Players by hand: seats that are asked for and taken over a plain socket, and one who looks at the clock.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bits of a masked frame of bytes that is whole, and of one that the server sends.
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// The tag of a piece with which a player says that a snapshot came.
const CONFIRM: u8 = 5;

/// A connection that asks for seats, one after another; another one when the server has had enough of it.
pub(super) struct Lobby {
    stream: TcpStream,
    at: SocketAddr,
    ends: bool,
}

impl Lobby {
    pub(super) fn connect(at: SocketAddr) -> Result<Lobby> {
        let stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Lobby { stream, at, ends: false })
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        if self.ends {
            *self = Lobby::connect(self.at)?;
        }
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.at,
            body.len()
        );
        self.stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        let head = head_of(&mut self.stream)?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "it answers {}", head.lines().next().unwrap_or_default());
        let field = |name: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            fields.into_iter().find_map(|(its, value)| its.eq_ignore_ascii_case(name).then(|| value.trim()))
        };
        let length = field("content-length").and_then(|length| length.parse().ok());
        let length: usize = length.context("it does not say how long its answer is")?;
        self.ends = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// The first room there is.
    pub(super) fn room(&mut self) -> Result<String> {
        let rooms = self.ask("GET", "/api/rooms", "")?;
        Ok(rooms[0]["room"].as_str().context("there is no room")?.to_owned())
    }

    /// Asks for a seat: what the server says of it.
    pub(super) fn keep(&mut self, how: &str, wish: &Value) -> Result<Value> {
        self.ask("POST", &format!("/api/rooms/{how}"), &wish.to_string())
    }

    /// Asks for a seat and takes it.
    pub(super) fn sit(&mut self, how: &str, wish: &Value) -> Result<TcpStream> {
        let seat = self.keep(how, wish)?;
        let path = seat["path"].as_str().context("no path to a seat")?;
        let mut stream = TcpStream::connect(self.at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: windlass.room.1\r\n\r\n",
            self.at
        )?;
        ensure!(head_of(&mut stream)?.starts_with("HTTP/1.1 101 "), "the seat is not given");
        Ok(stream)
    }
}

/// The head of a response, byte by byte: what is behind it stays.
fn head_of(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("no answer")?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

/// One who sees a room, and when its ticks come.
pub(super) struct Witness {
    stream: TcpStream,
    hz: u32,
    begun: Instant,
    tick: u64,
    /// Of each second: the least that a tick came later than its number says, in microseconds. The least is of those
    /// that nothing held up.
    offsets: Vec<f64>,
    pub(super) ticks: u64,
    /// Ticks that did not come.
    pub(super) missed: u64,
}

impl Witness {
    pub(super) fn sit(at: SocketAddr, hz: u32) -> Result<Witness> {
        let mut lobby = Lobby::connect(at)?;
        let room = lobby.room()?;
        let stream = lobby.sit("join", &json!({ "room": room, "spectate": true }))?;
        let begun = Instant::now();
        Ok(Witness { stream, hz, begun, tick: 0, offsets: Vec::new(), ticks: 0, missed: 0 })
    }

    /// Looks for so long.
    pub(super) fn look(&mut self, length: Duration) -> Result<()> {
        let until = Instant::now() + length;
        while Instant::now() < until {
            let message = self.message()?;
            let (came, low) = (self.begun.elapsed(), u16::from_le_bytes([message[0], message[1]]));
            let before = self.tick;
            self.tick =
                if before == 0 { low.into() } else { before + u64::from(low.wrapping_sub(before as u16)) };
            if before > 0 && self.tick == before {
                continue;
            }
            self.missed += if before == 0 { 0 } else { self.tick - before - 1 };
            self.ticks += 1;
            let offset = came.as_secs_f64() * 1e6 - self.tick as f64 * 1e6 / f64::from(self.hz);
            let second = came.as_secs() as usize;
            self.offsets.resize(self.offsets.len().max(second + 1), f64::INFINITY);
            self.offsets[second] = self.offsets[second].min(offset);
            let [low, high] = low.to_le_bytes();
            self.stream.write_all(&[BINARY, MASKED | 4, 0, 0, 0, 0, CONFIRM, 2, low, high])?;
        }
        Ok(())
    }

    /// The next message of bytes.
    fn message(&mut self) -> Result<Vec<u8>> {
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).context("the room is silent")?;
            let len = match head[1] {
                126 => {
                    let mut len = [0; 2];
                    self.stream.read_exact(&mut len)?;
                    usize::from(u16::from_be_bytes(len))
                }
                127 => bail!("a message of more than 64 KiB"),
                len => len.into(),
            };
            let mut body = vec![0; len];
            self.stream.read_exact(&mut body)?;
            if head[0] == BINARY && len >= 2 {
                return Ok(body);
            }
        }
    }

    /// Microseconds by which ticks came later, against their numbers, at the end than at the beginning.
    pub(super) fn drift(&self) -> f64 {
        let part = (self.offsets.len() / 10).max(1);
        let least = |offsets: &[f64]| offsets.iter().copied().fold(f64::INFINITY, f64::min);
        least(&self.offsets[self.offsets.len() - part..]) - least(&self.offsets[..part])
    }
}
