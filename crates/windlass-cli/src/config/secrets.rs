//! What a file says in secret is not shown with its lines, whatever is wrong with them.

use serde_json::Value;

use super::value;
use crate::nearest::nearest;

/// The keys whose values are secrets.
pub(super) fn keys(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(schema, &mut found);
    found
}

fn collect(schema: &Value, found: &mut Vec<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        // "This or nothing" is how a key that may be left out stands there.
        let either = inner["anyOf"].as_array().into_iter().flatten();
        if either.chain([inner]).any(|one| one["format"] == value::SECRET) && !found.contains(key) {
            found.push(key.clone());
        }
    }
    for table in schema["$defs"].as_object().into_iter().flatten() {
        collect(table.1, found);
    }
}

/// `text` with stars for the values of `keys`, and of what is nearly called so: every place in it stays what
/// it was. It looks for no more than `key = value`, so it works where the file is no TOML too.
pub(super) fn masked(text: &str, keys: &[String]) -> String {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut shown = String::with_capacity(text.len());
    for (at, _) in text.match_indices('=') {
        // Inside of what has been masked already.
        if at < shown.len() || !is_secret(key_before(&text[..at]), &keys) {
            continue;
        }
        let begins = at + 1 + text[at + 1..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let length = value_length(&text[begins..]);
        shown.push_str(&text[shown.len()..begins]);
        for letter in text[begins..begins + length].chars() {
            match letter {
                '\n' | '\r' => shown.push(letter),
                _ => (0..letter.len_utf8()).for_each(|_| shown.push('*')),
            }
        }
    }
    shown.push_str(&text[shown.len()..]);
    shown
}

/// Whether `key` is one of `keys`, or is meant to be, or says by itself that a secret stands behind it: what was
/// called so by mistake is one too. The name of a file is none.
fn is_secret(key: &str, keys: &[&str]) -> bool {
    let lower = key.to_ascii_lowercase();
    let says_so = || keys.iter().chain(WORDS).any(|word| lower.contains(word)) && !lower.ends_with("_file");
    nearest(key, keys).is_some() || says_so()
}

/// The last part of the key that ends here.
fn key_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t', '"', '\'']);
    let begins = text.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    &text[begins.map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))..]
}

/// Bytes of the value that begins here: to the quote or the bracket that ends it, or else to the end of the line.
fn value_length(text: &str) -> usize {
    if text.starts_with('[') {
        return list_length(text);
    }
    for quote in ["\"\"\"", "'''"] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.find(quote).map_or(text.len(), |end| end + 2 * quote.len());
        }
    }
    let line = text.find('\n').unwrap_or(text.len());
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return line };
    let mut escaped = false;
    for (at, letter) in text[..line].char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    line
}

/// Bytes of the list that begins here: to the bracket that ends it, or to the end of the file.
fn list_length(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while let Some(letter) = text[at..].chars().next() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            '"' | '\'' => {
                at += value_length(&text[at..]);
                continue;
            }
            // Quotes and brackets in a comment are none.
            '#' => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            _ => {}
        }
        at += letter.len_utf8();
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// What is in the name of a secret.
const WORDS: &[&str] = &["password", "passphrase", "secret"];

#[cfg(test)]
#[path = "../tests/config/secrets.rs"]
mod tests;
