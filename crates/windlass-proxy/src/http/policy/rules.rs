//! Changes to header lines.

use windlass_proto::http::{Header, HeaderLines};

use super::template::{Facts, Template};
use crate::http::config::HeaderRule;

/// The longest value that replacing makes.
const VALUE_MAX: usize = 16 * 1024;

/// One change, checked.
#[derive(Debug)]
struct Edit {
    name: String,
    act: Act,
}

#[derive(Debug)]
enum Act {
    Add(Template),
    Set(Template),
    Remove,
    Replace { find: Vec<u8>, with: Vec<u8> },
}

/// The changes to one kind of message, in their order.
#[derive(Debug, Default)]
pub(super) struct Rules {
    edits: Vec<Edit>,
}

/// Which messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    Requests,
    Responses,
}

/// Headers that are written by what they are about.
const UNTOUCHABLE: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Whether two names are the same to some application: in any case, and with `_` for `-`.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(a, b)| plain(a) == plain(b))
}

/// Whether this is a header that says how a message is framed, or what becomes of its connection, to some
/// application.
pub(super) fn is_framing(name: &str) -> bool {
    UNTOUCHABLE.iter().any(|own| is_same(own, name))
}

impl Rules {
    /// Checks rules; `Err` says which is wrong, and why.
    pub(super) fn new(rules: &[HeaderRule], of: Of) -> Result<Rules, String> {
        let mut edits = Vec::new();
        for rule in rules {
            let (name, act) = match rule {
                HeaderRule::Add { name, value } => (name, Act::Add(Template::parse(value)?)),
                HeaderRule::Set { name, value } => (name, Act::Set(Template::parse(value)?)),
                HeaderRule::Remove { name } => (name, Act::Remove),
                HeaderRule::Replace { name, find, .. } if find.is_empty() => {
                    return Err(format!("`{name}`: nothing to be replaced"));
                }
                HeaderRule::Replace { name, find, with } => {
                    // What is put in has to be a value too.
                    Template::parse(&with.replace('{', "{{").replace('}', "}}"))?;
                    (name, Act::Replace { find: find.as_bytes().into(), with: with.as_bytes().into() })
                }
            };
            if is_framing(name) {
                let of_host = if is_same(name, "host") { ": a route says what it is" } else { "" };
                return Err(format!("`{name}` cannot be changed by a rule{of_host}"));
            }
            if HeaderLines::new().push(name, b"").is_err() {
                return Err(format!("`{name}` is no name of a header"));
            }
            if let (Act::Add(value) | Act::Set(value), Of::Responses) = (&act, of)
                && !value.is_constant()
            {
                return Err(format!("`{name}`: a response knows nothing of its request any more"));
            }
            edits.push(Edit { name: name.clone(), act });
        }
        Ok(Rules { edits })
    }

    /// Whether one needs the number of the request.
    pub(super) fn wants_id(&self) -> bool {
        self.edits.iter().any(|edit| matches!(&edit.act, Act::Add(it) | Act::Set(it) if it.wants_id()))
    }

    /// Whether they take out what a message has under this name.
    fn take_out(&self, name: &str) -> bool {
        let out = |edit: &&Edit| matches!(edit.act, Act::Set(_) | Act::Remove);
        self.edits.iter().filter(out).any(|edit| is_same(&edit.name, name))
    }

    fn replaces<'r>(&'r self, name: &str) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        self.edits.iter().filter_map(move |edit| match &edit.act {
            Act::Replace { find, with } if is_same(&edit.name, name) => Some((&**find, &**with)),
            _ => None,
        })
    }
}

/// The rules for all, and then those of a route.
#[derive(Clone, Copy)]
pub(super) struct Both<'r>(pub(super) &'r Rules, pub(super) &'r Rules);

impl<'r> Both<'r> {
    fn is_empty(&self) -> bool {
        self.0.edits.is_empty() && self.1.edits.is_empty()
    }

    fn edits(&self) -> impl Iterator<Item = &'r Edit> + Clone {
        self.0.edits.iter().chain(&self.1.edits)
    }

    /// Whether they take out what there is under this name.
    pub(super) fn take_out(&self, name: &str) -> bool {
        self.0.take_out(name) || self.1.take_out(name)
    }

    /// Whether they change what comes with this name.
    pub(super) fn touch(&self, name: &str) -> bool {
        self.edits().any(|edit| is_same(&edit.name, name))
    }

    /// A line as it came, unless they take it out or change it.
    pub(super) fn pass(&self, header: Header<'_>, lines: &mut HeaderLines) {
        if self.is_empty() {
            let _ = lines.pass(header);
            return;
        }
        if self.take_out(header.name) {
            return;
        }
        let mut replaces = self.0.replaces(header.name).chain(self.1.replaces(header.name)).peekable();
        if replaces.peek().is_none() {
            let _ = lines.pass(header);
            return;
        }
        // Rules of this kind are rare: they may cost an allocation.
        let mut value = header.value.to_vec();
        for (find, with) in replaces {
            if let Some(replaced) = replaced(&value, find, with) {
                value = replaced;
            }
        }
        let _ = lines.push(header.name, value);
    }

    /// The lines that they add. `facts` are there for requests.
    pub(super) fn add(&self, facts: Option<&Facts<'_>>, lines: &mut HeaderLines) {
        let mut rest = self.edits();
        while let Some(edit) = rest.next() {
            let (Act::Add(value) | Act::Set(value)) = &edit.act else { continue };
            let out = |later: &Edit| matches!(later.act, Act::Set(_) | Act::Remove);
            if rest.clone().any(|later| out(later) && is_same(&later.name, &edit.name)) {
                continue;
            }
            // A value that cannot be one is left out: what a request says is checked, but for this.
            let _ = match facts {
                Some(facts) => lines.push_with(&edit.name, |out| value.write(facts, out)),
                None => lines.push(&edit.name, value.constant()),
            };
        }
    }
}

/// `value` with all of `find` replaced, left to right; `None` if that is too long.
fn replaced(value: &[u8], find: &[u8], with: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest) = (Vec::with_capacity(value.len()), value);
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(find) {
            out.extend_from_slice(with);
            rest = behind;
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
        if out.len() > VALUE_MAX {
            return None;
        }
    }
    Some(out)
}
