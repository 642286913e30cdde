//! Rust text as tokens, paths and declared names. Comments and the insides of literals are gone.

/// A word, `::`, or one other character, and the line it stands on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub text: String,
    pub line: usize,
}

/// Splits Rust text into tokens.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = scanner.next_token() {
        tokens.push(token);
    }
    tokens
}

/// The tokens without the items marked `#[cfg(test)]` (or `all(test, ..)`).
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !starts_test_item(&tokens[at..]) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // The rest of the attribute, then the item: up to `;`, or through its braces.
        at = closing(tokens, at + 1);
        while at < tokens.len() {
            at = match tokens[at].text.as_str() {
                ";" => {
                    at += 1;
                    break;
                }
                "{" => {
                    at = closing(tokens, at);
                    break;
                }
                "(" | "[" => closing(tokens, at),
                _ => at + 1,
            };
        }
    }
    kept
}

/// Every path that is written, those inside `use {..}` spelled out: `use a::{b, c::d}` is `a::b` and
/// `a::c::d`. A single word is a path too.
pub(crate) fn paths(tokens: &[Token]) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" && tokens.get(at + 1).is_some_and(|next| next.text != "<") {
            at = use_tree(tokens, at + 1, &[], &mut found);
        } else if is_word(&tokens[at].text) {
            let line = tokens[at].line;
            let mut path = vec![tokens[at].text.as_str()];
            at += 1;
            while at + 1 < tokens.len() && tokens[at].text == "::" && is_word(&tokens[at + 1].text) {
                path.push(&tokens[at + 1].text);
                at += 2;
            }
            found.push((line, path));
        } else {
            at += 1;
        }
    }
    found
}

/// The names that the code declares after one of `keywords` (`mod`, `struct`, ...).
pub(crate) fn declared<'t>(tokens: &'t [Token], keywords: &[&str]) -> Vec<&'t Token> {
    tokens
        .windows(2)
        .filter(|pair| keywords.contains(&pair[0].text.as_str()) && is_word(&pair[1].text))
        .map(|pair| &pair[1])
        .collect()
}

/// The attributes directly before the token at `at`, as the words in them.
pub(crate) fn attribute_words(tokens: &[Token], at: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut end = at;
    while end > 0 && tokens[end - 1].text == "]" {
        let mut depth = 0;
        let mut start = end;
        while start > 0 {
            start -= 1;
            match tokens[start].text.as_str() {
                "]" => depth += 1,
                "[" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        if start == 0 || tokens[start - 1].text != "#" {
            break;
        }
        words.extend(tokens[start..end].iter().map(|token| token.text.as_str()));
        end = start - 1;
    }
    words
}

/// Whether a token is an identifier or keyword.
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

// Reads one branch of a `use`, up to the `,`, `}` or `;` behind it, and returns where that stands.
fn use_tree<'t>(
    tokens: &'t [Token],
    mut at: usize,
    prefix: &[&'t str],
    found: &mut Vec<(usize, Vec<&'t str>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let mut line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| !matches!(token.text.as_str(), "}" | ";")) {
                    at = use_tree(tokens, at, &path, found);
                    if tokens.get(at).is_some_and(|token| token.text == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "as" => at += 2,
            "," | "}" | ";" => break,
            text => {
                if is_word(text) {
                    path.push(text);
                    line = token.line;
                }
                at += 1;
            }
        }
    }
    found.push((line, path));
    at
}

fn starts_test_item(tokens: &[Token]) -> bool {
    let word = |at: usize| tokens.get(at).map(|token| token.text.as_str());
    if (word(0), word(1), word(2), word(3)) != (Some("#"), Some("["), Some("cfg"), Some("(")) {
        return false;
    }
    word(4) == Some("test")
        || ((word(4), word(5)) == (Some("all"), Some("("))
            && tokens[6..closing(tokens, 5)].iter().any(|token| token.text == "test"))
}

// The place behind the bracket that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
    line: usize,
}

impl Scanner<'_> {
    fn next_token(&mut self) -> Option<Token> {
        loop {
            let rest = &self.bytes[self.at..];
            let line = self.line;
            let (len, keep) = match rest {
                [] => return None,
                [b'/', b'/', ..] => (rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len()), false),
                [b'/', b'*', ..] => (block_comment(rest), false),
                [b'"', ..] => (string(rest), false),
                [b'\'', ..] => (char_or_lifetime(rest), false),
                [b'r' | b'b' | b'c', ..] if prefixed_literal(rest) > 0 => (prefixed_literal(rest), false),
                [first, ..] if word_byte(*first) => {
                    (rest.iter().position(|&b| !word_byte(b)).unwrap_or(rest.len()), true)
                }
                [b':', b':', ..] => (2, true),
                [first, ..] => (1, !first.is_ascii_whitespace()),
            };
            self.line += rest[..len].iter().filter(|&&b| b == b'\n').count();
            self.at += len;
            if keep {
                return Some(Token { text: String::from_utf8_lossy(&rest[..len]).into_owned(), line });
            }
        }
    }
}

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest[at..].starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

// The length of a string literal that opens at the front.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

// The length of `'a'`, `'\n'`, `'\u{1}'`; of a lifetime, only the quote's, which goes too.
fn char_or_lifetime(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return rest.iter().skip(3).position(|&b| b == b'\'').map_or(rest.len(), |at| at + 4);
    }
    let width = match rest.get(1) {
        None => return 1,
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        Some(_) => 1,
    };
    if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 1 }
}

// The length of `r".."`, `r#".."#`, `b".."`, `br".."`, `c".."`, `cr".."` or `b'.'`; 0 if it is none.
fn prefixed_literal(rest: &[u8]) -> usize {
    let prefix = rest.iter().take_while(|b| matches!(b, b'r' | b'b' | b'c')).count();
    if prefix > 2 {
        return 0;
    }
    let raw = rest[..prefix].contains(&b'r');
    let hashes = rest[prefix..].iter().take_while(|&&b| b == b'#').count();
    match rest.get(prefix + hashes) {
        Some(b'"') if raw => {
            let end: Vec<u8> = [b'"'].into_iter().chain(vec![b'#'; hashes]).collect();
            let inside = prefix + hashes + 1;
            rest[inside..]
                .windows(end.len())
                .position(|window| window == end)
                .map_or(rest.len(), |at| inside + at + end.len())
        }
        Some(b'"') if hashes == 0 => prefix + string(&rest[prefix..]),
        Some(b'\'') if rest.starts_with(b"b'") => 1 + char_or_lifetime(&rest[1..]),
        _ => 0,
    }
}
