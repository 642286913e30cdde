//! Lists.

use windlass::proto::resp::Encoder;

use super::super::fail::{Done, Fail, NO_KEY, SYNTAX, integer};
use super::super::{Run, bulk, upper};
use super::{count, range};
use crate::store::List;

/// What elements weigh that are added.
fn weight(run: &Run<'_, '_, '_>) -> usize {
    run.args.clone().map(|element| element.len() + List::ELEMENT).sum()
}

fn push(run: &mut Run<'_, '_, '_>, make: bool, add: fn(&mut List, &[u8])) -> Done {
    let key = run.arg();
    let grows = weight(run);
    let args = run.args.clone();
    let len = run.store.edit(key, make, grows, |list: &mut List| {
        args.for_each(|element| add(list, element));
        list.len()
    })?;
    run.integer(len.unwrap_or(0))
}

pub(crate) fn lpush(run: &mut Run<'_, '_, '_>) -> Done {
    push(run, true, List::push_front)
}

pub(crate) fn rpush(run: &mut Run<'_, '_, '_>) -> Done {
    push(run, true, List::push_back)
}

pub(crate) fn lpushx(run: &mut Run<'_, '_, '_>) -> Done {
    push(run, false, List::push_front)
}

pub(crate) fn rpushx(run: &mut Run<'_, '_, '_>) -> Done {
    push(run, false, List::push_back)
}

fn pop(run: &mut Run<'_, '_, '_>, take: fn(&mut List) -> Option<Box<[u8]>>) -> Done {
    let key = run.arg();
    let many = count(run)?;
    if run.args.len() > 0 {
        return Err(super::super::fail::arity(run.spec.name));
    }
    let mut reply = Encoder::new(run.out, run.session.version);
    let done = run.store.edit(key, false, 0, |list: &mut List| match many {
        None => {
            if let Some(element) = take(list) {
                reply.bulk(&element);
            }
        }
        Some(many) => {
            let n = many.min(list.len());
            reply.array(n);
            (0..n).filter_map(|_| take(list)).for_each(|element| reply.bulk(&element));
        }
    })?;
    match (done, many) {
        (Some(()), _) => {}
        (None, None) => reply.null(),
        (None, Some(_)) => reply.null_array(),
    }
    Ok(())
}

pub(crate) fn lpop(run: &mut Run<'_, '_, '_>) -> Done {
    pop(run, List::pop_front)
}

pub(crate) fn rpop(run: &mut Run<'_, '_, '_>) -> Done {
    pop(run, List::pop_back)
}

pub(crate) fn llen(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let len = run.store.view::<List>(key)?.map_or(0, List::len);
    run.integer(len)
}

pub(crate) fn lrange(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, from, to) = (run.arg(), run.number()?, run.number()?);
    let mut reply = Encoder::new(run.out, run.session.version);
    match run.store.view::<List>(key)? {
        Some(list) => {
            let (from, to) = range(from, to, list.len());
            reply.array(to - from);
            list.range(from, to).for_each(|element| bulk(run.out, run.conn, element));
        }
        None => reply.array(0),
    }
    Ok(())
}

/// A position, counted from the back if negative; `None` outside.
fn place(at: i64, len: usize) -> Option<usize> {
    let at = if at < 0 { at.checked_add(len as i64)? } else { at };
    usize::try_from(at).ok().filter(|at| *at < len)
}

pub(crate) fn lindex(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, at) = (run.arg(), run.number()?);
    let mut reply = Encoder::new(run.out, run.session.version);
    match run.store.view::<List>(key)?.and_then(|list| list.get(place(at, list.len())?)) {
        Some(element) => reply.bulk(element),
        None => reply.null(),
    }
    Ok(())
}

pub(crate) fn lset(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, at, element) = (run.arg(), run.number()?, run.arg());
    let set = run.store.edit(key, false, element.len(), |list: &mut List| {
        place(at, list.len()).is_some_and(|at| list.set(at, element))
    })?;
    match set {
        Some(true) => run.ok(),
        Some(false) => Err(Fail::Text("ERR index out of range")),
        None => Err(NO_KEY),
    }
}

pub(crate) fn linsert(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, place, pivot, element) = (run.arg(), run.arg(), run.arg(), run.arg());
    let behind = match upper(place, &mut [0; 16]) {
        b"BEFORE" => 0,
        b"AFTER" => 1,
        _ => return Err(SYNTAX),
    };
    let len = run.store.edit(key, false, List::ELEMENT + element.len(), |list: &mut List| {
        let at = list.range(0, list.len()).position(|other| other == pivot)?;
        list.insert(at + behind, element);
        Some(list.len())
    })?;
    let reply = match len {
        Some(Some(len)) => len as i64,
        Some(None) => -1,
        None => 0,
    };
    run.reply().integer(reply);
    Ok(())
}

pub(crate) fn lrem(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, many, element) = (run.arg(), run.number()?, run.arg());
    let most =
        if many == 0 { usize::MAX } else { usize::try_from(many.unsigned_abs()).unwrap_or(usize::MAX) };
    let removed =
        run.store.edit(key, false, 0, |list: &mut List| list.remove_equal(element, most, many < 0))?;
    run.integer(removed.unwrap_or(0))
}

pub(crate) fn ltrim(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, from, to) = (run.arg(), run.number()?, run.number()?);
    run.store.edit(key, false, 0, |list: &mut List| {
        let (from, to) = range(from, to, list.len());
        list.trim(from, to);
    })?;
    run.ok()
}

pub(crate) fn lpos(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, element) = (run.arg(), run.arg());
    let (mut rank, mut many, mut max) = (1, None, 0);
    while let Some(option) = run.args.next() {
        let value = integer(run.args.next().ok_or(SYNTAX)?)?;
        match upper(option, &mut [0; 16]) {
            b"RANK" if value == 0 => {
                return Err(Fail::Text(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
                ));
            }
            b"RANK" if value == i64::MIN => return Err(super::super::fail::NOT_INTEGER),
            b"RANK" => rank = value,
            b"COUNT" if value >= 0 => many = Some(value as usize),
            b"MAXLEN" if value >= 0 => max = value as usize,
            b"COUNT" => return Err(Fail::Text("ERR COUNT can't be negative")),
            b"MAXLEN" => return Err(Fail::Text("ERR MAXLEN can't be negative")),
            _ => return Err(SYNTAX),
        }
    }
    let limit = match many {
        None => 1,
        Some(0) => usize::MAX,
        Some(many) => many,
    };
    let looks = if max == 0 { usize::MAX } else { max };
    let skip = rank.unsigned_abs() as usize - 1;
    let mut reply = Encoder::new(run.out, run.session.version);
    let mut found = Vec::new();
    if let Some(list) = run.store.view::<List>(key)? {
        let len = list.len();
        let is = |(_, other): &(usize, &[u8])| *other == element;
        if rank > 0 {
            let all = list.range(0, len).enumerate().take(looks).filter(is).skip(skip);
            found.extend(all.map(|(at, _)| at).take(limit));
        } else {
            let all = list.range(0, len).rev().enumerate().take(looks).filter(is).skip(skip);
            found.extend(all.map(|(at, _)| len - 1 - at).take(limit));
        }
    }
    match (many, found.first()) {
        (None, Some(at)) => reply.integer(*at as i64),
        (None, None) => reply.null(),
        (Some(_), _) => {
            reply.array(found.len());
            found.iter().for_each(|at| reply.integer(*at as i64));
        }
    }
    Ok(())
}

/// `LMOVE`, and `RPOPLPUSH`, which names no ends.
pub(crate) fn lmove(run: &mut Run<'_, '_, '_>) -> Done {
    let (from, to) = (run.arg(), run.arg());
    let mut left = |fallback: bool| match run.args.next() {
        None => Ok(fallback),
        Some(end) => match upper(end, &mut [0; 16]) {
            b"LEFT" => Ok(true),
            b"RIGHT" => Ok(false),
            _ => Err(SYNTAX),
        },
    };
    let (take_left, put_left) = (left(false)?, left(true)?);
    // Both must be lists, and there must be room, before anything is taken.
    let Some(list) = run.store.view::<List>(from)? else {
        run.reply().null();
        return Ok(());
    };
    let at = if take_left { 0 } else { list.len() - 1 };
    let element: Box<[u8]> = list.get(at).unwrap_or_default().into();
    run.store.view::<List>(to)?;
    let grows = if from == to { 0 } else { List::ELEMENT + element.len() };
    let put = |list: &mut List, element: &[u8]| {
        if put_left { list.push_front(element) } else { list.push_back(element) }
    };
    if from == to {
        run.store.edit(from, false, 0, |list: &mut List| {
            let taken = if take_left { list.pop_front() } else { list.pop_back() };
            put(list, &taken.unwrap_or_default());
        })?;
    } else {
        run.store.edit(to, true, grows, |list: &mut List| put(list, &element))?;
        run.store.edit(
            from,
            false,
            0,
            |list: &mut List| {
                if take_left { list.pop_front() } else { list.pop_back() }
            },
        )?;
    }
    run.reply().bulk(&element);
    Ok(())
}
