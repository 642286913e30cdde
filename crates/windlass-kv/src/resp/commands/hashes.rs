//! Hashes: fields and values.

use windlass::proto::resp::{Encoder, decimal, parse_decimal};

use super::super::fail::{self, Done, Fail, NOT_FINITE, OVERFLOW, float};
use super::super::{Run, bulk};
use super::{Scan, scan_reply};
use crate::store::Hash;

type Fields = Box<Hash>;

pub(crate) fn hset(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    if !run.args.len().is_multiple_of(2) {
        return Err(fail::arity(run.spec.name));
    }
    let grows = run.args.clone().map(|word| word.len() + Hash::FIELD / 2 + 1).sum();
    let mut args = run.args.clone();
    let new = run.store.edit(key, true, grows, |hash: &mut Fields| {
        let mut new = 0;
        while let (Some(field), Some(value)) = (args.next(), args.next()) {
            new += usize::from(hash.set(field, value));
        }
        new
    })?;
    if run.spec.name == "hmset" { run.ok() } else { run.integer(new.unwrap_or(0)) }
}

pub(crate) fn hsetnx(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, field, value) = (run.arg(), run.arg(), run.arg());
    if run.store.view::<Fields>(key)?.is_some_and(|hash| hash.get(field).is_some()) {
        return run.integer(0);
    }
    let grows = Hash::FIELD + field.len() + value.len();
    run.store.edit(key, true, grows, |hash: &mut Fields| hash.set(field, value))?;
    run.integer(1)
}

pub(crate) fn hget(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, field) = (run.arg(), run.arg());
    let mut reply = Encoder::new(run.out, run.session.version);
    match run.store.view::<Fields>(key)?.and_then(|hash| hash.get(field)) {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
    Ok(())
}

pub(crate) fn hmget(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let version = run.session.version;
    let hash = run.store.view::<Fields>(key)?;
    Encoder::new(run.out, version).array(run.args.len());
    for field in run.args.clone() {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => bulk(run.out, run.conn, value),
            None => Encoder::new(run.out, version).null(),
        }
    }
    Ok(())
}

/// `HGETALL`, `HKEYS` and `HVALS`.
pub(crate) fn hgetall(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let (fields, values) = (run.spec.name != "hvals", run.spec.name != "hkeys");
    let mut reply = Encoder::new(run.out, run.session.version);
    let hash = run.store.view::<Fields>(key)?;
    let len = hash.map_or(0, |hash| hash.len());
    if fields && values {
        reply.map(len)
    } else {
        reply.array(len)
    }
    for (field, value) in hash.iter().flat_map(|hash| hash.iter()) {
        if fields {
            bulk(run.out, run.conn, field);
        }
        if values {
            bulk(run.out, run.conn, value);
        }
    }
    Ok(())
}

pub(crate) fn hdel(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let args = run.args.clone();
    let removed =
        run.store.edit(key, false, 0, |hash: &mut Fields| args.filter(|field| hash.remove(field)).count())?;
    run.integer(removed.unwrap_or(0))
}

pub(crate) fn hlen(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let len = run.store.view::<Fields>(key)?.map_or(0, |hash| hash.len());
    run.integer(len)
}

pub(crate) fn hexists(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, field) = (run.arg(), run.arg());
    let there = run.store.view::<Fields>(key)?.is_some_and(|hash| hash.get(field).is_some());
    run.integer(usize::from(there))
}

pub(crate) fn hstrlen(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, field) = (run.arg(), run.arg());
    let len = run.store.view::<Fields>(key)?.and_then(|hash| hash.get(field)).map_or(0, <[u8]>::len);
    run.integer(len)
}

fn put(run: &mut Run<'_, '_, '_>, key: &[u8], field: &[u8], value: &[u8]) -> Result<(), Fail> {
    let grows = Hash::FIELD + field.len() + value.len();
    run.store.edit(key, true, grows, |hash: &mut Fields| hash.set(field, value))?;
    Ok(())
}

pub(crate) fn hincrby(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, field, by) = (run.arg(), run.arg(), run.number()?);
    let old = match run.store.view::<Fields>(key)?.and_then(|hash| hash.get(field)) {
        Some(text) => parse_decimal(text).ok_or(Fail::Text("ERR hash value is not an integer"))?,
        None => 0,
    };
    let new = old.checked_add(by).ok_or(OVERFLOW)?;
    decimal(new, |digits| put(run, key, field, digits))?;
    run.reply().integer(new);
    Ok(())
}

pub(crate) fn hincrbyfloat(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, field, by) = (run.arg(), run.arg(), float(run.arg())?);
    let old = match run.store.view::<Fields>(key)?.and_then(|hash| hash.get(field)) {
        Some(text) => float(text).map_err(|_| Fail::Text("ERR hash value is not a float"))?,
        None => 0.0,
    };
    let new = old + by;
    if !new.is_finite() {
        return Err(NOT_FINITE);
    }
    let text = new.to_string();
    put(run, key, field, text.as_bytes())?;
    run.reply().bulk(text.as_bytes());
    Ok(())
}

pub(crate) fn hscan(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let scan = Scan::parse(run)?;
    let (mut elements, mut n, mut next) = (Vec::new(), 0, 0);
    let mut encoder = Encoder::new(&mut elements, run.session.version);
    if let Some(hash) = run.store.view::<Fields>(key)? {
        next = crate::store::scan(hash.len(), scan.cursor, scan.count, |at| {
            if let Some((field, value)) = hash.at(at).filter(|(field, _)| scan.wants(field)) {
                encoder.bulk(field);
                encoder.bulk(value);
                n += 2;
            }
        });
    }
    scan_reply(run, next, &elements, n)
}
