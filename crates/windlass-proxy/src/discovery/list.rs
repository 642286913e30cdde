//! A list of backends as a file has it: one on each line, or JSON.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;

use crate::target::Target;

/// Backends of one source, at most.
pub const FOUND_MAX: usize = 1024;

/// A backend that was found. What is not said is as for all backends of its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    pub(crate) to: Target,
    pub(crate) name: Option<String>,
    pub(crate) weight: Option<u32>,
    pub(crate) connections_max: Option<usize>,
}

impl Found {
    pub(crate) fn at(to: Target) -> Found {
        Found { to, name: None, weight: None, connections_max: None }
    }
}

/// What is wrong with a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ListError {
    /// Counted from 1; 0: the list as a whole.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

/// One of a list in JSON: an address, or more.
#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Address(String),
    Backend(Described),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    to: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    weight: Option<u32>,
    #[serde(default)]
    connections_max: Option<usize>,
}

/// Reads a list. One that names nobody is wrong: a file that is cut short must not empty a proxy.
pub(crate) fn read(text: &str) -> Result<Vec<Found>, ListError> {
    // A list in JSON is an array; no address begins like one with that and a quotation mark, a brace or an end.
    let bare = text.trim_start_matches('\u{feff}').trim_start();
    let inner = bare.strip_prefix('[').map(str::trim_start);
    let found = match inner {
        Some(inner) if inner.starts_with(['"', '{', ']']) => json(bare)?,
        _ => lines(text)?,
    };
    if found.is_empty() {
        return Err(ListError { line: 0, what: "no backend is in it".into() });
    }
    Ok(found)
}

fn json(text: &str) -> Result<Vec<Found>, ListError> {
    let items: Vec<Item> = serde_json::from_str(text)
        .map_err(|error| ListError { line: error.line(), what: format!("no list of backends: {error}") })?;
    let mut list = List::default();
    for item in items {
        let item = match item {
            Item::Address(to) => Described { to, name: None, weight: None, connections_max: None },
            Item::Backend(item) => item,
        };
        let mut found = Found::at(target(&item.to, 0)?);
        (found.name, found.weight, found.connections_max) = (item.name, item.weight, item.connections_max);
        list.add(found, 0)?;
    }
    Ok(list.all)
}

/// `ADDRESS [name=NAME] [weight=N] [max=N]`, and comments behind `#`.
fn lines(text: &str) -> Result<Vec<Found>, ListError> {
    let mut list = List::default();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default();
        let mut words = text.split_whitespace();
        let Some(address) = words.next() else { continue };
        let mut found = Found::at(target(address, line)?);
        for word in words {
            let wrong = |what: String| ListError { line, what };
            let (key, value) = word.split_once('=').ok_or_else(|| {
                wrong(format!("`{word}`: name=, weight= or max= may stand behind an address"))
            })?;
            let number = || value.parse::<u32>().map_err(|_| wrong(format!("`{word}`: that is no number")));
            match key {
                "name" => found.name = Some(value.into()),
                "weight" => found.weight = Some(number()?),
                "max" => found.connections_max = Some(number()? as usize),
                _ => return Err(wrong(format!("`{key}` is none of name, weight and max"))),
            }
        }
        list.add(found, line)?;
    }
    Ok(list.all)
}

fn target(text: &str, line: usize) -> Result<Target, ListError> {
    text.parse().map_err(|error: windlass::AddressError| ListError { line, what: error.to_string() })
}

#[derive(Default)]
struct List {
    all: Vec<Found>,
    seen: HashSet<String>,
}

impl List {
    fn add(&mut self, found: Found, line: usize) -> Result<(), ListError> {
        let wrong = |what: String| Err(ListError { line, what });
        if self.all.len() == FOUND_MAX {
            return wrong(format!("more than {FOUND_MAX} backends"));
        }
        if found.weight.is_some_and(|weight| weight > crate::plan::WEIGHT_MAX) {
            return wrong(format!("{}: a weight is at most {}", found.to, crate::plan::WEIGHT_MAX));
        }
        if !self.seen.insert(found.to.to_string()) {
            return wrong(format!("{} is there twice", found.to));
        }
        self.all.push(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use windlass_proto::testing::Rng;

    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        read(text).unwrap().iter().map(|found| found.to.to_string()).collect()
    }

    #[test]
    fn lines_and_json_say_the_same() {
        let lines =
            "# the web\n10.0.0.1:80 weight=3 name=red\n\n[::1]:81   # here\nunix:/run/x.sock max=5\r\n";
        let json = r#" [ {"to": "10.0.0.1:80", "weight": 3, "name": "red"}, "[::1]:81",
            {"to": "unix:/run/x.sock", "connections_max": 5} ]"#;
        assert_eq!(read(lines).unwrap(), read(json).unwrap());
        assert_eq!(addresses(lines), ["10.0.0.1:80", "[::1]:81", "unix:/run/x.sock"]);
        assert_eq!(addresses("[::1]:81\n"), ["[::1]:81"], "no JSON");
        assert_eq!(addresses("\u{feff}[\"a.test:1\"]"), ["a.test:1"]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, line, why) in [
            ("", 0, "no backend"),
            ("# nobody\n", 0, "no backend"),
            ("[]", 0, "no backend"),
            ("10.0.0.1:80\n10.0.0.2\n", 2, "no port"),
            ("10.0.0.1:80\n\n10.0.0.1:80\n", 3, "twice"),
            ("10.0.0.1:80 weight=x", 1, "no number"),
            ("10.0.0.1:80 weight=65536", 1, "at most 65535"),
            ("10.0.0.1:80 wieght=1", 1, "none of"),
            ("10.0.0.1:80 3", 1, "may stand behind"),
            ("[\n\"10.0.0.1:80\",\n7]", 3, "no list"),
            ("[\"10.0.0.1:80\"", 1, "no list"),
            ("[{\"to\": \"10.0.0.1:80\", \"wait\": 1}]", 1, "no list"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.what.contains(why), "{text}: {error}");
            assert_eq!(error.line, line, "{text}: {error}");
        }
        let many: String = (0..=FOUND_MAX).map(|n| format!("10.0.0.1:{}\n", n + 1)).collect();
        assert_eq!(read(&many).unwrap_err().line, FOUND_MAX + 1);
    }

    #[test]
    fn any_text_is_a_list_or_an_error() {
        let mut rng = Rng::new(7);
        let alphabet = b"10.:[]{}\"#,= \nweightoname\xc3\xa9\\unix/";
        for _ in 0..20_000 {
            let length = rng.below(60) as usize;
            let bytes: Vec<u8> =
                (0..length).map(|_| alphabet[rng.below(alphabet.len() as u64) as usize]).collect();
            if let Ok(found) = read(&String::from_utf8_lossy(&bytes)) {
                assert!(!found.is_empty() && found.len() <= FOUND_MAX);
            }
        }
    }
}
