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
    /// `path = { .. }`; what is in it follows.
    Inline(String),
    /// The table of a key that was written with dots: `path.key = ..`. The key follows.
    Dotted(String),
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
    // Editors of some systems begin files with a mark of their order of bytes.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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

    /// `a.b."c"`, without blanks around its dots. What needs its quotes is no name of ours, and a dot in them would
    /// be taken for one between names.
    fn path(&mut self) -> Result<String, Problem> {
        let mut path = String::new();
        loop {
            self.space(false);
            match self.peek() {
                b'"' | b'\'' => {
                    let name = self.string()?;
                    if name.is_empty() || !name.bytes().all(is_bare) {
                        return Err(self.wrong(&crate::joined(&["nothing has the name \"", &name, "\""])));
                    }
                    path += &name;
                }
                _ => {
                    let from = self.at;
                    while is_bare(self.peek()) {
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
        let has_dots = key.contains('.');
        let key = if table.is_empty() { key } else { crate::joined(&[table, ".", &key]) };
        if has_dots && let Some((of, _)) = key.rsplit_once('.') {
            (self.take)(Said::Dotted(of.into()), line)?;
        }
        if self.eat(b'{') {
            (self.take)(Said::Inline(key.clone()), line)?;
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
                    number if is_number(number) => Ok(Value::Number(number.into())),
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
            if byte.is_ascii_control() && byte != b'\t' {
                return Err(self.wrong("a control character stands in the text"));
            }
            if byte != b'\\' || quote == b'\'' {
                bytes.push(byte);
                continue;
            }
            let escape = self.peek();
            self.at += 1;
            if let Some(digits) = [(b'u', 4), (b'U', 8)].iter().find(|(of, _)| *of == escape) {
                let letter = self.letter(digits.1)?;
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            bytes.push(match escape {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b't' => b'\t',
                b'r' => b'\r',
                b'"' | b'\\' => escape,
                _ => {
                    return Err(self.wrong(
                        "there is no such escape: `\\n`, `\\t`, `\\r`, `\\b`, `\\f`, `\\\"`, `\\\\` and `\\u` with four digits there are",
                    ));
                }
            });
        }
        String::from_utf8(bytes).map_err(|_| self.wrong("this is no text"))
    }

    /// The letter with the number of so many hexadecimal digits.
    fn letter(&mut self, digits: usize) -> Result<char, Problem> {
        let mut number = 0;
        for _ in 0..digits {
            let Some(digit) = char::from(self.peek()).to_digit(16) else {
                return Err(self.wrong("`\\u` has four digits, and `\\U` eight, of 0 to F"));
            };
            // Eight digits are 32 bits.
            number = number << 4 | digit;
            self.at += 1;
        }
        char::from_u32(number).ok_or_else(|| self.wrong("there is no letter of this number"))
    }
}

/// What a name without quotes is made of.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// `10_000` or `1.5`: an underscore stands between two digits, a zero does not lead.
fn is_number(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| {
        text.split('_').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    are_digits(whole) && are_digits(part) && (whole == "0" || !whole.starts_with('0'))
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
            (Said::Dotted("server".into()), 2),
            (key("server.workers", Value::Number("1_0".into())), 2),
            (Said::Entry("hub".into()), 3),
            (key("hub.listen", Value::Texts(vec!["a:1".into(), "b".into()])), 4),
            (Said::Inline("hub.tls".into()), 7),
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
            ("\na = 64KiB", 2),
            ("a = 10s", 1),
            ("a = 1_", 1),
            ("a = 1__0", 1),
            ("a = 007", 1),
            ("a = 1.", 1),
            ("a = 1.2.3", 1),
            ("\n\"a.b\" = 1", 2),
            ("\"\" = 1", 1),
            ("a = \"\\u12\"", 1),
            ("a = \"\\ud800\"", 1),
            ("a = \"\\UFFFFFFFF\"", 1),
            ("a = \"\x01\"", 1),
        ] {
            assert_eq!(said(text).expect_err(text).line, line, "{text}");
        }
    }

    #[test]
    fn a_mark_in_front_and_letters_by_their_numbers() {
        let text = "\u{feff}a = \"\\u0041\\U0001F600\\b\"\n'b' = 0\n\"c-d\" = 1.5";
        let expected = vec![
            (key("a", Value::Text("A\u{1f600}\u{8}".into())), 1),
            (key("b", Value::Number("0".into())), 2),
            (key("c-d", Value::Number("1.5".into())), 3),
        ];
        assert_eq!(said(text), Ok(expected));
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
