//! Sections of a file that one comparison each writes and the others leave as they are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::peers::Layout;

/// The word behind `windlass-bench compare` of those that write one.
const WRITERS: [&str; 4] = ["proxy", "hub", "game", "mini"];

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
fn put(text: &str, by: &str, section: &str) -> String {
    debug_assert!(WRITERS.contains(&by), "`keep` would lose it");
    let section = format!("{}{section}{END}", begin(by));
    match find(text, by) {
        Some(place) => [&text[..place.start], &section, &text[place.end..]].concat(),
        None => format!("{text}\n{section}"),
    }
}

/// Writes the bars of a comparison where those of all stand, and where its tables are and how they were taken. Not if
/// either is written nowhere (`-`).
pub(super) fn record(
    (by, title, command): (&str, &str, &str),
    layout: &Layout,
    paths: [&Path; 2],
    (rounds, seconds): (u64, Duration),
    table: &str,
) -> Result<()> {
    record_as((by, title), layout, paths, &format!("`{command}`, {rounds} rounds of {seconds:?}"), table)
}

/// The same of one that has other words for how they were taken.
pub(super) fn record_as(
    (by, title): (&str, &str),
    layout: &Layout,
    [results, output]: [&Path; 2],
    how: &str,
    table: &str,
) -> Result<()> {
    if [results, output].iter().any(|path| path.as_os_str() == "-") {
        return Ok(());
    }
    let path = layout.root.join(results);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let tables = output.file_name().map(Path::new).unwrap_or(output).display();
    let section = format!("## {title}\n\n{how}; all of it: [{tables}]({tables}).\n\n{table}");
    fs::write(&path, put(&text, by, &section)).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote the bars to {}", results.display());
    Ok(())
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
