//! "Did you mean ..?"

/// The candidate that `text` most likely stands for, if one is near enough.
pub(crate) fn nearest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let typed = text.to_ascii_lowercase().replace('-', "_");
    // A third of the letters wrong is a typing error, more is another word.
    let allowed = (typed.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|&candidate| (distance(&typed, candidate), candidate))
        // A part of a name is as good as a name: `idle` for `idle_timeout`.
        .map(|(d, c)| if typed.len() >= 3 && c.contains(&typed) { (d.min(1), c) } else { (d, c) })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
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
        ] {
            assert_eq!(nearest(typed, &names), meant, "{typed}");
        }
    }

    #[test]
    fn a_swap_is_one_step() {
        assert_eq!((distance("ab", "ba"), distance("abc", ""), distance("kitten", "sitting")), (1, 3, 3));
    }
}
