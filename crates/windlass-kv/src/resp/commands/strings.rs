//! Strings and counters.

use windlass::proto::resp::{Encoder, decimal, parse_decimal};

use super::super::fail::{
    self, Done, Fail, NOT_FINITE, NOT_FLOAT, NOT_INTEGER, OVERFLOW, SYNTAX, TOO_LONG, expire_time, float,
    integer,
};
use super::super::{Run, bulk, upper};
use super::range;
use crate::store::{Entry, Expiry, StoreError};

/// The bytes of an entry; another type is an error.
fn bytes(entry: &Entry) -> Result<&[u8], Fail> {
    entry.bytes().ok_or(Fail::Store(StoreError::WrongType))
}

/// Replies with a key's string, or with nothing.
#[inline]
fn reply_value(run: &mut Run<'_, '_, '_>, key: &[u8]) -> Result<bool, Fail> {
    match run.store.get(key) {
        Some(entry) => {
            bulk(run.out, run.conn, bytes(entry)?);
            Ok(true)
        }
        None => {
            run.reply().null();
            Ok(false)
        }
    }
}

/// The same for commands that may still fail: what has gone out could not be taken back.
fn copy_value(run: &mut Run<'_, '_, '_>, key: &[u8]) -> Done {
    match run.store.get(key) {
        Some(entry) => Encoder::new(run.out, run.session.version).bulk(bytes(entry)?),
        None => run.reply().null(),
    }
    Ok(())
}

pub(crate) fn get(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    reply_value(run, key).map(drop)
}

pub(crate) fn mget(run: &mut Run<'_, '_, '_>) -> Done {
    let keys = run.args.len();
    run.reply().array(keys);
    while let Some(key) = run.args.next() {
        match run.store.get(key).and_then(|entry| entry.bytes()) {
            Some(value) => bulk(run.out, run.conn, value),
            None => run.reply().null(),
        }
    }
    Ok(())
}

/// A deadline from a number of seconds or milliseconds, from now or since 1970.
fn deadline(run: &Run<'_, '_, '_>, text: &[u8], unit: i64, absolute: bool) -> Result<u64, Fail> {
    let bad = || expire_time(run.spec.name);
    let ms = match integer(text)? {
        number @ 1.. => number.checked_mul(unit).ok_or_else(bad)?,
        _ => return Err(bad()),
    };
    let ms = if absolute { ms } else { ms.checked_add(run.store.now() as i64).ok_or_else(bad)? };
    Ok(ms as u64)
}

/// Reads the options `EX`, `PX`, `EXAT` and `PXAT`; `None` for another word.
fn expiry(run: &mut Run<'_, '_, '_>, word: &[u8]) -> Result<Option<Expiry>, Fail> {
    let (unit, absolute) = match word {
        b"EX" => (1000, false),
        b"PX" => (1, false),
        b"EXAT" => (1000, true),
        b"PXAT" => (1, true),
        _ => return Ok(None),
    };
    let text = run.args.next().ok_or(SYNTAX)?;
    deadline(run, text, unit, absolute).map(|at| Some(Expiry::At(at)))
}

pub(crate) fn set(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, value) = (run.arg(), run.arg());
    if run.args.len() == 0 {
        run.store.set(key, value, 0, Expiry::Never)?;
        return run.ok();
    }
    let (mut condition, mut wants_old, mut expires) = (None, false, None);
    while let Some(option) = run.args.next() {
        let mut word = [0; 16];
        match upper(option, &mut word) {
            b"NX" if condition != Some(true) => condition = Some(false),
            b"XX" if condition != Some(false) => condition = Some(true),
            b"GET" => wants_old = true,
            b"KEEPTTL" if expires.is_none() => expires = Some(Expiry::Keep),
            word if expires.is_none() => expires = Some(expiry(run, word)?.ok_or(SYNTAX)?),
            _ => return Err(SYNTAX),
        }
    }
    let at = run.out.len();
    if wants_old {
        copy_value(run, key)?;
    }
    if condition.is_some_and(|there| run.store.contains(key) != there) {
        if !wants_old {
            run.reply().null();
        }
        return Ok(());
    }
    if let Err(error) = run.store.set(key, value, 0, expires.unwrap_or(Expiry::Never)) {
        run.out.truncate(at);
        return Err(error.into());
    }
    if wants_old { Ok(()) } else { run.ok() }
}

pub(crate) fn setnx(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, value) = (run.arg(), run.arg());
    let free = !run.store.contains(key);
    if free {
        run.store.set(key, value, 0, Expiry::Never)?;
    }
    run.integer(usize::from(free))
}

pub(crate) fn setex(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, time, value) = (run.arg(), run.arg(), run.arg());
    let unit = if run.spec.name == "setex" { 1000 } else { 1 };
    let at = deadline(run, time, unit, false)?;
    run.store.set(key, value, 0, Expiry::At(at))?;
    run.ok()
}

pub(crate) fn getset(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, value) = (run.arg(), run.arg());
    copy_value(run, key)?;
    Ok(run.store.set(key, value, 0, Expiry::Never)?)
}

pub(crate) fn getdel(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    if reply_value(run, key)? {
        run.store.remove(key);
    }
    Ok(())
}

pub(crate) fn getex(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let mut change = None;
    if let Some(option) = run.args.next() {
        let mut word = [0; 16];
        change = Some(match upper(option, &mut word) {
            b"PERSIST" => None,
            word => match expiry(run, word)? {
                Some(Expiry::At(at)) => Some(at),
                _ => return Err(SYNTAX),
            },
        });
    }
    if run.args.len() > 0 {
        return Err(SYNTAX);
    }
    if reply_value(run, key)?
        && let Some(at) = change
    {
        run.store.expire(key, at);
    }
    Ok(())
}

/// Sets all or, if one of them does not fit, none.
fn set_all(run: &mut Run<'_, '_, '_>) -> Done {
    let mut args = run.args.clone();
    let lengths = std::iter::from_fn(|| Some((args.next()?.len(), args.next()?.len())));
    run.store.reserve(lengths)?;
    while let (Some(key), Some(value)) = (run.args.next(), run.args.next()) {
        run.store.set(key, value, 0, Expiry::Never)?;
    }
    Ok(())
}

pub(crate) fn mset(run: &mut Run<'_, '_, '_>) -> Done {
    if !run.args.len().is_multiple_of(2) {
        return Err(fail::arity(run.spec.name));
    }
    set_all(run)?;
    run.ok()
}

pub(crate) fn msetnx(run: &mut Run<'_, '_, '_>) -> Done {
    if !run.args.len().is_multiple_of(2) {
        return Err(fail::arity(run.spec.name));
    }
    if run.args.clone().step_by(2).any(|key| run.store.contains(key)) {
        return run.integer(0);
    }
    set_all(run)?;
    run.integer(1)
}

pub(crate) fn strlen(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let len = run.store.view::<Vec<u8>>(key)?.map_or(0, Vec::len);
    run.integer(len)
}

/// Makes a string at least `len` bytes long and changes it. It grows by a quarter more than it must, so
/// that appending little by little is not copying again and again.
fn grow(
    run: &mut Run<'_, '_, '_>,
    key: &[u8],
    len: usize,
    change: impl FnOnce(&mut Vec<u8>),
) -> Result<usize, Fail> {
    if len > run.store.config().value_max {
        return Err(TOO_LONG);
    }
    let had = run.store.view::<Vec<u8>>(key)?.map_or(0, Vec::capacity);
    let wants = if len > had { len + if had > 0 { len / 4 } else { 0 } } else { had };
    let changed = run.store.edit(key, true, wants - had, |bytes: &mut Vec<u8>| {
        bytes.reserve_exact(wants - bytes.len());
        change(bytes);
        bytes.len()
    })?;
    Ok(changed.unwrap_or(0))
}

pub(crate) fn append(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, more) = (run.arg(), run.arg());
    let had = run.store.view::<Vec<u8>>(key)?.map_or(0, Vec::len);
    let len = grow(run, key, had + more.len(), |bytes| bytes.extend_from_slice(more))?;
    run.integer(len)
}

pub(crate) fn setrange(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, offset, part) = (run.arg(), run.number()?, run.arg());
    let offset = usize::try_from(offset).map_err(|_| Fail::Text("ERR offset is out of range"))?;
    let had = run.store.view::<Vec<u8>>(key)?.map_or(0, Vec::len);
    if part.is_empty() {
        return run.integer(had);
    }
    let end = offset.checked_add(part.len()).ok_or(TOO_LONG)?;
    let len = grow(run, key, had.max(end), |bytes| {
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset..end].copy_from_slice(part);
    })?;
    run.integer(len)
}

pub(crate) fn getrange(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, from, to) = (run.arg(), run.number()?, run.number()?);
    match run.store.get(key) {
        Some(entry) => {
            let bytes = bytes(entry)?;
            let (from, to) = range(from, to, bytes.len());
            bulk(run.out, run.conn, &bytes[from..to]);
        }
        None => run.reply().bulk(b""),
    }
    Ok(())
}

fn add(run: &mut Run<'_, '_, '_>, key: &[u8], by: i64) -> Done {
    let old = match run.store.get(key) {
        Some(entry) => parse_decimal(bytes(entry)?).ok_or(NOT_INTEGER)?,
        None => 0,
    };
    let new = old.checked_add(by).ok_or(OVERFLOW)?;
    decimal(new, |digits| run.store.set(key, digits, 0, Expiry::Keep))?;
    run.reply().integer(new);
    Ok(())
}

pub(crate) fn incr(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    add(run, key, 1)
}

pub(crate) fn decr(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    add(run, key, -1)
}

pub(crate) fn incrby(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, by) = (run.arg(), run.number()?);
    add(run, key, by)
}

pub(crate) fn decrby(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, by) = (run.arg(), run.number()?);
    add(run, key, by.checked_neg().ok_or(Fail::Text("ERR decrement would overflow"))?)
}

pub(crate) fn incrbyfloat(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, by) = (run.arg(), float(run.arg())?);
    let old = match run.store.get(key) {
        Some(entry) => float(bytes(entry)?).map_err(|_| NOT_FLOAT)?,
        None => 0.0,
    };
    let new = old + by;
    if !new.is_finite() {
        return Err(NOT_FINITE);
    }
    let text = new.to_string();
    run.store.set(key, text.as_bytes(), 0, Expiry::Keep)?;
    run.reply().bulk(text.as_bytes());
    Ok(())
}
