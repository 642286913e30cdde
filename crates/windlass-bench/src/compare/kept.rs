//! A section of a file that one comparison writes and the others leave as it is.

/// What stands before and behind it.
const BEGIN: &str = "<!-- Written by `windlass-bench compare proxy`: -->\n";
const END: &str = "<!-- So far. -->\n";

/// The section in `text`, with its marks.
fn find(text: &str) -> Option<std::ops::Range<usize>> {
    let begin = text.find(BEGIN)?;
    let end = begin + text[begin..].find(END)? + END.len();
    Some(begin..end)
}

/// `text` with `section` in the place of what stood there, or at its end.
pub(super) fn put(text: &str, section: &str) -> String {
    let section = format!("{BEGIN}{section}{END}");
    match find(text) {
        Some(place) => [&text[..place.start], &section, &text[place.end..]].concat(),
        None => format!("{text}\n{section}"),
    }
}

/// `text` with the section of `old`, which it is to take the place of.
pub(super) fn keep(text: String, old: &str) -> String {
    match find(old) {
        Some(place) => format!("{text}\n{}", &old[place]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_kept() {
        let once = put("# Title\n", "## One\n");
        assert!(once.starts_with("# Title\n\n<!--") && once.contains("## One\n"), "{once}");
        let twice = put(&format!("{once}behind\n"), "## Two\n");
        assert!(
            !twice.contains("One") && twice.contains("## Two\n") && twice.ends_with("behind\n"),
            "{twice}"
        );
        let kept = keep("# Another\n".into(), &twice);
        assert!(kept.starts_with("# Another\n\n<!--") && kept.contains("## Two\n"), "{kept}");
        assert!(!kept.contains("behind"), "{kept}");
        assert_eq!(keep("# Another\n".into(), "nothing"), "# Another\n");
    }
}
