//! The words of a command line.

/// The words of a line, separated by one space or more. Other white space is part of a word.
///
/// ```
/// use windlass_proto::memcached::Tokens;
///
/// let words: Vec<&[u8]> = Tokens::new(b" get  a\tb c ").collect();
/// assert_eq!(words, [&b"get"[..], b"a\tb", b"c"]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tokens<'b> {
    rest: &'b [u8],
}

impl<'b> Tokens<'b> {
    /// The words of `line`, which has no ending any more.
    #[inline]
    pub const fn new(line: &'b [u8]) -> Tokens<'b> {
        Tokens { rest: line }
    }

    /// What has not been looked at.
    #[inline]
    pub const fn rest(&self) -> &'b [u8] {
        self.rest
    }
}

impl<'b> Iterator for Tokens<'b> {
    type Item = &'b [u8];

    #[inline]
    fn next(&mut self) -> Option<&'b [u8]> {
        let mut rest = self.rest;
        while let [b' ', behind @ ..] = rest {
            rest = behind;
        }
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let (token, behind) = rest.split_at(end);
        self.rest = behind;
        if token.is_empty() { None } else { Some(token) }
    }
}
