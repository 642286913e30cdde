//! The part of TOML that configurations are written in: tables, lists of tables, keys with dots, strings, numbers,
//! true and false, lists of strings, and tables on one line.
//!
//! It reads a file once, from its beginning to its end, and says what it finds as it goes, so that nothing is kept and
//! everything has its line. What is left of TOML's 1.0 (dates, strings of several lines, lists in lists) stands in no
//! configuration of ours, and is refused with its line.

use super::Problem;

/// What a key is set to.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Text(String),
    /// A number as it stands there, its underscores too.
    Number(String),
    Flag(bool),
    Texts(Vec<String>),
}

/// One thing that a file says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Said {
    /// `[path]`.
    Table(String),
    /// `[[path]]`.
    Entry(String),
    /// A key and its value; the key with the path of its table in front of it.
    Key(String, Value),
}

/// Reads `text`, and gives `take` what it says, each with its line, counted from 1.
pub(crate) fn read(
    text: &str,
    take: &mut dyn FnMut(Said, u32) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut reader = Reader { text: text.as_bytes(), at: 0, line: 1, take };
    let mut table = String::new();
    loop {
        reader.space(true);
        let line = reader.line;
        match reader.peek() {
            0 if reader.at == reader.text.len() => return Ok(()),
            b'[' => {
                reader.at += 1;
                let is_entry = reader.eat(b'[');
                table = reader.path()?;
                if !reader.eat(b']') || is_entry && !reader.eat(b']') {
                    return Err(reader.wrong("a `]` is missing"));
                }
                let said = if is_entry { Said::Entry(table.clone()) } else { Said::Table(table.clone()) };
                (reader.take)(said, line)?;
            }
            _ => reader.pair(&table)?,
        }
        reader.end_of_line()?;
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    take: &'t mut dyn FnMut(Said, u32) -> Result<(), Problem>,
}

impl Reader<'_> {
    /// The next byte; 0 at the end.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == byte;
        self.at += usize::from(is_there);
        is_there
    }

    fn wrong(&self, what: &str) -> Problem {
        Problem::at(self.line, what)
    }

    /// Goes on behind blanks and a comment; over the ends of lines too, if they are none of its concern.
    fn space(&mut self, lines: bool) {
        loop {
            match self.peek() {
                b' ' | b'\t' | b'\r' => {}
                b'#' => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                    continue;
                }
                b'\n' if lines => self.line += 1,
                _ => return,
            }
            self.at += 1;
        }
    }

    fn end_of_line(&mut self) -> Result<(), Problem> {
        self.space(false);
        match self.peek() {
            b'\n' => Ok(()),
            0 if self.at == self.text.len() => Ok(()),
            _ => Err(self.wrong("the line should end here")),
        }
    }

    /// `a.b."c"`, without blanks around its dots.
    fn path(&mut self) -> Result<String, Problem> {
        let mut path = String::new();
        loop {
            self.space(false);
            match self.peek() {
                b'"' | b'\'' => path += &self.string()?,
                _ => {
                    let from = self.at;
                    while matches!(self.peek(), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-') {
                        self.at += 1;
                    }
                    if from == self.at {
                        return Err(self.wrong("a name is missing"));
                    }
                    path += self.slice(from)?;
                }
            }
            self.space(false);
            if !self.eat(b'.') {
                return Ok(path);
            }
            path.push('.');
        }
    }

    fn slice(&self, from: usize) -> Result<&str, Problem> {
        let bytes = self.text.get(from..self.at).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| self.wrong("this is no text"))
    }

    /// `key = value`, below a table.
    fn pair(&mut self, table: &str) -> Result<(), Problem> {
        let line = self.line;
        let key = self.path()?;
        if !self.eat(b'=') {
            return Err(Problem::at(
                line,
                &crate::joined(&["`", &key, "` has no value: write it as `", &key, " = ..`"]),
            ));
        }
        self.space(false);
        let key = if table.is_empty() { key } else { crate::joined(&[table, ".", &key]) };
        if self.eat(b'{') {
            (self.take)(Said::Table(key.clone()), line)?;
            self.space(false);
            while !self.eat(b'}') {
                self.space(false);
                self.pair(&key)?;
                self.space(false);
                if !self.eat(b',') && self.peek() != b'}' {
                    return Err(self.wrong("a `}` is missing"));
                }
            }
            return Ok(());
        }
        let value = self.value()?;
        (self.take)(Said::Key(key, value), line)
    }

    fn value(&mut self) -> Result<Value, Problem> {
        match self.peek() {
            b'"' | b'\'' => self.string().map(Value::Text),
            b'[' => {
                self.at += 1;
                let mut texts = Vec::new();
                loop {
                    self.space(true);
                    match self.peek() {
                        b']' => break,
                        b'"' | b'\'' => texts.push(self.string()?),
                        _ => return Err(self.wrong("a list holds strings, between `\"`")),
                    }
                    self.space(true);
                    if !self.eat(b',') && self.peek() != b']' {
                        return Err(self.wrong("a `]` is missing"));
                    }
                }
                self.at += 1;
                Ok(Value::Texts(texts))
            }
            _ => {
                let from = self.at;
                while matches!(self.peek(), b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'+' | b'.' | b':')
                {
                    self.at += 1;
                }
                match self.slice(from)? {
                    "true" => Ok(Value::Flag(true)),
                    "false" => Ok(Value::Flag(false)),
                    number if number.starts_with(|c: char| c.is_ascii_digit()) => {
                        Ok(Value::Number(number.into()))
                    }
                    _ => Err(self.wrong("this is no value: text stands between `\"`")),
                }
            }
        }
    }

    /// `"text"` with its escapes, or `'text'` without any.
    fn string(&mut self) -> Result<String, Problem> {
        let quote = self.peek();
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek();
            if byte == b'\n' || byte == 0 {
                return Err(self.wrong("the text does not end on its line"));
            }
            self.at += 1;
            if byte == quote {
                break;
            }
            if byte != b'\\' || quote == b'\'' {
                bytes.push(byte);
                continue;
            }
            let escape = self.peek();
            self.at += 1;
            bytes.push(match escape {
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'"' | b'\\' => escape,
                _ => {
                    return Err(self
                        .wrong("there is no such escape: `\\n`, `\\t`, `\\r`, `\\\"` and `\\\\` there are"));
                }
            });
        }
        String::from_utf8(bytes).map_err(|_| self.wrong("this is no text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Vec<(Said, u32)>, Problem> {
        let mut all = Vec::new();
        read(text, &mut |said, line| {
            all.push((said, line));
            Ok(())
        })?;
        Ok(all)
    }

    fn key(key: &str, value: Value) -> Said {
        Said::Key(key.into(), value)
    }

    #[test]
    fn all_that_a_configuration_is_written_in() {
        let text = "# one\nserver.workers = 1_0 # two\n[[hub]]\nlisten = [\n  \"a:1\", 'b' # three\n]\n\
                    tls = { cert = \"c.pem\", key = 'k' }\n\n[ hub . identity ]\r\nterse = true\nt = \"5s\\n\\\"\"";
        let expected = vec![
            (key("server.workers", Value::Number("1_0".into())), 2),
            (Said::Entry("hub".into()), 3),
            (key("hub.listen", Value::Texts(vec!["a:1".into(), "b".into()])), 4),
            (Said::Table("hub.tls".into()), 7),
            (key("hub.tls.cert", Value::Text("c.pem".into())), 7),
            (key("hub.tls.key", Value::Text("k".into())), 7),
            (Said::Table("hub.identity".into()), 9),
            (key("hub.identity.terse", Value::Flag(true)), 10),
            (key("hub.identity.t", Value::Text("5s\n\"".into())), 11),
        ];
        assert_eq!(said(text), Ok(expected));
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        for (text, line) in [
            ("\n[server", 2),
            ("a", 1),
            ("a = ", 1),
            ("a = b", 1),
            ("\n\na = \"b", 3),
            ("a = \"b\nc\"", 1),
            ("a = 1 2", 1),
            ("a = [\n1]", 2),
            ("a = \"\\u\"", 1),
            ("= 1", 1),
            ("[[hub]\n", 1),
            ("a = { b = 1", 1),
            ("a = [\"b\"", 1),
        ] {
            assert_eq!(said(text).expect_err(text).line, line, "{text}");
        }
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise() {
        let text = "[a]\nb = [\"c\", 'd'] # e\nf = { g = 1, h = \"\\n\" }\n[[i.j]]\n";
        for at in 0..=text.len() {
            let _ = said(&text[..at]);
            for byte in 0..128u8 {
                let mut other = text.as_bytes().to_vec();
                other.insert(at, byte);
                let _ = said(std::str::from_utf8(&other).unwrap());
            }
        }
    }
}
