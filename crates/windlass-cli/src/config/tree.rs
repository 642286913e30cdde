//! From the text of a file to checked values: every key and every value against the schema, with all that
//! is wrong at once.
//!
//! The schema is the one that editors get, made from the structures in `shape`: so a key that is declared
//! there is known, documented and checked here. A wrong value is left out and its default stands in, so
//! that one mistake does not hide the next.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment;
use super::problem::{Place, Problem, Sources};
use super::value;
use crate::built::{self, Asked};
use crate::nearest::nearest;

/// Where each value stands, by its path: `echo[0].listen[1]`.
pub(crate) type Places = BTreeMap<String, Place>;

/// Reads one file's table.
pub(crate) struct Reader<'a> {
    pub(crate) schema: &'a Value,
    pub(crate) file: usize,
    /// The folder that relative paths begin at.
    pub(crate) folder: &'a Path,
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) problems: &'a mut Vec<Problem>,
    pub(crate) places: &'a mut Places,
}

/// Parses `sources[file]`; mistakes of syntax are problems, and what could be read is read on.
pub(crate) fn parse<'t>(
    sources: &'t Sources,
    file: usize,
    problems: &mut Vec<Problem>,
) -> Spanned<DeTable<'t>> {
    let text = sources.text(file);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..text.len().min(1));
        problems.push(Problem::at(Place { file, span }, error.message(), ""));
    }
    table
}

impl Reader<'_> {
    /// The whole file.
    pub(crate) fn file(
        &mut self,
        table: &DeTable<'_>,
        counts: &BTreeMap<String, usize>,
    ) -> Map<String, Value> {
        let schema = self.schema;
        self.table("", schema, table, counts)
    }

    fn place(&self, span: std::ops::Range<usize>) -> Place {
        Place { file: self.file, span }
    }

    /// `counts`: how many entries of a list at the top earlier files gave.
    fn table(
        &mut self,
        path: &str,
        schema: &Value,
        table: &DeTable<'_>,
        counts: &BTreeMap<String, usize>,
    ) -> Map<String, Value> {
        let mut values = Map::new();
        let properties = schema["properties"].as_object();
        for (key, node) in table.iter() {
            let name: &str = key.get_ref();
            let Some(property) = properties.and_then(|properties| properties.get(name)) else {
                let known: Vec<&str> =
                    properties.map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default();
                let left_out = built::without(Asked::Table, name).filter(|_| path.is_empty());
                self.problems.push(match left_out {
                    Some(why) => Problem::at(self.place(key.span()), why, ""),
                    None => unknown(self.place(key.span()), path, name, &known),
                });
                continue;
            };
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.places.insert(path.clone(), self.place(key.span()));
            let from = counts.get(&path).copied().unwrap_or(0);
            if let Some(value) = self.value(&path, property, node, from) {
                values.insert(name.to_owned(), value);
            }
        }
        values
    }

    fn value(
        &mut self,
        path: &str,
        schema: &Value,
        node: &Spanned<DeValue<'_>>,
        from: usize,
    ) -> Option<Value> {
        let schema = resolve(self.schema, schema);
        let wanted = types(schema);
        let refused = |this: &mut Self| {
            let found = described(node.get_ref());
            let wanted = wanted_in_words(schema, &wanted);
            let problem = Problem::at(
                this.place(node.span()),
                format!("`{path}` is {found}, and should be {wanted}"),
                format!("this is {found}"),
            );
            let one = example(schema);
            let several = || example(resolve(this.schema, &schema["items"])).map(|one| format!("[{one}]"));
            this.problems.push(match one.or_else(several) {
                Some(example) => problem.help(format!("for example `{} = {example}`", last(path))),
                None => problem,
            });
            None
        };
        match node.get_ref() {
            DeValue::Table(table) if wanted.contains(&"object") => {
                Some(self.table(path, schema, table, &BTreeMap::new()).into())
            }
            DeValue::Array(array) if wanted.contains(&"array") => {
                let mut list = Vec::new();
                for (at, item) in array.iter().enumerate() {
                    let path = format!("{path}[{}]", from + at);
                    self.places.insert(path.clone(), self.place(item.span()));
                    // A hole would move what follows.
                    list.push(self.value(&path, &schema["items"], item, 0).unwrap_or(Value::Null));
                }
                Some(list.into())
            }
            // One where several may stand.
            DeValue::String(_) if wanted.contains(&"array") && !wanted.contains(&"string") => {
                let path = format!("{path}[{from}]");
                self.places.insert(path.clone(), self.place(node.span()));
                let item = self.value(&path, &schema["items"], node, 0).unwrap_or(Value::Null);
                Some(vec![item].into())
            }
            DeValue::String(text) if wanted.contains(&"string") => {
                let text = match environment::expand(text, self.variable) {
                    Ok(text) => text,
                    Err(why) => {
                        self.problems.push(why.at(self.place(node.span())));
                        return None;
                    }
                };
                self.text(path, schema, &text, node)
            }
            DeValue::Boolean(value) if wanted.contains(&"boolean") => Some((*value).into()),
            DeValue::Integer(number) if wanted.contains(&"string") && wanted.contains(&"integer") => {
                self.text(path, schema, number.as_str(), node)
            }
            DeValue::Integer(number) if wanted.contains(&"integer") => {
                match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                    Ok(number) => Some(number.into()),
                    Err(_) => refused(self),
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) if wanted.contains(&"number") => {
                let number = match node.get_ref() {
                    DeValue::Integer(number) => {
                        i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                            .ok()
                            .map(Value::from)
                    }
                    DeValue::Float(number) => {
                        // None of those that are no number is one.
                        let number = number.as_str().replace('_', "").parse::<f64>();
                        number.ok().filter(|number| number.is_finite()).map(Value::from)
                    }
                    _ => None,
                };
                number.or_else(|| refused(self))
            }
            _ => refused(self),
        }
    }

    fn text(&mut self, path: &str, schema: &Value, text: &str, node: &Spanned<DeValue<'_>>) -> Option<Value> {
        let choices = choices(schema);
        if !choices.is_empty() && !choices.contains(&text) {
            let list = choices.join("`, `");
            let problem = Problem::at(
                self.place(node.span()),
                format!("`{text}` is no value of `{path}`"),
                format!("one of `{list}`"),
            );
            self.problems.push(match nearest(text, &choices) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            });
            return None;
        }
        let format = schema["format"].as_str().unwrap_or_default();
        if let Err(why) = value::check(format, text) {
            // It says how to write it.
            self.problems.push(Problem::at(self.place(node.span()), format!("`{path}`: {why}"), ""));
            return None;
        }
        if value::is_path(format, text) {
            return Some(self.folder.join(text).display().to_string().into());
        }
        if let Some(path) = value::file_behind(format, text) {
            return Some(format!("file:{}", self.folder.join(path).display()).into());
        }
        Some(text.into())
    }
}

fn unknown(place: Place, path: &str, name: &str, known: &[&str]) -> Problem {
    let inside = if path.is_empty() { "at the top".to_owned() } else { format!("in `{path}`") };
    let problem = Problem::at(place, format!("there is no key `{name}` {inside}"), "unknown");
    match nearest(name, known) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("the keys {inside} are {}", known.join(", "))),
    }
}

/// Behind references, and behind "this or nothing".
pub(super) fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return resolve(root, &root["$defs"][name]);
    }
    let some = schema["anyOf"].as_array().into_iter().flatten().find(|one| one["type"] != "null");
    some.map_or(schema, |some| resolve(root, some))
}

fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        // A choice of texts with a description each.
        _ => vec!["string"],
    }
}

fn choices(schema: &Value) -> Vec<&str> {
    let plain = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let described = schema["oneOf"].as_array().into_iter().flatten();
    plain
        .chain(described.clone().filter_map(|one| one["const"].as_str()))
        .chain(
            described.flat_map(|one| one["enum"].as_array().into_iter().flatten().filter_map(Value::as_str)),
        )
        .collect()
}

fn wanted_in_words(schema: &Value, wanted: &[&str]) -> String {
    if let Some(format) = schema["format"].as_str().filter(|_| wanted.contains(&"string")) {
        return match format.split_once(' ') {
            Some((format, name)) => format!("a {format} as `{name}` is written"),
            None => format!("{} {format}", if format.starts_with('a') { "an" } else { "a" }),
        };
    }
    match wanted.first().copied().unwrap_or_default() {
        "object" => "a table".into(),
        "array" => "a list".into(),
        "boolean" => "`true` or `false`".into(),
        "integer" => "a whole number".into(),
        "number" => "a number".into(),
        _ if wanted.contains(&"number") => "a text, a number, `true` or `false`".into(),
        _ => "a text in quotes".into(),
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn example(schema: &Value) -> Option<String> {
    schema["examples"][0].as_str().map(|text| format!("{text:?}"))
}

fn last(path: &str) -> &str {
    let name = path.rsplit('.').next().unwrap_or(path);
    name.split('[').next().unwrap_or(name)
}
