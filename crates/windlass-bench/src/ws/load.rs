//! Rounds of messages: encoded once, sent to all, read back and compared.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use windlass_proto::http::ResponseHeads;
use windlass_proto::ws::{Endpoint, Kind, Opening, Role, Scratch, WsConfig, frame};
use windlass_proto::{Decode as _, Input};

/// Some open connections, and what is said on each.
pub(super) struct WsLoad {
    streams: Vec<TcpStream>,
    // The window's messages, masked; and what comes back for them.
    said: Vec<u8>,
    expected: Vec<u8>,
    heard: Vec<u8>,
    window: usize,
}

impl WsLoad {
    pub(super) fn new(addr: SocketAddr, connections: usize, size: usize, window: usize) -> Result<WsLoad> {
        let message: Vec<u8> = (0..size).map(|n| b"abcdefghijklmnopqrstuvwxyz0123456789"[n % 36]).collect();
        let mut client = Endpoint::new(Role::Client, &WsConfig::default(), *b"sixteen of bytes");
        let (mut scratch, mut said) = (Scratch::new(), Vec::new());
        for _ in 0..window {
            client.sender.send(Kind::Binary, &message, &mut scratch.send, &mut said);
        }
        let expected = frame(Kind::Binary, &message).repeat(window);
        let streams = (0..connections).map(|_| open(addr)).collect::<Result<_>>()?;
        let heard = vec![0; expected.len()];
        Ok(WsLoad { streams, said, expected, heard, window })
    }

    /// Messages echoed, and the seconds that took.
    pub(super) fn run(&mut self, duration: Duration) -> Result<(u64, f64)> {
        let (start, mut answered) = (Instant::now(), 0);
        while start.elapsed() < duration {
            for stream in &mut self.streams {
                stream.write_all(&self.said)?;
            }
            for stream in &mut self.streams {
                stream.read_exact(&mut self.heard)?;
                ensure!(self.heard == self.expected, "a message came back changed");
            }
            answered += (self.streams.len() * self.window) as u64;
        }
        Ok((answered, start.elapsed().as_secs_f64()))
    }
}

/// The opening handshake.
fn open(addr: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(addr).with_context(|| format!("cannot connect to {addr}"))?;
    stream.set_nodelay(true)?;
    let (opening, config) = (Opening::new([1; 32]), WsConfig::default());
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    opening.request(&addr.to_string(), "/", &config, &mut request)?;
    stream.write_all(&request)?;
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("the server ended the handshake")?;
        answer.push(byte[0]);
    }
    let head = ResponseHeads::default().decode(&mut Input::new(&mut answer))?.context("no answer")?;
    opening.answer(&head, &config)?;
    Ok(stream)
}
