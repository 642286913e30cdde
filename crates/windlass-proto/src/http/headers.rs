//! The header lines of a head, where they lie.

use core::fmt;
use core::str;

use memchr::memchr;

/// Header lines, borrowed from the buffer they arrived in and valid as RFC 9112 section 5 has them: each
/// name a token, each value without control characters and without spaces around it.
///
/// Nothing is indexed: a look-up reads the lines again, which for the heads of the real world is as fast as
/// a table, and costs nothing to those that are not asked. In the order they came; names are compared
/// without regard to case.
///
/// ```
/// use windlass_proto::http::RequestHeads;
/// use windlass_proto::{Decode, Input};
///
/// let mut received = *b"GET / HTTP/1.1\r\nHost: a\r\nAccept: x\r\naccept: y\r\n\r\n";
/// let head = RequestHeads::default().decode(&mut Input::new(&mut received))?.unwrap();
/// assert_eq!(head.headers.get("ACCEPT"), Some(&b"x"[..]));
/// assert_eq!(head.headers.all("accept").count(), 2);
/// assert_eq!(head.headers.iter().next().unwrap().name, "Host");
/// # Ok::<(), windlass_proto::http::HttpError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'b> {
    // Whole lines, each with its CRLF, checked.
    lines: &'b [u8],
}

/// One header line.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header<'b> {
    /// The name, as it was written.
    pub name: &'b str,
    /// The value, without the spaces and tabs around it. Bytes beyond ASCII are possible (RFC 9110 section
    /// 5.5).
    pub value: &'b [u8],
}

impl<'b> Headers<'b> {
    /// `lines` must have been checked: this only cuts them up again.
    pub(crate) fn checked(lines: &'b [u8]) -> Headers<'b> {
        Headers { lines }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'b>> + use<'b> {
        self.pairs().map(|(name, value)| Header { name: str::from_utf8(name).unwrap_or_default(), value })
    }

    /// The value of the first header called `name`, in any case.
    pub fn get(&self, name: &str) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    /// The same as text; `None` too if the value is not UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&'b str> {
        str::from_utf8(self.get(name)?).ok()
    }

    /// The values of all headers called `name`, in any case.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        self.pairs().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Whether a header called `name` is there.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The elements of the comma-separated lists in all headers called `name` (RFC 9110 section 5.6.1),
    /// without the spaces around them and without empty ones. For lists of tokens: quoted strings with
    /// commas in them are cut.
    pub fn list<'n>(&self, name: &'n str) -> impl Iterator<Item = &'b [u8]> + use<'b, 'n> {
        self.all(name).flat_map(|value| value.split(|&b| b == b',')).map(trim).filter(|e| !e.is_empty())
    }

    /// Whether a list header holds `token`, in any case.
    pub fn list_has(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Those that a proxy passes on (RFC 9110 section 7.6.1): without those for this hop alone, which are the
    /// ones that `Connection` names and the customary ones, and without those that say how long the body is,
    /// since that is said anew. `Host` stays whatever `Connection` says. What a proxy adds, it adds behind this.
    pub fn end_to_end(&self) -> impl Iterator<Item = Header<'b>> + use<'b> {
        let all = *self;
        // Looked for once: `Connection` nearly always names nothing that is a header's name as well.
        let customary = |option: &[u8]| CUSTOMARY.iter().any(|c| option.eq_ignore_ascii_case(c.as_bytes()));
        let names = all.list("connection").any(|option| !customary(option));
        self.iter().filter(move |header| {
            let named = || {
                names && all.list_has("connection", header.name) && !header.name.eq_ignore_ascii_case("host")
            };
            !is_hop_by_hop(header.name) && !named()
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn pairs(&self) -> Pairs<'b> {
        Pairs { rest: self.lines }
    }
}

/// What `Connection` says of itself; `upgrade` is for one hop anyway.
const CUSTOMARY: [&str; 3] = ["keep-alive", "close", "upgrade"];

/// For one hop, or about how a body is framed on it.
fn is_hop_by_hop(name: &str) -> bool {
    // By length first: of a head's many lines nearly none is compared.
    let among = |names: &[&str]| names.iter().any(|hop| hop.eq_ignore_ascii_case(name));
    match name.len() {
        2 => among(&["te"]),
        7 => among(&["upgrade", "trailer"]),
        10 => among(&["connection", "keep-alive"]),
        14 => among(&["content-length"]),
        16 => among(&["proxy-connection"]),
        17 => among(&["transfer-encoding"]),
        18 => among(&["proxy-authenticate"]),
        19 => among(&["proxy-authorization"]),
        _ => false,
    }
}

struct Pairs<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Pairs<'b> {
    type Item = (&'b [u8], &'b [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        let colon = memchr(b':', line)?;
        Some((&line[..colon], trim(&line[colon + 1..line.len().saturating_sub(2).max(colon + 1)])))
    }
}

/// Without the spaces and tabs around it (OWS, RFC 9110 section 5.6.3).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether all of it are the characters of a token (RFC 9110 section 5.6.2), and it is not empty.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let tchar = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !bytes.is_empty() && bytes.iter().all(tchar)
}

/// Whether a header's value may hold all of it: no control character but the tab.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

// The names only: a value may be a secret.
impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|header| header.name)).finish()
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).field("len", &self.value.len()).finish()
    }
}
