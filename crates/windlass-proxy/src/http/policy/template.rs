//! Texts with `{host}` and the like in them.

use std::fmt;

use windlass_proto::http::{RequestHead, ValueWriter};

use super::Client;
use super::hosts::without_port;

/// What a text may hold in braces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    ClientIp,
    Host,
    Method,
    Path,
    Query,
    Uri,
    Proto,
    RequestId,
}

const FIELDS: [(&str, Field); 8] = [
    ("client_ip", Field::ClientIp),
    ("host", Field::Host),
    ("method", Field::Method),
    ("path", Field::Path),
    ("query", Field::Query),
    ("uri", Field::Uri),
    ("proto", Field::Proto),
    ("request_id", Field::RequestId),
];

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Field(Field),
}

/// A text, read once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

/// What a request says, and who asks.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) head: &'a RequestHead<'a>,
    pub(super) client: &'a Client,
    pub(super) secure: bool,
}

/// Where an address leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leads {
    /// To a path of the same host.
    Here,
    /// To the host that it names.
    Elsewhere,
}

/// What a text is written to.
pub(super) trait Out: fmt::Write {
    fn put(&mut self, bytes: &[u8]);
}

impl Out for ValueWriter<'_> {
    fn put(&mut self, bytes: &[u8]) {
        ValueWriter::put(self, bytes);
    }
}

/// A path and nothing else: it begins with one slash, since what stands behind two would be a host.
pub(super) struct PathOnly<'v, 'o> {
    out: &'v mut ValueWriter<'o>,
    is_beginning: bool,
}

impl<'v, 'o> PathOnly<'v, 'o> {
    pub(super) fn to(out: &'v mut ValueWriter<'o>) -> PathOnly<'v, 'o> {
        out.put(b"/");
        PathOnly { out, is_beginning: true }
    }
}

impl Out for PathOnly<'_, '_> {
    fn put(&mut self, mut bytes: &[u8]) {
        // Browsers take backslashes for slashes.
        while let ([b'/' | b'\\', rest @ ..], true) = (bytes, self.is_beginning) {
            bytes = rest;
        }
        self.is_beginning &= bytes.is_empty();
        self.out.put(bytes);
    }
}

impl fmt::Write for PathOnly<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

impl Template {
    /// Reads a text; `Err` says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(format!("`{}` holds a control character", text.escape_debug()));
        }
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain += &rest[..at];
            let (brace, behind) = rest[at..].split_at(1);
            if let Some(behind) = behind.strip_prefix(brace) {
                plain += brace;
                rest = behind;
                continue;
            }
            let Some((name, behind)) = behind.split_once('}').filter(|_| brace == "{") else {
                return Err(format!(
                    "a `{brace}` stands alone in `{text}`: a brace is written `{brace}{brace}`"
                ));
            };
            let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) else {
                let names: Vec<String> = FIELDS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
                return Err(format!("there is no {{{name}}}: there are {}", names.join(", ")));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Field(*field));
            rest = behind;
        }
        plain += rest;
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template { pieces })
    }

    /// Whether it is the same for every request.
    pub(super) fn is_constant(&self) -> bool {
        !self.pieces.iter().any(|piece| matches!(piece, Piece::Field(_)))
    }

    /// Whether the number of the request is in it.
    pub(super) fn wants_id(&self) -> bool {
        self.pieces.contains(&Piece::Field(Field::RequestId))
    }

    /// The text itself, of one that is the same for every request.
    pub(super) fn constant(&self) -> &str {
        match &*self.pieces {
            [Piece::Text(text)] => text,
            _ => "",
        }
    }

    /// Whether the host of the request is in it.
    pub(super) fn wants_host(&self) -> bool {
        self.pieces.contains(&Piece::Field(Field::Host))
    }

    /// Where it leads as an address, if that is for us to say: a client must not name the host.
    pub(super) fn leads(&self) -> Option<Leads> {
        let second = self.pieces.get(1);
        match self.pieces.first()? {
            Piece::Text(text) if text.starts_with("//") => Some(Leads::Elsewhere),
            Piece::Text(text) if text.starts_with('/') => Some(Leads::Here),
            Piece::Text(text) if ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) => {
                Some(Leads::Elsewhere)
            }
            Piece::Field(Field::Path | Field::Uri) => Some(Leads::Here),
            Piece::Field(Field::Proto) if matches!(second, Some(Piece::Text(it)) if it.starts_with("://")) => {
                Some(Leads::Elsewhere)
            }
            _ => None,
        }
    }

    /// Writes it for a request.
    pub(super) fn write(&self, facts: &Facts<'_>, out: &mut impl Out) {
        let Facts { head, client, secure } = facts;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.put(text.as_bytes()),
                Piece::Field(Field::ClientIp) => match client.source.addr() {
                    Some(addr) => drop(write!(out, "{}", addr.ip())),
                    None => out.put(b"unix:"),
                },
                Piece::Field(Field::Host) => out.put(without_port(head.host.unwrap_or("")).as_bytes()),
                Piece::Field(Field::Method) => out.put(head.method.as_bytes()),
                Piece::Field(Field::Path) => out.put(head.path().as_bytes()),
                Piece::Field(Field::Query) => out.put(head.query().unwrap_or("").as_bytes()),
                Piece::Field(Field::Uri) => {
                    out.put(head.path().as_bytes());
                    if let Some(query) = head.query() {
                        out.put(b"?");
                        out.put(query.as_bytes());
                    }
                }
                Piece::Field(Field::Proto) => out.put(if *secure { b"https" } else { b"http" }),
                Piece::Field(Field::RequestId) => drop(write!(out, "{:032x}", client.id)),
            }
        }
    }
}
