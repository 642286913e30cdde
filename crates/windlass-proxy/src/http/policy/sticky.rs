//! The cookie that brings a client to the backend it had.

use windlass_proto::http::{Header, HeaderLines};

use super::Forward;
use super::siphash::siphash;
use crate::http::config::Sticky;
use crate::plan::Group;

/// A cookie's value: 64 bits in hexadecimal digits.
type Token = [u8; 16];

/// The cookie, and what its values mean.
#[derive(Debug)]
pub(super) struct Cookies {
    name: String,
    max_age: u64,
    /// For each group, the id and the value of each backend.
    tokens: Vec<Vec<(u32, Token)>>,
}

/// The longest that clients may be told to keep it.
const MAX_AGE_MAX: u64 = 366 * 86_400;
/// The shortest key.
const KEY_MIN: usize = 16;

impl Cookies {
    /// Checks what is configured, and draws up the values; `Err` says what is wrong.
    pub(super) fn new(sticky: &Sticky, groups: &[Group]) -> Result<Cookies, String> {
        let name = &sticky.cookie;
        let is_token = HeaderLines::new().push_with(name, |_| {}).is_ok();
        // The encoder's own names are fine ones for a cookie, but nobody would mean that.
        if !is_token {
            return Err(format!("`{name}` is no name of a cookie"));
        }
        if sticky.key.len() < KEY_MIN {
            return Err(format!("the key has {} bytes: {KEY_MIN} at least", sticky.key.len()));
        }
        let max_age = sticky.max_age.as_secs();
        if max_age > MAX_AGE_MAX {
            return Err("a cookie is kept for a year at most".into());
        }
        let key = (siphash((0, 1), &sticky.key), siphash((2, 3), &sticky.key));
        let token = |group: &Group, address: &str| {
            let mut digits = Token::default();
            let value = siphash(key, format!("{}\0{address}", group.name).as_bytes());
            for (n, digit) in digits.iter_mut().enumerate() {
                *digit = b"0123456789abcdef"[(value >> (60 - 4 * n)) as usize & 15];
            }
            digits
        };
        let tokens = groups.iter().map(|group| {
            let each = group.upstreams.iter();
            each.map(|upstream| (upstream.id(), token(group, &upstream.key))).collect()
        });
        Ok(Cookies { name: name.clone(), max_age, tokens: tokens.collect() })
    }

    /// The backend of a group that the first good cookie of ours asks for.
    pub(super) fn wanted<'b>(&self, group: usize, cookies: impl Iterator<Item = &'b [u8]>) -> Option<u32> {
        let tokens = self.tokens.get(group)?;
        let pairs = cookies.flat_map(|line| line.split(|byte| *byte == b';'));
        let values = pairs.filter_map(|pair| self.value(pair));
        values.filter_map(|value| tokens.iter().find(|(_, token)| token == value)).map(|(id, _)| *id).next()
    }

    /// The value, if this is our cookie.
    fn value<'b>(&self, pair: &'b [u8]) -> Option<&'b [u8]> {
        let value = pair.trim_ascii().strip_prefix(self.name.as_bytes())?;
        Some(value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start())
    }

    /// A `Cookie` line without ours, which is no business of the backend. True: it had one.
    pub(super) fn without_ours(&self, header: Header<'_>, lines: &mut HeaderLines) -> bool {
        let pairs = || header.value.split(|byte| *byte == b';');
        if !pairs().any(|pair| self.value(pair).is_some()) {
            return false;
        }
        let is_left = |pair: &&[u8]| self.value(pair).is_none() && !pair.trim_ascii().is_empty();
        if pairs().any(|pair| is_left(&pair)) {
            let _ = lines.push_with(header.name, |value| {
                for (n, pair) in pairs().filter(is_left).enumerate() {
                    value.put(if n > 0 { b"; " } else { b"" });
                    value.put(pair.trim_ascii());
                }
            });
        }
        true
    }

    /// Sets it, where the client has another one or none.
    pub(super) fn set(&self, forward: &Forward, served: u32, lines: &mut HeaderLines) {
        if forward.sticky == Some(served) {
            return;
        }
        let tokens = self.tokens.get(forward.group).into_iter().flatten();
        let Some((_, token)) = tokens.into_iter().find(|(id, _)| *id == served) else { return };
        let _ = lines.push_with("set-cookie", |value| {
            value.put(self.name.as_bytes());
            value.put(b"=");
            value.put(token);
            value.put(b"; Path=/; HttpOnly; SameSite=Lax");
            if self.max_age > 0 {
                let _ = std::fmt::Write::write_fmt(value, format_args!("; Max-Age={}", self.max_age));
            }
            if forward.secure {
                value.put(b"; Secure");
            }
        });
    }
}
