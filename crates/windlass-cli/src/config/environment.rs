//! `${NAME}` in a text: the environment's value; `${NAME:-text}`: that, or this text where it is not set;
//! `$$`: a dollar.

use super::problem::{Place, Problem};

/// Why a text could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// There is no such variable.
    Unset(String),
    /// A `${` without its `}`, or without a name.
    Unfinished,
}

impl Wrong {
    pub(crate) fn at(self, place: Place) -> Problem {
        match self {
            Wrong::Unset(name) => {
                Problem::at(place, format!("the environment has no variable `{name}`"), "needed here")
                    .help(format!("set it, or give a default: `${{{name}:-text}}`"))
            }
            Wrong::Unfinished => Problem::at(place, "`${` begins a variable and does not name one", "")
                .help("write `${NAME}` for a variable and `$$` for a dollar"),
        }
    }
}

/// `text` with its variables replaced.
pub(crate) fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        done += &rest[..at];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            done.push('$');
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('{') {
            let (inside, behind) = behind.split_once('}').ok_or(Wrong::Unfinished)?;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(Wrong::Unfinished);
            }
            let value = variable(name).filter(|value| default.is_none() || !value.is_empty());
            done += &value.or_else(|| default.map(String::from)).ok_or_else(|| Wrong::Unset(name.into()))?;
            rest = behind;
        } else {
            // A dollar that begins nothing is one.
            done.push('$');
        }
    }
    Ok(done + rest)
}

#[cfg(test)]
#[path = "../tests/config/environment.rs"]
mod tests;
