//! The WebSocket echo load generator: masked messages over open connections, every echo verified.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use windlass_proto::http::ResponseHeads;
use windlass_proto::ws::{Endpoint, Event, Kind, Opening, Scratch, WsConfig};
use windlass_proto::{Decode as _, Input};

use crate::load::{self, Bench, Fault, LoadArgs, Options, Speech, StreamArgs, Talk, Talker, Wire, excerpt};
use crate::pattern::{Pattern, Values};
use crate::url::Url;
use crate::{args, text};

/// The options of `ws`.
#[derive(Debug, Clone, clap::Args)]
pub struct WsArgs {
    /// The WebSocket: an URL, HOST:PORT/PATH or unix:PATH; wss:// means --tls
    #[arg(
        value_name = "URL",
        default_value = "ws://127.0.0.1:9001/ws",
        env = "WINDLASS_TARGET",
        hide_env = true
    )]
    pub target: Url,
    /// Connections at once
    #[arg(short, long, value_name = "N", value_parser = args::count, default_value = "64", env = "WINDLASS_CONNECTIONS", hide_env = true)]
    pub connections: u64,
    /// Bytes of a message, as in 64, 16KiB, 1MiB
    #[arg(short, long, value_name = "SIZE", value_parser = args::size, default_value = "64", env = "WINDLASS_SIZE", hide_env = true)]
    pub size: usize,
    /// What every load has
    #[command(flatten)]
    pub load: LoadArgs,
    /// What every load over connections has
    #[command(flatten)]
    pub stream: StreamArgs,
}

/// Runs the generator as a command.
///
/// # Errors
/// The server cannot be reached or refuses, a message came back changed, or nothing was served.
pub fn main(args: WsArgs) -> Result<()> {
    let (url, stream) = (&args.target, args.stream.clone().over(&args.target)?);
    let options = Options {
        connections: args.connections as usize,
        size: args.size,
        ..Options::new(&url.place, &args.load, &stream)
    };
    let speech = WsSpeech {
        host: url.authority.as_str().into(),
        path: url.path.as_str().into(),
        size: args.size,
        pattern: Arc::new(Pattern::new()),
    };
    load::command(&args.load, |tell| {
        let report = load::run(&speech, &options, tell)?;
        let what = format!("{} messages", text::bytes(args.size as f64));
        let more = json!({ "kind": "ws", "path": url.path });
        Ok(Bench::new(options.headline(&what), report, more))
    })
}

#[derive(Clone)]
struct WsSpeech {
    host: Arc<str>,
    path: Arc<str>,
    size: usize,
    pattern: Arc<Pattern>,
}

impl Speech for WsSpeech {
    type Line = Talker<WsTalk>;

    fn line(&self, wire: Wire, number: usize) -> Self::Line {
        let talk = WsTalk {
            speech: self.clone(),
            number,
            opening: opening(number),
            endpoint: None,
            scratch: Scratch::new(),
            message: Vec::new(),
            asked: false,
            sent: 0,
            heard: 0,
        };
        Talker::new(wire, talk)
    }

    fn open(&self, line: &mut Self::Line) -> Result<(), Fault> {
        line.open()
    }
}

fn opening(number: usize) -> Opening {
    let mut random = *b"thirty-two bytes of no entropy..";
    random[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Opening::new(random)
}

/// One connection's talk.
struct WsTalk {
    speech: WsSpeech,
    number: usize,
    opening: Opening,
    /// `None` until the handshake is over.
    endpoint: Option<Endpoint>,
    scratch: Scratch,
    message: Vec<u8>,
    /// The handshake is on its way.
    asked: bool,
    /// Messages, of which each is another.
    sent: u32,
    heard: u32,
}

impl WsTalk {
    fn config(&self) -> WsConfig {
        WsConfig::default().message_max(self.speech.size.max(64 * 1024))
    }

    /// The answer to the handshake, if it is complete.
    fn answer(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        let begins = excerpt(input.peek());
        let head = ResponseHeads::default().decode(input);
        let Some(head) = head.map_err(|error| Fault::Wrong(format!("{error}: {begins}")))? else {
            return Ok(false);
        };
        let answer = self.opening.answer(&head, &self.config());
        let (endpoint, _) = answer.map_err(|error| Fault::Refused(format!("handshake: {error}")))?;
        self.endpoint = Some(endpoint);
        Ok(true)
    }
}

impl Talk for WsTalk {
    fn is_open(&self) -> bool {
        self.endpoint.is_some()
    }

    fn open(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !self.asked {
            self.asked = true;
            let (host, path) = (&self.speech.host, &self.speech.path);
            let said = self.opening.request(host, path, &self.config(), out);
            said.map_err(|error| Fault::Wrong(format!("cannot ask for that: {error}")))?;
        }
        Ok(())
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(endpoint) = &mut self.endpoint else { return Ok(()) };
        let values = Values { pattern: &self.speech.pattern, size: self.speech.size };
        self.message.clear();
        values.write((self.number, 0, self.sent), &mut self.message);
        self.sent = self.sent.wrapping_add(1);
        endpoint.sender.send(Kind::Binary, &self.message, &mut self.scratch.send, out);
        Ok(())
    }

    fn hear(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<u64, Fault> {
        if self.endpoint.is_none() && !self.answer(input)? {
            return Ok(0);
        }
        let Some(endpoint) = &mut self.endpoint else { return Ok(0) };
        let values = Values { pattern: &self.speech.pattern, size: self.speech.size };
        let mut answered = 0;
        loop {
            let event = endpoint.receiver.next(input, &mut self.scratch.receive, &mut endpoint.sender, out);
            match event.map_err(|error| Fault::Wrong(format!("WebSocket: {error}")))? {
                None => return Ok(answered),
                Some(Event::Binary(message)) => {
                    if !values.is((self.number, 0, self.heard), message) {
                        let got = format!("{}, {} bytes", excerpt(message), message.len());
                        return Err(Fault::Wrong(format!("a message came back changed: {got}")));
                    }
                    self.heard = self.heard.wrapping_add(1);
                    answered += 1;
                }
                Some(Event::Text(message)) => {
                    let got = excerpt(message.as_bytes());
                    return Err(Fault::Wrong(format!("text where bytes were sent: {got}")));
                }
                Some(Event::Close(close)) => {
                    return Err(Fault::Refused(format!("it closed the WebSocket: {:?}", close.code)));
                }
                // Pings were answered in passing.
                Some(_) => {}
            }
        }
    }

    fn renew(&mut self) {
        self.endpoint = None;
        (self.asked, self.sent, self.heard) = (false, 0, 0);
    }
}
