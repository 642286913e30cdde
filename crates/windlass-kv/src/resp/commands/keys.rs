//! Keys, whatever they hold.

use windlass::proto::resp::{Encoder, parse_decimal};

use super::super::fail::{Done, Fail, NO_KEY, SYNTAX, expire_time, unknown_subcommand};
use super::super::{Run, bulk, glob, upper};
use super::{Scan, scan_reply};
use crate::store::Value;

fn how_many(run: &mut Run<'_, '_, '_>, mut is: impl FnMut(&mut Run<'_, '_, '_>, &[u8]) -> bool) -> Done {
    let mut n = 0;
    while let Some(key) = run.args.next() {
        n += usize::from(is(run, key));
    }
    run.integer(n)
}

pub(crate) fn del(run: &mut Run<'_, '_, '_>) -> Done {
    how_many(run, |run, key| run.store.remove(key))
}

pub(crate) fn exists(run: &mut Run<'_, '_, '_>) -> Done {
    how_many(run, |run, key| run.store.contains(key))
}

pub(crate) fn touch(run: &mut Run<'_, '_, '_>) -> Done {
    how_many(run, |run, key| run.store.get(key).is_some())
}

/// `EXPIRE` and its kin: the name says the unit, and from when it is counted.
pub(crate) fn expire(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, time) = (run.arg(), run.number()?);
    let name = run.spec.name;
    let bad = || expire_time(name);
    let ms = if name.starts_with('p') { Some(time) } else { time.checked_mul(1000) };
    let since = if name.ends_with("at") { 0 } else { run.store.now() as i64 };
    let at = ms.and_then(|ms| ms.checked_add(since)).ok_or_else(bad)?.max(0) as u64;

    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for option in run.args.by_ref() {
        match upper(option, &mut [0; 16]) {
            b"NX" => nx = true,
            b"XX" => xx = true,
            b"GT" => gt = true,
            b"LT" => lt = true,
            _ => {
                let option = String::from_utf8_lossy(option).replace(char::is_control, " ");
                return Err(Fail::Said(format!("ERR Unsupported option {option}")));
            }
        }
    }
    if nx && (xx || gt || lt) {
        return Err(Fail::Text("ERR NX and XX, GT or LT options at the same time are not compatible"));
    }
    if gt && lt {
        return Err(Fail::Text("ERR GT and LT options at the same time are not compatible"));
    }
    let Some(old) = run.store.deadline(key) else { return run.integer(0) };
    // Never is later than any time.
    let old_at = old.unwrap_or(u64::MAX);
    let no = (nx && old.is_some()) || (xx && old.is_none()) || (gt && at <= old_at) || (lt && at >= old_at);
    if no {
        return run.integer(0);
    }
    // 0 is a time too: one that has passed.
    let done = run.store.expire(key, Some(at));
    run.integer(usize::from(done))
}

/// `TTL` and its kin.
pub(crate) fn ttl(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let name = run.spec.name;
    let since = if name.ends_with("expiretime") { 0 } else { run.store.now() };
    let reply = match run.store.deadline(key) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => {
            let ms = i64::try_from(at.saturating_sub(since)).unwrap_or(i64::MAX);
            if name.starts_with('p') {
                ms
            } else if since == 0 {
                ms / 1000
            } else {
                ms.saturating_add(500) / 1000
            }
        }
    };
    run.reply().integer(reply);
    Ok(())
}

pub(crate) fn persist(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let had = matches!(run.store.deadline(key), Some(Some(_)));
    let done = had && run.store.expire(key, None);
    run.integer(usize::from(done))
}

pub(crate) fn kind(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let name = run.store.peek(key).map_or("none", |entry| entry.value().type_name());
    run.reply().simple(name);
    Ok(())
}

pub(crate) fn keys(run: &mut Run<'_, '_, '_>) -> Done {
    let pattern = run.arg();
    let wanted = |key: &[u8]| pattern == b"*" || glob::matches(pattern, key);
    let n = run.store.iter().filter(|(key, _)| wanted(key)).count();
    Encoder::new(run.out, run.session.version).array(n);
    run.store.iter().filter(|(key, _)| wanted(key)).for_each(|(key, _)| bulk(run.out, run.conn, key));
    Ok(())
}

pub(crate) fn scan(run: &mut Run<'_, '_, '_>) -> Done {
    let scan = Scan::parse(run)?;
    let (mut elements, mut n) = (Vec::new(), 0);
    let mut encoder = Encoder::new(&mut elements, run.session.version);
    let next = run.store.scan(scan.cursor, scan.count, |key, entry| {
        let of_kind =
            scan.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(entry.value().type_name().as_bytes()));
        if of_kind && scan.wants(key) {
            encoder.bulk(key);
            n += 1;
        }
    });
    scan_reply(run, next, &elements, n)
}

pub(crate) fn rename(run: &mut Run<'_, '_, '_>) -> Done {
    let (from, to) = (run.arg(), run.arg());
    if run.store.rename(from, to)? { run.ok() } else { Err(NO_KEY) }
}

pub(crate) fn renamenx(run: &mut Run<'_, '_, '_>) -> Done {
    let (from, to) = (run.arg(), run.arg());
    if !run.store.contains(from) {
        return Err(NO_KEY);
    }
    let free = !run.store.contains(to);
    if free {
        run.store.rename(from, to)?;
    }
    run.integer(usize::from(free))
}

pub(crate) fn copy(run: &mut Run<'_, '_, '_>) -> Done {
    let (from, to) = (run.arg(), run.arg());
    let mut replace = false;
    while let Some(option) = run.args.next() {
        match upper(option, &mut [0; 16]) {
            b"REPLACE" => replace = true,
            b"DB" if run.number()? == 0 => {}
            b"DB" => return Err(Fail::Text("ERR DB index is out of range")),
            _ => return Err(SYNTAX),
        }
    }
    if from == to {
        return Err(Fail::Text("ERR source and destination objects are the same"));
    }
    let copied = (replace || !run.store.contains(to)) && run.store.copy(from, to)?;
    run.integer(usize::from(copied))
}

pub(crate) fn randomkey(run: &mut Run<'_, '_, '_>) -> Done {
    let mut reply = Encoder::new(run.out, run.session.version);
    match run.store.random_key() {
        Some(key) => reply.bulk(key),
        None => reply.null(),
    }
    Ok(())
}

pub(crate) fn object(run: &mut Run<'_, '_, '_>) -> Done {
    let (what, key) = (run.arg(), run.args.next());
    let now = run.store.now();
    let (Some(key), None) = (key, run.args.next()) else {
        return Err(unknown_subcommand("object", what));
    };
    let entry = run.store.peek(key);
    let mut reply = Encoder::new(run.out, run.session.version);
    match (upper(what, &mut [0; 16]), entry) {
        (b"ENCODING" | b"IDLETIME" | b"REFCOUNT", None) => reply.null(),
        (b"ENCODING", Some(entry)) => reply.bulk(match entry.value() {
            Value::Bytes(bytes) if bytes.len() <= 20 && parse_decimal(bytes).is_some() => b"int",
            Value::Bytes(bytes) if bytes.len() <= 44 => b"embstr",
            Value::Bytes(_) => b"raw",
            Value::List(_) => b"quicklist",
            Value::Hash(_) | Value::Set(_) => b"hashtable",
            Value::Sorted(_) => b"skiplist",
        }),
        (b"IDLETIME", Some(entry)) => reply.integer((entry.idle_ms(now) / 1000) as i64),
        (b"REFCOUNT", Some(_)) => reply.integer(1),
        _ => return Err(unknown_subcommand("object", what)),
    }
    Ok(())
}
