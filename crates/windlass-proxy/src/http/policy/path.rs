//! Paths as routes compare them, and paths that are not what they look like.

/// A path as most applications understand it, byte by byte: `%41` is the letter it stands for, as unreserved
/// characters are the same written either way (RFC 3986 section 6.2.2.2); `//` is one slash; `;x` up to the
/// next slash is not there. Other escapes stay, in capitals: `%2F` is no slash.
#[derive(Clone)]
pub(super) struct Normal<'b> {
    rest: &'b [u8],
    /// Digits of an escape that stays.
    digits: u8,
    behind_slash: bool,
}

impl<'b> Normal<'b> {
    pub(super) fn new(path: &'b [u8]) -> Normal<'b> {
        Normal { rest: path, digits: 0, behind_slash: false }
    }

    /// Takes `prefix` off, which is normal. `Some`: what is behind it as it is written.
    fn strip(mut self, prefix: &[u8]) -> Option<&'b [u8]> {
        for wanted in prefix {
            if self.next() != Some(*wanted) {
                return None;
            }
        }
        Some(self.rest)
    }
}

/// What `%XX` stands for.
fn escaped(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match bytes {
        [b'%', high, low, ..] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    }
}

impl Iterator for Normal<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let first = *self.rest.first()?;
            if self.digits > 0 {
                self.digits -= 1;
                self.rest = &self.rest[1..];
                return Some(first.to_ascii_uppercase());
            }
            let (byte, len) = match first {
                b'/' if self.behind_slash => {
                    self.rest = &self.rest[1..];
                    continue;
                }
                b';' => {
                    let end = self.rest.iter().position(|byte| *byte == b'/').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                    continue;
                }
                b'%' => match escaped(self.rest) {
                    Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => (byte, 3),
                    Some(_) => {
                        self.digits = 2;
                        (b'%', 1)
                    }
                    // No escape at all: as it is written.
                    None => (b'%', 1),
                },
                byte => (byte, 1),
            };
            self.rest = &self.rest[len..];
            self.behind_slash = byte == b'/';
            return Some(byte);
        }
    }
}

/// Which paths a route takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    /// Normal; of a prefix without the slash at its end.
    path: Box<[u8]>,
    exact: bool,
}

impl Pattern {
    /// Reads `/api`, `/api/` or `=/api`.
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let (path, exact) = text.strip_prefix('=').map_or((text, false), |path| (path, true));
        check(path)?;
        let mut normal: Vec<u8> = Normal::new(path.as_bytes()).collect();
        if !exact && normal.last() == Some(&b'/') {
            normal.pop();
        }
        Ok(Pattern { path: normal.into(), exact })
    }

    /// How well it fits a path: an exact one before all, then the longest.
    pub(super) fn rank(&self, path: &[u8]) -> Option<(bool, usize)> {
        let mut normal = Normal::new(path);
        for wanted in &self.path {
            if normal.next() != Some(*wanted) {
                return None;
            }
        }
        let fits = match (normal.next(), self.exact) {
            (None, _) => true,
            (Some(next), false) => next == b'/',
            (Some(_), true) => false,
        };
        fits.then_some((self.exact, self.path.len()))
    }
}

/// Whether this can be the beginning of a path.
pub(super) fn check(path: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"#?;".contains(&byte);
    match path {
        _ if !path.starts_with('/') => Err(format!("`{path}` does not begin with a slash")),
        _ if !path.bytes().all(fits) => {
            Err(format!("`{path}` holds what no path holds: others than ASCII are written %XX"))
        }
        _ if is_misleading(path) => {
            Err(format!("`{path}` names its parent or itself: no request gets there"))
        }
        _ => Ok(()),
    }
}

/// What is left of a path behind a prefix: from a slash on, and one alone. As it is written otherwise.
pub(super) fn behind<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let rest = Normal::new(path.as_bytes()).strip(prefix.as_bytes())?;
    let start = path.len() - rest.len();
    let rest = &path[start..];
    match rest.as_bytes().first() {
        None => Some("/"),
        Some(b'/' | b';') => {
            let slash = rest.find('/').map_or("/", |at| &rest[at..]);
            // `//host` would be another host where it is taken for a reference.
            let run = slash.bytes().take_while(|byte| *byte == b'/').count();
            Some(&slash[run - 1..])
        }
        Some(_) => None,
    }
}

/// Whether somebody resolves this path to another one than it looks like: a segment is `.` or `..`, with dots
/// and slashes escaped or not, with backslashes for slashes, or with a parameter behind it; or a NUL is in it.
pub(super) fn is_misleading(path: &str) -> bool {
    let mut rest = path.as_bytes();
    // Of the segment under way, before its parameters: its dots, and whether there is anything else.
    let (mut dots, mut more, mut parameter) = (0, false, false);
    loop {
        let (byte, len) = match rest {
            [] => return !more && matches!(dots, 1 | 2),
            [b'%', ..] => escaped(rest).map_or((b'%', 1), |byte| (byte, 3)),
            [byte, ..] => (*byte, 1),
        };
        rest = &rest[len..];
        match byte {
            0 => return true,
            b'/' | b'\\' => {
                if !more && matches!(dots, 1 | 2) {
                    return true;
                }
                (dots, more, parameter) = (0, false, false);
            }
            b';' => parameter = true,
            _ if parameter => {}
            b'.' => dots += 1,
            _ => more = true,
        }
    }
}
