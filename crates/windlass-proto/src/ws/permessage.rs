//! permessage-deflate (RFC 7692): what two ends agree on, and the compression that follows from it.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::error::WsError;
use super::handshake::HandshakeError;
use super::params::{Extension, extensions};
use super::scratch::{ReceiveScratch, SendScratch, empty};
use crate::deflate::{DeflateOptions, Deflater, InflateError, Inflater};
use crate::http::Headers;

const NAME: &str = "permessage-deflate";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";
const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";

/// How messages are compressed. Plain data.
///
/// **Memory.** Without context takeover (the default, both ways) a connection holds nothing for it: all
/// connections of a worker share one [`Scratch`](super::Scratch). Ours costs each connection that has sent a compressed
/// message a deflater ([`DeflateOptions::bytes`], 384 KiB by default), the peer's an inflater
/// ([`INFLATER_BYTES_MAX`](crate::deflate::INFLATER_BYTES_MAX), 64 KiB) once it has sent one.
///
/// **Secrets.** A message that holds both a secret and what a stranger chose tells the secret by its
/// length, bit by bit; with context takeover, so do messages that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compression {
    /// Level, window and memory of what we send. A peer may ask for a smaller window.
    pub options: DeflateOptions,
    /// What we send may refer to messages before it: smaller, and a deflater per connection. Default false.
    pub context_takeover: bool,
    /// What the peer sends may: an inflater per connection. Default false.
    pub peer_context_takeover: bool,
    /// Messages shorter than this are not compressed. Default 256 bytes.
    pub message_min: usize,
}

impl Default for Compression {
    fn default() -> Compression {
        Compression {
            options: DeflateOptions::default(),
            context_takeover: false,
            peer_context_takeover: false,
            message_min: 256,
        }
    }
}

/// The compression of what one connection sends.
#[derive(Debug)]
pub(super) struct Packing {
    options: DeflateOptions,
    message_min: usize,
    takeover: bool,
    deflater: Option<Box<Deflater>>,
}

/// The compression of what it receives.
#[derive(Debug)]
pub(super) struct Unpacking {
    takeover: bool,
    inflater: Option<Box<Inflater>>,
}

/// Both.
pub(super) type PerMessage = (Packing, Unpacking);

fn per_message(config: &Compression, ours: Side, theirs: Side) -> PerMessage {
    let window_bits = config.options.window_bits.min(ours.window_bits.unwrap_or(15));
    let options = DeflateOptions { window_bits, ..config.options }.in_range();
    let packing = Packing {
        options,
        message_min: config.message_min.max(1),
        takeover: config.context_takeover && !ours.no_takeover,
        deflater: None,
    };
    let unpacking =
        Unpacking { takeover: config.peer_context_takeover && !theirs.no_takeover, inflater: None };
    (packing, unpacking)
}

impl Packing {
    /// The message, compressed, in the scratch, which is empty; or false if it is to be sent as it is.
    pub(super) fn compress(&mut self, message: &[u8], scratch: &mut SendScratch) -> bool {
        if message.len() < self.message_min {
            return false;
        }
        if self.takeover {
            let options = self.options;
            let deflater = self.deflater.get_or_insert_with(|| Box::new(Deflater::new(options)));
            deflater.compress(message, &mut scratch.out);
            return true;
        }
        let (deflater, out) = scratch.deflater(self.options);
        deflater.compress(message, out);
        let smaller = out.len() < message.len();
        if !smaller {
            out.clear();
        }
        smaller
    }
}

impl Unpacking {
    /// The message as it was, in the scratch.
    pub(super) fn inflate<'s>(
        &mut self,
        message: &[u8],
        max: usize,
        scratch: &'s mut ReceiveScratch,
    ) -> Result<&'s [u8], WsError> {
        empty(&mut scratch.plain);
        let inflater = if self.takeover {
            self.inflater.get_or_insert_default()
        } else {
            let inflater = scratch.inflater.get_or_insert_default();
            inflater.reset();
            inflater
        };
        match inflater.inflate(message, max, &mut scratch.plain) {
            Ok(()) => Ok(&scratch.plain),
            Err(InflateError::TooLarge { max }) => Err(WsError::TooLarge { max }),
            Err(InflateError::Corrupt) => Err(WsError::Deflate),
        }
    }
}

// What was said of one direction.
#[derive(Clone, Copy, Default)]
struct Side {
    no_takeover: bool,
    window_bits: Option<u8>,
}

// An offer or an answer. `client_bits_known`: the client understands a limit of its window.
#[derive(Clone, Copy, Default)]
struct Terms {
    server: Side,
    client: Side,
    client_bits_known: bool,
}

impl Terms {
    // `None` for anything that RFC 7692 section 7.1 does not know, or that is said twice.
    fn read(extension: &Extension<'_>, is_offer: bool) -> Option<Terms> {
        let mut terms = Terms::default();
        for param in extension.params() {
            let (name, value) = param?;
            let flag = match name {
                SERVER_NO_TAKEOVER => &mut terms.server.no_takeover,
                CLIENT_NO_TAKEOVER => &mut terms.client.no_takeover,
                SERVER_BITS => {
                    let bits = window_bits(value?)?;
                    if terms.server.window_bits.replace(bits).is_some() {
                        return None;
                    }
                    continue;
                }
                CLIENT_BITS => {
                    // Without a value it only says that one may be given, and only an offer says so.
                    if terms.client_bits_known || (value.is_none() && !is_offer) {
                        return None;
                    }
                    terms.client_bits_known = true;
                    if let Some(value) = value {
                        terms.client.window_bits = Some(window_bits(value)?);
                    }
                    continue;
                }
                _ => return None,
            };
            if value.is_some() || core::mem::replace(flag, true) {
                return None;
            }
        }
        Some(terms)
    }
}

// A decimal from 8 to 15 without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    let valid = matches!(value, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15");
    value.parse().ok().filter(|_| valid)
}

/// The server's choice among a client's offers: the first that can be met, and the answer to it.
pub(super) fn choose(
    config: &Compression,
    headers: &Headers<'_>,
    answer: &mut Vec<u8>,
) -> Option<PerMessage> {
    let terms = extensions(headers).filter(|offer| offer.name == NAME).find_map(|offer| {
        // A window of 256 bytes is more than the compressor can promise.
        Terms::read(&offer, true).filter(|terms| terms.server.window_bits != Some(8))
    })?;
    let (packing, unpacking) = per_message(config, terms.server, terms.client);
    answer.extend_from_slice(NAME.as_bytes());
    let mut say = |parts: &[&str]| parts.iter().for_each(|part| answer.extend_from_slice(part.as_bytes()));
    if !packing.takeover {
        say(&["; ", SERVER_NO_TAKEOVER]);
    }
    if !unpacking.takeover {
        say(&["; ", CLIENT_NO_TAKEOVER]);
    }
    if terms.server.window_bits.is_some() {
        say(&["; ", SERVER_BITS, "=", &packing.options.window_bits.to_string()]);
    }
    Some((packing, unpacking))
}

/// What a client offers.
pub(super) fn offer(config: &Compression, offer: &mut Vec<u8>) {
    let mut say = |part: &str| offer.extend_from_slice(part.as_bytes());
    say(NAME);
    say("; ");
    say(CLIENT_BITS);
    if !config.context_takeover {
        say("; ");
        say(CLIENT_NO_TAKEOVER);
    }
    if !config.peer_context_takeover {
        say("; ");
        say(SERVER_NO_TAKEOVER);
    }
}

/// What a server made of the offer; `None` if it declined.
pub(super) fn agree(
    config: Option<&Compression>,
    headers: &Headers<'_>,
) -> Result<Option<PerMessage>, HandshakeError> {
    let mut answers = extensions(headers);
    let Some(answer) = answers.next() else { return Ok(None) };
    let only = answers.next().is_none() && answer.name == NAME;
    let Some(config) = config.filter(|_| only) else { return Err(HandshakeError::Extension) };
    let terms = Terms::read(&answer, false).ok_or(HandshakeError::Extension)?;
    // It must grant what was asked for, and a window that can be kept to.
    let granted = config.peer_context_takeover || terms.server.no_takeover;
    if !granted || terms.client.window_bits == Some(8) {
        return Err(HandshakeError::Extension);
    }
    Ok(Some(per_message(config, terms.client, terms.server)))
}
