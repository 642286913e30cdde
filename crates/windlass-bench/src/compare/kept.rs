//! Sections of a file that one comparison each writes and the others leave as they are.

/// The word behind `windlass-bench compare` of those that write one.
const WRITERS: [&str; 2] = ["proxy", "hub"];

/// What stands before and behind the section of one of them.
fn begin(by: &str) -> String {
    format!("<!-- Written by `windlass-bench compare {by}`: -->\n")
}
const END: &str = "<!-- So far. -->\n";

/// Its section in `text`, with its marks.
fn find(text: &str, by: &str) -> Option<std::ops::Range<usize>> {
    let begin = text.find(&begin(by))?;
    let end = begin + text[begin..].find(END)? + END.len();
    Some(begin..end)
}

/// `text` with the section of `by` in the place of what stood there, or at its end.
pub(super) fn put(text: &str, by: &str, section: &str) -> String {
    debug_assert!(WRITERS.contains(&by), "`keep` would lose it");
    let section = format!("{}{section}{END}", begin(by));
    match find(text, by) {
        Some(place) => [&text[..place.start], &section, &text[place.end..]].concat(),
        None => format!("{text}\n{section}"),
    }
}

/// `text` with the sections of `old`, which it is to take the place of.
pub(super) fn keep(mut text: String, old: &str) -> String {
    for place in WRITERS.iter().filter_map(|by| find(old, by)) {
        text += &format!("\n{}", &old[place]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_kept() {
        let once = put("# Title\n", "proxy", "## One\n");
        assert!(once.starts_with("# Title\n\n<!--") && once.contains("## One\n"), "{once}");
        let twice = put(&format!("{once}behind\n"), "proxy", "## Two\n");
        assert!(
            !twice.contains("One") && twice.contains("## Two\n") && twice.ends_with("behind\n"),
            "{twice}"
        );
        let kept = keep("# Another\n".into(), &twice);
        assert!(kept.starts_with("# Another\n\n<!--") && kept.contains("## Two\n"), "{kept}");
        assert!(!kept.contains("behind"), "{kept}");
        assert_eq!(keep("# Another\n".into(), "nothing"), "# Another\n");
    }

    #[test]
    fn each_writer_has_its_own() {
        let both = put(&put("# Title\n", "proxy", "## One\n"), "hub", "## Two\n");
        let other = put(&both, "hub", "## Three\n");
        assert!(other.contains("## One\n") && other.contains("## Three\n"), "{other}");
        assert!(!other.contains("## Two\n"), "{other}");
        let kept = keep("# Another\n".into(), &other);
        assert!(kept.contains("## One\n") && kept.contains("## Three\n"), "{kept}");
    }
}
