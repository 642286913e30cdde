//! Takes one command line apart.

use core::ops::Range;

use super::{Command, Get, List, Meta, MetaVerb, Refusal, Store};
use crate::memcached::number::{parse_i64, parse_u64};
use crate::memcached::{KEY_MAX, Mode, Tokens};

const NOREPLY: &[u8] = b"noreply";

/// The line of a command that brings a value.
pub(super) enum Head {
    Store(StoreHead),
    Meta(MetaHead),
    /// The line is wrong, and nobody knows whether a value follows: it is read as commands, as memcached
    /// does.
    Refused {
        refusal: Refusal,
        noreply: bool,
    },
}

pub(super) struct StoreHead {
    mode: Mode,
    /// Where the key stands in the line.
    key: Range<usize>,
    flags: u32,
    exptime: i64,
    pub(super) len: u64,
    cas: Option<u64>,
    noreply: bool,
}

pub(super) struct MetaHead {
    key: Range<usize>,
    /// Where the flags begin.
    flags: usize,
    pub(super) len: u64,
}

/// The head of a command that brings a value, or `None` if it is another one.
#[inline]
pub(super) fn head(line: &[u8]) -> Option<Head> {
    let mut tokens = Tokens::new(line);
    let mode = match tokens.next()? {
        b"set" => Mode::Set,
        b"add" => Mode::Add,
        b"replace" => Mode::Replace,
        b"append" => Mode::Append,
        b"prepend" => Mode::Prepend,
        b"cas" => return Some(store(line, tokens, Mode::Set, true)),
        b"ms" => return Some(meta_set(line, tokens)),
        _ => return None,
    };
    Some(store(line, tokens, mode, false))
}

#[inline]
fn store(line: &[u8], mut tokens: Tokens<'_>, mode: Mode, has_cas: bool) -> Head {
    let mut next = || tokens.next();
    let (Some(key), Some(flags), Some(exptime), Some(len)) = (next(), next(), next(), next()) else {
        return refused(Refusal::Unknown, false);
    };
    let cas = if has_cas { next() } else { None };
    // One more word is let pass, whatever it is.
    let noreply = next().or(cas).unwrap_or(len) == NOREPLY;
    if (has_cas && cas.is_none()) || next().is_some() {
        return refused(Refusal::Unknown, false);
    }
    let flags = parse_u64(flags).and_then(|flags| u32::try_from(flags).ok());
    let (Some(flags), Some(exptime), Some(len)) = (flags, parse_i64(exptime), parse_u64(len)) else {
        return refused(Refusal::Format, noreply);
    };
    let cas = match cas.map(parse_u64) {
        Some(None) => return refused(Refusal::Format, noreply),
        Some(cas) => cas,
        None => None,
    };
    if key.len() > KEY_MAX {
        return refused(Refusal::Format, noreply);
    }
    Head::Store(StoreHead { mode, key: position(line, key), flags, exptime, len, cas, noreply })
}

fn meta_set(line: &[u8], mut tokens: Tokens<'_>) -> Head {
    let Some(key) = tokens.next() else { return refused(Refusal::Unknown, false) };
    if key.len() > KEY_MAX {
        return refused(Refusal::Format, false);
    }
    let Some(len) = tokens.next().and_then(parse_u64) else { return refused(Refusal::Format, false) };
    let flags = line.len() - tokens.rest().len();
    Head::Meta(MetaHead { key: position(line, key), flags, len })
}

const fn refused(refusal: Refusal, noreply: bool) -> Head {
    Head::Refused { refusal, noreply }
}

/// Where `word` stands in `line`, of which it is a part.
#[inline]
fn position(line: &[u8], word: &[u8]) -> Range<usize> {
    let start = word.as_ptr() as usize - line.as_ptr() as usize;
    start..start + word.len()
}

impl Head {
    /// The command, with its line and its value, CRLF included.
    #[inline]
    pub(super) fn with_value<'b>(self, line: &'b [u8], chunk: &'b [u8]) -> Command<'b> {
        let noreply = self.noreply();
        let Some(value) = chunk.strip_suffix(b"\r\n") else {
            return Command::Refused { refusal: Refusal::Chunk, noreply };
        };
        match self {
            Head::Store(head) => Command::Store(Store {
                mode: head.mode,
                key: &line[head.key],
                flags: head.flags,
                exptime: head.exptime,
                value,
                cas: head.cas,
                noreply,
            }),
            Head::Meta(head) => Command::Meta(Meta {
                verb: MetaVerb::Set,
                key: &line[head.key],
                flags: Tokens::new(super::trim(&line[head.flags..])),
                value,
            }),
            Head::Refused { refusal, .. } => Command::Refused { refusal, noreply },
        }
    }

    /// The command without its value, which is over the limit.
    pub(super) fn too_large<'b>(self, line: &'b [u8]) -> Command<'b> {
        let noreply = self.noreply();
        match self {
            Head::Store(head) => Command::TooLarge { key: &line[head.key], mode: head.mode, noreply },
            Head::Meta(head) => Command::TooLarge { key: &line[head.key], mode: Mode::Set, noreply },
            Head::Refused { refusal, .. } => Command::Refused { refusal, noreply },
        }
    }

    const fn noreply(&self) -> bool {
        match self {
            Head::Store(head) => head.noreply,
            Head::Meta(_) => false,
            Head::Refused { noreply, .. } => *noreply,
        }
    }
}

/// A command without a value. An empty line is one too: an unknown one.
#[inline]
pub(super) fn command(line: &[u8]) -> Option<Command<'_>> {
    let mut tokens = Tokens::new(line);
    let command = match tokens.next().unwrap_or(b"") {
        b"get" => get(line, tokens, List { cas: false, exptime: None }),
        b"gets" => get(line, tokens, List { cas: true, exptime: None }),
        b"gat" => get_and_touch(line, tokens, false),
        b"gats" => get_and_touch(line, tokens, true),
        b"delete" => delete(tokens),
        b"incr" => arith(tokens, false),
        b"decr" => arith(tokens, true),
        b"touch" => touch(tokens),
        b"flush_all" => flush_all(tokens),
        b"verbosity" => verbosity(tokens),
        b"version" => Ok(Command::Version),
        b"stats" => Ok(Command::Stats(tokens)),
        b"quit" => Ok(Command::Quit),
        b"mn" => meta(MetaVerb::Noop, tokens),
        b"mg" => meta(MetaVerb::Get, tokens),
        b"md" => meta(MetaVerb::Delete, tokens),
        b"ma" => meta(MetaVerb::Arith, tokens),
        b"me" => meta(MetaVerb::Debug, tokens),
        _ => Err((Refusal::Unknown, false)),
    };
    Some(command.unwrap_or_else(|(refusal, noreply)| Command::Refused { refusal, noreply }))
}

/// Why there is no command, and whether nobody wants to know.
type Refused = (Refusal, bool);

type Parsed<'b> = Result<Command<'b>, Refused>;

#[inline]
fn get<'b>(line: &'b [u8], keys: Tokens<'b>, list: List) -> Parsed<'b> {
    // A short line has no long key in it.
    if line.len() > KEY_MAX && keys.clone().any(|key| key.len() > KEY_MAX) {
        return Err((Refusal::Format, false));
    }
    if keys.clone().next().is_none() && list.exptime.is_none() {
        return Err((Refusal::Unknown, false));
    }
    Ok(Command::Get(Get { keys, cas: list.cas, exptime: list.exptime, last: true }))
}

fn get_and_touch<'b>(line: &'b [u8], mut tokens: Tokens<'b>, cas: bool) -> Parsed<'b> {
    let exptime = tokens.next().ok_or((Refusal::Unknown, false))?;
    let exptime = parse_i64(exptime).ok_or((Refusal::Exptime, false))?;
    get(line, tokens, List { cas, exptime: Some(exptime) })
}

/// The head of a list of keys, taken off the front of a line.
pub(super) fn list(tokens: &mut Tokens<'_>) -> Option<List> {
    match tokens.next()? {
        b"get" => Some(List { cas: false, exptime: None }),
        b"gets" => Some(List { cas: true, exptime: None }),
        verb @ (b"gat" | b"gats") => {
            Some(List { cas: verb == b"gats", exptime: Some(parse_i64(tokens.next()?)?) })
        }
        _ => None,
    }
}

fn delete(mut tokens: Tokens<'_>) -> Parsed<'_> {
    let key = tokens.next().ok_or((Refusal::Unknown, false))?;
    let (second, third) = (tokens.next(), tokens.next());
    if tokens.next().is_some() {
        return Err((Refusal::Unknown, false));
    }
    // Old clients send a time, which may only be 0.
    let noreply = third.or(second) == Some(NOREPLY);
    let good = match (second, third) {
        (None, _) => true,
        (Some(b"0"), None) => true,
        (Some(b"0"), Some(_)) => noreply,
        (Some(_), None) => noreply,
        (Some(_), Some(_)) => false,
    };
    if !good {
        return Err((Refusal::DeleteUsage, noreply));
    }
    Ok(Command::Delete { key: checked(key, noreply)?, noreply })
}

#[inline]
fn arith(mut tokens: Tokens<'_>, down: bool) -> Parsed<'_> {
    let (key, delta, noreply) = two(&mut tokens)?;
    let key = checked(key, noreply)?;
    let delta = parse_u64(delta).ok_or((Refusal::Delta, noreply))?;
    Ok(Command::Arith { key, delta, down, noreply })
}

fn touch(mut tokens: Tokens<'_>) -> Parsed<'_> {
    let (key, exptime, noreply) = two(&mut tokens)?;
    let key = checked(key, noreply)?;
    let exptime = parse_i64(exptime).ok_or((Refusal::Exptime, noreply))?;
    Ok(Command::Touch { key, exptime, noreply })
}

fn flush_all(mut tokens: Tokens<'_>) -> Parsed<'_> {
    let (first, second) = (tokens.next(), tokens.next());
    if tokens.next().is_some() {
        return Err((Refusal::Unknown, false));
    }
    let noreply = second.or(first) == Some(NOREPLY);
    let delay = match first {
        None => 0,
        Some(_) if noreply && second.is_none() => 0,
        Some(delay) => parse_i64(delay).ok_or((Refusal::Exptime, noreply))?,
    };
    Ok(Command::FlushAll { delay, noreply })
}

fn verbosity(mut tokens: Tokens<'_>) -> Parsed<'_> {
    let (first, second) = (tokens.next(), tokens.next());
    let first = first.ok_or((Refusal::Unknown, false))?;
    if tokens.next().is_some() {
        return Err((Refusal::Unknown, false));
    }
    let noreply = second.unwrap_or(first) == NOREPLY;
    if parse_u64(first).is_none() && !(noreply && second.is_none()) {
        return Err((Refusal::Format, noreply));
    }
    Ok(Command::Verbosity { noreply })
}

fn meta(verb: MetaVerb, mut tokens: Tokens<'_>) -> Parsed<'_> {
    if verb == MetaVerb::Noop {
        return Ok(Command::Meta(Meta { verb, key: b"", flags: tokens, value: b"" }));
    }
    let missing = if verb == MetaVerb::Debug { Refusal::Format } else { Refusal::Unknown };
    let key = checked(tokens.next().ok_or((missing, false))?, false)?;
    Ok(Command::Meta(Meta { verb, key, flags: tokens, value: b"" }))
}

/// The words, and whether the client wants no answer.
type TwoWords<'b> = (&'b [u8], &'b [u8], bool);

/// Two words, and perhaps one more, which may be `noreply` or anything else.
#[inline]
fn two<'b>(tokens: &mut Tokens<'b>) -> Result<TwoWords<'b>, Refused> {
    let (Some(first), Some(second)) = (tokens.next(), tokens.next()) else {
        return Err((Refusal::Unknown, false));
    };
    // The last word counts, though it should have been a number.
    let noreply = tokens.next().unwrap_or(second) == NOREPLY;
    if tokens.next().is_some() {
        return Err((Refusal::Unknown, false));
    }
    Ok((first, second, noreply))
}

#[inline]
fn checked(key: &[u8], noreply: bool) -> Result<&[u8], Refused> {
    if key.len() > KEY_MAX { Err((Refusal::Format, noreply)) } else { Ok(key) }
}
