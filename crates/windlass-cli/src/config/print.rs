//! Configurations for people to read: a commented file to begin with, and the one in effect.
//!
//! Both come out of the schema: what `shape` says of a key stands above it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::shape::File;
use crate::text::wrap;

const WIDTH: usize = 96;
/// Where a proxy begins to pass connections on to.
const BACKEND: &str = "127.0.0.1:8000";

/// The kinds of service that a file can hold, with a word on each.
pub(crate) fn kinds(schema: &Value) -> Vec<(String, String)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .filter(|(key, property)| property["type"] == "array" && *key != "include")
        .map(|(key, property)| (key.clone(), property["description"].as_str().unwrap_or_default().into()))
        .collect()
}

/// A file with one service of `kind`, that serves as it stands: every other key is there as a comment,
/// with what it means and its default. Keys in `set` (`server.workers`) have that value. `None`: there is no
/// such kind.
pub(crate) fn starting(
    schema: &Value,
    kind: &str,
    listen: &str,
    set: &mut Vec<(String, String)>,
) -> Option<String> {
    let kinds = kinds(schema);
    let (_, about) = kinds.iter().find(|(name, _)| name == kind)?;
    let mut defaults = super::defaults();
    // A service may need other bounds than the engine has by itself.
    let file: File = serde_json::from_value(json!({ kind: [{ "listen": [listen] }] })).unwrap_or_default();
    defaults["limits"] = crate::limits::shown(&crate::serving::limits(&file)).into_iter().collect();
    let mut text = format!(
        "# A configuration of windlass. `windlass run -c FILE` serves it, `windlass check -c FILE` looks for\n\
         # mistakes. Lines that begin with `#` are comments; the values in them are the defaults.\n\n\
         {}[[{kind}]]\n",
        comment(about)
    );
    let entry = described(schema, &schema["properties"][kind]["items"]);
    for (key, property) in properties(entry) {
        let _ = match key.as_str() {
            "name" => writeln!(text, "name = {kind:?}"),
            "listen" => writeln!(text, "{}listen = [{listen:?}]", comment(about_of(property))),
            // It serves as it stands, whether there is somebody behind it or not.
            "to" => writeln!(text, "{}to = [{BACKEND:?}]", comment(about_of(property))),
            _ if is_block(schema, property) => Ok(()),
            _ => write!(text, "{}", unset(schema, key, property, &Value::Null)),
        };
    }
    // What has keys of its own stands behind all others of the entry: it would take them for its own.
    for (key, property) in properties(entry).filter(|(_, property)| is_block(schema, property)) {
        text += &block(schema, &format!("{kind}.{key}"), property);
    }
    for (key, property) in properties(schema) {
        let table = described(schema, property);
        if table["type"] != "object" {
            continue;
        }
        let _ = write!(text, "\n{}[{key}]\n", comment(about_of(property)));
        for (name, property) in properties(table) {
            text += &match set.iter().position(|(path, _)| *path == format!("{key}.{name}")) {
                Some(at) => {
                    let value = set_value(described(schema, property), &set.remove(at).1);
                    format!("{}{name} = {value}\n", comment(about_of(property)))
                }
                None => unset(schema, name, property, &defaults[key][name]),
            };
        }
    }
    Some(text)
}

/// Whether a key of an entry is better written as tables than in one line: lists of tables, and large ones.
fn is_block(schema: &Value, property: &Value) -> bool {
    const INLINE_KEYS_MAX: usize = 6;
    let keys = |table: &Value| properties(table).count();
    keys(described(schema, &property["items"])) > 0 || keys(described(schema, property)) > INLINE_KEYS_MAX
}

/// A table, or one of a list, as a comment: every key of it with what it means.
fn block(schema: &Value, path: &str, property: &Value) -> String {
    let is_list = property["type"] == "array";
    let table = described(schema, if is_list { &property["items"] } else { property });
    let name = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
    let mut text = format!("\n{}# {name}\n", comment(about_of(property)));
    // Tables in it stand behind its own keys.
    let (blocks, keys): (Vec<_>, Vec<_>) =
        properties(table).partition(|(_, property)| is_block(schema, property));
    for (key, property) in keys {
        let is_set = format!("# {key} = ");
        // With the first sign taken off each line, the key is there, and what it means is a comment still.
        for line in unset(schema, key, property, &Value::Null).lines() {
            text += if line.starts_with(&is_set) { "" } else { "# " };
            text += line;
            text.push('\n');
        }
    }
    for (key, property) in blocks {
        text += &block(schema, &format!("{path}.{key}"), property);
    }
    text
}

/// As it is written in a file: a list of one, or a text, where it is none that needs no quotes.
fn set_value(property: &Value, value: &str) -> String {
    let text = match value.parse::<u64>().is_ok() || matches!(value, "true" | "false") {
        true => value.to_owned(),
        false => Value::from(value).to_string(),
    };
    if property["type"] == "array" { format!("[{text}]") } else { text }
}

/// A file with these services, to change and reload.
#[cfg(feature = "demo")]
pub(crate) fn demo(file: &File) -> Result<String, toml::ser::Error> {
    let text = toml::to_string_pretty(file)?;
    Ok(format!(
        "# All that `windlass demo` serves, on this machine alone. `windlass run -c FILE` serves it; `windlass\n\
         # init KIND` writes a file of one service, with every key explained.\n\n{text}"
    ))
}

/// One key as a comment: what it means, and its default.
fn unset(schema: &Value, key: &str, property: &Value, default: &Value) -> String {
    let text = comment(about_of(property));
    let default = [default, &property["default"]].into_iter().find(|value| !value.is_null());
    let inner = described(schema, property);
    let own = || example(schema, property).or_else(|| example(schema, inner));
    match default.map(written).or_else(own) {
        Some(value) => format!("{text}# {key} = {value}\n"),
        None => text,
    }
}

fn example(schema: &Value, property: &Value) -> Option<String> {
    let items = described(schema, &property["items"]);
    if properties(items).next().is_some() {
        return example(schema, items).map(|one| format!("[{one}]"));
    }
    if let Some(table) = property["properties"].as_object() {
        let keys = table.iter().filter_map(|(key, inner)| {
            // What it would be by itself is one that is allowed.
            let default = Some(written(&inner["default"])).filter(|value| !matches!(&**value, "" | "[]"));
            let value = default.or_else(|| example(schema, described(schema, inner)));
            value.map(|value| format!("{key} = {value}"))
        });
        return Some(format!("{{ {} }}", keys.collect::<Vec<_>>().join(", ")));
    }
    Some(written(&property["examples"][0])).filter(|text| !text.is_empty())
}

pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A number needs no quotes.
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'_') => {
            text.clone()
        }
        Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn about_of(property: &Value) -> &str {
    property["description"].as_str().unwrap_or_default()
}

fn comment(text: &str) -> String {
    wrap(text, 0, WIDTH).lines().map(|line| format!("# {line}\n")).collect()
}

fn properties(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
    table["properties"].as_object().into_iter().flatten()
}

pub(crate) fn described<'s>(schema: &'s Value, property: &'s Value) -> &'s Value {
    super::tree::resolve(schema, property)
}

/// The configuration in effect, defaults and all, as a file again. Secrets are hidden.
pub(crate) fn effective(file: &File) -> Result<String, toml::ser::Error> {
    let mut text = toml::to_string_pretty(file)?;
    text += "\n# Every limit in effect.\n[limits]\n";
    for (name, value) in crate::limits::shown(&crate::serving::limits(file)) {
        let _ = writeln!(text, "{name} = {}", written(&value.into()));
    }
    Ok(text)
}
