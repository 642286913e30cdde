//! "Did you mean ..?"

/// The candidate that `typed` most likely stands for, if one is near enough.
pub(super) fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<u8> =
        typed.bytes().map(|b| if b == b'-' { b'_' } else { b.to_ascii_lowercase() }).collect();
    // A third of the letters wrong is a typing error, more is another word.
    let allowed = (typed.len() / 3).max(1);
    let measured = candidates.map(|candidate| (distance(&typed, candidate.as_bytes()), candidate));
    measured
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to insert, delete or replace to get from `a` to `b`; of names that are longer than any key, more than
/// anybody allows. A part of a name is as good as a name: `idle` for `idle_timeout`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    const LONGEST: usize = 40;
    if b.len() >= LONGEST || a.len() >= LONGEST {
        return LONGEST;
    }
    if a.len() >= 3 && b.windows(a.len()).any(|part| part == a) {
        return 1;
    }
    let mut row = [0usize; LONGEST];
    for (at, cell) in row.iter_mut().enumerate() {
        *cell = at;
    }
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let best = (diagonal + usize::from(from != to)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["idle_timeout", "linger_timeout", "output_max", "output_high", "backlog_max"];
        for (typed, meant) in [
            ("idle_timeot", Some("idle_timeout")),
            ("idle-timeout", Some("idle_timeout")),
            ("IDLE_TIMEOUT", Some("idle_timeout")),
            ("idle", Some("idle_timeout")),
            ("ouptut_max", Some("output_max")),
            ("backlog", Some("backlog_max")),
            ("colour", None),
            ("", None),
            ("a_name_that_is_longer_than_any_key_that_there_could_be", None),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), meant, "{typed}");
        }
        assert_eq!(distance(b"kitten", b"sitting"), 3);
    }
}
