//! What a line looks like: one of the known forms, or a template.

use super::fields::{Field, Kind};
use crate::nearest::nearest;

/// How lines are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Format {
    text: String,
    pub(super) form: Form,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// The Combined Log Format of web servers.
    Combined,
    /// One object per line.
    Json,
    Template(Vec<Piece>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Text(String),
    /// `quoted`: it stands in quotes, so a space in it ends nothing.
    Field {
        field: Field,
        quoted: bool,
    },
}

/// What lines about connections are, unless something else is configured.
const CONNECTIONS: &str =
    "{time} {peer} {service} {listener} {duration_ms} {received} {sent} {messages} {reason} {fault}";

/// What lines about flows are, unless something else is configured.
const FLOWS: &str = "{time} {peer} {service} {listener} {backend} {duration_ms} {received} {sent} {requests} {replies} {ending}";

impl Format {
    /// Reads `combined`, `json` or a template. `Err` says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Format, String> {
        let form = match text {
            "combined" => Form::Combined,
            "json" => Form::Json,
            _ if !text.contains(['{', '}']) => {
                let near = nearest(text, &["combined", "json"]);
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(format!("`{text}` is neither `combined` nor `json`, and has no {{field}}{near}"));
            }
            _ => Form::Template(template(text)?),
        };
        Ok(Format { text: text.into(), form })
    }

    /// The usual one.
    pub(crate) fn usual(kind: Kind) -> Format {
        match kind {
            Kind::Requests | Kind::Proxied => Format { text: "combined".into(), form: Form::Combined },
            Kind::Connections => Format::of(CONNECTIONS),
            Kind::Flows => Format::of(FLOWS),
        }
    }

    fn of(text: &str) -> Format {
        Format { text: text.into(), form: Form::Template(template(text).unwrap_or_default()) }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether lines of this kind can be written so; `Err` says what they do not have.
    pub(crate) fn check(&self, kind: Kind) -> Result<(), String> {
        let what = match kind {
            Kind::Connections => "connections",
            Kind::Requests => "requests",
            Kind::Proxied => "requests that are passed on",
            Kind::Flows => "flows of datagrams",
        };
        match &self.form {
            Form::Json => Ok(()),
            Form::Combined if matches!(kind, Kind::Requests | Kind::Proxied) => Ok(()),
            Form::Combined => Err(format!("`combined` is for requests, and there are only {what} here")),
            Form::Template(pieces) => {
                let foreign = pieces.iter().find_map(|piece| match piece {
                    Piece::Field { field, .. } if !field.is_of(kind) => Some(field),
                    _ => None,
                });
                foreign.map_or(Ok(()), |field| {
                    let names = Field::names(kind);
                    Err(format!("{{{}}} is nothing that {what} have; those have {names}", field.name()))
                })
            }
        }
    }
}

/// `{field}` and text; `{{` and `}}` are braces.
fn template(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain += &rest[..at];
        let brace = &rest[at..at + 1];
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix(brace) {
            plain += brace;
            rest = behind;
            continue;
        }
        let end = rest.find('}').filter(|_| brace == "{");
        let Some(end) = end else {
            return Err(format!("a `{brace}` stands alone: a brace itself is written `{brace}{brace}`"));
        };
        let field = Field::by_name(&rest[..end])?;
        rest = &rest[end + 1..];
        let quoted = plain.ends_with('"') && rest.starts_with('"');
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Field { field, quoted });
    }
    plain += rest;
    if plain.chars().chain(text.chars()).any(char::is_control) {
        return Err("a line has no line breaks and other control characters in it".into());
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    match pieces.iter().any(|piece| matches!(piece, Piece::Field { .. })) {
        true => Ok(pieces),
        false => Err("a line without any {field} would always be the same".into()),
    }
}
