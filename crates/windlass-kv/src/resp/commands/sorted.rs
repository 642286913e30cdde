//! Sorted sets.

use windlass::proto::resp::{Encoder, Version};

use super::super::fail::{Done, Fail, NOT_FLOAT, SYNTAX, float, integer};
use super::super::{Run, upper};
use super::{Scan, count, range, scan_reply};
use crate::store::{Score, SortedSet};

type Sorted = Box<SortedSet>;

const NAN: Fail = Fail::Text("ERR resulting score is not a number (NaN)");

fn score(text: &[u8]) -> Result<Score, Fail> {
    Score::new(float(text)?).ok_or(NOT_FLOAT)
}

pub(crate) fn zadd(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let (mut nx, mut xx, mut gt, mut lt, mut ch, mut incr) = (false, false, false, false, false, false);
    let mut args = run.args.clone();
    while let Some(option) = args.next() {
        match upper(option, &mut [0; 16]) {
            b"NX" => nx = true,
            b"XX" => xx = true,
            b"GT" => gt = true,
            b"LT" => lt = true,
            b"CH" => ch = true,
            b"INCR" => incr = true,
            _ => break,
        }
        run.args = args.clone();
    }
    let pairs = run.args.clone();
    if pairs.len() == 0 || !pairs.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    if nx && xx {
        return Err(Fail::Text("ERR XX and NX options at the same time are not compatible"));
    }
    if (gt && lt) || (nx && (gt || lt)) {
        return Err(Fail::Text("ERR GT, LT, and/or NX options at the same time are not compatible"));
    }
    if incr && pairs.len() != 2 {
        return Err(Fail::Text("ERR INCR option supports a single increment-element pair"));
    }
    // All scores are numbers before one is set.
    let mut check = pairs.clone();
    while let (Some(text), Some(_)) = (check.next(), check.next()) {
        score(text)?;
    }
    let grows = pairs.clone().map(|word| word.len() + SortedSet::MEMBER / 2).sum();
    let (mut added, mut changed, mut last) = (0, 0, None);
    let mut nan = false;
    run.store.edit(key, !xx, grows, |set: &mut Sorted| {
        let mut pairs = pairs;
        while let (Some(text), Some(member)) = (pairs.next(), pairs.next()) {
            let Ok(mut new) = score(text) else { return };
            let old = set.score(member);
            if incr && let Some(old) = old {
                match Score::new(old.get() + new.get()) {
                    Some(sum) => new = sum,
                    None => {
                        nan = true;
                        return;
                    }
                }
            }
            let goes = match old {
                None => !xx,
                Some(old) => !(nx || gt && new <= old || lt && new >= old),
            };
            if goes {
                added += usize::from(set.set(member, new));
                changed += usize::from(old.is_some_and(|old| old != new));
                last = Some(new);
            }
        }
    })?;
    if nan {
        return Err(NAN);
    }
    if incr {
        match last {
            Some(new) => run.reply().double(new.get()),
            None => run.reply().null(),
        }
        return Ok(());
    }
    run.integer(if ch { added + changed } else { added })
}

pub(crate) fn zincrby(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, by, member) = (run.arg(), score(run.arg())?, run.arg());
    let grows = SortedSet::MEMBER + member.len();
    let new = run.store.edit(key, true, grows, |set: &mut Sorted| {
        let old = set.score(member).map_or(0.0, Score::get);
        let new = Score::new(old + by.get())?;
        set.set(member, new);
        Some(new)
    })?;
    run.reply().double(new.flatten().ok_or(NAN)?.get());
    Ok(())
}

pub(crate) fn zrem(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let args = run.args.clone();
    let gone =
        run.store.edit(key, false, 0, |set: &mut Sorted| args.filter(|member| set.remove(member)).count())?;
    run.integer(gone.unwrap_or(0))
}

pub(crate) fn zscore(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, member) = (run.arg(), run.arg());
    match run.store.view::<Sorted>(key)?.and_then(|set| set.score(member)) {
        Some(score) => run.reply().double(score.get()),
        None => run.reply().null(),
    }
    Ok(())
}

pub(crate) fn zmscore(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let mut reply = Encoder::new(run.out, run.session.version);
    let set = run.store.view::<Sorted>(key)?;
    reply.array(run.args.len());
    for member in run.args.clone() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.double(score.get()),
            None => reply.null(),
        }
    }
    Ok(())
}

pub(crate) fn zcard(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let len = run.store.view::<Sorted>(key)?.map_or(0, |set| set.len());
    run.integer(len)
}

/// `ZRANK` and `ZREVRANK`. Takes time in proportion to the position.
pub(crate) fn zrank(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, member) = (run.arg(), run.arg());
    let place = run.store.view::<Sorted>(key)?.and_then(|set| {
        set.score(member)?;
        let is = |(other, _): (&[u8], Score)| other == member;
        if run.spec.name == "zrank" { set.iter().position(is) } else { set.iter().rev().position(is) }
    });
    match place {
        Some(place) => run.integer(place),
        None => {
            run.reply().null();
            Ok(())
        }
    }
}

/// One end of a range of scores.
#[derive(Clone, Copy)]
struct End {
    score: Score,
    /// Whether the score itself is outside.
    open: bool,
}

impl End {
    fn parse(text: &[u8]) -> Result<End, Fail> {
        let (open, text) = match text {
            [b'(', text @ ..] => (true, text),
            text => (false, text),
        };
        let score = score(text).map_err(|_| Fail::Text("ERR min or max is not a float"))?;
        Ok(End { score, open })
    }

    fn is_below(self, score: Score) -> bool {
        if self.open { self.score < score } else { self.score <= score }
    }

    fn is_above(self, score: Score) -> bool {
        if self.open { self.score > score } else { self.score >= score }
    }
}

fn between(set: &SortedSet, low: End, high: End) -> impl DoubleEndedIterator<Item = (&[u8], Score)> {
    let within = move |(_, score): &(&[u8], Score)| low.is_below(*score) && high.is_above(*score);
    set.range(low.score, high.score).filter(within)
}

pub(crate) fn zcount(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, low, high) = (run.arg(), End::parse(run.arg())?, End::parse(run.arg())?);
    let n = run.store.view::<Sorted>(key)?.map_or(0, |set| between(set, low, high).count());
    run.integer(n)
}

/// `ZRANGE` with all its options, and its older kin.
pub(crate) fn zrange(run: &mut Run<'_, '_, '_>) -> Done {
    let (key, from, to) = (run.arg(), run.arg(), run.arg());
    let name = run.spec.name;
    let (mut by_score, mut reverse) = (name.ends_with("byscore"), name.starts_with("zrev"));
    let (mut with_scores, mut limit) = (false, None);
    while let Some(option) = run.args.next() {
        match upper(option, &mut [0; 16]) {
            b"WITHSCORES" => with_scores = true,
            b"BYSCORE" if name == "zrange" => by_score = true,
            b"REV" if name == "zrange" => reverse = true,
            b"LIMIT" => {
                let (offset, many) = (run.args.next().ok_or(SYNTAX)?, run.args.next().ok_or(SYNTAX)?);
                limit = Some((integer(offset)?, integer(many)?));
            }
            b"BYLEX" => return Err(Fail::Text("ERR BYLEX is not supported")),
            _ => return Err(SYNTAX),
        }
    }
    if limit.is_some() && !by_score {
        return Err(Fail::Text(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    let places = if by_score { None } else { Some((integer(from)?, integer(to)?)) };
    let scores = if by_score { Some((End::parse(from)?, End::parse(to)?)) } else { None };
    let (mut elements, mut n) = (Vec::new(), 0);
    let version = run.session.version;
    if let Some(set) = run.store.view::<Sorted>(key)? {
        let mut encoder = Encoder::new(&mut elements, version);
        let mut write = |(member, score): (&[u8], Score)| {
            n += 1;
            if with_scores && version == Version::Resp3 {
                encoder.array(2);
            }
            encoder.bulk(member);
            if with_scores {
                encoder.double(score.get());
            }
        };
        if let Some((from, to)) = places {
            let (from, to) = range(from, to, set.len());
            if reverse {
                set.iter().rev().skip(from).take(to - from).for_each(&mut write);
            } else {
                set.iter().skip(from).take(to - from).for_each(&mut write);
            }
        } else if let Some((one, other)) = scores {
            let (skip, take) = match limit {
                None => (0, usize::MAX),
                Some((offset, _)) if offset < 0 => (0, 0),
                Some((offset, many)) => (offset as usize, usize::try_from(many).unwrap_or(usize::MAX)),
            };
            // The higher end comes first where the order is reversed.
            if reverse {
                between(set, other, one).rev().skip(skip).take(take).for_each(&mut write);
            } else {
                between(set, one, other).skip(skip).take(take).for_each(&mut write);
            }
        }
    }
    let flat = with_scores && version == Version::Resp2;
    run.reply().array(if flat { 2 * n } else { n });
    run.out.extend_from_slice(&elements);
    Ok(())
}

/// `ZPOPMIN` and `ZPOPMAX`.
pub(crate) fn zpop(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let many = count(run)?;
    let take = if run.spec.name == "zpopmin" { SortedSet::pop_first } else { SortedSet::pop_last };
    let len = run.store.view::<Sorted>(key)?.map_or(0, |set| set.len());
    let n = many.unwrap_or(1).min(len);
    let version = run.session.version;
    let nested = many.is_some() && version == Version::Resp3;
    let mut reply = Encoder::new(run.out, version);
    reply.array(if nested { n } else { 2 * n });
    run.store.edit(key, false, 0, |set: &mut Sorted| {
        for (member, score) in (0..n).filter_map(|_| take(set)) {
            if nested {
                reply.array(2);
            }
            reply.bulk(&member);
            reply.double(score.get());
        }
    })?;
    Ok(())
}

/// `ZSCAN`.
pub(crate) fn zscan(run: &mut Run<'_, '_, '_>) -> Done {
    let key = run.arg();
    let scan = Scan::parse(run)?;
    let (mut elements, mut n) = (Vec::new(), 0);
    let mut encoder = Encoder::new(&mut elements, Version::Resp2);
    if let Some(set) = run.store.view::<Sorted>(key)? {
        for (member, score) in set.iter().filter(|(member, _)| scan.wants(member)) {
            encoder.bulk(member);
            encoder.double(score.get());
            n += 2;
        }
    }
    // All at once: a tree has no positions that stay.
    scan_reply(run, 0, &elements, n)
}
