//! How a message is printed: the formats of mosquitto_sub.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Zoned;
use jiff::fmt::strtime;
use windlass::proto::mqtt::{Properties, Property};

/// A message, as it came.
pub(crate) struct Printed<'m> {
    pub(crate) topic: &'m str,
    pub(crate) payload: &'m [u8],
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    /// 0 with QoS 0.
    pub(crate) id: u16,
    pub(crate) properties: Properties<'m>,
    /// When it came, here.
    pub(crate) at: &'m Zoned,
}

/// A format that was understood. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Format(Arc<[Piece]>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Vec<u8>),
    Field(Field),
    /// What strftime(3) has behind a percent sign.
    Time(String),
    Nanoseconds,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    what: u8,
    zero: bool,
    left: bool,
    /// Characters: at least, and at most.
    least: usize,
    most: usize,
}

/// Fields there are, and those of them that may have a width.
const FIELDS: &[u8] = b"ACDEFIjJlmPpqRrStUxX";
const WIDE: &[u8] = b"ACEFIlmpRStxX";
/// A wider field is a typing error.
const WIDTH_MAX: usize = 10_000;

impl Format {
    /// Understands a format.
    pub(crate) fn parse(text: &str) -> Result<Format, String> {
        let (mut pieces, mut rest) = (Vec::new(), text.as_bytes());
        let mut plain = Vec::new();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let piece = match byte {
                b'%' => field(&mut rest)?,
                b'@' => time(&mut rest)?,
                b'\\' => escape(&mut rest)?,
                byte => Piece::Text(vec![byte]),
            };
            match piece {
                Piece::Text(text) => plain.extend(text),
                piece => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(piece);
                }
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Format(pieces.into()))
    }

    /// Appends a message. `pretty`: JSON in lines.
    ///
    /// # Errors
    /// It is to be JSON within JSON, and is not.
    pub(crate) fn print(&self, message: &Printed<'_>, pretty: bool, out: &mut Vec<u8>) -> Result<(), String> {
        for piece in &*self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Nanoseconds => {
                    out.extend_from_slice(format!("{:09}", message.at.subsec_nanosecond()).as_bytes());
                }
                Piece::Time(what) => {
                    // That there is such a time was seen when it was parsed.
                    out.extend_from_slice(strtime::format(what, message.at).unwrap_or_default().as_bytes());
                }
                Piece::Field(field) => field.print(message, pretty, out)?,
            }
        }
        Ok(())
    }
}

fn field(rest: &mut &[u8]) -> Result<Piece, String> {
    let mut it = Field { what: 0, zero: false, left: false, least: 0, most: usize::MAX };
    let wrong = |what: String| Err(format!("%{what}: the fields are %% {}", names()));
    let mut wide = false;
    while let Some((&flag @ (b'0' | b'-'), behind)) = rest.split_first() {
        if flag == b'0' {
            it.zero = true;
        } else {
            it.left = true;
        }
        (*rest, wide) = (behind, true);
    }
    if let Some(least) = number(rest)? {
        (it.least, wide) = (least, true);
    }
    if let Some(behind) = rest.strip_prefix(b".") {
        *rest = behind;
        (it.most, wide) = (number(rest)?.unwrap_or(0), true);
    }
    let Some((&what, behind)) = rest.split_first() else { return wrong(String::new()) };
    *rest = behind;
    it.what = what;
    match what {
        b'%' if !wide => Ok(Piece::Text(b"%".into())),
        what if wide && FIELDS.contains(&what) && !WIDE.contains(&what) => {
            Err(format!("%{}: this field has no width", char::from(what)))
        }
        what if FIELDS.contains(&what) => Ok(Piece::Field(it)),
        what => wrong(char::from(what).to_string()),
    }
}

fn names() -> String {
    FIELDS.iter().map(|&name| format!("%{}", char::from(name))).collect::<Vec<_>>().join(" ")
}

fn number(rest: &mut &[u8]) -> Result<Option<usize>, String> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, behind) = rest.split_at(digits);
    *rest = behind;
    if number.is_empty() {
        return Ok(None);
    }
    let text: String = number.iter().map(|&byte| char::from(byte)).collect();
    match text.parse() {
        Ok(number) if number <= WIDTH_MAX => Ok(Some(number)),
        _ => Err(format!("a width of {text} is more than {WIDTH_MAX}")),
    }
}

fn time(rest: &mut &[u8]) -> Result<Piece, String> {
    let Some((&what, behind)) = rest.split_first() else {
        return Err("a letter of strftime stands behind @".into());
    };
    *rest = behind;
    match what {
        b'@' => Ok(Piece::Text(b"@".into())),
        b'N' => Ok(Piece::Nanoseconds),
        what => {
            let format = format!("%{}", char::from(what));
            match strtime::format(&format, &Zoned::now()) {
                Ok(_) if what.is_ascii_alphabetic() => Ok(Piece::Time(format)),
                _ => Err(format!("@{}: there is no such time", char::from(what))),
            }
        }
    }
}

fn escape(rest: &mut &[u8]) -> Result<Piece, String> {
    let Some((&what, behind)) = rest.split_first() else { return Err("nothing stands behind \\".into()) };
    *rest = behind;
    let byte = match what {
        b'\\' => b'\\',
        b'0' => 0,
        b'a' => 7,
        b'e' => 0x1b,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => {
            return Err(format!(
                "\\{}: those there are are \\\\ \\0 \\a \\e \\n \\r \\t \\v",
                char::from(what)
            ));
        }
    };
    Ok(Piece::Text(vec![byte]))
}

impl Field {
    fn print(&self, message: &Printed<'_>, pretty: bool, out: &mut Vec<u8>) -> Result<(), String> {
        let properties = message.properties;
        let said = |value: Option<String>| value.unwrap_or_default();
        let text = match self.what {
            b'A' => said(properties.topic_alias().map(|alias| alias.to_string())),
            b'C' => said(find(properties, |property| match property {
                Property::ContentType(text) => Some(text.to_owned()),
                _ => None,
            })),
            b'D' => {
                let data = properties.iter().find_map(|property| match property {
                    Property::CorrelationData(data) => Some(data),
                    _ => None,
                });
                out.extend_from_slice(data.unwrap_or_default());
                return Ok(());
            }
            b'E' => said(properties.message_expiry().map(|seconds| seconds.to_string())),
            b'F' => said(find(properties, |property| match property {
                Property::PayloadIsUtf8(is) => Some(u8::from(is).to_string()),
                _ => None,
            })),
            b'I' => said(strtime::format("%Y-%m-%dT%H:%M:%S%z", message.at).ok()),
            b'j' => {
                json(message, pretty, &json_text(&String::from_utf8_lossy(message.payload)), out);
                return Ok(());
            }
            b'J' => {
                let sound = serde_json::from_slice::<serde::de::IgnoredAny>(message.payload).is_ok();
                let Some(text) = std::str::from_utf8(message.payload).ok().filter(|_| sound) else {
                    return Err(format!("the payload is no JSON, on topic {}", message.topic));
                };
                json(message, pretty, text.trim(), out);
                return Ok(());
            }
            b'l' => message.payload.len().to_string(),
            b'm' => message.id.to_string(),
            b'P' => {
                let all: Vec<String> =
                    properties.user().map(|(name, value)| format!("{name}:{value}")).collect();
                all.join(" ")
            }
            b'p' => return self.pad(message.payload, out),
            b'q' => message.qos.to_string(),
            b'R' => said(properties.response_topic().map(|topic| topic.as_str().to_owned())),
            b'r' => u8::from(message.retain).to_string(),
            b'S' => {
                let all: Vec<String> = properties.subscription_ids().map(|id| id.to_string()).collect();
                all.join(" ")
            }
            b't' => message.topic.to_owned(),
            b'U' => format!("{}.{:09}", message.at.timestamp().as_second(), message.at.subsec_nanosecond()),
            what => {
                let mut hex = String::with_capacity(2 * message.payload.len());
                for byte in message.payload {
                    let _ = if what == b'x' { write!(hex, "{byte:02x}") } else { write!(hex, "{byte:02X}") };
                }
                hex
            }
        };
        self.pad(text.as_bytes(), out)
    }

    /// Appends `text` in the field's width.
    fn pad(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        // Characters, where it is text; a payload may be anything.
        let (shown, len) = match std::str::from_utf8(text) {
            Ok(text) => {
                let end = text.char_indices().nth(self.most).map_or(text.len(), |(at, _)| at);
                (&text.as_bytes()[..end], text[..end].chars().count())
            }
            Err(_) => {
                let end = text.len().min(self.most);
                (&text[..end], end)
            }
        };
        let gap = self.least.saturating_sub(len);
        let zero = self.zero && !self.left && b"AEFlmSXx".contains(&self.what);
        let fill = if zero { b'0' } else { b' ' };
        if !self.left {
            out.resize(out.len() + gap, fill);
        }
        out.extend_from_slice(shown);
        if self.left {
            out.resize(out.len() + gap, b' ');
        }
        Ok(())
    }
}

fn find<T>(properties: Properties<'_>, pick: impl Fn(Property<'_>) -> Option<T>) -> Option<T> {
    properties.iter().find_map(pick)
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The names and the order of mosquitto_sub.
fn json(message: &Printed<'_>, pretty: bool, payload: &str, out: &mut Vec<u8>) {
    let time = strtime::format("%Y-%m-%dT%H:%M:%S.%6f%z", message.at).unwrap_or_default();
    let mut members: Vec<(&str, String)> = vec![
        ("tst", json_text(&time)),
        ("topic", json_text(message.topic)),
        ("qos", message.qos.to_string()),
        ("retain", u8::from(message.retain).to_string()),
        ("payloadlen", message.payload.len().to_string()),
    ];
    if message.qos > 0 {
        members.push(("mid", message.id.to_string()));
    }
    let properties = json_properties(message.properties);
    if !properties.is_empty() {
        members.push(("properties", object(&properties, pretty, 1)));
    }
    members.push(("payload", payload.to_owned()));
    out.extend_from_slice(object(&members, pretty, 0).as_bytes());
}

fn object<N: AsRef<str>>(members: &[(N, String)], pretty: bool, depth: usize) -> String {
    let (open, gap) = if pretty { ("\n", " ") } else { ("", "") };
    let indent = |depth: usize| if pretty { "  ".repeat(depth) } else { String::new() };
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("{}{}:{gap}{value}", indent(depth + 1), json_text(name.as_ref())))
        .collect();
    format!("{{{open}{}{open}{}}}", members.join(&format!(",{open}")), indent(depth))
}

fn json_properties(properties: Properties<'_>) -> Vec<(&'static str, String)> {
    let mut members = Vec::new();
    let mut user = Vec::new();
    for property in properties.iter() {
        let text = |bytes: &[u8]| json_text(&String::from_utf8_lossy(bytes));
        members.push(match property {
            Property::PayloadIsUtf8(is) => ("payload-format-indicator", u8::from(is).to_string()),
            Property::MessageExpiry(seconds) => ("message-expiry-interval", seconds.to_string()),
            Property::ContentType(name) => ("content-type", json_text(name)),
            Property::ResponseTopic(topic) => ("response-topic", json_text(topic.as_str())),
            Property::CorrelationData(data) => ("correlation-data", text(data)),
            Property::SubscriptionId(id) => ("subscription-identifier", id.to_string()),
            Property::TopicAlias(alias) => ("topic-alias", alias.to_string()),
            Property::User(name, value) => {
                user.push(format!("{}:{}", json_text(name), json_text(value)));
                continue;
            }
            _ => continue,
        });
    }
    if !user.is_empty() {
        members.push(("user-properties", format!("{{{}}}", user.join(","))));
    }
    members
}

#[cfg(test)]
#[path = "../tests/mqtt/format.rs"]
mod tests;
