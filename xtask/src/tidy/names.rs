//! Names: the glossary's forbidden ones, and error enums that stay open.

use super::source;
use super::{Places, Rule, Tree};

// Words that say nothing, with their plurals.
const FORBIDDEN: [&str; 9] =
    ["manager", "managers", "helper", "helpers", "util", "utils", "common", "handler", "handlers"];

// Words that say nothing when they stand alone.
const FORBIDDEN_ALONE: [&str; 2] = ["context", "data"];

pub(crate) fn rules() -> Vec<Rule> {
    vec![
        Rule {
            name: "glossary",
            text: "no module or type is a manager, helper, util, common or handler, nor a bare context or \
                   data: say what it does, in the words of the glossary in CONTRIBUTING.md",
            check: glossary,
        },
        Rule {
            name: "open-errors",
            text: "a public error enum is `#[non_exhaustive]`: the next version may know one more",
            check: open_errors,
        },
    ]
}

fn glossary(tree: &Tree, places: &mut Places) {
    for source in tree.sources().filter(|source| !source.path.starts_with("benches/")) {
        let file =
            source.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
        if is_forbidden(file) {
            places.push((source.path.clone(), 1, format!("a module named `{file}`")));
        }
        let keywords = ["mod", "struct", "enum", "union", "trait", "type"];
        for name in source::declared(&source.tokens, &keywords) {
            if is_forbidden(&name.text) {
                places.push((source.path.clone(), name.line, format!("`{}`", name.text)));
            }
        }
    }
}

fn open_errors(tree: &Tree, places: &mut Places) {
    for source in tree.sources().filter(|source| source.path.starts_with("crates/")) {
        for (at, words) in source.shipped.windows(3).enumerate() {
            let public_error =
                words[0].text == "pub" && words[1].text == "enum" && words[2].text.ends_with("Error");
            if public_error && !source::attribute_words(&source.shipped, at).contains(&"non_exhaustive") {
                places.push((source.path.clone(), words[2].line, format!("`{}`", words[2].text)));
            }
        }
    }
}

// Whether one of the name's words is forbidden: `SessionManager`, `io_utils`, `HANDLER`.
fn is_forbidden(name: &str) -> bool {
    let mut words: Vec<String> = Vec::new();
    let mut before = '_';
    for c in name.chars() {
        let starts = before == '_' || (c.is_uppercase() && !before.is_uppercase());
        if c != '_' {
            match words.last_mut() {
                Some(word) if !starts => word.extend(c.to_lowercase()),
                _ => words.push(c.to_lowercase().collect()),
            }
        }
        before = c;
    }
    let forbidden = |word: &String| FORBIDDEN.contains(&word.as_str());
    words.iter().any(forbidden) || matches!(&words[..], [alone] if FORBIDDEN_ALONE.contains(&alone.as_str()))
}
