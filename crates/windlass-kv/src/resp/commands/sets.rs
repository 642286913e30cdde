//! Sets.

use std::collections::HashSet;

use indexmap::IndexSet;
use windlass::proto::resp::Encoder;

use super::super::fail::{Done, Fail};
use super::super::{Run, bulk};
use super::{Scan, count, scan_reply};
use crate::store::Set;

type Members = Box<Set>;

/// Members drawn with repetition by one command.
const DRAWN_MAX: u64 = 65_536;

pub(crate) fn sadd(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let grows = run.args.clone().map(|member| member.len() + Set::MEMBER).sum();
    let args = run.args.clone();
    let new = run
        .store
        .edit(key, true, grows, |set: &mut Members| args.filter(|member| set.add(member)).count())?;
    run.integer(new.unwrap_or(0))
}

pub(crate) fn srem(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let args = run.args.clone();
    let gone = run
        .store
        .edit(key, false, 0, |set: &mut Members| args.filter(|member| set.remove(member)).count())?;
    run.integer(gone.unwrap_or(0))
}

pub(crate) fn sismember(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, member) = (run.arg(), run.arg());
    let is = run.store.view::<Members>(key)?.is_some_and(|set| set.contains(member));
    run.integer(usize::from(is))
}

pub(crate) fn smismember(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let mut reply = Encoder::new(run.out, run.session.version);
    let set = run.store.view::<Members>(key)?;
    reply.array(run.args.len());
    for member in run.args.clone() {
        reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

pub(crate) fn smembers(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let mut reply = Encoder::new(run.out, run.session.version);
    let set = run.store.view::<Members>(key)?;
    reply.set(set.map_or(0, |set| set.len()));
    set.iter().flat_map(|set| set.iter()).for_each(|member| bulk(run.out, run.conn, member));
    Ok(())
}

pub(crate) fn scard(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let len = run.store.view::<Members>(key)?.map_or(0, |set| set.len());
    run.integer(len)
}

pub(crate) fn spop(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let many = count(run)?;
    let len = run.store.view::<Members>(key)?.map_or(0, |set| set.len());
    let n = many.unwrap_or(1).min(len);
    match many {
        Some(_) => run.reply().set(n),
        None if len == 0 => run.reply().null(),
        None => {}
    }
    for left in (1..=n).map(|taken| len + 1 - taken) {
        let at = run.store.random_below(left);
        let member = run.store.edit(key, false, 0, |set: &mut Members| set.take_at(at))?;
        run.reply().bulk(&member.flatten().unwrap_or_default());
    }
    Ok(())
}

pub(crate) fn srandmember(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let many = match run.args.next() {
        Some(text) => Some(super::super::fail::integer(text)?),
        None => None,
    };
    let len = run.store.view::<Members>(key)?.map_or(0, |set| set.len());
    let mut places = IndexSet::new();
    let drawn: Vec<usize> = match many {
        _ if len == 0 => Vec::new(),
        None => vec![run.store.random_below(len)],
        // The same one may come again.
        Some(many @ ..0) => {
            if many.unsigned_abs() > DRAWN_MAX {
                return Err(Fail::Text("ERR value is out of range"));
            }
            (0..many.unsigned_abs()).map(|_| run.store.random_below(len)).collect()
        }
        Some(many) if many as usize >= len => (0..len).collect(),
        Some(many) => {
            // Of the last `many` positions each draws one not above itself: all choices are as likely.
            for last in len - many as usize..len {
                let at = run.store.random_below(last + 1);
                if !places.insert(at) {
                    places.insert(last);
                }
            }
            places.into_iter().collect()
        }
    };
    let mut reply = Encoder::new(run.out, run.session.version);
    let set = run.store.view::<Members>(key)?;
    match many {
        Some(_) => reply.array(drawn.len()),
        None if drawn.is_empty() => reply.null(),
        None => {}
    }
    for at in drawn {
        bulk(run.out, run.conn, set.and_then(|set| set.at(at)).unwrap_or_default());
    }
    Ok(())
}

/// Makes a set of several.
fn combine(run: &mut Run<'_, '_, '_>, next: fn(&mut IndexSet<Box<[u8]>>, Option<&Set>)) -> Done {
    let mut all: IndexSet<Box<[u8]>> = IndexSet::new();
    let first = run.arg();
    if let Some(set) = run.store.view::<Members>(first)? {
        all.extend(set.iter().map(Box::from));
    }
    // Once each: a key of two bytes, a million times, would be a million times its set.
    let mut seen = HashSet::new();
    for key in run.args.by_ref().filter(|key| seen.insert(*key)) {
        let set = run.store.view::<Members>(key)?;
        next(&mut all, set.map(|set| &**set));
    }
    let mut reply = run.reply();
    reply.set(all.len());
    all.iter().for_each(|member| reply.bulk(member));
    Ok(())
}

pub(crate) fn sunion(run: &mut Run<'_, '_, '_>) -> Done {
    combine(run, |all, set| all.extend(set.into_iter().flat_map(|set| set.iter().map(Box::from))))
}

pub(crate) fn sinter(run: &mut Run<'_, '_, '_>) -> Done {
    combine(run, |all, set| all.retain(|member| set.is_some_and(|set| set.contains(member))))
}

pub(crate) fn sdiff(run: &mut Run<'_, '_, '_>) -> Done {
    combine(run, |all, set| match set {
        None => {}
        Some(set) if set.len() < all.len() => set.iter().for_each(|member| {
            all.swap_remove(member);
        }),
        Some(set) => all.retain(|member| !set.contains(member)),
    })
}

pub(crate) fn smove(run: &mut Run<'_, '_, '_>) -> Done {
    let (from, to, member) = (run.arg(), run.arg(), run.arg());
    let is = run.store.view::<Members>(from)?.is_some_and(|set| set.contains(member));
    run.store.view::<Members>(to)?;
    if is && from != to {
        run.store.edit(to, true, Set::MEMBER + member.len(), |set: &mut Members| set.add(member))?;
        run.store.edit(from, false, 0, |set: &mut Members| set.remove(member))?;
    }
    run.integer(usize::from(is))
}

pub(crate) fn sscan(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let scan = Scan::parse(run)?;
    let (mut elements, mut n, mut next) = (Vec::new(), 0, 0);
    let mut encoder = Encoder::new(&mut elements, run.session.version);
    if let Some(set) = run.store.view::<Members>(key)? {
        next = crate::store::scan(set.len(), scan.cursor, scan.count, |at| {
            if let Some(member) = set.at(at).filter(|member| scan.wants(member)) {
                encoder.bulk(member);
                n += 1;
            }
        });
    }
    scan_reply(run, next, &elements, n)
}
