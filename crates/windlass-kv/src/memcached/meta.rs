//! Answers meta commands: one letter asks for each thing wanted, and comes back with it.
//!
//! Offered are `mn`, `mg` (flags `b c f k l O q s t T v`), `ms` (`b c C F k M O q T`), `md` (`b C k O q`), `ma`
//! (`b c C D J k M N O q t T v`) and `me`. What memcached has to make many clients win one race for a stale
//! value (`I`, `R`, `N` of `mg`, `h`) is refused as an unknown flag, since nothing keeps what it needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use windlass::Conn;
use windlass::proto::memcached::reply::Line;
use windlass::proto::memcached::{KEY_MAX, Meta, MetaVerb, Mode, Tokens, parse_u64};

use super::ascii::{NO_MEMORY, NOT_NUMERIC, TOO_LARGE};
use super::cache::{Counted, Item, Stored};
use super::{Memcached, write_value};
use crate::store::{Entry, Store};

const INVALID: &[u8] = b"CLIENT_ERROR invalid flag\r\n";
const DUPLICATE: &[u8] = b"CLIENT_ERROR duplicate flag\r\n";
const BAD_TOKEN: &[u8] = b"CLIENT_ERROR bad token in command line format\r\n";
const INVALID_OR_DUPLICATE: &[u8] = b"CLIENT_ERROR invalid or duplicate flag\r\n";
const MODE_LENGTH: &[u8] = b"CLIENT_ERROR incorrect length for M token\r\n";
const OPAQUE: &[u8] = b"CLIENT_ERROR opaque token too long\r\n";
const KEY: &[u8] = b"CLIENT_ERROR error decoding key\r\n";

/// The longest opaque token, its letter included.
const OPAQUE_MAX: usize = 33;

/// The flags of one command, checked.
#[derive(Default)]
struct Flags {
    base64: bool,
    value: bool,
    quiet: bool,
    mode: Option<u8>,
    exptime: Option<i64>,
    client_flags: u32,
    cas: Option<u64>,
    delta: Option<u64>,
    initial: u64,
    /// The exptime of a number that is made.
    vivify: Option<i64>,
}

impl Flags {
    /// Checks every flag; each is one of `allowed`, and there once.
    fn parse(words: Tokens<'_>, allowed: &[u8]) -> Result<Flags, &'static [u8]> {
        let mut flags = Flags::default();
        let mut seen = 0_u128;
        for word in words {
            let Some((letter, token)) = word.split_first() else { continue };
            if !allowed.contains(letter) {
                return Err(INVALID);
            }
            let bit = 1 << letter;
            if seen & bit != 0 {
                return Err(DUPLICATE);
            }
            seen |= bit;
            let number = || parse_u64(token).ok_or(BAD_TOKEN);
            match letter {
                b'b' => flags.base64 = true,
                b'v' => flags.value = true,
                b'q' => flags.quiet = true,
                b'M' => match token {
                    [mode] => flags.mode = Some(*mode),
                    _ => return Err(MODE_LENGTH),
                },
                b'T' => flags.exptime = Some(exptime(token)?),
                b'N' => flags.vivify = Some(exptime(token)?),
                b'F' => flags.client_flags = u32::try_from(number()?).map_err(|_| BAD_TOKEN)?,
                b'C' => flags.cas = Some(number()?),
                b'D' => flags.delta = Some(number()?),
                b'J' => flags.initial = number()?,
                b'O' if word.len() > OPAQUE_MAX => return Err(OPAQUE),
                _ => {}
            }
        }
        Ok(flags)
    }
}

fn exptime(token: &[u8]) -> Result<i64, &'static [u8]> {
    let (negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let number = parse_u64(digits).and_then(|number| i64::try_from(number).ok()).ok_or(BAD_TOKEN)?;
    Ok(if negative { -number } else { number })
}

/// The key that is meant: the one that was written, or what it is the base64 of.
fn key<'k>(written: &'k [u8], base64: bool, room: &'k mut [u8; KEY_MAX]) -> Result<&'k [u8], &'static [u8]> {
    if !base64 {
        return Ok(written);
    }
    match STANDARD.decode_slice(written, room) {
        Ok(n) if n > 0 => Ok(&room[..n]),
        _ => Err(KEY),
    }
}

impl Memcached {
    pub(super) fn meta(&mut self, store: &mut Store, conn: &mut Conn<'_>, meta: Meta<'_>) {
        self.counts.cmd_meta += 1;
        let done = match meta.verb {
            MetaVerb::Noop => {
                self.write(conn, b"MN\r\n");
                Ok(())
            }
            MetaVerb::Get => self.meta_get(store, conn, &meta),
            MetaVerb::Set => self.meta_set(store, conn, &meta),
            MetaVerb::Delete => self.meta_delete(store, conn, &meta),
            MetaVerb::Arith => self.meta_arith(store, conn, &meta),
            MetaVerb::Debug => {
                self.meta_debug(store, conn, &meta);
                Ok(())
            }
        };
        if let Err(refusal) = done {
            self.counts.refused += 1;
            self.write(conn, refusal);
        }
    }

    fn meta_get(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        meta: &Meta<'_>,
    ) -> Result<(), &'static [u8]> {
        let flags = Flags::parse(meta.flags, b"bcfklOqstTv")?;
        let mut room = [0; KEY_MAX];
        let key = key(meta.key, flags.base64, &mut room)?;
        // Looked at before it counts as used.
        let idle = store.now();
        let idle = store.peek(key).map_or(0, |entry| entry.idle_ms(idle) / 1000);
        let hit = store.get(key).is_some_and(|entry| entry.bytes().is_some());
        self.counts.cmd_get += 1;
        *if hit { &mut self.counts.get_hits } else { &mut self.counts.get_misses } += 1;
        if !hit {
            if !flags.quiet {
                self.short(conn, b"EN", meta);
            }
            return Ok(());
        }
        // One that has passed is carried out behind the answer.
        let touched = flags.exptime;
        if let Some(exptime) = touched.filter(|exptime| *exptime >= 0) {
            self.touch(store, key, exptime);
        }
        let now = store.now();
        if let Some((entry, value)) = store.peek(key).and_then(|entry| Some((entry, entry.bytes()?))) {
            self.line.clear();
            if flags.value {
                self.line.put(b"VA ").number(value.len() as u64);
            } else {
                self.line.put(b"HD");
            }
            for word in meta.flags {
                match word.first() {
                    Some(b's') => self.line.put(b" s").number(value.len() as u64),
                    Some(b'f') => self.line.put(b" f").number(entry.flags().into()),
                    Some(b'c') => self.line.put(b" c").number(entry.version()),
                    Some(b'l') => self.line.put(b" l").number(idle),
                    Some(b't') => put_ttl(&mut self.line, entry, now),
                    _ => put_echo(&mut self.line, word, meta),
                };
            }
            self.line.put(b"\r\n");
            if flags.value {
                self.counts.bytes_written += write_value(conn, &mut self.line, value, b"\r\n");
            } else {
                self.write_line(conn);
            }
        }
        if let Some(exptime) = touched.filter(|exptime| *exptime < 0) {
            self.touch(store, key, exptime);
        }
        Ok(())
    }

    fn meta_set(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        meta: &Meta<'_>,
    ) -> Result<(), &'static [u8]> {
        let flags = Flags::parse(meta.flags, b"bcCFkMOqT")?;
        let mode = match flags.mode {
            None | Some(b'S') => Mode::Set,
            Some(b'E') => Mode::Add,
            Some(b'A') => Mode::Append,
            Some(b'P') => Mode::Prepend,
            Some(b'R') => Mode::Replace,
            Some(_) => return Err(b"CLIENT_ERROR invalid mode for ms M token\r\n"),
        };
        let mut room = [0; KEY_MAX];
        let key = key(meta.key, flags.base64, &mut room)?;
        let item = Item {
            mode,
            key,
            value: meta.value,
            flags: flags.client_flags,
            exptime: flags.exptime.unwrap_or(0),
            cas: flags.cas,
        };
        let word: &[u8] = match self.store(store, &item) {
            Stored::Done if flags.quiet => return Ok(()),
            Stored::Done => b"HD",
            Stored::Forbidden => b"NS",
            Stored::Exists => b"EX",
            Stored::NotFound => b"NF",
            Stored::TooLarge => return Err(TOO_LARGE),
            Stored::NoMemory => return Err(NO_MEMORY),
        };
        self.line.clear();
        self.line.put(word);
        for flag in meta.flags {
            match flag.first() {
                Some(b'c') => {
                    self.line.put(b" c").number(if word == b"HD" { store.last_version() } else { 0 })
                }
                _ => put_echo(&mut self.line, flag, meta),
            };
        }
        self.line.put(b"\r\n");
        self.write_line(conn);
        Ok(())
    }

    fn meta_delete(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        meta: &Meta<'_>,
    ) -> Result<(), &'static [u8]> {
        let flags = Flags::parse(meta.flags, b"bCkOq").map_err(|_| INVALID_OR_DUPLICATE)?;
        let mut room = [0; KEY_MAX];
        let key = key(meta.key, flags.base64, &mut room)?;
        let other = |version: u64| flags.cas.is_some_and(|cas| cas != version);
        if store.peek(key).is_some_and(|entry| other(entry.version())) {
            self.short(conn, b"EX", meta);
        } else if !self.delete(store, key) {
            self.short(conn, b"NF", meta);
        } else if !flags.quiet {
            self.short(conn, b"HD", meta);
        }
        Ok(())
    }

    fn meta_arith(
        &mut self,
        store: &mut Store,
        conn: &mut Conn<'_>,
        meta: &Meta<'_>,
    ) -> Result<(), &'static [u8]> {
        let flags = Flags::parse(meta.flags, b"bcCDJkMNOqtTv").map_err(|_| INVALID_OR_DUPLICATE)?;
        let down = match flags.mode {
            None | Some(b'I' | b'i' | b'+') => false,
            Some(b'D' | b'd' | b'-') => true,
            Some(_) => return Err(b"CLIENT_ERROR invalid mode for ma M token\r\n"),
        };
        let mut room = [0; KEY_MAX];
        let key = key(meta.key, flags.base64, &mut room)?;
        match self.count(store, key, flags.delta.unwrap_or(1), down, flags.cas) {
            Counted::Number(_) => {
                if let Some(exptime) = flags.exptime {
                    self.touch(store, key, exptime);
                }
            }
            Counted::NotFound => {
                let Some(exptime) = flags.vivify else {
                    self.short(conn, b"NF", meta);
                    return Ok(());
                };
                self.first_number(store, key, flags.initial, exptime).map_err(|_| NO_MEMORY)?;
            }
            Counted::NotNumeric => return Err(NOT_NUMERIC),
            Counted::NoMemory => return Err(NO_MEMORY),
            Counted::Exists => {
                self.short(conn, b"EX", meta);
                return Ok(());
            }
        }
        let now = store.now();
        let Some((entry, value)) = store.peek(key).and_then(|entry| Some((entry, entry.bytes()?))) else {
            return Ok(());
        };
        if flags.quiet {
            return Ok(());
        }
        let number = value.trim_ascii_end();
        self.line.clear();
        if flags.value {
            self.line.put(b"VA ").number(number.len() as u64);
        } else {
            self.line.put(b"HD");
        }
        for word in meta.flags {
            match word.first() {
                Some(b'c') => self.line.put(b" c").number(entry.version()),
                Some(b't') => put_ttl(&mut self.line, entry, now),
                _ => put_echo(&mut self.line, word, meta),
            };
        }
        self.line.put(b"\r\n");
        if flags.value {
            self.line.put(number).put(b"\r\n");
        }
        self.write_line(conn);
        Ok(())
    }

    fn meta_debug(&mut self, store: &mut Store, conn: &mut Conn<'_>, meta: &Meta<'_>) {
        let now = store.now();
        let Some(entry) = store.peek(meta.key) else { return self.write(conn, b"EN\r\n") };
        let line = &mut self.line;
        line.clear();
        line.put(b"ME ").put(meta.key).put(b" exp=");
        match entry.deadline() {
            Some(at) => line.number(at.saturating_sub(now).div_ceil(1000)),
            None => line.put(b"-1"),
        };
        line.put(b" la=").number(entry.idle_ms(now) / 1000).put(b" cas=").number(entry.version());
        line.put(b" size=").number(entry.weight(meta.key.len()) as u64).put(b"\r\n");
        self.write_line(conn);
    }

    /// A word, and of the flags those that are repeated whatever happens.
    fn short(&mut self, conn: &mut Conn<'_>, word: &[u8], meta: &Meta<'_>) {
        self.line.clear();
        self.line.put(word);
        for flag in meta.flags {
            put_echo(&mut self.line, flag, meta);
        }
        self.line.put(b"\r\n");
        self.write_line(conn);
    }
}

/// ` t<seconds>`, -1 where it never expires.
fn put_ttl<'l>(line: &'l mut Line, entry: &Entry, now: u64) -> &'l mut Line {
    match entry.deadline() {
        Some(at) => line.put(b" t").number(at.saturating_sub(now).div_ceil(1000)),
        None => line.put(b" t-1"),
    }
}

/// The key as it was written and that it is base64, and the opaque token, where they are asked for.
fn put_echo<'l>(line: &'l mut Line, flag: &[u8], meta: &Meta<'_>) -> &'l mut Line {
    match flag.first() {
        Some(b'k') if is_base64(meta) => line.put(b" k").put(meta.key).put(b" b"),
        Some(b'k') => line.put(b" k").put(meta.key),
        Some(b'O') => line.put(b" ").put(flag),
        _ => line,
    }
}

fn is_base64(meta: &Meta<'_>) -> bool {
    meta.flags.into_iter().any(|flag| flag == b"b")
}
